"""The lengths of a user's bones, learnt from what two cameras see. Knows numpy, nothing of Qt or MRML."""

from collections import deque

import numpy as np

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
