"""Where the hand is in the camera's coordinate system, in millimetres. Knows numpy, nothing of Qt or MRML.

One camera sees directions, not distances. What makes a distance of them is the size of the hand: each bone, seen
under an angle, says how far away it can be, and all bones of a hand together say it rather well once the hand's
proportions are known. Which end of a bone is nearer is known from MediaPipe's relative depths and world landmarks.
:class:`HandPose` combines all with the frame before.

It is done once for each frame, between which other code fills the processor's caches. What a step takes then is to load
its code: so few kinds of steps, each used often, are faster than the fewest steps.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import LiveHandError
from ..landmarks import LANDMARK_NAMES
from .proportions import (
    CHILD,
    DEFAULT_PALM_WIDTH_MM,
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

_N = len(LANDMARK_NAMES)
_sum = np.add.reduce  # as numpy's sum(), but without the Python code that this goes through
_EACH_DISTANCE, _EACH_DEPTH = np.arange(len(FROM)), np.arange(len(PARENT))
# Relative depths of all landmarks from the differences along the bones, and about their mean.
_DIFFERENCES = np.zeros((len(PARENT), _N))
_DIFFERENCES[_EACH_DEPTH, CHILD], _DIFFERENCES[_EACH_DEPTH, PARENT] = 1.0, -1.0
_ABOUT_MEAN = np.linalg.pinv(_DIFFERENCES)
_IMAGE_RELIEF = IMAGE_FACTORS[:, None] * _DIFFERENCES
_WORLD_RELIEF = WORLD_FACTORS[:, None] * _DIFFERENCES / DEFAULT_PALM_WIDTH_MM

# How far a hand moves away or nearer, and its landmarks among each other, in one ms: variances, mm^2.
_COMMON_MM2_PER_MS, _SINGLE_MM2_PER_MS = 3.0, 2.0
_GROWTH_MM2_PER_MS = _COMMON_MM2_PER_MS + _SINGLE_MM2_PER_MS * np.eye(_N)
# One frame's errors are much like those of the frame before, so that many frames say less than if each were on its own.
_FRAMES_ALIKE = 4.0
_OUTLIER_SDS = 3.0  # from where on a distance or a depth is taken to be wrong rather than inexact (Cauchy's weights)
_STEPS, _FIRST_STEPS = 2, 20
_DOUBT_EVERY = 6  # frames: so often the pose before is not trusted to lead to the best one
_NEAREST_MM, _FARTHEST_MM = 80.0, 3000.0
# Whatever the landmarks are, no matrix that is inverted comes near to being singular: its eigenvalues lie between
# _NOTHING_KNOWN's, 1e-7 / mm^2, and some 1e4 / mm^2, because directions, relative depths, steps, distances and the time
# between frames are bounded, none of them where a hand can be. That leaves five of a double's 16 digits.
_NOTHING_KNOWN = np.eye(_N) / _FARTHEST_MM**2  # information: even a hand seen as a point has a covariance
_LARGEST_SLOPE = 10.0  # of directions, 84 degrees off the axis, and of relative depths
_LARGEST_WORLD_MM = 1000.0
_SHORTEST_MM2 = 1e-4  # of a distance's square, well above its rounding error: a slope is no more than the ray is long
_SHORTEST_MS = 1.0  # between frames; where a clock stands still, one frame repeated says no more each time
_STALE_MS = 1000.0  # after which the last pose says nothing about the next

# Not known better with any number of frames: the palm width from a ruler and the landmarks laid by MediaPipe.
_SCALE_SD = 0.03
_LATERAL_SD = 0.04  # over the palm width


class HandPose:
    """Follows one hand.

    For every frame the 21 depths are estimated at which the distances between the landmarks are those of the hand, the
    differences in depth those that MediaPipe gives, and nothing has moved faster than hands do: weighted least squares
    with Cauchy's weights, by Levenberg's method, from the pose before; in every sixth frame also from what it says
    alone, and what explains more is taken. The landmarks stay in the directions in which they are seen. In between, the
    pose's covariance grows as in a Kalman filter.

    :param palmWidthMm: distance of the index finger's and the little finger's knuckle, mm.
    :param lengthsMm: the hand's distances if they are known, see :meth:`setLengths`; those of most hands if empty.
    :raises LiveHandError: ``palmWidth`` when it is not from :data:`LEAST_PALM_WIDTH_MM` to
        :data:`GREATEST_PALM_WIDTH_MM`.
    """

    def __init__(self, palmWidthMm: float = DEFAULT_PALM_WIDTH_MM, lengthsMm: Sequence[float] = ()) -> None:
        if not LEAST_PALM_WIDTH_MM <= palmWidthMm <= GREATEST_PALM_WIDTH_MM:
            raise LiveHandError("palmWidth", palmWidth=f"{palmWidthMm:g}")
        self._lengths = palmWidthMm * RATIOS
        self._lengthSds = palmWidthMm * RATIO_SDS
        self._worldRelief = palmWidthMm * _WORLD_RELIEF
        self._lateralSd = palmWidthMm * _LATERAL_SD
        self._precisions = 1.0 / np.concatenate([self._lengthSds, palmWidthMm * DEPTH_SDS])
        self._jacobian = np.zeros((len(FROM) + len(PARENT), _N))
        self._jacobian[len(FROM) :] = _DIFFERENCES * self._precisions[len(FROM) :, None]
        if len(lengthsMm):
            self.setLengths(lengthsMm)
        self.reset()

    def reset(self) -> None:
        """Forget the frames before: the next hand is another one."""
        self._depths: np.ndarray | None = None
        self._covariance = np.zeros((_N, _N))
        self._lastMs = 0.0
        self._frames = 0

    def setLengths(self, lengthsMm: Sequence[float] | np.ndarray) -> None:
        """Take these distances from now on, as two cameras have measured them.

        :param lengthsMm: mm, in the order of :func:`triangulation.distances`.
        """
        self._lengths = np.array(lengthsMm)

    def continueFrom(self, depthsMm: np.ndarray, stdMm: np.ndarray, timestampMs: float) -> None:
        """Take a frame's pose from elsewhere, as from two cameras of which one sees the hand no more.

        :param depthsMm: (21,) along the optical axis, mm.
        :param stdMm: (21,) their standard deviations, mm.
        :param timestampMs: the time of the frame, ms.
        """
        self._depths = depthsMm
        self._covariance, self._lastMs = np.diag(stdMm**2), timestampMs

    def update(
        self,
        normalized: np.ndarray,
        relativeDepth: np.ndarray,
        timestampMs: float,
        worldDepthMm: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Estimate the pose in the next frame.

        :param normalized: (21, 2) where the landmarks are seen: x/z and y/z in the camera's coordinate system, no unit.
        :param relativeDepth: (21,) MediaPipe's depths, growing away from the camera, over its focal length, no unit.
        :param timestampMs: time of the frame, ms.
        :param worldDepthMm: (21,) the depths of MediaPipe's world landmarks, growing away from the camera, mm; without
            them, which is less accurate, the relative depths count for both.
        :returns: (21, 3) landmarks in the camera's coordinate system, mm (x right, y down, z forward), and (21,) the
            standard deviation of each one's distance from where it truly is, mm.
        """
        rays = np.ones((_N, 3))
        rays[:, :2] = _bounded(normalized, _LARGEST_SLOPE)
        relativeDepth = _bounded(relativeDepth, _LARGEST_SLOPE)
        relief = _IMAGE_RELIEF @ relativeDepth
        if worldDepthMm is None:
            relief += WORLD_FACTORS * (_DIFFERENCES @ relativeDepth)
            reliefMm = np.zeros(len(PARENT))
        else:
            reliefMm = self._worldRelief @ _bounded(worldDepthMm, _LARGEST_WORLD_MM)
        elapsed = timestampMs - self._lastMs
        self._lastMs = timestampMs
        if self._depths is not None and 0 <= elapsed < _STALE_MS:
            elapsed = max(elapsed, _SHORTEST_MS)
            expected, information = self._depths, np.linalg.inv(self._covariance + elapsed * _GROWTH_MM2_PER_MS)
            self._frames += 1
            candidates = [expected]
            if self._frames % _DOUBT_EVERY == 0:
                candidates.append(self._placedAlone(rays, relief, reliefMm))
            steps = _STEPS
        else:
            expected, information = self._placedAlone(rays, relief, reliefMm), _NOTHING_KNOWN
            candidates = [expected]
            steps = _FIRST_STEPS
        fits = [self._fit(start, rays, relief, reliefMm, expected, information, steps) for start in candidates]
        depths, measured, _cost = min(fits, key=lambda fit: fit[2])
        if not _NEAREST_MM < depths.min() <= depths.max() < _FARTHEST_MM:
            # No hand is there; what this frame says alone is bounded by its construction.
            depths = np.clip(self._placedAlone(rays, relief, reliefMm), _NEAREST_MM, _FARTHEST_MM)
        self._depths = depths
        # By Cholesky's triangle, which makes it symmetric and its diagonal positive, however inexact it is.
        root = np.linalg.inv(np.linalg.cholesky(measured / _FRAMES_ALIKE + information + _NOTHING_KNOWN))
        self._covariance = root.T @ root
        return rays * depths[:, None], self._deviations(depths)

    def _deviations(self, depths: np.ndarray) -> np.ndarray:
        return np.sqrt(self._covariance.diagonal() + (_SCALE_SD * depths) ** 2 + self._lateralSd**2)

    def _placedAlone(self, rays: np.ndarray, relief: np.ndarray, reliefMm: np.ndarray) -> np.ndarray:
        """Depths from one frame: its relief, moved away until the distances fit in the least-squares sense."""
        shape, depth = np.ones(_N), _FARTHEST_MM
        for _pass in range(2):  # how deep the relief in mm is over the distance, the first pass says
            shape = 1.0 + _ABOUT_MEAN @ (relief + reliefMm / depth)
            points = rays * shape[:, None]
            across = points[FROM] - points[TO]
            seen = np.sqrt(_sum(across * across, axis=1)) / self._lengthSds
            depth = seen @ (self._lengths / self._lengthSds) / max(seen @ seen, 1e-12)
            depth = min(max(depth, _NEAREST_MM), _FARTHEST_MM)
        return _bounded(depth * shape, _FARTHEST_MM)

    def _fit(
        self,
        depths: np.ndarray,
        rays: np.ndarray,
        relief: np.ndarray,
        reliefMm: np.ndarray,
        expected: np.ndarray,
        information: np.ndarray,
        steps: int,
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """The best depths from a start, how surely this frame says so (information matrix), and the cost."""
        # A distance follows from the depths a and b of its ends and the products of their rays:
        # distance^2 = a (a ff - b ft) + b (b tt - a ft).
        products = rays @ rays.T
        ff, tt, ft = products[FROM, FROM], products[TO, TO], products[FROM, TO]
        # The relief grows with the distance; it is enough to know that as well as the start does.
        reliefMm = relief * (_sum(depths) / _N) + reliefMm
        expectedErrors = np.concatenate([self._lengths, reliefMm]) * self._precisions
        jacobian, precisions = self._jacobian, self._precisions
        distances = len(FROM)

        def errors(
            depths: np.ndarray,
        ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray, float]:
            a, b = depths[FROM], depths[TO]
            alongA, alongB = a * ff - b * ft, b * tt - a * ft
            lengths = np.sqrt(np.maximum(a * alongA + b * alongB, _SHORTEST_MM2))
            error = np.concatenate([lengths, depths[CHILD] - depths[PARENT]]) * precisions - expectedErrors
            weights = 1.0 / (1.0 + (error / _OUTLIER_SDS) ** 2)
            moved = depths - expected
            pull = information @ moved
            cost = moved @ pull - _OUTLIER_SDS**2 * _sum(np.log(weights))
            perLength = precisions[:distances] / lengths
            return error, weights, (alongA * perLength, alongB * perLength), pull, cost

        error, weights, slopes, pull, cost = errors(depths)
        damping = 1e-3
        for _step in range(steps):
            jacobian[_EACH_DISTANCE, FROM], jacobian[_EACH_DISTANCE, TO] = slopes
            weighted = jacobian.T * weights
            measured = weighted @ jacobian
            normal = measured + information
            normal.flat[:: _N + 1] *= 1.0 + damping
            change = np.linalg.solve(normal, weighted @ error + pull)
            changed = _bounded(depths - change, _FARTHEST_MM)
            better = errors(changed)
            if better[-1] < cost:
                gain = cost - better[-1]
                depths = changed
                error, weights, slopes, pull, cost = better
                damping /= 5.0
                if gain < 1e-3 * (1.0 + cost):
                    break
            else:
                damping *= 25.0
        return depths, measured, cost


def _bounded(values: np.ndarray, largest: float) -> np.ndarray:
    return np.minimum(np.maximum(values, -largest), largest)  # faster than np.clip


def deviationsAfter(landmarkStdMm: np.ndarray, elapsedMs: float) -> np.ndarray:
    """How sure the last pose is by now, while the hand is hidden.

    :param landmarkStdMm: (21,) as :meth:`HandPose.update` gave them, mm.
    :param elapsedMs: time since then, ms.
    :returns: (21,) mm.
    """
    return np.sqrt(landmarkStdMm**2 + elapsedMs * (_COMMON_MM2_PER_MS + _SINGLE_MM2_PER_MS))
