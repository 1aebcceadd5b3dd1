import contextlib
import importlib
import sys
import time
from pathlib import Path

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from LiveHandLib.camera import devices
from LiveHandLib.camera.devices import Camera
from LiveHandLib.errors import LiveHandError
from LiveHandLib.logic import LiveHandLogic, LiveHandParameterNode, resourcePath
from LiveHandLib.panel.calibration import CalibrationPanel
from LiveHandLib.panel.motion import MotionPanel
from LiveHandLib.panel.pixmap import pixmap
from LiveHandLib.panel.sentences import endSentence, hintSentence, sentence
from LiveHandLib.threads import gil
from LiveHandLib.tracking import preview, worker
from LiveHandLib.tracking.camerafinder import CameraFinder

SAMPLE_CLIP = "SampleHand.mp4"
SAMPLE_CLIP_SHA256 = "e1ba83f50c2c16e69891e7128b824d1d6e9b2e22c76ee4a5e026fd81d8726873"

#
# LiveHand
#


class LiveHand(ScriptedLoadableModule):
    """The user's hand, live in Slicer's 3D scene, from a webcam, with no other program."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("LiveHand")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "IGT")]
        self.parent.dependencies = []
        self.parent.contributors = ["LiveHand contributors"]
        self.parent.helpText = _(
            "Shows your hand live in the 3D view: choose a camera and tick Live. Images are processed on this "
            "computer only and never stored. The hand's surface and skeleton are model nodes and its landmarks are a "
            "markups node, so every other module can use them."
        )
        self.parent.acknowledgementText = _(
            "The hand landmarks come from MediaPipe (Google, Apache License 2.0), the pictures from OpenCV."
        )
        # The module SampleData may not be there yet while modules are found.
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer the sample clip among Slicer's sample data; nothing is downloaded, for it comes with LiveHand."""
    try:
        import SampleData
    except ImportError:
        return  # an application without it
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="LiveHand",
        sampleName="LiveHandSampleClip",
        uris=resourcePath(SAMPLE_CLIP).as_uri(),
        fileNames="LiveHandSampleClip.mp4",
        checksums=f"SHA256:{SAMPLE_CLIP_SHA256}",
        loadFiles=False,
        thumbnailFileName=str(Path(__file__).resolve().parent / "Resources" / "Icons" / "LiveHand.png"),
        customDownloader=playSampleClip,
    )


def playSampleClip(_source=None) -> None:
    """Open the module with the sample clip before it, live."""
    slicer.util.selectModule("LiveHand")
    widget = slicer.util.getModuleWidget("LiveHand")
    widget.logic.setSource(resourcePath(SAMPLE_CLIP))
    if widget.ui.liveCheckBox.enabled:
        widget.ui.liveCheckBox.checked = True


#
# LiveHandWidget
#


class LiveHandWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent=None) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)  # needed for parameter node observation
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._cameras: tuple[Camera, ...] = ()
        self._cameraFinder = None
        self._pointerFilter = None
        self._motionPanel = None
        self._resolution: tuple[int, int] | None = None  # of the pictures, as far as the panel knows
        self._hadObstacle = False

    def setup(self) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.setup(self)

        self.uiWidget = uiWidget = slicer.util.loadUI(self.resourcePath("UI/LiveHand.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.logic = LiveHandLogic()
        self._cameraFinder = CameraFinder()
        self._cameraFinder.found.connect(self.onCamerasFound)
        self.logic.worker.stateChanged.connect(self.onStateChanged)
        self.logic.worker.failed.connect(self.onFailed)
        self.logic.worker.waiting.connect(self.onWaiting)
        self.logic.worker.ended.connect(self.onEnded)
        self.logic.worker.statistics.connect(self.onStatistics)
        self.logic.worker.picture.connect(self.onPicture)
        self._calibrationPanel = CalibrationPanel(self.ui, self.logic, self.tell)

        self._motionPanel = MotionPanel(self.ui, self.logic)

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)

        self.ui.installButton.connect("clicked(bool)", self.onInstallButton)
        self.ui.refreshButton.connect("clicked(bool)", self.onRefreshButton)
        self.ui.sourceComboBox.connect("activated(int)", self.onSourceActivated)
        self.ui.resolutionComboBox.connect("activated(int)", self.onResolutionActivated)
        self._pointerFilter = _PointerFilter(self._findCameras)
        self.ui.sourceComboBox.installEventFilter(self._pointerFilter)
        self.ui.liveCheckBox.connect("toggled(bool)", self.onLiveToggled)
        self.ui.previewCollapsibleButton.connect("contentsCollapsed(bool)", self.onPreviewCollapsed)
        self.ui.centerViewButton.connect("clicked(bool)", self.onCenterViewButton)
        self.ui.viewComboBox.connect("activated(int)", self.onViewActivated)
        self.ui.modelButton.connect("clicked(bool)", self.onModelButton)
        self.ui.modelResetButton.connect("clicked(bool)", self.onModelResetButton)
        # The panel can go away with the application without being cleaned up one by one.
        slicer.app.connect("aboutToQuit()", self.cleanup)

        # Make sure parameter node is initialized (needed for module reload)
        self.initializeParameterNode()
        self.updatePackages()

    def cleanup(self) -> None:
        """Called when the application closes and the module widget is destroyed."""
        if not self.logic:
            return
        slicer.app.disconnect("aboutToQuit()", self.cleanup)
        self.setParameterNode(None)
        self.removeObservers()
        if self._pointerFilter:
            self.ui.sourceComboBox.removeEventFilter(self._pointerFilter)
        for part in (self._cameraFinder, self._motionPanel, self.logic):
            if part:  # not all are there when setup has failed half-way
                part.close()
        self.logic = None

    def onReload(self) -> None:
        """Load the module's source again, its library as well; called by Slicer's button for developers."""
        self.cleanup()  # first, for until their threads have ended the library is in use
        gil.lender().close()
        self.uiWidget.deleteLater()  # Slicer only hides it, and it would keep all that it is connected to
        for name in [name for name in sys.modules if name.partition(".")[0] == "LiveHandLib"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        ScriptedLoadableModuleWidget.onReload(self)

    def enter(self) -> None:
        """Called each time the user opens this module."""
        if self.logic:  # else the source could not be loaded again
            self.initializeParameterNode()
            self.updatePackages()

    def exit(self) -> None:
        """Called each time the user opens a different module; Live stays as it is."""
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event) -> None:
        """Called just before the scene is closed."""
        self._motionPanel.close()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        """Called just after the scene is closed."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneStartImport(self, caller, event) -> None:
        """Called just before a scene is read: its settings are read when all are there and checked."""
        self.setParameterNode(None)

    def onSceneEndImport(self, caller, event) -> None:
        """Called just after a scene has been read, and after the logic has checked its settings."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onNodeRemoved(self, caller, event) -> None:
        """Called when any node has been removed; the parameter node may be, and then there is another one."""
        if self._parameterNode and not self._parameterNode.parameterNode.GetScene():
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Ensure parameter node exists and observed."""
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, inputParameterNode: LiveHandParameterNode | None) -> None:
        """Set and observe parameter node."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            node = self._parameterNode.parameterNode
            self.removeObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            # Note: in the .ui file, a Qt dynamic property called "SlicerParameterName" is set on each
            # ui element that needs connection.
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            # The node, for what was observed is kept: a wrapper would go on reading a node that is emptied or read.
            node = self._parameterNode.parameterNode
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
            self.onParameterNodeModified()

    def onParameterNodeModified(self, caller=None, event=None) -> None:
        """Show what is chosen; the logic follows it by itself."""
        self.updateSources()
        path = self._parameterNode.modelPath
        self.ui.modelNameLabel.text = Path(path).name if path else _("comes with LiveHand")
        self.ui.modelNameLabel.toolTip = path
        self.ui.modelResetButton.enabled = bool(path)
        self.ui.tipOffsetSpinBox.enabled = self.ui.padOffsetSpinBox.enabled = self._parameterNode.pointer
        self.updateView()
        self._motionPanel.update()
        self._calibrationPanel.update()

    # Packages

    def updatePackages(self) -> None:
        """Show the install button if a package is missing, and what is in the way; otherwise look for cameras."""
        obstacle = self.logic.packageObstacle()
        missing = self.logic.missingPackages() if obstacle else []  # to read what is installed takes 20 ms
        if obstacle:
            self.showMessage(sentence(obstacle), isError=True)
        elif self._hadObstacle:
            self.showMessage("")
        self._hadObstacle = obstacle is not None
        self.ui.installWidget.visible = bool(missing)
        self.ui.installButton.setToolTip(
            _("Install in Slicer's Python, after asking:") + "\n" + "\n".join(missing) if missing else ""
        )
        self.ui.liveCheckBox.enabled = not obstacle
        self._calibrationPanel.update()
        self._findCameras()

    def onInstallButton(self) -> None:
        """Install the missing packages, asked first."""
        self.showMessage("")
        try:
            self.logic.installPackages()
        except Exception as error:
            self.updatePackages()
            self.tell(error)
        else:
            self.updatePackages()

    # Source

    def onRefreshButton(self) -> None:
        """Look for cameras again."""
        self._findCameras()

    def _findCameras(self) -> None:
        if self.ui.liveCheckBox.enabled:  # all packages are there
            self._cameraFinder.find()

    def onCamerasFound(self, cameras: tuple[Camera, ...]) -> None:
        """Offer them, and choose the one that was used last, or the first, if nothing is chosen yet."""
        self._cameras = cameras
        if not self._parameterNode:
            return
        if cameras and not self._parameterNode.source:
            last = slicer.app.userSettings().value("LiveHand/camera", "")
            self.logic.setSource(next((camera for camera in cameras if camera.name == last), cameras[0]))
        self.updateSources()

    def updateSources(self) -> None:
        """Fill the drop-downs: cameras, the chosen file or absent camera, the sample clip, and opening a file."""
        chosen = self._parameterNode.source
        sought, connected = devices.cameraOf(chosen), None
        if sought and not devices.isNumber(sought):
            with contextlib.suppress(LiveHandError):
                connected = devices.find(sought, self._cameras)
        # The chosen one keeps what it was chosen by: its calibrations are kept under that.
        entries = [
            (camera.name, chosen if camera == connected else devices.sourceOf(camera)) for camera in self._cameras
        ]
        entries.append((_("Sample clip"), str(resourcePath(SAMPLE_CLIP))))
        if not chosen:
            entries.insert(0, (_("Choose a camera"), ""))
        elif chosen not in [source for _name, source in entries]:
            entries.append((_("{name} (not found)").format(name=sought.name) if sought else Path(chosen).name, chosen))
        entries.append((_("Open a video or picture file..."), None))
        self._fillComboBox(self.ui.sourceComboBox, entries, chosen)
        self._updateResolutions(sought, connected)

    def _updateResolutions(self, sought: Camera | None, connected: Camera | None) -> None:
        """Offer what the chosen camera has, and what was chosen if it does not list that."""
        resolution = self._parameterNode.resolution
        resolution = devices.resolutionOf(devices.sizeOf(resolution))
        sizes = devices.sizesOf(connected.modes if connected else ())
        entries = [(_("As the camera has it"), "")]
        entries += [("{} × {}".format(*size), devices.resolutionOf(size)) for size in sizes]
        if resolution not in [data for _text, data in entries]:
            entries.append((resolution.replace("x", " × "), resolution))
        self._fillComboBox(self.ui.resolutionComboBox, entries, resolution)
        self.ui.resolutionComboBox.enabled = sought is not None

    @staticmethod
    def _fillComboBox(box, entries: list[tuple[str, str | None]], chosen: str) -> None:
        # Only when they change: a list that the user has just opened would close.
        if entries != [(box.itemText(i), box.itemData(i)) for i in range(box.count)]:
            box.clear()
            for text, data in entries:
                box.addItem(text, data)
        box.setCurrentIndex([data for _text, data in entries].index(chosen))

    def onResolutionActivated(self, index: int) -> None:
        """Called when the user chooses the size of the camera's frames."""
        self.logic.setResolution(devices.sizeOf(self.ui.resolutionComboBox.itemData(index)))

    def onSourceActivated(self, index: int) -> None:
        """Called when the user chooses an entry of the drop-down."""
        source = self.ui.sourceComboBox.itemData(index)
        if source is None:
            source = qt.QFileDialog.getOpenFileName(self.parent, _("Open a video or picture file"))
        if source:
            self.logic.setSource(source)
        self.updateSources()

    # Hand

    def updateView(self) -> None:
        """Offer the ways to show the hands, and the transform's own if it is another one."""
        entries = [(_("As you see it"), "owner"), (_("As the camera sees it"), "camera")]
        view = self.logic.view()
        if not view:
            entries.append((_("As the transform has it"), ""))
        self._fillComboBox(self.ui.viewComboBox, entries, view)

    def onViewActivated(self, index: int) -> None:
        """Called when the user chooses how to show the hands."""
        view = self.ui.viewComboBox.itemData(index)
        if view:
            self.logic.setView(view)
        self.updateView()

    def onModelButton(self) -> None:
        """Choose another hand model."""
        path = qt.QFileDialog.getOpenFileName(
            self.parent, _("Choose a hand landmarker bundle"), "", _("MediaPipe tasks") + " (*.task)"
        )
        if path:
            try:
                self.logic.setModel(path)
            except Exception as error:
                self.tell(error)

    def onModelResetButton(self) -> None:
        """Go back to the hand model that comes with LiveHand."""
        self.logic.setModel("")

    # Live

    def onLiveToggled(self, live: bool) -> None:
        """Called when the user ticks or unticks Live."""
        if not live:
            self.logic.stop()
            return
        version = self.logic.unagreedMediapipe()
        if version and self.askForConsent(version):
            self.logic.agreeToMediapipe()
        self.showMessage("")
        self.logic.start()

    def askForConsent(self, version: str) -> bool:
        """Tell the user what a newer MediaPipe sends, and ask whether to use it."""
        return slicer.util.confirmOkCancelDisplay(
            _(
                "MediaPipe {version} is installed, newer than the version LiveHand asks for. From version 0.10.35 on, "
                "MediaPipe's library sends metrics about its performance and use to Google while it runs. Pictures "
                "and landmarks stay on this computer.\n\nUse this version?"
            ).format(version=version),
            "LiveHand",
        )

    def onStateChanged(self, state: str) -> None:
        """Show whether Live is on."""
        box = self.ui.liveCheckBox
        blocked = box.blockSignals(True)
        box.setChecked(state in (worker.STARTING, worker.LIVE) and not self.logic.isCalibrating())
        box.blockSignals(blocked)
        if state == worker.STARTING:
            self._resolution = None
            self.updatePreview()
            self.showMessage(_("Opening the camera..."))
        elif state == worker.LIVE and self.logic.isCalibrating():
            self.showMessage(_("Calibrating: hold the board before the camera."))
        elif state in (worker.STOPPING, worker.OFF) and not self._isError and not self._isEnded:
            self.showMessage("")
        if state in (worker.STARTING, worker.OFF) and not self._isEnded:
            self.ui.hintLabel.setText("")
            self.ui.modeLabel.setText("")
            self.ui.previewLabel.clear()

    def tell(self, error: Exception) -> None:
        """Tell the user in one sentence, and Slicer's log the rest."""
        error = LiveHandError.of(error)
        error.log()
        self.onFailed(error)

    def onFailed(self, error: LiveHandError) -> None:
        """Show the user in one sentence what the worker failed of; the logic has written it into the log."""
        self.showMessage(sentence(error), isError=True)
        if self.logic.worker.state in (worker.OFF, worker.STOPPING):
            self.onStateChanged(self.logic.worker.state)  # Live was ticked, and refused

    def onWaiting(self, reason: str) -> None:
        """Tell the user what the camera waits for."""
        if reason == "permission":
            self.showMessage(_("The system asks whether Slicer may use the camera: answer its question to go on."))
        elif reason == "opening":
            self.showMessage(_("Still opening the camera: some take a minute. Untick Live to give up."))

    def onEnded(self) -> None:
        """Tell the user that a file is over."""
        self.showMessage(endSentence(self.logic.worker.lastStatistics.framesUnreadable), isEnded=True)

    def onStatistics(self, statistics: worker.Statistics) -> None:
        """Show how it goes."""
        if self.logic.worker.state != worker.LIVE or self.logic.isCalibrating():
            return
        self.updatePreview()  # in case the panel was hidden or shown in a way that nobody tells of
        resolution = self.logic.frame and self.logic.frame.imageSize
        if resolution != self._resolution:
            self._resolution = resolution
            self._calibrationPanel.update()  # which tells of the calibration for that resolution
        self.ui.modeLabel.setText(
            _("{width} × {height}, {rate:.0f} frames/s").format(
                width=resolution[0], height=resolution[1], rate=statistics.sourceRate
            )
            if resolution and statistics.sourceRate and isinstance(self.logic.source(), Camera)
            else ""
        )
        self.ui.hintLabel.setText(hintSentence(statistics.hint))
        names = {"Left": _("left hand"), "Right": _("right hand")}
        hands = self.logic.frame.hands if self.logic.frame else {}
        seen = ", ".join(
            f"{names[side]} ({hand.score:.0%}, ±{np.median(hand.landmarkStdMm):.0f} mm)"
            for side, hand in sorted(hands.items())
        )
        self.showMessage(
            _("{rate:.0f} frames/s, {latency:.0f} ms latency, {hands}").format(
                rate=statistics.framesPerSecond, latency=self.logic.latencyMs(), hands=seen or _("no hand in view")
            )
        )

    def showMessage(self, text: str, isError: bool = False, isEnded: bool = False) -> None:
        """Write into the status line."""
        self._isError, self._isEnded = isError, isEnded
        self.ui.statusLabel.setText(("⚠ " if isError else "") + text)

    # Preview

    def onPreviewCollapsed(self, collapsed: bool) -> None:
        """Called when the user opens or closes the preview."""
        self.updatePreview()

    def updatePreview(self) -> None:
        """Have pictures sent while there is somebody to see them."""
        self.logic.setPreview(self.ui.previewLabel.visible)

    def onPicture(self, picture: np.ndarray) -> None:
        """Show what the camera sees."""
        label = self.ui.previewLabel
        height, width = picture.shape[:2]
        shown = pixmap(picture)
        if width > preview.PANEL_SIZE[0] or height > preview.PANEL_SIZE[1]:
            shown = shown.scaled(*preview.PANEL_SIZE, qt.Qt.KeepAspectRatio)
        label.setPixmap(shown)

    def onCenterViewButton(self) -> None:
        """Bring what is shown to the middle of the 3D views."""
        slicer.util.resetThreeDViews()


class _PointerFilter(qt.QObject):
    """Calls back when the pointer comes to a widget or the keyboard does, so shortly before its list is opened."""

    def __init__(self, callback) -> None:
        qt.QObject.__init__(self)
        self._callback = callback

    def eventFilter(self, _watched, event) -> bool:
        if event.type() in (qt.QEvent.Enter, qt.QEvent.FocusIn):
            self._callback()
        return False


#
# LiveHandTest
#


class LiveHandTest(ScriptedLoadableModuleTest):
    """Runs inside Slicer: plays the sample clip through the module. The other tests are in ``Testing``."""

    def setUp(self):
        """Reset the state."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run as few or as many tests as needed here."""
        self.setUp()
        self.test_SampleClip()

    def test_SampleClip(self):
        """The hand of the sample clip appears in the scene as a right hand of human size."""
        logic = LiveHandLogic()
        try:
            if logic.missingPackages():
                self.delayDisplay("Nothing is tested: the Python packages are not installed.")
                return
            errors = []
            logic.worker.failed.connect(lambda error: errors.append(error))
            logic.setSource(resourcePath(SAMPLE_CLIP))
            logic.getParameterNode().everyFrame = True
            logic.start()
            end = time.monotonic() + 60
            while logic.worker.state != worker.OFF and time.monotonic() < end:
                slicer.app.processEvents()
                time.sleep(0.001)
            self.assertEqual(errors, [])
            self.assertEqual(logic.worker.state, worker.OFF)
            statistics = logic.worker.lastStatistics
            self.assertGreater(statistics.framesRead, 0)
            self.assertGreater(statistics.framesTracked, 0.9 * statistics.framesRead)
            landmarks = slicer.util.arrayFromMarkupsControlPoints(logic.getParameterNode().rightLandmarks, world=True)
            self.assertEqual(landmarks.shape, (21, 3))
            wristToMiddleMm = ((landmarks[9] - landmarks[0]) ** 2).sum() ** 0.5
            self.assertTrue(50 < wristToMiddleMm < 130, wristToMiddleMm)
        finally:
            logic.close()
        self.delayDisplay("Test passed")
