"""What pinching hands can take hold of, and how that follows them. Knows MRML, nothing of Qt, cameras or threads."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..errors import LiveHandError
from ..gestures import moves
from ..gestures.hold import rotationMatrix
from ..gestures.pinch import PinchEvent

VIEW_TANGENTS = 0.86
"""The way of both hands, in tangents of the camera's directions, that moves what is seen across the height of a view:
what a webcam sees from its lower to its upper edge."""

Events = Mapping[str, PinchEvent]


@dataclass(frozen=True)
class Context:
    """What an action is made with.

    :ivar parameters: the scene's parameter node for the module.
    :ivar cameraToRas: (4, 4) from the camera's coordinate system to RAS, mm.
    :ivar isMirrored: the hands are shown as their owner sees them: what is right in the image is at the left.
    """

    parameters: Any
    cameraToRas: np.ndarray
    isMirrored: bool

    def toRas(self, pointMm: np.ndarray) -> np.ndarray:
        """(3,) a point of the camera's coordinate system in RAS, mm."""
        return self.cameraToRas[:3, :3] @ pointMm + self.cameraToRas[:3, 3]


class Action:
    """What hands do with what they hold, from the first pinch that takes hold of it until the last lets go.

    Making one finds what is to be held; :meth:`take` is called when a hand joins or leaves, with the pinches that hold
    from then on, and :meth:`move` in each frame, with the same pinches.

    :param context: see :class:`Context`.
    :param events: the pinches that take hold.
    :raises LiveHandError: when there is nothing to be held.

    :ivar viewNode: the view whose corner says what is held; None for the first 3D view.
    """

    GOES_ON_WITH_ONE = False
    """Whether one of two hands goes on when the other has let go; otherwise it has to be opened before."""

    viewNode: Any = None

    def __init__(self, context: Context, events: Events) -> None:
        raise NotImplementedError

    def take(self, events: Events) -> None:
        """These pinches hold from now on, and what they have moved before does not count."""
        raise NotImplementedError

    def move(self, events: Events) -> None:
        """Follow the pinches."""
        raise NotImplementedError

    def isThere(self) -> bool:
        """Whether what is held can still be held."""
        raise NotImplementedError

    def text(self) -> str:
        """What is going on, for the user."""
        raise NotImplementedError

    def end(self) -> None:
        """Nothing is held any more."""

    def restore(self) -> None:
        """Give back what was before, as far as it is still there."""
        raise NotImplementedError


def _directions(events: Events) -> tuple[np.ndarray, np.ndarray]:
    return events["Left"].direction, events["Right"].direction


def shownViews(className: str) -> list[Any]:
    """The views of a kind that the layout shows.

    :param className: ``"vtkMRMLViewNode"`` or ``"vtkMRMLSliceNode"``.
    """
    return [node for node in slicer.util.getNodesByClass(className) if node.IsMappedInLayout()]


class RotateView(Action):
    """One hand rotates a 3D view about its focal point; two hands zoom, pan and roll it."""

    def __init__(self, context: Context, events: Events) -> None:
        name = context.parameters.gestureView
        views = [view for view in shownViews("vtkMRMLViewNode") if name in ("", view.GetLayoutName())]
        cameras = {camera.GetLayoutName(): camera for camera in slicer.util.getNodesByClass("vtkMRMLCameraNode")}
        self.viewNode = next((view for view in views if view.GetLayoutName() in cameras), None)
        if not self.viewNode:
            raise LiveHandError("gestureNoView")
        self._camera = cameras[self.viewNode.GetLayoutName()]
        self._isMirrored = context.isMirrored
        self._before = self._state()
        self._hands = len(events)

    def _state(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        camera = self._camera
        position, focalPoint, viewUp = camera.GetPosition(), camera.GetFocalPoint(), camera.GetViewUp()
        return np.array(position), np.array(focalPoint), np.array(viewUp), camera.GetParallelScale()

    def _set(self, position: np.ndarray, focalPoint: np.ndarray, viewUp: np.ndarray, parallelScale: float) -> None:
        camera = self._camera
        with slicer.util.NodeModify(camera):
            camera.SetPosition(position.tolist())
            camera.SetFocalPoint(focalPoint.tolist())
            camera.SetViewUp(viewUp.tolist())
            camera.SetParallelScale(parallelScale)
        camera.ResetClippingRange()

    def take(self, events: Events) -> None:
        self._start, self._from, self._hands = dict(events), self._state(), len(events)

    def move(self, events: Events) -> None:
        position, focalPoint, viewUp, parallelScale = self._from
        if self._hands == 1:
            (side,) = events
            angles = moves.dragAngles(self._start[side].direction, events[side].direction, self._isMirrored)
            position, viewUp = moves.orbit(position, focalPoint, viewUp, *angles)
        else:
            zoom, pan, roll = moves.twoHands(_directions(self._start), _directions(events), self._isMirrored)
            away = position - focalPoint
            distance = math.sqrt(away @ away)
            # Who looks along the axis sees a camera that turns to the right, and a scene that turns to the left.
            viewUp = rotationMatrix(away * (-math.radians(roll) / distance)) @ viewUp
            right = np.cross(viewUp, away / distance)
            if self._camera.GetParallelProjection():
                height = 2.0 * parallelScale
                parallelScale = parallelScale / zoom
            else:
                height = 2.0 * distance * math.tan(math.radians(self._camera.GetViewAngle()) / 2.0)
                away = away / zoom
            focalPoint = focalPoint - (pan[0] * right + pan[1] * viewUp) * (height / zoom / VIEW_TANGENTS)
            position = focalPoint + away
        self._set(position, focalPoint, viewUp, parallelScale)

    def isThere(self) -> bool:
        nodes = self.viewNode, self._camera
        return all(node.GetScene() for node in nodes) and bool(self.viewNode.IsMappedInLayout())

    def text(self) -> str:
        return _("Rotate") if self._hands == 1 else _("Zoom, pan, roll")

    def restore(self) -> None:
        if self._camera.GetScene():
            self._set(*self._before)


ACTIONS: dict[str, Callable[[Context, Events], Action]] = {"VIEW": RotateView}
"""What the hands do, by the names of :class:`gestures.HandsActOn`."""
