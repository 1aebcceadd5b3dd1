"""Joint angles of the hand from its landmarks. Knows numpy, nothing of Qt or MRML.

What is measured follows the recommendation of the International Society of Biomechanics (Wu et al., ISB
recommendation on definitions of joint coordinate systems of various joints for the reporting of human joint motion,
part II: shoulder, elbow, wrist and hand, Journal of Biomechanics 38, 2005) as far as 21 points allow: a joint's angles
are those of the bone beyond it in the coordinate system of the bone before it, flexion first, about the axis from the
little finger's side to the thumb's, abduction second. The thumb's base is measured as with a goniometer, by its radial
and palmar abduction from the index finger's metacarpal (Norkin and White, Measurement of Joint Motion: A Guide to
Goniometry). What the points do not show is replaced as follows:

- A bone's turn about its own axis is not seen. A finger flexes about an axis in the plane of the palm, at a right
  angle to its metacarpal; the thumb flexes towards the little finger's knuckle.
- Metacarpals run from the wrist's landmark to the knuckle's, for their bases have no landmark.
- The plane of the palm is that of the wrist and the knuckles of the index and the little finger.
- The wrist's own angles need the forearm, which has no landmark: they are not measured.
"""

import numpy as np

from ..landmarks import Landmark

FINGERS = ("Index", "Middle", "Ring", "Pinky")

ANGLES = (
    "Thumb CMC radial abduction",
    "Thumb CMC palmar abduction",
    "Thumb MCP flexion",
    "Thumb IP flexion",
    *(
        f"{finger} {angle}"
        for finger in FINGERS
        for angle in ("MCP flexion", "MCP abduction", "PIP flexion", "DIP flexion")
    ),
)
"""Names of the 20 angles in the order of :func:`jointAngles`.

Flexion
    0 when the two bones are in line, positive towards the palm, negative when the joint is overextended. The bone
    before an MCP joint is the metacarpal.
MCP abduction
    0 when the finger's first bone is parallel to the middle finger's metacarpal, as seen onto the palm; positive away
    from the middle finger, for the middle finger itself towards the thumb. Of little meaning in a bent finger.
CMC radial, palmar abduction
    The thumb's metacarpal against that of the index finger: the angle between them as seen onto the palm, and the
    angle by which it stands out of the palm's plane to where the palm faces.
"""

_MIRROR = {"Right": np.array([1.0, 1.0, 1.0]), "Left": np.array([-1.0, 1.0, 1.0])}
_AWAY_FROM_MIDDLE = np.array([1.0, 1.0, -1.0, -1.0])


def jointAngles(landmarks: np.ndarray, side: str) -> np.ndarray:
    """The angles of a hand, or of many at once.

    :param landmarks: (..., 21, 3) in MediaPipe's order, in any right-handed coordinate system and any unit.
    :param side: ``"Left"`` or ``"Right"``.
    :returns: (..., 20) degrees, in the order of :data:`ANGLES`.
    """
    # A left hand is a right one in the mirror, so that all that follows has to do with right hands only.
    points = landmarks * _MIRROR[side]
    chains = points[..., 1:, :].reshape(*points.shape[:-2], 5, 4, 3)
    bones = _unit(chains[..., 1:, :] - chains[..., :-1, :])
    thumb, fingers = bones[..., 0, :, :], bones[..., 1:, :, :]
    metacarpals = _unit(chains[..., 1:, 0, :] - points[..., :1, :])
    palmar = np.cross(metacarpals[..., :1, :], metacarpals[..., 3:, :])
    radial = _unit(np.cross(metacarpals, palmar))
    palmar = np.cross(radial, metacarpals)

    angles = np.empty((*points.shape[:-2], len(ANGLES)))
    proximal = fingers[..., 0, :]
    ofFingers = angles[..., 4:].reshape(*points.shape[:-2], 4, 4)
    ofFingers[..., 0] = np.arctan2(_dot(proximal, palmar), _dot(proximal, metacarpals))
    ofFingers[..., 1] = _AWAY_FROM_MIDDLE * np.arcsin(np.clip(_dot(proximal, radial[..., 1:2, :]), -1.0, 1.0))
    ofFingers[..., 2:] = _hinge(fingers, radial[..., None, :])

    metacarpal = thumb[..., 0, :]
    angles[..., 0] = np.arctan2(_dot(metacarpal, radial[..., 0, :]), _dot(metacarpal, metacarpals[..., 0, :]))
    angles[..., 1] = np.arcsin(np.clip(_dot(metacarpal, palmar[..., 0, :]), -1.0, 1.0))
    across = chains[..., 4, 0, :] - chains[..., 0, 1, :]
    angles[..., 2:4] = _hinge(thumb, np.cross(metacarpal, across)[..., None, :])
    angles[..., 4:] = ofFingers.reshape(*points.shape[:-2], 16)
    return np.degrees(angles)


def pinchDistance(landmarks: np.ndarray) -> np.ndarray:
    """Distance between the tips of the thumb and the index finger.

    :param landmarks: (..., 21, 3) in MediaPipe's order.
    :returns: (...) in the unit of the landmarks.
    """
    return np.linalg.norm(landmarks[..., Landmark.THUMB_TIP, :] - landmarks[..., Landmark.INDEX_FINGER_TIP, :], axis=-1)


def _hinge(bones: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Angles between bones that follow each other, as seen along an axis.

    :param bones: (..., n, 3) unit vectors.
    :param axis: (..., 1, 3); what of it lies along the bone before the joint does not count.
    :returns: (..., n - 1) radians, positive where the turn is right-handed about the axis.
    """
    before, beyond = bones[..., :-1, :], bones[..., 1:, :]
    across = _unit(axis - _dot(axis, before)[..., None] * before)
    return np.arctan2(_dot(np.cross(before, beyond), across), _dot(before, beyond))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", a, b)


def _unit(vectors: np.ndarray) -> np.ndarray:
    # Landmarks that fall together have no direction; they give angles without meaning, but no NaN.
    return vectors / np.sqrt(_dot(vectors, vectors) + 1e-12)[..., None]
