"""Shows a chart in Slicer's layout. Knows MRML, nothing of Qt."""

import slicer


def showChart(chart: "slicer.vtkMRMLPlotChartNode") -> None:
    """Show a chart beside the 3D view."""
    # Of Slicer's own layouts, one has a plot beside the 3D view. In most of the others the chart would take the
    # place of the 3D view, and people want to see the hand as well.
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layout and layout.GetViewArrangement() < layout.SlicerLayoutFinalView:
        layout.SetViewArrangement(layout.SlicerLayoutConventionalPlotView)
    slicer.modules.plots.logic().ShowChartInLayout(chart)
