"""The worker's thread: reads frames, finds the hand or a calibration board in them, posts messages. Knows nothing of
Qt's objects or MRML: what happens in the GUI thread stands in ``worker.py``.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from ..calibration import boardviews
from ..calibration.board import Board
from ..calibration.intrinsics import Intrinsics, choose
from ..camera import framereader
from ..camera.devices import Camera
from ..detection import detector
from ..errors import LiveHandError
from ..navigation.reference import LOST_AFTER_MS, Marker, ReferenceTracker
from ..pose.estimator import PoseParameters, ReferencePose
from ..threads.cores import reserveCoreForGui, startingBatchThreads
from ..threads.schedule import GilSchedule
from . import hints

STATISTICS_EVERY_S = 0.5
GATE_S = 10.0
"""How long one of two files waits for the other at most before its first frame."""

Result = list[detector.Hand] | boardviews.Progress
"""What the detection step finds in a frame: hands, or a view of the board."""


@dataclass(frozen=True)
class Settings:
    """What to track.

    :ivar source: a camera, or the path of a video or image file.
    :ivar size: width and height that a camera's frames shall have, px; None as the camera has it.
    :ivar modelPath: the hand landmarker bundle.
    :ivar modelSha256: its SHA-256 in hexadecimal.
    :ivar numberOfHands: 1 or 2.
    :ivar everyFrame: process every frame of a file instead of playing it at its own pace.
    :ivar mirrored: the source's images are mirrored.
    :ivar poseParameters: what the pose in millimetres depends on; can be changed while live.
    :ivar board: find views of this board instead of hands, and calibrate the camera from them.
    :ivar reference: find this board or marker beside the hands; can be changed while live.
    :ivar referenceKeptMs: for how long its last pose is kept when it is out of sight, ms; can be changed while live.
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
    reference: Board | Marker | None = None
    referenceKeptMs: float = LOST_AFTER_MS


@dataclass(frozen=True)
class Statistics:
    """Figures of the running, or the last, time of Live.

    :ivar framesRead: frames that the source has delivered, dropped ones included.
    :ivar framesTracked: frames in which a hand, or the board, was found.
    :ivar framesDropped: frames passed over because a newer one was there.
    :ivar framesPerSecond: frames processed per second, over about the last second.
    :ivar sourceRate: frames per second that the source has delivered since the last report.
    :ivar hint: what the user could do better, from the last frame; see :func:`hints.hint`.
    :ivar framesUnreadable: frames of a file that could not be decoded; not among those read.
    :ivar hasOtherBoard: a board is in sight, but with another number of squares than the reference has.
    """

    framesRead: int = 0
    framesTracked: int = 0
    framesDropped: int = 0
    framesPerSecond: float = 0.0
    sourceRate: float = 0.0
    hint: str = ""
    framesUnreadable: int = 0
    hasOtherBoard: bool = False


# The messages to the GUI thread; not frozen, for one is made for each frame, and that would take three times as long


class Message:
    """What the loop posts.

    :cvar isOnlyForLive: of no interest any more once Live is going off.
    """

    isOnlyForLive: ClassVar[bool] = False


@dataclass
class Waiting(Message):
    """A camera waits for something before its first frame, see :attr:`framereader.FrameReader.waitingFor`."""

    reason: str
    isOnlyForLive: ClassVar[bool] = True


@dataclass
class DetectorMade(Message):
    """A new detector is ready; MediaPipe wrote these lines meanwhile."""

    lines: list[str]


@dataclass
class Live(Message):
    """The first frame has been processed."""

    isOnlyForLive: ClassVar[bool] = True


@dataclass
class FrameProcessed(Message):
    """A frame and what was found in it. The next one follows when :attr:`TrackingLoop.handled` is set."""

    frame: framereader.Frame
    result: Result
    reference: ReferencePose | None = None
    isOnlyForLive: ClassVar[bool] = True


@dataclass
class Calibrated(Message):
    """The camera has been calibrated."""

    calibration: boardviews.Calibration
    isOnlyForLive: ClassVar[bool] = True


@dataclass
class Reported(Message):
    """The figures so far."""

    statistics: Statistics


@dataclass
class Failed(Message):
    """The loop has come to its end by an error."""

    error: LiveHandError


@dataclass
class Ended(Message):
    """The file has been read to its end."""


@dataclass
class Done(Message):
    """Always the last message."""


class KeptDetector:
    """The hand detector, kept from run to run: MediaPipe's memory grows with each that is made.

    To be used by one thread at a time.
    """

    def __init__(self) -> None:
        self._detector: detector.HandDetector | None = None
        self._kind: tuple[str, int, bool] | None = None

    def prepare(self, settings: Settings, schedule: GilSchedule, isPaired: bool) -> detector.HandDetector | None:
        """Begin another stream; with the same detector if it would be made alike.

        :param isPaired: see :class:`TrackingLoop`: MediaPipe's threads keep to the cores on which they were started.
        :returns: the detector if it is a new one.
        :raises LiveHandError: see :func:`detector.loadModel` and :class:`detector.HandDetector`.
        """
        model = detector.loadModel(settings.modelPath, settings.modelSha256)
        kind = settings.modelSha256, settings.numberOfHands, isPaired
        if self._detector and self._kind == kind:
            with self._closedOnError():
                self._detector.restart()
            return None
        self.close()
        with startingBatchThreads():
            self._detector = detector.HandDetector(model, settings.numberOfHands, schedule)
        self._kind = kind
        return self._detector

    def detect(self, frame: framereader.Frame) -> list[detector.Hand]:
        """Find the hands in the next frame, see :meth:`detector.HandDetector.detect`."""
        assert self._detector, "prepared"
        with self._closedOnError():
            return self._detector.detect(frame.image, frame.timestampMs)

    def close(self) -> None:
        """Give back what MediaPipe holds."""
        closing, self._detector = self._detector, None
        if closing:
            closing.close()

    @contextlib.contextmanager
    def _closedOnError(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()  # its state is unknown
            raise


class _Meter:
    """Measures the statistics of one run."""

    def __init__(self, reader: framereader.FrameReader) -> None:
        self.processed = self._found = 0
        self._reader = reader
        self._times: deque[float] = deque()  # of the last second
        self._newest: framereader.Frame | None = None
        self._result: Result | None = None
        self._reported = 0, 0.0  # number and time of the frame that was the newest in the last report
        self._nextReport = 0.0
        self.hasOtherBoard = False

    def add(self, frame: framereader.Frame, result: Result, hasFound: bool) -> None:
        """A frame has been processed."""
        now = time.perf_counter()
        if not self.processed:
            self._nextReport = now + STATISTICS_EVERY_S
        self._newest, self._result = frame, result
        self.processed += 1
        self._found += hasFound
        self._times.append(now)
        while self._times[0] < now - 1.0:
            self._times.popleft()

    def isReportDue(self) -> bool:
        """Whether the last report was some time ago."""
        return self._times[-1] >= self._nextReport

    def report(self) -> Reported:
        """The figures so far."""
        self._nextReport = time.perf_counter() + STATISTICS_EVERY_S
        times = self._times
        rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
        sourceRate, hint = 0.0, ""
        if self._newest:
            before, self._reported = self._reported, (self._newest.number, self._newest.captureTime)
            if before[1] and self._reported > before:
                sourceRate = (self._reported[0] - before[0]) / (self._reported[1] - before[1])
            if isinstance(self._result, list):
                hint = hints.hint(self._newest.image, self._result)
        dropped, unreadable = self._reader.framesDropped, self._reader.framesUnreadable
        read = self.processed + dropped
        return Reported(Statistics(read, self._found, dropped, rate, sourceRate, hint, unreadable, self.hasOtherBoard))


class TrackingLoop:
    """One run of Live. :meth:`run` is the thread's; the events are shared with the GUI thread.

    :param settings: what to track.
    :param kept: the detector, for this thread until the run is over.
    :param schedule: where the thread registers its long calls; shared with the GUI thread, which lends it the GIL.
    :param post: called from the thread with this loop and a :class:`Message`; must not wait.
    :param gate: passed before the first frame is taken, together with another loop's thread: a file plays from then on.
        To be aborted when this loop is stopped.
    :param isPaired: another camera's hands are detected meanwhile: on two cores, one for both would be too little.

    :ivar settings: as the parameter; replaced by others that differ in what can be changed while live.
    :ivar stop: set it to have the loop come to its end.
    :ivar handled: set when the last :class:`FrameProcessed` has been handled, so that at most one is on its way.
    """

    def __init__(
        self,
        settings: Settings,
        kept: KeptDetector,
        schedule: GilSchedule,
        post: Callable[["TrackingLoop", Message], None],
        gate: threading.Barrier | None = None,
        isPaired: bool = False,
    ) -> None:
        self.settings = settings
        self.stop = threading.Event()
        self.handled = threading.Event()
        self.handled.set()
        self._kept = kept
        self._schedule = schedule
        self._postTo = post
        self.gate = gate
        self._isPaired = isPaired
        self._tracker: ReferenceTracker | None = None
        self._camera: tuple[tuple[Intrinsics, ...], tuple[int, int]] = (), (0, 0)
        self._intrinsics: Intrinsics | None = None  # of that camera

    def run(self) -> None:
        """Track until the source ends, :attr:`stop` is set or something fails. Nothing is raised: an exception that
        leaves a thread is printed to a console that nobody reads, and is posted instead."""
        try:
            self._run()
        except EOFError:
            self._post(Ended())
        except BaseException as error:
            self._post(Failed(LiveHandError.of(error)))
        finally:
            self._post(Done())

    def _post(self, message: Message) -> None:
        self._postTo(self, message)

    def _run(self) -> None:
        settings = self.settings
        detector.importPackages()
        reader = framereader.FrameReader(
            settings.source, settings.everyFrame, settings.mirrored, self._schedule, settings.size
        )
        reader.start()  # a camera takes its time to open, in which the model is loaded
        meter = _Meter(reader)
        try:
            (self._calibrate if settings.board else self._track)(reader, meter)
        finally:
            try:
                self._post(meter.report())
            finally:  # whatever happened, the camera is released
                with self._schedule.blockingCall("close"):
                    reader.close()

    def _track(self, reader: framereader.FrameReader, meter: _Meter) -> None:
        if not self._isPaired:
            # With all that MediaPipe starts; the reader, which may have to decode, has been started.
            reserveCoreForGui()
        made = self._kept.prepare(self.settings, self._schedule, self._isPaired)
        if made:
            self._post(DetectorMade(made.messages))
        if self.gate:
            with contextlib.suppress(threading.BrokenBarrierError), self._schedule.blockingCall("gate"):
                self.gate.wait(GATE_S)
        for frame in self._frames(reader):
            hands = self._kept.detect(frame)
            reference = self._findReference(frame)
            meter.hasOtherBoard = self._tracker is not None and self._tracker.hasOtherBoard
            self._send(frame, hands, bool(hands), meter, reference)

    def _findReference(self, frame: framereader.Frame) -> ReferencePose | None:
        settings = self.settings  # as they are now: the GUI thread may replace them meanwhile
        if settings.reference is None:
            self._tracker = None
            return None
        if self._tracker is None or self._tracker.reference != settings.reference:
            self._tracker = ReferenceTracker(settings.reference, schedule=self._schedule)
        self._tracker.lostAfterMs = settings.referenceKeptMs
        height, width = frame.image.shape[:2]
        camera = settings.poseParameters.calibrations, (width, height)
        if self._intrinsics is None or self._camera != camera:
            self._camera, self._intrinsics = camera, choose(*camera)
        return self._tracker.find(frame.image, frame.timestampMs, self._intrinsics)

    def _calibrate(self, reader: framereader.FrameReader, meter: _Meter) -> None:
        assert self.settings.board
        collector = boardviews.ViewCollector(self.settings.board, self._schedule)
        with contextlib.suppress(EOFError):  # at the end of a file there may be enough views as well
            for frame in self._frames(reader):
                progress = collector.add(frame.image, frame.timestampMs)
                self._send(frame, progress, progress.rejection != "noBoard", meter)
                if collector.isComplete():
                    break
        if not self.stop.is_set():
            self._post(Calibrated(collector.calibrate()))

    def _frames(self, reader: framereader.FrameReader) -> Iterator[framereader.Frame]:
        """The newest frame each time, until the loop is stopped; raises what ends the reading."""
        waitingFor = ""
        while not self.stop.is_set():
            frame = reader.next(0.1)
            if frame is not None:
                yield frame
            elif reader.waitingFor != waitingFor:
                waitingFor = reader.waitingFor
                self._post(Waiting(waitingFor))

    def _send(
        self,
        frame: framereader.Frame,
        result: Result,
        hasFound: bool,
        meter: _Meter,
        reference: ReferencePose | None = None,
    ) -> None:
        while not self.handled.is_set() and not self.stop.is_set():
            with self._schedule.waiting(self.handled):
                self.handled.wait(0.1)
        self.handled.clear()
        if not meter.processed:
            self._post(Live())
        self._post(FrameProcessed(frame, result, reference))
        meter.add(frame, result, hasFound)
        if meter.isReportDue():
            self._post(meter.report())
