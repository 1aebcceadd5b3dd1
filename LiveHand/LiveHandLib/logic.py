"""What the module does, without its panel: joins the library's parts, and goes live with what the scene says."""

import contextlib
import dataclasses
import time
from collections import deque
from pathlib import Path
from statistics import median

import numpy as np
import qt
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from . import packages
from .calibration import intrinsics
from .calibration.board import Board
from .calibration.boardviews import Calibration
from .calibration.intrinsics import Intrinsics
from .camera import devices
from .camera.devices import Camera
from .detection import detector
from .errors import LiveHandError
from .gestures.pinchnetwork import FILE_NAME as PINCH_NETWORK_FILE_NAME
from .gestures.pinchnetwork import PinchNetwork
from .motion import motion
from .pose import estimator
from .resources import resourcePath
from .scene import reference
from .scene.cameraview import CameraView
from .scene.gestures import Gestures, HandsActOn
from .scene.handdisplay import HandDisplay
from .scene.navigation import Navigation
from .scene.rendering import PromptRendering
from .scene.sliceview import CameraSlice
from .scene.surface import MESH_FILE_NAME
from .settings.calibrations import CameraCalibrations, CameraPairs
from .settings.parameters import LiveHandParameterNode, SceneParameters
from .settings.usersettings import UserSettings
from .stereo.pair import CameraPair
from .tracking import preview, worker
from .tracking.pairing import Pairing
from .tracking.pinchsignals import PinchSignals


class LiveHandLogic(ScriptedLoadableModuleLogic):
    """Everything the panel does, without the panel::

        logic = LiveHandLogic()
        logic.setSource(0)        # or a Camera, or the path of a video or image file
        logic.start()             # returns at once; the hand's nodes follow the hand from now on
        logic.worker.tracked.connect(lambda frame: print(frame.hands))
        logic.stop()

    To be used in the GUI thread.

    :ivar worker: the :class:`TrackingWorker`, whose signals report results, state, failures and figures.
    :ivar secondWorker: the :class:`TrackingWorker` of the second camera, if one is chosen.
    :ivar motion: the :class:`Motion`, which measures and records what the hands do.
    :ivar gestures: the :class:`Gestures`, which let pinching hands act on views, slices and transforms.
    :ivar pinches: the :class:`PinchSignals`, by which other modules learn of pinches.
    :ivar navigation: the :class:`Navigation`, which points, traces and registers with a fingertip.
    :ivar display: the :class:`HandDisplay`, which shows the hands in the scene.
    :ivar cameraView: the :class:`CameraView`, which shows the scene over the camera's image.
    :ivar rendering: the :class:`PromptRendering`, which brings each frame to the screen at once; can be switched off.
    :ivar userSettings: the :class:`UserSettings`.
    :ivar parameters: the :class:`SceneParameters`, which reads the parameter node.
    :ivar cameraCalibrations: the :class:`CameraCalibrations`.
    :ivar frame: the newest :class:`TrackedFrame` since Live went on, or None.
    """

    def __init__(self) -> None:
        """Called when the logic class is instantiated. Can be used for initializing member variables."""
        ScriptedLoadableModuleLogic.__init__(self)
        self.frame: worker.TrackedFrame | None = None
        self._settings: worker.Settings | None = None  # with which Live went on last
        self._secondSettings: worker.Settings | None = None
        self._hasEnded = False
        self._hasPreview = False
        self._latenciesMs: deque[float] = deque(maxlen=30)
        self.userSettings = UserSettings()
        self.parameters = SceneParameters(self.userSettings, self._onParameterNodeModified, self._onUnreadable)
        self.cameraCalibrations = CameraCalibrations(self.userSettings.calibrationFolder())
        self.cameraPairs = CameraPairs(self.userSettings.pairFolder())
        self._pairBoard: Board | None = None  # which both cameras are to see, instead of the reference
        self.motion = motion.Motion(self.getParameterNode)
        network = PinchNetwork(resourcePath(PINCH_NETWORK_FILE_NAME))
        self.navigation = Navigation(self.getParameterNode, network)
        self.display = HandDisplay(self.getParameterNode, resourcePath(MESH_FILE_NAME), self.userSettings.color)
        self.cameraView = CameraView(self.getParameterNode, resourcePath(MESH_FILE_NAME), self.display.nodes)
        self.rendering = PromptRendering(
            lambda: (node.GetDisplayNode() for node in self.display.nodes()),
            otherViews=lambda: [self.cameraView.view] if self.cameraView.view else [],
        )
        self.pinches = PinchSignals()
        self.gestures = Gestures(
            self.getParameterNode,
            network,
            isMirrored=lambda: self.display.view() != "camera",
            isBlocked=self._isUserBusy,
            highlight=self.display.showPinch,
            report=self.pinches.report,
            onChanged=self.pinches.changed.emit,
        )
        self._escape = self._newEscape()
        self._cameraSlice = CameraSlice()
        self.worker = worker.TrackingWorker()
        self.worker.tracked.connect(self.showFrame)
        self.worker.calibrated.connect(self._onCalibrated)
        self.worker.stateChanged.connect(self._onStateChanged)
        self.worker.ended.connect(self._onEnded)
        self.worker.failed.connect(self._onFailed)
        self.worker.previewImage.connect(self._showPreview)
        self.secondWorker = worker.TrackingWorker()
        self.secondWorker.camera = 1
        self.secondWorker.ended.connect(lambda: self._onSecondGone(None))
        self.secondWorker.failed.connect(self._onSecondGone)
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
            self.rendering.close()
            self.worker.close()
            self.secondWorker.close()
            self.worker = self.secondWorker = None
            self.gestures.endLive()
            self.display.show({})
            self._cameraSlice.remove()
            self._removeCameraView()
            self._rememberColors()
            self.display.forget()
            self.parameters.close()
            self.pinches.close()
            if self._escape:
                self._escape.delete()

    def getParameterNode(self) -> LiveHandParameterNode:
        """The scene's parameter node for this module. What is changed in it is followed, also while live."""
        if not self.parameters.isInScene():
            # Nodes of a parameter node that is gone are not to be found from the next one.
            self.display.hide()
            self.display.forget()
            wasThere = self.parameters.node is not None
            self.parameters.use(super().getParameterNode())
            if wasThere:
                self._onParameterNodeModified()
        return self.parameters.node

    # Source and model

    def source(self) -> Camera | str:
        """What the parameter node names as the source: a camera, as it was chosen, or the path of a file."""
        source = self.getParameterNode().source
        return devices.cameraOf(source) or source

    def cameraName(self) -> str:
        """The source's name for people: the camera's, or the file's; empty if there is none."""
        source = self.source()
        return source.name if isinstance(source, Camera) else Path(source).name

    def setSource(self, source: Camera | int | str | Path) -> None:
        """Choose where the frames come from.

        :param source: a camera, its index, or the path of a video or image file.
        """
        parameterNode, text = self.getParameterNode(), devices.sourceOf(source)
        with slicer.util.NodeModify(parameterNode):
            parameterNode.source = text
            if camera := devices.cameraOf(text):
                calibrations = self.cameraCalibrations.of(camera, parameterNode.mirrored)
                parameterNode.resolution = self._resolutionFor(camera, calibrations)

    def _resolutionFor(self, camera: Camera, calibrations: tuple[Intrinsics, ...]) -> str:
        """The one chosen last for the camera, or else that of its newest calibration, or the default."""
        resolution = self.userSettings.resolution(camera)
        if resolution is None:
            resolution = devices.resolutionOf(calibrations[0].imageSize if calibrations else devices.DEFAULT_SIZE)
        return resolution

    def setResolution(self, size: tuple[int, int] | None) -> None:
        """Choose the size of the camera's frames, and remember it for this camera.

        :param size: width and height, px; None for what the camera has. The camera may have another one than asked for.
        """
        source, resolution = self.source(), devices.resolutionOf(size)
        if isinstance(source, Camera):
            self.userSettings.setResolution(source, resolution)
        self.getParameterNode().resolution = resolution

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

    # Live

    def start(self) -> None:
        """Go live with what the parameter node says; if it is live already, with what it says now.

        Returns at once. ``worker.failed`` reports what goes wrong.
        """
        self._start(board=None)

    def stop(self) -> None:
        """Go off. Returns at once; the camera is released within half a second."""
        self.worker.stop()
        self.secondWorker.stop()

    def calibrate(self, board: Board | None = None) -> None:
        """Calibrate the source's camera with a board that is held before it; if it is live, tracking ends.

        Returns at once. ``worker.calibrating`` reports the progress, ``worker.calibrated`` the result, and
        ``worker.failed`` what went wrong. The result is kept in the user's settings, and used from then on.

        :param board: a ChArUco board of 8 x 6 squares of 30 mm if none is given.
        """
        self.display.show({})
        self._start(board or Board())

    def isCalibrating(self) -> bool:
        """Whether :meth:`calibrate` is under way."""
        isOn = self.worker is not None and self.worker.state in (worker.STARTING, worker.LIVE)
        return isOn and self._settings is not None and self._settings.board is not None

    def _start(self, board: Board | None) -> None:
        try:
            settings = self._settingsFromParameterNode(board)
        except LiveHandError as error:  # there is no such reference
            self._fail(error)
            return
        self.frame = None
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
                self.userSettings.setLastCamera(settings.source)
            self._settings = settings
            self.display.startLive()
            self.navigation.startLive()
            self.gestures.applyParameters()
            self._updatePreview()
            self._removeCameraView()  # until the first frame
            second = self._pair(settings)
            self.worker.start(settings)
            if second:
                self.secondWorker.start(second)

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
                parameterNode.palmWidthMm,
                parameterNode.smoothingMs,
                () if board else self.calibrations(),
                self.userSettings.boneLengths(parameterNode.palmWidthMm),
            ),
            reference=self._pairBoard or reference.chosen(parameterNode),
            referenceKeptMs=parameterNode.referenceKeptMs,
        )

    def applyParameters(self) -> None:
        """Track and show what the parameter node asks for now, as far as it is something else than before."""
        self._updatePreview()
        self._updateCameraView()
        self.userSettings.remember(self.getParameterNode())
        if self.worker.state in (worker.STARTING, worker.LIVE):
            settings = self._settingsFromParameterNode(self._settings.board)
            changeable = {name: getattr(settings, name) for name in ("poseParameters", "reference", "referenceKeptMs")}
            second = self._secondSettingsFor(settings)
            isSame = settings == dataclasses.replace(self._settings, **changeable)
            if isSame and self._isSameSecond(second):
                if settings.poseParameters != self._settings.poseParameters:
                    self.worker.setPoseParameters(settings.poseParameters)
                    if self.pairing:
                        self.pairing.use(settings.poseParameters)
                for each in (self.worker, self.secondWorker):
                    each.setReference(settings.reference, settings.referenceKeptMs)
                self._settings, self._secondSettings = settings, second
            else:
                self._start(settings.board)
        self.display.applyParameters()
        self.gestures.applyParameters()
        self._updateEscape()
        self.motion.updateChart()

    def showFrame(self, frame: worker.TrackedFrame) -> None:
        """Move the hands' nodes to where they are in a frame, and hide those that are not in it."""
        before, self.frame = self.frame, frame
        self.display.noteSeen(frame)
        if slicer.mrmlScene.IsImporting():
            return  # in an event loop in the midst of it: the scene's own nodes may be still to come
        with self._stopOnError(), self.cameraView.inOneGo():
            self.display.showFrame(frame)
            self.motion.add(frame)
            self.gestures.add(frame)
            self.navigation.add(frame)
            self._showInCameraView(frame)
            if frame.hands or (before and before.hands) or self.cameraView.view:
                self.rendering.request()
        self._latenciesMs.append(1000.0 * (time.perf_counter() - frame.captureTime))

    def isReferenceLost(self) -> bool:
        """Whether there is to be a reference, and in the newest frame it is not known where it is."""
        return self.frame is not None and reference.isLost(self.getParameterNode(), self.frame)

    def latencyMs(self) -> float:
        """Time from a frame being available to the nodes being moved, ms, median over the last 30 frames."""
        return median(self._latenciesMs) if self._latenciesMs else 0.0

    def landmarkStdMm(self, side: str) -> np.ndarray | None:
        """See :meth:`HandDisplay.landmarkStdMm`."""
        return self.display.landmarkStdMm(side)

    def setView(self, view: str) -> None:
        """See :meth:`HandDisplay.setView`."""
        self.display.setView(view)

    def view(self) -> str:
        """See :meth:`HandDisplay.view`."""
        return self.display.view()

    # Names of the first release, to be removed after the next one.
    deviationsMm = landmarkStdMm
    followParameterNode = applyParameters

    # Preview

    def setPreview(self, isSeen: bool) -> None:
        """Have the preview drawn and sent by ``worker.previewImage``, or not; it costs nothing while it is not.

        :param isSeen: whether it is on the screen.
        """
        self._hasPreview = isSeen
        self._updatePreview()

    def _updatePreview(self) -> None:
        if self.getParameterNode().showInSliceView:
            self.worker.previewSize = preview.SLICE_SIZE
        else:
            self.worker.previewSize = preview.PANEL_SIZE if self._hasPreview else None
            self._cameraSlice.remove()

    def _showPreview(self, image: np.ndarray) -> None:
        if self.worker.previewSize != preview.SLICE_SIZE:
            return
        with self._stopOnError():
            if qt.QApplication.activeModalWidget():
                # Slicer's dialog for saving puts a screenshot of the views into the scene's file.
                self._cameraSlice.remove()
            else:
                self._cameraSlice.update(image)

    # The view from the camera

    def _updateCameraView(self) -> None:
        isOn = self.worker.sendsImages = self.getParameterNode().cameraView
        if not isOn:
            self._removeCameraView()
        elif self.frame and self.cameraView.view:
            with self._stopOnError():  # also when no frame follows
                self._showInCameraView(self.frame)

    def _showInCameraView(self, frame: worker.TrackedFrame) -> None:
        if qt.QApplication.activeModalWidget():
            # Slicer's dialog for saving puts a screenshot of the views into the scene's file, and in what views a node
            # is shown is saved with it.
            self.cameraView.remove()
        elif self._settings:
            self.cameraView.show(frame, self._settings.poseParameters.calibrations)

    def _removeCameraView(self) -> None:
        self.cameraView.remove()
        if self.frame:
            self.frame = dataclasses.replace(self.frame, image=None)

    # Second camera

    @property
    def pairing(self) -> Pairing | None:
        """What joins the two cameras, while Live is on with both; None otherwise."""
        return self.worker.pairing if self.worker else None

    def secondSource(self) -> Camera | str:
        """The second camera that the parameter node names, or the path of a file; empty for none."""
        source = self.getParameterNode().secondSource
        return devices.cameraOf(source) or source

    def setSecondSource(self, source: Camera | int | str | Path | None) -> None:
        """Choose a second camera that sees the same hands, or none.

        :param source: a camera, its index, the path of a video file, or None.
        """
        self.getParameterNode().secondSource = "" if source is None else devices.sourceOf(source)

    def findPair(self, board: Board | None = None) -> None:
        """Have a board held before both cameras show where they are, while Live is on; ``pairing.pair`` is the result.

        :param board: a ChArUco board of 8 x 6 squares of 30 mm if none is given.
        """
        self._pairBoard = board or Board()
        self.applyParameters()

    def isFindingPair(self) -> bool:
        """Whether :meth:`findPair` waits for the board."""
        return self._pairBoard is not None

    def importPair(self, path: str | Path) -> None:
        """Use a pair file for the two sources from now on, see :meth:`CameraPair.load`.

        :raises LiveHandError: when it cannot be used, or kept; ``noSource`` where there are no two sources.
        """
        if not (self.source() and self.secondSource()):
            raise LiveHandError("noSource")
        pair = CameraPair.load(path)
        self.cameraPairs.keep(self.source(), self.secondSource(), pair)
        if self.pairing:
            self.pairing.use(self._settings.poseParameters, pair)

    def secondProblem(self) -> LiveHandError | None:
        """Why the hands come from one camera only although a second one is chosen; None if all is well."""
        return self.pairing.problem if self.pairing else None

    def _secondSettingsFor(self, settings: worker.Settings) -> worker.Settings | None:
        """The second worker's settings; None without a second camera, or while the first one is calibrated."""
        second, parameterNode = self.secondSource(), self.getParameterNode()
        if not second or settings.board:
            return None
        calibrations = self.cameraCalibrations.of(second, parameterNode.secondMirrored)
        return dataclasses.replace(
            settings,
            source=second,
            size=devices.sizeOf(self._resolutionFor(second, calibrations)) if isinstance(second, Camera) else None,
            mirrored=parameterNode.secondMirrored,
            poseParameters=dataclasses.replace(settings.poseParameters, calibrations=calibrations),
        )

    def _isSameSecond(self, second: worker.Settings | None) -> bool:
        before = self._secondSettings
        if second is None or before is None:
            return second is before
        names = "poseParameters", "reference", "referenceKeptMs"
        same = second == dataclasses.replace(before, **{name: getattr(second, name) for name in names})
        return same and second.poseParameters.calibrations == before.poseParameters.calibrations

    def _pair(self, settings: worker.Settings) -> worker.Settings | None:
        """Join the workers, or part them.

        :returns: what the second one is to be started with; None if it is not.
        """
        second = self._secondSettings = self._secondSettingsFor(settings)
        self.secondWorker.stop()
        self.worker.pairing = self.secondWorker.pairing = None
        if second is None:
            return None
        areFiles = not isinstance(settings.source, Camera) and not isinstance(second.source, Camera)
        self.worker.pairing = self.secondWorker.pairing = Pairing(
            settings.poseParameters,
            second.poseParameters.calibrations,
            self.cameraPairs.of(settings.source, second.source),
            areFiles,
            settings.everyFrame,
            self.worker.report,
            self._onPairFound,
        )
        if devices.sameDevice(settings.source, second.source):
            self.pairing.endSecond(LiveHandError("secondCameraSame"))
            return None
        return second

    def _onPairFound(self, pair: CameraPair) -> None:
        if self._pairBoard is not None:
            self._pairBoard = None
            qt.QTimer.singleShot(0, self._onParameterNodeModified)  # not from within the frame that has shown it
        try:
            self.cameraPairs.keep(self._settings.source, self._secondSettings.source, pair)
        except LiveHandError as error:
            error.log()  # it is in use, and is found again the next time

    def _onSecondGone(self, error: LiveHandError | None) -> None:
        if self.pairing:
            if error:
                LiveHandError.of(error).log()
                error = LiveHandError("secondCameraFailed", cause=error)
            self.pairing.endSecond(error)

    def _rememberBones(self) -> None:
        """Keep the lengths that two calibrated cameras have learnt, for one camera as well."""
        pairing, self.worker.pairing, self.secondWorker.pairing = self.pairing, None, None
        if pairing and len(pairing.estimator.bones.lengthsMm) and pairing.estimator.isCalibrated():
            self.userSettings.setBoneLengths(
                pairing.estimator.poseParameters.palmWidthMm, pairing.estimator.bones.lengthsMm
            )

    # Calibrations

    @property
    def calibrationFailure(self) -> LiveHandError | None:
        """Why the calibrations of the camera cannot be used, or None."""
        return self.cameraCalibrations.failure

    def calibrations(self) -> tuple[Intrinsics, ...]:
        """The calibrations of the source's camera, one for each resolution; none where they cannot be read."""
        return self.cameraCalibrations.of(self.source(), self.getParameterNode().mirrored)

    def intrinsics(self, imageSize: tuple[int, int] | None = None) -> Intrinsics | None:
        """The camera model that is used for the source.

        :param imageSize: the frames' width and height, px; those of the newest frame if not given, or before there
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

    def addCalibration(self, calibration: Intrinsics) -> None:
        """Use a calibration for the source's camera from now on, and keep it.

        :raises LiveHandError: ``noSource`` when no source is chosen, ``calibrationNotSaved``.
        """
        self.cameraCalibrations.keep(self.source(), self.getParameterNode().mirrored, calibration)
        self.applyParameters()

    def importCalibration(self, path: str | Path) -> None:
        """Use a calibration file in OpenCV's format for the source's camera from now on.

        :raises LiveHandError: when it cannot be used, see :meth:`Intrinsics.load`, or kept.
        """
        self.addCalibration(Intrinsics.load(path))

    def forgetCalibrations(self) -> None:
        """Delete all calibrations of the source's camera.

        :raises LiveHandError: ``calibrationNotSaved`` when that is not possible.
        """
        self.cameraCalibrations.forget(self.source(), self.getParameterNode().mirrored)
        self.applyParameters()

    def _onCalibrated(self, result: Calibration) -> None:
        try:
            self.addCalibration(result.intrinsics)
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
        return "" if version == self.userSettings.agreedMediapipe() else version

    def agreeToMediapipe(self) -> None:
        """Remember that the user knows what the installed MediaPipe sends, and agrees."""
        self.userSettings.setAgreedMediapipe(packages.mediapipeWithTelemetry())

    # Events

    @contextlib.contextmanager
    def _stopOnError(self):
        """Reports what goes wrong in a slot to the user, once, and stops; Qt would only print it."""
        try:
            yield
        except Exception as error:
            self._fail(LiveHandError.of(error))

    def _fail(self, error: LiveHandError) -> None:
        self.stop()
        self.worker.failed.emit(error)

    def _onFailed(self, error: LiveHandError) -> None:
        LiveHandError.of(error).log()

    def _onUnreadable(self, error: LiveHandError) -> None:
        if self.worker:
            self.worker.failed.emit(error)

    def _onEnded(self) -> None:
        self._hasEnded = True

    def _onStateChanged(self, state: str) -> None:
        # The last pose of a file that was played to its end, or of a photograph, is what was asked for. Of a
        # camera that is off it would only look as if it were live.
        if state == worker.OFF and not self._hasEnded:
            with self._stopOnError():
                self.display.show({})
            self._cameraSlice.remove()
            self._removeCameraView()
        self._updateEscape()
        if state == worker.STOPPING:
            self.secondWorker.stop()
        if state == worker.OFF:
            self._pairBoard = None
            self.secondWorker.stop()
            self._rememberBones()
            self.gestures.endLive()
            self._rememberColors()
            self.motion.endLive()
            self.navigation.endLive()

    def _rememberColors(self) -> None:
        for side, color in self.display.colors().items():
            self.userSettings.setColor(side, color)

    def _onParameterNodeModified(self, caller=None, event=None) -> None:
        # What a scene brings is followed when all of it is there.
        if self.worker and not slicer.mrmlScene.IsImporting():
            with self._stopOnError():
                self.applyParameters()

    def _onSceneStartClose(self, caller, event) -> None:
        self.stop()
        self._cameraSlice.remove()
        self._removeCameraView()
        self.gestures.forget()
        self._rememberColors()
        self.motion.forget()
        self.navigation.forget()
        self.display.onSceneClose()
        self.parameters.use(None)

    def _onSceneEndClose(self, caller, event) -> None:
        # The node stays, emptied; but who keeps it, as a script does, has its parameters set to their defaults again.
        node = self._nodeInScene()
        if node:
            self.parameters.use(node, isNew=True)

    def _onSceneStartImport(self, caller, event) -> None:
        self.gestures.stop()
        self._removeCameraView()
        if self.parameters.node:
            self.display.onImportStart()
        # The scene's settings are copied into the node that is there, before the nodes that they name are.
        self.parameters.use(None)

    def _onSceneEndImport(self, caller, event) -> None:
        node = self._nodeInScene()
        if node:
            self.parameters.use(node)
            self.display.onImportEnd()
            # A scene says what hands act on, but only the user lets them.
            self.parameters.node.handsActOn = HandsActOn.NOTHING
            # A wrapper keeps what it reads until the node is modified, and was not notified of the nodes that came
            # later.
            node.Modified()

    def _newEscape(self) -> "qt.QShortcut | None":
        """Escape as a way to stop the hands from acting, wherever the keyboard's focus is."""
        window = slicer.util.mainWindow()
        if not window:
            return None
        escape = qt.QShortcut(qt.QKeySequence("Esc"), window)
        escape.setContext(qt.Qt.ApplicationShortcut)
        escape.setEnabled(False)
        for signal in ("activated()", "activatedAmbiguously()"):
            escape.connect(signal, self.gestures.off)
        return escape

    def _updateEscape(self) -> None:
        if self._escape:  # only while there is something to stop: others use the key as well
            isLive = self.worker.state in (worker.STARTING, worker.LIVE)
            self._escape.setEnabled(isLive and self.getParameterNode().handsActOn is not HandsActOn.NOTHING)

    @staticmethod
    def _isUserBusy() -> bool:
        """Whether a dialog is open or a mouse button is down: then hands act on nothing."""
        return qt.QApplication.activeModalWidget() is not None or qt.QApplication.mouseButtons() != qt.Qt.NoButton

    def _nodeInScene(self) -> "slicer.vtkMRMLScriptedModuleNode | None":
        return slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
