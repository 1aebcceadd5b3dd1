"""Smoothing of landmarks that come in one by one. Knows numpy, nothing of Qt or MRML."""

import numpy as np

DEFAULT_DELAY_MS = 50.0
"""Takes half of the jitter from a resting hand and nothing worth noting from the path of a moving one, ms."""


class OneEuro:
    """The One Euro filter: a low-pass whose cutoff frequency rises with the speed of what it follows.

    Casiez, Roussel, Vogel: 1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems
    (CHI 2012). Each point has a speed of its own, in all its directions.

    :param delayMs: how far a slow point stays behind at most, ms; 0 for no smoothing.
    """

    CUTOFF_HZ_PER_MM_S = 0.2
    """The paper's beta. At 100 mm/s, a hand that points from one thing to the next, 8 ms of delay are left."""
    SPEED_CUTOFF_HZ = 2.0
    LONGEST_GAP_MS = 300.0  # after which there is nothing to smooth with
    SHORTEST_STEP_MS = 1.0  # as if so much had passed at least, for a speed is a change over a time

    def __init__(self, delayMs: float) -> None:
        self.setDelay(delayMs)
        self.reset()

    def setDelay(self, delayMs: float) -> None:
        """Go on with another delay, ms."""
        self._slowestHz = 1000.0 / (2.0 * np.pi * delayMs) if delayMs > 0 else np.inf

    def reset(self) -> None:
        """Forget what was there before."""
        self._smoothed: np.ndarray | None = None
        self._last: np.ndarray
        self._lastMs: float

    def update(self, points: np.ndarray, timestampMs: float) -> np.ndarray:
        """Smooth the next points.

        :param points: (n, 3), mm.
        :param timestampMs: their time, ms.
        :returns: (n, 3), mm.
        """
        if self._slowestHz == np.inf:
            return points
        if self._smoothed is None or not 0 < timestampMs - self._lastMs < self.LONGEST_GAP_MS:
            self._smoothed, self._velocities = points, np.zeros_like(points)
        else:
            seconds = max(timestampMs - self._lastMs, self.SHORTEST_STEP_MS) / 1000.0
            velocities = (points - self._last) / seconds
            self._velocities = self._velocities + _share(self.SPEED_CUTOFF_HZ, seconds) * (
                velocities - self._velocities
            )
            speeds = np.sqrt(np.add.reduce(self._velocities * self._velocities, axis=1))[:, None]
            share = _share(self._slowestHz + self.CUTOFF_HZ_PER_MM_S * speeds, seconds)
            self._smoothed = self._smoothed + share * (points - self._smoothed)
        self._last, self._lastMs = points, timestampMs
        return self._smoothed


def _share(cutoffHz: float | np.ndarray, seconds: float) -> float | np.ndarray:
    """Of the newest value in the smoothed one."""
    return 1.0 / (1.0 + 1.0 / (2.0 * np.pi * cutoffHz * seconds))
