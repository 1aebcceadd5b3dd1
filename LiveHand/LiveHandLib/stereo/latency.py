"""How much later one of two cameras delivers its frames than the other. Knows numpy, nothing of Qt or MRML."""

import math

import numpy as np

from .pair import CameraPair


class LatencyDifference:
    """Estimates by how much later the second camera's frames come than the first one's that were taken together.

    A webcam's frame comes 20 to 100 ms after it was taken, and nobody says how long. Where two differ, a hand that
    moves is seen by the second one where it was a moment ago, and lies off the epipolar lines by its speed across them
    times the difference. So this is minus the slope of the line through the one over the other, by least squares, in
    which older frames count less; what is always off, as the landmarks are by some millimetres, is its intercept.

    :ivar ms: what to subtract from the time of the second camera's frames, ms.
    """

    MEMORY_MS = 20000.0
    """Time constant with which frames are forgotten, ms."""
    DEVIATION_MS = 4.0
    """Standard deviation of the difference from which on it is known well enough to be used, ms."""
    EVERY = 3
    """Of so many frames one is taken: the errors of those beside it are much like its own."""
    ALIKE = 2.0
    """How many of these say as much as one would whose errors are its own."""
    GREATEST_MS = 100.0
    """Greater differences are none: the hand is another one, or the cameras are not where they were."""
    STEP_MS = 1.5
    """By how much it changes at most each time, ms: so no landmark jumps."""
    APART_MS = 100.0
    """Two frames that are further apart say nothing about the speed."""

    def __init__(self) -> None:
        self.ms, self._count = 0.0, 0
        self.forget()

    def forget(self) -> None:
        """Go on with the same difference, and estimate it anew."""
        self._before: tuple[float, np.ndarray] | None = None
        self._sums = np.zeros((3, 3))  # of the products of 1, the speed across the lines, and the way off them

    def add(self, pair: CameraPair, timeMs: float, first: np.ndarray, second: np.ndarray) -> None:
        """Take what both cameras see of one hand at a time, by what is known so far.

        :param timeMs: on the first camera's clock, ms.
        :param first: (n, 2) directions x/z and y/z in the first camera's coordinate system.
        :param second: (n, 2) in the second one's.
        """
        before, self._before = self._before, (timeMs, second)
        self._count += 1
        if self._count % self.EVERY or before is None or not 0.0 < timeMs - before[0] <= self.APART_MS:
            return
        elapsedMs = timeMs - before[0]
        off = pair.signedEpipolarErrors(first, second)
        perMs = (off - pair.signedEpipolarErrors(first, before[1])) / elapsedMs
        speed, way = (float(np.add.reduce(values)) / len(values) for values in (perMs, off))
        row = np.array([1.0, speed, way - speed * self.ms])  # as it would be off without the correction
        self._sums = self._sums * math.exp(-elapsedMs / self.MEMORY_MS) + np.outer(row, row)
        difference, deviation = self._fitted()
        if deviation < self.DEVIATION_MS and abs(difference) < self.GREATEST_MS:
            self.ms += min(max(difference - self.ms, -self.STEP_MS), self.STEP_MS)

    def _fitted(self) -> tuple[float, float]:
        """The difference and its standard deviation, ms; infinite while it is not known."""
        (count, speeds, ways), (_s, speeds2, products), (_w, _p, ways2) = self._sums.tolist()
        variance = speeds2 / count - (speeds / count) ** 2
        free = count / self.ALIKE - 2.0
        if not (variance > 0.0 and free > 0.0):
            return 0.0, math.inf
        slope = (products / count - speeds / count * ways / count) / variance
        left = max(ways2 / count - (ways / count) ** 2 - slope**2 * variance, 0.0)
        return -slope, math.sqrt(left / variance / free)
