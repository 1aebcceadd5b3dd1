"""Qt's event loop as Slicer runs it, and what is measured in it.

Slicer's GUI thread keeps Python's GIL while its event loop waits: a Python thread gets a turn only when Python code
runs in the GUI thread. PySide releases the GIL there, so the loop is entered through ctypes, past PySide.
"""

import ctypes
import itertools
import sys
import time
from pathlib import Path

import qt

PYTHONQT = "PySide6" not in sys.modules  # a real PythonQt keeps the GIL by itself

_SYMBOLS = {
    "exec": ("_ZN16QCoreApplication4execEv", "?exec@QCoreApplication@@SAHXZ"),
    "loop": (
        "_ZN10QEventLoop4execE6QFlagsINS_17ProcessEventsFlagEE",
        "?exec@QEventLoop@@QEAAHV?$QFlags@W4ProcessEventsFlag@QEventLoop@@@@@Z",
    ),
    "processEvents": (
        "_ZN16QCoreApplication13processEventsE6QFlagsIN10QEventLoop17ProcessEventsFlagEE",
        "?processEvents@QCoreApplication@@SAXV?$QFlags@W4ProcessEventsFlag@QEventLoop@@@@@Z",
    ),
}


def _qtCore():
    """The Qt6Core library that PySide6 has loaded."""
    folder = Path(sys.modules["PySide6"].__file__).parent
    for name in ("Qt/lib/libQt6Core.so.6", "Qt/lib/QtCore.framework/Versions/A/QtCore", "Qt6Core.dll"):
        if (folder / name).exists():
            return ctypes.PyDLL(str(folder / name))  # PyDLL, unlike CDLL, keeps the GIL in its calls
    raise RuntimeError(f"No Qt6Core library in {folder}")


def _keepingGil(function, *args):
    return getattr(_qtCore(), _SYMBOLS[function][sys.platform == "win32"])(*args)


def _checkGil(gil):
    if gil not in ("kept", "released"):
        raise ValueError(f"gil must be 'kept' or 'released', not {gil!r}")
    return gil == "kept" and not PYTHONQT


def execute(gil="kept"):
    """Run the application's event loop until it has to exit, which it announces; returns the exit code.

    :param gil: "kept", as in Slicer, or "released", as in a PySide application.
    """
    return _keepingGil("exec") if _checkGil(gil) else qt.QApplication.exec_()


def _executeLoop(loop, gil):
    """Run an event loop inside of which the application doesn't quit."""
    if _checkGil(gil):
        from shiboken6 import getCppPointer

        _keepingGil("loop", ctypes.c_void_p(getCppPointer(loop)[0]), 0)
    else:
        loop.exec_()


def processEvents(*_):
    """Handle the events that wait, keeping the GIL."""
    if PYTHONQT:
        qt.QApplication.instance().processEvents()
    else:
        _keepingGil("processEvents", 0)


def spin(until=None, timeout=10.0, gil="kept", interval=0.01, stop=None):
    """Run the event loop until ``until()`` is true or the time is over.

    Without ``until`` no Python code runs for it, so that it gives no turn to other Python threads.

    :param until: a function without arguments, called every ``interval`` seconds; what it raises, spin raises.
    :param timeout: seconds.
    :param stop: a signal that ends it as well.
    :return: what ``until`` returned last, as a bool (True without it).
    """
    loop = qt.QEventLoop()
    if stop is not None:
        stop.connect(loop.quit)
    deadline, timer = qt.QTimer(), qt.QTimer()
    deadline.setSingleShot(True)
    for one in (deadline, timer):
        one.setTimerType(qt.Qt.PreciseTimer)
    deadline.timeout.connect(loop.quit)
    result, failure = until is None, None

    def poll():
        nonlocal result, failure
        try:
            result = bool(until())
        except BaseException as error:
            failure = error
        if result or failure:
            loop.quit()

    timer.timeout.connect(poll)
    if until is not None:
        poll()
    if until is None or not (result or failure):
        deadline.start(max(0, int(timeout * 1000)))
        if until is not None:
            timer.start(max(1, int(interval * 1000)))
        _executeLoop(loop, gil)
        # Not left to their ends: a timer that runs while Python's garbage collector, in whatever thread, deletes it
        # takes the process down.
        deadline.stop()
        timer.stop()
    if failure:
        raise failure
    return result


class Heartbeat:
    """A timer in the GUI thread that records how late each of its beats comes: how long the GUI was held up.

    Its slot is made of C functions only. A Python function would give waiting Python threads a turn
    (a 5 ms one lets them run half the time), and so change what it measures.
    """

    def __init__(self, interval=5):
        self.interval = interval
        self._times = []
        self._beat = map(self._times.append, iter(time.perf_counter, None)).__next__
        self._timer = qt.QTimer()
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.timeout.connect(self._beat)

    def start(self):
        """Begin to record, anew."""
        self._times.clear()
        self._beat()
        self._timer.start(self.interval)

    def stop(self):
        """End; the time since the last beat counts as well."""
        self._timer.stop()
        self._beat()

    @property
    def late(self):
        """How late each beat came, in ms."""
        return [max(0.0, (b - a) * 1000 - self.interval) for a, b in itertools.pairwise(self._times)]

    @property
    def worst(self):
        """The longest stall, in ms."""
        return max(self.late, default=0.0)
