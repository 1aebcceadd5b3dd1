"""A trace in the scene: a model that grows with it, and a curve when it has ended. Knows MRML and VTK, nothing of Qt.

A markups curve works itself out anew for each point that is added: with a thousand points that took 0.1 s and more. So
a trace is a polyline of a model while it grows, which costs the same for each point, and a curve gets all at once.
"""

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..navigation.traces import Trace
from . import reference

COLOR = (0.20, 0.75, 0.35)


class TraceNodes:
    """The nodes of one trace.

    :param parameterNode: gets the model as ``traceModel``, and later the curve as ``trace``.
    :param trace: the trace, in the reference's coordinate system, or the camera's without a reference.

    :ivar trace: as the parameter.
    """

    def __init__(self, parameterNode: Any, trace: Trace) -> None:
        self.trace = trace
        self._polyData = vtk.vtkPolyData()
        self._setPoints()
        model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "LiveHand Trace")
        model.SetAndObservePolyData(self._polyData)
        model.CreateDefaultDisplayNodes()
        display = model.GetDisplayNode()
        display.SetColor(COLOR)
        display.SetLineWidth(4)
        display.SetLighting(False)
        model.SetAndObserveTransformNodeID(reference.toRas(parameterNode).GetID())
        parameterNode.traceModel = self.model = model
        self.curve: slicer.vtkMRMLMarkupsCurveNode | None = None

    @property
    def isThere(self) -> bool:
        """Whether nobody has deleted the model."""
        return self.model.GetScene() is not None

    def append(self, point: np.ndarray) -> None:
        """Show the point that was added to the trace last."""
        number = self._polyData.GetPoints().InsertNextPoint(point)
        if number:
            lines = self._polyData.GetLines()
            lines.InsertNextCell(2)
            lines.InsertCellPoint(number - 1)
            lines.InsertCellPoint(number)
        self._polyData.GetPoints().Modified()
        self._polyData.Modified()

    def rebuild(self) -> None:
        """Show the trace as it is, after points were taken back."""
        self._setPoints()
        self._polyData.Modified()

    def _setPoints(self) -> None:
        points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
        points.SetDataTypeToDouble()
        for number, point in enumerate(self.trace.pointsMm):
            points.InsertNextPoint(point)
            if number:
                lines.InsertNextCell(2)
                lines.InsertCellPoint(number - 1)
                lines.InsertCellPoint(number)
        self._polyData.SetPoints(points)
        self._polyData.SetLines(lines)

    def makeCurve(self, parameterNode: Any) -> None:
        """Give the curve the trace's points, which takes about 0.1 s for a thousand. It is made when it is needed."""
        if not len(self.trace) or not self.isThere:
            return
        points = vtk.vtkPoints()
        points.SetData(numpy_to_vtk(self.trace.pointsMm.copy(), deep=True))
        if self.curve is None or not self.curve.GetScene():
            curve = slicer.vtkMRMLMarkupsClosedCurveNode() if self.trace.isClosed else slicer.vtkMRMLMarkupsCurveNode()
            curve.SetName("LiveHand Trace Curve")
            curve.SetCurveTypeToLinear()
            curve.SetControlPointPositionsWorld(points)  # which are its own ones, out of the scene
            slicer.mrmlScene.AddNode(curve)
            curve.CreateDefaultDisplayNodes()
            display = curve.GetDisplayNode()
            display.SetPointLabelsVisibility(False)
            display.SetPropertiesLabelVisibility(False)
            display.SetSelectedColor(COLOR)
            display.SetGlyphScale(0.5)
            self.curve = curve
        else:
            self.curve.SetAndObserveTransformNodeID(None)
            self.curve.SetControlPointPositionsWorld(points)
        self.curve.SetAndObserveTransformNodeID(self.model.GetTransformNodeID())
        parameterNode.trace = self.curve

    def remove(self) -> None:
        """Delete the nodes."""
        for node in (self.model, self.curve):
            if node and node.GetScene():
                slicer.mrmlScene.RemoveNode(node)
