"""Who of LiveHand's threads wants Python now, and who is away in a long call. Knows only ``threading``."""

import math
import threading
import time
from collections.abc import Callable


class _ReturnTimeEstimator:
    """When calls of a kind come back.

    What is seen of that is when somebody lent the interpreter to a thread that had come back. Where it was looked for
    in vain shortly before, that is when it came. Otherwise it had been there for nobody knows how long, and earlier is
    believed: a habit that takes what it sees for what is falls further behind with every picture.
    """

    EARLY_S = 0.0001
    """How much before its usual time a call is due at most."""
    LATER_S = 0.0003
    """How long after its usual time and its deviation a regular call is still waited for: what wakes a thread takes a
    moment, and a missed poll costs more."""
    REGULAR_S = 0.0008
    """A kind whose times have no larger standard deviation is worth waiting for: much of that is what a call loses that
    is only looked for by a timer."""
    SHORTLY_S = 0.0025
    """How long before it is seen a poll missed it, if that says when it came: two looks of a timer that
    counts in milliseconds, or one that waits."""
    LEARNING = 0.15
    """How much of what is new is believed."""

    def __init__(self, periodic: bool) -> None:
        self._periodic = periodic
        self._usual = 0.0  # how long it takes, or by the clock from one time to the next
        self._tick = 0.0  # by the clock, when the last one should have come back
        self._deviation = 2.0 * self.REGULAR_S
        self._last = 0.0
        self._left = 0.0  # how much later than usual the last one was, after what was learnt from it
        self._unknown = 0  # how many in a row had been there for nobody knows how long

    def expected(self, begin: float) -> tuple[float, float]:
        """From when on a call that begins then is to be looked for, and until when it is worth waiting for, s."""
        usual, isRegular = self._usualTime(begin), self._deviation < self.REGULAR_S
        early = min(self.EARLY_S, self._deviation)
        return usual - early, usual + (self._deviation + self.LATER_S if isRegular else -early)

    def note(self, begin: float, now: float, hiddenS: float) -> None:
        """A call that began then has come back now, or at most so long ago."""
        late = now - self._usualTime(begin)
        # Two values of a normal distribution differ by 1.1 standard deviations on average, whatever its mean. What
        # differs by much more was not slow, but not looked for.
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
    """A long call, to be surrounded with this.

    :ivar due: from when on it is to be looked for, s.
    :ivar until: until when it is worth waiting for, s.
    :ivar goingAt: when it was last known not to be over, s.
    """

    def __init__(self, turns: "Turns", habit: _ReturnTimeEstimator, isOver: Callable[[], bool] | None) -> None:
        self.isOver = isOver
        self._turns, self._habit = turns, habit

    def __enter__(self) -> None:
        self._begin = self.goingAt = time.perf_counter()
        self.due, self.until = self._habit.expected(self._begin)
        self._turns._move(away=self)

    def __exit__(self, *_exception: object) -> None:
        self._turns._move(isInside=True)
        now = time.perf_counter()
        if not self.isOver:
            self.goingAt = max(self._begin, self._turns._pollBefore(now))
        self._habit.note(self._begin, now, now - self.goingAt)


class _Wait:
    """A wait for another thread, to be surrounded with this."""

    def __init__(self, turns: "Turns", event: object) -> None:
        self._turns, self._event = turns, event

    def __enter__(self) -> None:
        self._turns._move(waitingFor=self._event)

    def __exit__(self, *_exception: object) -> None:
        self._turns._move(isInside=True)


class Turns:
    """Book-keeping between the threads that work and the GUI thread that lends them the interpreter.

    A working thread wraps each call that may take long and that leaves Python alone meanwhile::

        with turns.blockingCall("camera"):
            delivered, image = capture.read()

    Coming out of such a call needs the interpreter (the GIL), which Slicer's GUI thread holds. So whoever lends
    it has to know when a thread is likely to come back: the time that calls of the same kind took before is
    learnt here. Waits for another thread are wrapped in :meth:`waiting`. ``gil.GilLender`` does the lending and
    explains why it is needed.
    """

    SOON_S = 0.0002
    """How long it takes a thread to run that is lent the interpreter."""

    def __init__(self) -> None:
        self.isSomeoneInside = False
        """Whether a thread is known to run Python or to want to."""
        self._turnOver = threading.Lock()  # free once none is any more; an Event takes ten steps of Python to wait for
        self._turnOver.acquire()
        self._lock = threading.Lock()
        self._inside: set[int] = set()
        self._away: dict[int, _Call] = {}
        self._waitingFor: dict[int, object] = {}
        self._habits: dict[str | int, _ReturnTimeEstimator] = {}  # by kind, or by thread
        self._looks = 0.0, 0.0  # when the interpreter was lent, the time before last and the last

    def blockingCall(self, kind: str, periodic: bool = False, isOver: Callable[[], bool] | None = None) -> _Call:
        """Surround a long call that leaves Python alone.

        :param kind: calls of one kind take about as long as each other, for example ``"detect"``.
        :param periodic: they come back at regular times instead, whenever they begin, as a camera's pictures do.
        :param isOver: tells another thread whether the call is over, if that can be seen from outside: so it is known
            better when it was. The end of a call that fails may be missed.
        """
        key = threading.get_ident() if periodic else kind  # each camera has a clock of its own
        habit = self._habits.get(key)
        if habit is None:
            habit = self._habits[key] = _ReturnTimeEstimator(periodic)
        return _Call(self, habit, isOver)

    def waiting(self, event: object) -> _Wait:
        """Surround a wait for something that another thread brings about and tells with :meth:`wake`.

        :param event: what is waited for: the very queue or event.
        """
        return _Wait(self, event)

    def wake(self, event: object) -> None:
        """What threads wait for has come about: they want Python from now on."""
        with self._lock:
            for thread in [thread for thread, waitedFor in self._waitingFor.items() if waitedFor is event]:
                del self._waitingFor[thread]
                self._inside.add(thread)
            self._tell()

    def begin(self) -> None:
        """The calling thread starts."""
        self._move(isInside=True)

    def done(self) -> None:
        """The calling thread ends."""
        self._move()
        self._habits.pop(threading.get_ident(), None)

    def expected(self) -> tuple[float, float]:
        """When the next thread is likely to come back, s on ``time.perf_counter``'s clock.

        :returns: from when on it is to be looked for, and until when it is worth waiting for; both infinite if no
            thread is away.
        """
        with self._lock:
            return min([(call.due, call.until) for call in self._away.values()], default=(math.inf, math.inf))

    def recordPoll(self, now: float) -> None:
        """The interpreter is lent now: who has come back takes it soon, and a call seen to go on is not over."""
        self._looks = self._looks[1], now
        with self._lock:
            for call in self._away.values():
                if call.isOver and not call.isOver():
                    call.goingAt = now

    def yieldGil(self, comingS: float, turnS: float) -> bool:
        """Lend the interpreter: wait until a thread has come back and all have gone again.

        :param comingS: how long to wait for one to come, s.
        :param turnS: how long to wait for all to be gone, s.
        :returns: whether one has come.
        """
        self._turnOver.acquire(blocking=False)  # from an earlier turn
        hasCome = self.isSomeoneInside or self._turnOver.acquire(timeout=comingS)
        if self.isSomeoneInside:
            self._turnOver.acquire(timeout=turnS)
            return True
        # One may have come and gone while this thread had waited long enough, but was waiting for the interpreter.
        return hasCome or self._turnOver.acquire(blocking=False)

    def isAnyoneOut(self) -> bool:
        """Whether a thread has still to come back, or to end."""
        with self._lock:
            return bool(self._inside or self._away)

    def _pollBefore(self, now: float) -> float:
        """The last look that a thread which has the interpreter now would have taken had it been back; s."""
        before, last = self._looks
        return last if now - last > self.SOON_S else before

    def _move(self, isInside: bool = False, away: _Call | None = None, waitingFor: object = None) -> None:
        me = threading.get_ident()
        with self._lock:
            self._away.pop(me, None)
            self._waitingFor.pop(me, None)
            self._inside.discard(me)
            if isInside:
                self._inside.add(me)
            elif away is not None:
                self._away[me] = away
            elif waitingFor is not None:
                self._waitingFor[me] = waitingFor
            self._tell()

    def _tell(self) -> None:
        wasSomeoneInside, self.isSomeoneInside = self.isSomeoneInside, bool(self._inside)
        if wasSomeoneInside and not self.isSomeoneInside and self._turnOver.locked():
            self._turnOver.release()
