"""The reference before the camera: which one it is, and its transform nodes. Knows MRML, nothing of Qt or OpenCV."""

from enum import Enum
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from ..calibration.board import CHARUCO, Board
from ..errors import LiveHandError
from ..navigation.reference import Marker, printedScale
from ..pose.estimator import ReferencePose, TrackedFrame
from . import handnodes


class ReferenceKind(Enum):
    """What is fixed to patient or phantom, so that camera and patient may move."""

    NONE = 0
    BOARD = 1
    MARKER = 2

    def label(self) -> str:
        """The name for the user."""
        names = {"NONE": _("None"), "BOARD": _("ChArUco board"), "MARKER": _("Marker")}
        return names[self.name]


def asDesigned(parameterNode: Any, scale: float = 1.0) -> Board | Marker | None:
    """The reference that the parameter node asks for, as large as it was meant to be, or scaled.

    :raises LiveHandError: ``boardImpossible`` or ``referenceImpossible``.
    """
    if parameterNode.referenceKind == ReferenceKind.BOARD:
        size = parameterNode.referenceColumns, parameterNode.referenceRows
        return Board(CHARUCO, *size, scale * parameterNode.referenceSquareMm)
    if parameterNode.referenceKind == ReferenceKind.MARKER:
        return Marker(parameterNode.referenceMarker, scale * parameterNode.referenceMarkerMm)
    return None


def chosen(parameterNode: Any) -> Board | Marker | None:
    """The reference that the parameter node asks for, as large as it was printed.

    :raises LiveHandError: ``boardImpossible`` or ``referenceImpossible``.
    """
    return asDesigned(parameterNode, printedScale(parameterNode.printedLineMm))


def isLost(parameterNode: Any, frame: TrackedFrame) -> bool:
    """Whether there is to be a reference, and it is not known where it is."""
    if parameterNode.referenceKind == ReferenceKind.NONE:
        return False
    return frame.reference is None or frame.reference.isLost


def handsTransform(parameterNode: Any) -> "slicer.vtkMRMLLinearTransformNode | None":
    """The transform node that the hands are under: from the camera to the reference, or to RAS without one.

    Before the reference has been seen for the first time, the hands are where they would be without it.
    """
    if parameterNode.referenceKind != ReferenceKind.NONE and parameterNode.cameraToReference:
        return parameterNode.cameraToReference
    return parameterNode.cameraToRAS


def toRas(parameterNode: Any) -> "slicer.vtkMRMLLinearTransformNode":
    """The transform node that a registration writes to: from the reference, or the camera without one, to RAS.

    It is made if it is not there.
    """
    if not parameterNode.cameraToRAS:
        parameterNode.cameraToRAS = handnodes.newTransform()
    if handsTransform(parameterNode) is parameterNode.cameraToRAS:
        return parameterNode.cameraToRAS
    if not parameterNode.referenceToRAS:
        # The hand stays where it is when the reference is found.
        matrix = matrixToWorld(parameterNode.cameraToRAS)
        toReference = slicer.util.arrayFromTransformMatrix(parameterNode.cameraToReference)
        parameterNode.referenceToRAS = _newTransform("LiveHand Reference to RAS", matrix @ np.linalg.inv(toReference))
    return parameterNode.referenceToRAS


def show(parameterNode: Any, pose: ReferencePose | None) -> None:
    """Move the camera in the reference's coordinate system to where it is; leave it if that is not known.

    :param pose: as it is in the newest frame.
    """
    if pose is None or parameterNode.referenceKind == ReferenceKind.NONE or pose.ageMs > 0.0:
        return
    node, matrix = parameterNode.cameraToReference, np.linalg.inv(pose.matrix)
    if not node:
        node = parameterNode.cameraToReference = _newTransform("LiveHand Camera to Reference", matrix)
    elif not np.array_equal(matrix, slicer.util.arrayFromTransformMatrix(node)):  # a still board's stays the same
        node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    if not node.GetTransformNodeID():
        node.SetAndObserveTransformNodeID(toRas(parameterNode).GetID())


def matrixToWorld(node: "slicer.vtkMRMLTransformNode") -> np.ndarray:
    """(4, 4) from a transform node's coordinate system to RAS, mm.

    :raises LiveHandError: ``transformNotLinear`` where no matrix does that.
    """
    matrix = vtk.vtkMatrix4x4()
    if not node.IsTransformToWorldLinear():
        raise LiveHandError("transformNotLinear", name=node.GetName())
    node.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def pointToWorld(node: "slicer.vtkMRMLTransformNode", pointMm: np.ndarray) -> np.ndarray:
    """(3,) a point of a transform node's coordinate system in RAS, mm; by any transform, linear or not."""
    if node.IsTransformToWorldLinear():
        matrix = matrixToWorld(node)
        return matrix[:3, :3] @ pointMm + matrix[:3, 3]
    toWorld = vtk.vtkGeneralTransform()
    node.GetTransformToWorld(toWorld)
    return np.array(toWorld.TransformPoint(*pointMm))


def _newTransform(name: str, matrix: np.ndarray) -> "slicer.vtkMRMLLinearTransformNode":
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node
