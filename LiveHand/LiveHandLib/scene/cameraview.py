"""A 3D view from the camera: its image behind the models, and the hand before them. Knows MRML, VTK and Slicer's
layout, nothing of Qt, cameras or threads.

Nothing of the scene or of the view is changed for it, so that nothing has to be restored but what is listed in
:meth:`CameraView.remove`:

- The view gets a VTK camera of its own; the view's camera node, which is the user's, is left alone.
- The image is the texture of a mesh far behind everything else, which has the distortion in its points: VTK undistorts
  while it renders. It is opaque, so translucent models and volumes are rendered over it as over other models.
- Fading the models is done by the image as well: drawn once more over all, as translucent as they shall be opaque.
- A hand that occludes is its surface with the image as texture: it looks like the image behind it, and what is farther
  away than the hand is behind its surface. Unlike a surface that is drawn into the depth buffer only, it need not be
  drawn before all others, which Slicer's renderers have no means for.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

from ..calibration.imagemesh import ImageMesh, frustum
from ..calibration.intrinsics import Intrinsics, choose
from ..errors import LiveHandError
from ..landmarks import FINGERS, Landmark
from ..pose import coordinates
from ..pose.estimator import TrackedFrame, TrackedHand
from . import reference
from .handnodes import Surface

NEAREST_MM, FARTHEST_MM = 10.0, 5000.0
"""What is nearer to the camera is not shown, and what is farther away is behind its image, mm."""

WRIST_BEYOND = 0.10
"""How far the wrist of the surface is beyond MediaPipe's, as a part of the palm's length.

On rigged hands MediaPipe lays the wrist 15 mm nearer to the fingers than the mesh has it, half of which the surface
knows of already (``surface.py``), and the tips of the fingers 4 mm farther out, so that the surface would be longer
than the finger by as much. A hand that is drawn may be; one that occludes has to end where it ends in the image.
"""
TIPS_BEFORE = np.array([0.08, 0.16, 0.16, 0.16, 0.16])
"""How far the tips, from the thumb on, are before MediaPipe's, as a part of the last bone."""
_TIPS = np.array([Landmark.THUMB_TIP, *(tip for _mcp, _pip, _dip, tip in FINGERS)])
_JOINTS_BEFORE = _TIPS - 1

DELETED = ValueError, RuntimeError
"""What PythonQt and PySide raise where a view has been deleted."""
ELSEWHERE = "vtkMRMLSliceNodeRed"
"""A view that the hand may be in when there is none but the camera's: Slicer's first slice view."""


class HandOverImage(Enum):
    """What is seen of the tracked hand in the view from the camera."""

    DRAWN = 0
    HIDDEN = 1
    OCCLUDES = 2

    def label(self) -> str:
        """The name for the user."""
        names = {"DRAWN": _("Drawn"), "HIDDEN": _("Hidden"), "OCCLUDES": _("Occludes what is behind it")}
        return names[self.name]


class CameraView:
    """Shows the scene in a 3D view as the camera sees it, over the camera's image.

    :param getParameterNode: returns the scene's parameter node for the module.
    :param meshPath: the mesh of a hand's surface.
    :param handNodes: returns the nodes of the hands.

    :ivar failure: why the view is as it is otherwise, although it is chosen; None if it is not.
    :ivar view: the widget of the 3D view that shows the image; None if there is none.
    :ivar isCalibrated: whether the camera's calibration is known; where it is only guessed, nothing is in its place.
    """

    def __init__(
        self,
        getParameterNode: Callable[[], Any],
        meshPath: Path,
        handNodes: Callable[[], Iterable["slicer.vtkMRMLDisplayableNode"]],
    ) -> None:
        self.failure: LiveHandError | None = None
        self.view: Any = None
        self.isCalibrated = True
        self._getParameterNode = getParameterNode
        self._meshPath = meshPath
        self._handNodes = handNodes
        self._intrinsics: Intrinsics | None = None
        self._chosenFrom: tuple[Any, ...] = ()
        self._mesh: ImageMesh | None = None
        self._opacity = 1.0
        self._scale = 1.0  # mm of RAS in a mm of the camera
        self._range = 0.0, 0.0  # the clipping range, as it is after it has been set
        self._size = 0, 0  # of the view when the image over all was placed, px
        self._hidden = HiddenInView()
        self._masks: dict[str, _Mask] = {}

        self._renderer: vtk.vtkRenderer | None = None
        self._tag = 0
        self._camera = vtk.vtkCamera()
        self._image = vtk.vtkImageData()
        self._texture = vtk.vtkTexture()
        self._texture.InterpolateOn()
        self._texture.EdgeClampOn()
        self._background, self._backgroundData = _texturedActor(self._texture), vtk.vtkPolyData()
        self._background.GetMapper().SetInputData(self._backgroundData)
        self._foreground, self._foregroundData = vtk.vtkTexturedActor2D(), vtk.vtkPolyData()
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(self._foregroundData)
        self._foreground.SetMapper(mapper)
        self._foreground.SetTexture(self._texture)
        self._foreground.PickableOff()

    def show(self, frame: TrackedFrame, calibrations: tuple[Intrinsics, ...]) -> None:
        """Show a frame's image, and the scene as it was seen from there; or give the view back where that is not known.

        To be called when the transforms have been moved to where they are in the frame, and before any view renders.

        :param frame: with its image.
        :param calibrations: the camera's, see :func:`intrinsics.choose`.
        :raises LiveHandError: ``meshMissing``.
        """
        parameterNode = self._getParameterNode()
        if not parameterNode.cameraView or frame.image is None:
            self.remove()
            return
        try:
            if reference.isLost(parameterNode, frame):
                raise LiveHandError("cameraViewReference")
            view = self._chosenView(parameterNode.cameraViewName)
            viewpoint, matrix = self._viewpoint(parameterNode)
        except LiveHandError as error:
            self.remove()
            self.failure = error
            return
        self.failure = None
        pose = frame.reference
        if view is self.view and pose is not None and pose.ageMs > 0.0 and not pose.isStill:
            return  # it has moved on since it was seen: the image and the pose before belong together, these do not
        self._useIntrinsics(calibrations, frame.imageSize)
        self._putInto(view)
        self._showImage(frame.image)
        place, along, up, self._scale = viewpoint
        toRas = slicer.util.vtkMatrixFromArray(matrix)
        self._background.SetUserMatrix(toRas)
        self._camera.SetPosition(*place)
        self._camera.SetFocalPoint(*(place + self._scale * coordinates.WORKING_DISTANCE_MM * along))
        self._camera.SetViewUp(*up)
        self._reachImage()
        self._opacity = parameterNode.cameraViewOpacity
        self._foreground.GetProperty().SetOpacity(1.0 - self._opacity)
        self._foreground.SetVisibility(self._opacity < 1.0)
        isDrawn = parameterNode.cameraViewHand == HandOverImage.DRAWN
        self._hidden.update(() if isDrawn else self._handNodes(), view.mrmlViewNode())
        occludes = parameterNode.cameraViewHand == HandOverImage.OCCLUDES
        self._showMasks(frame.hands if occludes else {}, toRas)
        view.scheduleRender()

    @contextlib.contextmanager
    def inOneGo(self) -> Iterator[None]:
        """Hold up the view's rendering while nodes are moved to where they are in a frame, until its image is there.

        A view renders at once if what it was asked for is still due after 1/60 s; half-way that would show the models
        of one frame over the image of another one.
        """
        view = self.view
        if view is None:
            yield
            return
        with contextlib.suppress(*DELETED):
            view.pauseRender()
        try:
            yield
        finally:
            with contextlib.suppress(*DELETED):
                view.resumeRender()

    def remove(self) -> None:
        """Give the view back as it was: its camera, without the image, and with the hands in it."""
        self.failure = None
        if self.view is None:
            return
        view, renderer = self.view, self._renderer
        self.view = self._renderer = None
        self._hidden.remove()
        assert renderer
        renderer.RemoveObserver(self._tag)
        for prop in (self._background, self._foreground, *(mask.actor for mask in self._masks.values())):
            renderer.RemoveViewProp(prop)
        self._masks.clear()
        self._texture.SetInputData(None)
        self._image.Initialize()
        with contextlib.suppress(*DELETED):
            node = _cameraNode(view.mrmlViewNode())
            renderer.SetActiveCamera(node.GetCamera() if node else None)
            renderer.ResetCameraClippingRange()
            view.scheduleRender()

    def _putInto(self, view: Any) -> None:
        if view is self.view:
            return
        self.remove()
        self.view = view
        self._renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        self._renderer.AddViewProp(self._background)
        self._renderer.AddViewProp(self._foreground)
        self._renderer.SetActiveCamera(self._camera)
        self._tag = self._renderer.AddObserver(vtk.vtkCommand.StartEvent, self._onRenderStart)
        self._size = 0, 0

    # What is seen from where

    @staticmethod
    def _chosenView(name: str) -> Any:
        views = shownViews()
        views = [view for view in views if name in ("", view.mrmlViewNode().GetLayoutName())]
        if not views:
            raise LiveHandError("cameraViewMissing")
        return views[-1]

    @staticmethod
    def _viewpoint(parameterNode: Any) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]:
        transform = reference.handsTransform(parameterNode) or reference.toRas(parameterNode)
        if not transform.IsTransformToWorldLinear():
            raise LiveHandError("cameraViewTransform")
        matrix = slicer.util.arrayFromTransformMatrix(transform, toWorld=True)
        return coordinates.viewpoint(matrix), matrix

    def _useIntrinsics(self, calibrations: tuple[Intrinsics, ...], imageSize: tuple[int, int]) -> None:
        if self._chosenFrom == (calibrations, imageSize):
            return
        self._chosenFrom = calibrations, imageSize
        self._intrinsics = choose(calibrations, imageSize)
        self.isCalibrated = self._intrinsics.isCalibrated
        self._mesh = ImageMesh.of(self._intrinsics)
        behind = 0.99 * FARTHEST_MM * np.insert(self._mesh.points, 2, 1.0, axis=1)
        # The last quad, without area, has the image's bounds begin at the camera: see _reachImage.
        nearest, number = [[0.0, 0.0, NEAREST_MM]], len(behind)
        self._backgroundData.SetPoints(_points(np.concatenate([behind, nearest])))
        backgroundQuads = np.concatenate([self._mesh.quads, [[number] * 4]])
        backgroundCoordinates = np.concatenate([self._mesh.textureCoordinates, [[0.0, 0.0]]])
        _setQuads(self._backgroundData, backgroundQuads, backgroundCoordinates)
        _setQuads(self._foregroundData, self._mesh.quads, self._mesh.textureCoordinates)
        self._size = 0, 0

    def _onRenderStart(self, caller: vtk.vtkRenderer, event: str) -> None:
        """Fit the frustum to the window, which may have another size by now, and undo what others have done to it."""
        assert self._mesh
        size = caller.GetSize()
        if min(size) < 1:
            return
        if caller.GetActiveCamera() is not self._camera:
            caller.SetActiveCamera(self._camera)
        angle, center = frustum(self._mesh.box, size[0] / size[1])
        self._camera.SetViewAngle(angle)
        self._camera.SetWindowCenter(*center)
        self._reachImage()
        if self._opacity < 1.0 and size != self._size:
            self._size = size
            half = np.tan(np.radians(angle / 2.0)) * np.array([size[0] / size[1], -1.0])
            placed = (self._mesh.points / half - center + 1.0) / 2.0 * size
            self._foregroundData.SetPoints(_points(np.insert(placed, 2, 0.0, axis=1)))

    def _reachImage(self) -> None:
        """Set the camera's clipping range, unless it is still as it became by that.

        In views with layers (vtkMRMLLayerDisplayableManager), whatever the camera is set to, its clipping range becomes
        that of what is visible, and the view renders once more: setting it at each render would go on for ever. The
        image's bounds are from the camera to the image, so that it is the same range then, whatever else is visible.
        """
        if self._camera.GetClippingRange() == self._range:
            return
        self._background.SetUseBounds(True)  # only here: nobody is to center a view on it
        self._camera.SetClippingRange(self._scale * NEAREST_MM, self._scale * FARTHEST_MM)
        self._background.SetUseBounds(False)
        self._range = self._camera.GetClippingRange()

    # What is shown

    def _showImage(self, image: np.ndarray) -> None:
        height, width = image.shape[:2]
        self._image.SetDimensions(width, height, 1)
        # VTK keeps the frame's own array, without a copy.
        self._image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(image).reshape(-1, 3)))
        self._texture.SetInputData(self._image)

    def _showMasks(self, hands: Mapping[str, TrackedHand], toRas: vtk.vtkMatrix4x4) -> None:
        assert self._renderer and self._intrinsics
        for side in set(self._masks) - set(hands):
            self._renderer.RemoveViewProp(self._masks.pop(side).actor)
        for side, hand in hands.items():
            if side not in self._masks:
                self._masks[side] = _Mask(self._meshPath, side, self._texture)
                self._renderer.AddViewProp(self._masks[side].actor)
            self._masks[side].update(hand, self._intrinsics, toRas)


class _Mask:
    """A hand's surface that looks like the image.

    :raises LiveHandError: ``meshMissing``.
    """

    def __init__(self, meshPath: Path, side: str, texture: vtk.vtkTexture) -> None:
        self._surface = Surface(meshPath, side)
        self._points = vtk_to_numpy(self._surface.polyData.GetPoints().GetData())
        self.actor = _texturedActor(texture)
        self.actor.GetMapper().SetInputData(self._surface.polyData)

    def update(self, hand: TrackedHand, intrinsics: Intrinsics, toRas: vtk.vtkMatrix4x4) -> None:
        """Move it to where the hand is in the image, also while the pose, which is smoothed, stays behind."""
        directions = np.insert(intrinsics.normalized(hand.imagePx), 2, 1.0, axis=1)
        landmarks = directions * hand.cameraMm[:, 2:]
        landmarks[Landmark.WRIST] += WRIST_BEYOND * (landmarks[Landmark.WRIST] - landmarks[Landmark.MIDDLE_FINGER_MCP])
        landmarks[_TIPS] += TIPS_BEFORE[:, None] * (landmarks[_JOINTS_BEFORE] - landmarks[_TIPS])
        self._surface.update(landmarks)
        inFront = np.maximum(self._points, [-np.inf, -np.inf, NEAREST_MM])
        seen = intrinsics.project(inFront) / intrinsics.imageSize
        self._surface.polyData.GetPointData().SetTCoords(numpy_to_vtk(seen.astype(np.float32), deep=True))
        self.actor.SetUserMatrix(toRas)


class HiddenInView:
    """Keeps nodes out of one view, until they are given back to it."""

    def __init__(self) -> None:
        self._before: dict[Any, tuple[list[str], list[str]]] = {}  # by display node: its views before, and since
        self._others: list[str] = []

    def update(self, nodes: Iterable["slicer.vtkMRMLDisplayableNode"], viewNode: "slicer.vtkMRMLViewNode") -> None:
        """Hide these nodes, and no others, in a view.

        :param nodes: where they may be shown besides is left as it is.
        """
        displays = [node.GetDisplayNode() for node in nodes if node.GetDisplayNode()]
        if not displays:
            self.remove()
            return
        kept = viewNode.GetID()
        others = [one.GetID() for one in slicer.util.getNodesByClass("vtkMRMLAbstractViewNode") if one.GetID() != kept]
        if others != self._others:
            self.remove()
            self._others = others
        for display in displays:
            if display.IsDisplayableInView(kept):
                before = list(display.GetViewNodeIDs())
                since = [one for one in before or others if one != kept] or [ELSEWHERE]
                display.SetViewNodeIDs(since)
                self._before[display] = before, list(display.GetViewNodeIDs())

    def remove(self) -> None:
        """Give the nodes back to the view, unless somebody has chosen other views for them meanwhile."""
        given, self._before, self._others = self._before, {}, []
        for display, (before, since) in given.items():
            if list(display.GetViewNodeIDs()) == since:
                display.SetViewNodeIDs(before)


def shownViews() -> list[Any]:
    """The widgets of the 3D views that the layout shows; none in a Slicer without a main window."""
    layoutManager = slicer.app.layoutManager()
    if not layoutManager:
        return []
    views = [layoutManager.threeDWidget(index).threeDView() for index in range(layoutManager.threeDViewCount)]
    return [view for view in views if view.mrmlViewNode() and view.mrmlViewNode().IsMappedInLayout()]


def _cameraNode(viewNode: "slicer.vtkMRMLViewNode | None") -> "slicer.vtkMRMLCameraNode | None":
    name = viewNode.GetLayoutName() if viewNode else None
    nodes = slicer.util.getNodesByClass("vtkMRMLCameraNode")
    return next((node for node in nodes if node.GetLayoutName() == name), None)


def _texturedActor(texture: vtk.vtkTexture) -> vtk.vtkActor:
    """An actor that looks like its texture, whatever the light, and that nobody picks or centers a view on."""
    mapper = vtk.vtkPolyDataMapper()
    mapper.ScalarVisibilityOff()
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    actor.SetTexture(texture)
    actor.GetProperty().LightingOff()
    actor.PickableOff()
    actor.SetUseBounds(False)
    return actor


def _setQuads(data: vtk.vtkPolyData, quads: np.ndarray, textureCoordinates: np.ndarray) -> None:
    cells = vtk.vtkCellArray()
    cells.SetData(4, numpy_to_vtkIdTypeArray(quads.ravel().astype(np.int64), deep=True))
    data.SetPolys(cells)
    data.GetPointData().SetTCoords(numpy_to_vtk(textureCoordinates.astype(np.float32), deep=True))


def _points(array: np.ndarray) -> vtk.vtkPoints:
    points = vtk.vtkPoints()
    points.SetData(numpy_to_vtk(array, deep=True))
    return points
