"""The panel's Live, its packages, status line and preview. Knows Qt and the module's logic, nothing of MRML."""

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from ..camera.devices import Camera
from ..errors import LiveHandError
from ..scene.reference import ReferenceKind
from ..tracking import preview, worker
from .sentences import endSentence, hintSentence, sentence
from .widgets import pixmap


class LivePanel:
    """Joins the check box to the logic, and shows how it goes.

    :param ui: the panel's widgets.
    :param logic: the :class:`LiveHandLogic`.
    :param onPackagesChanged: called when packages were installed, or an attempt has failed.
    """

    def __init__(self, ui, logic, onPackagesChanged) -> None:
        self._ui, self._logic, self._onPackagesChanged = ui, logic, onPackagesChanged
        self._isError = self._isEnded = False  # what the status line says stays when Live goes off
        self._hadObstacle = False
        logic.worker.stateChanged.connect(self.onStateChanged)
        logic.worker.failed.connect(self.onFailed)
        logic.worker.waiting.connect(self.onWaiting)
        logic.worker.ended.connect(self.onEnded)
        logic.worker.statistics.connect(self.onStatistics)
        logic.worker.previewImage.connect(self.onPreview)
        ui.installButton.connect("clicked(bool)", self.onInstallButton)
        ui.liveCheckBox.connect("toggled(bool)", self.onLiveToggled)
        ui.previewCollapsibleButton.connect("contentsCollapsed(bool)", self.onPreviewCollapsed)

    # Packages

    def updatePackages(self) -> None:
        """Show the install button if a package is missing, and what is in the way."""
        obstacle = self._logic.packageObstacle()
        missing = self._logic.missingPackages() if obstacle else []  # to read what is installed takes 20 ms
        if obstacle:
            self.showMessage(sentence(obstacle), isError=True)
        elif self._hadObstacle:
            self.showMessage("")
        self._hadObstacle = obstacle is not None
        self._ui.installWidget.visible = bool(missing)
        self._ui.installButton.setToolTip(
            _("Install in Slicer's Python, after asking:") + "\n" + "\n".join(missing) if missing else ""
        )
        self._ui.liveCheckBox.enabled = not obstacle

    def onInstallButton(self) -> None:
        """Install the missing packages, asked first."""
        self.showMessage("")
        try:
            self._logic.installPackages()
        except Exception as error:
            self._onPackagesChanged()
            self.showError(error)
        else:
            self._onPackagesChanged()

    # Live

    def onLiveToggled(self, live: bool) -> None:
        """Called when the user ticks or unticks Live."""
        if not live:
            self._logic.stop()
            return
        version = self._logic.unagreedMediapipe()
        if version and self.askForConsent(version):
            self._logic.agreeToMediapipe()
        self.showMessage("")
        self._logic.start()

    def askForConsent(self, version: str) -> bool:
        """Tell the user what a newer MediaPipe sends, and ask whether to use it."""
        return slicer.util.confirmOkCancelDisplay(
            _(
                "MediaPipe {version} is installed, newer than the version LiveHand asks for. From version 0.10.35 on, "
                "MediaPipe's library sends metrics about its performance and use to Google while it runs. Images "
                "and landmarks stay on this computer.\n\nUse this version?"
            ).format(version=version),
            "LiveHand",
        )

    def onStateChanged(self, state: str) -> None:
        """Show whether Live is on."""
        box = self._ui.liveCheckBox
        blocked = box.blockSignals(True)
        box.setChecked(state in (worker.STARTING, worker.LIVE) and not self._logic.isCalibrating())
        box.blockSignals(blocked)
        if state == worker.STARTING:
            self.updatePreview()
            self.showMessage(_("Opening the camera..."))
        elif state == worker.LIVE and self._logic.isCalibrating():
            self.showMessage(_("Calibrating: hold the board before the camera."))
        elif state in (worker.STOPPING, worker.OFF) and not self._isError and not self._isEnded:
            self.showMessage("")
        if state in (worker.STARTING, worker.OFF) and not self._isEnded:
            self._ui.hintLabel.setText("")
            self._ui.modeLabel.setText("")
            self._ui.previewLabel.clear()

    def showError(self, error: Exception) -> None:
        """Tell the user in one sentence, and Slicer's log the rest."""
        error = LiveHandError.of(error)
        error.log()
        self.onFailed(error)

    def onFailed(self, error: LiveHandError) -> None:
        """Show the user in one sentence why the worker failed; the logic has written it into the log."""
        self.showMessage(sentence(error), isError=True)
        if self._logic.worker.state in (worker.OFF, worker.STOPPING):
            self.onStateChanged(self._logic.worker.state)  # Live was ticked, and refused

    def onWaiting(self, reason: str) -> None:
        """Tell the user what the camera waits for."""
        if reason == "permission":
            self.showMessage(_("The system asks whether Slicer may use the camera: answer its question to go on."))
        elif reason == "opening":
            self.showMessage(_("Still opening the camera: some take a minute. Untick Live to give up."))

    def onEnded(self) -> None:
        """Tell the user that a file is over."""
        self.showMessage(endSentence(self._logic.worker.lastStatistics.framesUnreadable), isEnded=True)

    def onStatistics(self, statistics: worker.Statistics) -> None:
        """Show how it goes."""
        if self._logic.worker.state != worker.LIVE or self._logic.isCalibrating():
            return
        self.updatePreview()  # in case the panel was hidden or shown in a way that no signal reports
        frame = self._logic.frame
        self._ui.modeLabel.setText(
            _("{width} × {height}, {rate:.0f} frames/s").format(
                width=frame.imageSize[0], height=frame.imageSize[1], rate=statistics.sourceRate
            )
            if frame and statistics.sourceRate and isinstance(self._logic.source(), Camera)
            else ""
        )
        self._ui.hintLabel.setText(hintSentence(statistics.hint))
        names = {"Left": _("left hand"), "Right": _("right hand")}
        hands = frame.hands if frame else {}
        seen = ", ".join(
            f"{names[side]} ({hand.score:.0%}, ±{np.median(hand.landmarkStdMm):.0f} mm)"
            for side, hand in sorted(hands.items())
        )
        self.showMessage(
            _("{rate:.0f} frames/s, {latency:.0f} ms latency, {hands}").format(
                rate=statistics.framesPerSecond, latency=self._logic.latencyMs(), hands=seen or _("no hand in view")
            )
            + self.referenceText()
        )

    def referenceText(self) -> str:
        """What to say of the reference; empty if there is none."""
        frame = self._logic.frame
        if frame is None or self._logic.getParameterNode().referenceKind == ReferenceKind.NONE:
            return ""
        if not self._logic.isReferenceLost():
            return ", " + _("reference ±{error:.1f} px").format(error=frame.reference.reprojectionPx)
        return ", " + (_("reference lost") if frame.reference else _("reference not found yet"))

    def showMessage(self, text: str, isError: bool = False, isEnded: bool = False) -> None:
        """Write into the status line."""
        self._isError, self._isEnded = isError, isEnded
        self._ui.statusLabel.setText(("⚠ " if isError else "") + text)

    # Preview

    def onPreviewCollapsed(self, collapsed: bool) -> None:
        """Called when the user opens or closes the preview."""
        self.updatePreview()

    def updatePreview(self) -> None:
        """Have the preview sent while it is on the screen."""
        self._logic.setPreview(self._ui.previewLabel.visible)

    def onPreview(self, image: np.ndarray) -> None:
        """Show what the camera sees."""
        label = self._ui.previewLabel
        height, width = image.shape[:2]
        shown = pixmap(image)
        if width > preview.PANEL_SIZE[0] or height > preview.PANEL_SIZE[1]:
            shown = shown.scaled(*preview.PANEL_SIZE, qt.Qt.KeepAspectRatio)
        label.setPixmap(shown)
