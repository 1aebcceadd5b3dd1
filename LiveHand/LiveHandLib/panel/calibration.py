"""The panel's group for calibrating the camera. Knows Qt and the module's logic, nothing of MRML."""

import qt
import slicer
from slicer.i18n import tr as _

from ..calibration.board import CHARUCO, CHESSBOARD, CURRENT, LEGACY, PAPERS_MM, Board, savePdf
from ..calibration.boardviews import VIEWS_WANTED, Calibration, Progress
from ..calibration.intrinsics import GUESSED_FIELD_OF_VIEW_DEG, Intrinsics
from ..detection import detector
from ..tracking.worker import Statistics
from .sentences import sentence
from .widgets import pixmap


class CalibrationPanel:
    """Joins the group's widgets to the logic.

    The board is the user's, not the scene's, so what it is like is kept in the user's settings.

    :param ui: the panel's widgets.
    :param logic: the :class:`LiveHandLogic`.
    :param showError: shows an error to the user.
    """

    SETTINGS = "LiveHand/Board/"

    def __init__(self, ui, logic, showError) -> None:
        self._ui, self._logic, self._showError = ui, logic, showError
        ui.boardKindComboBox.addItem(_("ChArUco board"), CHARUCO)
        ui.boardKindComboBox.addItem(_("Chessboard"), CHESSBOARD)
        for paper in PAPERS_MM:
            ui.boardPaperComboBox.addItem(paper, paper)
        self.restoreBoard()
        self.showProgress(None)
        self._showHint("")
        ui.boardPrintButton.connect("clicked(bool)", self.onPrintButton)
        ui.calibrateButton.connect("toggled(bool)", self.onCalibrateToggled)
        ui.calibrationImportButton.connect("clicked(bool)", self.onImportButton)
        ui.calibrationExportButton.connect("clicked(bool)", self.onExportButton)
        ui.calibrationForgetButton.connect("clicked(bool)", self.onForgetButton)
        logic.worker.stateChanged.connect(self.onStateChanged)
        logic.worker.calibrating.connect(self.showProgress)
        logic.worker.calibrated.connect(self.onCalibrated)
        logic.worker.statistics.connect(self.onStatistics)

    def update(self) -> None:
        """Show what holds for the source that is chosen."""
        ui, logic = self._ui, self._logic
        intrinsics = logic.intrinsics()
        text = self._description(intrinsics)
        if ui.calibrationLabel.text != text:
            ui.calibrationLabel.setText(text)
        hasSource = bool(logic.cameraName())
        ui.calibrateButton.enabled = hasSource and ui.liveCheckBox.enabled
        ui.calibrationImportButton.enabled = hasSource
        ui.calibrationExportButton.enabled = intrinsics is not None and intrinsics.isCalibrated
        ui.calibrationForgetButton.enabled = bool(logic.calibrations()) or logic.calibrationFailure is not None

    def onStatistics(self, _statistics: Statistics) -> None:
        """Show the calibration for the size that the frames have by now."""
        self.update()

    def _description(self, intrinsics: Intrinsics | None) -> str:
        """Which calibration is in use."""
        if self._logic.calibrationFailure:
            return "⚠ " + sentence(self._logic.calibrationFailure)
        if intrinsics is not None and intrinsics.isCalibrated:
            width, height = intrinsics.imageSize
            text = _("Calibrated for {width} × {height} px").format(width=width, height=height)
            if intrinsics.rmsPx is not None:
                text += ", " + _("RMS {rms:.2f} px").format(rms=intrinsics.rmsPx)
            return text + (f", {intrinsics.calibrationTime}" if intrinsics.calibrationTime else "")
        text = _("Not calibrated: a field of view of {angle:.0f}° is assumed, so millimetres are approximate.").format(
            angle=GUESSED_FIELD_OF_VIEW_DEG
        )
        others = ", ".join("{} × {}".format(*other.imageSize) for other in self._logic.calibrations())
        if others:
            text += " " + _("This camera's calibrations are for images of another shape ({sizes} px).").format(
                sizes=others
            )
        return text

    # The board

    def board(self) -> Board:
        """The board that the widgets describe."""
        ui = self._ui
        return Board(
            ui.boardKindComboBox.currentData,
            ui.boardColumnsSpinBox.value,
            ui.boardRowsSpinBox.value,
            ui.boardSquareSpinBox.value,
        )

    def restoreBoard(self) -> None:
        """Describe the board that the user described last."""
        ui, settings, default = self._ui, slicer.app.userSettings(), Board()
        usesLetter = qt.QLocale().measurementSystem() == qt.QLocale.ImperialUSSystem
        kind = settings.value(self.SETTINGS + "Kind", default.kind)
        paper = settings.value(self.SETTINGS + "Paper", "Letter" if usesLetter else "A4")
        ui.boardKindComboBox.setCurrentIndex(max(ui.boardKindComboBox.findData(kind), 0))
        ui.boardPaperComboBox.setCurrentIndex(max(ui.boardPaperComboBox.findData(paper), 0))
        ui.boardColumnsSpinBox.setValue(int(settings.value(self.SETTINGS + "Columns", default.columns)))
        ui.boardRowsSpinBox.setValue(int(settings.value(self.SETTINGS + "Rows", default.rows)))
        ui.boardSquareSpinBox.setValue(float(settings.value(self.SETTINGS + "SquareMm", default.squareMm)))

    def _rememberBoard(self) -> Board:
        board, settings = self.board(), slicer.app.userSettings()
        for name, value in (
            ("Kind", board.kind),
            ("Columns", board.columns),
            ("Rows", board.rows),
            ("SquareMm", board.squareMm),
            ("Paper", self._ui.boardPaperComboBox.currentData),
        ):
            settings.setValue(self.SETTINGS + name, value)
        return board

    def onPrintButton(self) -> None:
        """Save the board as a PDF and open it."""
        board, paper = self._rememberBoard(), self._ui.boardPaperComboBox.currentData
        path = qt.QFileDialog.getSaveFileName(
            self._ui.boardPrintButton,
            _("Save the board"),
            f"LiveHand {board.kind} {board.columns}x{board.rows} {board.squareMm:g} mm {paper}.pdf",
            "PDF (*.pdf)",
        )
        if path:
            try:
                detector.importPackages("opencv-python")
                savePdf(board, paper, path)
            except Exception as error:
                self._showError(error)
            else:
                qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path))

    # Calibrating

    def onCalibrateToggled(self, calibrate: bool) -> None:
        """Called when the user begins a calibration or gives it up."""
        if calibrate:
            self._showHint("")
            self._logic.calibrate(self._rememberBoard())
        else:
            self._logic.stop()
        self.onStateChanged()

    def onStateChanged(self, state: str = "") -> None:
        """Show whether a calibration is under way."""
        ui, isCalibrating = self._ui, self._logic.isCalibrating()
        blocked = ui.calibrateButton.blockSignals(True)
        ui.calibrateButton.setChecked(isCalibrating)
        ui.calibrateButton.blockSignals(blocked)
        for widget in (ui.boardKindComboBox, ui.boardColumnsSpinBox, ui.boardRowsSpinBox, ui.boardSquareSpinBox):
            widget.enabled = not isCalibrating
        if not isCalibrating:
            self.showProgress(None)

    def showProgress(self, progress: Progress | None) -> None:
        """Show how the calibration goes; None when none is under way."""
        ui = self._ui
        ui.calibrationPreviewLabel.visible = ui.calibrationProgressBar.visible = progress is not None
        if progress is None:
            ui.calibrationPreviewLabel.clear()
            return
        ui.calibrationPreviewLabel.setPixmap(pixmap(progress.preview))
        ui.calibrationProgressBar.setValue(int(100 * progress.done))
        taken = _("Views: {count} of at least {wanted}.").format(count=progress.views, wanted=VIEWS_WANTED)
        parts = [taken, _rejection(progress), _advice(progress), _layout(progress.layout)]
        self._showHint(" ".join(filter(None, parts)))

    def onCalibrated(self, result: Calibration) -> None:
        """Tell how it went; the logic has saved it."""
        text = _("Calibrated from {views} views: RMS {rms:.2f} px.").format(
            views=result.views, rms=result.intrinsics.rmsPx
        )
        if result.outliersPx:
            text += " " + _("{count} did not fit and were left out (RMS up to {worst:.1f} px).").format(
                count=len(result.outliersPx), worst=max(result.outliersPx)
            )
        self._showHint(" ".join(filter(None, [text, _layout(result.layout)])))
        self.update()

    def _showHint(self, text: str) -> None:
        self._ui.calibrationHintLabel.setText(text)
        self._ui.calibrationHintLabel.visible = bool(text)

    # Files

    def onImportButton(self) -> None:
        """Use a calibration file for this camera."""
        path = qt.QFileDialog.getOpenFileName(
            self._ui.calibrationImportButton,
            _("Import a calibration"),
            "",
            _("OpenCV calibrations") + " (*.yml *.yaml *.xml)",
        )
        if path:
            self._try(lambda: self._logic.importCalibration(path))

    def onExportButton(self) -> None:
        """Save the calibration in use."""
        path = qt.QFileDialog.getSaveFileName(
            self._ui.calibrationExportButton,
            _("Export the calibration"),
            self._logic.cameraName().replace("/", " ") + ".yml",
            _("OpenCV calibrations") + " (*.yml)",
        )
        if path:
            self._try(lambda: self._logic.intrinsics().save(path))

    def onForgetButton(self) -> None:
        """Delete the camera's calibrations, asked first."""
        question = _("Delete all calibrations of {camera}?").format(camera=self._logic.cameraName())
        if slicer.util.confirmOkCancelDisplay(question, "LiveHand"):
            self._try(self._logic.forgetCalibrations)

    def _try(self, action) -> None:
        self._showHint("")
        try:
            action()
        except Exception as error:
            self._showError(error)
        self.update()


def _layout(layout: str) -> str:
    return {
        "": "",
        CURRENT: _("The board has OpenCV's layout."),
        LEGACY: _("The board has the layout of calib.io and of OpenCV before 4.6."),
    }[layout]


def _rejection(progress: Progress) -> str:
    return {
        "": _("Taken!"),
        "noBoard": _("The board is not seen."),
        "fewCorners": _("Too little of the board is seen."),
        "moved": _("Hold the board still."),
        "blurred": _("The image is blurred: more light or more distance helps."),
        "nothingNew": "",
    }[progress.rejection]


def _advice(progress: Progress) -> str:
    if progress.tiltsWanted:
        return {
            "top": _("Tilt the board's upper edge towards the camera."),
            "bottom": _("Tilt the board's lower edge towards the camera."),
            "left": _("Turn the board's edge that is left in the image towards the camera."),
            "right": _("Turn the board's edge that is right in the image towards the camera."),
        }[progress.tiltsWanted[0]]
    if progress.cellsWanted:
        return _("Move the board to where the image is dark.")
    return _("Show the board somewhere else, closer or farther away.")
