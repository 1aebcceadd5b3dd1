"""What LiveHand makes of the hands' motion: joint angles and recordings. Knows MRML, nothing of Qt."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import slicer

from ..detection import detector
from ..errors import LiveHandError
from ..pose.estimator import TrackedFrame
from ..scene import reference
from ..scene.charts import showChart
from . import angles, recording
from .streamclock import StreamClock


class Motion:
    """Measures and records what the hands do. To be used in the GUI thread.

    :param getParameterNode: returns the scene's parameter node for the module, which says what to measure and keeps
        the nodes.

    :ivar recording: the :class:`recording.Recording` under way, or ended and not yet in the scene; or None.
    """

    def __init__(self, getParameterNode: Callable[[], Any]) -> None:
        self._getParameterNode = getParameterNode
        self.forget()

    def forget(self) -> None:
        """The scene is closed: drop what belongs to it, also a recording that was not stopped."""
        self.recording: recording.Recording | None = None
        self._steps: recording.Steps | None = None
        self._tables: dict[str, angles.LiveTable] = {}
        self._clock = StreamClock()

    def add(self, frame: TrackedFrame) -> None:
        """Measure and record a frame."""
        parameterNode = self._getParameterNode()
        if self.recording:
            # While the reference is lost, nobody knows where the hands are.
            known = replace(frame, hands={}) if reference.isLost(parameterNode, frame) else frame
            self.recording.add(known, reference.handsTransform(parameterNode))
        if parameterNode.measureAngles:
            self._measureAngles(frame)

    def endLive(self) -> None:
        """Live is off: a recording ends and is kept, the tables of the joint angles stay as they are."""
        if self.recording:
            self.recording.stop()
        for table in self._tables.values():
            table.update()
        self._tables.clear()
        self._clock = StreamClock()

    # Recording

    def startRecording(self) -> None:
        """Record what the hands do from now on. A recording that is not in the scene yet is dropped."""
        self.recording = recording.Recording()

    def stopRecording(self) -> "slicer.vtkMRMLSequenceBrowserNode":
        """End the recording and put it into the scene, which takes about a millisecond a frame.

        :returns: see :func:`recording.makeNodes`; the parameter node has it as ``recording``.
        :raises LiveHandError: ``recordingEmpty`` when there is none, or no hand was seen in it.
        """
        return recording.finish(self.stopRecordingInSteps())

    def stopRecordingInSteps(self) -> recording.Steps:
        """The same, a little at each step. The recording ends at once, and is kept until the last step.

        Who asks for the steps while somebody else is doing them gets the same ones.
        """
        if self._steps is None:
            ended, self.recording = self.recording, None
            if not ended or not any(frame.hands for frame in ended.frames):
                raise LiveHandError("recordingEmpty")
            ended.stop()
            self.recording = ended
            self._steps = self._makeNodes(ended)
        return self._steps

    def _makeNodes(self, ended: recording.Recording) -> recording.Steps:
        try:
            browser = yield from recording.makeNodes(ended)
            self._getParameterNode().recording = browser
            self.recording = None
            return browser
        finally:
            self._steps = None

    def exportCsv(self, path: str | Path, browser: "slicer.vtkMRMLSequenceBrowserNode | None" = None) -> None:
        """Write a recording's landmarks into a text file; see :func:`recording.writeCsv`.

        :param browser: the recording; the newest one in the scene if it is not given.
        :raises LiveHandError: ``noRecording`` or ``exportFailed``.
        """
        recording.finish(self.exportCsvInSteps(path, browser))

    def exportCsvInSteps(
        self, path: str | Path, browser: "slicer.vtkMRMLSequenceBrowserNode | None" = None
    ) -> recording.Steps:
        """The same, a little at each step."""
        return recording.writeCsv(browser or self._getParameterNode().recording, path)

    # Joint angles

    def showPlot(self) -> None:
        """Measure the joint angles while live, and show the chosen ones as a chart in the view layout."""
        parameterNode = self._getParameterNode()
        parameterNode.measureAngles = True
        parameterNode.anglesChart = parameterNode.anglesChart or angles.newChart()
        self.updateChart()
        showChart(parameterNode.anglesChart)

    def updateChart(self) -> None:
        """Make the chart, if there is one, show what the parameter node asks for."""
        parameterNode = self._getParameterNode()
        if parameterNode.anglesChart:
            tables = {"Left": parameterNode.leftAngles, "Right": parameterNode.rightAngles}
            tables = {side: table for side, table in tables.items() if table}
            angles.updateChart(parameterNode.anglesChart, tables, list(parameterNode.plottedMeasures))

    def _measureAngles(self, frame: TrackedFrame) -> None:
        seconds = self._clock.at(frame)
        for side in detector.HANDEDNESSES:
            hand, table = frame.hands.get(side), self._tables.get(side)
            if hand and not (table and table.node.GetScene()):
                table = self._tables[side] = self._newTable(side)
            if table:
                table.add(seconds, hand)

    def _newTable(self, side: str) -> angles.LiveTable:
        parameterNode, name = self._getParameterNode(), f"{side.lower()}Angles"
        table = angles.LiveTable(side, getattr(parameterNode, name))
        setattr(parameterNode, name, table.node)
        self.updateChart()
        return table
