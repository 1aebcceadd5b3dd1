"""The panel's settings of how hands are found and shown. Knows Qt and the module's logic, nothing of MRML."""

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from .widgets import fillComboBox


class HandPanel:
    """Joins the widgets that the parameter node cannot be connected to by itself.

    :param ui: the panel's widgets.
    :param logic: the :class:`LiveHandLogic`.
    :param showError: shows an error to the user.
    """

    def __init__(self, ui, logic, showError) -> None:
        self._ui, self._logic, self._showError = ui, logic, showError
        ui.centerViewButton.connect("clicked(bool)", self.onCenterViewButton)
        ui.viewComboBox.connect("activated(int)", self.onViewActivated)
        ui.modelButton.connect("clicked(bool)", self.onModelButton)
        ui.modelResetButton.connect("clicked(bool)", self.onModelResetButton)

    def update(self) -> None:
        """Show what the parameter node says."""
        parameterNode = self._logic.getParameterNode()
        path = parameterNode.modelPath
        self._ui.modelNameLabel.text = Path(path).name if path else _("comes with LiveHand")
        self._ui.modelNameLabel.toolTip = path
        self._ui.modelResetButton.enabled = bool(path)
        self._ui.tipOffsetSpinBox.enabled = self._ui.padOffsetSpinBox.enabled = parameterNode.pointer
        self.updateView()

    def updateView(self) -> None:
        """Offer the ways to show the hands, and the transform's own if it is another one."""
        entries: list[tuple[str, str | None]] = [
            (_("As you see it"), "owner"),
            (_("As the camera sees it"), "camera"),
        ]
        view = self._logic.view()
        if not view:
            entries.append((_("As the transform has it"), ""))
        fillComboBox(self._ui.viewComboBox, entries, view)

    def onViewActivated(self, index: int) -> None:
        """Called when the user chooses how to show the hands."""
        view = self._ui.viewComboBox.itemData(index)
        if view:
            self._logic.setView(view)
        self.updateView()

    def onModelButton(self) -> None:
        """Choose another hand model."""
        path = qt.QFileDialog.getOpenFileName(
            self._ui.modelButton, _("Choose a hand landmarker bundle"), "", _("MediaPipe tasks") + " (*.task)"
        )
        if path:
            try:
                self._logic.setModel(path)
            except Exception as error:
                self._showError(error)

    def onModelResetButton(self) -> None:
        """Go back to the hand model that comes with LiveHand."""
        self._logic.setModel("")

    def onCenterViewButton(self) -> None:
        """Bring what is shown to the middle of the 3D views."""
        slicer.util.resetThreeDViews()
