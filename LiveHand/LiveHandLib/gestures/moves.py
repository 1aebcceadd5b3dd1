"""What a pinch that moves does to a view, a slice or a transform: geometry. Knows numpy, nothing of Qt or MRML.

What acts on views goes by the directions in which the camera sees the hands, as a mouse by where it is on the screen:
they are measured well, and in a frame that the user sees mirrored, the hand moves as the view does. What acts on slices
and transforms goes by millimetres.
"""

import math

import numpy as np

from .hold import rotationMatrix
from .pinch import PinchEvent

DEGREES_PER_TANGENT = 350.0
"""Of the view's rotation for the change of a hand's direction (x/z, y/z). Dragging across the whole view rotates by 200
degrees in Slicer (``vtkMRMLCameraWidget::ProcessRotate``: 20 times a motion factor of 10); here that takes 0.57, a hand
half a metre away that moves by 29 cm, which is half of what a webcam sees."""

RANGE_TANGENTS = 0.57
"""The way that changes window or level by the volume's range: the one that rotates a view by 200 degrees, for in Slicer
dragging across the view does both."""

LARGEST_ZOOM = 20.0
"""By which two hands enlarge at most from where they took hold: they come as near to each other as they like."""


def dragAngles(start: np.ndarray, now: np.ndarray, isMirrored: bool = True) -> tuple[float, float]:
    """How far one hand rotates a view.

    :param start: (2,) the direction in which the hand was seen when its pinch began, see :class:`pinch.PinchEvent`.
    :param now: (2,) in which it is seen.
    :param isMirrored: the user faces the camera: what is right in the image is the user's left.
    :returns: azimuth and elevation for ``vtkCamera``, degrees, as if the mouse dragged the scene along: what is seen
        follows the hand.
    """
    right, down = ((now - start) * DEGREES_PER_TANGENT).tolist()
    return (right if isMirrored else -right), down


def orbit(
    position: np.ndarray, focalPoint: np.ndarray, viewUp: np.ndarray, azimuth: float, elevation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rotate a view's camera about its focal point, as ``vtkCamera``'s ``Azimuth``, ``Elevation`` and
    ``OrthogonalizeViewUp`` do one after the other.

    :param position: (3,), mm; so is the focal point.
    :param viewUp: (3,) unit vector.
    :param azimuth: about the view's up direction, degrees.
    :param elevation: about its right, degrees.
    :returns: position, mm, and view up.
    """
    away = rotationMatrix(viewUp * math.radians(azimuth)) @ (position - focalPoint)
    right = np.cross(viewUp, away)  # of the image
    length = math.sqrt(right @ right)
    if length < 1e-9:
        return position, viewUp
    away = rotationMatrix(right * (-math.radians(elevation) / length)) @ away
    up = np.cross(away, right)
    return focalPoint + away, up / math.sqrt(up @ up)


def twoHands(
    start: tuple[np.ndarray, np.ndarray], now: tuple[np.ndarray, np.ndarray], isMirrored: bool = True
) -> tuple[float, np.ndarray, float]:
    """What both hands do to a view.

    :param start: (2,) directions of the left and of the right hand when the second pinch began.
    :param now: in which they are seen.
    :param isMirrored: the user faces the camera.
    :returns: by how much to enlarge, from 1 / :data:`LARGEST_ZOOM` to :data:`LARGEST_ZOOM`; the way of the point in
        the middle to the right and up, in tangents of the camera's directions; and the angle by which the line between
        the hands has turned counterclockwise, as the user sees them, degrees from -180 to 180.
    """
    before, after = np.array(start), np.array(now)
    if isMirrored:
        before, after = before * (-1.0, 1.0), after * (-1.0, 1.0)
    lineBefore, lineAfter = before[1] - before[0], after[1] - after[0]
    lengthBefore, lengthAfter = (math.sqrt(line @ line) for line in (lineBefore, lineAfter))
    right, down = (np.add.reduce(after - before) / 2.0).tolist()
    if not min(lengthBefore, lengthAfter) > 1e-6:  # one hand over the other: no line
        return 1.0, np.array([right, -down]), 0.0
    zoom = min(max(lengthAfter / lengthBefore, 1.0 / LARGEST_ZOOM), LARGEST_ZOOM)
    cross = lineBefore[0] * lineAfter[1] - lineBefore[1] * lineAfter[0]
    return zoom, np.array([right, -down]), -math.degrees(math.atan2(cross, lineBefore @ lineAfter))


def scrolled(
    offset: float,
    startMm: np.ndarray,
    nowMm: np.ndarray,
    factor: float = 1.0,
    spacing: float = 0.0,
    origin: float = 0.0,
) -> float:
    """Where a slice is after a hand has moved up or down.

    :param offset: of the slice when the pinch was taken hold of, mm.
    :param startMm: (3,) where that was, in the camera's coordinate system, mm.
    :param nowMm: (3,) where the hand is.
    :param factor: of the slice's way for the hand's way upwards.
    :param spacing: of the volume's slices, mm; 0 for any offset.
    :param origin: the offset of one of the volume's slices, mm.
    :returns: the offset, mm.
    """
    result = offset - factor * float(nowMm[1] - startMm[1])
    return origin + spacing * round((result - origin) / spacing) if spacing > 0.0 else result


def windowLevel(
    window: float,
    level: float,
    valueRange: tuple[float, float],
    start: np.ndarray,
    now: np.ndarray,
    isMirrored: bool = True,
) -> tuple[float, float]:
    """Window and level after a hand has moved: to the right for a wider window, up for a higher level, and by the
    volume's range for :data:`RANGE_TANGENTS`.

    Bounded as in Slicer (``vtkMRMLWindowLevelWidget::ProcessAdjustWindowLevel``).

    :param window: when the pinch was taken hold of; so is level.
    :param valueRange: the volume's least and greatest value.
    :param start: (2,) the direction in which the hand was seen then.
    :param now: (2,) in which it is seen.
    :returns: window and level.
    """
    low, high = valueRange
    right, down = ((now - start) * (high - low) / RANGE_TANGENTS).tolist()
    window = max(window + (-right if isMirrored else right), 0.0)
    return window, min(max(level - down, low - window / 2.0), high + window / 2.0)


def carried(start: PinchEvent, now: PinchEvent, canMove: bool = True, canTurn: bool = True) -> np.ndarray:
    """How one hand has carried what it holds.

    :param start: when the pinch was taken hold of.
    :param now: the same pinch now.
    :param canMove: whether it may be moved; otherwise it is only turned, about where it was taken hold of.
    :param canTurn: whether it may be turned; otherwise it is only moved.
    :returns: (4, 4) in the camera's coordinate system, mm: to be multiplied from the left.
    """
    if not canMove:
        return _about(start.positionMm, now.rotation if canTurn else np.eye(3), start.positionMm)
    return _about(start.centreMm, now.rotation if canTurn else np.eye(3), now.centreMm)


def carriedByTwo(
    start: tuple[np.ndarray, np.ndarray],
    now: tuple[np.ndarray, np.ndarray],
    canMove: bool = True,
    canTurn: bool = True,
    canScale: bool = False,
) -> np.ndarray:
    """How two hands have carried what they hold between them: the point in the middle moves with them, the line between
    them turns by the shortest way, and their distance scales.

    :param start: (3,) positions of the left and of the right pinch when the second was taken hold of, mm.
    :param now: where they are, mm.
    :returns: (4, 4) in the same coordinate system, mm: to be multiplied from the left.
    """
    before, after = np.array(start), np.array(now)
    middle, target = np.add.reduce(before) / 2.0, np.add.reduce(after) / 2.0
    lineBefore, lineAfter = before[1] - before[0], after[1] - after[0]
    lengthBefore, lengthAfter = (math.sqrt(line @ line) for line in (lineBefore, lineAfter))
    linear = np.eye(3)
    if min(lengthBefore, lengthAfter) > 1e-6:
        if canTurn:
            axis = np.cross(lineBefore, lineAfter)
            sine = math.sqrt(axis @ axis)
            if sine > 1e-9 * lengthBefore * lengthAfter:
                linear = rotationMatrix(axis * (math.atan2(sine, float(lineBefore @ lineAfter)) / sine))
        if canScale:
            linear = linear * min(max(lengthAfter / lengthBefore, 1.0 / LARGEST_ZOOM), LARGEST_ZOOM)
    return _about(middle, linear, target if canMove else middle)


def inCoordinates(matrix: np.ndarray, cameraToRas: np.ndarray) -> np.ndarray:
    """A motion in the camera's coordinate system as one in RAS.

    :param matrix: (4, 4), mm.
    :param cameraToRas: (4, 4), mm, as ``LiveHand Camera to RAS`` has it.
    :returns: (4, 4), mm.
    """
    return cameraToRas @ matrix @ np.linalg.inv(cameraToRas)


def _about(centre: np.ndarray, linear: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 4) that takes a centre to a target, and what is about it with a linear map."""
    result = np.eye(4)
    result[:3, :3] = linear
    result[:3, 3] = target - linear @ centre
    return result
