"""Registration of what was touched to an image, and comparison with the truth, in the scene. Knows MRML, nothing of
Qt."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..errors import LiveHandError
from ..navigation.registration import Comparison, ErrorStatistics, Registration, apply, compare, pairs, register
from ..navigation.surface import SurfaceRegistration, registerToSurface
from . import reference
from .recordedpoints import fillTable, names, positions

DISTANCES = "Distance"
"""The array of a trace's model with its points' distances from the surface, mm."""


class Registering:
    """Registers to the image what the fingertip touched. To be used in the GUI thread.

    What a registration gives is written into the transform node from the reference, or the camera without one, to RAS.

    :param getParameterNode: returns the scene's parameter node for the module.

    :ivar registration: the newest by paired points, or None.
    :ivar names: of its points.
    :ivar surfaceRegistration: the newest by a trace, or None.
    :ivar comparison: the newest, or None.
    """

    def __init__(self, getParameterNode: Any) -> None:
        self._getParameterNode = getParameterNode
        self.forget()

    def forget(self) -> None:
        """The scene is being closed: drop what belongs to it."""
        self.registration: Registration | None = None
        self.names: list[str] = []
        self.surfaceRegistration: SurfaceRegistration | None = None
        self.comparison: Comparison | None = None
        self._compared: list[tuple[str, str]] = []
        self._before: list[tuple[slicer.vtkMRMLLinearTransformNode, np.ndarray]] = []

    # Registration

    def register(self) -> Registration:
        """Register the recorded points (``points`` in the parameter node) to the planned ones (``plannedPoints``).

        :returns: with the points and errors in RAS, mm; the table ``registrationTable`` has them as well.
        :raises LiveHandError: ``registrationNoLists``, ``registrationNotTouched``, and see
            :func:`registration.register` and :func:`registration.pairs`. Nothing is changed then.
        """
        node = self._getParameterNode()
        recorded, planned = self._lists(node.points, node.plannedPoints)
        transform = reference.toRas(node)
        if not _isUnder(recorded, transform) or _isUnder(planned, transform):
            raise LiveHandError("registrationNotTouched", transform=transform.GetName())
        paired = pairs(names(recorded), names(planned), node.matchByName)
        rows, columns = [pair[0] for pair in paired], [pair[1] for pair in paired]
        toWorld = slicer.util.arrayFromTransformMatrix(transform, toWorld=True)
        touched = apply(np.linalg.inv(toWorld), positions(recorded)[rows])
        found = register(touched, positions(planned)[columns], node.registrationScales)
        self.registration, self.names = found, [names(planned)[column] for column in columns]
        self.surfaceRegistration = None
        self._write(transform, found.matrix)
        self._fillRegistrationTable(node, found)
        return found

    def expectedTreMm(self, targetRas: np.ndarray) -> float:
        """The target registration error that is to be expected at a place, see :meth:`Registration.expectedTreMm`.

        :param targetRas: (3,) mm.
        :returns: mm; NaN without a registration.
        """
        return self.registration.expectedTreMm(targetRas) if self.registration else float("nan")

    def registerSurface(self) -> SurfaceRegistration:
        """Fit the newest trace (``traceModel``) to a model (``surface``), beginning with the transform as it is now.

        The trace is then coloured by its points' distances from the surface. It can take a second.

        :raises LiveHandError: ``surfaceMissing``, ``registrationNotTouched``, and see
            :func:`surface.registerToSurface`. Nothing is changed then.
        """
        node = self._getParameterNode()
        trace, model = node.traceModel, node.surface
        if not (trace and model and trace is not model):
            raise LiveHandError("surfaceMissing")
        transform = reference.toRas(node)
        if not _isUnder(trace, transform) or _isUnder(model, transform):
            raise LiveHandError("registrationNotTouched", transform=transform.GetName())
        points = trace.GetPolyData().GetPoints() if trace.GetPolyData() else None
        traced = vtk_to_numpy(points.GetData()) if points and points.GetNumberOfPoints() else np.zeros((0, 3))
        toWorld = slicer.util.arrayFromTransformMatrix(transform, toWorld=True)
        found = registerToSurface(traced, _inWorld(model), toWorld)
        self.surfaceRegistration = found
        self._write(transform, found.matrix)
        array = numpy_to_vtk(found.distancesMm, deep=True)
        array.SetName(DISTANCES)
        trace.GetPolyData().GetPointData().SetScalars(array)
        display = trace.GetDisplayNode()
        if display:
            display.SetActiveScalarName(DISTANCES)
            display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeFileColdToHotRainbow.txt")
            display.SetScalarVisibility(True)
        return found

    def undo(self) -> bool:
        """Give the transform the matrix that it had before the last registration.

        :returns: whether there was one.
        """
        while self._before:
            transform, matrix = self._before.pop()
            if transform.GetScene():
                transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
                self.registration = self.surfaceRegistration = None
                return True
        return False

    def _write(self, transform: "slicer.vtkMRMLLinearTransformNode", toWorld: np.ndarray) -> None:
        self._before.append((transform, slicer.util.arrayFromTransformMatrix(transform)))
        parent = transform.GetParentTransformNode()
        if parent:
            toWorld = np.linalg.inv(slicer.util.arrayFromTransformMatrix(parent, toWorld=True)) @ toWorld
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(toWorld))

    def _fillRegistrationTable(self, node: Any, found: Registration) -> None:
        if not node.registrationTable:
            node.registrationTable = slicer.mrmlScene.AddNewNodeByClass(
                "vtkMRMLTableNode", "LiveHand Registration Table"
            )
        errors, without = list(found.errorsMm), list(found.leaveOneOutMm)
        columns = {
            "Point": [*self.names, "RMS"],
            "FRE": [*errors, found.freMm],
            "Left out": [*without, ErrorStatistics.of(found.leaveOneOutMm).rms],
        }
        fillTable(node.registrationTable, columns)

    # Comparison

    def compare(self, fiducials: "list[int] | None" = None) -> Comparison:
        """Compare the recorded points (``points``), where they are in RAS now, with their true places (``truePoints``).

        :param fiducials: of the pairs, those to register by before; none if it is not given. The scene stays as it is.
        :returns: the errors; the table ``comparisonTable`` has them as well.
        :raises LiveHandError: ``registrationNoLists``, and see :func:`registration.compare`.
        """
        node = self._getParameterNode()
        recorded, true = self._lists(node.points, node.truePoints)
        paired = pairs(names(recorded), names(true), node.matchByName)
        rows, columns = [pair[0] for pair in paired], [pair[1] for pair in paired]
        chosen = list(fiducials or [])
        found = compare(positions(recorded)[rows], positions(true)[columns], chosen, node.registrationScales)
        self.comparison = found
        self._compared = [
            (names(true)[column], "fiducial" if number in chosen else "target") for number, column in enumerate(columns)
        ]
        if not node.comparisonTable:
            node.comparisonTable = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "LiveHand Comparison Table")
        header, *lines = self._comparisonRows()
        fillTable(node.comparisonTable, dict(zip(header, zip(*lines, strict=True), strict=True)))
        return found

    def _comparisonRows(self) -> list[tuple[Any, ...]]:
        assert self.comparison
        rows: list[tuple[Any, ...]] = [("Point", "Kind", "Error")]
        rows += [
            (name, kind, float(error))
            for (name, kind), error in zip(self._compared, self.comparison.errorsMm, strict=True)
        ]
        for kind, statistics in (("fiducial", self.comparison.fiducials), ("target", self.comparison.targets)):
            if statistics.count:
                figures = ("mean", "median", "sd", "min", "max", "rms")
                rows += [(figure, kind, float(getattr(statistics, figure))) for figure in figures]
        return rows

    def exportComparison(self, path: str | Path) -> None:
        """Write the newest comparison into a file of comma-separated values, errors in mm.

        :raises LiveHandError: ``noComparison`` or ``exportFailed``.
        """
        if not self.comparison:
            raise LiveHandError("noComparison")
        path = Path(path)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with open(part, "w", encoding="utf-8", newline="") as file:
                (_point, _kind, _error), *rows = self._comparisonRows()
                csv.writer(file).writerows([("point", "kind", "error_mm"), *rows])
            os.replace(part, path)
        except OSError as error:
            raise LiveHandError("exportFailed", path=str(path), detail=error.strerror or str(error)) from error
        finally:
            part.unlink(missing_ok=True)

    @staticmethod
    def _lists(recorded: Any, other: Any) -> tuple[Any, Any]:
        if not recorded or not other or recorded is other:
            raise LiveHandError("registrationNoLists")
        return recorded, other


def _isUnder(node: "slicer.vtkMRMLTransformableNode", transform: "slicer.vtkMRMLTransformNode") -> bool:
    parent = node.GetParentTransformNode()
    return parent is not None and (parent is transform or _isUnder(parent, transform))


def _inWorld(model: "slicer.vtkMRMLModelNode") -> "vtk.vtkPolyData | None":
    """A model's surface in RAS."""
    if not model.GetParentTransformNode() or not model.GetPolyData():
        return model.GetPolyData()
    toWorld = vtk.vtkGeneralTransform()
    model.GetParentTransformNode().GetTransformToWorld(toWorld)
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetInputData(model.GetPolyData())
    moved.SetTransform(toWorld)
    moved.Update()
    return moved.GetOutput()
