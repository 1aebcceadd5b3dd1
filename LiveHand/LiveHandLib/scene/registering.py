"""Registration of what was touched to an image, and comparison with the truth, in the scene. Knows MRML, nothing of
Qt."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..errors import LiveHandError
from ..navigation.registration import Comparison, ErrorStatistics, Registration, apply, compare, pairs, register
from ..navigation.surface import SurfaceRegistration, registerToSurface
from . import reference
from .charts import showChart
from .follow import inWorld
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
        :raises LiveHandError: ``registrationNoLists``, ``registrationNotTouched``, ``transformNotLinear``, and see
            :func:`registration.register` and :func:`registration.pairs`. Nothing is changed then.
        """
        node = self._getParameterNode()
        recorded, planned = self._lists(node.points, node.plannedPoints)
        transform = reference.toRas(node)
        if not _isUnder(recorded, transform) or _isUnder(planned, transform):
            raise LiveHandError("registrationNotTouched", transform=transform.GetName())
        paired = pairs(names(recorded), names(planned), node.matchByName)
        rows, columns = [pair[0] for pair in paired], [pair[1] for pair in paired]
        toWorld = reference.matrixToWorld(transform)
        touched = apply(np.linalg.inv(toWorld), positions(recorded)[rows])
        found = register(touched, positions(planned)[columns], node.registrationScales)
        self.registration, self.names = found, [names(planned)[column] for column in columns]
        self.surfaceRegistration = None
        self._write(transform, found.matrix)
        self._fillRegistrationTable(node, found)
        return found

    def expectedTreMm(self, targetRas: np.ndarray) -> Any:
        """The target registration error that is to be expected at a place, see :meth:`Registration.expectedTreMm`.

        :param targetRas: (..., 3) mm.
        :returns: (...), mm; NaN without a registration.
        """
        targets = np.asarray(targetRas, float)
        return self.registration.expectedTreMm(targets) if self.registration else np.full(targets.shape[:-1], np.nan)

    def worstTarget(self) -> tuple[str, float] | None:
        """Of the chosen targets (``targetPoints``), the one with the largest expected error.

        :returns: its name and the error, mm; None without a registration or a target that has been placed.
        """
        targets = self._getParameterNode().targetPoints
        if not self.registration or not targets or not targets.GetNumberOfControlPoints():
            return None
        errors = self.expectedTreMm(positions(targets))
        if not np.isfinite(errors).any():
            return None
        worst = int(np.nanargmax(errors))
        return names(targets)[worst], float(errors[worst])

    def registerSurface(self) -> SurfaceRegistration:
        """Fit the newest trace (``traceModel``) to a model (``surface``), beginning with the transform as it is now.

        The trace is then coloured by its points' distances from the surface. It can take a second.

        :raises LiveHandError: ``surfaceMissing``, ``registrationNotTouched``, ``transformNotLinear``, and see
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
        toWorld = reference.matrixToWorld(transform)
        found = registerToSurface(traced, inWorld(model), toWorld)
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
            toWorld = np.linalg.inv(reference.matrixToWorld(parent)) @ toWorld
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(toWorld))

    def _fillRegistrationTable(self, node: Any, found: Registration) -> None:
        node.registrationTable = node.registrationTable or _newTable("LiveHand Registration Table")
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
        :returns: the errors. The table ``comparisonTable`` has them as well, ``comparisonStatistics`` what they come
            to, and ``comparisonChart`` shows them.
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
        node.comparisonTable = node.comparisonTable or _newTable("LiveHand Comparison Table")
        node.comparisonStatistics = node.comparisonStatistics or _newTable("LiveHand Comparison Statistics")
        self._fill(node.comparisonTable, self._errorRows())
        self._fill(node.comparisonStatistics, self._statisticsRows())
        if not node.comparisonChart:
            node.comparisonChart = _newChart(node.comparisonTable)
        return found

    @staticmethod
    def _fill(table: "slicer.vtkMRMLTableNode", rows: list[tuple[Any, ...]]) -> None:
        fillTable(table, dict(zip(("Point", "Kind", "Error"), zip(*rows, strict=True), strict=True)))

    def _errorRows(self) -> list[tuple[Any, ...]]:
        assert self.comparison
        errors = self.comparison.errorsMm
        return [(name, kind, float(error)) for (name, kind), error in zip(self._compared, errors, strict=True)]

    def _statisticsRows(self) -> list[tuple[Any, ...]]:
        assert self.comparison
        kinds = ("fiducial", self.comparison.fiducials), ("target", self.comparison.targets)
        figures = ("mean", "median", "sd", "min", "max", "rms")
        return [
            (figure, kind, float(getattr(statistics, figure)))
            for kind, statistics in kinds
            for figure in figures
            if statistics.count
        ]

    def showComparison(self) -> None:
        """Show the newest comparison as a bar chart beside the 3D view.

        :raises LiveHandError: ``noComparison``.
        """
        chart = self._getParameterNode().comparisonChart
        if not self.comparison or not chart:
            raise LiveHandError("noComparison")
        showChart(chart)

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
                rows = self._errorRows() + self._statisticsRows()
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


def _newTable(name: str) -> "slicer.vtkMRMLTableNode":
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)


def _newChart(table: "slicer.vtkMRMLTableNode") -> "slicer.vtkMRMLPlotChartNode":
    """A chart with a bar for each point's error."""
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", "LiveHand Errors")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetPlotType(series.PlotTypeBar)
    series.SetLabelColumnName("Point")
    series.SetYColumnName("Error")
    series.SetColor(0.0, 0.45, 0.70)
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", "LiveHand Comparison")
    chart.SetYAxisTitle("Error (mm)")
    chart.SetLegendVisibility(False)
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart


def _isUnder(node: "slicer.vtkMRMLTransformableNode", transform: "slicer.vtkMRMLTransformNode") -> bool:
    parent = node.GetParentTransformNode()
    return parent is not None and (parent is transform or _isUnder(parent, transform))
