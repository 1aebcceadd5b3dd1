"""Cameras for tests, which OpenCV's real V4L2 backend reads and which the system's listing shows. Linux only.

A library in front of libc (``fakecamera.c``) plays the devices to the process that it is loaded into::

    with FakeCameras([Device("HD Webcam", clip="hand.mp4"), Device("HD Webcam")]) as cameras:
        subprocess.Popen([...], env=cameras.environment())
        cameras.set(0, "silent")
        cameras.unplug(1)
        cameras.plug(1, number=4)

A process can only be given them when it starts. ``run.py tests`` starts itself so (:func:`restartLoaded`), and what the
tests set up is then seen in their own process as well, but not by the processes that they start.
"""

import atexit
import contextlib
import ctypes
import fcntl
import hashlib
import mmap
import os
import platform
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_suffix(".c")

# What fakecamera.c has as struct State, Device and Mode.
MAGIC, DEVICE_SIZE, MAX_DEVICES, MAX_MODES = 0x46434C48, 4096, 16, 15
STATE_SIZE = DEVICE_SIZE * (1 + MAX_DEVICES)
NUMBERS = ("number", "metadataNumber", "plugged", "situation", "amount", "openingMs", "modeCount", "delivered", "lost")
NAMES_AT, MODES_AT, MODE = 64, 128, struct.Struct("=6I232s")

SITUATIONS = (
    "works",
    "busy",  # another program has it
    "denied",  # the user may not open it
    "silent",  # no frame comes
    "failing",  # every transfer fails, at once
    "waking",  # the same for some seconds after the stream was started
    "corrupt",  # frames are cut short and marked as erroneous
    "lossy",  # a share of the frames does not arrive
    "noStart",  # the stream cannot be started
    "noBandwidth",  # the same because other devices use up the USB bus
    "hanging",  # waiting for a frame does not come back
)


class Unavailable(Exception):
    """Why there can be no such cameras here, in one sentence."""


@dataclass(frozen=True)
class Mode:
    """What a camera can be asked for.

    :ivar fourcc: ``YUYV`` or ``MJPG``.
    :ivar rate: frames per second.
    """

    fourcc: str
    width: int
    height: int
    rate: float


WEBCAM_MODES = (Mode("YUYV", 640, 480, 30), Mode("MJPG", 1280, 720, 30), Mode("YUYV", 1280, 720, 10))


@dataclass(frozen=True)
class Device:
    """A camera.

    :ivar name: at most 31 bytes of UTF-8.
    :ivar clip: what it sees, over and over: anything that OpenCV reads, or (n, height, width, 3) uint8 BGR at 30 frames
        per second, or None for a grey image that becomes brighter.
    :ivar modes: the first is the default.
    :ivar vendor: of the USB device, and so is ``product``.
    :ivar serial: of the USB device, or None, as cheap cameras have it.
    :ivar number: of ``/dev/videoN``, or None for the next that is free.
    :ivar hasMetadata: whether another node, the next number, gives metadata, as with Linux's uvcvideo from 4.16 on.
    :ivar seconds: how much of the clip is used; each takes 18 MB on disk for YUYV 640x480 at 30 or 1280x720 at 10.
    :ivar openingS: how long opening takes, s.
    """

    name: str = "HD Webcam"
    clip: "str | Path | np.ndarray | None" = None
    modes: Sequence[Mode] = WEBCAM_MODES
    vendor: int = 0x046D
    product: int = 0x0825
    serial: str | None = None
    number: int | None = None
    hasMetadata: bool = True
    seconds: float = 5.0
    openingS: float = 0.0


# The library


def buildLibrary() -> Path:
    """Compile the library, once for each version of its source.

    :raises Unavailable: this system cannot have it.
    """
    from run import cacheFolder

    if not sys.platform.startswith("linux") or sys.maxsize < 2**32:
        raise Unavailable("V4L2 cameras can only be played on 64-bit Linux.")
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if not compiler:
        raise Unavailable("There is no C compiler to make the cameras with (cc, gcc or clang).")
    digest = hashlib.sha256(SOURCE.read_bytes() + platform.machine().encode() + platform.libc_ver()[1].encode())
    library = cacheFolder() / f"fakecamera-{digest.hexdigest()[:12]}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            made = Path(folder) / library.name
            options = ["-std=gnu11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden"]
            subprocess.run([compiler, *options, "-o", made, SOURCE, "-ldl", "-lpthread"], check=True)
            made.replace(library)
    return library


def loadedFolder() -> Path | None:
    """The folder that the library in this process heeds; None if it is not loaded."""
    try:
        function = ctypes.CDLL(None).livehand_fake_cameras
    except (AttributeError, OSError, TypeError):
        return None
    function.restype = ctypes.c_char_p
    folder = function()
    return Path(os.fsdecode(folder)) if folder else None


def environmentFor(folder: Path) -> dict[str, str]:
    """The variables with which a process sees the cameras that are set up in a folder."""
    others = os.environ.get("LD_PRELOAD", "")
    return {
        "LD_PRELOAD": ":".join(filter(None, [str(buildLibrary()), others])),
        "LIVEHAND_FAKE_CAMERAS": str(folder),
        "LIVEHAND_FAKE_CAMERAS_PRELOAD": others,
    }


def makeFolder() -> Path:
    """A folder in which cameras can be set up; without any so far."""
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="livehand-cameras-")))
    (folder / "state").write_bytes(struct.pack("=I", MAGIC).ljust(STATE_SIZE, b"\0"))
    (folder / "wake").touch()
    return folder


def keepFromChildren() -> bool:
    """Keep the library, if it is loaded into this process, from those that it starts; returns whether it is."""
    folder = loadedFolder()
    if folder and os.environ.pop("LIVEHAND_FAKE_CAMERAS", None):
        others = os.environ.pop("LIVEHAND_FAKE_CAMERAS_PRELOAD", "")
        del os.environ["LD_PRELOAD"]
        if others:
            os.environ["LD_PRELOAD"] = others
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder is not None


def restartLoaded() -> None:
    """Start this program anew, with the library loaded, where that can be; returns in the new one.

    The processes that it starts are not given the library.
    """
    if keepFromChildren() or "LIVEHAND_FAKE_CAMERAS" in os.environ:  # it was tried
        return
    try:
        environment = {**os.environ, **environmentFor(makeFolder())}
    except (Unavailable, OSError, subprocess.CalledProcessError):
        return  # the tests of it say why
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def processes(number: int) -> list[str]:
    """The options with which pytest-xdist starts processes, each with cameras of its own where that can be."""
    options = []
    for _process in range(number):
        option = "--tx=popen"
        with contextlib.suppress(Unavailable, OSError, subprocess.CalledProcessError):  # the tests of it say why
            variables = [f"{name}={value}" for name, value in environmentFor(makeFolder()).items()]
            option += f"//python={shlex.join(['env', *variables, sys.executable])}"
        options.append(option)
    return options


# What the cameras see


def fitted(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """An image in another size, with nothing cut off and its shape kept: black beside or above and below it."""
    import cv2

    scale = min(width / image.shape[1], height / image.shape[0])
    size = min(width, round(image.shape[1] * scale)), min(height, round(image.shape[0] * scale))
    result = np.zeros((height, width, 3), np.uint8)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    result[y : y + size[1], x : x + size[0]] = cv2.resize(image, size, interpolation=interpolation)
    return result


def clipIndex(frame: int, rate: float, clipRate: float) -> int:
    """Which frame of a clip a camera shows as its frame with this number, both counted from 0."""
    return int(frame * Fraction(clipRate) / Fraction(rate))


def readClip(clip: str | Path | np.ndarray | None) -> tuple[float, Iterable[np.ndarray]]:
    """A clip's rate, frames per second, and its frames, BGR.

    :raises ValueError: OpenCV cannot read it.
    """
    import cv2

    if clip is None:
        return 30.0, (np.full((48, 64, 3), 40 + 4 * level, np.uint8) for level in range(30))
    if isinstance(clip, np.ndarray):
        return 30.0, clip
    if cv2.haveImageReader(str(clip)):
        return 30.0, [cv2.imread(str(clip))]
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise ValueError(f"{clip} cannot be read.")
    rate = capture.get(cv2.CAP_PROP_FPS)

    def frames() -> Iterator[np.ndarray]:
        while (item := capture.read())[0]:
            yield item[1]

    return rate if 1 <= rate <= 1000 else 30.0, frames()


def encoded(image: np.ndarray, mode: Mode) -> bytes:
    """An image as the camera sends it."""
    import cv2

    image = fitted(image, mode.width, mode.height)
    if mode.fourcc == "YUYV":
        return cv2.cvtColor(image, cv2.COLOR_BGR2YUV_YUYV).tobytes()
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    quality += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422]
    return cv2.imencode(".jpg", image, quality)[1].tobytes()


class _FrameFile:
    """The frames of a clip in one mode, as the library maps them: they, then their offsets and that of the end."""

    def __init__(self, path: Path, mode: Mode) -> None:
        self.path, self.mode, self.offsets = path, mode, [0]
        self._file = open(path.with_suffix(".part"), "wb")  # noqa: SIM115

    def add(self, image: np.ndarray) -> None:
        self._file.write(encoded(image, self.mode))
        self.offsets.append(self._file.tell())

    def close(self) -> None:
        self._file.write(b"\0" * (-self.offsets[-1] % 8) + struct.pack(f"={len(self.offsets)}Q", *self.offsets))
        self._file.close()
        os.replace(self._file.name, self.path)


def _encodeClip(device: Device, folder: Path) -> dict[Mode, Path]:
    """Puts the frames of a device into files of a folder, where they are not there yet; returns each mode's file."""
    kept = {}
    files: list[_FrameFile] = []
    if isinstance(device.clip, np.ndarray):
        identity: object = hashlib.sha256(device.clip.tobytes()).hexdigest()
    elif device.clip is None:
        identity = None
    else:
        identity = (os.path.realpath(device.clip), os.stat(device.clip).st_mtime_ns)
    for mode in dict.fromkeys(device.modes):
        name = hashlib.sha256(repr((identity, mode, device.seconds)).encode()).hexdigest()[:16]
        path = folder / name
        if path.exists():
            path.touch()
            kept[mode] = path
        else:
            files.append(_FrameFile(path, mode))
    if files:
        rate, frames = readClip(device.clip)
        for index, image in enumerate(frames):
            if index >= device.seconds * rate:
                break
            for file in files:
                while clipIndex(len(file.offsets) - 1, file.mode.rate, rate) == index:
                    file.add(image)
        for file in files:
            if len(file.offsets) == 1:
                raise ValueError(f"{device.clip} has no frames.")
            file.close()
            kept[file.mode] = file.path
    return kept


def _keepNewest(folder: Path, allowed: int = 500_000_000) -> None:
    """Delete the files of a folder that were used longest ago, above so many bytes."""
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        allowed -= path.stat().st_size
        if allowed < 0:
            path.unlink()


# The cameras


class FakeCameras:
    """Cameras that exist from when this is entered until it is left.

    They are seen by the processes that are started with :meth:`environment`, and by this one if the library is loaded
    into it. Cameras that the computer really has are hidden from them. What is set here is at once so for all of them.

    :param devices: all are plugged in at first.
    :raises Unavailable: this system cannot have them.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        self.devices = list(devices)
        assert len(self.devices) <= MAX_DEVICES
        assert all(1 <= len(device.modes) <= MAX_MODES for device in self.devices)
        self._library = buildLibrary()
        self._isOurs = loadedFolder() is None
        self.folder = loadedFolder() or makeFolder()
        self._root = self.folder / "root"
        self._ports = list(range(1, len(self.devices) + 1))

    def __enter__(self) -> "FakeCameras":
        with open(self.folder / "state", "r+b") as file:
            self._state = mmap.mmap(file.fileno(), STATE_SIZE)
        try:
            assert not self._isActive(), "there are cameras already"
            for folder in ("dev", "sys/class/video4linux", "sys/dev/char"):
                (self._root / folder).mkdir(parents=True)
            (self.folder / "frames").mkdir(exist_ok=True)
            for index, device in enumerate(self.devices):
                self._describe(index, device)
            struct.pack_into("=II", self._state, 4, 1, len(self.devices))
            for index in range(len(self.devices)):
                self.plug(index)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error) -> None:
        struct.pack_into("=II", self._state, 4, 0, 0)
        self._wake()
        self._state.close()
        shutil.rmtree(self._root)
        for lock in self.folder.glob("lock*"):
            lock.unlink()
        if self._isOurs:
            shutil.rmtree(self.folder)
        else:
            _keepNewest(self.folder / "frames")

    def environment(self) -> dict[str, str]:
        """The variables for a process that sees the cameras, those of this process included."""
        return {**os.environ, **environmentFor(self.folder)}

    def set(self, index: int, situation: str, amount: float = 0.0) -> None:
        """Let something happen to a camera.

        :param situation: one of SITUATIONS.
        :param amount: of ``waking``: s; of ``lossy``: the share, from 0 to 1.
        """
        self._put(index, "amount", round(1000 * amount))
        self._put(index, "situation", SITUATIONS.index(situation))
        self._wake()

    def unplug(self, index: int) -> None:
        """Pull the plug; does nothing if it is out."""
        number, metadata = self.number(index), self._get(index, "metadataNumber")
        if number is None:
            return
        self._put(index, "number", -1)
        self._put(index, "metadataNumber", -1)
        self._wake()
        for node in (number, metadata):
            for link in (f"dev/video{node}", f"sys/class/video4linux/video{node}", f"sys/dev/char/81:{node}"):
                (self._root / link).unlink(missing_ok=True)
        for link in (self._root / "dev/v4l").glob("*/*"):
            if not link.exists():
                link.unlink()
        shutil.rmtree(self._usbFolder(index))

    def plug(self, index: int, number: int | None = None, port: int | None = None) -> None:
        """Plug a camera in.

        :param number: which ``/dev/videoN`` it becomes, instead of the device's own number or the next free one.
        :param port: into which one of the hub, from 1 on; into the same as before if None.
        """
        assert self.number(index) is None, "is plugged in"
        device = self.devices[index]
        if port is not None:
            self._ports[index] = port
        used = {self._get(other, name) for other in range(len(self.devices)) for name in NUMBERS[:2]}
        count = 1 + device.hasMetadata
        if number is None:
            number = device.number
        if number is None:
            number = next(n for n in range(64) if not used & set(range(n, n + count)))
        nodes = range(number, number + count)
        assert not used & set(nodes), "the number is another camera's"
        self._plugFiles(index, nodes)
        self._put(index, "plugged", self._get(index, "plugged") + 1)
        self._put(index, "metadataNumber", nodes[1] if device.hasMetadata else -1)
        self._put(index, "number", number)
        self._wake()

    def number(self, index: int) -> int | None:
        """N of a camera's ``/dev/videoN``; None when it is unplugged."""
        number = self._get(index, "number")
        return None if number < 0 else number

    def isInUse(self, index: int) -> bool:
        """Whether a program has the camera for itself, from asking it for a format until it gives it back."""
        with open(self.folder / f"lock{index}-{self._get(index, 'plugged')}", "a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def delivered(self, index: int) -> int:
        """How many frames the camera has given to programs so far."""
        return self._get(index, "delivered")

    def lost(self, index: int) -> int:
        """How many frames came when no buffer was there for them, or were lost on the way."""
        return self._get(index, "lost")

    # The file that the library reads

    def _isActive(self) -> bool:
        return struct.unpack_from("=I", self._state, 4)[0] != 0

    def _get(self, index: int, name: str) -> int:
        return struct.unpack_from("=i", self._state, DEVICE_SIZE * (1 + index) + 4 * NUMBERS.index(name))[0]

    def _put(self, index: int, name: str, value: int) -> None:
        struct.pack_into("=i", self._state, DEVICE_SIZE * (1 + index) + 4 * NUMBERS.index(name), value)

    def _wake(self) -> None:
        (self.folder / "wake").write_bytes(b"\n")

    def _describe(self, index: int, device: Device) -> None:
        place = DEVICE_SIZE * (1 + index)
        plugged = self._get(index, "plugged")
        self._state[place : place + DEVICE_SIZE] = bytes(DEVICE_SIZE)
        numbers = [-1, -1, plugged, 0, 0, round(1000 * device.openingS), len(device.modes), 0, 0]
        struct.pack_into("=9i3i", self._state, place, *numbers, 128, 32, 1)
        struct.pack_into("=32s32s", self._state, place + NAMES_AT, device.name.encode()[:31], self._bus(index).encode())
        files = _encodeClip(device, self.folder / "frames")
        for number, mode in enumerate(device.modes):
            path = files[mode]
            period = 1 / Fraction(mode.rate).limit_denominator(1001)
            assert len(os.fsencode(path)) < 232
            fourcc = int.from_bytes(mode.fourcc.encode(), "little")
            size = 2 * mode.width * mode.height
            fields = (fourcc, mode.width, mode.height, period.numerator, period.denominator, size)
            MODE.pack_into(self._state, place + MODES_AT + MODE.size * number, *fields, os.fsencode(path))

    # What stands for the files in /dev and /sys

    def _bus(self, index: int) -> str:
        return f"usb-fakecamera-{self._ports[index]}"

    def _usbFolder(self, index: int) -> Path:
        return self._root / f"sys/devices/platform/fakecamera/usb9/9-{self._ports[index]}"

    def _plugFiles(self, index: int, nodes: Sequence[int]) -> None:
        device, usb = self.devices[index], self._usbFolder(index)
        assert not usb.exists(), "another camera is in this port"
        interface = usb / f"{usb.name}:1.0"
        interface.mkdir(parents=True)
        texts = {
            "idVendor": f"{device.vendor:04x}",
            "idProduct": f"{device.product:04x}",
            "product": device.name,
            "busnum": "9",
            "devnum": str(self._get(index, "plugged") + 2),
            "uevent": f"DEVTYPE=usb_device\nDRIVER=usb\nPRODUCT={device.vendor:x}/{device.product:x}/100",
        }
        if device.serial:
            texts["serial"] = device.serial
        for name, text in texts.items():
            (usb / name).write_text(text + "\n")
        (interface / "uevent").write_text(f"DEVTYPE=usb_interface\nDRIVER=uvcvideo\n{texts['uevent'].split()[-1]}\n")
        label = "".join(letter if letter.isalnum() else "_" for letter in device.name)
        serial = f"_{device.serial}" if device.serial else ""
        for position, number in enumerate(nodes):
            node = interface / "video4linux" / f"video{number}"
            node.mkdir(parents=True)
            (node / "name").write_text(device.name + "\n")
            (node / "index").write_text(f"{position}\n")
            (node / "dev").write_text(f"81:{number}\n")
            (node / "uevent").write_text(f"MAJOR=81\nMINOR={number}\nDEVNAME=video{number}\n")
            (node / "device").symlink_to(f"../../../{interface.name}")
            (node / "subsystem").symlink_to(Path("../" * 8) / "class/video4linux")
            self._link(self._root / "sys/class/video4linux" / node.name, node)
            self._link(self._root / f"sys/dev/char/81:{number}", node)
            (self._root / "dev" / node.name).touch()
            byId = f"usb-{device.vendor:04x}_{label}{serial}-video-index{position}"
            byPath = f"platform-fakecamera-usb-0:{self._ports[index]}:1.0-video-index{position}"
            for link in (f"by-id/{byId}", f"by-path/{byPath}"):
                self._link(self._root / "dev/v4l" / link, self._root / "dev" / node.name)

    @staticmethod
    def _link(link: Path, target: Path) -> None:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)  # of two cameras alike, udev's links lead to the newer one
        link.symlink_to(os.path.relpath(target, link.parent))
