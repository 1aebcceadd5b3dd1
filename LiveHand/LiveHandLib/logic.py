"""What the module does, without its panel: composes the library's parts, and keeps what is chosen in the scene."""

import contextlib
import dataclasses
import time
from collections import deque
from pathlib import Path
from statistics import median
from typing import Annotated
from urllib.parse import quote

import numpy as np
import qt
import slicer
import vtk
from slicer import (
    vtkMRMLLinearTransformNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLModelNode,
    vtkMRMLPlotChartNode,
    vtkMRMLSequenceBrowserNode,
    vtkMRMLTableNode,
)
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from . import packages
from .calibration import intrinsics
from .calibration.board import Board
from .calibration.boardviews import Calibration
from .calibration.intrinsics import CalibrationFolder, Intrinsics
from .camera import devices
from .camera.devices import Camera
from .detection import detector
from .errors import LiveHandError
from .motion import motion
from .pose import coordinates, estimator, handpose, smoothing
from .scene import handnodes
from .scene.sliceview import CameraSlice
from .scene.surface import MESH_FILE_NAME
from .tracking import preview, worker


@parameterNodeWrapper
class LiveHandParameterNode:
    """
    What the user chose and the nodes that show it, kept with the scene.

    source - Where the frames come from: a camera (see devices.sourceOf), the path of a video or image file, or nothing.
    resolution - Size that a camera's frames shall have, such as "1280x720"; as the camera has it if empty.
    numberOfHands - How many hands to look for.
    mirrored - The source shows what is before it as a mirror does.
    showInSliceView - Show the camera's picture in the red slice view.
    everyFrame - Look at every picture of a file instead of playing it at its own pace.
    modelPath - The hand landmarker bundle; the one that comes with LiveHand if empty.
    modelSha256 - SHA-256 of the bundle at modelPath, in hexadecimal.
    palmWidthMm - From the index finger's to the little finger's knuckle of the user, mm.
    smoothingMs - How far a slow hand may stay behind, ms.
    pointer - Whether the index fingers point.
    tipOffsetMm - From MediaPipe's landmark to the end of the finger, mm.
    padOffsetMm - From the finger's middle towards its pad, mm.
    display - Which models show the hands.
    cameraToRAS - Takes the hands from the camera's frame to RAS.
    leftLandmarks, rightLandmarks - The hands' 21 landmarks.
    leftSurface, rightSurface - The hands' skin.
    leftSkeleton, rightSkeleton - Spheres at the landmarks and tubes along the bones.
    measureAngles - Measure the joint angles while live.
    plottedMeasures - Which of them the chart shows; names out of angles.MEASURES.
    leftAngles, rightAngles - The hands' joint angles over the last time.
    anglesChart - Shows them.
    recording - The newest recording.
    leftPointer, rightPointer - Their frames begin at the tips of the index fingers.
    """

    source: str = ""
    resolution: str = ""
    numberOfHands: Annotated[int, WithinRange(1, 2)] = 1
    mirrored: bool = False
    showInSliceView: bool = False
    everyFrame: bool = False
    modelPath: str = ""
    modelSha256: str = ""
    palmWidthMm: Annotated[float, WithinRange(handpose.LEAST_PALM_WIDTH_MM, handpose.GREATEST_PALM_WIDTH_MM)] = (
        handpose.DEFAULT_PALM_WIDTH_MM
    )
    smoothingMs: Annotated[float, WithinRange(0.0, 500.0)] = smoothing.DEFAULT_DELAY_MS
    pointer: bool = False
    tipOffsetMm: Annotated[float, WithinRange(-20.0, 30.0)] = coordinates.TIP_OFFSET_MM
    padOffsetMm: Annotated[float, WithinRange(-10.0, 15.0)] = coordinates.PAD_OFFSET_MM
    display: handnodes.Display = handnodes.Display.SURFACE
    cameraToRAS: vtkMRMLLinearTransformNode
    leftLandmarks: vtkMRMLMarkupsFiducialNode
    leftSurface: vtkMRMLModelNode
    leftSkeleton: vtkMRMLModelNode
    rightLandmarks: vtkMRMLMarkupsFiducialNode
    rightSurface: vtkMRMLModelNode
    rightSkeleton: vtkMRMLModelNode
    measureAngles: bool = False
    plottedMeasures: list[str] = ["Index MCP flexion", "Index PIP flexion", "Index DIP flexion"]
    leftAngles: vtkMRMLTableNode
    rightAngles: vtkMRMLTableNode
    anglesChart: vtkMRMLPlotChartNode
    recording: vtkMRMLSequenceBrowserNode
    leftPointer: vtkMRMLLinearTransformNode
    rightPointer: vtkMRMLLinearTransformNode


USER_SETTINGS = ("palmWidthMm", "smoothingMs", "tipOffsetMm", "padOffsetMm")
"""Parameters that belong to the user: a scene that has none yet begins with what was chosen last."""


def resourcePath(name: str) -> Path:
    """A file of ``Resources``: beside ``LiveHand.py`` as installed, a folder above it in the sources."""
    here = Path(__file__).resolve().parent.parent
    installed = here / "Resources" / name
    return installed if installed.exists() else here.parent / "Resources" / name


FRAMES_UNTIL_IN_SIGHT = 5
"""After so many frames with a hand the 3D views have drawn it, and it can be centered."""


class LiveHandLogic(ScriptedLoadableModuleLogic):
    """Everything the panel does, without the panel::

        logic = LiveHandLogic()
        logic.setSource(0)        # or a Camera, or the path of a video or picture file
        logic.start()             # returns at once; the hand's nodes follow the hand from now on
        logic.worker.tracked.connect(lambda frame: print(frame.hands))
        logic.stop()

    To be used in the GUI thread.

    :ivar worker: the :class:`TrackingWorker`, whose signals report results, state, failures and figures.
    :ivar motion: the :class:`Motion`, which measures and records what the hands do.
    :ivar frame: the newest :class:`TrackedFrame` since Live went on, or None.
    :ivar calibrationFailure: why the calibrations of the camera cannot be used, a :class:`LiveHandError`, or None.
    """

    def __init__(self) -> None:
        """Called when the logic class is instantiated. Can be used for initializing member variables."""
        ScriptedLoadableModuleLogic.__init__(self)
        self.frame: worker.TrackedFrame | None = None
        self._parameterNode: LiveHandParameterNode | None = None
        self._parameterNodeTag: int | None = None
        self._hands: dict[str, handnodes.HandNodes] = {}
        self._pointers: dict[str, handnodes.PointerNodes] = {}
        self._lastSeen: dict[str, tuple[np.ndarray, float]] = {}
        self._userValues: dict[str, float] = {}
        self._nodesBeforeImport: list[slicer.vtkMRMLDisplayableNode] = []
        self._shownHands: dict[str, worker.TrackedHand] = {}
        self._shownAs: tuple = ()  # the parameters that say how the hands are shown
        self._cameraSlice = CameraSlice()
        self._hasPreview = False
        self._framesUntilInSight = FRAMES_UNTIL_IN_SIGHT
        self._latenciesMs: deque[float] = deque(maxlen=30)
        self._settings: worker.Settings | None = None
        self.motion = motion.Motion(self.getParameterNode)
        self.calibrationFailure: LiveHandError | None = None
        settingsFolder = Path(slicer.app.slicerUserSettingsFilePath).parent
        self._calibrationFolder = CalibrationFolder(settingsFolder / "LiveHand" / "Calibrations")
        self.worker = worker.TrackingWorker()
        self.worker.tracked.connect(self.showFrame)
        self.worker.calibrated.connect(self._onCalibrated)
        self.worker.stateChanged.connect(self._onStateChanged)
        self.worker.ended.connect(self._onEnded)
        self.worker.failed.connect(self._onFailed)
        self.worker.picture.connect(self._showPicture)
        self._hasEnded = False
        observed = {
            slicer.mrmlScene.StartCloseEvent: self._onSceneStartClose,
            slicer.mrmlScene.EndCloseEvent: self._onSceneEndClose,
            slicer.mrmlScene.StartImportEvent: self._onSceneStartImport,
            slicer.mrmlScene.EndImportEvent: self._onSceneEndImport,
        }
        self._sceneTags = [slicer.mrmlScene.AddObserver(event, slot) for event, slot in observed.items()]
        slicer.app.connect("aboutToQuit()", self.close)

    def close(self) -> None:
        """Go off and give everything back. The logic cannot be used any more."""
        if self.worker:
            slicer.app.disconnect("aboutToQuit()", self.close)
            for tag in self._sceneTags:
                slicer.mrmlScene.RemoveObserver(tag)
            self.worker.close()
            self.worker = None
            self._showHands({})
            self._cameraSlice.remove()
            self._rememberColors()
            self._forgetNodes()

    def getParameterNode(self) -> LiveHandParameterNode:
        """The scene's parameter node for this module. What is changed in it is followed, also while live."""
        if not self._parameterNode or not self._parameterNode.parameterNode.GetScene():
            # Nodes of a parameter node that is gone are not to be found from the next one.
            for hand in self._hands.values():
                hand.update(None)
            wasThere = self._parameterNode is not None
            self._forgetNodes()
            self._useNode(super().getParameterNode())
            if wasThere:
                self._onParameterNodeModified()
        return self._parameterNode

    def _useNode(self, node: "slicer.vtkMRMLScriptedModuleNode | None", isNew: bool = False) -> None:
        """Take what is chosen from a node from now on, and follow it; or from none, while a scene comes or goes.

        :param isNew: nothing was ever chosen in it.
        """
        if self._parameterNode and self._parameterNodeTag is not None:
            self._parameterNode.RemoveObserver(self._parameterNodeTag)
        self._parameterNode = self._parameterNodeTag = None  # first, for it would read what cannot be read
        if node:
            isNew = isNew or not node.GetParameterCount()
            self._parameterNode = self._validated(node)
            if isNew:
                self._recallForUser()
            self._noteUserValues()
            self._shownAs = self._shownAs or self._displayParameters()
            if self.worker:
                # After the parameter node's own observers, which read the values anew.
                self._parameterNodeTag = self._parameterNode.AddObserver(
                    vtk.vtkCommand.ModifiedEvent, self._onParameterNodeModified
                )
        for part in (*self._hands.values(), *self._pointers.values()):
            part.nodes = self._parameterNode

    def _forgetNodes(self) -> None:
        self._hands.clear()
        self._pointers.clear()
        self._useNode(None)

    def _validated(self, node: "slicer.vtkMRMLScriptedModuleNode") -> LiveHandParameterNode:
        """The node's parameters, with their defaults if any of them cannot be read or is out of its range."""
        try:
            # Before a wrapper is made: it checks no ranges, and one that fails half-way cannot be deleted in peace.
            for name, parameter in LiveHandParameterNode.allParameters.items():
                if parameter.serializer.isIn(node, name):
                    parameter.serializer.validate(parameter.serializer.read(node, name))
        except (ValueError, TypeError):
            self._setBack(node)
            if self.worker:
                self.worker.failed.emit(LiveHandError("settingsUnreadable"))
        return LiveHandParameterNode(node)

    @staticmethod
    def _setBack(node: "slicer.vtkMRMLScriptedModuleNode") -> None:
        """Unset the parameters, but for the nodes: they are the user's, and others would be made in their place."""
        with slicer.util.NodeModify(node):
            node.UnsetAllParameters()
            for name, kind in LiveHandParameterNode.__annotations__.items():
                if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
                    if isinstance(node.GetNodeReference(name), kind):
                        node.SetParameter(name, "")  # as the wrapper notes that it is set
                    else:
                        node.RemoveNodeReferenceIDs(name)

    def setSource(self, source: Camera | int | str | Path) -> None:
        """Choose where the pictures come from.

        :param source: a camera, its index, or the path of a video or picture file.
        """
        if isinstance(source, int):
            source = Camera(source, f"#{source}")
        elif not isinstance(source, Camera):
            source = devices.cameraOf(str(source)) or source
        parameterNode = self.getParameterNode()
        with slicer.util.NodeModify(parameterNode):
            parameterNode.source = devices.sourceOf(source) if isinstance(source, Camera) else str(source)
            if isinstance(source, Camera):
                parameterNode.resolution = self._rememberedResolution(source)

    def setResolution(self, size: tuple[int, int] | None) -> None:
        """Choose the size of the camera's frames, and remember it for this camera.

        :param size: width and height, px; None for what the camera has. The camera may have another one than asked for.
        """
        source, resolution = self.source(), devices.resolutionOf(size)
        if isinstance(source, Camera):
            slicer.app.userSettings().setValue(self._resolutionKey(source), resolution)
        self.getParameterNode().resolution = resolution

    def _rememberedResolution(self, camera: Camera) -> str:
        """The one chosen last for the camera, or else that of its newest calibration, or the default."""
        calibrations = self.calibrations()
        size = calibrations[0].imageSize if calibrations else devices.DEFAULT_SIZE
        return str(slicer.app.userSettings().value(self._resolutionKey(camera), devices.resolutionOf(size)))

    @staticmethod
    def _resolutionKey(camera: Camera) -> str:
        return f"LiveHand/Resolution/{quote(camera.name, safe='')}"

    def source(self) -> Camera | str:
        """What the parameter node names as the source: a camera, as it was chosen, or the path of a file."""
        source = self.getParameterNode().source
        return devices.cameraOf(source) or source

    def setModel(self, path: str | Path) -> None:
        """Choose another hand landmarker bundle, and remember what it is like.

        :param path: the bundle; empty for the one that comes with LiveHand.
        :raises LiveHandError: ``modelMissing`` when it cannot be read.
        """
        checksum = detector.sha256(path) if str(path) else ""
        parameterNode = self.getParameterNode()
        with slicer.util.NodeModify(parameterNode):
            parameterNode.modelSha256 = checksum
            parameterNode.modelPath = str(path)

    def start(self) -> None:
        """Go live with what the parameter node says; if it is live already, with what it says now.

        Returns at once. What goes wrong is told by ``worker.failed``.
        """
        self._start(board=None)

    def calibrate(self, board: Board | None = None) -> None:
        """Calibrate the source's camera with a board that is held before it; if it is live, tracking ends.

        Returns at once. ``worker.calibrating`` tells how it goes, ``worker.calibrated`` what came of it, and what went
        wrong ``worker.failed``. The result is kept in the user's settings, and used from then on.

        :param board: a ChArUco board of 8 x 6 squares of 30 mm if none is given.
        """
        self._showHands({})
        self._start(board or Board())

    def isCalibrating(self) -> bool:
        """Whether :meth:`calibrate` is under way."""
        isOn = self.worker is not None and self.worker.state in (worker.STARTING, worker.LIVE)
        return isOn and self._settings is not None and self._settings.board is not None

    def _start(self, board: Board | None) -> None:
        settings = self._settingsFromParameterNode(board)
        self.frame = None
        self._lastSeen.clear()
        self._latenciesMs.clear()
        self._hasEnded = False
        if settings.source == "":
            self._fail(LiveHandError("noSource"))
        elif obstacle := self.packageObstacle():
            self._fail(obstacle)
        elif version := self.unagreedMediapipe():
            self._fail(LiveHandError("consentNeeded", version=version))
        else:
            if isinstance(settings.source, Camera):
                slicer.app.userSettings().setValue("LiveHand/camera", settings.source.name)
            self._settings = settings
            for side in detector.HANDEDNESSES:
                if getattr(self.getParameterNode(), f"{side.lower()}Landmarks"):
                    self._handNodes(side)  # hides what a saved scene shows of a hand that is not seen yet
            self._updatePictures()
            self.worker.start(settings)

    def stop(self) -> None:
        """Go off. Returns at once; the camera is released within half a second."""
        self.worker.stop()

    def applyParameters(self) -> None:
        """Track and show what the parameter node asks for now, as far as it is something else than before."""
        self._updatePictures()
        self._rememberForUser()
        if self.worker.state in (worker.STARTING, worker.LIVE):
            settings = self._settingsFromParameterNode(self._settings.board)
            if settings == dataclasses.replace(self._settings, poseParameters=settings.poseParameters):
                if settings.poseParameters != self._settings.poseParameters:
                    self._settings = settings
                    self.worker.setPoseParameters(settings.poseParameters)
            else:
                self._start(settings.board)
        if self._shownAs != (shownAs := self._displayParameters()):
            self._shownAs = shownAs
            self._showHands(self._shownHands)
        self.motion.updateChart()

    def _onParameterNodeModified(self, caller=None, event=None) -> None:
        # What a scene brings is followed when all of it is there.
        if self.worker and not slicer.mrmlScene.IsImporting():
            with self._stopOnError():
                self.applyParameters()

    def setPreview(self, isSeen: bool) -> None:
        """Have ``worker.picture`` tell what the camera sees, or not; what is not told costs nothing.

        :param isSeen: whether somebody looks at it.
        """
        self._hasPreview = isSeen
        self._updatePictures()

    def latencyMs(self) -> float:
        """Time from a picture being there to the nodes being moved, ms, median over the last 30 pictures."""
        return median(self._latenciesMs) if self._latenciesMs else 0.0

    # Calibration

    def cameraName(self) -> str:
        """The source's name for people: the camera's, or the file's; empty if there is none."""
        source = self.source()
        return source.name if isinstance(source, Camera) else Path(source).name

    def _calibrationNames(self) -> tuple[str, ...]:
        """The names under which the source's calibrations are kept, see :func:`devices.calibrationNames`.

        A camera that mirrors is another one: its principal point lies on the other side.
        """
        source = self.source()
        names = devices.calibrationNames(source) if isinstance(source, Camera) else (Path(source).name,)
        suffix = " (mirrored)" if self.getParameterNode().mirrored else ""
        return tuple(name + suffix for name in names if name)

    def calibrations(self) -> tuple[Intrinsics, ...]:
        """The calibrations of the source's camera, one for each resolution; none where they cannot be read."""
        self.calibrationFailure = None
        try:
            kept = (self._calibrationFolder.load(name) for name in self._calibrationNames())
            return next(filter(None, kept), ())
        except LiveHandError as error:
            self.calibrationFailure = error
            return ()

    def intrinsics(self, imageSize: tuple[int, int] | None = None) -> Intrinsics | None:
        """The camera model that is used for the source.

        :param imageSize: the pictures' width and height, px; those of the newest frame if not given, or before there
            was one, of the newest calibration.
        :returns: a calibration, or a guess from the field of view; None where no size is known.
        """
        calibrations = self.calibrations()
        source = self.source()
        if imageSize is None and self.frame and self._settings and self._settings.source == source:
            imageSize = self.frame.imageSize
        if imageSize is None and isinstance(source, Camera):
            imageSize = devices.sizeOf(self.getParameterNode().resolution)
        if imageSize is None:
            return calibrations[0] if calibrations else None
        return intrinsics.choose(calibrations, imageSize)

    def importCalibration(self, path: str | Path) -> None:
        """Use a calibration file in OpenCV's format for the source's camera from now on.

        :raises LiveHandError: when it cannot be used, see :meth:`Intrinsics.load`, or kept.
        """
        self._keepCalibration(Intrinsics.load(path))

    def forgetCalibrations(self) -> None:
        """Delete all calibrations of the source's camera.

        :raises LiveHandError: ``calibrationNotSaved`` when that is not possible.
        """
        for name in self._calibrationNames():
            self._calibrationFolder.forget(name)
        self.applyParameters()

    def _keepCalibration(self, calibration: Intrinsics) -> None:
        names = self._calibrationNames()
        if not names:
            raise LiveHandError("noSource")
        self._calibrationFolder.save(names[0], calibration)
        self.applyParameters()

    def _onCalibrated(self, result: Calibration) -> None:
        try:
            self._keepCalibration(result.intrinsics)
        except LiveHandError as error:
            self.worker.failed.emit(error)

    # Packages

    def missingPackages(self) -> list[str]:
        """What has to be installed before Live can be on, as pip takes it."""
        return packages.missing(resourcePath("requirements.txt"))

    def packageObstacle(self) -> LiveHandError | None:
        """What about the packages keeps Live from going on, see :func:`packages.obstacle`; None if all is well."""
        return packages.obstacle(resourcePath("requirements.txt"))

    def installPackages(self) -> None:
        """Install what is missing. The user is asked first.

        :raises LiveHandError: ``installDeclined``, or why it failed, see :func:`packages.install`.
        """
        packages.install(resourcePath("requirements.txt"))

    def unagreedMediapipe(self) -> str:
        """The version of a MediaPipe that sends metrics, if the user has not agreed to it; otherwise empty."""
        version = packages.mediapipeWithTelemetry()
        return "" if version == slicer.app.userSettings().value("LiveHand/AgreedMediaPipe", "") else version

    def agreeToMediapipe(self) -> None:
        """Remember that the user knows what the installed MediaPipe sends, and agrees."""
        slicer.app.userSettings().setValue("LiveHand/AgreedMediaPipe", packages.mediapipeWithTelemetry())

    # Scene

    def showFrame(self, frame: worker.TrackedFrame) -> None:
        """Move the hands' nodes to where they are in a frame, and hide those that are not in it."""
        self.frame = frame
        for side, hand in frame.hands.items():
            self._lastSeen[side] = hand.landmarkStdMm, frame.captureTime
        if slicer.mrmlScene.IsImporting():
            return  # in an event loop in the midst of it: the scene's own nodes may be still to come
        with self._stopOnError():
            self._showHands(frame.hands)
            self.motion.add(frame)
            if frame.hands and self._framesUntilInSight:
                self._bringIntoSight()
        self._latenciesMs.append(1000.0 * (time.perf_counter() - frame.captureTime))

    @contextlib.contextmanager
    def _stopOnError(self):
        """Tells the user what goes wrong in a slot, once; otherwise a console that nobody looks at would be told."""
        try:
            yield
        except Exception as error:
            self._fail(LiveHandError.of(error))

    def _showHands(self, hands: dict[str, worker.TrackedHand]) -> None:
        parameterNode = self.getParameterNode()
        self._shownHands = hands
        for side in detector.HANDEDNESSES:
            if side in hands or side in self._hands:
                landmarks = hands[side].cameraMm if side in hands else None
                self._handNodes(side).update(landmarks, parameterNode.display)
                self._showPointer(side, landmarks, parameterNode)

    def _bringIntoSight(self) -> None:
        """Center the first hand in 3D views that show nothing else, once: later the user has chosen what to see."""
        self._framesUntilInSight -= 1
        if not self._framesUntilInSight and not handnodes.isAnythingElseVisible(self._nodesOfHands()):
            slicer.util.resetThreeDViews()

    def _displayParameters(self) -> tuple:
        parameterNode = self.getParameterNode()
        return parameterNode.display, parameterNode.pointer, parameterNode.tipOffsetMm, parameterNode.padOffsetMm

    def _handNodes(self, side: str) -> handnodes.HandNodes:
        if side not in self._hands:
            self._hands[side] = handnodes.HandNodes(
                side, self.getParameterNode(), resourcePath(MESH_FILE_NAME), self._rememberedColor(side)
            )
        return self._hands[side]

    def _showPointer(self, side: str, landmarks: np.ndarray | None, parameterNode: LiveHandParameterNode) -> None:
        if landmarks is not None and parameterNode.pointer:
            if side not in self._pointers:
                self._pointers[side] = handnodes.PointerNodes(side, parameterNode)
            offsets = parameterNode.tipOffsetMm, parameterNode.padOffsetMm
            self._pointers[side].update(coordinates.pointer(landmarks, side, *offsets))
        elif side in self._pointers:
            self._pointers[side].update(None)

    def setView(self, view: str) -> None:
        """Show the hands as somebody sees them, from the next picture on.

        :param view: a key of :data:`coordinates.CAMERA_TO_RAS`, ``"owner"`` or ``"camera"``.
        """
        parameterNode = self.getParameterNode()
        if not parameterNode.cameraToRAS:
            parameterNode.cameraToRAS = handnodes.newTransform()
        matrix = slicer.util.vtkMatrixFromArray(coordinates.CAMERA_TO_RAS[view])
        parameterNode.cameraToRAS.SetMatrixTransformToParent(matrix)

    def view(self) -> str:
        """As whom the hands are shown, see :meth:`setView`; empty when the transform node says something else."""
        node = self.getParameterNode().cameraToRAS
        matrix = slicer.util.arrayFromTransformMatrix(node) if node else coordinates.CAMERA_TO_RAS["owner"]
        return next((view for view, known in coordinates.CAMERA_TO_RAS.items() if np.allclose(matrix, known)), "")

    def landmarkStdMm(self, side: str) -> np.ndarray | None:
        """How far a hand's landmarks may be from where they are shown, by now: it grows while the hand is hidden.

        :param side: ``"Left"`` or ``"Right"``.
        :returns: (21,) standard deviations, mm; None if the hand has not been seen since Live went on.
        """
        if side not in self._lastSeen:
            return None
        landmarkStdMm, seenAt = self._lastSeen[side]
        return handpose.deviationsAfter(landmarkStdMm, 1000.0 * (time.perf_counter() - seenAt))

    # Names of the first release, to be removed after the next one.
    deviationsMm = landmarkStdMm
    followParameterNode = applyParameters

    def _rememberedColor(self, side: str) -> tuple[float, ...] | None:
        color = qt.QColor(str(slicer.app.userSettings().value(f"LiveHand/{side}Color", "")))
        return (color.redF(), color.greenF(), color.blueF()) if color.isValid() else None

    def _rememberColors(self) -> None:
        for side, hand in self._hands.items():
            color = hand.surfaceColor()
            if color:
                slicer.app.userSettings().setValue(f"LiveHand/{side}Color", qt.QColor.fromRgbF(*color).name())

    def _updatePictures(self) -> None:
        if self.getParameterNode().showInSliceView:
            self.worker.pictureSize = preview.SLICE_SIZE
        else:
            self.worker.pictureSize = preview.PANEL_SIZE if self._hasPreview else None
            self._cameraSlice.remove()

    def _showPicture(self, picture: np.ndarray) -> None:
        if self.worker.pictureSize != preview.SLICE_SIZE:
            return
        with self._stopOnError():
            if qt.QApplication.activeModalWidget():
                # Slicer's dialog for saving puts a screenshot of the views into the scene's file.
                self._cameraSlice.remove()
            else:
                self._cameraSlice.update(picture)

    # Internals

    def _recallForUser(self) -> None:
        for name in USER_SETTINGS:
            value = slicer.app.userSettings().value(f"LiveHand/{name}")
            # What is stored may come from another version.
            with contextlib.suppress(ValueError, TypeError):
                if value is not None:
                    setattr(self._parameterNode, name, float(value))

    def _noteUserValues(self) -> None:
        # A scene of somebody else's brings values that are not the user's; what is changed from now on is.
        self._userValues = {name: getattr(self._parameterNode, name) for name in USER_SETTINGS}

    def _rememberForUser(self) -> None:
        parameterNode = self.getParameterNode()
        for name, known in self._userValues.items():
            value = getattr(parameterNode, name)
            if value != known:
                self._userValues[name] = value
                slicer.app.userSettings().setValue(f"LiveHand/{name}", value)

    def _settingsFromParameterNode(self, board: Board | None = None) -> worker.Settings:
        parameterNode = self.getParameterNode()
        return worker.Settings(
            source=self.source(),
            size=devices.sizeOf(parameterNode.resolution),
            modelPath=parameterNode.modelPath or str(resourcePath(detector.MODEL_FILE_NAME)),
            modelSha256=parameterNode.modelSha256 if parameterNode.modelPath else detector.MODEL_SHA256,
            numberOfHands=parameterNode.numberOfHands,
            everyFrame=parameterNode.everyFrame,
            mirrored=parameterNode.mirrored,
            board=board,
            poseParameters=estimator.PoseParameters(
                parameterNode.palmWidthMm, parameterNode.smoothingMs, () if board else self.calibrations()
            ),
        )

    def _fail(self, error: LiveHandError) -> None:
        self.worker.stop()
        self.worker.failed.emit(error)

    def _onFailed(self, error: LiveHandError) -> None:
        LiveHandError.of(error).log()

    def _onEnded(self) -> None:
        self._hasEnded = True

    def _onStateChanged(self, state: str) -> None:
        # The last pose of a file that was played to its end, or of a photograph, is what was asked for. Of a
        # camera that is off it would only look as if it were live.
        if state == worker.OFF and not self._hasEnded:
            with self._stopOnError():
                self._showHands({})
            self._cameraSlice.remove()
        if state == worker.OFF:
            self._rememberColors()
            self.motion.endLive()

    def _onSceneStartClose(self, caller, event) -> None:
        self._framesUntilInSight = FRAMES_UNTIL_IN_SIGHT
        self.worker.stop()
        self._cameraSlice.remove()
        self._rememberColors()
        self._shownHands = {}
        self.motion.forget()
        self._forgetNodes()

    def _onSceneEndClose(self, caller, event) -> None:
        # The node stays, emptied; but who keeps it, as a script does, has its parameters set to their defaults again.
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node:
            self._useNode(node, isNew=True)

    def _onSceneStartImport(self, caller, event) -> None:
        self._nodesBeforeImport = self._nodesOfHands()
        for pointer in self._pointers.values():
            pointer.update(None)
        # The scene's settings are copied into the node that is there, before the nodes that they name are.
        self._useNode(None)

    def _onSceneEndImport(self, caller, event) -> None:
        parameterNode = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if parameterNode:
            self._useNode(parameterNode)
            before, now = set(self._nodesBeforeImport), set(self._nodesOfHands())
            if before != now:
                # The scene's nodes of the hands are moved from now on, and those before would stand still.
                for node in before - now:
                    if node.GetDisplayNode():
                        node.GetDisplayNode().SetVisibility(False)
                self._hands.clear()
                self._pointers.clear()
                self._shownHands = {}
            # A wrapper keeps what it reads until the node is modified, and was not told of the nodes that came later.
            parameterNode.Modified()
        self._nodesBeforeImport = []

    def _nodesOfHands(self) -> list["slicer.vtkMRMLDisplayableNode"]:
        if not self._parameterNode:
            return []
        names = (side.lower() + kind for side in detector.HANDEDNESSES for kind in handnodes.HandNodes.KINDS)
        return [node for node in (getattr(self._parameterNode, name) for name in names) if node]
