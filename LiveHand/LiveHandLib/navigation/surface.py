"""Registration of a trace to a surface, by VTK's iterative closest points. Knows numpy and VTK."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..errors import LiveHandError
from .registration import ErrorStatistics, apply

POINTS_NEEDED = 20
"""A trace of fewer points is too short to say anything of a surface's shape."""
_LANDMARKS = 500  # of the trace, spread evenly; VTK's own choice is 200
_ITERATIONS = 500  # points slide along a smooth surface slowly; half a second for a trace and a model of usual sizes


@dataclass(frozen=True, eq=False)
class SurfaceRegistration:
    """A rigid transform that lays points onto a surface.

    :ivar matrix: (4, 4) from the points' coordinate system to the surface's, mm.
    :ivar distancesMm: (n,) how far each point is from the surface after it, mm.
    :ivar initialDistancesMm: the same with the transform that it was started from.
    :ivar statistics: those of the distances.
    """

    matrix: np.ndarray
    distancesMm: np.ndarray
    initialDistancesMm: np.ndarray

    @property
    def statistics(self) -> ErrorStatistics:
        return ErrorStatistics.of(self.distancesMm)


def registerToSurface(pointsMm: np.ndarray, surface: Any, initial: np.ndarray) -> SurfaceRegistration:
    """Lay points onto a surface (Besl, McKay: A Method for Registration of 3-D Shapes, 1992).

    It finds the nearest solution, so it has to be started close to it: from paired points, within some centimetres
    and 20 degrees. It takes up to about a
    second.

    :param pointsMm: (n, 3), mm, such as a trace over the skin.
    :param surface: ``vtkPolyData`` with triangles, mm.
    :param initial: (4, 4) from the points' coordinate system to the surface's, mm.
    :raises LiveHandError: ``surfaceTooFew`` for fewer than :data:`POINTS_NEEDED` points, ``surfaceEmpty`` for a model
        without a surface, ``registrationNotFinite``, and ``surfaceNoFit`` when the points are no closer to the surface
        than before.
    """
    points, initial = np.array(pointsMm, float).reshape(-1, 3), np.asarray(initial, float)
    if not (np.isfinite(points).all() and np.isfinite(initial).all()):
        raise LiveHandError("registrationNotFinite")
    if len(points) < POINTS_NEEDED:
        raise LiveHandError("surfaceTooFew", count=len(points), needed=POINTS_NEEDED)
    before = distancesToSurface(apply(initial, points), surface)
    source = vtk.vtkPolyData()
    source.SetPoints(_vtkPoints(apply(initial, points)))
    search = vtk.vtkIterativeClosestPointTransform()
    search.SetSource(source)
    search.SetTarget(surface)
    search.GetLandmarkTransform().SetModeToRigidBody()
    search.SetMaximumNumberOfLandmarks(min(len(points), _LANDMARKS))
    search.SetMaximumNumberOfIterations(_ITERATIONS)
    search.StartByMatchingCentroidsOff()
    search.CheckMeanDistanceOn()
    search.SetMaximumMeanDistance(1e-4)  # mm, between one iteration and the next
    search.Update()
    found = search.GetMatrix()
    matrix = np.array([[found.GetElement(row, column) for column in range(4)] for row in range(4)]) @ initial
    after = distancesToSurface(apply(matrix, points), surface)
    if not np.isfinite(matrix).all() or np.square(after).mean() > np.square(before).mean():
        raise LiveHandError("surfaceNoFit")
    return SurfaceRegistration(matrix, after, before)


def distancesToSurface(pointsMm: np.ndarray, surface: Any) -> np.ndarray:
    """How far points are from the nearest point of a surface, (n,) mm.

    :param pointsMm: (n, 3), mm.
    :param surface: ``vtkPolyData``, mm.
    :raises LiveHandError: ``surfaceEmpty``.
    """
    if surface is None or not surface.GetNumberOfPolys() + surface.GetNumberOfStrips():
        raise LiveHandError("surfaceEmpty")
    locator = vtk.vtkCellLocator()
    locator.SetDataSet(surface)
    locator.BuildLocator()
    closest, cell, subId, squared = np.zeros(3), vtk.reference(0), vtk.reference(0), vtk.reference(0.0)
    distances = []
    for point in pointsMm:
        locator.FindClosestPoint(point, closest, cell, subId, squared)
        distances.append(float(squared) ** 0.5)
    return np.array(distances)


def _vtkPoints(pointsMm: np.ndarray) -> Any:
    points = vtk.vtkPoints()
    points.SetData(numpy_to_vtk(pointsMm, deep=True))
    return points
