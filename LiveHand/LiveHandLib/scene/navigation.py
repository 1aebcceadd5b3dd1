"""What a fingertip does in the scene: points and traces. Knows MRML and VTK, nothing of Qt."""

from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..errors import LiveHandError
from ..gestures.pinch import ENDED, STARTED, PinchRecognizer
from ..gestures.pinchnetwork import PinchNetwork
from ..landmarks import Landmark
from ..navigation.points import LONGEST_GAP_MS, Dwell, PointCollector
from ..navigation.traces import Trace
from ..pose import coordinates
from ..pose.estimator import TrackedFrame
from . import reference
from .follow import DistanceMeter, SliceFollower
from .recordedpoints import RecordedPoints
from .registering import Registering
from .tracenodes import TraceNodes


class Side(Enum):
    """The hand that points."""

    RIGHT = "Right"
    LEFT = "Left"

    def label(self) -> str:
        """The name for the user."""
        names = {"RIGHT": _("Right hand"), "LEFT": _("Left hand")}
        return names[self.name]


class Finger(Enum):
    """The finger that points. Its value is the landmark at its tip."""

    THUMB = int(Landmark.THUMB_TIP)
    INDEX = int(Landmark.INDEX_FINGER_TIP)
    MIDDLE = int(Landmark.MIDDLE_FINGER_TIP)
    RING = int(Landmark.RING_FINGER_TIP)
    PINKY = int(Landmark.PINKY_TIP)

    def label(self) -> str:
        """The name for the user."""
        names = {
            "THUMB": _("Thumb"),
            "INDEX": _("Index finger"),
            "MIDDLE": _("Middle finger"),
            "RING": _("Ring finger"),
            "PINKY": _("Little finger"),
        }
        return names[self.name]


class Navigation:
    """Points, traces and registers with a fingertip, in the reference's coordinate system, or the camera's without one.

    To be used in the GUI thread.

    :param getParameterNode: returns the scene's parameter node for the module, which says how, and keeps the nodes.
    :param network: says whether fingertips touch.

    :ivar changed: functions that are called, without arguments, after something has changed: progress, or an end.
    :ivar registering: the :class:`Registering`, which registers what was touched and compares it with the truth.
    :ivar distanceMm: from the fingertip to ``distanceTo`` in the parameter node, mm; None if it is not known.
    :ivar failure: why what was under way last was given up; None when it was not.
    """

    def __init__(self, getParameterNode: Callable[[], Any], network: PinchNetwork) -> None:
        self._getParameterNode, self._network = getParameterNode, network
        self.changed: list[Callable[[], None]] = []
        self.failure: LiveHandError | None = None
        self.registering = Registering(getParameterNode)
        self._frame: TrackedFrame | None = None  # the newest while live
        self._forgetAll()

    def _forgetAll(self) -> None:
        self._points = RecordedPoints()
        self._collector: PointCollector | None = None
        self._list: slicer.vtkMRMLMarkupsFiducialNode | None = None  # to which the point goes
        self._pointSide: Side | None = None
        self._dwell = Dwell()
        self._dwellProgress = 0.0
        self._pinches = PinchRecognizer(self._network)
        self._isPinchTrace = False  # the trace that is under way was begun by a pinch
        self._trace: TraceNodes | None = None
        self._isTracing = False
        self._slices, self._meter = SliceFollower(), DistanceMeter()
        self.distanceMm: float | None = None

    # What happens

    def add(self, frame: TrackedFrame) -> None:
        """Take the next frame; costs next to nothing while nothing is on."""
        self._frame = frame
        node = self._getParameterNode()
        if node.pinchRecords or node.pinchTraces:
            self._followPinch(frame, node)
        measured = node.distanceTo
        if self.distanceMm is not None and not measured:
            self._setDistance(None)
        if not (self._collector or self._isTracing or node.dwellRecords or node.slicesFollow or measured):
            return
        hasReference = not reference.isLost(node, frame)
        tip = self._tip(frame, node) if hasReference else None
        if node.slicesFollow or measured:
            self._showWhere(tip, node, frame.captureTime)
        if self._isTracing:
            self._follow(tip, frame.timestampMs, hasReference)
        if self._collector:
            self._collect(tip, frame.timestampMs, hasReference, node)
        elif node.dwellRecords:
            self._waitForDwell(tip, frame.timestampMs, node)

    def startLive(self) -> None:
        """Live goes on: what was given up before is over."""
        self.failure = None

    def endLive(self) -> None:
        """Live is off: a point that is being recorded is given up, a trace ends."""
        self._frame = None
        self._pinches = PinchRecognizer(self._network)
        self.stopTrace()
        self._setDistance(None)
        if self._collector:
            self._giveUp(LiveHandError("pointNotLive"))

    def forget(self) -> None:
        """The scene is being closed: drop what belongs to it."""
        self._isTracing = self._isPinchTrace = False
        if self._collector:
            self._giveUp(LiveHandError("pointSceneClosed"))
        self._forgetAll()
        self.registering.forget()
        self._frame = None

    def tip(self) -> np.ndarray | None:
        """Where the chosen fingertip is in the newest frame: (3,) RAS in mm, or None if that is not known."""
        frame, node = self._frame, self._getParameterNode()
        if frame is None or reference.isLost(node, frame):
            return None
        tip = self._tip(frame, node)
        return None if tip is None else reference.pointToWorld(reference.toRas(node), tip)

    def _tip(self, frame: TrackedFrame, node: Any) -> np.ndarray | None:
        """The fingertip in the reference's coordinate system, or the camera's without one."""
        hand = frame.hands.get(node.pointingSide.value)
        if hand is None:
            return None
        offsets = node.tipOffsetMm, node.padOffsetMm
        tip = coordinates.pointer(hand.cameraMm, node.pointingSide.value, *offsets, node.pointingFinger.value)[:3, 3]
        transform = reference.handsTransform(node)
        if frame.reference is not None and transform is not None and transform is not node.cameraToRAS:
            matrix = frame.reference.matrix
            tip = matrix[:3, :3].T @ (tip - matrix[:3, 3])
        return tip

    def _changed(self) -> None:
        for function in list(self.changed):
            function()

    # Points

    @property
    def isRecordingPoint(self) -> bool:
        """Whether positions of a point are being collected."""
        return self._collector is not None

    @property
    def pointProgress(self) -> float:
        """How much of the point is there, 0 to 1."""
        return self._collector.progress if self._collector else 0.0

    @property
    def dwellProgress(self) -> float:
        """For how much of the time the fingertip has stayed where it is, 0 to 1."""
        return self._dwellProgress

    def nextPoint(self) -> str:
        """The name of the planned point that is to be touched next; empty if there is none."""
        return self._points.nextName(self._getParameterNode())

    def chooseNextPoint(self, name: str) -> None:
        """Touch another planned point next than the first that has not been recorded.

        :param name: the point's; once it is recorded, it goes on in the plan's order.
        """
        self._points.wanted = name
        self._changed()

    def unrecordedPoints(self) -> list[str]:
        """The names of the planned points that have not been recorded yet."""
        return self._points.unrecorded(self._getParameterNode())

    def recordPoint(self) -> None:
        """Record where the chosen fingertip is, from the frames of the next second. Returns at once.

        The point is the mean of its positions without outliers, see :class:`points.RecordedPoint`, and is added to the
        chosen list. :attr:`failure` says if it was given up: ``pointReferenceLost``, ``pointHandLost``,
        ``pointTooFew``, ``pointListGone``, ``pointSceneClosed`` or ``pointNotLive``.

        :raises LiveHandError: ``pointNotLive``, ``pointReferenceLost`` or ``pointHandLost`` when it cannot begin.
        """
        node, frame = self._getParameterNode(), self._frame
        if frame is None:
            raise LiveHandError("pointNotLive")
        if reference.isLost(node, frame):
            raise LiveHandError("pointReferenceLost")
        if node.pointingSide.value not in frame.hands:
            raise LiveHandError("pointHandLost")
        self.failure = None
        self._list = self._points.listFor(node)
        self._collector, self._pointSide = PointCollector(node.pointPositions, node.pointMs), node.pointingSide
        self._changed()

    def cancelPoint(self) -> None:
        """Give up the point that is being recorded, if there is one."""
        self._collector = self._list = None
        self._changed()

    def undoPoint(self) -> bool:
        """Remove the point that was recorded last from its list.

        :returns: whether there was one.
        """
        isUndone = self._points.undo(self._getParameterNode())
        self._changed()
        return isUndone

    def _collect(self, tip: np.ndarray | None, timestampMs: float, hasReference: bool, node: Any) -> None:
        assert self._collector and self._list
        try:
            if not self._list.GetScene():
                raise LiveHandError("pointListGone")
            if node.pointingSide != self._pointSide:
                raise LiveHandError("pointHandLost")
            point = self._collector.add(tip, timestampMs, hasReference)
        except LiveHandError as error:
            self._giveUp(error)
            return
        if point:
            self._points.add(node, self._list, point)
            self._collector = self._list = None
        self._changed()

    def _giveUp(self, error: LiveHandError) -> None:
        error.log()
        self._collector = self._list = None
        self.failure = error
        self._changed()

    # Follow

    def _showWhere(self, tip: np.ndarray | None, node: Any, now: float) -> None:
        ras = None
        if tip is not None and np.isfinite(tip).all():
            ras = reference.pointToWorld(reference.toRas(node), tip)
        if node.distanceTo:
            self._setDistance(None if ras is None else self._meter.distanceMm(ras, node.distanceTo))
        if node.slicesFollow and ras is not None and self._slices.isDue(now):
            # The red one may have the preview in it.
            self._slices.jump(ras, node.followingViews, "Red" if node.showInSliceView else "", now)

    def _setDistance(self, distanceMm: float | None) -> None:
        if distanceMm != self.distanceMm:
            self.distanceMm = distanceMm
            self._changed()

    # Traces

    @property
    def isTracing(self) -> bool:
        """Whether a trace follows the fingertip."""
        return self._isTracing

    @property
    def traceLengthMm(self) -> float:
        """Length of the trace, mm."""
        return self._trace.trace.lengthMm if self._trace else 0.0

    def startTrace(self) -> None:
        """Have a trace follow the chosen fingertip; go on with the last one unless :meth:`newTrace` was called.

        The trace is a model, ``traceModel`` in the parameter node, and when it ends a curve, ``trace``. :attr:`failure`
        says if it has ended by itself: ``traceReferenceLost``, ``traceHandLost`` or ``traceGone``. What was traced is
        kept.

        :raises LiveHandError: ``traceNotLive`` or ``traceReferenceLost`` when it cannot begin.
        """
        node, frame = self._getParameterNode(), self._frame
        if frame is None:
            raise LiveHandError("traceNotLive")
        if reference.isLost(node, frame):
            raise LiveHandError("traceReferenceLost")
        self.failure = None
        transform = reference.toRas(node)
        isSame = self._trace and self._trace.isThere and self._trace.model.GetTransformNodeID() == transform.GetID()
        if not isSame:  # or its points would be in another coordinate system
            self._trace = TraceNodes(node, Trace(node.traceSpacingMm, node.traceSmoothingMs, node.traceClosed))
        self._isTracing, self._tracedMs = True, float(frame.timestampMs)
        self._changed()

    def stopTrace(self) -> None:
        """End the trace, if there is one, and give it to the curve."""
        if self._isTracing:
            self._isTracing = self._isPinchTrace = False
            assert self._trace
            self._trace.makeCurve(self._getParameterNode())
            self._changed()

    def newTrace(self) -> None:
        """End the trace, and begin another one with the next :meth:`startTrace`."""
        self.stopTrace()
        self._trace = None
        self._changed()

    def undoTrace(self, lengthMm: float = 10.0) -> None:
        """Take back the end of the trace.

        :param lengthMm: how much of it, mm; at least one point.
        """
        if self._trace and self._trace.isThere:
            trace = self._trace.trace
            backwards = np.cumsum(np.linalg.norm(np.diff(trace.pointsMm[::-1], axis=0), axis=1))
            trace.removeLast(int(np.searchsorted(backwards, 0.999 * lengthMm)) + 1)
            self._trace.rebuild()
            if not self._isTracing:
                self._trace.makeCurve(self._getParameterNode())
            self._changed()

    def deleteTrace(self) -> None:
        """End the trace, and remove it from the scene."""
        self._isTracing = self._isPinchTrace = False
        if self._trace:
            self._trace.remove()
            self._trace = None
        self._changed()

    def _follow(self, tip: np.ndarray | None, timestampMs: float, hasReference: bool) -> None:
        assert self._trace
        if not self._trace.isThere:
            self._endTrace(LiveHandError("traceGone"))
        elif not hasReference:
            self._endTrace(LiveHandError("traceReferenceLost"))
        elif tip is None or not np.isfinite(tip).all():
            if timestampMs - self._tracedMs > LONGEST_GAP_MS:  # the way to the next point would be a guess
                self._endTrace(LiveHandError("traceHandLost"))
        else:
            self._tracedMs = timestampMs
            point = self._trace.trace.add(tip, timestampMs)
            if point is not None:
                self._trace.append(point)
                self._changed()

    def _endTrace(self, error: LiveHandError) -> None:
        error.log()
        self.failure = error
        self.stopTrace()

    # Recording without a button

    def _waitForDwell(self, tip: np.ndarray | None, timestampMs: float, node: Any) -> None:
        self._dwell.radiusMm, self._dwell.durationMs = node.dwellRadiusMm, node.dwellMs
        progress = self._dwell.update(tip, timestampMs)
        if progress >= 1.0 and tip is not None:
            progress = 0.0
            self._try(self.recordPoint)
        if progress != self._dwellProgress:
            self._dwellProgress = progress
            self._changed()

    def _followPinch(self, frame: TrackedFrame, node: Any) -> None:
        """Record a point, or trace, when the hand that does not point pinches."""
        for event in self._pinches.update(frame.hands, frame.imageSize, frame.timestampMs):
            if event.hand == node.pointingSide.value:
                continue
            if event.name == STARTED and node.pinchRecords and not self._collector:
                self._try(self.recordPoint)
            if event.name == STARTED and node.pinchTraces and not self._isTracing:
                self._try(self.startTrace)
                self._isPinchTrace = self._isTracing
            elif event.name == ENDED and self._isPinchTrace:
                self.stopTrace()

    def _try(self, begin: Callable[[], None]) -> None:
        try:
            begin()
        except LiveHandError as error:
            self._giveUp(error)
