"""Recorded points in a point list and a table of the scene. Knows MRML and VTK, nothing of Qt."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import slicer
import vtk

from ..navigation.points import RecordedPoint
from . import reference

COLUMNS = ("Point", "List", "ID", "x", "y", "z", "SD", "N", "Outliers")
"""Of the table of recorded points: x, y, z and SD in mm, in the reference's coordinate system, or the camera's."""


def fillTable(node: "slicer.vtkMRMLTableNode", columns: Mapping[str, Sequence[Any]]) -> None:
    """Replace what is in a table node.

    :param columns: by name, texts or numbers, all of the same length.
    """
    modified = node.StartModify()
    node.RemoveAllColumns()
    for name, values in columns.items():
        isText = any(isinstance(value, str) for value in values)
        array = vtk.vtkStringArray() if isText else vtk.vtkDoubleArray()
        array.SetName(name)
        for value in values:
            array.InsertNextValue(value if isText else float(value))
        node.AddColumn(array)
    node.EndModify(modified)


class RecordedPoints:
    """Adds recorded points to the chosen point list, and takes back the last ones.

    :param parameterNode: has ``points`` and ``pointsTable``, and the transforms.

    :ivar wanted: the name of the planned point to be touched next, as long as it has not been recorded; empty for the
        first that has not.
    """

    def __init__(self) -> None:
        self.wanted = ""
        self._added: list[tuple[slicer.vtkMRMLMarkupsFiducialNode, str]] = []  # with the point's identifier

    def listFor(self, parameterNode: Any) -> "slicer.vtkMRMLMarkupsFiducialNode":
        """The chosen point list; it is made if there is none.

        An empty list that is under no transform is put under the one that a registration writes to, so that its points
        move with what was touched.
        """
        node = parameterNode.points
        if not node:
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "LiveHand Points")
            node.CreateDefaultDisplayNodes()
            parameterNode.points = node
        if not node.GetNumberOfControlPoints() and not node.GetTransformNodeID():
            node.SetAndObserveTransformNodeID(reference.toRas(parameterNode).GetID())
        return node

    def unrecorded(self, parameterNode: Any) -> list[str]:
        """The names of the planned points that have not been recorded yet, in their order."""
        points, planned = parameterNode.points, parameterNode.plannedPoints
        if not planned or planned is points:
            return []
        recorded = set(names(points)) if points else set()
        return [name for name in names(planned) if name not in recorded]

    def nextName(self, parameterNode: Any) -> str:
        """The name of the planned point that is to be touched next; empty if there is none."""
        unrecorded = self.unrecorded(parameterNode)
        return self.wanted if self.wanted in unrecorded else next(iter(unrecorded), "")

    def add(self, parameterNode: Any, node: "slicer.vtkMRMLMarkupsFiducialNode", point: RecordedPoint) -> None:
        """Add a point, with its spread and number of positions in its description and in the table."""
        ras = reference.pointToWorld(reference.toRas(parameterNode), point.meanMm)
        name = self.nextName(parameterNode)
        index = node.AddControlPointWorld(vtk.vtkVector3d(ras), name) if name else node.AddControlPointWorld(ras)
        node.SetNthControlPointDescription(
            index, f"SD {point.sdMm:.2f} mm, N {point.count}, outliers left out {point.outliers}"
        )
        self._added.append((node, node.GetNthControlPointID(index)))
        table = parameterNode.pointsTable
        if not table:
            table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "LiveHand Points Table")
            parameterNode.pointsTable = table
        label, where = node.GetNthControlPointLabel(index), [float(value) for value in point.meanMm]
        row = (label, node.GetName(), node.GetNthControlPointID(index), *where, point.sdMm, point.count, point.outliers)
        rows = _rows(table)
        rows.append(row)
        fillTable(table, dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)))

    def undo(self, parameterNode: Any) -> bool:
        """Remove the point that was added last, if it is still there.

        :returns: whether there was one.
        """
        while self._added:
            node, identifier = self._added.pop()
            index = node.GetNthControlPointIndexByID(identifier) if node.GetScene() else -1
            if index < 0:
                continue  # somebody has removed it already
            node.RemoveNthControlPoint(index)
            table = parameterNode.pointsTable
            if table:
                rows = [row for row in _rows(table) if (row[1], row[2]) != (node.GetName(), identifier)]
                fillTable(table, dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)) if rows else {})
            return True
        return False


def _rows(table: "slicer.vtkMRMLTableNode") -> list[tuple[Any, ...]]:
    columns = [table.GetTable().GetColumnByName(name) for name in COLUMNS]
    if not all(columns):
        return []
    return [tuple(column.GetValue(row) for column in columns) for row in range(table.GetNumberOfRows())]


def names(node: "slicer.vtkMRMLMarkupsNode") -> list[str]:
    """The names of a point list's points."""
    return [node.GetNthControlPointLabel(index) for index in range(node.GetNumberOfControlPoints())]


def positions(node: "slicer.vtkMRMLMarkupsNode") -> np.ndarray:
    """(n, 3) in RAS of a point list's points, mm; NaN for those that have not been placed."""
    points = np.array(slicer.util.arrayFromMarkupsControlPoints(node, world=True), float).reshape(-1, 3)
    for index in range(len(points)):
        if node.GetNthControlPointPositionStatus(index) != node.PositionDefined:
            points[index] = np.nan
    return points
