"""The panel's group for navigation. Knows Qt, the scene and the module's logic, nothing of cameras."""

import time

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from ..calibration.board import Board, savePdf
from ..detection import detector
from ..errors import LiveHandError
from ..navigation.registration import ErrorStatistics
from ..scene import reference
from ..scene.gestureactions import shownViews
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
        "targetPoints": ("targetPointsComboBox", ("vtkMRMLMarkupsFiducialNode",)),
        "truePoints": ("truePointsComboBox", ("vtkMRMLMarkupsFiducialNode",)),
        "surface": ("surfaceComboBox", ("vtkMRMLModelNode",)),
        "distanceTo": ("distanceToComboBox", ("vtkMRMLModelNode", "vtkMRMLMarkupsFiducialNode")),
    }

    def __init__(self, ui, logic) -> None:
        self._ui, self._logic = ui, logic
        self._message = ""
        self._wasLive = False
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
            ui.showComparisonButton: registering.showComparison,
            ui.exportComparisonButton: self.exportComparison,
            ui.referencePrintButton: self.printReference,
        }
        for button, call in clicks.items():
            button.connect("clicked(bool)", lambda _on, call=call: self.do(call))
        ui.recordPointButton.connect("clicked(bool)", lambda _on: self.do(self.recordOrCancel))
        ui.traceButton.connect("clicked(bool)", lambda _on: self.do(self.startOrStopTrace))
        for parameter, (box, _classes) in self.NODES.items():
            getattr(ui, box).connect("activated(int)", lambda index, name=parameter: self.onNodeChosen(name, index))
        ui.nextPointComboBox.connect("activated(int)", self.onNextPointChosen)
        ui.followingViewsComboBox.connect("activated(int)", self.onFollowingViewsChosen)
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
            "Registered by {count} points: FRE {fre:.1f} mm (root mean square), worst point {worst}, best scale "
            "{scale:.3f}."
        ).format(count=len(found.errorsMm), fre=found.freMm, worst=registering.names[found.worst], scale=found.scale)
        leftOut = ErrorStatistics.of(found.leaveOneOutMm)
        if leftOut.count:
            self._message += " " + _("Each point left out once: {error:.1f} mm.").format(error=leftOut.rms)
        if abs(found.scale - 1.0) > self.LARGEST_SCALE_ERROR:
            self._message += " " + _("Sizes do not fit: check the palm width, and the printed line of 100 mm.")

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

    def printReference(self) -> None:
        """Save the board or marker as a PDF and open it."""
        parameterNode, paper = self._logic.getParameterNode(), self._ui.boardPaperComboBox.currentData
        detector.importPackages("opencv-python")
        chosen = reference.asDesigned(parameterNode)
        if isinstance(chosen, Board):
            name = f"LiveHand {chosen.kind} {chosen.columns}x{chosen.rows} {chosen.squareMm:g} mm {paper}.pdf"
        else:
            name = f"LiveHand marker {chosen.number} {chosen.sideMm:g} mm {paper}.pdf"
        path = qt.QFileDialog.getSaveFileName(
            self._ui.referencePrintButton, _("Save the reference"), name, "PDF (*.pdf)"
        )
        if path:
            savePdf(chosen, paper, path)
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path))

    # What to choose from

    def onNextPointChosen(self, index: int) -> None:
        """Called when the user chooses which point is touched next."""
        self._logic.navigation.chooseNextPoint(self._ui.nextPointComboBox.itemData(index))

    def updateNextPoint(self) -> None:
        """Offer the planned points that have not been recorded."""
        navigation = self._logic.navigation
        entries = [(name, name) for name in dict.fromkeys(navigation.unrecordedPoints())] or [("", "")]
        fillComboBox(self._ui.nextPointComboBox, entries, navigation.nextPoint())

    def onFollowingViewsChosen(self, index: int) -> None:
        """Called when the user chooses which slice views follow."""
        name = self._ui.followingViewsComboBox.itemData(index)
        self._logic.getParameterNode().followingViews = name.split(",") if name else []

    def updateViews(self) -> None:
        """Offer the slice views that the layout shows, and what is chosen."""
        chosen = ",".join(self._logic.getParameterNode().followingViews)
        entries = [(_("All views"), "")]
        entries += [(view.GetName(), view.GetLayoutName()) for view in shownViews("vtkMRMLSliceNode")]
        if chosen not in [name for _text, name in entries]:
            entries.append((chosen.replace(",", ", "), chosen))
        fillComboBox(self._ui.followingViewsComboBox, entries, chosen)

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
        kept = (ui.referenceKeptLabel, ui.referenceKeptSpinBox)
        printed = (ui.printedLineLabel, ui.printedLineSpinBox, ui.referencePrintButton)
        for widget in (*kept, *printed):
            widget.visible = kind != ReferenceKind.NONE
        ui.followingViewsComboBox.enabled = parameterNode.slicesFollow
        ui.dwellRadiusSpinBox.enabled = ui.dwellTimeSpinBox.enabled = parameterNode.dwellRecords
        if not ui.navigationCollapsibleButton.collapsed:
            self.updateNodes()
            self.updateViews()
        self.updateState()

    def updateState(self) -> None:
        """Show what is under way."""
        ui, navigation = self._ui, self._logic.navigation
        registering = navigation.registering
        isLive = self._logic.worker.state == worker.LIVE
        if isLive and not self._wasLive:
            self._message = ""  # of before
        self._wasLive = isLive
        ui.recordPointButton.setChecked(navigation.isRecordingPoint)
        ui.traceButton.setChecked(navigation.isTracing)
        ui.recordPointButton.enabled = isLive or navigation.isRecordingPoint
        ui.traceButton.enabled = isLive or navigation.isTracing
        ui.exportComparisonButton.enabled = ui.showComparisonButton.enabled = registering.comparison is not None
        progress = navigation.pointProgress if navigation.isRecordingPoint else navigation.dwellProgress
        ui.pointProgressBar.setValue(int(100 * progress))
        length = navigation.traceLengthMm
        ui.traceLengthLabel.setText(_("{length:.0f} mm").format(length=length) if length else "")
        distance = navigation.distanceMm
        text = "" if distance is None else _("{distance:.1f} mm").format(distance=distance)
        ui.distanceLabel.setText(text)
        self._viewText.show(text)
        if not ui.navigationCollapsibleButton.collapsed:
            self.updateNextPoint()
            target = registering.worstTarget()
            ui.targetLabel.setText(
                _("{name}: {error:.1f} mm").format(name=target[0], error=target[1]) if target else ""
            )
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
            if self._logic.worker.lastStatistics.hasOtherBoard:
                node = self._logic.getParameterNode()
                other = LiveHandError("referenceOther", columns=node.referenceColumns, rows=node.referenceRows)
                return "⚠ " + sentence(other)
            return _("The reference is not in view: nothing is recorded.")
        following = navigation.nextPoint()
        return _("Next point: {name}").format(name=following) if following else ""
