"""The time of a frame in tables and recordings. Knows nothing of MRML or Qt."""

from ..pose.estimator import TrackedFrame


class StreamClock:
    """Turns the frames' times into seconds from the first one, which never stand still and never go back.

    A source that is opened again, or a clip that plays again, counts its times anew.
    """

    SHORTEST_STEP_S = 0.002
    """Shorter steps are made longer: Slicer's sequences take times that are 1 ms apart for one and the same."""

    def __init__(self) -> None:
        self._last: TrackedFrame | None = None

    def at(self, frame: TrackedFrame) -> float:
        """The time of the next frame, s."""
        if self._last is None:
            self._startMs, self._seconds = float(frame.timestampMs), 0.0
        else:
            earliest = self._seconds + self.SHORTEST_STEP_S
            if frame.timestampMs <= self._last.timestampMs:
                earliest = max(earliest, self._seconds + frame.captureTime - self._last.captureTime)
                self._startMs = frame.timestampMs - 1000.0 * earliest
            self._seconds = max(earliest, (frame.timestampMs - self._startMs) / 1000.0)
        self._last = frame
        return self._seconds
