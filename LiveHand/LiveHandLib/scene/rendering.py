"""Brings a frame to the screen at once. Knows Slicer's views, nothing of cameras or hands.

Slicer's views (CTK's ``ctkVTKAbstractView``) render up to 1/60 s after the first change, since they cannot know what
else will change. Here that is known: all nodes of a frame are moved in one go, and nothing more comes until the next
one. So the views that show the hands render right after that (``forceRender``, which does what was scheduled), when:

- all events that wait, for example of a user who turns the view, have been handled (a timer of 0 ms comes last);
- no thread is expected back during the render. The GUI thread keeps the GIL meanwhile, so that the thread would stand
  still until its end, and the next frame with it. It comes and goes first (see ``threads/gil.py``), then the view
  renders while the thread is in its next long call;
- the views have rested for as long as they rendered, and 1/60 s have gone by since they began. So rendering at once
  takes half of the GUI thread's time at most.

Otherwise, the view renders when Slicer scheduled it. Each view is a turn of the event loop of its own.

The GIL is not released while a view renders, though PythonQt could do that
(``PythonQtSlotInfo::setGlobalShouldAllowThreads``): VTK takes it again to call an observer written in Python
(``vtkPythonCommand::Execute``), but not to delete one in builds like Slicer's, without ``VTK_PYTHON_FULL_THREADSAFE``;
and Slicer's scripted displayable managers (``vtkMRMLScriptedDisplayableManager``) call Python without taking it at all.
Either can be reached from a render.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import qt
import slicer

from ..threads.gil import lender


class PromptRendering:
    """Renders the views that show some nodes, as soon as these have been moved.

    :param displayNodes: gives the display nodes; called now and then.
    :param otherViews: gives the views that frames change without moving a node.

    :ivar isOn: whether it does; otherwise the views render when Slicer schedules it.
    """

    SCHEDULED_S = 1.0 / 60.0
    """After which time the views render by themselves, ``ctkVTKAbstractView::maximumUpdateRate``."""
    VIEWS_KNOWN_S = 1.0
    """For how long the views are known; asking for them takes about as long as moving the nodes."""

    def __init__(
        self,
        displayNodes: Callable[[], Iterable["slicer.vtkMRMLDisplayNode"]],
        otherViews: Callable[[], Iterable[Any]] = tuple,
    ) -> None:
        self.isOn = True
        self._displayNodes = displayNodes
        self._otherViews = otherViews
        self._views: list[Any] = []
        self._viewsKnownUntil = 0.0
        self._due: deque[Any] = deque()  # views that have not rendered yet
        self._took: dict[Any, float] = {}  # how long each rendered last, s
        self._notBefore = self._begin = self._rendered = 0.0
        self._hasWaited = False
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.timeout.connect(self._onTimeout)

    def request(self) -> None:
        """The nodes have been moved."""
        now = time.perf_counter()
        if not self.isOn or now < self._notBefore:
            return
        if now > self._viewsKnownUntil:
            self._findViews(now)
        if not self._due:
            self._begin, self._rendered = now, 0.0
        # Those that have not come to it yet come first, or they never would.
        self._due.extend(view for view in self._views if view not in self._due)
        self._timer.start(0)

    def close(self) -> None:
        """Leave all to Slicer from now on."""
        self.isOn = False
        self._timer.stop()
        self._due.clear()

    def _findViews(self, now: float) -> None:
        self._viewsKnownUntil = now + self.VIEWS_KNOWN_S
        layout = slicer.app.layoutManager()
        if not layout:  # Slicer without a main window, as for tests
            self._views = []
            return
        views = [layout.threeDWidget(index).threeDView() for index in range(layout.threeDViewCount)]
        displayNodes = [node for node in self._displayNodes() if node]
        others = list(self._otherViews())
        views = [
            view
            for view in views
            if view in others or any(node.IsDisplayableInView(view.mrmlViewNode().GetID()) for node in displayNodes)
        ]
        # Models that move make all slice views render, whether they are cut there or not.
        views += [layout.sliceWidget(name).sliceView() for name in layout.sliceViewNames()]
        self._views = [view for view in views if view.visible]
        self._took = {view: self._took.get(view, 0.0) for view in self._views}

    def _onTimeout(self) -> None:
        if not self._due:
            return
        now = time.perf_counter()
        back = lender().schedule.expected()[0] - now
        if not self._hasWaited and back < min(self._took.get(self._due[0], 0.0), self.SCHEDULED_S):
            self._hasWaited = True
            self._timer.start(max(0, math.ceil(1000.0 * back)) + 1)
            return
        self._hasWaited = False
        view = self._due.popleft()
        try:
            # A view says in no other way whether others have paused its rendering.
            if view.pauseRender() == 1:
                view.forceRender()
            view.resumeRender()
        except (ValueError, RuntimeError):  # PythonQt's, and PySide's: the view has been deleted
            self._due.clear()
            self._viewsKnownUntil = 0.0
            return
        end = time.perf_counter()
        self._took[view] = end - now
        self._rendered += end - now
        if self._due:
            self._timer.start(0)
        else:
            self._notBefore = max(self._begin + self.SCHEDULED_S, end + self._rendered)
