"""The panel's group for navigation. Knows Qt, the scene and the module's logic, nothing of cameras."""

import time

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from ..errors import LiveHandError
from ..scene.reference import ReferenceKind
from ..scene.viewtext import ViewText
from ..tracking import worker
from .sentences import sentence
from .widgets import fillComboBox


class NavigationPanel:
    """Joins the group's widgets to the logic.

    :param ui: the panel's widgets.
    :param logic: the :class:`LiveHandLogic`.
    """

    LARGEST_SCALE_ERROR = 0.03  # more than printers scale, or points from a finger leave open
    UPDATE_EVERY_S = 0.1  # while a finger moves

    NODES = {
        "points": ("pointsComboBox", ("vtkMRMLMarkupsFiducialNode",)),
        "plannedPoints": ("plannedPointsComboBox", ("vtkMRMLMarkupsFiducialNode",)),
        "truePoints": ("truePointsComboBox", ("vtkMRMLMarkupsFiducialNode",)),
        "surface": ("surfaceComboBox", ("vtkMRMLModelNode",)),
        "distanceTo": ("distanceToComboBox", ("vtkMRMLModelNode", "vtkMRMLMarkupsFiducialNode")),
    }

    def __init__(self, ui, logic) -> None:
        self._ui, self._logic = ui, logic
        self._message = ""
        self._state: tuple = ()
        self._updatedAt = 0.0
        self._viewText = ViewText(vtk.vtkCornerAnnotation.UpperLeft)  # the gestures have the right one
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self.updateNodes)
        navigation, registering = logic.navigation, logic.navigation.registering
        clicks = {
            ui.undoPointButton: navigation.undoPoint,
            ui.undoTraceButton: navigation.undoTrace,
            ui.newTraceButton: navigation.newTrace,
            ui.deleteTraceButton: navigation.deleteTrace,
            ui.registerButton: self.register,
            ui.undoRegistrationButton: registering.undo,
            ui.registerSurfaceButton: self.registerSurface,
            ui.compareButton: self.compare,
            ui.exportComparisonButton: self.exportComparison,
        }
        for button, call in clicks.items():
            button.connect("clicked(bool)", lambda _on, call=call: self.do(call))
        ui.recordPointButton.connect("clicked(bool)", lambda _on: self.do(self.recordOrCancel))
        ui.traceButton.connect("clicked(bool)", lambda _on: self.do(self.startOrStopTrace))
        for parameter, (box, _classes) in self.NODES.items():
            getattr(ui, box).connect("activated(int)", lambda index, name=parameter: self.onNodeChosen(name, index))
        ui.navigationCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: self.update())
        navigation.changed.append(self.onChanged)
        logic.worker.stateChanged.connect(self.onStateChanged)
        logic.worker.statistics.connect(self.onStatistics)
        # In every module: a foot pedal sends a key, wherever the user is.
        self._shortcuts = [
            self._shortcut("F8", self.recordOrCancel),
            self._shortcut("F9", self.startOrStopTrace),
        ]
        events = slicer.mrmlScene.NodeAddedEvent, slicer.mrmlScene.NodeRemovedEvent
        self._tags = [slicer.mrmlScene.AddObserver(event, self.onNodesChanged) for event in events]

    def close(self) -> None:
        """Leave the scene and the keyboard alone."""
        self._timer.stop()
        for tag in self._tags:
            slicer.mrmlScene.RemoveObserver(tag)
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._tags, self._shortcuts = [], []
        self._viewText.show("")

    def _shortcut(self, key: str, call):
        shortcut = qt.QShortcut(qt.QKeySequence(key), slicer.util.mainWindow() or self._ui.navigationCollapsibleButton)
        shortcut.connect("activated()", lambda: self.do(call))
        return shortcut

    # What the user does

    def do(self, call) -> None:
        """Do what was clicked; a failure becomes a sentence."""
        self._message = ""
        try:
            call()
        except Exception as error:
            reported = LiveHandError.of(error)
            reported.log()
            self._message = "⚠ " + sentence(reported)
        self.update()

    def recordOrCancel(self) -> None:
        """Record a point, or give up the one that is being recorded."""
        navigation = self._logic.navigation
        if navigation.isRecordingPoint:
            navigation.cancelPoint()
        else:
            navigation.recordPoint()

    def startOrStopTrace(self) -> None:
        """Start or end a trace."""
        navigation = self._logic.navigation
        if navigation.isTracing:
            navigation.stopTrace()
        else:
            navigation.startTrace()

    def register(self) -> None:
        """Register by points, and say how well it fits."""
        registering = self._logic.navigation.registering
        found = registering.register()
        self._message = _(
            "Registered by {count} points: FRE {fre:.1f} mm (root mean square), worst point {worst}."
        ).format(count=len(found.errorsMm), fre=found.freMm, worst=registering.names[found.worst])
        if abs(found.scale - 1.0) > self.LARGEST_SCALE_ERROR:
            self._message += " " + _(
                "A scale of {scale:.2f} would fit better: check the palm width, and the line of 100 mm below the board."
            ).format(scale=found.scale)

    def registerSurface(self) -> None:
        """Fit the trace to the surface, and say how well it fits."""
        statistics = self._logic.navigation.registering.registerSurface().statistics
        self._message = _(
            "The trace is {rms:.1f} mm (root mean square) from the surface, {max:.1f} mm at most."
        ).format(rms=statistics.rms, max=statistics.max)

    def compare(self) -> None:
        """Compare with the truth, and say how large the errors are."""
        found = self._logic.navigation.registering.compare().targets
        self._message = _(
            "Errors of {count} points: mean {mean:.1f} mm, median {median:.1f} mm, {min:.1f} to {max:.1f} mm."
        ).format(count=found.count, mean=found.mean, median=found.median, min=found.min, max=found.max)

    def exportComparison(self) -> None:
        """Ask for a file and write the errors into it."""
        path = qt.QFileDialog.getSaveFileName(
            self._ui.exportComparisonButton,
            _("Export the comparison"),
            _("Comparison") + ".csv",
            _("Comma-separated values") + " (*.csv)",
        )
        if path:
            self._logic.navigation.registering.exportComparison(path)

    # Nodes to choose from

    def onNodeChosen(self, parameter: str, index: int) -> None:
        """Called when the user chooses a node."""
        identifier = getattr(self._ui, self.NODES[parameter][0]).itemData(index)
        node = slicer.mrmlScene.GetNodeByID(identifier) if identifier else None
        setattr(self._logic.getParameterNode(), parameter, node)

    def onNodesChanged(self, caller, event) -> None:
        """Called when a node comes or goes; many do at once."""
        if not self._ui.navigationCollapsibleButton.collapsed:
            self._timer.start()

    def updateNodes(self) -> None:
        """Offer the scene's nodes."""
        parameterNode = self._logic.getParameterNode()
        own = {node.GetID() for node in self._logic.display.nodes()}
        for parameter, (box, classes) in self.NODES.items():
            chosen = getattr(parameterNode, parameter)
            nodes = [node for name in classes for node in slicer.util.getNodesByClass(name)]
            offered = [
                (node.GetName() or "", node.GetID())
                for node in nodes
                if node is chosen or not (node.GetID() in own or node.GetHideFromEditors())
            ]
            none = _("New list") if parameter == "points" else _("None")
            identifiers = [identifier for _name, identifier in offered]
            isOffered = chosen is not None and chosen.GetID() in identifiers
            fillComboBox(getattr(self._ui, box), [(none, ""), *offered], chosen.GetID() if isOffered else "")

    # What is shown

    def onChanged(self) -> None:
        """Called up to once a frame by the logic."""
        navigation = self._logic.navigation
        isMeasured = navigation.distanceMm is not None
        state = navigation.isRecordingPoint, navigation.isTracing, navigation.failure, isMeasured
        now = time.monotonic()
        if state != self._state or now - self._updatedAt >= self.UPDATE_EVERY_S:
            self._state, self._updatedAt = state, now
            self.updateState()

    def onStateChanged(self, _state: str) -> None:
        """Called when Live goes on or off."""
        self.updateState()

    def onStatistics(self, _statistics: worker.Statistics) -> None:
        """Called about twice a second while live."""
        self.updateState()

    def update(self) -> None:
        """Show what the parameter node and the logic say."""
        ui, parameterNode = self._ui, self._logic.getParameterNode()
        kind = parameterNode.referenceKind
        board = (
            ui.referenceBoardLabel,
            ui.referenceColumnsSpinBox,
            ui.referenceRowsLabel,
            ui.referenceRowsSpinBox,
            ui.referenceSquareLabel,
            ui.referenceSquareSpinBox,
        )
        for widget in board:
            widget.visible = kind == ReferenceKind.BOARD
        for widget in (ui.referenceMarkerNumberLabel, ui.referenceMarkerSpinBox, ui.referenceMarkerSizeSpinBox):
            widget.visible = kind == ReferenceKind.MARKER
        ui.referenceKeptLabel.visible = ui.referenceKeptSpinBox.visible = kind != ReferenceKind.NONE
        ui.dwellRadiusSpinBox.enabled = ui.dwellTimeSpinBox.enabled = parameterNode.dwellRecords
        if not ui.navigationCollapsibleButton.collapsed:
            self.updateNodes()
        self.updateState()

    def updateState(self) -> None:
        """Show what is under way."""
        ui, navigation = self._ui, self._logic.navigation
        registering = navigation.registering
        isLive = self._logic.worker.state == worker.LIVE
        ui.recordPointButton.setChecked(navigation.isRecordingPoint)
        ui.traceButton.setChecked(navigation.isTracing)
        ui.recordPointButton.enabled = isLive or navigation.isRecordingPoint
        ui.traceButton.enabled = isLive or navigation.isTracing
        ui.exportComparisonButton.enabled = registering.comparison is not None
        progress = navigation.pointProgress if navigation.isRecordingPoint else navigation.dwellProgress
        ui.pointProgressBar.setValue(int(100 * progress))
        length = navigation.traceLengthMm
        ui.traceLengthLabel.setText(_("{length:.0f} mm").format(length=length) if length else "")
        distance = navigation.distanceMm
        text = "" if distance is None else _("{distance:.1f} mm").format(distance=distance)
        ui.distanceLabel.setText(text)
        self._viewText.show(text)
        ui.navigationLabel.setText(self._text())

    def _text(self) -> str:
        navigation = self._logic.navigation
        if self._message:
            return self._message
        if navigation.isRecordingPoint:
            return _("Hold the finger still.")
        if navigation.failure:
            return "⚠ " + sentence(navigation.failure)
        if self._logic.worker.state == worker.LIVE and self._logic.isReferenceLost():
            return _("The reference is not in view: nothing is recorded.")
        following = navigation.nextPoint()
        return _("Next point: {name}").format(name=following) if following else ""
