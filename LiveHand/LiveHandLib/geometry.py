"""Where the hand is in space. Knows numpy, nothing of Qt or MRML."""

import numpy as np

CAMERA_TO_RAS = np.array(
    [
        [1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
        [0.0, -1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
"""Default (4, 4) matrix from the camera's frame (x right, y down, z forward, mm) to RAS (mm).

It shows users their hand as they see it themselves. Slicer's 3D view looks by default from anterior, with
superior up and the patient's left at its right. A webcam faces the user, so what the user calls right is left in
its picture: -x becomes left, which the view has at its right. Up (-y) becomes superior. Towards the camera (-z),
away from the user, becomes posterior, away from the viewer. It is a rotation, so a right hand stays a right hand.
"""


def placeInCameraFrame(imagePx: np.ndarray, worldMm: np.ndarray, imageSize: tuple[int, int]) -> np.ndarray:
    """Give the hand's shape a place beside the camera's axis.

    MediaPipe's world landmarks have the hand's shape and size but lie about its own centre. Here they are moved,
    without being turned or scaled, so that under weak perspective they fall on the landmarks in the picture: the
    scale in px per mm is the least-squares one between the two, and one depth holds for the whole hand. That
    depth is not estimated: the hand's centre stays in the plane z = 0.

    :param imagePx: (21, 2) landmarks in the picture, px.
    :param worldMm: (21, 3) world landmarks, mm.
    :param imageSize: the picture's width and height, px.
    :returns: (21, 3) landmarks in mm: x right, y down, z forward from the plane of the hand's centre, x and y
        measured from the camera's axis, taken to be the picture's centre.
    """
    n = len(worldMm)
    imageCentre, worldCentre = imagePx.sum(axis=0) / n, worldMm[:, :2].sum(axis=0) / n
    shape = worldMm[:, :2] - worldCentre
    scale = np.vdot(shape, imagePx - imageCentre) / max(np.vdot(shape, shape), 1e-9)
    # A hand seen as a point, or turned inside out by a bad detection, has no usable scale: the picture is never
    # taken to be more than 2 m wide, so that no hand flies away.
    scale = max(scale, max(imageSize) / 2000.0)
    placed = worldMm.copy()
    placed[:, :2] = shape + (imageCentre - np.array(imageSize) / 2.0) / scale
    return placed
