"""The hands as nodes of the MRML scene. Knows MRML and VTK, nothing of Qt, cameras or threads."""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

from . import tracking
from .geometry import CAMERA_TO_RAS

JOINT_RADIUS_MM = 4.5
BONE_RADIUS_MM = 2.5
COLORS = {"Left": (0.35, 0.65, 0.95), "Right": (0.95, 0.70, 0.45)}


class Skeleton:
    """A surface of spheres at the joints and tubes along the bones whose points are moved, never made anew.

    VTK's own sources and filters would rebuild the surface for every picture. Here its topology is fixed, and
    :meth:`update` writes into the arrays that VTK holds.

    :ivar polyData: the surface, in the frame and the unit of the landmarks it is given, mm.
    """

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

        joints = len(tracking.LANDMARK_NAMES)
        self._bones = np.array(tracking.BONES)
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
        self.polyData = vtk.vtkPolyData()
        vtkPoints = vtk.vtkPoints()
        vtkPoints.SetData(numpy_to_vtk(points))
        self.polyData.SetPoints(vtkPoints)
        vtkNormals = numpy_to_vtk(normals)
        vtkNormals.SetName("Normals")
        self.polyData.GetPointData().SetNormals(vtkNormals)
        cells = vtk.vtkCellArray()
        cells.SetData(3, numpy_to_vtkIdTypeArray(np.ascontiguousarray(triangles.ravel(), np.int64), deep=True))
        self.polyData.SetPolys(cells)

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
        self.polyData.GetPoints().GetData().Modified()
        self.polyData.GetPoints().Modified()
        self.polyData.GetPointData().GetNormals().Modified()
        self.polyData.Modified()


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
    """One hand in the scene: a model node and a markups node under the transform node that all hands share.

    The nodes are standard ones, so everything else in Slicer works with them. The control points and the model's
    points are in the camera's frame in mm; the transform node takes them to RAS.

    :param side: ``"Left"`` or ``"Right"``.
    :param model: a node to use again, for example from a saved scene, or None to make one.
    :param landmarks: likewise.
    :param transform: the node the two go under.
    """

    def __init__(
        self,
        side: str,
        model: "slicer.vtkMRMLModelNode | None",
        landmarks: "slicer.vtkMRMLMarkupsFiducialNode | None",
        transform: "slicer.vtkMRMLLinearTransformNode",
    ) -> None:
        self._skeleton = Skeleton()
        self.model = model or self._newModel(side)
        self.model.SetAndObservePolyData(self._skeleton.polyData)
        self.landmarks = landmarks or self._newLandmarks(side)
        if self.landmarks.GetNumberOfControlPoints() != len(tracking.LANDMARK_NAMES):
            self._fillLandmarks()
        for node in (self.model, self.landmarks):
            if node.GetTransformNodeID() != transform.GetID():
                node.SetAndObserveTransformNodeID(transform.GetID())
            node.GetDisplayNode().SetVisibility(False)
        self._visible = False

    def isInScene(self) -> bool:
        """Whether the nodes are still there and hang together."""
        nodes = (self.model, self.landmarks)
        return all(node.GetScene() and node.GetTransformNodeID() and node.GetDisplayNode() for node in nodes)

    def update(self, landmarks: np.ndarray | None) -> None:
        """Move the hand, or hide it.

        :param landmarks: (21, 3) in the camera's frame, mm; None when the hand is lost.
        """
        if landmarks is not None:
            self._skeleton.update(landmarks)
            slicer.util.updateMarkupsControlPointsFromArray(self.landmarks, landmarks)
        # Only when it changes: what the user hides by hand while the hand is seen stays hidden.
        visible = landmarks is not None
        if visible != self._visible:
            self._visible = visible
            for node in (self.model, self.landmarks):
                if node.GetDisplayNode():
                    node.GetDisplayNode().SetVisibility(visible)

    def _newModel(self, side: str) -> "slicer.vtkMRMLModelNode":
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", f"LiveHand {side} Skeleton")
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(COLORS[side])
        display.SetSpecular(0.3)
        display.SetPower(20)
        return node

    def _newLandmarks(self, side: str) -> "slicer.vtkMRMLMarkupsFiducialNode":
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"LiveHand {side} Landmarks")
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(COLORS[side])
        display.SetSelectedColor(COLORS[side])
        display.SetPointLabelsVisibility(False)
        display.SetPropertiesLabelVisibility(False)
        # The skeleton's joints stand where the glyphs would; theirs only have to be there in slice views.
        display.UseGlyphScaleOff()
        display.SetGlyphSize(JOINT_RADIUS_MM)
        display.SetOccludedVisibility(False)
        return node

    def _fillLandmarks(self) -> None:
        modified = self.landmarks.StartModify()
        self.landmarks.SetLocked(False)
        self.landmarks.SetFixedNumberOfControlPoints(False)
        self.landmarks.RemoveAllControlPoints()
        for name in tracking.LANDMARK_NAMES:
            self.landmarks.AddControlPoint(vtk.vtkVector3d(0, 0, 0), name)
        self.landmarks.SetLocked(True)  # they follow the hand, not the mouse
        self.landmarks.EndModify(modified)


def newTransform() -> "slicer.vtkMRMLLinearTransformNode":
    """The transform node from the camera's frame to RAS that all hands go under, with its default matrix."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "LiveHand Camera to RAS")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(CAMERA_TO_RAS))
    return node
