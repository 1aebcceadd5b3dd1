import importlib
import math
import sys
import time

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

from LiveHandLib.landmarks import Landmark
from LiveHandLib.logic import LiveHandLogic
from LiveHandLib.panel.calibration import CalibrationPanel
from LiveHandLib.panel.cameraview import CameraViewPanel
from LiveHandLib.panel.gestures import GesturesPanel
from LiveHandLib.panel.hand import HandPanel
from LiveHandLib.panel.live import LivePanel
from LiveHandLib.panel.motion import MotionPanel
from LiveHandLib.panel.navigation import NavigationPanel
from LiveHandLib.panel.secondcamera import SecondCameraPanel
from LiveHandLib.panel.source import SourcePanel
from LiveHandLib.resources import resourcePath
from LiveHandLib.sampledata import SAMPLE_CLIP, registerSampleData
from LiveHandLib.settings.parameters import LiveHandParameterNode
from LiveHandLib.threads import gil
from LiveHandLib.tracking import worker

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
            "The hand landmarks come from MediaPipe (Google, Apache License 2.0), the images from OpenCV."
        )
        # The module SampleData may not be there yet while modules are found.
        slicer.app.connect("startupCompleted()", registerSampleData)


#
# LiveHandWidget
#


class LiveHandWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: loads the widgets and joins its parts (``LiveHandLib/panel``) to the scene's parameters."""

    def __init__(self, parent=None) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)  # needed for parameter node observation
        self.logic = None
        self.sourcePanel = self.motionPanel = self.navigationPanel = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None

    def setup(self) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.setup(self)

        self.uiWidget = uiWidget = slicer.util.loadUI(self.resourcePath("UI/LiveHand.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.logic = LiveHandLogic()
        self.sourcePanel = SourcePanel(self.ui, self.logic)
        self.livePanel = LivePanel(self.ui, self.logic, self.updatePackages)
        self.handPanel = HandPanel(self.ui, self.logic, self.livePanel.showError)
        self.calibrationPanel = CalibrationPanel(self.ui, self.logic, self.livePanel.showError)
        self.secondCameraPanel = SecondCameraPanel(
            self.ui,
            self.logic,
            lambda: self.sourcePanel.cameras,
            self.calibrationPanel.board,
            self.livePanel.showError,
        )
        self.motionPanel = MotionPanel(self.ui, self.logic)
        self.gesturesPanel = GesturesPanel(self.ui, self.logic)
        self.navigationPanel = NavigationPanel(self.ui, self.logic)
        self.cameraViewPanel = CameraViewPanel(self.ui, self.logic)

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, self.onNodeAdded)
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
        for part in (self.sourcePanel, self.motionPanel, self.navigationPanel, self.logic):
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
        self.motionPanel.close()
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
        self.onNodeAdded()

    def onNodeAdded(self, caller=None, event=None) -> None:
        """Called when any node has been added."""
        if self._parameterNode and not slicer.mrmlScene.IsBatchProcessing():
            self.gesturesPanel.updateNodes()

    def initializeParameterNode(self) -> None:
        """Ensure parameter node exists and observed."""
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, inputParameterNode: LiveHandParameterNode | None) -> None:
        """Set and observe parameter node."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            node = self._parameterNode.parameterNode
            self.removeObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
            self.sourcePanel.hide()
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
        self.sourcePanel.update()
        self.secondCameraPanel.update()
        self.handPanel.update()
        self.motionPanel.update()
        self.gesturesPanel.update()
        self.navigationPanel.update()
        self.cameraViewPanel.update()
        self.calibrationPanel.update()

    def updatePackages(self) -> None:
        """Show what has to be installed; look for cameras if nothing has."""
        self.livePanel.updatePackages()
        self.calibrationPanel.update()
        self.sourcePanel.findCameras()


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
            wristToMiddleMm = math.dist(landmarks[Landmark.WRIST], landmarks[Landmark.MIDDLE_FINGER_MCP])
            self.assertTrue(50 < wristToMiddleMm < 130, wristToMiddleMm)
        finally:
            logic.close()
        self.delayDisplay("Test passed")
