"""Finds hands in frames. Knows MediaPipe and numpy, nothing of Qt or MRML.

MediaPipe and OpenCV are imported by :func:`importPackages` and not at the top: importing them takes up to
some seconds, so it has to happen in the worker, and they may not be installed at all.
"""

import concurrent.futures
import contextlib
import ctypes
import functools
import hashlib
import importlib
import importlib.util
import os
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import installed
from ..errors import LiveHandError
from ..threads.schedule import GilSchedule
from . import librarymessages

HANDEDNESSES = ("Left", "Right")

FARTHEST = 10.0
"""How far a hand's landmarks may be from the image's corner, over its width and height, and from the hand's centre,
m: a hand that is partly out of view has some up to twice the image's size away; farther ones are errors."""

KNOWN_VERSIONS = ("0.10.31",)
"""The versions of MediaPipe whose results are read as its library has them, which is faster; those of others are read
by MediaPipe's public API."""

MODEL_FILE_NAME = "hand_landmarker.task"
MODEL_SHA256 = "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1"
"""SHA-256 of the hand landmarker bundle (float16, version 1) that LiveHand ships and was measured with."""


@dataclass(frozen=True)
class Hand:
    """One hand in one frame.

    :ivar handedness: ``"Left"`` or ``"Right"``, as MediaPipe gives it: the hand's true side in an image that
        is not mirrored, and sometimes wrong; see :class:`identity.HandIdentity`.
    :ivar score: MediaPipe's confidence in the handedness, 0 to 1.
    :ivar imagePx: (21, 2) landmarks in the image, px, x to the right and y down from the top left corner.
    :ivar worldMm: (21, 3) MediaPipe's world landmarks, mm, about the hand's centre; x to the right in the
        image, y down, z away from the camera.
    :ivar depthPx: (21,) the landmarks' depths behind the wrist's, in px of the image, as if seen from afar (weak
        perspective). With ``imagePx`` they are the hand's shape, and give its joint angles with little
        more than half the error that ``worldMm`` has (Testing/benchmark/angle_accuracy.py).
    """

    handedness: str
    score: float
    imagePx: np.ndarray
    worldMm: np.ndarray
    depthPx: np.ndarray


_VARIABLES_SET_BY_CV2 = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR", "LD_LIBRARY_PATH")
_VARIABLES_READ_LATER = {
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "1",
    "OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS": "0",
    "OPENCV_AVFOUNDATION_SKIP_AUTH": "1",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}
"""What OpenCV's camera backends read when they are first used, so they stay set. On Linux a read waits 10 s for a
frame, and the camera cannot be given back meanwhile; 1 s is enough. On Windows some cameras take 20 s to minutes to
open with Media Foundation's hardware transforms (opencv issue 17687). On macOS the permission is asked for by
``devicequery``: OpenCV does not wait for the answer. FFmpeg writes a line or more to stderr for each damaged frame,
which Slicer shows as errors; LiveHand has a sentence for it (-8 is FFmpeg's AV_LOG_QUIET)."""
_VARIABLES_READ_BY_CV2 = {"OPENCV_THREAD_POOL_ACTIVE_WAIT_WORKER": "0", "OPENCV_LOG_LEVEL": "ERROR"}
"""Slicer shows OpenCV's warnings as errors, for they go to stderr: of a camera that cannot be opened, for example. On
Linux the threads that OpenCV shares its work with poll for more of it 2000 times before they go to sleep (its
``core/src/parallel_impl.cpp``): for converting the colours of 30 frames a second, they poll for longer than they work,
on cores that detection needs."""


@contextlib.contextmanager
def _environmentKept() -> Iterator[None]:
    # opencv-python on Linux points some variables at the Qt it bundles. Programs that Slicer starts later (CLI modules,
    # pip, Qt Designer) would inherit them and fail to start.
    before = {name: os.environ.get(name) for name in (*_VARIABLES_SET_BY_CV2, *_VARIABLES_READ_BY_CV2)}
    for name, value in (_VARIABLES_READ_BY_CV2 | _VARIABLES_READ_LATER).items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name, earlier in before.items():
            if earlier is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = earlier


@contextlib.contextmanager
def _withoutSounddevice() -> Iterator[None]:
    # MediaPipe imports sounddevice, if it can, for its other tasks. That opens the sound devices, and where it does not
    # find PortAudio on Linux, it starts ldconfig, a compiler and a linker to find it.
    isHidden = "sounddevice" not in sys.modules
    if isHidden:
        modules: dict[str, Any] = sys.modules
        modules["sounddevice"] = None  # import it, and it is not there
    try:
        yield
    finally:
        if isHidden:
            sys.modules.pop("sounddevice", None)


_MODULES = {"opencv-python": ("cv2",), "mediapipe": ("mediapipe", "mediapipe.tasks.python.vision")}


def importPackages(*packages: str) -> None:
    """Import OpenCV and MediaPipe, and leave the process's environment variables and sound devices as they were.

    To be called in the worker: it takes up to some seconds the first time.

    :param packages: which of ``"opencv-python"`` and ``"mediapipe"``; both if none is given.
    :raises LiveHandError: ``packageMissing``, ``packageBroken`` or ``libraryMissing``, with the package's name.
    """
    path = sys.path.copy()
    with _environmentKept(), _withoutSounddevice():
        for package in packages or _MODULES:
            for module in _MODULES[package]:
                try:
                    importlib.import_module(module)
                except Exception as error:
                    sys.path[:] = path  # cv2 puts its own folder there, and leaves it if it fails
                    if importlib.util.find_spec(module.partition(".")[0]) is None:
                        raise LiveHandError("packageMissing", package=package) from error
                    raise _broken(package, str(error)) from error


def _broken(package: str, detail: str) -> LiveHandError:
    names = installed.OPENCV_DISTRIBUTIONS if package in installed.OPENCV_DISTRIBUTIONS else (package,)
    found = installed.of(*names)
    library = re.search(r"(lib\S+\.so[.\d]*): cannot open shared object", detail)
    if library and not (found and found.hasFile(library[1])):
        return LiveHandError("libraryMissing", package=package, library=library[1])
    return LiveHandError(
        "packageBroken", package=package, detail=detail, requirement=found.requirement() if found else package
    )


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    :raises LiveHandError: ``modelMissing`` when the file cannot be read.
    """
    return hashlib.sha256(_readModel(path)).hexdigest()


def _readModel(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise LiveHandError("modelMissing", path=str(path)) from error


def loadModel(path: str | Path, expectedSha256: str = MODEL_SHA256) -> bytes:
    """Read a hand landmarker bundle and check that it is the very file expected.

    :returns: the bundle's bytes; what is checked is what is used, however the file changes afterwards.
    :raises LiveHandError: ``modelMissing`` when it cannot be read, ``modelChanged`` when the sum differs.
    """
    model = _readModel(path)
    if hashlib.sha256(model).hexdigest() != expectedSha256:
        raise LiveHandError("modelChanged", path=str(path))
    return model


class _InlineExecutor(concurrent.futures.Executor):
    """Runs MediaPipe's library calls in the thread that makes them, in place of a thread of MediaPipe's own.

    MediaPipe sends each call of its library through an executor, so that calls from several threads do not meet.
    Here there is one thread only. In Slicer every change from one Python thread to the other has to wait until
    the GUI thread lends the GIL again: with the executor a frame takes about a third longer, and the GUI thread
    is held up twice as long.
    """

    def __init__(self) -> None:
        self.isUsed = False
        self.surround: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        """Entered around the next call."""

    def submit(
        self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any
    ) -> concurrent.futures.Future[Any]:
        self.isUsed = True
        surround, self.surround = self.surround, contextlib.nullcontext()
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            with surround:
                future.set_result(function(*arguments, **keywords))
        except BaseException as error:
            future.set_exception(error)
        return future

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        """MediaPipe takes this executor for what is created meanwhile, if it is a version that asks for one."""
        try:
            from mediapipe.tasks.python.core import serial_dispatcher

            original = serial_dispatcher.concurrent
        except (ImportError, AttributeError):
            yield
            return
        # Only this one file of MediaPipe's sees the difference.
        serial_dispatcher.concurrent = types.SimpleNamespace(
            futures=types.SimpleNamespace(ThreadPoolExecutor=lambda *_arguments, **_keywords: self)
        )
        try:
            yield
        finally:
            serial_dispatcher.concurrent = original


class _Library:
    """The functions of MediaPipe's library that a frame needs (``mediapipe/tasks/c/vision`` in its source).

    They do what ``mediapipe.Image`` and ``HandLandmarker.detect_for_video`` do, but for two things: to declare anew how
    the functions are called, and to make an object of each landmark. These take the GIL for half a millisecond a
    frame, longer than all else that the worker does in Python to detect. And only detection releases the GIL: the
    others are over before it could be had again.

    :param landmarker: the library's handle of a HandLandmarker in video mode.
    """

    def __init__(self, landmarker: ctypes.c_void_p) -> None:
        import mediapipe
        from mediapipe.tasks.python.core import mediapipe_c_bindings, mediapipe_c_utils
        from mediapipe.tasks.python.vision.hand_landmarker import HandLandmarkerResultC

        library = mediapipe_c_bindings.load_raw_library()
        # Library objects of our own: what is declared of MediaPipe's is not changed.
        kept, released = (kind(library._name, handle=library._handle) for kind in (ctypes.PyDLL, ctypes.CDLL))
        number, pointer = ctypes.c_int, ctypes.c_void_p

        def declared(library: ctypes.CDLL, name: str, result: type | None, *arguments: type) -> Any:
            function = library[name]
            function.restype, function.argtypes = result, arguments
            return function

        create = number, number, number, pointer, number, pointer, pointer
        detect = pointer, pointer, pointer, ctypes.c_int64, pointer, pointer
        self._createImage = declared(kept, "MpImageCreateFromUint8Data", number, *create)
        self._detect = declared(released, "MpHandLandmarkerDetectForVideo", number, *detect)
        self._freeImage = declared(kept, "MpImageFree", None, pointer)
        self._closeResult = declared(kept, "MpHandLandmarkerCloseResult", None, pointer)
        self._freeError = declared(kept, "MpErrorFree", None, pointer)
        self._raiseIfFailed = mediapipe_c_utils.handle_status
        self._landmarker, self._format = landmarker, mediapipe.ImageFormat.SRGB
        self._image, self._result, self._error = pointer(), HandLandmarkerResultC(), ctypes.c_char_p()
        self._places = [ctypes.byref(written) for written in (self._image, self._result, self._error)]

    def detect(self, image: np.ndarray, timestampMs: int, call: contextlib.AbstractContextManager[None]) -> list[Hand]:
        """Find the hands in an image.

        :param image: (height, width, 3) uint8, RGB, contiguous.
        :param timestampMs: time of the frame, ms.
        :param call: entered around detection.
        :returns: see :meth:`HandDetector.detect`.
        """
        mpImage, result, error = self._places
        height, width = image.shape[:2]
        pixels = image.__array_interface__["data"][0], image.size
        self._check(self._createImage(self._format, width, height, *pixels, mpImage, error))
        try:
            with call:
                status = self._detect(self._landmarker, self._image, None, timestampMs, result, error)
        finally:
            self._freeImage(self._image)
        self._check(status)
        try:
            return _handsOfC(self._result, (width, height))
        finally:
            self._closeResult(result)

    def _check(self, status: int) -> None:
        if status:
            try:
                self._raiseIfFailed(status, self._error)
            finally:
                if self._error.value is not None:
                    self._freeError(self._error)
                    self._error.value = None


class HandDetector:
    """MediaPipe's HandLandmarker in video mode. Needs :func:`importPackages` to have run.

    To be used by one thread at a time; a context manager that closes it.

    :param model: the bundle's bytes, from :func:`loadModel`.
    :param numberOfHands: how many hands to find at most, 1 or 2.
    :param schedule: where this thread registers its long calls; shared with the GUI thread, which lends it the GIL.
    :raises LiveHandError: ``modelUnusable`` when MediaPipe cannot use the bundle.

    :ivar messages: the lines of information and warnings that MediaPipe wrote when this was made.
    """

    def __init__(self, model: bytes, numberOfHands: int = 1, schedule: GilSchedule | None = None) -> None:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision

        self._Image = mediapipe.Image
        self._format = mediapipe.ImageFormat.SRGB
        self._startMs, self._lastTimestampMs = 0, -1  # of the stream, in MediaPipe's time
        self._schedule = schedule or GilSchedule()
        self._executor = _InlineExecutor()
        options = vision.HandLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=model),
            running_mode=vision.RunningMode.VIDEO,
            num_hands=numberOfHands,
        )
        with librarymessages.taken() as self.messages:
            try:
                with self._executor.patched():
                    self._landmarker = vision.HandLandmarker.create_from_options(options)
            except (ValueError, RuntimeError) as error:
                raise LiveHandError("modelUnusable", detail=str(error)) from error
            isKnown = mediapipe.__version__ in KNOWN_VERSIONS
            self._library = _Library(self._landmarker._handle) if isKnown else None
            self.restart()  # MediaPipe's last warnings come with the first detection

    def __enter__(self) -> "HandDetector":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what MediaPipe holds. The detector cannot be used any more."""
        with librarymessages.taken():
            self._landmarker.close()

    def restart(self) -> None:
        """Begin another stream: forget the hands of the one before, and let time begin anew."""
        self.detect(np.zeros((64, 64, 3), np.uint8), 0)  # MediaPipe searches first where it saw hands last
        self._startMs, self._lastTimestampMs = self._startMs + self._lastTimestampMs + 1, -1

    def detect(self, image: np.ndarray, timestampMs: int) -> list[Hand]:
        """Find the hands in the next frame of a stream.

        :param image: (height, width, 3) uint8, RGB.
        :param timestampMs: time of the frame in its stream, ms. A clock that jumps back is corrected, for
            MediaPipe takes only times that grow.
        :returns: the hands found, the most certain handedness first; none that has a landmark beyond
            :data:`FARTHEST`.
        """
        self._lastTimestampMs = timestampMs = max(int(timestampMs), self._lastTimestampMs + 1)
        timestampMs += self._startMs
        image = np.ascontiguousarray(image)
        if self._library:
            return self._library.detect(image, timestampMs, self._schedule.blockingCall("detect"))
        mpImage = self._Image(self._format, image)
        call: contextlib.AbstractContextManager[None] = self._schedule.blockingCall("detect")
        if self._executor.isUsed:
            self._executor.surround = call  # just the library's call, not the Python around it
            call = contextlib.nullcontext()
        with call:
            result = self._landmarker.detect_for_video(mpImage, timestampMs)
        return handsOf(result, (image.shape[1], image.shape[0]))


def handsOf(result: Any, imageSize: tuple[int, int]) -> list[Hand]:
    """The hands in what MediaPipe found in an image.

    :param result: MediaPipe's ``HandLandmarkerResult``.
    :param imageSize: the image's width and height, px.
    :returns: the hands, the most certain handedness first; none that has a landmark beyond :data:`FARTHEST`.
    """

    def points(landmarks: Any) -> np.ndarray:
        return np.array([(point.x, point.y, point.z) for point in landmarks])

    found = zip(result.handedness, result.hand_landmarks, result.hand_world_landmarks, strict=True)
    return _hands(
        (
            (categories[0].category_name, categories[0].score, points(landmarks), points(worldLandmarks))
            for categories, landmarks, worldLandmarks in found
        ),
        imageSize,
    )


def _handsOfC(result: Any, imageSize: tuple[int, int]) -> list[Hand]:
    """The same for the ``HandLandmarkerResultC`` that MediaPipe makes its ``HandLandmarkerResult`` of."""

    def points(landmarks: Any) -> np.ndarray:
        record, count = landmarks.landmarks._type_, landmarks.landmarks_count
        size = ctypes.sizeof(record)
        content = ctypes.string_at(landmarks.landmarks, size * count)
        return np.ndarray((count, 3), np.float32, content, record.x.offset, (size, record.y.offset - record.x.offset))

    def found(i: int) -> tuple[str, float, np.ndarray, np.ndarray]:
        category = result.handedness[i].categories[0]
        landmarks, worldLandmarks = points(result.hand_landmarks[i]), points(result.hand_world_landmarks[i])
        return category.category_name.decode(), category.score, landmarks, worldLandmarks

    return _hands(map(found, range(result.handedness_count)), imageSize)


def _hands(found: Iterable[tuple[str, float, np.ndarray, np.ndarray]], imageSize: tuple[int, int]) -> list[Hand]:
    """Hands of (handedness, score, (21, 3) landmarks over the image's size, (21, 3) world landmarks in m)."""
    units = _units(imageSize)
    hands = []
    for handedness, score, *landmarks in found:
        points = np.array(landmarks)
        if not np.abs(points).max() <= FARTHEST:  # nor if there is a NaN
            continue
        inImage, worldMm = points * units
        hands.append(Hand(handedness, float(score), inImage[:, :2], worldMm, inImage[:, 2]))
    return sorted(hands, key=lambda hand: hand.score, reverse=True)


@functools.lru_cache
def _units(imageSize: tuple[int, int]) -> np.ndarray:
    """What makes px of landmarks over the image's size, and mm of world landmarks: (2, 1, 3)."""
    width, height = imageSize
    return np.array([[[width, height, width]], [[1000.0, 1000.0, 1000.0]]])
