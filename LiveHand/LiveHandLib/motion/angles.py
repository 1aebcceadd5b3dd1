"""Joint angles as tables and a chart of the MRML scene. Knows MRML and VTK, nothing of Qt, cameras or threads."""

import time
from collections.abc import Sequence

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..pose.estimator import TrackedHand
from . import joints

PINCH = "Pinch distance"
MEASURES = (*joints.ANGLES, PINCH)
"""What a table has columns for, besides the time: the angles in degrees and the distance in mm."""

TIME = "Time"
_UNITS = {TIME: "s", PINCH: "mm"} | dict.fromkeys(joints.ANGLES, "degrees")

# Okabe and Ito's colours, which people who do not see all colours tell apart; grey for their yellow, which is hard to
# see on the white of a plot.
_COLORS = ("E69F00", "56B4E9", "009E73", "CC79A7", "0072B2", "D55E00", "666666")


def measure(hands: Sequence[TrackedHand | None], side: str) -> np.ndarray:
    """What the tables' columns hold.

    :param hands: of one side; None where it is not seen.
    :returns: (n, 21) in the order of :data:`MEASURES`; NaN where it is not seen.
    """
    values = np.full((len(hands), len(MEASURES)), np.nan)
    seen = {index: hand for index, hand in enumerate(hands) if hand}
    if seen:
        rows = list(seen)
        shapes = np.array([np.column_stack([hand.imagePx, hand.depthPx]) for hand in seen.values()])
        values[rows, :-1] = joints.jointAngles(shapes, side)
        values[rows, -1] = joints.pinchDistance(np.array([hand.cameraMm for hand in seen.values()]))
    return values


def newTable(name: str) -> "slicer.vtkMRMLTableNode":
    """A table node for a hand's angles, with no rows yet."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
    _setColumns(node)
    return node


def _setColumns(node: "slicer.vtkMRMLTableNode") -> None:
    node.RemoveAllColumns()
    for name in (TIME, *MEASURES):
        column = vtk.vtkDoubleArray()
        column.SetName(name)
        node.AddColumn(column)
        node.SetColumnUnitLabel(name, _UNITS[name])


def fillTable(node: "slicer.vtkMRMLTableNode", seconds: np.ndarray, values: np.ndarray) -> None:
    """Replace the rows of a table from :func:`newTable`.

    :param seconds: (n,) times, s.
    :param values: (n, 21), see :func:`measure`.
    """
    for index, column in enumerate((seconds, *values.T)):
        array = node.GetTable().GetColumn(index)
        array.SetNumberOfValues(len(column))
        vtk_to_numpy(array)[:] = column
    node.GetTable().Modified()


class LiveTable:
    """The angles of one hand over the last time, in a table node.

    Frames are only noted; ten times a second all that came since is measured and written at once, which costs a small
    part of doing it for each of them.

    :param side: ``"Left"`` or ``"Right"``.
    :param node: a node to use again, for example from a saved scene, or None to make one.

    :ivar node: the table node.
    """

    ROWS = 600
    """At most; 20 s at 30 frames a second."""

    EVERY_S = 0.1

    def __init__(self, side: str, node: "slicer.vtkMRMLTableNode | None") -> None:
        self._side = side
        self.node = node or newTable(f"LiveHand {side} Joint Angles")
        if node:
            _setColumns(node)
        self._rows = np.empty((0, 1 + len(MEASURES)))
        self._noted: list[tuple[float, TrackedHand | None]] = []
        self._nextUpdate = 0.0

    def add(self, seconds: float, hand: TrackedHand | None) -> None:
        """Note a frame.

        :param seconds: the frame's time, s.
        :param hand: None where it is not seen.
        """
        wasSeen = self._noted[-1][1] if self._noted else len(self._rows) and not np.isnan(self._rows[-1, -1])
        if hand or wasSeen:  # one empty row makes the plot's line end
            self._noted.append((seconds, hand))
        if self._noted and time.perf_counter() >= self._nextUpdate:
            self.update()

    def update(self) -> None:
        """Write what was noted."""
        if not self._noted:
            return
        self._nextUpdate = time.perf_counter() + self.EVERY_S
        seconds = np.array([seconds for seconds, _hand in self._noted])
        new = np.column_stack([seconds, measure([hand for _seconds, hand in self._noted], self._side)])
        self._noted.clear()
        self._rows = np.concatenate([self._rows, new])[-self.ROWS :]
        fillTable(self.node, self._rows[:, 0], self._rows[:, 1:])


def newChart() -> "slicer.vtkMRMLPlotChartNode":
    """A chart node with no lines yet."""
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", "LiveHand Joint Angles")
    chart.SetXAxisTitle("Time (s)")
    return chart


def updateChart(
    chart: "slicer.vtkMRMLPlotChartNode", tables: dict[str, "slicer.vtkMRMLTableNode"], measures: list[str]
) -> None:
    """Make a chart show some measures of some hands over time. What else it shows stays as it is.

    :param tables: table nodes from :func:`newTable`, by ``"Left"`` and ``"Right"``.
    :param measures: names out of :data:`MEASURES`.
    """
    quantities = ["Angle (degrees)"] * (set(measures) != {PINCH}) + ["Distance (mm)"] * (PINCH in measures)
    chart.SetYAxisTitle(", ".join(quantities))
    wanted = {(table.GetID(), measure): side for side, table in tables.items() for measure in measures}
    ours = {table.GetID() for table in tables.values()}
    for index in reversed(range(chart.GetNumberOfPlotSeriesNodes())):
        series = chart.GetNthPlotSeriesNode(index)
        if not series or series.GetTableNodeID() not in ours:
            continue
        if not wanted.pop((series.GetTableNodeID(), series.GetYColumnName()), None):
            slicer.mrmlScene.RemoveNode(series)
    for (tableId, measure), side in wanted.items():
        chart.AddAndObservePlotSeriesNodeID(_newSeries(side, measure, tableId).GetID())


def _newSeries(side: str, measure: str, tableId: str) -> "slicer.vtkMRMLPlotSeriesNode":
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", f"{side} {measure}")
    series.SetAndObserveTableNodeID(tableId)
    series.SetPlotType(series.PlotTypeScatter)
    series.SetXColumnName(TIME)
    series.SetYColumnName(measure)
    series.SetMarkerStyle(series.MarkerStyleNone)
    series.SetLineStyle(series.LineStyleDash if side == "Left" else series.LineStyleSolid)
    color = _COLORS[MEASURES.index(measure) % len(_COLORS)]
    series.SetColor(*(int(color[start : start + 2], 16) / 255.0 for start in (0, 2, 4)))
    return series
