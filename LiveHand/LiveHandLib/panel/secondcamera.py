"""The panel's second camera. Knows Qt and the module's logic, nothing of MRML."""

from collections.abc import Callable
from pathlib import Path

import qt
from slicer.i18n import tr as _

from ..calibration.board import CHARUCO, Board
from ..camera import devices
from ..camera.devices import Camera
from ..errors import LiveHandError
from .sentences import sentence
from .widgets import fillComboBox


class SecondCameraPanel:
    """Joins the drop-down and the buttons to the logic, and shows what the two cameras know of each other.

    :param ui: the panel's widgets.
    :param logic: the :class:`LiveHandLogic`.
    :param cameras: gives those that were found.
    :param board: gives the board that the calibration's widgets describe.
    :param showError: called with an error that the user has to be told.
    """

    def __init__(
        self,
        ui,
        logic,
        cameras: Callable[[], tuple[Camera, ...]],
        board: Callable[[], Board],
        showError: Callable[[Exception], None],
    ) -> None:
        self._ui, self._logic, self._cameras, self._board, self._showError = ui, logic, cameras, board, showError
        ui.secondSourceComboBox.connect("activated(int)", self.onSourceActivated)
        ui.findPairButton.connect("clicked(bool)", self.onFindPairButton)
        ui.importPairButton.connect("clicked(bool)", self.onImportPairButton)
        logic.worker.statistics.connect(self.onStatistics)
        logic.worker.stateChanged.connect(lambda _state: self.showState())

    def update(self) -> None:
        """Fill the drop-down: none, the cameras, the chosen file or absent camera, and opening a file."""
        chosen = self._logic.getParameterNode().secondSource
        sought = devices.cameraOf(chosen)
        entries: list[tuple[str, str | None]] = [(_("None"), "")]
        entries += [(camera.name, devices.sourceOf(camera)) for camera in self._cameras()]
        if chosen not in [source for _name, source in entries]:
            entries.append((_("{name} (not found)").format(name=sought.name) if sought else Path(chosen).name, chosen))
        entries.append((_("Open a video file..."), None))
        fillComboBox(self._ui.secondSourceComboBox, entries, chosen)
        for widget in (self._ui.secondMirroredCheckBox, self._ui.findPairButton, self._ui.importPairButton):
            widget.enabled = bool(chosen)
        self.showState()

    def onSourceActivated(self, index: int) -> None:
        """Called when the user chooses an entry of the drop-down."""
        source = self._ui.secondSourceComboBox.itemData(index)
        if source is None:
            source = qt.QFileDialog.getOpenFileName(self._ui.secondSourceComboBox, _("Open a video file"))
            if not source:
                self.update()
                return
        self._logic.setSecondSource(source)
        self.update()

    def onFindPairButton(self) -> None:
        """Have the board show where the cameras are."""
        board = self._board()
        if board.kind != CHARUCO:
            self._showError(LiveHandError("referenceImpossible"))
            return
        self._logic.findPair(board)
        self.showState()

    def onImportPairButton(self) -> None:
        """Use a pair file."""
        path = qt.QFileDialog.getOpenFileName(self._ui.importPairButton, _("Open a pair file"))
        if path:
            try:
                self._logic.importPair(path)
            except LiveHandError as error:
                self._showError(error)
            self.showState()

    def onStatistics(self, _statistics) -> None:
        """Called twice a second while Live is on."""
        self.showState()

    def showState(self) -> None:
        """Say whether both cameras are used, and if not, why."""
        pairing = self._logic.pairing
        problem = self._logic.secondProblem()
        if pairing is None:
            text = ""
        elif self._logic.isFindingPair():
            text = _(
                "Lay the board where both cameras see it, and keep it still: seen {count} of {needed} times."
            ).format(count=pairing.boardsSeen, needed=pairing.BOARDS_NEEDED)
        elif problem:
            text = "⚠ " + sentence(problem)
        else:
            frame = self._logic.frame
            isSeen = frame is not None and any(hand.cameras == 2 for hand in frame.hands.values())
            text = _("Both cameras see the hand.") if isSeen else _("Both cameras are on.")
        self._ui.secondCameraLabel.setText(text)
