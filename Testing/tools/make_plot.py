"""Draw the documentation's plot: joint angles of the sample clip, as a plot view of Slicer draws LiveHand's chart node.

python3 Testing/run.py make plot [Plot.png]
"""

from pathlib import Path

from host.application import Application
from support.paths import IMAGES, MODULE, SAMPLE_CLIP

SIZE = (1000, 380)
MEASURES = ("Index MCP flexion", "Index PIP flexion", "Thumb IP flexion", "Ring PIP flexion")


def main(argv: list[str]) -> None:
    """Write ``Resources/Plot.png``."""
    path = Path(argv[0]) if argv else IMAGES / "Plot.png"
    with Application(headless=True) as application:
        application.loadModule(MODULE)
        logic = application.showModule("LiveHand").logic
        logic.setSource(SAMPLE_CLIP)
        parameterNode = logic.getParameterNode()
        parameterNode.everyFrame = True
        parameterNode.plottedMeasures = list(MEASURES)
        logic.motion.showPlot()
        logic.start()
        application.spin(lambda: logic.worker.state == "off", timeout=120)
        draw(parameterNode.anglesChart, path)


def draw(chartNode, path: Path) -> None:
    """Draw what a chart node holds."""
    import vtk

    chart = vtk.vtkChartXY()
    chart.SetShowLegend(True)
    for index in range(chartNode.GetNumberOfPlotSeriesNodes()):
        series = chartNode.GetNthPlotSeriesNode(index)
        line = chart.AddPlot(vtk.vtkChart.LINE)
        line.SetInputData(series.GetTableNode().GetTable(), series.GetXColumnName(), series.GetYColumnName())
        line.SetLabel(series.GetName())
        line.SetColorF(*series.GetColor())
        line.SetWidth(3)
    titles = {vtk.vtkAxis.BOTTOM: chartNode.GetXAxisTitle(), vtk.vtkAxis.LEFT: chartNode.GetYAxisTitle()}
    for position, title in titles.items():
        axis = chart.GetAxis(position)
        axis.SetTitle(title)
        axis.GetTitleProperties().SetFontSize(14)
    view = vtk.vtkContextView()
    view.GetScene().AddItem(chart)
    window = view.GetRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetSize(*SIZE)
    window.Render()
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.ReadFrontBufferOff()
    writer = vtk.vtkPNGWriter()
    writer.SetInputConnection(grabber.GetOutputPort())
    writer.SetFileName(str(path))
    writer.Write()
