"""Reads frames from a camera, a video file or an image file. Knows OpenCV and numpy, nothing of Qt or MRML.

Importing OpenCV is left to :func:`detector.importPackages`, which the worker calls first.
"""

import contextlib
import math
import queue
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..calibration.intrinsics import SIDES_PX
from ..errors import LiveHandError
from ..threads.schedule import GilSchedule
from . import clip, devicequery, devices
from .devices import Camera

OPENING_TIME_S = 150.0
"""How long opening a camera may take. Some webcams on Windows need minutes (opencv issue 17687)."""

STILL_OPENING_S = 4.0
"""After how long the panel says that the camera is still being opened."""

WAKING_TIME_S = 15.0
"""How long an open camera may take for its first frame, whether its reads wait or fail meanwhile."""

SILENCE_TIME_S = 15.0
"""How long a camera may go without a frame before it counts as lost; longer than a slow camera or a hiccup. What
counts is the time in which it was waited for: while Slicer computes, nobody hears the camera."""

_SLOW_READ_S = 0.5
"""A read that fails after this long has waited for a frame; one that fails at once was refused."""

RELEASE_TIME_S = 2.0
"""How long closing waits for a reading call to come back before it is left to itself."""


_PERMISSION, _OPENING, _WAKING, _DELIVERING = "permission", "opening", "waking", "delivering"

_holders: "dict[int, FrameReader]" = {}
"""By index, the reader that opens a camera or has it: one that was closed may not have come back from its driver."""


@dataclass(frozen=True)
class Frame:
    """An item of a stream: an image, its number and its time.

    :ivar image: (height, width, 3) uint8, RGB.
    :ivar number: how many frames the source had before this one, dropped ones included.
    :ivar timestampMs: time in the stream, ms.
    :ivar captureTime: when the frame was available, s on ``time.perf_counter``'s clock.
    """

    image: np.ndarray
    number: int
    timestampMs: int
    captureTime: float


def toRgb(image: np.ndarray) -> np.ndarray:
    """Any image that OpenCV delivers as (height, width, 3) uint8 RGB: grey, BGR or BGRA, 8 or 16 bit.

    :raises LiveHandError: ``imageUnusable`` for any other, and for one that is too small or large.
    """
    import cv2

    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    channels = 1 if image.ndim == 2 else image.shape[2]
    conversion = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}.get(channels)
    isSized = image.shape[0] in SIDES_PX and image.shape[1] in SIDES_PX
    if conversion is None or image.dtype != np.uint8 or not isSized:
        raise LiveHandError("imageUnusable", shape=str(image.shape), dtype=str(image.dtype))
    return cv2.cvtColor(image, conversion)


class FrameReader(threading.Thread):
    """Reads a source in a thread of its own and holds its newest frame, never more than one.

    The thread opens, reads and releases the source, so whoever asks for frames can always be stopped, even
    when the camera's driver never returns from a call. It is a plain Python daemon thread for the same reason:
    a driver that hangs must not keep Slicer from quitting.

    :param source: a camera, or the path of a video or image file. A number is a camera, too; see
        :func:`devices.numbered`.
    :param size: width and height that a camera's frames shall have, px; as the camera has it if not given.
    :param everyFrame: deliver every frame of a file, as fast as they are taken, instead of playing the file
        at its own pace and dropping what is not taken in time. Cameras always drop.
    :param mirrored: the source's images are mirrored: mirror them back. Everything after this
        sees the world as it is, and a right hand is a right hand.
    :param schedule: where this thread registers its long calls; shared with the GUI thread, which lends it the GIL.
    """

    def __init__(
        self,
        source: Camera | int | str,
        everyFrame: bool = False,
        mirrored: bool = False,
        schedule: GilSchedule | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(name="LiveHand reader", daemon=True)
        self.framesDropped = 0
        self.framesUnreadable = 0  # so far, of a file; see clip.Clip
        self._source = Camera(source, f"#{source}") if isinstance(source, int) else source
        self._isCamera = isinstance(self._source, Camera)
        self._size = size
        self._everyFrame = everyFrame
        self._mirrored = mirrored
        self._schedule = schedule or GilSchedule()
        self._closing = threading.Event()
        # At most one frame, or what ended the reading. A queue in C and not a condition, for every step of Python
        # that a frame takes is one that Slicer's GUI thread waits for.
        self._newest: queue.SimpleQueue[Frame | Exception] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()  # something in it once a frame was taken
        self._silentForS = 0.0
        self._phase = self._silentPhase = _OPENING
        self._withoutFrameS = 0.0  # by the reading thread's clock

    # Called by whoever wants the frames

    def next(self, timeout: float) -> Frame | None:
        """Take the newest frame not yet taken.

        :param timeout: how long to wait for one, s.
        :returns: the frame, or None when none came in time.
        :raises EOFError: the file has been read to its end; raised once.
        :raises LiveHandError: the source cannot be opened or read; raised once.
        """
        try:
            with self._schedule.waiting(self._newest):
                item = self._newest.get(timeout=timeout)
        except queue.Empty:
            self._checkSilence(timeout)
            return None
        self._silentForS = 0.0
        if isinstance(item, Exception):
            try:
                raise item
            finally:
                # Its traceback has the stack frames that it goes through: were it a variable in one of them, or in this
                # reader, the last frame would stay in memory until Python collects cycles, which may be never.
                del item
        if self._room.empty():
            self._send(self._room, None)
        return item

    @property
    def waitingFor(self) -> str:
        """What a camera waits for that takes long, before its first frame: ``"permission"``, which the user has been
        asked for, ``"opening"``, or an empty string."""
        if self._phase == _OPENING:
            return "opening" if self._silentForS > STILL_OPENING_S else ""
        return "permission" if self._phase == _PERMISSION else ""

    def _checkSilence(self, timeout: float) -> None:
        if self._phase != self._silentPhase:
            self._silentPhase, self._silentForS = self._phase, 0.0
        self._silentForS += timeout
        allowed = self._silenceAllowed()
        # While reads return, if only to say that there is no frame, the reading thread knows better why.
        if self._isCamera and self._silentForS > allowed * (1.0 if self._phase == _OPENING else 1.2):
            raise LiveHandError("cameraSilent", seconds=f"{allowed:.0f}")

    def _silenceAllowed(self) -> float:
        allowed = {_OPENING: OPENING_TIME_S, _WAKING: WAKING_TIME_S, _DELIVERING: SILENCE_TIME_S}
        return allowed.get(self._phase, math.inf)

    def close(self) -> bool:
        """Release the source.

        :returns: whether it was released in time; a driver that hangs keeps it.
        """
        self._closing.set()
        self._send(self._room, None)
        if self.is_alive():
            self.join(RELEASE_TIME_S)
        return not self.is_alive()

    # The thread

    def run(self) -> None:
        """Read until the source ends or :meth:`close` is called."""
        self._schedule.begin()
        try:
            source = self._source
            frames = self._cameraFrames(source) if isinstance(source, Camera) else self._fileFrames(source)
            with contextlib.closing(frames):
                for frame in frames:
                    self._put(frame)
                    if self._closing.is_set():
                        return
            self._put(EOFError())
        except Exception as error:
            self._put(LiveHandError.of(error))
        finally:
            self._schedule.done()

    def _put(self, item: Frame | Exception) -> None:
        if self._everyFrame and not self._isCamera:
            while not self._newest.empty() and not self._closing.is_set():
                self._waitForRoom()
        elif isinstance(item, Frame) and not self._newest.empty():
            # Whoever gets it first: the one who wants it, or this thread, because it is not the newest any more.
            with contextlib.suppress(queue.Empty):
                self._newest.get_nowait()
                self.framesDropped += 1
        self._send(self._newest, item)

    def _waitForRoom(self) -> None:
        with self._schedule.waiting(self._room):
            self._room.get()

    def _send(self, what: queue.SimpleQueue[Any], item: object) -> None:
        self._schedule.wake(what)
        what.put(item)

    def _frame(self, image: np.ndarray, number: int, timestampMs: int, captureTime: float) -> Frame:
        image = toRgb(image)
        if self._mirrored:
            import cv2

            cv2.flip(image, 1, image)
        return Frame(image, number, timestampMs, captureTime)

    def _cameraFrames(self, chosen: Camera) -> Generator[Frame, None, None]:
        devicequery.awaitPermission(self._closing.is_set, self._onAsked, self._pause)
        self._phase = _OPENING
        camera = devicequery.find(chosen)
        earlier = _holders.get(camera.index)
        while earlier and earlier.is_alive() and earlier._closing.is_set() and not self._closing.is_set():
            self._pause(0.1)  # opened a second time while the first is under way, some drivers never come back
        if self._closing.is_set():
            return
        _holders[camera.index] = self
        patienceS = 1.0
        try:
            while not self._closing.is_set():
                with self._opened(camera.index) as capture:
                    yield from self._framesOf(capture, camera, patienceS)
                if self._withoutFrameS > self._silenceAllowed():
                    raise self._silence(camera)
                # OpenCV's V4L2 backend does not start a stream again that did not start at first. A camera that takes
                # its time needs to be left alone for longer and longer.
                patienceS *= 2.0
        finally:
            if _holders.get(camera.index) is self:
                del _holders[camera.index]

    def _onAsked(self) -> None:
        self._phase = _PERMISSION

    def _pause(self, seconds: float) -> None:
        with self._schedule.blockingCall("pause"):
            self._closing.wait(seconds)

    def _framesOf(self, capture: Any, camera: Camera, patienceS: float) -> Generator[Frame, None, None]:
        """The frames of an open camera, until it is closed, is silent for too long, or has none at first for a time."""
        if not capture.isOpened():
            raise devicequery.refusal(camera.index)
        isReported = devicequery.isThere(camera.index)  # whether the system says at once that the camera is unplugged
        self._setMode(capture, camera)
        self._phase = _WAKING
        start = time.perf_counter()
        number = failures = 0
        failedS = 0.0
        while not self._closing.is_set():
            before = time.perf_counter()
            with self._schedule.blockingCall("camera", periodic=True):
                delivered, image = capture.read()
            now = time.perf_counter()
            if delivered:
                failures, self._withoutFrameS = 0, 0.0
                yield self._frame(image, number, round((now - start) * 1000), now)
                number += 1
                self._phase = _DELIVERING
                continue
            # Drivers fail a read now and then, a camera that wakes up fails them for seconds, and one without a frame
            # fails a read when it has waited for long. An unplugged one fails every read at once.
            readS = now - before
            if readS < _SLOW_READ_S:
                failures += 1
                isLost = not devicequery.isThere(camera.index) if isReported else number and failures > 10
                if isLost:
                    raise LiveHandError("cameraLost" if number else "cameraNotFound")
                self._pause(0.05)
                readS += 0.05
                failedS += readS
            self._withoutFrameS += min(readS, 2.0)  # what is longer was spent by whoever kept the GIL
            if self._withoutFrameS > self._silenceAllowed() or (failedS > patienceS and not number):
                return

    def _silence(self, camera: Camera) -> LiveHandError:
        # A camera that another program has can be opened as a rule, but delivers no frame.
        refusal = devicequery.refusal(camera.index)
        if refusal.reason != "cameraNotFound":
            return refusal
        return LiveHandError("cameraSilent", seconds=f"{self._silenceAllowed():.0f}")

    def _setMode(self, capture: Any, camera: Camera) -> None:
        """Ask the camera for frames of the size, and in the format in which it has enough of them."""
        import cv2

        def ask(**values: float) -> None:
            for name, value in values.items():
                with self._schedule.blockingCall("set"):
                    capture.set(getattr(cv2, f"CAP_PROP_{name}"), value)

        # With one buffer, a driver has none to fill while the last frame is decoded, and drops the next.
        ask(BUFFERSIZE=2)
        sides = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
        size = self._size or (int(capture.get(sides[0])), int(capture.get(sides[1])))
        mode = {"FRAME_WIDTH": size[0], "FRAME_HEIGHT": size[1], "FPS": devices.RATE}
        fourcc = devices.fourccFor(camera, size)
        if fourcc:
            ask(FOURCC=cv2.VideoWriter.fourcc(*fourcc))
        if fourcc or self._size:
            ask(**mode)
        if not fourcc and devices.isSlow(capture.get(cv2.CAP_PROP_FPS)):
            ask(FOURCC=cv2.VideoWriter.fourcc(*"MJPG"), **mode)

    def _fileFrames(self, path: str) -> Generator[Frame, None, None]:
        with self._schedule.blockingCall("open"):
            file = clip.openClip(path)
        with contextlib.closing(file):
            start = math.nan  # not yet
            timestampMs = -1
            while not self._closing.is_set():
                isPaced = not (math.isnan(start) or self._everyFrame)
                if isPaced:
                    # Late by more than a frame's time: skip, as a camera does whose frames nobody takes.
                    while time.perf_counter() > start + file.timeS + 2.0 * file.intervalS and file.skip():
                        self.framesDropped += 1
                with self._schedule.blockingCall("clip" if isPaced else "file", periodic=isPaced):
                    # Read ahead of time: the frame is there when it is due, as a camera's is.
                    image = file.read()
                    due = start + file.timeS if isPaced else 0.0
                    self._closing.wait(max(0.0, due - time.perf_counter()))
                self.framesUnreadable = file.framesUnreadable
                if image is None:
                    return
                timestampMs = max(round(1000.0 * file.timeS), timestampMs + 1)
                yield self._frame(image, file.number, timestampMs, due or time.perf_counter())
                if math.isnan(start):
                    # The clip plays from when its first frame is taken: its beginning is not to be missed only
                    # because the model is still being loaded.
                    self._waitForRoom()
                    start = time.perf_counter() - file.timeS

    @contextlib.contextmanager
    def _opened(self, source: int | str) -> Iterator[Any]:
        """A ``cv2.VideoCapture``, released by the thread that reads it."""
        import cv2

        with self._schedule.blockingCall("open"):
            capture = cv2.VideoCapture(source)
        try:
            yield capture
        finally:
            capture.release()
