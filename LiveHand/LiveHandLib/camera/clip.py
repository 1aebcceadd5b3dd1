"""Reads the frames of video and image files, with their times. Knows OpenCV and numpy, nothing of Qt or threads.

What OpenCV does not report of a file, or reports wrongly, is read by :mod:`container`.
"""

import math
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LiveHandError
from . import container

USUAL_RATE = 30.0
"""Frames a second of a file that has neither times nor a rate."""

RATES = (0.01, 240.0)
"""Rates that are believed, frames a second. What is above is as a rule the unit of a container's times."""

LONGEST_GAP_S = 3600.0
"""A longer time from one frame to the next is a jump of the clock, as ffplay has it (``max_frame_duration``)."""

LARGEST_TIME_S = 1e9
"""Times beyond are no times: OpenCV computes them from "no time" (-2^63) where FFmpeg has no first one to subtract."""

SQUARE = 0.005
"""How much pixels may be off being square: below what a camera's focal length is known to. A smaller ratio is an
encoder's rounding, and not worth the resizing of every frame."""

LARGEST_ASPECT = 4.0
"""Pixels are no longer than this times their width, or the other way round; half of a DVD's lines, widescreen, has 2.9.
A file that says more is damaged."""

TRIES = 300
"""So many frames in a row that cannot be decoded are passed over, if the file should have as many."""

TRIES_BEYOND = 10
"""The same where the number of frames is not known, or they should be over."""

SHORTEST_DURATION_S, USUAL_DURATION_S = 0.011, 0.1
"""Frames of animated images that last shorter are shown for the usual duration, as all browsers do."""

CHUNK_BYTES = 128 << 20
"""How much memory the frames of an animated image may take that are decoded at once."""


class Clock:
    """The times of a file's frames, made of what the container says of each.

    They never go back: where the container has no time, or one that jumps, the frame comes the usual interval after the
    one before it.

    :param rate: the file's rate, frames a second; of use until there are times.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate if RATES[0] <= rate <= RATES[1] else USUAL_RATE
        self._timeS = -1.0
        self._frames = 0  # from the first one to the last
        self._offsetsS = [0.0, 0.0]  # from the container's times to these, at first and since its clock was set last
        self._lastS = math.nan  # what the container said last
        self._isRepeated = False

    @property
    def intervalS(self) -> float:
        """The average time from one frame to the next, s."""
        return self._timeS / self._frames if self._timeS > 0.0 else 1.0 / self._rate

    def next(self, containerS: float, frames: int) -> float:
        """The time of the next frame.

        :param containerS: what the container says, s.
        :param frames: how many frames further it is than the one before; more than 1 where some could not be decoded.
        :returns: the time since the first frame, s.
        """
        isTime = abs(containerS) < LARGEST_TIME_S  # what is not finite is not
        if self._timeS < 0.0:
            # For a first frame of time 0 OpenCV reports the time of decoding, which may be earlier.
            startS = max(containerS, 0.0) if isTime else 0.0
            self._frames = frames - 1
            self._timeS = startS if frames > 1 and isTime else (frames - 1) / self._rate
            self._offsetsS = [self._timeS - startS] * 2
        else:
            expectedS = self._timeS + frames * self.intervalS
            self._timeS = self._believable(containerS, expectedS) if isTime else expectedS
            self._frames += frames
        self._lastS = containerS
        return self._timeS

    def _believable(self, containerS: float, expectedS: float) -> float:
        # A unit of a millisecond has room for two frames of one time, but a clock that stands still, or at 0, is none.
        wasRepeated, self._isRepeated = self._isRepeated, containerS == self._lastS
        if not (self._isRepeated and (wasRepeated or containerS == 0.0)):
            timeS = min((containerS + offsetS for offsetS in self._offsetsS), key=lambda timeS: abs(timeS - expectedS))
            if -self.intervalS < timeS - self._timeS < LONGEST_GAP_S:
                return max(timeS, self._timeS)
        self._offsetsS[1] = expectedS - containerS  # of use if the clock has been set back for good
        return expectedS


class Clip:
    """A file's frames, one after the other.

    :ivar number: how many frames the file had before the last one, those included that could not be decoded; -1 before
        the first.
    :ivar timeS: time of the last frame since the first one, s.
    :ivar intervalS: the average time from one frame to the next so far, s.
    :ivar framesUnreadable: how many frames could not be decoded so far, as far as it shows. At the end those are among
        them that a file lacks which has been cut off.
    """

    def __init__(self) -> None:
        self.number = -1
        self.timeS = 0.0
        self.intervalS = 1.0 / USUAL_RATE
        self.framesUnreadable = 0

    def read(self) -> np.ndarray | None:
        """Go on to the next frame.

        :returns: its image as OpenCV has it (8 or 16 bit, grey, BGR or BGRA), upright and of square pixels; None at the
            end.
        :raises LiveHandError: ``notAVideo`` or ``codecMissing`` when the file has no frame that can be decoded.
        """
        raise NotImplementedError

    def skip(self) -> bool:
        """Go on to the next frame, as cheaply as can be, when nobody wants its image.

        :returns: whether there was one.
        :raises LiveHandError: as :meth:`read`.
        """
        return self.read() is not None

    def close(self) -> None:
        """Close the file."""


def openClip(path: str) -> Clip:
    """Open a video or image file.

    :raises LiveHandError: ``fileMissing``, ``notAVideo``, ``codecMissing``, or ``imageKindUnreadable`` for an image of
        a kind that this OpenCV cannot read as a whole.
    """
    import cv2

    if not Path(path).is_file():
        raise LiveHandError("fileMissing", path=path)
    try:
        kind = container.imageKind(path)
    except OSError:
        raise LiveHandError("notAVideo", path=path) from None
    # The durations of an animated PNG's frames are not those of whole milliseconds that OpenCV's reader makes of them,
    # but FFmpeg has had their times right only since OpenCV 5.
    isVideo = kind.isVideo or (kind.isAnimated and not kind.name and int(cv2.__version__.partition(".")[0]) >= 5)
    # A still is not for VideoCapture, which takes a digit in its name for the number of a sequence.
    if not isVideo and cv2.haveImageReader(path):
        if not kind.isAnimated:
            return ImageClip(_still(path))
        if hasattr(cv2, "imreadanimation"):  # from OpenCV 4.11 on
            return ImageClip(_animation(path))
    if kind.name:
        raise LiveHandError("imageKindUnreadable", path=path, kind=kind.name)
    return VideoClip(path)


class VideoClip(Clip):
    """The frames of a video file, by ``cv2.VideoCapture``."""

    def __init__(self, path: str) -> None:
        import cv2

        super().__init__()
        self._path = path
        self._container = container.read(path)
        self._capture = capture = cv2.VideoCapture(path)
        # Where nothing else can read a file, OpenCV searches for a sequence of images of similar names.
        self._isOver = not capture.isOpened() or capture.getBackendName() == "CV_IMAGES"
        self._rate = capture.get(cv2.CAP_PROP_FPS)
        self._clock = Clock(self._rate)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)  # not finite or absurd where the file's duration is not known
        self._count = self._container.frames or (int(count) if 0.0 < count < 1e9 else 0)
        self._isFirst = True
        self._scale = 1.0, 1.0
        self._flip: int | None = None

    def close(self) -> None:
        self._capture.release()

    def read(self) -> np.ndarray | None:
        import cv2

        image = self._next(self._capture.read)
        if image is None:
            return None
        if self._scale != (1.0, 1.0):
            height, width = image.shape[:2]
            size = round(self._scale[0] * width), round(self._scale[1] * height)
            image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        return image if self._flip is None else cv2.flip(image, self._flip)

    def skip(self) -> bool:
        return self._next(lambda: (self._capture.grab(), True)) is not None

    def _next(self, call: Callable[[], tuple[bool, Any]]) -> Any:
        import cv2

        failures = 0
        while not self._isOver:
            delivered, item = call()
            if delivered:
                break
            failures += 1
            isExpected = self.number + failures < self._count - 1
            self._isOver = failures >= (TRIES if isExpected else TRIES_BEYOND)
        else:
            self._end()
            return None
        self.framesUnreadable += failures
        self.number += 1 + failures
        # The time of the frame that was decoded last, whose image it is; it is there after grab as well as after read.
        self.timeS = self._clock.next(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0, 1 + failures)
        self.intervalS = self._clock.intervalS
        if self._isFirst:
            self._isFirst = False
            self._readGeometry()
        return item

    def _readGeometry(self) -> None:
        """Find out what makes the pixels square and the image as players show it."""
        import cv2

        capture = self._capture
        orientation = capture.get(cv2.CAP_PROP_ORIENTATION_META)  # clockwise, degrees
        isSideways = bool(capture.get(cv2.CAP_PROP_ORIENTATION_AUTO)) and orientation % 180.0 == 90.0
        width, height = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
        aspect = width / height if width > 0.0 and height > 0.0 else 1.0
        if abs(aspect - 1.0) > SQUARE and 1.0 / LARGEST_ASPECT <= aspect <= LARGEST_ASPECT:
            # The side is enlarged along which the pixels are longer, rather than the other one made smaller: nothing
            # that the camera saw is lost. The ratio is that of the image as it is stored, before OpenCV turns it.
            scale = max(aspect, 1.0), max(1.0 / aspect, 1.0)
            self._scale = scale[::-1] if isSideways else scale
        if self._container.isMirrored and capture.getBackendName() == "FFMPEG":
            # OpenCV takes the angle of the display matrix's first row (av_display_rotation_get) and turns by it. Of a
            # mirroring matrix that leaves the flip of the stored image's rows, which after the turn may be columns.
            self._flip = 1 if isSideways else 0

    def _end(self) -> None:
        """Count the frames that are missing at the end of a file that is damaged, or has none that can be read."""
        if self._isFirst:
            raise self._failure()
        known = self._container
        seen = self.number + 1
        if known.frames:
            # That some are missing, is not enough: decoders leave out those that lack the ones they refer to.
            isTooShort = self.timeS + 1.5 * self.intervalS < known.durationS
            if self.framesUnreadable or known.isCutOff or isTooShort:
                self.framesUnreadable += max(known.frames - seen, 0)
                self.number = max(self.number, known.frames - 1)
        elif self._count and RATES[0] <= self._rate <= RATES[1]:
            # From an AVI's damaged middle on FFmpeg counts the frames anew. One or two are often an encoder's delay.
            missing = self._count - 1 - round(self.timeS * self._rate)
            if missing > 0 and (known.isCutOff or (known.isAvi and missing > 2)):
                self.framesUnreadable += missing
                self.number += missing
            self._count = 0  # counted

    def _failure(self) -> LiveHandError:
        import cv2

        codec, isOpened = container.codecName(self._container.codec), self._capture.isOpened()
        if not codec and isOpened:
            # FFmpeg has an opinion of any file, text included, so that only a codec known by name is one.
            code = int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
            codec = container.codecName(code.to_bytes(4, "little").decode("latin-1"), isKnown=True)
        # H.264 is what every OpenCV decodes; others are usual if their decoder could be opened.
        isUsual = codec in container.USUAL_CODECS if isOpened else codec == "H.264"
        if not codec or isUsual:
            return LiveHandError("notAVideo", path=self._path)
        return LiveHandError("codecMissing", codec=codec)


class ImageClip(Clip):
    """The frames of an image file, animated or not.

    :param frames: the images and their durations, s.
    """

    def __init__(self, frames: Generator[tuple[np.ndarray, float], None, None]) -> None:
        super().__init__()
        self._frames = frames
        self._durationS = 0.0

    def read(self) -> np.ndarray | None:
        image, durationS = next(self._frames, (None, 0.0))
        if image is not None:
            self.number += 1
            self.timeS += self._durationS
            self.intervalS = self._durationS = durationS
        return image

    def close(self) -> None:
        self._frames.close()


def _still(path: str) -> Generator[tuple[np.ndarray, float], None, None]:
    import cv2

    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)  # as its EXIF orientation says
    except (cv2.error, OSError):  # one that is too large, for example
        image = None
    if image is None:
        raise LiveHandError("notAVideo", path=path)
    yield image, 0.0


def _animation(path: str) -> Generator[tuple[np.ndarray, float], None, None]:
    import cv2

    number, count = 0, 1  # the first one alone, for its size
    while count:
        try:
            _isRead, animation = cv2.imreadanimation(path, number, count)
        except cv2.error:
            break
        for image, durationMs in zip(animation.frames, animation.durations, strict=True):
            durationS = float(durationMs) / 1000.0
            yield image, durationS if durationS >= SHORTEST_DURATION_S else USUAL_DURATION_S
        number += len(animation.frames)
        count = len(animation.frames) and max(1, CHUNK_BYTES // animation.frames[0].nbytes)
    if not number:
        raise LiveHandError("notAVideo", path=path)
