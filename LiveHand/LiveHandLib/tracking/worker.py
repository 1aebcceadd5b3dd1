"""The worker: reads frames, finds the hand or a calibration board, sends Qt signals. Knows Qt, nothing of MRML."""

import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass, field

import qt

from ..calibration import boardviews
from ..calibration.board import Board
from ..camera import framereader
from ..camera.devices import Camera
from ..detection import detector
from ..errors import LiveHandError
from ..pose.estimator import HandPoseEstimator, PoseParameters, TrackedHand
from ..threads.gil import lender, reserveCoreForGui
from . import hints, preview

OFF, STARTING, LIVE, STOPPING = "off", "starting", "live", "stopping"


@dataclass(frozen=True)
class Settings:
    """What to track.

    :ivar source: a camera, or the path of a video or image file.
    :ivar size: width and height that a camera's frames shall have, px; None as the camera has it.
    :ivar modelPath: the hand landmarker bundle.
    :ivar modelSha256: its SHA-256 in hexadecimal.
    :ivar numberOfHands: 1 or 2.
    :ivar everyFrame: take every picture of a file instead of playing it at its own pace.
    :ivar mirrored: the source's pictures are mirrored.
    :ivar poseParameters: what makes millimetres of pictures; the only part that can be changed while live.
    :ivar board: look for views of this board instead of hands, and calibrate the camera from them.
    """

    source: Camera | str
    modelPath: str
    modelSha256: str = detector.MODEL_SHA256
    numberOfHands: int = 1
    everyFrame: bool = False
    mirrored: bool = False
    size: tuple[int, int] | None = None
    poseParameters: PoseParameters = field(default_factory=PoseParameters)
    board: Board | None = None


@dataclass(frozen=True)
class TrackedFrame:
    """What the worker found in one picture.

    :ivar number: how many pictures the source had before this one, dropped ones included.
    :ivar timestampMs: time in the stream, ms.
    :ivar captureTime: when the picture could be had, s on ``time.perf_counter``'s clock.
    :ivar imageSize: the picture's width and height, px.
    :ivar hands: the hands by ``"Left"`` and ``"Right"``; empty when none is seen.
    """

    number: int
    timestampMs: int
    captureTime: float
    imageSize: tuple[int, int]
    hands: dict[str, TrackedHand]

    @property
    def availableAt(self) -> float:
        """The name of ``captureTime`` in the first release; to be removed after the next one."""
        return self.captureTime


@dataclass(frozen=True)
class Statistics:
    """Figures of the running, or the last, time of Live.

    :ivar framesRead: pictures the source has delivered, dropped ones included.
    :ivar framesTracked: pictures in which a hand, or the board, was found.
    :ivar framesDropped: pictures passed over because a newer one was there.
    :ivar framesPerSecond: frames processed per second, over about the last second.
    :ivar sourceRate: frames per second that the source has delivered since the last report.
    :ivar hint: what the user could do better, from the last picture; see :func:`hints.hint`.
    :ivar framesUnreadable: frames of a file that could not be decoded; not among those read.
    """

    framesRead: int = 0
    framesTracked: int = 0
    framesDropped: int = 0
    framesPerSecond: float = 0.0
    sourceRate: float = 0.0
    hint: str = ""
    framesUnreadable: int = 0


@dataclass
class _Job:
    settings: Settings
    placer: HandPoseEstimator
    stop: threading.Event = field(default_factory=threading.Event)
    handled: threading.Event = field(default_factory=threading.Event)
    thread: object = None
    partsDone: int = 0  # of two: its last signal has arrived, and its thread has ended

    def __post_init__(self) -> None:
        self.handled.set()


class TrackingWorker(qt.QObject):
    """Tracks hands in a thread of its own and tells the GUI thread by signals.

    The thread reads pictures and finds hands or a board in them; placing the hands and drawing the preview is done in
    the GUI thread, when the thread is already at the next picture. What the thread does in Python would hold up the
    GUI thread as long, and the next picture besides. MediaPipe's tracker is kept from run to run.

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
    - ``picture(numpy.ndarray)``: what the camera sees, as :func:`preview.mirrored` draws it, if
      :attr:`pictureSize` asks for it; up to 16 times a second.

    :ivar pictureSize: width and height into which pictures have to fit, px; None to have none, at no cost. May be
        set at any time.
    """

    tracked = qt.Signal(object)
    calibrating = qt.Signal(object)
    calibrated = qt.Signal(object)
    stateChanged = qt.Signal(str)
    failed = qt.Signal(object)
    waiting = qt.Signal(str)
    ended = qt.Signal()
    statistics = qt.Signal(object)
    picture = qt.Signal(object)

    _arrived = qt.Signal(object)  # from the worker's thread; (job, name of a method, arguments)

    STATISTICS_EVERY_S = 0.5
    PICTURE_EVERY_S = 0.09  # a little less than what three pictures of a camera with 30 a second take

    def __init__(self) -> None:
        qt.QObject.__init__(self)
        self.state = OFF
        self.lastStatistics = Statistics()
        self.pictureSize: tuple[int, int] | None = None
        self._nextPicture = 0.0
        self._tracker: tuple[tuple, detector.HandDetector] | None = None  # what it is for, and the tracker
        self._job: _Job | None = None
        self._next: Settings | None = None
        self._arrived.connect(self._onArrived)

    def start(self, settings: Settings) -> None:
        """Go live. While an earlier run is still stopping, this one follows it.

        :raises LiveHandError: ``palmWidth`` when no hand has such a one; all else is told by ``failed``.
        """
        if self._job:
            self._next = settings
            self._requestStop()
            return
        job = self._job = _Job(settings, HandPoseEstimator(settings.poseParameters))
        self.lastStatistics = Statistics()
        self._setState(STARTING)
        job.thread = lender().start(lambda: self._run(job), job.stop.set, self._onPartDone)

    def setPoseParameters(self, poseParameters: PoseParameters) -> None:
        """Go on with other pose parameters, without a pause.

        :raises LiveHandError: ``palmWidth`` when they have one that no hand has.
        """
        if self._job:
            self._job.placer.use(poseParameters)

    def stop(self) -> None:
        """Go off. The camera is released within half a second, unless its driver hangs."""
        following, self._next = self._next, None
        self._requestStop()
        if following:
            self.stateChanged.emit(self.state)  # still stopping, but no run follows any more

    def close(self, timeout: float = 10.0) -> None:
        """Go off, wait for it and delete this object, because the application or the module goes away.

        Waiting takes a moment as a rule and the time it takes to import MediaPipe at worst. The object has to be
        deleted in so many words: PythonQt crashes at exit on an object with Python signals that is still there.

        :param timeout: how long to wait at most, s.
        """
        self.stop()
        if not self._job or lender().wait(self._job.thread, timeout):
            try:
                self._closeTracker()
            except Exception as error:
                LiveHandError.of(error).log()  # nobody else is there any more who could be told
        self.delete()

    def _requestStop(self) -> None:
        if self._job and not self._job.stop.is_set():
            self._job.stop.set()
            self._setState(STOPPING)

    def _setState(self, state: str) -> None:
        if self.state != state:
            self.state = state
            self.stateChanged.emit(state)

    # In the GUI thread, on behalf of the worker's

    _ONLY_WHILE_LIVE = ("_onLive", "_onWaiting", "_onFrameProcessed", "_onCalibrated")

    def _onArrived(self, message: tuple) -> None:
        job, name, *arguments = message
        try:
            # What was on its way when Live went off is of no interest any more; failures and figures are.
            if job is self._job and not (job.stop.is_set() and name in self._ONLY_WHILE_LIVE):
                getattr(self, name)(*arguments)
        except Exception as error:
            self._requestStop()
            self._onFailed(LiveHandError.of(error))
        finally:
            if name == "_onFrameProcessed":
                job.handled.set()
                lender().wake(job.handled)

    def _onLive(self) -> None:
        self._setState(LIVE)

    def _onFrameProcessed(self, frame: framereader.Frame, result: "list[detector.Hand] | boardviews.Progress") -> None:
        if isinstance(result, boardviews.Progress):
            self.calibrating.emit(result)
            return
        height, width = frame.image.shape[:2]
        job = self._job
        hands = job.placer.place(result, (width, height), frame.timestampMs)
        self.tracked.emit(TrackedFrame(frame.number, frame.timestampMs, frame.captureTime, (width, height), hands))
        if job.stop.is_set():
            return  # by a slot, which may have closed all and deleted this object as well
        if self.pictureSize and time.perf_counter() >= self._nextPicture:
            self._nextPicture = time.perf_counter() + self.PICTURE_EVERY_S
            self.picture.emit(preview.mirrored(frame.image, hands, self.pictureSize))

    def _onCalibrated(self, result: boardviews.Calibration) -> None:
        self.calibrated.emit(result)

    def _onStatistics(self, statistics: Statistics) -> None:
        self.lastStatistics = statistics
        self.statistics.emit(statistics)

    def _onFailed(self, error: LiveHandError) -> None:
        self.failed.emit(error)

    def _onWaiting(self, reason: str) -> None:
        self.waiting.emit(reason)

    def _onEnded(self) -> None:
        self.ended.emit()

    def _onPartDone(self) -> None:
        # The end of the thread can be noticed before its last signals have come through Qt's event queue.
        self._job.partsDone += 1
        if self._job.partsDone < 2:
            return
        self._job.thread = None  # a cycle of references otherwise, and a thread is not for the garbage collector
        self._job = None
        following, self._next = self._next, None
        if following:
            self.start(following)
        else:
            self._setState(OFF)

    # In the worker's thread

    def _run(self, job: _Job) -> None:
        def post(name: str, *arguments) -> None:
            self._arrived.emit((job, name, *arguments))

        try:
            self._track(job, post)
        except EOFError:
            post("_onEnded")
        except BaseException as error:
            # Nothing may leave a thread's run: it would be printed to a console that nobody looks at.
            post("_onFailed", LiveHandError.of(error))
        finally:
            post("_onPartDone")

    def _track(self, job: _Job, post) -> None:
        settings = job.settings
        turns = lender().turns
        detector.importPackages()
        reader = framereader.FrameReader(settings.source, settings.everyFrame, settings.mirrored, turns, settings.size)
        reader.start()  # a camera takes its time to open: let it, while the model is loaded
        seen = found = 0
        times: deque[float] = deque()
        newest = result = None
        waitingFor = ""
        reported = 0, 0.0  # number and time of the frame that was the newest then

        def report() -> None:
            nonlocal reported
            rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
            sourceRate = 0.0
            if newest:
                before, reported = reported, (newest.number, newest.captureTime)
                if before[1] and reported > before:
                    sourceRate = (reported[0] - before[0]) / (reported[1] - before[1])
            hint = hints.hint(newest.image, result) if isinstance(result, list) else ""
            read, dropped = seen + reader.framesDropped, reader.framesDropped
            unreadable = reader.framesUnreadable
            post("_onStatistics", Statistics(read, found, dropped, rate, sourceRate, hint, unreadable))

        try:
            with (self._boardDetection if settings.board else self._handDetection)(job, post) as look:
                nextReport = time.perf_counter() + self.STATISTICS_EVERY_S
                while not job.stop.is_set():
                    frame = reader.next(0.1)
                    if frame is None:
                        if reader.waitingFor != waitingFor:
                            waitingFor = reader.waitingFor
                            post("_onWaiting", waitingFor)
                        continue
                    newest = frame
                    result, hasFound, isLast = look(frame)
                    while not job.handled.is_set() and not job.stop.is_set():
                        with turns.waiting(job.handled):
                            job.handled.wait(0.1)
                    job.handled.clear()
                    if not seen:
                        post("_onLive")
                    post("_onFrameProcessed", frame, result)
                    seen += 1
                    found += hasFound
                    now = time.perf_counter()
                    times.append(now)
                    while times[0] < now - 1.0:
                        times.popleft()
                    if now >= nextReport:
                        nextReport = now + self.STATISTICS_EVERY_S
                        report()
                    if isLast:
                        raise EOFError
        finally:
            try:
                report()
            finally:  # whatever happened, the camera is given back
                with turns.blockingCall("close"):
                    reader.close()

    # The two ways of looking at a picture: each gives a function from a frame to what is told of it, whether something
    # was found in it, and whether no more pictures are wanted.

    @contextlib.contextmanager
    def _handDetection(self, job: _Job, post):
        settings = job.settings
        reserveCoreForGui()  # with all that MediaPipe starts; the reader, which may have to decode, has been started
        tracker = self._trackerFor(settings)

        def look(frame: framereader.Frame) -> tuple[list[detector.Hand], bool, bool]:
            with self._discardDetectorOnError():
                hands = tracker.detect(frame.image, frame.timestampMs)
            return hands, bool(hands), False

        yield look

    def _trackerFor(self, settings: Settings) -> detector.HandDetector:
        """The one that is there, if it is for the same: MediaPipe's memory grows with each that is made."""
        model = detector.loadModel(settings.modelPath, settings.modelSha256)
        kind = settings.modelSha256, settings.numberOfHands
        if self._tracker and self._tracker[0] == kind:
            with self._discardDetectorOnError():
                self._tracker[1].restart()
        else:
            self._closeTracker()
            self._tracker = kind, detector.HandDetector(model, settings.numberOfHands, lender().turns)
        return self._tracker[1]

    @contextlib.contextmanager
    def _discardDetectorOnError(self):
        try:
            yield
        except BaseException:
            self._closeTracker()  # who knows in what state it is
            raise

    def _closeTracker(self) -> None:
        closing, self._tracker = self._tracker, None
        if closing:
            closing[1].close()

    @contextlib.contextmanager
    def _boardDetection(self, job: _Job, post):
        collector = boardviews.ViewCollector(job.settings.board, lender().turns)

        def look(frame: framereader.Frame) -> tuple[boardviews.Progress, bool, bool]:
            progress = collector.look(frame.image, frame.timestampMs)
            return progress, progress.rejection != "noBoard", collector.isComplete()

        with contextlib.suppress(EOFError):  # whether there are enough views or no more pictures
            yield look
        if not job.stop.is_set():
            post("_onCalibrated", collector.calibrate())
