"""What pinching hands can take hold of, and how that follows them. Knows MRML, nothing of Qt, cameras or threads."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from ..errors import LiveHandError
from ..gestures import moves
from ..gestures.hold import rotationMatrix
from ..gestures.pinch import PinchEvent
from . import reference

VIEW_TANGENTS = 0.86
"""The way of both hands, in tangents of the camera's directions, that moves what is seen across the height of a view:
what a webcam sees from its lower to its upper edge."""

Events = Mapping[str, PinchEvent]


@dataclass(frozen=True)
class Context:
    """What an action is made with.

    :ivar getParameterNode: returns the scene's parameter node for the module. Not the node itself: actions are kept to
        be undone, and a wrapper that is kept goes on reading its node when a scene is loaded.
    :ivar cameraToRas: (4, 4) from the camera's coordinate system to RAS, mm.
    :ivar isMirrored: the hands are shown as their owner sees them: what is right in the image is at the left.
    """

    getParameterNode: Callable[[], Any]
    cameraToRas: np.ndarray
    isMirrored: bool

    @property
    def parameters(self) -> Any:
        """The scene's parameter node for the module."""
        return self.getParameterNode()

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
        self._text = _("Rotate") if self._hands == 1 else _("Zoom, pan, roll")

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
        return self._text

    def restore(self) -> None:
        if self._camera.GetScene():
            self._set(*self._before)


class MoveSlices(Action):
    """One hand scrolls a slice view; with the other one pinching as well, it sets window and level when it moves alone,
    and both zoom and pan."""

    DECIDING_TANGENTS = 0.03
    """How far one of two hands has to move before it is known what both do, in tangents of the camera's directions: at
    half a metre 15 mm."""

    ALONE = 0.35
    """One of two hands moves alone if the other has gone less than this share of its way."""

    def __init__(self, context: Context, events: Events) -> None:
        self._context = context
        self.viewNode = self._find(next(iter(events.values())))
        self._logic: Any = slicer.app.applicationLogic().GetSliceLogic(self.viewNode) if self.viewNode else None
        if not self._logic:
            raise LiveHandError("gestureNoSlice")
        volume = self._logic.GetBackgroundLayer().GetVolumeNode()
        self._display: Any = volume.GetScalarVolumeDisplayNode() if isScalar(volume) else None
        self._range = volume.GetImageData().GetScalarRange() if self._display else (0.0, 0.0)
        self._before = self._state()
        self._autoBefore = bool(self._display and self._display.GetAutoWindowLevel())
        self._logic.StartSliceNodeInteraction(  # views that are linked follow
            self.viewNode.SliceToRASFlag | self.viewNode.FieldOfViewFlag | self.viewNode.XYZOriginFlag
        )

    def _find(self, event: PinchEvent) -> Any:
        """The slice view that is chosen; or else the nearest of those that the pinch is on, seen along its normal."""
        views = shownViews("vtkMRMLSliceNode")
        name = self._context.parameters.gestureSlice
        if name:
            return next((view for view in views if view.GetLayoutName() == name), None)
        point = [*self._context.toRas(event.positionMm), 1.0]
        distances = []
        for view in views:
            x, y, z, _w = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())) @ point
            width, height, _depth = view.GetFieldOfView()
            originX, originY, _originZ = view.GetXYZOrigin()
            if abs(x - originX) <= width / 2.0 and abs(y - originY) <= height / 2.0:
                distances.append((abs(z), view))
        return min(distances, key=lambda one: one[0])[1] if distances else None

    def _state(self) -> tuple[Any, ...]:
        node, display = self.viewNode, self._display
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(node.GetSliceToRAS())
        windowLevel = (display.GetWindow(), display.GetLevel()) if display else None
        return matrix, node.GetFieldOfView(), node.GetXYZOrigin(), windowLevel

    def take(self, events: Events) -> None:
        self._does = "" if len(events) == 2 else "scroll"
        self._begin(events)

    def _begin(self, events: Events) -> None:
        self._start, self._from, self._offset = dict(events), self._state(), self._logic.GetSliceOffset()

    def move(self, events: Events) -> None:
        if not self._does:
            ways = {side: event.direction - self._start[side].direction for side, event in events.items()}
            lengths = {side: math.sqrt(way @ way) for side, way in ways.items()}
            self._side = max(lengths, key=lambda side: lengths[side])
            if lengths[self._side] < self.DECIDING_TANGENTS:
                return
            isAlone = min(lengths.values()) < self.ALONE * lengths[self._side]
            self._does = "window" if isAlone else "zoom"
            self._begin(events)  # nothing jumps
        elif self._does == "scroll":
            (side,) = events
            self._scroll(self._start[side].positionMm, events[side].positionMm)
        elif self._does == "zoom":
            self._zoom(events)
        elif self._display:
            start, now = self._start[self._side].direction, events[self._side].direction
            window, level = self._from[3]
            windowLevel = moves.windowLevel(window, level, self._range, start, now, self._context.isMirrored)
            self._setWindowLevel(windowLevel, isAutomatic=False)

    def _scroll(self, startMm: np.ndarray, nowMm: np.ndarray) -> None:
        parameters = self._context.parameters
        offset = moves.scrolled(self._offset, startMm, nowMm, parameters.scrollFactor)
        spacing = self._logic.GetLowestVolumeSliceSpacing()[2] if parameters.snapToSlices else 0.0
        if abs(offset - self._offset) < spacing / 2.0:
            offset = self._offset  # not onto a slice before the hand has moved so far
        if isScalar(self._logic.GetBackgroundLayer().GetVolumeNode()):
            bounds = [0.0] * 6
            self._logic.GetLowestVolumeSliceBounds(bounds)
            offset = min(max(offset, min(bounds[4], self._offset)), max(bounds[5], self._offset))
        with slicer.util.NodeModify(self.viewNode):
            self._logic.SetSliceOffset(offset)
            if parameters.snapToSlices and offset != self._offset:
                self._logic.SnapSliceOffsetToIJK()

    def _zoom(self, events: Events) -> None:
        zoom, pan, _roll = moves.twoHands(_directions(self._start), _directions(events), self._context.isMirrored)
        _matrix, (width, height, depth), (x, y, z), _windowLevel = self._from
        way = pan * (height / zoom / VIEW_TANGENTS)
        with slicer.util.NodeModify(self.viewNode):
            self.viewNode.SetFieldOfView(width / zoom, height / zoom, depth)
            self.viewNode.SetXYZOrigin(x - way[0], y - way[1], z)

    def _setWindowLevel(self, windowLevel: tuple[float, float], isAutomatic: bool) -> None:
        with slicer.util.NodeModify(self._display):
            self._display.SetAutoWindowLevel(isAutomatic)
            self._display.SetWindowLevel(*windowLevel)

    def isThere(self) -> bool:
        isDisplayThere = self._does != "window" or not self._display or self._display.GetScene()
        return bool(self.viewNode.GetScene() and self.viewNode.IsMappedInLayout() and isDisplayThere)

    def text(self) -> str:
        name = self.viewNode.GetName()
        if self._does == "zoom":
            return _("Zoom {view}").format(view=name)
        if self._does == "window":
            if not self._display:
                return _("{view} has no volume").format(view=name)
            return _("Window {window:.0f}, level {level:.0f}").format(
                window=self._display.GetWindow(), level=self._display.GetLevel()
            )
        if not self._does:
            return _("Move one hand or both: {view}").format(view=name)
        return _("Scroll {view}: {place}").format(view=name, place=placeOf(self.viewNode))

    def end(self) -> None:
        self._logic.EndSliceNodeInteraction()

    def restore(self) -> None:
        matrix, fieldOfView, origin, windowLevel = self._before
        if self.viewNode.GetScene():
            with slicer.util.NodeModify(self.viewNode):
                self.viewNode.GetSliceToRAS().DeepCopy(matrix)
                self.viewNode.SetFieldOfView(*fieldOfView)
                self.viewNode.SetXYZOrigin(*origin)
                self.viewNode.UpdateMatrices()
        if self._display and self._display.GetScene():
            self._setWindowLevel(windowLevel, self._autoBefore)


def isScalar(volume: Any) -> bool:
    """Whether there is a volume with one value for each voxel, and with voxels."""
    return bool(volume and volume.GetImageData() and volume.GetImageData().GetNumberOfScalarComponents() == 1)


def placeOf(sliceNode: "slicer.vtkMRMLSliceNode") -> str:
    """Where a slice is, as ``S 34.5 mm``: along the axis of RAS that is next to its normal."""
    matrix = sliceNode.GetSliceToRAS()
    normal = [matrix.GetElement(row, 2) for row in range(3)]
    axis = max(range(3), key=lambda row: abs(normal[row]))
    offset = math.copysign(1.0, normal[axis]) * sliceNode.GetSliceOffset()
    return f"{'RAS'[axis] if offset >= 0.0 else 'LPI'[axis]} {abs(offset):.1f} mm"


class CarryTransform(Action):
    """One hand carries a transform with six degrees of freedom, two hands hold it at two points."""

    GOES_ON_WITH_ONE = True

    _MADE = "LiveHand.Carries"  # the attribute of a transform that was made to carry a node

    def __init__(self, context: Context, events: Events) -> None:
        self._context = context
        node = context.parameters.heldNode
        if not node:
            raise LiveHandError("gestureNoTransform")
        self._name = node.GetName()
        hands = reference.handsTransform(context.parameters)
        isTransform = node.IsA("vtkMRMLTransformNode")
        parent = node if isTransform else node.GetParentTransformNode()
        # What the hands are under would run away from them.
        if parent and (not parent.IsTransformToWorldLinear() or (hands and isUnder(hands, parent))):
            raise LiveHandError("gestureNotHoldable", name=self._name)
        if not isTransform and not (parent and parent.GetAttribute(self._MADE)):
            parent = self._newTransform(node)
        self._node, self._held = parent, node
        self._before = self._matrix()
        self._text = _("Move {name}").format(name=self._name)

    def _newTransform(self, node: Any) -> "slicer.vtkMRMLLinearTransformNode":
        name = _("{name} Transform").format(name=node.GetName())
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        transform.SetAttribute(self._MADE, node.GetID())
        transform.SetAndObserveTransformNodeID(node.GetTransformNodeID())
        node.SetAndObserveTransformNodeID(transform.GetID())
        return transform

    def _matrix(self) -> np.ndarray:
        return slicer.util.arrayFromTransformMatrix(self._node)

    def take(self, events: Events) -> None:
        self._start, self._from, self._hands = dict(events), self._matrix(), len(events)
        parent = self._node.GetParentTransformNode()
        toWorld = slicer.util.arrayFromTransformMatrix(parent, toWorld=True) if parent else np.eye(4)
        self._parentToWorld = toWorld, np.linalg.inv(toWorld)

    def move(self, events: Events) -> None:
        parameters = self._context.parameters
        canMove, canTurn = not parameters.lockTranslation, not parameters.lockRotation
        if self._hands == 1:
            (side,) = events
            start, now = self._start[side], events[side]
            now = replace(now, rotation=now.rotation @ start.rotation.T)  # since it took hold, not since it pinches
            motion = moves.carried(start, now, canMove, canTurn)
        else:
            before, after = ((one["Left"].positionMm, one["Right"].positionMm) for one in (self._start, events))
            motion = moves.carriedByTwo(before, after, canMove, canTurn, parameters.scaleWithHands)
        toWorld, fromWorld = self._parentToWorld
        self._set(fromWorld @ moves.inCoordinates(motion, self._context.cameraToRas) @ toWorld @ self._from)

    def _set(self, matrix: np.ndarray) -> None:
        self._node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))

    def isThere(self) -> bool:
        isCarried = self._held is self._node or self._held.GetParentTransformNode() is self._node
        return bool(
            self._node.GetScene() and self._held.GetScene() and isCarried and self._node.IsTransformToWorldLinear()
        )

    def text(self) -> str:
        return self._text

    def restore(self) -> None:
        if self._node.GetScene():
            self._set(self._before)


def isUnder(node: Any, transform: Any) -> bool:
    """Whether a transform node is another one or below it."""
    while node and node is not transform:
        node = node.GetParentTransformNode()
    return node is transform


def carriableNodes(hands: Any) -> list[Any]:
    """What hands can be let carry: transforms, models and volumes, but for those of the hands.

    :param hands: the transform that the hands are under, or None.
    """
    kinds = "vtkMRMLLinearTransformNode", "vtkMRMLModelNode", "vtkMRMLVolumeNode"
    nodes = [node for kind in kinds for node in slicer.util.getNodesByClass(kind) if not node.GetHideFromEditors()]
    return [node for node in nodes if not hands or hands not in (node, node.GetParentTransformNode())]


class PlacePoint(Action):
    """Puts a point into the list that is in place mode; held it does nothing."""

    def __init__(self, context: Context, events: Events) -> None:
        applicationLogic = slicer.app.applicationLogic()
        self._list = slicer.mrmlScene.GetNodeByID(applicationLogic.GetSelectionNode().GetActivePlaceNodeID() or "")
        interaction = applicationLogic.GetInteractionNode()
        if not (self._list and self._list.IsA("vtkMRMLMarkupsFiducialNode")) or self._list.GetLocked():
            raise LiveHandError("gestureNoPointList")
        limit = self._list.GetMaximumNumberOfControlPoints()
        if self._list.GetFixedNumberOfControlPoints() or 0 <= limit <= self._list.GetNumberOfControlPoints():
            raise LiveHandError("gestureNoPointList")
        event = next(iter(events.values()))
        number = self._list.AddControlPointWorld(vtk.vtkVector3d(*context.toRas(event.positionMm)))
        self._id = self._list.GetNthControlPointID(number)
        if not interaction.GetPlaceModePersistence():
            interaction.SwitchToViewTransformMode()

    def take(self, events: Events) -> None:
        pass

    def move(self, events: Events) -> None:
        pass

    def isThere(self) -> bool:
        return True

    def text(self) -> str:
        return _("Point placed in {name}").format(name=self._list.GetName())

    def restore(self) -> None:
        index = self._list.GetNthControlPointIndexByID(self._id) if self._list.GetScene() else -1
        if index >= 0:
            self._list.RemoveNthControlPoint(index)


ACTIONS: dict[str, Callable[[Context, Events], Action]] = {
    "VIEW": RotateView,
    "SLICES": MoveSlices,
    "TRANSFORM": CarryTransform,
}
"""What the hands do, by the names of :class:`gestures.HandsActOn`."""
