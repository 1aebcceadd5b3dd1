"""The panel's group for recordings and joint angles. Knows Qt and the module's logic, nothing of cameras."""

import time

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import LiveHandError
from ..motion.angles import MEASURES
from ..tracking import worker
from .sentences import sentence


class MotionPanel:
    """Joins the group's widgets to the logic, and does what takes long a little at a time.

    :param ui: the panel's widgets.
    :param logic: the :class:`LiveHandLogic`.
    """

    SLICE_S = 0.010
    """For how long at a time the GUI thread is held; at least as long it is then free for others."""

    def __init__(self, ui, logic) -> None:
        self._ui, self._logic = ui, logic
        self._message = ""
        self._steps = None
        self._onDone = None
        self._activity = ""
        self._timer = qt.QTimer()
        self._timer.setInterval(int(1000 * self.SLICE_S))
        self._timer.connect("timeout()", self.onTimeout)
        ui.plottedMeasuresList.addItems(MEASURES)
        ui.recordButton.connect("toggled(bool)", self.onRecordToggled)
        ui.exportButton.connect("clicked(bool)", self.onExportButton)
        ui.showPlotButton.connect("clicked(bool)", self.onShowPlotButton)
        ui.plottedMeasuresList.connect("itemChanged(QListWidgetItem*)", self.onMeasureTicked)
        logic.worker.stateChanged.connect(self.onStateChanged)
        logic.worker.statistics.connect(self.onStatistics)

    def close(self) -> None:
        """Leave what is under way: a file that is being written will not be there."""
        self._timer.stop()
        if self._steps:
            self._steps.close()
        self._steps = self._onDone = None

    def isBusy(self) -> bool:
        """Whether something is under way that is done a little at a time."""
        return self._steps is not None

    def update(self) -> None:
        """Show what the parameter node and the logic say."""
        ui, motion = self._ui, self._logic.motion
        parameterNode = self._logic.getParameterNode()
        plotted = set(parameterNode.plottedMeasures)
        blocked = ui.plottedMeasuresList.blockSignals(True)
        for row, measure in enumerate(MEASURES):
            ui.plottedMeasuresList.item(row).setCheckState(qt.Qt.Checked if measure in plotted else qt.Qt.Unchecked)
        ui.plottedMeasuresList.blockSignals(blocked)

        isRecording = bool(motion.recording and not motion.recording.isStopped)
        isBusy = self.isBusy()
        blocked = ui.recordButton.blockSignals(True)
        ui.recordButton.setChecked(isRecording)
        ui.recordButton.blockSignals(blocked)
        ui.recordButton.enabled = not isBusy and (isRecording or self._logic.worker.state == worker.LIVE)
        ui.exportButton.enabled = not isBusy and parameterNode.recording is not None
        if isBusy:
            return
        if isRecording:
            text = _("{seconds:.1f} s, {frames} frames").format(
                seconds=motion.recording.seconds, frames=len(motion.recording.frames)
            )
        elif self._message:
            text = self._message
        else:
            text = parameterNode.recording.GetName() if parameterNode.recording else ""
        ui.recordingLabel.setText(text)

    # Recording

    def onRecordToggled(self, on: bool) -> None:
        """Called when the user clicks Record."""
        if on:
            self._message = ""
            self._logic.motion.startRecording()
            self.update()
        else:
            self.keepRecording()

    def onStatistics(self, _statistics: worker.Statistics) -> None:
        """Show how long the recording is, and end it when it is full."""
        recording = self._logic.motion.recording
        if recording and recording.isFull:
            self.keepRecording()
            self.showError(LiveHandError("recordingFull", minutes=round(recording.seconds / 60)))
        elif recording or self._ui.recordButton.checked:
            self.update()

    def onStateChanged(self, state: str) -> None:
        """Keep the recording when Live has gone off."""
        if state == worker.OFF and self._logic.motion.recording:
            self.keepRecording()
        self.update()

    def keepRecording(self) -> None:
        """End the recording and put it into the scene, a little at a time."""
        if not self.isBusy():
            self.runSteps(
                self._logic.motion.stopRecordingInSteps,
                _("Putting the recording into the scene: {percent} %"),
                lambda: slicer.modules.sequences.showSequenceBrowser(self._logic.getParameterNode().recording),
            )

    def onExportButton(self) -> None:
        """Ask for a file and write the newest recording into it."""
        browser = self._logic.getParameterNode().recording
        path = qt.QFileDialog.getSaveFileName(
            self._ui.exportButton,
            _("Export the recording"),
            f"{browser.GetName()}.csv",
            _("Comma-separated values") + " (*.csv)",
        )
        if path:
            self.runSteps(
                lambda: self._logic.motion.exportCsvInSteps(path, browser), _("Writing the recording: {percent} %")
            )

    # Joint angles

    def onMeasureTicked(self, _item) -> None:
        """Plot what is ticked."""
        items = [self._ui.plottedMeasuresList.item(row) for row in range(len(MEASURES))]
        self._logic.getParameterNode().plottedMeasures = [
            item.text() for item in items if item.checkState() == qt.Qt.Checked
        ]

    def onShowPlotButton(self) -> None:
        """Show the plot."""
        self._logic.motion.showPlot()

    # What takes long, and how it ends

    def showError(self, error: Exception) -> None:
        """Tell the user in one sentence, which stays until something else is done here, and Slicer's log the rest."""
        error = LiveHandError.of(error)
        error.log()
        self._message = "⚠ " + sentence(error)
        self.update()

    def runSteps(self, begin, activity: str, onDone=lambda: None) -> None:
        """Do the steps of something, a few at a time.

        :param begin: returns the :data:`recording.Steps`.
        :param activity: what the panel shows meanwhile.
        :param onDone: called after the last one.
        """
        self._message = ""
        try:
            self._steps, self._activity, self._onDone = begin(), activity, onDone
            self._timer.start()
            self.update()
        except Exception as error:
            self.showError(error)

    def onTimeout(self) -> None:
        """Do a few steps more."""
        end = time.perf_counter() + self.SLICE_S
        try:
            while time.perf_counter() < end:
                progress = next(self._steps)
            self._ui.recordingLabel.setText(self._activity.format(percent=int(100 * progress)))
        except StopIteration:
            onDone = self._onDone
            self.close()
            onDone()
        except LiveHandError as error:
            self.close()
            self.showError(error)
        except Exception as error:
            self.close()
            self.showError(error)
            return
        if self._steps is None:
            self.onStateChanged(self._logic.worker.state)
