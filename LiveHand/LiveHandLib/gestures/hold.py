"""Where a hand that holds something has carried it: steadied. Knows numpy, nothing of Qt or MRML."""

import math

import numpy as np

DIRECTION_SLACK = 0.002
DEPTH_SLACK = 0.025
ROTATION_SLACK = math.radians(2.5)
"""How far the measured hand may be from the held one without taking it along: in tangents of its direction (at half a
metre: 1 mm), as a share of its distance, and in radians. So large is the jitter of a hand that holds still."""

CREEP_MS = 1000.0
"""Within the slack the direction approaches the measured one with this time constant, ms: when a hand has stopped, it
is where it is measured, and jitter is averaged out. Distance and rotation do not: what is measured of them wanders.
The distance is followed without slack from when it leaves it until the hand stops, or it would end too short by it."""

POSE_DELAY_MS = 200.0
"""Time constant of the low-pass filter that distance and rotation go through before, ms."""

POSE_SETTLE_MS = 300.0
"""For how long, ms, distance and rotation are not followed at first: it takes the pose so long to find the new shape of
a hand whose fingers have just closed."""

FASTEST_DIRECTION = 1.5
FASTEST_DEPTH = 0.6
FASTEST_ROTATION = math.radians(240.0)
"""How fast it is carried at most, per second, in the same units: what is faster is caught up with. Opening the fingers
stops that, so a flick does not throw what is held."""

FOLLOWED = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17]
"""The palm, the thumb and the index finger, which do not move among each other while they pinch; the other fingers may.
Of rendered hands that pinch and move, the mean of these is 0.9 mm off in the median at half a metre (90th percentile
2.6), that of the fingertips alone, which hide each other, 1.4 (5.2); rotation is 2.8 degrees off (8.9)."""


class Hold:
    """A hand since it has taken hold of something.

    What is measured well (the direction in which the hand is seen) is kept apart from what is not (its distance and
    rotation).

    :param landmarksMm: (21, 3) in the camera's coordinate system, mm.
    :ivar direction: (2,) x/z and y/z of the hand's middle.
    :ivar centreMm: (3,) the hand's middle when it took hold, mm.
    :ivar wayMm: (3,) how far the hand has been carried, mm.
    :ivar rotation: (3, 3) how it has turned.
    """

    def __init__(self, landmarksMm: np.ndarray) -> None:
        self.wayMm, self.rotation = np.zeros(3), np.eye(3)
        self.centreMm = np.add.reduce(landmarksMm[FOLLOWED]) / len(FOLLOWED)
        self.direction = self._start = _centre(landmarksMm)[0]
        self._farther = self._heldMs = self._going = 0.0
        self.take(landmarksMm)

    def take(self, landmarksMm: np.ndarray) -> None:
        """What the hand has done up to now does not count: it goes on from where it is carried now."""
        self._offset = self.direction - _centre(landmarksMm)[0]
        self._takePose(landmarksMm)

    def _takePose(self, landmarksMm: np.ndarray) -> None:
        self._smoothed = landmarksMm
        self._depth = _centre(landmarksMm)[1]
        self._shape = _about(landmarksMm)
        self._going = 0.0

    def follow(self, landmarksMm: np.ndarray, elapsedMs: float) -> None:
        """Go along with the hand in the next frame.

        :param landmarksMm: (21, 3) in the camera's coordinate system, mm.
        :param elapsedMs: time since the frame before, ms.
        """
        moved = _centre(landmarksMm)[0] + self._offset - self.direction
        distance = math.sqrt(moved @ moved)
        if distance > 0.0:
            way = min(distance, DIRECTION_SLACK) * (1.0 - math.exp(-elapsedMs / CREEP_MS))
            way += _beyond(distance, DIRECTION_SLACK, FASTEST_DIRECTION, elapsedMs)
            self.direction = self.direction + moved * (way / distance)
        self._heldMs += elapsedMs
        if self._heldMs < POSE_SETTLE_MS:
            self._takePose(landmarksMm)
        else:
            self._followPose(landmarksMm, elapsedMs)
        depth = self._depth * math.exp(self._farther)
        self.wayMm = np.append(self.direction, 1.0) * depth - np.append(self._start, 1.0) * self._depth

    def _followPose(self, landmarksMm: np.ndarray, elapsedMs: float) -> None:
        share = 1.0 - math.exp(-elapsedMs / POSE_DELAY_MS)
        self._smoothed = self._smoothed + share * (landmarksMm - self._smoothed)
        smoothed = _centre(self._smoothed)[1]
        farther = math.log(smoothed / self._depth) - self._farther
        if abs(farther) > DEPTH_SLACK:
            self._going = math.copysign(1.0, farther)
        elif (_centre(landmarksMm)[1] - smoothed) * self._going <= 0.0:  # it is no longer ahead of its low-pass filter
            self._going = 0.0
        slack = 0.0 if self._going else DEPTH_SLACK
        self._farther += math.copysign(_beyond(abs(farther), slack, FASTEST_DEPTH, elapsedMs), farther)
        turned = rotationVector(_turn(self._shape, _about(self._smoothed)) @ self.rotation.T)
        angle = math.sqrt(turned @ turned)
        way = _beyond(angle, ROTATION_SLACK, FASTEST_ROTATION, elapsedMs)
        if way > 0.0:
            self.rotation = rotationMatrix(turned * (way / angle)) @ self.rotation


def _beyond(distance: float, slack: float, fastest: float, elapsedMs: float) -> float:
    """How much of a distance beyond the slack is gone in one frame."""
    return min(max(distance - slack, 0.0), fastest * elapsedMs / 1000.0)


def _centre(landmarksMm: np.ndarray) -> tuple[np.ndarray, float]:
    """The direction of the hand's middle, (2,) x/z and y/z, and its distance z, mm."""
    followed = landmarksMm[FOLLOWED]
    directions = followed[:, :2] / followed[:, 2:]
    return np.add.reduce(directions) / len(followed), float(np.add.reduce(followed[:, 2])) / len(followed)


def _about(landmarksMm: np.ndarray) -> np.ndarray:
    followed = landmarksMm[FOLLOWED]
    return followed - np.add.reduce(followed) / len(followed)


def _turn(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The rotation that lays points about their centre upon others best (Arun et al., Least-squares fitting of two 3-D
    point sets, 1987)."""
    u, _s, vt = np.linalg.svd(before.T @ after)
    turn = u @ vt
    (a, b, c), (d, e, f), (g, h, i) = turn.tolist()
    if a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) < 0.0:  # the determinant: a mirror image
        vt[2] = -vt[2]
        turn = u @ vt
    return turn.T


def rotationMatrix(vector: np.ndarray) -> np.ndarray:
    """(3, 3) rotation about a vector by its length, in radians (Rodrigues)."""
    angle = math.sqrt(vector @ vector)
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = (vector / angle).tolist()
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * (cross @ cross)


def rotationVector(matrix: np.ndarray) -> np.ndarray:
    """The vector of a rotation, in radians; of one by half a turn, some vector of that length."""
    axis = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]) / 2.0
    sine, cosine = math.sqrt(axis @ axis), (np.trace(matrix) - 1.0) / 2.0
    angle = math.atan2(sine, cosine)
    if sine > 1e-6:
        return axis * (angle / sine)
    if cosine > 0.0:
        return axis
    values = (matrix + np.eye(3)) / 2.0  # axis times its transpose
    column = values[:, int(np.argmax(values.diagonal()))]
    return column * (angle / math.sqrt(column @ column))
