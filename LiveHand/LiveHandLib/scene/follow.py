"""Slices and distances that follow a fingertip. Knows MRML and VTK, nothing of Qt."""

from typing import Any

import numpy as np
import slicer
import vtk

from .recordedpoints import positions
from .reference import matrixToWorld

JUMPS_PER_S = 15.0
"""How often slices jump at most: each view that shows one is rendered again."""


class SliceFollower:
    """Has slices jump to where the fingertip is."""

    def __init__(self) -> None:
        self._jumpedAt = -np.inf

    def isDue(self, now: float) -> bool:
        """Whether the last jump was long enough ago.

        :param now: s.
        """
        return now - self._jumpedAt >= 0.999 / JUMPS_PER_S

    def jump(self, ras: np.ndarray, views: list[str], without: str, now: float) -> None:
        """Move the slices, in their own planes' direction.

        :param ras: (3,) mm.
        :param views: names of slice views, such as ``Red``; all if there are none.
        :param without: a view that stays as it is.
        :param now: s.
        """
        self._jumpedAt = now
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            name = node.GetLayoutName()
            if name != without and (not views or name in views):
                node.JumpSliceByOffsetting(*ras)


class DistanceMeter:
    """Measures how far it is to a model's surface or to the nearest point of a list."""

    def __init__(self) -> None:
        self._surface: tuple[vtk.vtkPolyData, int, int] | None = None
        self._locator: vtk.vtkCellLocator | None = None
        self._closest = np.zeros(3)
        self._cell, self._subId, self._squared = vtk.reference(0), vtk.reference(0), vtk.reference(0.0)

    def distanceMm(self, ras: np.ndarray, node: Any) -> float | None:
        """How far it is.

        :param ras: (3,) mm.
        :param node: a model or a point list.
        :returns: mm; None if there is nothing to measure to.
        """
        if node.IsA("vtkMRMLMarkupsNode"):
            points = positions(node)
            distances = np.linalg.norm(points - ras, axis=1)
            return float(np.nanmin(distances)) if np.isfinite(distances).any() else None
        polyData = node.GetPolyData() if node.IsA("vtkMRMLModelNode") else None
        if polyData is None or not polyData.GetNumberOfCells():
            return None
        parent = node.GetParentTransformNode()
        isLinear = not parent or parent.IsTransformToWorldLinear()
        surface = polyData, polyData.GetMTime(), 0 if isLinear else parent.GetTransformToWorldMTime()
        if self._surface != surface:
            self._surface = surface
            self._locator = vtk.vtkCellLocator()
            self._locator.SetDataSet(polyData if isLinear else inWorld(node))
            self._locator.BuildLocator()
        assert self._locator
        toWorld = matrixToWorld(parent) if parent and isLinear else np.eye(4)
        local = np.linalg.inv(toWorld) @ (*ras, 1.0)
        self._locator.FindClosestPoint(local[:3], self._closest, self._cell, self._subId, self._squared)
        return float(np.linalg.norm(toWorld[:3, :3] @ self._closest + toWorld[:3, 3] - ras))


def inWorld(model: "slicer.vtkMRMLModelNode") -> "vtk.vtkPolyData | None":
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
