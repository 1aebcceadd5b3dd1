"""The panel's group for the view from the camera. Knows Qt and the module's logic, nothing of MRML."""

from slicer.i18n import tr as _

from ..scene.cameraview import shownViews
from ..tracking import worker
from .sentences import sentence
from .widgets import fillComboBox


class CameraViewPanel:
    """Joins the group's widgets to the logic.

    :param ui: the panel's widgets.
    :param logic: the :class:`LiveHandLogic`.
    """

    def __init__(self, ui, logic) -> None:
        self._ui, self._logic = ui, logic
        ui.cameraViewNameComboBox.connect("activated(int)", self.onViewActivated)
        ui.cameraViewCollapsibleButton.connect("contentsCollapsed(bool)", self.onCollapsed)
        logic.worker.stateChanged.connect(self.onStateChanged)
        logic.worker.statistics.connect(self.onStatistics)

    def update(self) -> None:
        """Show what the parameter node says."""
        node = self._logic.getParameterNode()
        views = [view.mrmlViewNode() for view in shownViews()]
        entries: list[tuple[str, str | None]] = [(_("The last one"), "")]
        entries += [(view.GetName(), view.GetLayoutName()) for view in views]
        if node.cameraViewName not in [name for _text, name in entries]:
            entries.append((node.cameraViewName, node.cameraViewName))
        fillComboBox(self._ui.cameraViewNameComboBox, entries, node.cameraViewName)
        for widget in (self._ui.cameraViewNameComboBox, self._ui.cameraViewHandComboBox):
            widget.enabled = node.cameraView
        self._ui.cameraViewOpacitySliderWidget.enabled = node.cameraView
        self.updateText()

    def updateText(self) -> None:
        """Say why the view is as it is otherwise, or what is not right about it."""
        view, text = self._logic.cameraView, ""
        isLive = self._logic.worker.state == worker.LIVE
        if self._logic.getParameterNode().cameraView and not isLive and view.view is None:
            text = _("The view is as it is otherwise until Live is on.")
        elif view.failure:
            text = "⚠ " + sentence(view.failure)
        elif view.view and not view.isCalibrated:
            text = _("The camera is not calibrated, so nothing is where it belongs: calibrate it first.")
        self._ui.cameraViewLabel.setText(text)

    def onViewActivated(self, index: int) -> None:
        """Called when the user chooses a view."""
        self._logic.getParameterNode().cameraViewName = self._ui.cameraViewNameComboBox.itemData(index)

    def onCollapsed(self, collapsed: bool) -> None:
        """Called when the user opens or closes the group."""
        if not collapsed:
            self.update()  # the layout may be another one by now

    def onStateChanged(self, _state: str) -> None:
        """Called when Live goes on or off."""
        self.updateText()

    def onStatistics(self, _statistics: worker.Statistics) -> None:
        """Called about twice a second while live."""
        self.updateText()
