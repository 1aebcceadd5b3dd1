"""The hands as nodes of the MRML scene. Knows MRML and VTK, nothing of Qt, cameras or threads."""

import math
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

from ..landmarks import BONE_COLORS, BONES, FINGERS, LANDMARK_NAMES, THUMB, Landmark
from ..pose.coordinates import CAMERA_TO_RAS
from .surface import HandSurface

JOINT_RADIUS_MM = 4.5
BONE_RADIUS_MM = 2.5
SKIN_COLORS = {"Left": (0.80, 0.60, 0.50), "Right": (0.93, 0.71, 0.60)}
SKIN_OPACITY_WITH_SKELETON = 0.5
PINCH_COLOR = (0.25, 0.85, 0.35)
"""RGB from 0 to 1 of the fingers that pinch."""
FADED = 0.35
"""What the opacity of a hand is multiplied with while it is not known where it is in the scene."""

REACH = 1.5
"""How far a hand with its skin reaches from the middle finger's knuckle, over the knuckle's distance from the wrist:
the tips of thumb and middle finger are about 1.2 away."""
NEAREST = 0.01
"""How near the near clipping plane may come, over the far one's distance: VTK's own limit for depth buffers of 16 bits
(``vtkRenderer::NearClippingPlaneTolerance``)."""


class Display(Enum):
    """How the hands are shown."""

    SURFACE = ("Surface",)
    SKELETON = ("Skeleton",)
    BOTH = ("Surface", "Skeleton")

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds
        """The model nodes that belong to it."""

    def label(self) -> str:
        """The name for the user."""
        names = {"SURFACE": _("Surface"), "SKELETON": _("Skeleton"), "BOTH": _("Surface and skeleton")}
        return names[self.name]


class MovedPolyData:
    """A surface whose points are moved, never made anew.

    Its topology is fixed and its points and normals are written into the arrays that VTK holds, for VTK's own sources
    and filters would rebuild the surface for every frame.

    :param points: (n, 3) float32, the array to be written into.
    :param normals: (n, 3) float32, likewise.
    :param triangles: (m, 3) numbers of points.
    :param pinches: (n,) bool, the points of the fingers that pinch.

    :ivar polyData: the surface, in the coordinate system and the unit of the points.
    """

    PINCH = "Pinch"
    """The name of the array with 1 where the fingers that pinch are, and 0 elsewhere."""

    def __init__(self, points: np.ndarray, normals: np.ndarray, triangles: np.ndarray, pinches: np.ndarray) -> None:
        self.polyData = vtk.vtkPolyData()
        self._pinches = pinches
        self._arrays = numpy_to_vtk(points), numpy_to_vtk(normals)
        vtkPoints = vtk.vtkPoints()
        vtkPoints.SetData(self._arrays[0])
        self.polyData.SetPoints(vtkPoints)
        self._arrays[1].SetName("Normals")
        self.polyData.GetPointData().SetNormals(self._arrays[1])
        cells = vtk.vtkCellArray()
        cells.SetData(3, numpy_to_vtkIdTypeArray(np.ascontiguousarray(triangles.ravel(), np.int64), deep=True))
        self.polyData.SetPolys(cells)

    def markPinch(self) -> None:
        """Have the array :data:`PINCH`, from now on."""
        if not self.polyData.GetPointData().HasArray(self.PINCH):
            array = numpy_to_vtk(self._pinches.astype(np.float32), deep=True)
            array.SetName(self.PINCH)
            self.polyData.GetPointData().AddArray(array)

    def modified(self) -> None:
        """Tell VTK that the arrays have been written."""
        for array in self._arrays:
            array.Modified()
        self.polyData.Modified()


class Surface(MovedPolyData):
    """The skin of a hand.

    :param meshPath: see :class:`HandSurface`.
    :param side: ``"Left"`` or ``"Right"``.
    :raises LiveHandError: ``meshMissing``.
    """

    def __init__(self, meshPath: Path, side: str) -> None:
        self._skin = HandSurface(meshPath, side)
        skin = self._skin
        MovedPolyData.__init__(self, skin.points, skin.normals, skin.triangles, skin.pinches)

    def update(self, landmarks: np.ndarray) -> None:
        """Move the surface.

        :param landmarks: (21, 3) in MediaPipe's order, mm.
        """
        self._skin.update(landmarks)
        self.modified()


class Skeleton(MovedPolyData):
    """Spheres at the joints and tubes along the bones."""

    SIDES = 12

    def __init__(self) -> None:
        sphere = vtk.vtkSphereSource()
        sphere.SetThetaResolution(self.SIDES)
        sphere.SetPhiResolution(self.SIDES)
        sphere.SetRadius(1.0)
        sphere.Update()
        spherePoints = vtk.util.numpy_support.vtk_to_numpy(sphere.GetOutput().GetPoints().GetData())
        sphereTriangles = vtk.util.numpy_support.vtk_to_numpy(sphere.GetOutput().GetPolys().GetConnectivityArray())
        sphereTriangles = sphereTriangles.reshape(-1, 3)

        angles = 2.0 * np.pi * np.arange(self.SIDES) / self.SIDES
        self._circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        first = np.arange(self.SIDES)
        following = (first + 1) % self.SIDES
        tubeTriangles = np.concatenate(
            [
                np.stack([first, following, first + self.SIDES], axis=1),
                np.stack([following, following + self.SIDES, first + self.SIDES], axis=1),
            ]
        )

        joints = len(LANDMARK_NAMES)
        self._bones = np.array(BONES)
        self._spherePoints = spherePoints.astype(np.float32)
        jointsEnd = joints * len(spherePoints)
        points = np.zeros((jointsEnd + len(self._bones) * 2 * self.SIDES, 3), np.float32)
        normals = np.zeros_like(points)
        # Views into the two arrays, shaped as what they hold: (joint, point, 3) and (bone, end, side, 3).
        self._jointPoints = points[:jointsEnd].reshape(joints, -1, 3)
        self._bonePoints = points[jointsEnd:].reshape(len(self._bones), 2, self.SIDES, 3)
        self._boneNormals = normals[jointsEnd:].reshape(len(self._bones), 2, self.SIDES, 3)
        normals[:jointsEnd].reshape(joints, -1, 3)[:] = self._spherePoints

        triangles = np.concatenate(
            [joint * len(spherePoints) + sphereTriangles for joint in range(joints)]
            + [jointsEnd + bone * 2 * self.SIDES + tubeTriangles for bone in range(len(self._bones))]
        )
        pinching = np.isin(np.arange(joints), [*THUMB[2:], *FINGERS[0][1:]])
        pinches = np.concatenate(
            [
                np.repeat(pinching, len(spherePoints)),
                np.repeat(pinching[self._bones].all(axis=1), 2 * self.SIDES),
            ]
        )
        MovedPolyData.__init__(self, points, normals, triangles, pinches)

    def update(self, landmarks: np.ndarray) -> None:
        """Move the surface.

        :param landmarks: (21, 3) in MediaPipe's order, mm.
        """
        self._jointPoints[:] = landmarks[:, None, :] + JOINT_RADIUS_MM * self._spherePoints
        ends = landmarks[self._bones]
        along = ends[:, 1] - ends[:, 0]
        along /= np.sqrt(np.einsum("ij,ij->i", along, along) + 1e-12)[:, None]
        ring = np.matmul(self._circle, _across(along))
        self._boneNormals[:] = ring[:, None]
        self._bonePoints[:] = ends[:, :, None, :] + BONE_RADIUS_MM * ring[:, None]
        self.modified()


def _across(along: np.ndarray) -> np.ndarray:
    """Two directions across each of some, at right angles, without a case in which they vanish.

    Duff et al., Building an Orthonormal Basis, Revisited (Journal of Computer Graphics Techniques, 2017).

    :param along: (n, 3) unit vectors.
    :returns: (n, 2, 3) unit vectors.
    """
    x, y, z = along.T
    sign = np.copysign(1.0, z)
    a = -1.0 / (sign + z)
    b = x * y * a
    across = np.empty((len(along), 2, 3))
    across[:, 0, 0], across[:, 0, 1], across[:, 0, 2] = 1.0 + sign * x * x * a, sign * b, -sign * x
    across[:, 1, 0], across[:, 1, 1], across[:, 1, 2] = b, sign + y * y * a, -y
    return across


class HandNodes:
    """One hand in the scene: models and a markups node under the transform node that all hands share.

    The nodes are standard ones, so everything else in Slicer works with them. The control points and the models'
    points are in the camera's coordinate system in mm; the transform node takes them to RAS. Nodes are made when they
    are first needed, and again when the user deleted one.

    :param side: ``"Left"`` or ``"Right"``.
    :param nodes: keeps the nodes, as the parameter node does, in ``cameraToRAS`` and ``left...`` or ``right...``
        ``Landmarks``, ``Surface`` and ``Skeleton``; those that it has, for example from a saved scene, are used.
    :param meshPath: the mesh of the surface.
    :param color: the surface's, if it is made, RGB from 0 to 1.

    :ivar nodes: as the parameter; may be replaced by another one that has the same nodes.
    """

    KINDS = ("Landmarks", *Display.BOTH.kinds)

    def __init__(self, side: str, nodes: Any, meshPath: Path, color: tuple[float, float, float] | None = None) -> None:
        self._side = side
        self.nodes = nodes
        self._meshPath = meshPath
        self._color = color or SKIN_COLORS[side]
        self._used: dict[str, slicer.vtkMRMLDisplayableNode] = {}
        self._models: dict[str, Surface | Skeleton] = {}
        self._colorNodes: dict[str, Any] = {}
        self._shown: tuple[str, ...] = ()
        self._display: Display | None = None
        self._parent: slicer.vtkMRMLLinearTransformNode | None = None
        self._opacities: dict[str, tuple[float, float]] = {}  # of faded models: before, and since
        for kind in self.KINDS:
            node = getattr(nodes, self._name(kind))
            if node and node.GetDisplayNode():
                node.GetDisplayNode().SetVisibility(False)

    def update(
        self,
        landmarks: np.ndarray | None,
        display: Display = Display.SURFACE,
        parent: "slicer.vtkMRMLLinearTransformNode | None" = None,
    ) -> None:
        """Move the hand, or hide it.

        :param landmarks: (21, 3) in the camera's coordinate system, mm; None when the hand is lost.
        :param display: which models to show; the others are not moved.
        :param parent: the transform node that the hand is under; ``cameraToRAS`` of the nodes if there is none.
        :raises LiveHandError: ``meshMissing``.
        """
        shown = ("Landmarks", *display.kinds) if landmarks is not None else ()
        if landmarks is not None:
            self._moveUnder(parent)
        for kind in shown:
            if not self._isReady(kind):
                self._makeReady(kind)
        if landmarks is not None:
            slicer.util.updateMarkupsControlPointsFromArray(self._used["Landmarks"], landmarks)
            for kind in display.kinds:
                self._models[kind].update(landmarks)
            widenClippingRanges(self._used["Landmarks"])
        # Only when it changes: what the user hides by hand while the hand is seen stays hidden.
        for kind in set(shown) ^ set(self._shown):
            if self._used[kind].GetDisplayNode():
                self._used[kind].GetDisplayNode().SetVisibility(kind in shown)
        self._shown = shown
        if shown and display != self._display:
            self._arrange(display)
            self._display = display

    def fade(self, isFaded: bool) -> None:
        """Show the models fainter, or give them their opacity back unless somebody has set another one meanwhile."""
        if isFaded == bool(self._opacities):
            return
        before, self._opacities = self._opacities, {}
        for kind, node in self._used.items():
            display = node.GetDisplayNode()
            if not display:
                continue
            if isFaded:
                opacity = display.GetOpacity()
                display.SetOpacity(FADED * opacity)
                self._opacities[kind] = opacity, display.GetOpacity()
            elif kind in before and display.GetOpacity() == before[kind][1]:
                display.SetOpacity(before[kind][0])

    def _moveUnder(self, parent: "slicer.vtkMRMLLinearTransformNode | None") -> None:
        if not parent:
            if not self.nodes.cameraToRAS:
                self.nodes.cameraToRAS = newTransform()
            parent = self.nodes.cameraToRAS
        if parent is not self._parent:
            for node in self._used.values():
                if self._parent and node.GetTransformNodeID() == self._parent.GetID():  # else the user moved it away
                    node.SetAndObserveTransformNodeID(parent.GetID())
            self._parent = parent

    def surfaceColor(self) -> tuple[float, float, float] | None:
        """The surface's colour, RGB from 0 to 1; None if there is no surface."""
        display = self._used["Surface"].GetDisplayNode() if "Surface" in self._used else None
        return display.GetColor() if display else None

    def showPinch(self, isPinching: bool) -> None:
        """Give thumb and index finger another colour, or the hand's again."""
        for kind, model in self._models.items():
            display = self._used[kind].GetDisplayNode()
            if display and isPinching:
                model.markPinch()
                display.SetActiveScalar(model.PINCH, vtk.vtkAssignAttribute.POINT_DATA)
                # Colours of a table: of an array of colours, Slicer takes a range in the slice views that VTK refuses.
                display.SetScalarRangeFlag(display.UseManualScalarRange)
                display.SetScalarRange(0.0, 1.0)
                display.SetAndObserveColorNodeID(self._pinchColors(kind, display.GetColor()).GetID())
            if display:
                display.SetScalarVisibility(isPinching)

    def _pinchColors(self, kind: str, color: tuple[float, float, float]) -> "slicer.vtkMRMLColorTableNode":
        node = self._colorNodes.get(kind)
        if not (node and node.GetScene()):
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", f"LiveHand {self._side} {kind} Pinch")
            node.SetSaveWithScene(False)
            node.SetHideFromEditors(True)
            node.SetTypeToUser()
            node.SetNumberOfColors(2)
            self._colorNodes[kind] = node
        node.SetColor(0, *color, 1.0)
        node.SetColor(1, *PINCH_COLOR, 1.0)
        return node

    def _name(self, kind: str) -> str:
        return f"{self._side.lower()}{kind}"

    def _isReady(self, kind: str) -> bool:
        node = self._used.get(kind)
        if not (node and node.GetScene() and node.GetTransformNodeID() and node.GetDisplayNode()):
            return False
        # A surface that somebody took out of its node must not be changed any more, see _makeReady.
        return kind == "Landmarks" or node.GetPolyData() is self._models[kind].polyData

    def _makeReady(self, kind: str) -> None:
        if kind != "Landmarks":
            # Never the surface of a node that was deleted: when a vtkMRMLModelNode is destroyed, its observer stays
            # on its surface, and the next change of that would call what is no more.
            self._models[kind] = Skeleton() if kind == "Skeleton" else Surface(self._meshPath, self._side)
        node = getattr(self.nodes, self._name(kind))
        if node is None:
            if kind == "Landmarks":
                node = newLandmarks(f"LiveHand {self._side} Landmarks", self._side)
            else:
                node = self._newModel(kind)
            setattr(self.nodes, self._name(kind), node)
        self._used[kind] = node
        if kind != "Landmarks":
            node.SetAndObservePolyData(self._models[kind].polyData)
        else:
            if node.GetNumberOfControlPoints() != len(LANDMARK_NAMES):
                fillLandmarks(node)
            # Slicer works out a curve through the points of a list as well, which nobody sees, anew for every frame.
            # It took half of the time in which the points are moved.
            noPoints = vtk.vtkPolyData()
            noPoints.SetPoints(vtk.vtkPoints())
            node.GetCurveGenerator().SetInputData(noPoints)
        assert self._parent
        node.SetAndObserveTransformNodeID(self._parent.GetID())
        node.CreateDefaultDisplayNodes()
        if kind != "Landmarks":
            node.GetDisplayNode().SetScalarVisibility(False)  # it was saved while the hand pinched
        self._shown = tuple(other for other in self._shown if other != kind)
        self._display = None

    def _arrange(self, display: Display) -> None:
        self.fade(False)
        # With the skin alone, all that could be seen of the control points is what sticks out of it.
        self._used["Landmarks"].GetDisplayNode().SetVisibility3D(display != Display.SURFACE)
        if display != Display.SKELETON:
            # The skeleton shines through, unless the user wants the skin otherwise.
            skin = self._used["Surface"].GetDisplayNode()
            if skin.GetOpacity() in (1.0, SKIN_OPACITY_WITH_SKELETON):
                skin.SetOpacity(SKIN_OPACITY_WITH_SKELETON if display == Display.BOTH else 1.0)

    def _newModel(self, kind: str) -> "slicer.vtkMRMLModelNode":
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", f"LiveHand {self._side} {kind}")
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(BONE_COLORS[self._side] if kind == "Skeleton" else self._color)
        display.SetVisibility2D(True)
        display.SetSliceIntersectionThickness(2)
        display.SetSpecular(0.3 if kind == "Skeleton" else 0.12)
        display.SetPower(20 if kind == "Skeleton" else 12)
        return node


def newLandmarks(name: str, side: str) -> "slicer.vtkMRMLMarkupsFiducialNode":
    """A point list node for a hand's landmarks, with no points yet, shown as small spheres."""
    selection = slicer.app.applicationLogic().GetSelectionNode()
    active = selection.GetActivePlaceNodeID() if selection else None
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    if active:  # a new list takes the place of the one that the user places points in
        selection.SetActivePlaceNodeID(active)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(BONE_COLORS[side])
    display.SetSelectedColor(BONE_COLORS[side])
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    display.UseGlyphScaleOff()
    display.SetGlyphSize(JOINT_RADIUS_MM)
    display.SetOccludedVisibility(False)
    return node


class PointerNodes:
    """An index finger as a pointer: a transform node with its origin at the tip, and a cone that shows it.

    :param side: ``"Left"`` or ``"Right"``.
    :param nodes: keeps the transform node, as the parameter node does, in ``leftPointer`` or ``rightPointer``, and has
        ``cameraToRAS``.

    :ivar nodes: as the parameter; may be replaced by another one that has the same nodes.
    """

    CONE_LENGTH_MM, CONE_RADIUS_MM = 12.0, 3.0
    _CONE = "LiveHand.PointerModel"  # the role of the cone's node for the transform node

    def __init__(self, side: str, nodes: Any) -> None:
        self._side = side
        self.nodes = nodes
        self._matrix = vtk.vtkMatrix4x4()

    def update(self, matrix: np.ndarray | None, parent: "slicer.vtkMRMLLinearTransformNode | None" = None) -> None:
        """Move the pointer, or hide it.

        :param matrix: (4, 4) from the pointer's coordinate system to the camera's, mm, see :func:`coordinates.pointer`;
            None when it is not seen.
        :param parent: the transform node that it is under; ``cameraToRAS`` of the nodes if there is none.
        """
        name = f"{self._side.lower()}Pointer"
        node = getattr(self.nodes, name)
        if matrix is not None:
            if node is None:
                node = slicer.mrmlScene.AddNewNodeByClass(
                    "vtkMRMLLinearTransformNode", f"LiveHand {self._side} Pointer"
                )
                setattr(self.nodes, name, node)
            node.SetAndObserveTransformNodeID((parent or self.nodes.cameraToRAS).GetID())
            self._matrix.DeepCopy(matrix.ravel())
            node.SetMatrixTransformToParent(self._matrix)
            if node.GetNodeReference(self._CONE) is None:
                node.SetNodeReferenceID(self._CONE, self._newCone(node).GetID())
        cone = node.GetNodeReference(self._CONE) if node else None
        display = cone.GetDisplayNode() if cone else None
        if display and bool(display.GetVisibility()) != (matrix is not None):
            display.SetVisibility(matrix is not None)

    def _newCone(self, transform: "slicer.vtkMRMLLinearTransformNode") -> "slicer.vtkMRMLModelNode":
        cone = vtk.vtkConeSource()
        cone.SetHeight(self.CONE_LENGTH_MM)
        cone.SetRadius(self.CONE_RADIUS_MM)
        cone.SetResolution(24)
        cone.SetDirection(0.0, 0.0, 1.0)
        cone.SetCenter(0.0, 0.0, -self.CONE_LENGTH_MM / 2.0)
        cone.Update()
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", f"LiveHand {self._side} Pointer Tip")
        node.SetAndObservePolyData(cone.GetOutput())
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetColor(BONE_COLORS[self._side])
        node.GetDisplayNode().SetVisibility2D(True)
        node.SetAndObserveTransformNodeID(transform.GetID())
        return node


def fillLandmarks(node: "slicer.vtkMRMLMarkupsFiducialNode") -> None:
    """Give a point list the 21 landmarks, under MediaPipe's names."""
    modified = node.StartModify()
    node.SetLocked(False)
    node.SetFixedNumberOfControlPoints(False)
    node.RemoveAllControlPoints()
    for name in LANDMARK_NAMES:
        number = node.AddControlPoint(vtk.vtkVector3d(0, 0, 0), name)
        # They follow the hand, not the mouse; and to points that can be dragged Slicer fits a plane at every move.
        node.SetNthControlPointLocked(number, True)
    node.SetLocked(True)
    node.EndModify(modified)


def widenClippingRanges(landmarks: "slicer.vtkMRMLMarkupsFiducialNode") -> None:
    """Let no camera of the 3D views cut off a hand that comes nearer to it, or goes farther away.

    Slicer fits a camera's clipping range to what is visible when the user moves the camera or centers the view
    (vtkMRMLCameraWidget, qMRMLThreeDView), but not when what is visible moves. Here it is widened, where it has to be.

    :param landmarks: with the 21 landmarks of the hand.
    """
    wrist, knuckle = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    landmarks.GetNthControlPointPositionWorld(Landmark.WRIST, wrist)
    landmarks.GetNthControlPointPositionWorld(Landmark.MIDDLE_FINGER_MCP, knuckle)
    reach = REACH * math.dist(wrist, knuckle)
    scene = landmarks.GetScene()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLCameraNode")):
        camera = scene.GetNthNodeByClass(index, "vtkMRMLCameraNode").GetCamera()
        x, y, z = camera.GetPosition()
        along = camera.GetDirectionOfProjection()
        depth = (knuckle[0] - x) * along[0] + (knuckle[1] - y) * along[1] + (knuckle[2] - z) * along[2]
        near, far = camera.GetClippingRange()
        nearest, farthest = max(depth - reach, NEAREST * far), depth + reach
        if (nearest < near and farthest > 0.0) or farthest > far:
            # By more than is needed now: the hand moves on.
            far = max(far, 1.5 * farthest) if farthest > far else far
            camera.SetClippingRange(min(near, max(nearest / 1.5, NEAREST * far)), far)


def isAnythingElseVisible(own: Iterable["slicer.vtkMRMLNode"]) -> bool:
    """Whether the 3D views show anything beside some nodes: a model, markups, a segmentation or a rendered volume.

    :param own: the nodes that do not count.
    """
    own = {node.GetID() for node in own}
    for kind in ("vtkMRMLModelNode", "vtkMRMLMarkupsNode", "vtkMRMLSegmentationNode", "vtkMRMLVolumeNode"):
        for node in slicer.util.getNodesByClass(kind):
            if node.GetID() in own or node.GetHideFromEditors():  # hidden: those that show the slices in the 3D view
                continue
            displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
            if kind == "vtkMRMLVolumeNode":
                displays = [one for one in displays if one and one.IsA("vtkMRMLVolumeRenderingDisplayNode")]
            if any(display and display.GetVisibility() and display.GetVisibility3D() for display in displays):
                return True
    return False


def newTransform() -> "slicer.vtkMRMLLinearTransformNode":
    """The transform node from the camera's coordinate system to RAS, which all hands are under, with its default."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "LiveHand Camera to RAS")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(CAMERA_TO_RAS["owner"]))
    return node
