"""When LiveHand's threads need the GIL, and which are in calls that release it. Knows only ``threading``."""

import contextlib
import math
import threading
import time
from collections.abc import Iterator


class _ReturnTimeEstimator:
    """Estimates when calls of one kind return.

    A return is observed when the GUI thread lends the GIL to the thread whose call has returned. If a poll shortly
    before missed it, the call returned in between. Otherwise it may have returned at any time before, and an earlier
    time is assumed: an estimator that took the observation for the return would fall further behind with every frame.
    """

    EARLY_S = 0.0001
    """How long before its expected return a call is due at most."""
    LATER_S = 0.0003
    """How long after its expected return and the deviation of that a regular call is still waited for: waking a thread
    takes a moment, and a missed poll costs more."""
    REGULAR_S = 0.0008
    """A kind whose returns have no larger standard deviation is worth waiting for: about as much is lost by a call that
    is only polled by a timer."""
    SHORTLY_S = 0.0025
    """How long before the observation the missed poll is at most, if the two are to say when the call returned: two
    polls of a timer that counts in milliseconds, or one that waits."""
    LEARNING = 0.15
    """The weight of a new observation."""

    def __init__(self, periodic: bool) -> None:
        self._periodic = periodic
        self._usual = 0.0  # how long a call takes; if periodic, the period
        self._tick = 0.0  # if periodic, when the last one should have returned
        self._deviation = 2.0 * self.REGULAR_S
        self._last = 0.0
        self._left = 0.0  # how much later than expected the last one was, by the estimate with it
        self._unknown = 0  # how many in a row may have returned at any time before

    def expected(self, begin: float) -> tuple[float, float]:
        """From when on a call that begins then is to be polled, and until when it is worth waiting for, s."""
        usual, isRegular = self._usualTime(begin), self._deviation < self.REGULAR_S
        early = min(self.EARLY_S, self._deviation)
        return usual - early, usual + (self._deviation + self.LATER_S if isRegular else -early)

    def record(self, begin: float, now: float, hiddenS: float) -> None:
        """A call that began then has returned now, or at most so long ago."""
        late = now - self._usualTime(begin)
        # Two values of a normal distribution differ by 1.1 standard deviations on average, whatever its mean. What
        # differs by much more was not slow, but not polled.
        deviation = min(abs(late - self._left) / 1.1, 3.0 * self.REGULAR_S)
        self._deviation += self.LEARNING * (deviation - self._deviation)
        if hiddenS < self.SHORTLY_S:
            self._unknown = 0
            change = self.LEARNING * late
        else:
            # A normal distribution cut off here has about this mean; and many in a row are not by chance.
            self._unknown += 1
            change = self.LEARNING * min(late / 2.0 - self._unknown * self._deviation, 0.0)
        self._left = late - change
        if not self._periodic:
            self._usual = max(self._usual + change, 0.0) if self._last else late
        elif self._last and abs(late) < 0.5 * self._usual:
            self._tick += self._usual + change
            self._usual += 0.05 * (now - self._last - self._usual)
        else:
            self._tick, self._usual = now, now - self._last if self._last else 0.0
        self._last = now

    def _usualTime(self, begin: float) -> float:
        return (self._tick if self._periodic and self._usual else begin) + self._usual


class _Call:
    """The context of a long call that releases the GIL.

    :ivar due: from when on it is to be polled, s.
    :ivar until: until when it is worth waiting for, s.
    """

    def __init__(self, schedule: "GilSchedule", estimator: _ReturnTimeEstimator) -> None:
        self._schedule, self._estimator = schedule, estimator

    def __enter__(self) -> None:
        self._begin = time.perf_counter()
        self.due, self.until = self._estimator.expected(self._begin)
        self._schedule._move(blockedIn=self)

    def __exit__(self, *_exception: object) -> None:
        self._schedule._move(isRunning=True)
        now = time.perf_counter()
        before, last = self._schedule._polls
        missed = last if now - last > GilSchedule.SOON_S else before  # in which this thread would have taken the GIL
        self._estimator.record(self._begin, now, now - max(self._begin, missed))


class GilSchedule:
    """Says when worker threads need the GIL, so that the GUI thread can lend it to them just then.

    A worker thread wraps each long call that releases the GIL::

        with schedule.blockingCall("camera"):
            delivered, image = capture.read()

    To return from such a call, the thread needs the GIL, which Slicer's GUI thread holds. So the GUI thread has to know
    when a call is likely to return: how long calls of the same kind took before is learnt here. Waits for another
    thread are wrapped in :meth:`waiting`. ``gil.GilLender`` does the lending and explains why it is needed.
    """

    SOON_S = 0.0002
    """How long a thread that waits for the GIL takes to run once it is released."""

    def __init__(self) -> None:
        self.isGilWanted = False
        """Whether a thread is known to run Python or to wait for the GIL."""
        self._released = threading.Lock()  # free once no thread is; waiting for an Event takes ten steps of Python
        self._released.acquire()
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._blocked: dict[int, _Call] = {}
        self._waitingFor: dict[int, object] = {}
        self._estimators: dict[str | int, _ReturnTimeEstimator] = {}  # by kind, or by thread
        self._polls = 0.0, 0.0  # when the GIL was lent, the time before last and the last

    def blockingCall(self, kind: str, periodic: bool = False) -> _Call:
        """The context of a long call that releases the GIL.

        :param kind: calls of one kind take about as long as each other, for example ``"detect"``.
        :param periodic: they return at regular times instead, whenever they begin, as a camera's frames do.
        """
        key = threading.get_ident() if periodic else kind  # each camera has a clock of its own
        estimator = self._estimators.get(key)
        if estimator is None:
            estimator = self._estimators[key] = _ReturnTimeEstimator(periodic)
        return _Call(self, estimator)

    @contextlib.contextmanager
    def waiting(self, event: object) -> Iterator[None]:
        """The context of a wait for something that another thread does and announces with :meth:`wake`.

        :param event: the queue or event that is waited for.
        """
        self._move(waitingFor=event)
        try:
            yield
        finally:
            self._move(isRunning=True)

    def wake(self, event: object) -> None:
        """What threads wait for is there: they want the GIL from now on."""
        with self._lock:
            for thread in [thread for thread, waitedFor in self._waitingFor.items() if waitedFor is event]:
                del self._waitingFor[thread]
                self._running.add(thread)
            self._update()

    def begin(self) -> None:
        """The calling thread starts."""
        self._move(isRunning=True)

    def done(self) -> None:
        """The calling thread ends."""
        self._move()
        self._estimators.pop(threading.get_ident(), None)

    def expected(self) -> tuple[float, float]:
        """When the next call is likely to return, s on ``time.perf_counter``'s clock.

        :returns: from when on it is to be polled, and until when it is worth waiting for; both infinite if no thread is
            in a call.
        """
        with self._lock:
            return min([(call.due, call.until) for call in self._blocked.values()], default=(math.inf, math.inf))

    def recordPoll(self, now: float) -> None:
        """The GIL is lent now: a thread whose call has returned takes it soon."""
        self._polls = self._polls[1], now

    def yieldGil(self, takingS: float, runningS: float) -> bool:
        """Lend the GIL: wait until a thread has taken it and all have released it again.

        :param takingS: how long to wait for one to take it, s.
        :param runningS: how long to wait for all to release it, s.
        :returns: whether one has taken it.
        """
        self._released.acquire(blocking=False)  # from an earlier time
        hasTaken = self.isGilWanted or self._released.acquire(timeout=takingS)
        if self.isGilWanted:
            self._released.acquire(timeout=runningS)
            return True
        # One may have taken and released it when this thread's wait was over, but not its wait for the GIL.
        return hasTaken or self._released.acquire(blocking=False)

    def hasThreads(self) -> bool:
        """Whether a thread has begun and not ended, other than those that wait for another one."""
        with self._lock:
            return bool(self._running or self._blocked)

    def _move(self, isRunning: bool = False, blockedIn: _Call | None = None, waitingFor: object = None) -> None:
        me = threading.get_ident()
        with self._lock:
            self._blocked.pop(me, None)
            self._waitingFor.pop(me, None)
            self._running.discard(me)
            if isRunning:
                self._running.add(me)
            elif blockedIn is not None:
                self._blocked[me] = blockedIn
            elif waitingFor is not None:
                self._waitingFor[me] = waitingFor
            self._update()

    def _update(self) -> None:
        wasGilWanted, self.isGilWanted = self.isGilWanted, bool(self._running)
        if wasGilWanted and not self.isGilWanted and self._released.locked():
            self._released.release()
