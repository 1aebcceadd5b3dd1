"""Where a hand's landmarks are that two cameras see, in millimetres. Knows numpy, nothing of Qt or MRML.

Two views measure distances; but where one of them hides a landmark, MediaPipe guesses it, and a ray to a guess passes
the other camera's ray anywhere. What tells a guess from what is seen is the rest of the hand: :class:`StereoPose`
combines the rays of both views with the lengths of the bones, the relative depths that MediaPipe gives in each view,
and the frame before.
"""

from dataclasses import dataclass

import numpy as np

from ..landmarks import LANDMARK_NAMES
from ..pose.handpose import _DEPTHS, _DISTANCES
from .pair import CameraPair

_N = len(LANDMARK_NAMES)
_sum = np.add.reduce
DISTANCES = tuple(_DISTANCES)
"""The pairs of landmarks of which the distances are known, or learnt."""
_FROM, _TO = np.array(DISTANCES).T
_RATIOS, _RATIO_SDS = np.array(list(_DISTANCES.values())).T
_PARENT, _CHILD = np.array(list(_DEPTHS)).T
_IMAGE_FACTORS, _WORLD_FACTORS, _DEPTH_SDS = np.array(list(_DEPTHS.values())).T
_DEPTH_FACTORS = _IMAGE_FACTORS + _WORLD_FACTORS  # here the image's depths count for both

# Standard deviations over the palm width. On rendered hands (Testing/support/stereoscene.py) the fingertip's median
# error changes by 0.1 mm if the first is 0.02 or 0.04, and by 0.2 mm if the others are half or double as much.
_RAY_SD = 0.025
"""Of a landmark that a view sees, across its ray."""
_RELIEF_SDS = 1.2
"""Of a relative depth, in those that one camera's pose takes, which has nothing better."""
_GROWTH_MM2_PER_MS = 30.0
"""How far a landmark moves in one ms: variance. A hand's speed is 1 m/s at times."""
_OUTLIER_SDS = np.sqrt(3.0) * 1.5, 3.0
"""From where on a ray, and a length or a relative depth, is taken to be wrong rather than inexact (Cauchy's weights):
half of the weight."""
_STEPS = 2
_STALE_MS = 300.0
_LATERAL_SD = 0.1
"""What no view tells, over the palm width: how far MediaPipe's landmarks are from the hand's joints. With it, two
thirds of the landmarks of rendered hands are within the standard deviation that is stated."""
_NEAREST_MM, _FARTHEST_MM = 80.0, 3000.0
_FARTHEST_PAIR = 1e5  # mm; of two rays that are almost parallel

# The rows of the Jacobian: in each view the directions (x and y of each landmark) and the relative depths; the lengths.
_DIRECTIONS, _RELIEFS, _LENGTHS = 2 * _N, len(_PARENT), len(_FROM)
_VIEW = _DIRECTIONS + _RELIEFS


@dataclass(frozen=True)
class View:
    """A hand as one camera sees it.

    :ivar directions: (21, 2) x/z and y/z in the camera's coordinate system.
    :ivar relativeDepths: (21,) MediaPipe's depths, growing away from the camera, over its focal length.
    :ivar inflation: what the standard deviation of the directions is multiplied with, of a view that is extrapolated.
    :ivar worldDepthsMm: (21,) the depths of MediaPipe's world landmarks, mm, for the pose by one view; None if unknown.
    """

    directions: np.ndarray
    relativeDepths: np.ndarray
    inflation: float = 1.0
    worldDepthsMm: np.ndarray | None = None


def triangulated(pair: CameraPair, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where two rays meet best: the middle between their nearest points.

    :param first: (n, 2) x/z and y/z in the first camera's coordinate system.
    :param second: (n, 2) in the second camera's.
    :returns: (n, 3) in the first camera's coordinate system, mm.
    """
    rays, otherRays = np.ones((2, len(first), 3))
    rays[:, :2], otherRays[:, :2] = first, second
    otherRays = otherRays @ pair.rotation
    centre = -pair.translationMm @ pair.rotation
    aa, ab, bb = _sum(rays * rays, axis=1), _sum(rays * otherRays, axis=1), _sum(otherRays * otherRays, axis=1)
    along, otherAlong = rays @ centre, otherRays @ centre
    scale = 1.0 / np.maximum(aa * bb - ab * ab, 1e-9)  # rays may be parallel
    depths, otherDepths = (bb * along - ab * otherAlong) * scale, (ab * along - aa * otherAlong) * scale
    points = 0.5 * (rays * depths[:, None] + centre + otherRays * otherDepths[:, None])
    return np.minimum(np.maximum(points, -_FARTHEST_PAIR), _FARTHEST_PAIR)


def distances(pointsMm: np.ndarray) -> np.ndarray:
    """The distances between the landmarks whose lengths are learnt, mm: (n,), in the order of the one-camera pose's."""
    across = pointsMm[_FROM] - pointsMm[_TO]
    return np.sqrt(_sum(across * across, axis=1))


class StereoPose:
    """Follows one hand that both cameras see.

    For every frame the 21 points are estimated that are nearest to the rays of both views, have the hand's distances
    between each other and MediaPipe's relative depths, and have not moved faster than hands do: weighted least squares
    with Cauchy's weights, by Gauss and Newton, from the pose before or from where the rays meet, whichever explains
    more.

    :param pair: where the cameras are.
    """

    def __init__(self, pair: CameraPair) -> None:
        self.pair = pair
        self._jacobian = np.zeros((2 * _VIEW + _LENGTHS, 3 * _N))
        self._axes = (np.eye(3), pair.rotation)
        self.setLengths(np.zeros(0))
        self.reset()

    def reset(self) -> None:
        """Forget the frames before."""
        self.pointsMm: np.ndarray | None = None
        self._variances = np.zeros(_N)
        self._lastMs = 0.0

    def setLengths(self, lengthsMm: np.ndarray) -> None:
        """Take these distances from now on.

        :param lengthsMm: as :func:`distances` gives them, mm; empty for the proportions of most hands.
        """
        self._lengths = lengthsMm
        self._palmWidth = float(np.median((lengthsMm / _RATIOS)[_PALM])) if len(lengthsMm) else 0.0

    def update(self, first: View, second: View, timestampMs: float) -> tuple[np.ndarray, np.ndarray]:
        """Estimate the pose at a time at which both views are given.

        :returns: (21, 3) landmarks in the first camera's coordinate system, mm, and (21,) the standard deviation of
            each one's distance from where it truly is, mm.
        """
        views = (first, second)
        met = triangulated(self.pair, first.directions, second.directions)
        palmWidth = self._palmWidth or float(np.clip(np.median((distances(met) / _RATIOS)[_PALM]), 30.0, 110.0))
        lengths = self._lengths if len(self._lengths) else palmWidth * _RATIOS
        known = palmWidth, lengths
        elapsed = timestampMs - self._lastMs
        starts, expected, information = [met], met, np.zeros(_N)
        if self.pointsMm is not None and 0 <= elapsed < _STALE_MS:
            expected = self.pointsMm
            information = 1.0 / (self._variances + elapsed * _GROWTH_MM2_PER_MS + 1.0)
            starts.append(expected)
        errors = [self._errors(start, views, known, expected, information) for start in starts]
        best = int(np.argmin([error[-1] for error in errors]))
        points, error = starts[best], errors[best]
        for step in range(_STEPS):
            if step:
                error = self._errors(points, views, known, expected, information)
            normal, gradient = self._normal(points, views, known, error, expected, information)
            points = points - np.linalg.solve(normal, gradient).reshape(_N, 3)
        variances = np.linalg.inv(normal).diagonal().reshape(_N, 3).sum(axis=1)
        self.pointsMm, self._variances, self._lastMs = points, variances / 3.0, timestampMs
        return points, np.sqrt(variances + (_LATERAL_SD * palmWidth) ** 2)

    def _errors(
        self,
        points: np.ndarray,
        views: tuple[View, View],
        known: tuple[float, np.ndarray],
        expected: np.ndarray,
        information: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """The errors of all rows over their standard deviations, their weights, the bones' vectors and the cost."""
        palmWidth, lengths = known
        parts, weights, cost = [], [], 0.0
        for view, inView in zip(views, (points, self.pair.toSecond(points)), strict=True):
            depths = inView[:, 2]
            across = (inView[:, :2] - view.directions * depths[:, None]) / (_RAY_SD * palmWidth * view.inflation)
            squares = _sum(across * across, axis=1) / _OUTLIER_SDS[0] ** 2
            relief = _DEPTH_FACTORS * (view.relativeDepths[_CHILD] - view.relativeDepths[_PARENT])
            relief = depths[_CHILD] - depths[_PARENT] - relief * (_sum(depths) / _N)
            relief /= _DEPTH_SDS * (_RELIEF_SDS * palmWidth)
            reliefSquares = (relief / _OUTLIER_SDS[1]) ** 2
            parts += [across.ravel(), relief]
            weights += [np.repeat(1.0 / (1.0 + squares), 2), 1.0 / (1.0 + reliefSquares)]
            cost += _OUTLIER_SDS[0] ** 2 * _sum(np.log1p(squares)) + _OUTLIER_SDS[1] ** 2 * _sum(
                np.log1p(reliefSquares)
            )
        bones = points[_FROM] - points[_TO]
        bone = (np.sqrt(_sum(bones * bones, axis=1)) - lengths) / (_RATIO_SDS * palmWidth)
        squares = (bone / _OUTLIER_SDS[1]) ** 2
        cost += _OUTLIER_SDS[1] ** 2 * _sum(np.log1p(squares))
        moved = points - expected
        cost += _sum(information * _sum(moved * moved, axis=1))
        return np.concatenate([*parts, bone]), np.concatenate([*weights, 1.0 / (1.0 + squares)]), bones, float(cost)

    def _normal(
        self,
        points: np.ndarray,
        views: tuple[View, View],
        known: tuple[float, np.ndarray],
        error: tuple[np.ndarray, np.ndarray, np.ndarray, float],
        expected: np.ndarray,
        information: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The normal equations' matrix (63, 63) and right side (63,)."""
        palmWidth, _lengths = known
        errors, weights, bones, _cost = error
        jacobian = self._jacobian
        for number, (view, axes) in enumerate(zip(views, self._axes, strict=True)):
            begin = number * _VIEW
            rows = (axes[:2] - view.directions[:, :, None] * axes[2]) / (_RAY_SD * palmWidth * view.inflation)
            jacobian[begin + _ROWS, _COLUMNS] = rows
            slopes = axes[2] / (_DEPTH_SDS * (_RELIEF_SDS * palmWidth))[:, None]
            jacobian[begin + _RELIEF_ROWS, _CHILD_COLUMNS] = slopes
            jacobian[begin + _RELIEF_ROWS, _PARENT_COLUMNS] = -slopes
        lengths = np.sqrt(_sum(bones * bones, axis=1)) + 1e-6
        slopes = bones / (lengths * _RATIO_SDS * palmWidth)[:, None]
        jacobian[_LENGTH_ROWS, _FROM_COLUMNS] = slopes
        jacobian[_LENGTH_ROWS, _TO_COLUMNS] = -slopes
        weighted = jacobian.T * weights
        normal = weighted @ jacobian
        normal.flat[:: 3 * _N + 1] += np.repeat(information, 3) + 1e-6
        return normal, weighted @ errors + (information[:, None] * (points - expected)).ravel()


def _columns(landmarks: np.ndarray) -> np.ndarray:
    """(n, 3) of the Jacobian, for x, y and z of landmarks."""
    return 3 * landmarks[:, None] + np.arange(3)


_ROWS, _COLUMNS = np.arange(_DIRECTIONS).reshape(_N, 2, 1), _columns(np.arange(_N))[:, None]
_RELIEF_ROWS, _LENGTH_ROWS = _DIRECTIONS + np.arange(_RELIEFS)[:, None], 2 * _VIEW + np.arange(_LENGTHS)[:, None]
_CHILD_COLUMNS, _PARENT_COLUMNS, _FROM_COLUMNS, _TO_COLUMNS = map(_columns, (_CHILD, _PARENT, _FROM, _TO))
_PALM = np.flatnonzero(0.06 * np.minimum(_RATIOS, 0.7) > _RATIO_SDS)  # the distances that a hand has in every pose
