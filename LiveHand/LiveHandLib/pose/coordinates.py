"""The coordinate systems of the camera, of the scene (RAS) and of the pointer. Knows numpy, nothing of Qt or MRML."""

import numpy as np

from ..errors import LiveHandError
from ..landmarks import Landmark

WORKING_DISTANCE_MM = 500.0
"""How far from the camera a hand is held as a rule, mm: there is the origin of RAS."""

CAMERA_TO_RAS = {
    "owner": np.array(
        [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, -WORKING_DISTANCE_MM],
            [0.0, -1.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    ),
    "camera": np.array(
        [
            [-1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, -1.0, WORKING_DISTANCE_MM],
            [0.0, -1.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    ),
}
"""(4, 4) matrices from the camera's coordinate system (x right, y down, z forward, mm) to RAS (mm), by who sees the
hand like that.

Slicer's 3D view looks by default from anterior, with superior up and the patient's left at its right.

``"owner"`` shows users their hand as they see it themselves, with right and left as in a mirror. A webcam faces the
user, so what the user calls right is left in its image: -x becomes left, which the view has at its right. Up (-y)
becomes superior. Towards the camera (-z), away from the user, becomes posterior, away from the viewer.

``"camera"`` shows it as somebody sees it who stands where the camera is: x becomes right, which the view has at its
left; towards the camera becomes anterior, towards the viewer.

Both are rotations, so a right hand stays a right hand; a mirror image would make a left one of it.
"""

TIP_OFFSET_MM = 7.0
"""From MediaPipe's landmark to the end of the index finger, mm.

On a rigged hand the finger ends 11 mm beyond the joint of its tip, and MediaPipe lays its landmark 4 mm beyond that.
HandNav (2022) adds 11 mm to where SQPNP puts it.
"""

PAD_OFFSET_MM = 0.0
"""From the finger's middle towards its pad, mm: none, for pointing with the end of the finger. Half the finger's
thickness, 6 to 7 mm, for touching with the pad."""

SHEAR = 1e-3
"""By how much a camera's axes may differ in length, or be off a right angle: a pixel in a thousand."""

_INDEX_TIP = int(Landmark.INDEX_FINGER_TIP)
_INDEX_MCP, _PINKY_MCP = int(Landmark.INDEX_FINGER_MCP), int(Landmark.PINKY_MCP)


def pointer(
    landmarks: np.ndarray, side: str, tipOffsetMm: float, padOffsetMm: float, tip: int = _INDEX_TIP
) -> np.ndarray:
    """A finger as a pointer.

    :param landmarks: (21, 3), mm, in any right-handed coordinate system.
    :param side: ``"Left"`` or ``"Right"``.
    :param tipOffsetMm: from the landmark along the finger to where it ends, mm.
    :param padOffsetMm: from there towards the finger's pad, mm.
    :param tip: the landmark at the finger's tip. Where the thumb has its pad is less certain.
    :returns: (4, 4) matrix from the pointer's coordinate system to that of the landmarks, mm: the origin is the tip, z
        points out of the finger and y towards its pad.
    """
    along = _unit(landmarks[tip] - landmarks[tip - 1], np.array([0.0, 0.0, 1.0]))
    across = landmarks[_INDEX_MCP] - landmarks[_PINKY_MCP]
    if side == "Left":
        across = -across
    # Where the knuckles lie in the finger's direction, any direction across it will do.
    pad = _unit(np.cross(across, along), np.cross(np.eye(3)[np.argmin(np.abs(along))], along))
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = np.cross(pad, along), pad, along
    matrix[:3, 3] = landmarks[tip] + tipOffsetMm * along + padOffsetMm * pad
    return matrix


def viewpoint(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """From where and how a camera sees the scene.

    :param matrix: (4, 4) from the camera's coordinate system to RAS, mm.
    :returns: (3,) its place, mm, the unit vectors along its optical axis and upwards in its image, and the scale.
    :raises LiveHandError: ``cameraViewTransform`` when the matrix does something else than to rotate, move and scale
        evenly; then no camera sees like that.
    """
    axes = matrix[:3, :3]
    scale = float(np.cbrt(np.linalg.det(axes))) if np.isfinite(matrix).all() else 0.0
    if scale <= 0.0 or np.abs(axes.T @ axes / scale**2 - np.eye(3)).max() > SHEAR:
        raise LiveHandError("cameraViewTransform")
    return matrix[:3, 3], axes[:, 2] / scale, -axes[:, 1] / scale, scale


def _unit(vector: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """A direction; another one where there is none."""
    length = np.sqrt(vector @ vector)
    return vector / length if length > 1e-6 else otherwise / np.sqrt(otherwise @ otherwise)
