"""The panel's group for hands that act. Knows Qt and the module's logic, nothing of MRML."""

from slicer.i18n import tr as _

from ..scene.gestureactions import carriableNodes, shownViews
from ..scene.gestures import HandsActOn
from ..scene.reference import handsTransform
from .sentences import sentence
from .widgets import fillComboBox


class GesturesPanel:
    """Joins the group's widgets to the logic, and says what the hands hold.

    :param ui: the panel's widgets.
    :param logic: the :class:`LiveHandLogic`.
    """

    VIEWS = {
        HandsActOn.VIEW: ("vtkMRMLViewNode", "gestureView"),
        HandsActOn.SLICES: ("vtkMRMLSliceNode", "gestureSlice"),
    }

    def __init__(self, ui, logic) -> None:
        self._ui, self._logic = ui, logic
        ui.gestureViewComboBox.connect("activated(int)", self.onViewActivated)
        ui.heldNodeComboBox.connect("activated(int)", self.onHeldNodeActivated)
        ui.gestureUndoButton.connect("clicked(bool)", self.onUndoButton)
        ui.gesturesCollapsibleButton.connect("contentsCollapsed(bool)", self.onCollapsed)
        logic.pinches.changed.connect(self.updateText)

    def update(self) -> None:
        """Show what the parameter node says."""
        ui, node = self._ui, self._logic.getParameterNode()
        isSlices, isTransform = node.handsActOn is HandsActOn.SLICES, node.handsActOn is HandsActOn.TRANSFORM
        ui.gestureViewComboBox.enabled = node.handsActOn in self.VIEWS
        ui.scrollFactorSpinBox.enabled = ui.snapToSlicesCheckBox.enabled = isSlices
        for widget in (ui.heldNodeComboBox, ui.lockTranslationCheckBox, ui.lockRotationCheckBox):
            widget.enabled = isTransform
        ui.scaleWithHandsCheckBox.enabled = isTransform
        self.updateViews()
        self.updateNodes()
        self.updateText()

    def updateViews(self) -> None:
        """Offer the views that the layout shows, and the chosen one."""
        node = self._logic.getParameterNode()
        entries: list[tuple[str, str | None]] = []
        chosen = ""
        if node.handsActOn in self.VIEWS:
            className, parameter = self.VIEWS[node.handsActOn]
            isView = node.handsActOn is HandsActOn.VIEW
            entries.append((_("The first one") if isView else _("The one that the pinch is on"), ""))
            entries += [(view.GetName(), view.GetLayoutName()) for view in shownViews(className)]
            chosen = getattr(node, parameter)
            if chosen not in [name for _text, name in entries]:
                entries.append((chosen, chosen))
        else:
            entries.append(("", ""))
        fillComboBox(self._ui.gestureViewComboBox, entries, chosen)

    def updateNodes(self) -> None:
        """Offer what the hands can carry, and what is chosen."""
        node = self._logic.getParameterNode()
        nodes = carriableNodes(handsTransform(node)) if node.handsActOn is HandsActOn.TRANSFORM else []
        if node.heldNode and node.heldNode not in nodes:
            nodes.append(node.heldNode)
        self._nodes = {one.GetID(): one for one in nodes}
        entries: list[tuple[str, str | None]] = [(_("Choose..."), "")]
        entries += [(one.GetName(), one.GetID()) for one in nodes]
        fillComboBox(self._ui.heldNodeComboBox, entries, node.heldNode.GetID() if node.heldNode else "")

    def updateText(self) -> None:
        """Show what the hands hold, or why they hold nothing."""
        gestures, node = self._logic.gestures, self._logic.getParameterNode()
        if gestures.failure:
            text = "⚠ " + sentence(gestures.failure)
        elif gestures.text:
            text = gestures.text
        elif node.handsActOn is not HandsActOn.NOTHING and node.numberOfHands < 2:
            text = _("For gestures with both hands, let two hands be found: Camera > Hands.")
        else:
            text = ""
        self._ui.gestureLabel.setText(text)
        self._ui.gestureUndoButton.enabled = gestures.canUndo()

    def onCollapsed(self, collapsed: bool) -> None:
        """Called when the user opens or closes the group."""
        if not collapsed:
            self.update()  # the layout may be another one by now

    def onViewActivated(self, index: int) -> None:
        """Called when the user chooses a view."""
        node = self._logic.getParameterNode()
        if node.handsActOn in self.VIEWS:
            _className, parameter = self.VIEWS[node.handsActOn]
            setattr(node, parameter, self._ui.gestureViewComboBox.itemData(index))

    def onHeldNodeActivated(self, index: int) -> None:
        """Called when the user chooses what the hands carry."""
        self._logic.getParameterNode().heldNode = self._nodes.get(self._ui.heldNodeComboBox.itemData(index))

    def onUndoButton(self) -> None:
        """Give back what was before."""
        self._logic.gestures.undo()
