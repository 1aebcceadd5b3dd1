"""One point from many positions of a fingertip, and dwelling. Knows numpy only."""

from dataclasses import dataclass

import numpy as np

from ..errors import LiveHandError

COUNT = 30
DURATION_MS = 1000.0
"""How many positions a point is made of, and over how long they are collected at least: HandNav's 10 a second are too
few to tell outliers, and tremor (8 to 12 Hz, Elble and Koller 1990) averages out over some of its periods."""

COUNT_NEEDED = 5
"""How few are enough from a slow camera, when three times the duration is over."""
LONGEST_GAP_MS = 300.0
"""For how long the hand may be missing in between, ms; as long as what follows it keeps its identity."""

OUTLIER_SCORE = 3.5
_MAD_TO_SD = 0.6745  # of a normal distribution
_LEAST_MAD_MM = 0.01  # below this, positions are the same


@dataclass(frozen=True, eq=False)
class RecordedPoint:
    """What the positions of a fingertip come to.

    :ivar meanMm: (3,) the point, mm.
    :ivar sdMm: the positions' spread: root mean square of their distances from the mean (n - 1), mm.
    :ivar count: how many positions the mean is of.
    :ivar outliers: how many more were left out.
    """

    meanMm: np.ndarray
    sdMm: float
    count: int
    outliers: int

    @classmethod
    def of(cls, positionsMm: np.ndarray) -> "RecordedPoint":
        """Leave out the outliers and take the mean.

        :param positionsMm: (n, 3), mm.
        :raises LiveHandError: ``pointTooFew`` when none is there.
        """
        positions = np.asarray(positionsMm, float).reshape(-1, 3)
        positions = positions[np.isfinite(positions).all(axis=1)]
        if not len(positions):
            raise LiveHandError("pointTooFew", count=0, needed=COUNT_NEEDED)
        kept = positions[~outliers(positions)]
        mean = kept.mean(axis=0)
        sd = float(np.sqrt(((kept - mean) ** 2).sum() / max(len(kept) - 1, 1)))
        return cls(mean, sd, len(kept), len(positions) - len(kept))


def outliers(positionsMm: np.ndarray) -> np.ndarray:
    """Which positions are far from the others.

    The modified z-score, |x - median| / MAD * 0.6745 > 3.5 (Iglewicz, Hoaglin: How to Detect and Handle Outliers, 1993;
    MAD is the median absolute deviation), along each of the positions' principal axes: a camera sees depth much worse
    than the rest, so that one threshold for the distance would be too strict along one axis or too lenient along the
    others.

    :param positionsMm: (n, 3), mm, finite.
    :returns: (n,) bool; at most half are true.
    """
    centred = positionsMm - np.median(positionsMm, axis=0)
    coordinates = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    deviations = np.abs(coordinates - np.median(coordinates, axis=0))
    mad = np.maximum(np.median(deviations, axis=0), _LEAST_MAD_MM)
    far = (_MAD_TO_SD * deviations / mad > OUTLIER_SCORE).any(axis=1)
    return far if 2 * far.sum() <= len(far) else np.zeros(len(far), bool)


class PointCollector:
    """Collects the positions of one point.

    :param count: how many positions are wanted; a faster camera gives more.
    :param durationMs: over how long they are collected at least, ms.
    """

    def __init__(self, count: int = COUNT, durationMs: float = DURATION_MS) -> None:
        self._count, self._durationMs = count, durationMs
        self._positions: list[np.ndarray] = []
        self._firstMs: float | None = None
        self._lastMs = self._nowMs = 0.0

    @property
    def progress(self) -> float:
        """How much of it is done, 0 to 1."""
        elapsed = 0.0 if self._firstMs is None else self._nowMs - self._firstMs
        if len(self._positions) >= COUNT_NEEDED and elapsed >= 3.0 * self._durationMs:
            return 1.0
        return min(len(self._positions) / self._count, elapsed / self._durationMs if self._durationMs else 1.0, 1.0)

    def add(self, positionMm: np.ndarray | None, timestampMs: float, hasReference: bool = True) -> RecordedPoint | None:
        """Add the fingertip of the next frame.

        :param positionMm: (3,), mm, in the coordinate system in which the point is wanted; None if the hand is not
            seen. A position that is not finite counts as not seen.
        :param timestampMs: the frame's time, ms.
        :param hasReference: whether the reference is there, if there is to be one.
        :returns: the point, when it is complete.
        :raises LiveHandError: ``pointReferenceLost``, or ``pointHandLost`` when the hand has been missing for
            :data:`LONGEST_GAP_MS`, and ``pointTooFew`` when it comes and goes: nothing is recorded then. The collector
            is of no use any more.
        """
        if not hasReference:
            raise LiveHandError("pointReferenceLost")
        if self._firstMs is None:
            self._firstMs = self._lastMs = timestampMs
        self._nowMs = timestampMs
        if positionMm is not None and np.isfinite(positionMm).all():
            self._positions.append(np.array(positionMm, float))
            self._lastMs = timestampMs
        elif timestampMs - self._lastMs > LONGEST_GAP_MS:
            raise LiveHandError("pointHandLost")
        if self.progress >= 1.0:
            return RecordedPoint.of(np.array(self._positions))
        if timestampMs - self._firstMs > 3.0 * self._durationMs:
            raise LiveHandError("pointTooFew", count=len(self._positions), needed=COUNT_NEEDED)
        return None


class Dwell:
    """Notices that a fingertip stays where it is.

    :param radiusMm: how far it may be from the middle of where it has been meanwhile, mm.
    :param durationMs: how long it has to stay, ms.
    """

    AWAY = 2.0
    """By how many radii the tip has to leave before it can dwell again: it stays where it is for longer than wanted."""

    def __init__(self, radiusMm: float = 5.0, durationMs: float = 1000.0) -> None:
        self.radiusMm, self.durationMs = radiusMm, durationMs
        self.reset()

    def reset(self) -> None:
        """Begin anew, as where the hand is lost."""
        self._sum, self._count = np.zeros(3), 0  # of the positions since it began
        self._beganMs = self._lastMs = 0.0
        self._left: np.ndarray | None = None  # where it dwelt last

    def update(self, positionMm: np.ndarray | None, timestampMs: float) -> float:
        """Take the fingertip of the next frame.

        :param positionMm: (3,), mm; None, or not finite, if it is not known.
        :param timestampMs: the frame's time, ms.
        :returns: how much of the time it has stayed, 0 to 1. Once 1, it is 0 until the tip has been away.
        """
        if positionMm is None or not np.isfinite(positionMm).all():
            if timestampMs - self._lastMs > LONGEST_GAP_MS:
                self.reset()
            return self._progress(self._lastMs)
        position = np.array(positionMm, float)
        if self._count and not 0.0 <= timestampMs - self._lastMs <= LONGEST_GAP_MS:
            self.reset()
        self._lastMs = timestampMs
        if self._left is not None:
            if np.linalg.norm(position - self._left) <= self.AWAY * self.radiusMm:
                return 0.0
            self._left = None
        if self._count and np.linalg.norm(position - self._sum / self._count) > self.radiusMm:
            self._sum, self._count = np.zeros(3), 0
        if not self._count:
            self._beganMs = timestampMs
        self._sum, self._count = self._sum + position, self._count + 1
        progress = self._progress(timestampMs)
        if progress >= 1.0:
            self._left = self._sum / self._count
            self._sum, self._count = np.zeros(3), 0
        return progress

    def _progress(self, timestampMs: float) -> float:
        return min((timestampMs - self._beganMs) / self.durationMs, 1.0) if self._count else 0.0
