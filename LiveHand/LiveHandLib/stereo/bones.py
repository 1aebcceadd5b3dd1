"""The lengths of a user's bones, and the size of a hand, from what two cameras see. Knows numpy, nothing of Qt or
MRML."""

import statistics
from collections import deque

import numpy as np

from ..pose.proportions import RATIOS
from .triangulation import distances


class BoneLengths:
    """Learns the distances between the landmarks that no motion changes much: medians over the last frames.

    They are those of MediaPipe's landmarks, which is what one camera's pose has to know: MediaPipe lays some of them
    beside the joints, and always alike.
    """

    NEEDED = 60
    """Frames, 2 s, before there are lengths. They go on being refined."""
    KEPT = 600
    EVERY = 30  # frames, after which they are computed anew

    def __init__(self) -> None:
        self._seen: deque[np.ndarray] = deque(maxlen=self.KEPT)
        self._count = 0
        self.lengthsMm = np.zeros(0)
        """As :func:`triangulation.distances` gives them, mm; empty while too few were seen."""

    def add(self, pointsMm: np.ndarray) -> bool:
        """Take a frame's landmarks, (21, 3) mm, as both views have them.

        :returns: whether the lengths are new.
        """
        self._seen.append(distances(pointsMm))
        self._count += 1
        if self._count < self.NEEDED or self._count % self.EVERY:
            return False
        self.lengthsMm = np.median(np.array(self._seen), axis=0)
        return True


class HandSize:
    """How large a hand seems by the rays alone, compared with how large it seemed when it appeared.

    A hand does not grow; where it seems to, the cameras are not where they were.
    """

    EVERY = 3
    REFERENCE, RECENT = 20, 10
    """Of every third frame: how many have their medians compared."""

    def __init__(self) -> None:
        self._count = 0
        self._first: list[float] = []
        self._last: deque[float] = deque(maxlen=self.RECENT)
        self._change = 0.0

    def isDue(self) -> bool:
        """Whether the next frame's landmarks are to be added."""
        self._count += 1
        return self._count % self.EVERY == 0

    def add(self, pointsMm: np.ndarray) -> None:
        """Take a frame's landmarks, (21, 3) mm, as :func:`triangulation.triangulated` gives them."""
        size = float(np.median(distances(pointsMm) / RATIOS))
        if len(self._first) < self.REFERENCE:
            self._first.append(size)
            return
        self._last.append(size)
        if len(self._last) == self.RECENT:
            self._change = statistics.median(self._last) / statistics.median(self._first) - 1.0

    def change(self) -> float:
        """By how much of its size it seems larger, or smaller (below 0), than at first; 0 as long as that is not
        known."""
        return self._change
