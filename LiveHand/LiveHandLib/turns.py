"""Who of LiveHand's threads wants Python now, and who is away in a long call. Knows only ``threading``."""

import contextlib
import math
import threading
import time


class Turns:
    """Book-keeping between the threads that work and the GUI thread that lends them the interpreter.

    A working thread wraps each call that may take long and that leaves Python alone meanwhile::

        with turns.away("camera"):
            delivered, image = capture.read()

    Coming out of such a call needs the interpreter (the GIL), which Slicer's GUI thread holds. So whoever lends
    it has to know when a thread is likely to come back: the time that calls of the same kind took before is
    learnt here. Waits for another thread are wrapped in :meth:`waiting`. ``gil.GilLender`` does the lending and
    explains why it is needed.
    """

    EARLY_S = 0.001
    """How much before the usual time a thread is looked for."""

    def __init__(self) -> None:
        self.someoneInside = threading.Event()
        """Set while a thread is known to run Python or to want to."""
        self.nobodyInside = threading.Event()
        """Its opposite; an event of its own so that one can wait for either."""
        self.nobodyInside.set()
        self._lock = threading.Lock()
        self._inside: set[int] = set()
        self._awayUntil: dict[int, float] = {}
        self._waitingFor: dict[int, str] = {}
        self._usualTime: dict[str, float] = {}

    @contextlib.contextmanager
    def away(self, kind: str):
        """Surround a long call that leaves Python alone.

        :param kind: calls of one kind take about as long as each other, for example ``"detect"``.
        """
        started = time.perf_counter()
        usual = self._usualTime.get(kind, 0.0)
        self._move(awayUntil=started + usual - self.EARLY_S)
        try:
            yield
        finally:
            self._move(inside=True)
            # A low quantile of the times taken: shorter ones count at once, longer ones little by little, because
            # coming back late is also a matter of not having been looked for.
            took = time.perf_counter() - started
            self._usualTime[kind] = usual + (0.5 if took < usual else 0.05) * (took - usual)

    @contextlib.contextmanager
    def waiting(self, event: str):
        """Surround a wait for something that another thread brings about and tells with :meth:`wake`.

        :param event: what is waited for, for example ``"frame"``.
        """
        self._move(waitingFor=event)
        try:
            yield
        finally:
            self._move(inside=True)

    def wake(self, event: str) -> None:
        """What threads wait for has come about: they want Python from now on."""
        with self._lock:
            for thread in [thread for thread, waitedFor in self._waitingFor.items() if waitedFor == event]:
                del self._waitingFor[thread]
                self._inside.add(thread)
            self._tell()

    def begin(self) -> None:
        """The calling thread starts."""
        self._move(inside=True)

    def done(self) -> None:
        """The calling thread ends."""
        self._move()

    def due(self) -> float:
        """When the next thread is likely to come back, s on ``time.perf_counter``'s clock; infinite if none."""
        with self._lock:
            return min(self._awayUntil.values(), default=math.inf)

    def isAnyoneOut(self) -> bool:
        """Whether a thread has still to come back, or to end."""
        with self._lock:
            return bool(self._inside or self._awayUntil)

    def _move(self, inside: bool = False, awayUntil: float | None = None, waitingFor: str = "") -> None:
        me = threading.get_ident()
        with self._lock:
            self._awayUntil.pop(me, None)
            self._waitingFor.pop(me, None)
            self._inside.discard(me)
            if inside:
                self._inside.add(me)
            elif awayUntil is not None:
                self._awayUntil[me] = awayUntil
            elif waitingFor:
                self._waitingFor[me] = waitingFor
            self._tell()

    def _tell(self) -> None:
        if self._inside:
            self.nobodyInside.clear()
            self.someoneInside.set()
        else:
            self.someoneInside.clear()
            self.nobodyInside.set()
