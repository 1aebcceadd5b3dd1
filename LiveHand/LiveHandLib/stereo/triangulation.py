"""Where a hand's landmarks are that two cameras see, in millimetres. Knows numpy, nothing of Qt or MRML.

Two views measure distances; but where one of them hides a landmark, MediaPipe guesses it, and a ray to a guess passes
the other camera's ray anywhere. What tells a guess from what is seen is the rest of the hand: :class:`StereoPose`
combines the rays of both views with the lengths of the bones, the relative depths that MediaPipe gives in each view,
and the frame before.
"""

from dataclasses import dataclass

import numpy as np

from ..landmarks import LANDMARK_NAMES
from ..pose.proportions import (
    CHILD,
    DEPTH_SDS,
    FROM,
    GREATEST_PALM_WIDTH_MM,
    IMAGE_FACTORS,
    LEAST_PALM_WIDTH_MM,
    PARENT,
    RATIO_SDS,
    RATIOS,
    TO,
    WORLD_FACTORS,
)
from .pair import CameraPair

_N = len(LANDMARK_NAMES)
_sum = np.add.reduce
_DEPTH_FACTORS = IMAGE_FACTORS + WORLD_FACTORS  # here the image's depths count for both

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

# The rows of the Jacobian: of the first and of the second view the directions (x and y of each landmark), of both the
# relative depths; the lengths.
_DIRECTIONS, _RELIEFS, _LENGTHS = 4 * _N, 2 * len(PARENT), len(FROM)


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
    across = pointsMm[FROM] - pointsMm[TO]
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
        self._jacobian = np.zeros((_DIRECTIONS + _RELIEFS + _LENGTHS, 3 * _N))
        self._axes = np.stack([np.eye(3), pair.rotation])
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
        self._palmWidth = float(np.median((lengthsMm / RATIOS)[_PALM])) if len(lengthsMm) else 0.0

    def update(self, first: View, second: View, timestampMs: float) -> tuple[np.ndarray, np.ndarray]:
        """Estimate the pose at a time at which both views are given.

        :returns: (21, 3) landmarks in the first camera's coordinate system, mm, and (21,) the standard deviation of
            each one's distance from where it truly is, mm.
        """
        met = triangulated(self.pair, first.directions, second.directions)
        palmWidth = self._palmWidth or float(
            np.clip(np.median((distances(met) / RATIOS)[_PALM]), LEAST_PALM_WIDTH_MM, GREATEST_PALM_WIDTH_MM)
        )
        elapsed = timestampMs - self._lastMs
        starts, expected, information = [met], met, np.zeros(_N)
        if self.pointsMm is not None and 0 <= elapsed < _STALE_MS:
            expected = self.pointsMm
            information = 1.0 / (self._variances + elapsed * _GROWTH_MM2_PER_MS + 1.0)
            starts.append(expected)
        fit = _Fit(self.pair, (first, second), palmWidth, self._lengths, expected, information)
        self._writeViews(fit)
        errors = [fit.errors(start) for start in starts]
        best = int(np.argmin([error[-1] for error in errors]))
        points, error = starts[best], errors[best]
        for _step in range(_STEPS - 1):
            points = points - np.linalg.solve(*self._normal(points, fit, error)).reshape(_N, 3)
            error = fit.errors(points)
        normal, gradient = self._normal(points, fit, error)
        inverse = np.linalg.inv(normal)
        points = points - (inverse @ gradient).reshape(_N, 3)
        variances = _sum(inverse.diagonal().reshape(_N, 3), axis=1)
        self.pointsMm, self._variances, self._lastMs = points, variances / 3.0, timestampMs
        return points, np.sqrt(variances + (_LATERAL_SD * palmWidth) ** 2)

    def _writeViews(self, fit: "_Fit") -> None:
        """The Jacobian's rows that are the same wherever the points are."""
        jacobian, axes = self._jacobian, self._axes
        rows = (axes[:, None, :2] - fit.directions[:, :, :, None] * axes[:, None, 2:]) * fit.rayPrecisions[..., None]
        jacobian[_ROWS, _COLUMNS] = rows
        slopes = axes[:, None, 2] * fit.reliefPrecisions[:, None]
        jacobian[_RELIEF_ROWS, _CHILD_COLUMNS] = slopes
        jacobian[_RELIEF_ROWS, _PARENT_COLUMNS] = -slopes

    def _normal(
        self, points: np.ndarray, fit: "_Fit", error: tuple[np.ndarray, np.ndarray, np.ndarray, float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The normal equations' matrix (63, 63) and right side (63,)."""
        errors, weights, bones, _cost = error
        jacobian = self._jacobian
        lengths = np.sqrt(_sum(bones * bones, axis=1)) + 1e-6
        slopes = bones * (fit.lengthPrecisions / lengths)[:, None]
        jacobian[_LENGTH_ROWS, _FROM_COLUMNS] = slopes
        jacobian[_LENGTH_ROWS, _TO_COLUMNS] = -slopes
        weighted = jacobian.T * weights
        normal = weighted @ jacobian
        normal.flat[:: 3 * _N + 1] += np.repeat(fit.information, 3) + 1e-6
        return normal, weighted @ errors + (fit.information[:, None] * (points - fit.expected)).ravel()


class _Fit:
    """What is known of the points of one frame. The precisions are one over standard deviations."""

    def __init__(
        self,
        pair: CameraPair,
        views: tuple[View, View],
        palmWidth: float,
        lengths: np.ndarray,
        expected: np.ndarray,
        information: np.ndarray,
    ) -> None:
        self._pair, self.expected, self.information = pair, expected, information
        self.directions = np.stack([view.directions for view in views])
        depths = np.stack([view.relativeDepths for view in views])
        self._reliefs = _DEPTH_FACTORS * (depths[:, CHILD] - depths[:, PARENT])
        self._lengths = lengths if len(lengths) else palmWidth * RATIOS
        inflations = np.array([view.inflation for view in views])
        self.rayPrecisions = (1.0 / (_RAY_SD * palmWidth * inflations))[:, None, None]
        self.reliefPrecisions = 1.0 / (DEPTH_SDS * (_RELIEF_SDS * palmWidth))
        self.lengthPrecisions = 1.0 / (RATIO_SDS * palmWidth)

    def errors(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """The errors of all rows over their standard deviations, their weights, the bones' vectors and the cost."""
        inViews = np.stack([points, self._pair.toSecond(points)])
        depths = inViews[:, :, 2]
        across = (inViews[:, :, :2] - self.directions * depths[:, :, None]) * self.rayPrecisions
        bones = points[FROM] - points[TO]
        relief = depths[:, CHILD] - depths[:, PARENT] - self._reliefs * (_sum(depths, axis=1) / _N)[:, None]
        bone = (np.sqrt(_sum(bones * bones, axis=1)) - self._lengths) * self.lengthPrecisions
        others = np.concatenate([(relief * self.reliefPrecisions).ravel(), bone])
        ray = 1.0 + _sum(across * across, axis=2).ravel() / _OUTLIER_SDS[0] ** 2
        other = 1.0 + others * others / _OUTLIER_SDS[1] ** 2
        moved = points - self.expected
        cost = (
            _OUTLIER_SDS[0] ** 2 * _sum(np.log(ray))
            + _OUTLIER_SDS[1] ** 2 * _sum(np.log(other))
            + _sum(self.information * _sum(moved * moved, axis=1))
        )
        weights = 1.0 / np.concatenate([np.repeat(ray, 2), other])
        return np.concatenate([across.ravel(), others]), weights, bones, float(cost)


def _columns(landmarks: np.ndarray) -> np.ndarray:
    """(n, 3) of the Jacobian, for x, y and z of landmarks."""
    return 3 * landmarks[:, None] + np.arange(3)


_ROWS = np.arange(_DIRECTIONS).reshape(2, _N, 2, 1)
_COLUMNS = _columns(np.arange(_N))[:, None]
_RELIEF_ROWS = _DIRECTIONS + np.arange(_RELIEFS).reshape(2, -1, 1)
_LENGTH_ROWS = _DIRECTIONS + _RELIEFS + np.arange(_LENGTHS)[:, None]
_CHILD_COLUMNS, _PARENT_COLUMNS, _FROM_COLUMNS, _TO_COLUMNS = map(_columns, (CHILD, PARENT, FROM, TO))
_PALM = np.flatnonzero(0.06 * np.minimum(RATIOS, 0.7) > RATIO_SDS)  # the distances that a hand has in every pose
