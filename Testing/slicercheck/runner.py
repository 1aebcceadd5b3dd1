"""Runs the steps of the check one after the other inside Slicer, and measures.

Everything runs in slots of a timer, as users' clicks do: nothing here runs Qt's event loop or lets go of Python's GIL,
which would give the module's threads time that they don't have in Slicer. Only what Slicer's Python has is imported.
"""

import faulthandler
import itertools
import json
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import qt
import slicer

from support.paths import ROOT, SAMPLE_CLIP

IN_HOST = slicer.app.revision == "host"  # the tests' application

HANG_S, STEP_S = 120, 540
"""The GUI thread has stopped for good if it comes back so much too late from the event loop, or needs so long for what
a step does at a time, as installing packages: all stacks are written, and the application is ended."""


class Wrong(Exception):
    """What is wrong."""


class NotHere(Exception):
    """What the application lacks."""


class Abort(Exception):
    """What is wrong, so that no other step makes sense."""


class Until:
    """Run the event loop until a condition is true, or the time (s) is over."""

    def __init__(self, condition, timeout):
        self.condition, self.timeout = condition, timeout


def expect(isRight, otherwise):
    """What is wrong if something is not so."""
    if not isRight:
        raise Wrong(otherwise)


class Heartbeat:
    """How late a timer of the GUI thread comes, ms. Its slot consists of C functions, which give no thread a turn."""

    INTERVAL_MS = 5

    def __init__(self):
        self._times = []
        self._beat = map(self._times.append, iter(time.perf_counter, None)).__next__
        self._timer = qt.QTimer()
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.timeout.connect(self._beat)

    def start(self):
        self._times.clear()
        self._timer.start(self.INTERVAL_MS)

    def stop(self):
        """Returns the delays."""
        self._timer.stop()
        return [max(0.0, 1000 * (b - a) - self.INTERVAL_MS) for a, b in itertools.pairwise(self._times)]


class Frames:
    """Notes the frames that the module has shown: when, how late, and where the scene then has the fingertip.

    :param landmarks: the hand's node.
    :param view: the 3D view whose renders are noted as well, or None.
    """

    def __init__(self, logic, landmarks, view):
        self._logic, self._landmarks, self._window = logic, landmarks, view and view.renderWindow()
        self.times, self.latenciesMs, self.toScreenMs, self.tips = [], [], [], []
        self._unrendered = None
        self._renderTag = self._window and self._window.AddObserver("EndEvent", self._onRendered)
        logic.worker.tracked.connect(self._onTracked)  # after the logic's own slot: the nodes have been moved

    def stop(self):
        if self._logic.worker:
            self._logic.worker.tracked.disconnect(self._onTracked)
        if self._window:
            self._window.RemoveObserver(self._renderTag)

    def _onTracked(self, frame):
        now = time.perf_counter()
        self.times.append(now)
        self.latenciesMs.append(1000 * (now - frame.captureTime))
        self._unrendered = frame.captureTime
        if frame.hands:
            tip = [0.0, 0.0, 0.0]
            self._landmarks.GetNthControlPointPositionWorld(8, tip)
            self.tips.append(tip)

    def _onRendered(self, *_):
        if self._unrendered is not None:
            self.toScreenMs.append(1000 * (time.perf_counter() - self._unrendered))
            self._unrendered = None


class Check:
    """Runs the steps one after the other, then ends the application while it is live.

    :param folder: ``options.json`` in it says what to do; lines of JSON in ``results.jsonl`` report it.
    :param steps: (name, title, step) of each. A step is a generator function of this object; it yields a number of
        seconds for which the event loop runs, or an :class:`Until`, and gets back whether its condition came true. It
        returns its figures, or raises :class:`Wrong`, :class:`NotHere` or :class:`Abort`.
    :param needed: names of the steps that all others need.
    :param notQuick: steps left out with ``--quick``.
    """

    POLL_MS = 50

    def __init__(self, folder, steps, needed, notQuick):
        self.folder, self._needed, self._notQuick = Path(folder), needed, notQuick
        self.options = json.loads((self.folder / "options.json").read_text(encoding="utf-8"))
        self.errors = []  # what left a slot or a thread as an exception, and what the module reported
        self.isQuick = self.options["quick"]
        # Open until the application ends.
        self._results = open(self.folder / "results.jsonl", "a", encoding="utf-8")  # noqa: SIM115
        self._stacks = open(self.folder / "stacks.txt", "w")  # noqa: SIM115
        self._watchErrors()
        self._wanted, self._deadline = None, 0.0
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._onTimeout)
        self._steps = self._allSteps(steps)
        self._timer.start(self.POLL_MS)

    # What the steps use

    @property
    def widget(self):
        return slicer.modules.LiveHandWidget  # another one after a reload

    @property
    def logic(self):
        return self.widget.logic

    @property
    def ui(self):
        return self.widget.ui

    @property
    def node(self):
        return self.logic.getParameterNode()

    @property
    def view(self):
        """The first 3D view, or None."""
        manager = slicer.app.layoutManager()
        return manager.threeDWidget(0).threeDView() if manager.threeDViewCount else None

    def layout(self, name):
        """Have a layout of the views, by its name in vtkMRMLLayoutNode."""
        manager, layout = slicer.app.layoutManager(), getattr(slicer.vtkMRMLLayoutNode, f"SlicerLayout{name}")
        manager.setLayout(layout)
        yield 0.5
        if manager.layout != layout:
            self.hostLacks("this layout")
            raise Wrong(f"the layout {name} cannot be had")

    def hostLacks(self, what):
        """The tests' host application does not have something."""
        if IN_HOST:
            raise NotHere(what)

    def screenshot(self, name):
        """Save the main window as an image, if that was asked for."""
        folder = self.options["pictures"]
        if folder:
            slicer.util.forceRenderAllViews()
            slicer.util.mainWindow().grab().save(str(Path(folder) / f"{name}.png"))

    def goLive(self, source=SAMPLE_CLIP, everyFrame=False):
        """Tick Live as the user does, and wait for the hand."""
        self.logic.setSource(str(source))
        self.node.everyFrame = everyFrame
        self.ui.liveCheckBox.setChecked(True)
        logic = self.logic
        yield from self.wait(lambda: logic.worker.state == "live", 60, "Live does not go on")
        yield from self.wait(lambda: logic.frame and logic.frame.hands, 20, "no hand is found")

    def wait(self, condition, timeout, otherwise):
        """Run the event loop until a condition is true, s; what is wrong if it does not come true, or what the module
        reports meanwhile."""
        yield Until(lambda: self.errors or condition(), timeout)
        expect(not self.errors, "; ".join(self.errors[:3]))
        expect(condition(), otherwise)

    def goOff(self):
        """Go off, and wait until all threads have ended."""
        logic = self.logic
        if logic is None:
            return
        if logic.worker.state != "off":
            logic.stop()
        expect((yield Until(lambda: logic.worker.state == "off", 15)), "Live does not go off")
        expect((yield Until(lambda: not threads(), 15)), f"threads are left: {threads()}")

    def shownLandmarks(self):
        """(21, 3) mm, RAS: the right hand's as the scene has them, or None."""
        landmarks = self.node.rightLandmarks
        return slicer.util.arrayFromMarkupsControlPoints(landmarks, world=True).copy() if landmarks else None

    # Inside

    def _allSteps(self, steps):
        slicer.mrmlScene.Clear(0)
        yield 1.0  # what the application does at its start
        isAborted = False
        names = dict.fromkeys([name for name, _title, _step in steps if name not in self._needed] + ["quit"])
        for name in self.options["only"]:
            if name not in names:
                detail = f"there are only the steps {', '.join(names)}"
                self._report(step=name, outcome="wrong", detail=detail, figures={}, seconds=0)
        for name, title, step in steps:
            if isAborted or not self._isWanted(name, step):
                continue
            self._report(begin=title)
            start = time.perf_counter()
            outcome, detail, figures = "right", "", {}
            self.errors.clear()
            try:
                figures = (yield from step(self)) or {}
                if name not in self._needed:
                    yield from self.goOff()
                expect(not self.errors, "; ".join(self.errors[:3]))
            except NotHere as error:
                outcome, detail = "not in this application", str(error)
            except Wrong as error:
                outcome, detail = "wrong", str(error)
            except Abort as error:
                outcome, detail, isAborted = "wrong", str(error), True
            except Exception as error:
                traceback.print_exc()
                outcome, detail, isAborted = "wrong", f"{type(error).__name__}: {error}", name in self._needed
            if outcome != "right" and name not in self._needed:
                yield from self._recover()
            seconds = round(time.perf_counter() - start, 1)
            self._report(step=title, outcome=outcome, detail=detail, figures=figures, seconds=seconds)
        if not isAborted:
            yield from self._quitLive()
        self._report(end=True)

    def _isWanted(self, name, step):
        only = self.options["only"]
        return name in self._needed or ((not only or name in only) and not (self.isQuick and step in self._notQuick))

    def _recover(self):
        """Let the next step find what it expects, whatever this one left."""
        try:
            yield from self.goOff()
        except Exception:
            traceback.print_exc()
        slicer.mrmlScene.Clear(0)
        slicer.util.selectModule("LiveHand")
        if self.logic:
            self.ui.previewCollapsibleButton.collapsed = False
        yield 0.5

    def _quitLive(self):
        """Go live; the application is then told to quit."""
        self._report(begin="quit while live")
        self.errors.clear()
        try:
            yield from self.goLive()
        except Exception as error:
            self._report(step="live before quitting", outcome="wrong", detail=str(error), figures={}, seconds=0)

    def _report(self, **line):
        self._results.write(json.dumps(line) + "\n")
        self._results.flush()

    def _watchErrors(self):
        hooks = sys.excepthook, threading.excepthook, sys.unraisablehook

        def note(kind, error, trace):
            files = [Path(frame.filename) for frame in traceback.extract_tb(trace)]
            if trace is None or any(ROOT in file.parents for file in files):  # not of some other module
                self.errors.append(f"{kind.__name__}: {error}")

        def onException(kind, error, trace):
            note(kind, error, trace)
            hooks[0](kind, error, trace)

        def onThreadException(info):
            note(info.exc_type, info.exc_value, info.exc_traceback)
            hooks[1](info)

        def onUnraisable(info):
            note(info.exc_type, info.exc_value, info.exc_traceback)
            hooks[2](info)

        sys.excepthook, threading.excepthook, sys.unraisablehook = onException, onThreadException, onUnraisable

    def noteFailure(self, error):
        """A slot of the module's signal ``failed``."""
        self.errors.append(f"the module reports {error!r}")

    def _onTimeout(self):
        answer = None
        if self._wanted:
            try:
                answer = bool(self._wanted.condition())
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}")
                answer = False
            if not answer and time.perf_counter() < self._deadline:
                self._timer.start(self.POLL_MS)
                return
        faulthandler.dump_traceback_later(STEP_S, exit=True, file=self._stacks)
        try:
            wanted = self._steps.send(answer)
        except StopIteration:
            faulthandler.dump_traceback_later(HANG_S, exit=True, file=self._stacks)
            slicer.util.exit(0)
            return
        except Exception:  # of this file
            traceback.print_exc()
            slicer.util.exit(1)
            return
        isUntil = isinstance(wanted, Until)
        self._wanted, seconds = (wanted, wanted.timeout) if isUntil else (None, wanted)
        self._deadline = time.perf_counter() + seconds
        faulthandler.dump_traceback_later(seconds + HANG_S, exit=True, file=self._stacks)
        self._timer.start(self.POLL_MS if isUntil else int(1000 * seconds))


def threads():
    """The module's threads that are running."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("LiveHand")]


def quantile(values, share):
    return round(float(np.quantile(values, share)), 1) if len(values) else None
