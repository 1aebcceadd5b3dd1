"""The worker: tracks hands in a thread and reports to the GUI thread by Qt signals. Knows Qt, nothing of MRML.

All of this file runs in the GUI thread; what the thread does stands in ``loop.py``.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import qt

from ..calibration import boardviews
from ..calibration.board import Board
from ..camera.framereader import Frame
from ..errors import LiveHandError
from ..navigation.reference import Marker
from ..pose.estimator import HandPoseEstimator, PoseParameters, ReferencePose
from ..pose.estimator import TrackedFrame as TrackedFrame
from ..pose.estimator import TrackedHand as TrackedHand
from ..threads.gil import lender
from . import loop, preview
from .loop import Settings as Settings
from .loop import Statistics as Statistics
from .pairing import Pairing

OFF, STARTING, LIVE, STOPPING = "off", "starting", "live", "stopping"


class TrackingWorker(qt.QObject):
    """Tracks hands in a thread of its own and reports to the GUI thread by signals.

    The thread reads frames and finds hands or a board in them (:class:`loop.TrackingLoop`); estimating the pose and
    drawing the preview is done in the GUI thread, when the thread is already at the next frame. What the thread does in
    Python would hold up the GUI thread as long, and the next frame besides. MediaPipe's detector is kept from run to
    run.

    All methods are called from the GUI thread, where all slots run too. No method waits, except :meth:`close`.

    Signals:

    - ``tracked(TrackedFrame)``: one frame has been processed. At most one is on its way: a GUI thread that is
      busy finds the newest result when it comes back, not a queue.
    - ``calibrating(boardviews.Progress)``: the same while the camera is being calibrated.
    - ``calibrated(boardviews.Calibration)``: the camera has been calibrated; Live goes off.
    - ``stateChanged(str)``: ``"off"``, ``"starting"``, ``"live"`` or ``"stopping"``.
    - ``failed(LiveHandError)``: why Live goes off, if not because it was asked to.
    - ``waiting(str)``: what a camera waits for before its first frame, when that takes long; see
      :attr:`framereader.FrameReader.waitingFor`.
    - ``ended()``: the file has been played to its end; Live goes off.
    - ``statistics(Statistics)``: about twice a second and once at the end.
    - ``previewImage(numpy.ndarray)``: the preview, as :func:`preview.mirrored` draws it, if :attr:`previewSize` asks
      for it; up to 11 times a second.

    :ivar previewSize: width and height into which the preview has to fit, px; None to have none, at no cost. May be
        set at any time.
    :ivar sendsImages: whether ``tracked`` carries the frames' images as well. They are there in any case, so it costs
        nothing. May be set at any time.
    :ivar pairing: joins this worker's frames with those of another camera, or None. To be set before :meth:`start`.
    :ivar camera: which one of the two this is then, 0 or 1.
    """

    tracked = qt.Signal(object)
    calibrating = qt.Signal(object)
    calibrated = qt.Signal(object)
    stateChanged = qt.Signal(str)
    failed = qt.Signal(object)
    waiting = qt.Signal(str)
    ended = qt.Signal()
    statistics = qt.Signal(object)
    previewImage = qt.Signal(object)

    _posted = qt.Signal(object)  # emitted in the thread: (loop, message)

    PREVIEW_EVERY_S = 0.09  # a little less than what three frames of a camera with 30 a second take

    def __init__(self) -> None:
        qt.QObject.__init__(self)
        self.state = OFF
        self.lastStatistics = Statistics()
        self.previewSize: tuple[int, int] | None = None
        self.sendsImages = False
        self.pairing: Pairing | None = None
        self.camera = 0
        self._nextPreview = 0.0
        self._detector = loop.KeptDetector()
        self._loop: loop.TrackingLoop | None = None  # the run that is not off yet
        self._estimator: HandPoseEstimator | None = None  # of that run
        self._thread: object = None
        self._partsDone = 0  # of two: the loop's last message has arrived, and its thread has ended
        self._next: Settings | None = None
        self._posted.connect(self._onPosted)

    @property
    def settings(self) -> Settings | None:
        """What is tracked, as it is now; None when Live is off."""
        return self._loop.settings if self._loop else None

    @property
    def picture(self) -> object:
        """The name of ``previewImage`` in the first release; to be removed after the next one."""
        return self.previewImage

    def start(self, settings: Settings) -> None:
        """Go live. While an earlier run is still stopping, this one follows it.

        :raises LiveHandError: ``palmWidth`` when no hand has such a one; everything else is reported by ``failed``.
        """
        if self._loop:
            self._next = settings
            self._requestStop()
            return
        self._estimator = HandPoseEstimator(settings.poseParameters)
        run = self._loop = loop.TrackingLoop(
            settings,
            self._detector,
            lender().schedule,
            self._post,
            self.pairing.gate if self.pairing else None,
            isPaired=self.pairing is not None,
        )
        self._partsDone = 0
        self.lastStatistics = Statistics()
        self._setState(STARTING)
        self._thread = lender().start(run.run, run.stop.set, self._onPartDone)

    def setPoseParameters(self, poseParameters: PoseParameters) -> None:
        """Go on with other pose parameters, without a pause.

        :raises LiveHandError: ``palmWidth`` when they have one that no hand has.
        """
        if self._loop and self._estimator:
            self._estimator.use(poseParameters)
            self._loop.settings = replace(self._loop.settings, poseParameters=poseParameters)

    def setReference(self, reference: Board | Marker | None, keptMs: float) -> None:
        """Go on with another reference beside the hands, or with none, without a pause.

        :param reference: a board or marker, see :class:`reference.ReferenceTracker`.
        :param keptMs: for how long its last pose is kept when it is out of sight, ms.
        """
        if self._loop:
            self._loop.settings = replace(self._loop.settings, reference=reference, referenceKeptMs=keptMs)

    def stop(self) -> None:
        """Go off. The camera is released within half a second, unless its driver hangs."""
        following, self._next = self._next, None
        self._requestStop()
        if following:
            self.stateChanged.emit(self.state)  # still stopping, but no run follows any more

    def close(self, timeout: float = 10.0) -> None:
        """Go off, wait for it and delete this object, because the application or the module goes away.

        Waiting takes a moment as a rule and the time it takes to import MediaPipe at worst. The object has to be
        deleted explicitly: PythonQt crashes at exit on an object with Python signals that is still there.

        :param timeout: how long to wait at most, s.
        """
        self.stop()
        if not self._loop or lender().wait(self._thread, timeout):
            try:
                self._detector.close()
            except Exception as error:
                LiveHandError.of(error).log()  # there is nobody left to report it to
        self.delete()

    def _requestStop(self) -> None:
        if self._loop and not self._loop.stop.is_set():
            self._loop.stop.set()
            if self._loop.gate:
                self._loop.gate.abort()  # the other one need not wait
            self._setState(STOPPING)

    def _setState(self, state: str) -> None:
        if self.state != state:
            self.state = state
            self.stateChanged.emit(state)

    # Messages of the loop

    def _post(self, run: loop.TrackingLoop, message: loop.Message) -> None:
        # The only function here that the thread calls: the signal takes the message to the GUI thread.
        self._posted.emit((run, message))

    def _onPosted(self, posted: tuple[loop.TrackingLoop, loop.Message]) -> None:
        run, message = posted
        try:
            if run is self._loop and not (message.isOnlyForLive and run.stop.is_set()):
                self._HANDLERS[type(message)](self, message)
        except Exception as error:
            self._requestStop()
            self.failed.emit(LiveHandError.of(error))
        finally:
            if isinstance(message, loop.FrameProcessed):

                def release() -> None:
                    run.handled.set()
                    lender().wake(run.handled)

                if self.pairing and not run.stop.is_set():
                    self.pairing.pace(self.camera, release)
                else:
                    release()

    def _onWaiting(self, message: loop.Waiting) -> None:
        self.waiting.emit(message.reason)

    def _onDetectorMade(self, message: loop.DetectorMade) -> None:
        if message.lines:
            logging.debug("\n".join(["LiveHand: MediaPipe reports", *message.lines]))

    def _onLive(self, _message: loop.Live) -> None:
        self._setState(LIVE)

    def _onFrameProcessed(self, message: loop.FrameProcessed) -> None:
        frame, result = message.frame, message.result
        if isinstance(result, boardviews.Progress):
            self.calibrating.emit(result)
            return
        if self.pairing:
            self.pairing.add(self.camera, frame, result, message.reference)
            return
        assert self._estimator, "of the run that is under way"
        height, width = frame.image.shape[:2]
        self.report(frame, self._estimator.estimate(result, (width, height), frame.timestampMs), message.reference)

    def report(self, frame: Frame, hands: dict[str, TrackedHand], reference: ReferencePose | None) -> None:
        """Emit ``tracked``, and ``previewImage`` when it is due.

        :param hands: by ``"Left"`` and ``"Right"``.
        """
        run = self._loop
        if not run or run.stop.is_set():
            return  # of a pairing that still had one
        height, width = frame.image.shape[:2]
        size, image = (width, height), frame.image if self.sendsImages else None
        self.tracked.emit(
            TrackedFrame(frame.number, frame.timestampMs, frame.captureTime, size, hands, reference, image)
        )
        if run.stop.is_set():
            return  # by a slot, which may have closed all and deleted this object as well
        if self.previewSize and time.perf_counter() >= self._nextPreview:
            self._nextPreview = time.perf_counter() + self.PREVIEW_EVERY_S
            self.previewImage.emit(preview.mirrored(frame.image, hands, self.previewSize))

    def _onCalibrated(self, message: loop.Calibrated) -> None:
        self.calibrated.emit(message.calibration)

    def _onReported(self, message: loop.Reported) -> None:
        self.lastStatistics = message.statistics
        self.statistics.emit(message.statistics)

    def _onFailed(self, message: loop.Failed) -> None:
        self.failed.emit(message.error)

    def _onEnded(self, _message: loop.Ended) -> None:
        if self.pairing and self.camera == 0:
            self.pairing.finish()
        self.ended.emit()

    def _onDone(self, _message: loop.Done) -> None:
        self._onPartDone()

    _HANDLERS: ClassVar[dict[type[loop.Message], Callable[..., None]]] = {
        loop.Waiting: _onWaiting,
        loop.DetectorMade: _onDetectorMade,
        loop.Live: _onLive,
        loop.FrameProcessed: _onFrameProcessed,
        loop.Calibrated: _onCalibrated,
        loop.Reported: _onReported,
        loop.Failed: _onFailed,
        loop.Ended: _onEnded,
        loop.Done: _onDone,
    }

    def _onPartDone(self) -> None:
        # The end of the thread can be noticed before its last messages have come through Qt's event queue.
        self._partsDone += 1
        if self._partsDone < 2:
            return
        self._loop = self._estimator = self._thread = None
        following, self._next = self._next, None
        if following:
            self.start(following)
        else:
            self._setState(OFF)
