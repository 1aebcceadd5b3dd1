"""Lets pinching hands act on views, slices and transforms. Knows MRML, nothing of Qt, cameras or threads."""

import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..errors import LiveHandError
from ..gestures.pinch import ENDED, STARTED, PinchEvent, PinchRecognizer
from ..gestures.pinchnetwork import PinchNetwork
from ..pose.coordinates import CAMERA_TO_RAS
from ..pose.estimator import TrackedFrame
from . import reference
from .gestureactions import ACTIONS, Action, Context, PlacePoint
from .viewtext import ViewText

UNDONE_AT_MOST = 20
"""How many actions can be undone."""


class HandsActOn(Enum):
    """What pinching hands act on."""

    NOTHING = "nothing"
    VIEW = "3D view"
    SLICES = "slices"
    TRANSFORM = "transform"

    def label(self) -> str:
        """The name for the user."""
        names = {
            "NOTHING": _("Nothing"),
            "VIEW": _("3D view"),
            "SLICES": _("Slices"),
            "TRANSFORM": _("A transform, model or volume"),
        }
        return names[self.name]


@dataclass(frozen=True)
class Pinch:
    """What a pinch does in one frame, for other modules.

    :ivar hand: ``"Left"`` or ``"Right"``.
    :ivar positionMm: (3,) where it is, RAS, mm: between the two fingertips when it began, and moved as the hand since.
    :ivar timestampMs: time of the frame in its stream, ms.
    :ivar reason: why it ended: ``"opened"``, ``"lost"`` or ``"stopped"``; empty before.
    """

    hand: str
    positionMm: np.ndarray
    timestampMs: float
    reason: str = ""


class Gestures:
    """Follows the hands' pinches, and lets them act on what the parameter node says. To be used in the GUI thread.

    What is held is let go of, without being moved, when the hand is lost, when what is held is gone or not shown any
    more, when another tool needs the hand or the mouse, and by :meth:`stop`.

    :param getParameterNode: returns the scene's parameter node for the module.
    :param network: says whether fingertips touch.
    :param isMirrored: returns whether the hands are shown as their owner sees them.
    :param isBlocked: returns whether nothing may act now: a dialog is open, or the mouse drags something.
    :param highlight: called with a side and whether this hand pinches.
    :param report: called with a name of :mod:`gestures.pinch` and a :class:`Pinch` after each frame that has one.
    :param onChanged: called when :attr:`text` or :attr:`failure` has changed.

    :ivar isReporting: report pinches also while the hands act on nothing.
    :ivar text: what is going on, for the user; empty if nothing is held.
    :ivar failure: why a pinch has found nothing to hold, until the next one; or None.
    """

    _holder: "weakref.ref[Gestures] | None" = None  # of all the logics' gestures, the one that holds something

    def __init__(
        self,
        getParameterNode: Callable[[], Any],
        network: PinchNetwork,
        isMirrored: Callable[[], bool],
        isBlocked: Callable[[], bool],
        highlight: Callable[[str, bool], None],
        report: Callable[[str, Pinch], None],
        onChanged: Callable[[], None],
    ) -> None:
        self._getParameterNode, self._isMirrored, self._isBlocked = getParameterNode, isMirrored, isBlocked
        self._network = network
        self._highlight, self._report, self._onChanged = highlight, report, onChanged
        self.isReporting = False
        self.text = ""
        self.failure: LiveHandError | None = None
        self._viewText = ViewText()
        self._recognizer = PinchRecognizer(self._network)
        self._timeMs = 0.0
        self._actsOn = HandsActOn.NOTHING
        self._parameters: tuple[Any, ...] = ()
        self._action: Action | None = None
        self._holding: set[str] = set()  # the hands that take part in the action
        self._spent: set[str] = set()  # those that have to be opened before they can hold anything
        self._done: deque[Action] = deque(maxlen=UNDONE_AT_MOST)

    def applyParameters(self) -> None:
        """Do what the parameter node asks for from now on; if that has changed, what is held is let go of."""
        node = self._getParameterNode()
        parameters = (node.handsActOn, node.gestureView, node.gestureSlice, node.heldNode)
        if parameters != self._parameters:
            self.stop()
            self._parameters, self._actsOn = parameters, node.handsActOn
            self._setFailure(None)

    def add(self, frame: TrackedFrame) -> None:
        """Take the next frame's hands."""
        if self._actsOn is HandsActOn.NOTHING and not self.isReporting:
            return
        self._timeMs = frame.timestampMs
        if self._isBlocked() or (self._action and not self._mayGoOn()):
            events = self._recognizer.stop(self._timeMs)
        else:
            events = self._recognizer.update(frame.hands, frame.imageSize, self._timeMs)
        if events:
            self._follow(events)

    def off(self) -> None:
        """Let go of everything, and let the hands act on nothing from now on."""
        self._getParameterNode().handsActOn = HandsActOn.NOTHING
        self.stop()

    def stop(self) -> None:
        """Let go of everything; a hand has to be seen open before it pinches again."""
        events = self._recognizer.stop(self._timeMs)
        if events:
            self._follow(events)

    def endLive(self) -> None:
        """Live is off: let go of everything. The next stream begins anew."""
        self.stop()
        self._recognizer = PinchRecognizer(self._network)

    def forget(self) -> None:
        """The scene is closed: let go, and drop what belongs to it."""
        self.endLive()
        self._done.clear()
        self._actsOn, self._parameters = HandsActOn.NOTHING, ()
        self._setFailure(None)

    def canUndo(self) -> bool:
        """Whether there is anything to undo."""
        return bool(self._done)

    def undo(self) -> None:
        """Give back what was before the hands acted the last time; again, the time before."""
        self.stop()
        if self._done:
            self._done.pop().restore()
            self._onChanged()

    # Inside

    def _mayGoOn(self) -> bool:
        assert self._action
        return self._action.isThere() and (not isPlacing() or isinstance(self._action, PlacePoint))

    def _follow(self, events: list[PinchEvent]) -> None:
        for event in events:
            if event.name == STARTED:
                self._highlight(event.hand, True)
            elif event.name == ENDED:
                self._highlight(event.hand, False)
                self._spent.discard(event.hand)
        held = self._recognizer.held
        holding = {side: event for side, event in held.items() if side not in self._spent}
        if self._actsOn is not HandsActOn.NOTHING or self._action:
            if holding.keys() != self._holding:
                self._take(holding)
            elif self._action:
                self._action.move(holding)
                self._setText(self._action.text())
        # Last, for a slot may do anything.
        for event in events:
            self._report(event.name, Pinch(event.hand, self._inRas(event), event.timestampMs, event.reason))

    def _take(self, holding: dict[str, PinchEvent]) -> None:
        """These hands hold from now on; others than before, or none."""
        if self._action and self._holding - holding.keys() and not self._action.GOES_ON_WITH_ONE:
            self._spent |= self._holding & holding.keys()
            holding = {side: event for side, event in holding.items() if side not in self._spent}
            self._letGo()
        if not holding:
            self._letGo()
            return
        if not self._action:
            self._setFailure(None)
            try:
                self._action = self._newAction(holding)
            except LiveHandError as error:
                self._spent |= holding.keys()
                self._setFailure(error)
                return
            Gestures._holder = weakref.ref(self)
            self._done.append(self._action)
        self._action.take(holding)
        self._holding = set(holding)
        self._setText(self._action.text())

    def _newAction(self, holding: dict[str, PinchEvent]) -> Action:
        holder = Gestures._holder and Gestures._holder()
        if holder not in (None, self):
            raise LiveHandError("gestureElsewhere")
        context = Context(self._getParameterNode, self._cameraToRas(), self._isMirrored())
        if isPlacing():  # another tool waits for a place; only if it is a point list the hands can give it one
            return PlacePoint(context, holding)
        return ACTIONS[self._actsOn.name](context, holding)

    def _letGo(self) -> None:
        if self._action:
            self._action.end()
            self._action = None
            Gestures._holder = None
        self._holding = set()
        self._setText("")

    def _cameraToRas(self) -> np.ndarray:
        node = reference.handsTransform(self._getParameterNode())
        return reference.matrixToWorld(node) if node else CAMERA_TO_RAS["owner"]

    def _inRas(self, event: PinchEvent) -> np.ndarray:
        node = reference.handsTransform(self._getParameterNode())
        if node:
            return reference.pointToWorld(node, event.positionMm)
        return CAMERA_TO_RAS["owner"][:3] @ (*event.positionMm, 1.0)

    def _setText(self, text: str) -> None:
        if text != self.text:
            self.text = text
            self._viewText.show(text, self._action.viewNode if self._action else None)
            self._onChanged()

    def _setFailure(self, failure: LiveHandError | None) -> None:
        if failure is not self.failure:
            self.failure = failure
            self._onChanged()


def isPlacing() -> bool:
    """Whether Slicer is in place mode: a tool waits for the user to give it a place."""
    node = slicer.app.applicationLogic().GetInteractionNode()
    return bool(node and node.GetCurrentInteractionMode() == node.Place)
