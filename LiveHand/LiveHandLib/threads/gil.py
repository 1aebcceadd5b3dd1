"""Lets Python threads run beside Slicer's event loop. Knows Qt, nothing of cameras, hands or MRML.

Slicer's GUI thread keeps Python's global interpreter lock (GIL) while its event loop runs, also when it is idle.
A Python thread therefore stands still unless the GUI thread lends it the GIL, and a ``qt.QThread`` with a Python
``run`` crashes, because PythonQt calls it without taking the GIL at all. This file answers both, in one place:

- :func:`canRunPythonInQThread` turns on PythonQt's own GIL handling;
- :class:`GilLender` runs a function in a thread and lends it the GIL whenever it is likely to need it.

The price is a little of the GUI thread's time. So a timer of the GUI thread polls the threads only when one is due
(see :class:`schedule.GilSchedule`): it releases the GIL for a moment, and if a thread has returned from a long call,
waits until all are in their next one. In between the GUI thread is free. A call that returns regularly is waited for,
half a millisecond as a rule: a timer counts in milliseconds, and what is noticed later lags.
"""

import ctypes
import math
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import qt

from .schedule import GilSchedule


def _gilScopeSwitch() -> Callable[[bool], None] | None:
    """PythonQt's ``PythonQtGILScope::setGILScopeEnabled``, or None where it cannot be found."""
    if sys.platform == "win32":
        library, name = "PythonQt.dll", "?setGILScopeEnabled@PythonQtGILScope@@SAX_N@Z"
    else:
        library, name = None, "_ZN16PythonQtGILScope18setGILScopeEnabledEb"
    try:
        # PyDLL, for the function has to be called with the GIL held.
        switch = getattr(ctypes.PyDLL(library), name)
    except (OSError, AttributeError):
        return None
    switch.argtypes = [ctypes.c_bool]
    switch.restype = None
    return switch


def canRunPythonInQThread() -> bool:
    """Make it safe for a ``qt.QThread`` to run Python.

    PythonQt has scopes that take the GIL wherever it calls Python, but leaves them switched off. The switch is an
    exported C++ function, in the PythonQt of Slicer 5.8, 5.10 and 5.12 alike. To be called holding the GIL, that
    is from Python. In the GUI thread, which holds the GIL anyway, the scopes change nothing.

    :returns: False if the switch cannot be found; then no ``qt.QThread`` may be started with a Python ``run``.
    """
    if "PythonQt" not in sys.modules:
        return True  # another binding, which takes the GIL by itself
    switch = _gilScopeSwitch()
    if switch:
        switch(True)
    return switch is not None


class _QtThread(qt.QThread):
    def __init__(self, function: Callable[[], None]) -> None:
        qt.QThread.__init__(self)
        self._function: Callable[[], None] | None = function

    def run(self) -> None:
        # Not kept any longer: the function knows its thread, and a cycle of references would keep all it has.
        function, self._function = self._function, None
        assert function, "run once"
        function()
        # Python's threading module notes a thread it did not start as a dummy, and before Python 3.13 it lists it
        # for ever: enumerate() would show a thread that is gone.
        getattr(threading, "_active", {}).pop(threading.get_ident(), None)


class _PythonThread(threading.Thread):
    """The same for a PythonQt without the switch."""

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__(target=function, name="LiveHand worker", daemon=True)

    def isFinished(self) -> bool:
        return not self.is_alive()


class GilLender:
    """Runs functions in threads and lends them the GIL. There is one in a process, :func:`lender`.

    To be used from the GUI thread, except for :attr:`schedule`, which the threads use as well.
    """

    TIMER_S = 0.001
    """What a timer counts in."""
    POLL_S = 0.00005
    """How long the GUI thread releases the GIL to see whether a thread wants it; the operating system makes it some
    0.1 ms, which is what a waiting thread needs to wake up."""
    LONGEST_POLL_S = 0.002
    """How long it waits at most for a call that returns regularly."""
    LONGEST_RUN_S = 0.006
    """How long it waits at most for the threads to release the GIL again."""
    QUIT_S = 10.0
    """How long quitting waits at most for the threads; the first import of MediaPipe can take some seconds."""
    LONGEST_PAUSE_S = 0.05
    """How long it goes without a poll at most, so that a call that returns early is noticed."""

    def __init__(self) -> None:
        self.schedule = GilSchedule()
        self._running: dict[Any, tuple[Callable[[], None], Callable[[], None]]] = {}
        self._ending: set[Any] = set()
        self._lastPoll = self._notBefore = 0.0
        self._isClosing = False
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.timeout.connect(self._onTimeout)
        qt.QApplication.instance().connect("aboutToQuit()", self._onAboutToQuit)

    def start(self, function: Callable[[], None], stop: Callable[[], None], onFinished: Callable[[], None]) -> object:
        """Run a function in a thread.

        :param function: must not raise and must wrap its long calls in ``schedule.blockingCall``.
        :param stop: asks the function to come to its end; called when the application quits.
        :param onFinished: called in the GUI thread once the thread has ended.
        :returns: the thread, for :meth:`wait`.
        """

        def run() -> None:
            self.schedule.begin()
            try:
                function()
            finally:
                self.schedule.done()
                self._ending.add(thread)

        thread = (_QtThread if canRunPythonInQThread() else _PythonThread)(run)
        self._running[thread] = (stop, onFinished)
        thread.start()
        self._timer.start(0)
        return thread

    def close(self) -> None:
        """The library is loaded again, and has another lender then: give the application back what this one observes.

        What still runs, for a script's logic or since a camera's driver hangs, is lent the GIL until it ends.
        """
        self._isClosing = True
        self._leave()

    def _leave(self) -> None:
        if self._isClosing and not self._running and not self.schedule.hasThreads():
            self._isClosing = False
            self._timer.timeout.disconnect(self._onTimeout)
            qt.QApplication.instance().disconnect("aboutToQuit()", self._onAboutToQuit)

    def isBusy(self) -> bool:
        """Whether a thread runs."""
        return bool(self._running)

    def wait(self, thread: Any, timeout: float) -> bool:
        """Wait for a thread to end, for example before the application quits.

        ``QThread.wait`` would keep the GIL from the thread that needs it to end; Python's sleep releases it.

        :param timeout: how long to wait at most, s.
        :returns: whether it has ended. One that has not is kept until it does: a ``QThread`` that is destroyed
            while it runs takes the application down.
        """
        end = time.perf_counter() + timeout
        while not thread.isFinished() and time.perf_counter() < end:
            time.sleep(0.002)
        self._collect()
        return bool(thread.isFinished())

    def wake(self, event: object) -> None:
        """Wake the threads that wait for something, and lend them the GIL soon.

        :param event: what they wait for, see :meth:`GilSchedule.waiting`.
        """
        self.schedule.wake(event)
        if self.schedule.isGilWanted:
            self._timer.start(0)

    def _onTimeout(self) -> None:
        self._lend()
        # Also for a thread that is left to itself because its camera's driver hangs: once it returns, it has a camera
        # to release.
        if self._running or self.schedule.hasThreads():
            self._timer.start(max(1, math.ceil(self._untilPoll() / self.TIMER_S)))
        self._collect()  # last, for a callback may run an event loop of its own

    def _untilPoll(self) -> float:
        if self.schedule.isGilWanted:
            return 0.0
        due, until = self.schedule.expected()
        if until > due:
            due -= self.TIMER_S / 2.0  # worth waiting for: the nearest tick, not the next
        return min(max(due, self._notBefore), self._lastPoll + self.LONGEST_PAUSE_S) - time.perf_counter()

    def _lend(self) -> None:
        schedule = self.schedule
        due, until = schedule.expected()
        self._lastPoll = time.perf_counter()
        wait = until - self._lastPoll
        schedule.recordPoll(self._lastPoll)
        if schedule.yieldGil(wait if self.POLL_S < wait < self.LONGEST_POLL_S else self.POLL_S, self.LONGEST_RUN_S):
            self._notBefore = 0.0
        else:
            # Not returned yet. The longer it is overdue, the less often it is polled.
            self._notBefore = self._lastPoll + max(self._lastPoll - due, 0.0) / 10

    def _collect(self) -> None:
        # A copy, for a thread may add itself while another one is asked.
        for thread in [thread for thread in list(self._ending) if thread.isFinished()]:
            if thread in self._ending:  # else it was collected in an event loop that the last callback has run
                self._ending.discard(thread)
                _stop, onFinished = self._running.pop(thread)
                onFinished()
        self._leave()

    def _onAboutToQuit(self) -> None:
        for stop, _onFinished in self._running.values():
            stop()
        for thread in list(self._running):
            self.wait(thread, self.QUIT_S)
        self._timer.stop()
        if not self._running and "PythonQt" in sys.modules:
            # PythonQt outlives Python by a moment, and its scopes would then ask a finished Python for the GIL.
            switch = _gilScopeSwitch()
            if switch:
                switch(False)


_lender: GilLender | None = None


def lender() -> GilLender:
    """The process's only lender, made in the GUI thread when it is first asked for."""
    global _lender
    if _lender is None:
        _lender = GilLender()
    return _lender
