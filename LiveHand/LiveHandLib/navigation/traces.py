"""The path of a fingertip as a curve. Knows numpy only."""

import numpy as np

from ..pose.smoothing import OneEuro

SPACING_MM = 1.0
SMOOTHING_MS = 100.0
"""More than the hand has by default: a trace may lag behind the finger without harm, and shows every tremble."""


class Trace:
    """A curve that follows a fingertip. Points are only ever appended, so that each costs the same.

    :param spacingMm: how far points are from each other at least, mm.
    :param smoothingMs: see :class:`OneEuro`, ms.
    :param isClosed: the last point is joined to the first one; it counts for the length only.
    """

    def __init__(
        self, spacingMm: float = SPACING_MM, smoothingMs: float = SMOOTHING_MS, isClosed: bool = False
    ) -> None:
        self.spacingMm, self.isClosed = spacingMm, isClosed
        self._filter = OneEuro(smoothingMs)
        self._buffer = np.zeros((256, 3))
        self._lengths = np.zeros(256)  # from the first point to each
        self._count = 0
        self._lastMs = -np.inf

    def __len__(self) -> int:
        return self._count

    @property
    def pointsMm(self) -> np.ndarray:
        """(n, 3), mm: a view that is not to be changed, and holds until the next point."""
        return self._buffer[: self._count]

    @property
    def lengthMm(self) -> float:
        """Length of the curve, mm."""
        if self._count < 2:
            return 0.0
        closing = np.linalg.norm(self._buffer[self._count - 1] - self._buffer[0]) if self.isClosed else 0.0
        return float(self._lengths[self._count - 1] + closing)

    def isInterrupted(self, timestampMs: float) -> bool:
        """Whether the finger has not been seen for so long that the way to the next point would be a guess.

        :param timestampMs: now, ms. A trace without points is not interrupted.
        """
        return self._count > 0 and not 0.0 <= timestampMs - self._lastMs < OneEuro.LONGEST_GAP_MS

    def add(self, positionMm: np.ndarray | None, timestampMs: float) -> np.ndarray | None:
        """Add the fingertip of the next frame.

        :param positionMm: (3,), mm; None, or not finite, if it is not known.
        :param timestampMs: the frame's time, ms.
        :returns: (3,) the point that was appended, mm, if one was.
        """
        if positionMm is None or not np.isfinite(positionMm).all():
            return None
        position = self._filter.update(np.array(positionMm, float)[None], timestampMs)[0]
        self._lastMs = timestampMs
        step = float(np.linalg.norm(position - self._buffer[self._count - 1])) if self._count else 0.0
        if self._count and step < self.spacingMm:
            return None
        if self._count == len(self._buffer):
            self._buffer = np.concatenate([self._buffer, np.zeros_like(self._buffer)])
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
        self._buffer[self._count] = position
        self._lengths[self._count] = self._lengths[self._count - 1] + step if self._count else 0.0
        self._count += 1
        return position

    def removeLast(self, count: int = 1) -> None:
        """Take back the last points."""
        self._count = max(self._count - count, 0)
