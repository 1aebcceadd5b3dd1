"""Which camera is which, and which backend, mode and permission it needs: decisions over what a system answers.

Knows nothing of Qt or MRML, and asks nothing itself: what the systems answer comes from ``devicequery.py``, so that the
decisions for Windows and macOS can be tested anywhere.
"""

import errno
import re
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..calibration.intrinsics import SIDES_PX
from ..errors import LiveHandError

V4L2, DSHOW, AVFOUNDATION, MSMF, GSTREAMER = 200, 700, 1200, 1400, 1800
"""OpenCV's backends for cameras (``cv::VideoCaptureAPIs``). A camera's index is its number plus that of its backend:
with a bare number, OpenCV tries one backend after the other, and FFmpeg's counts the devices in an order of its own, so
that where the first one refuses, another camera is opened."""

_BACKENDS = {"linux": (V4L2, GSTREAMER), "win32": (MSMF, DSHOW), "darwin": (AVFOUNDATION,)}

USUAL_SIZES = ((640, 480), (1280, 720), (1920, 1080))
"""Widths and heights of frames, px, that nearly every webcam has; offered where a camera cannot be asked."""

DEFAULT_SIZE = (1280, 720)
RATE = 30.0
"""Frames per second that a camera is asked for."""

_RATE_ENOUGH = 0.8 * RATE  # 25 frames per second, where the mains have 50 Hz, are as good


@dataclass(frozen=True)
class Mode:
    """A way in which a camera sends frames.

    :ivar fourcc: four characters that name the pixel format, for example ``"YUYV"`` or ``"MJPG"``.
    :ivar width: of its frames, px.
    :ivar height: of its frames, px.
    :ivar rate: the most frames per second it has.
    """

    fourcc: str
    width: int
    height: int
    rate: float


@dataclass(frozen=True)
class Device:
    """A camera as one backend lists it.

    :ivar index: its number, without the backend.
    :ivar name: what its maker calls it; cameras of one make have the same.
    :ivar place: where it is connected, in the system's words; the same after a restart. May be empty.
    :ivar vendor: the maker's number at the USB consortium, or None.
    :ivar product: the model's number at its maker, or None.
    :ivar serial: its serial number, as far as it has one of its own; may be empty.
    :ivar modes: those that it offers; empty if it cannot be asked.
    """

    index: int
    name: str
    place: str = ""
    vendor: int | None = None
    product: int | None = None
    serial: str = ""
    modes: tuple[Mode, ...] = ()


@dataclass(frozen=True)
class Camera:
    """A camera of this computer, or one that was chosen earlier and may not be connected.

    :ivar index: what ``cv2.VideoCapture`` wants, the backend included. It changes when cameras are plugged in
        differently; -1 if it is not known.
    :ivar name: for people, and different for each camera in a list.
    :ivar id: what distinguishes it from others of its name, whatever its index is; empty if the system reports nothing.
    :ivar modes: those that it offers; empty if it cannot be asked.
    """

    index: int
    name: str
    id: str = ""
    modes: tuple[Mode, ...] = ()


# Which camera


def backends(platform: str, hasBackend: Callable[[int], bool]) -> tuple[int, ...]:
    """The backends through which cameras can be opened, the best first.

    :param platform: ``sys.platform``.
    :param hasBackend: ``cv2.videoio_registry.hasBackend``. It has to be asked: ``getCameraBackends()`` also has those
        that are not there, such as GStreamer in the packages from PyPI.
    """
    return tuple(backend for backend in _BACKENDS.get(platform, ()) if hasBackend(backend))


def numbered(number: int, available: tuple[int, ...]) -> int:
    """The index of a camera of which only the number is given.

    :param number: 0, 1, ..., or an index with the backend in it, which is left as it is.
    :param available: see :func:`backends`.
    """
    return number + available[0] if 0 <= number < 100 and available else number


def listed(devices: dict[int, list[Device]]) -> tuple[Camera, ...]:
    """The cameras of all backends, each once: by the first backend that lists it.

    On Windows virtual cameras and phones are known to DirectShow only; on Linux every backend has the same cameras.

    :param devices: by backend, the best first; a backend that could not be asked may have none.
    """
    found: list[tuple[int, Device]] = []
    for backend, ofBackend in devices.items():
        known = {_key(device) for _backend, device in found}
        # A device may have several cameras in one place, but OpenCV takes the hundreds of an index for the backend.
        ofBackend = [device for device in ofBackend if _key(device) not in known and device.index < 100]
        found += [(backend, device) for device in sorted(ofBackend, key=lambda device: device.index)]
    names = [device.name or f"#{device.index}" for _backend, device in found]
    identities = [_identity(device) for _backend, device in found]
    cameras = []
    for number, (backend, device) in enumerate(found):
        name, identity = names[number], identities[number]
        alike = [other for (_backend, other), otherName in zip(found, names, strict=True) if otherName == name]
        label = name if len(alike) == 1 else f"{name} ({_distinction(device, alike)})"
        before = identities[:number].count(identity)  # in the same place, of the same kind
        identity += f"+{before}" if identity and before else ""
        cameras.append(Camera(backend + device.index, label, identity, device.modes))
    return tuple(cameras)


def _key(device: Device) -> str:
    return devicePath(device.place) or f"\0{device.name}"


def devicePath(place: str) -> str:
    """A place as all backends write it: Windows appends the kind of interface that each backend asks for."""
    return re.sub(r"#\{[^#]*$", "", place).lower() if place.startswith("\\\\?\\") else place


def _identity(device: Device) -> str:
    """Its model, its serial number and its place, as far as they are known, without colons."""
    model = f"{device.vendor:04x}-{device.product:04x}" if device.vendor and device.product else ""
    parts = (model, device.serial, devicePath(device.place))
    return "@".join(urllib.parse.quote(part, safe=" .-") for part in parts) if any(parts) else ""


def _distinction(device: Device, alike: list[Device]) -> str:
    """What distinguishes a camera from others of its name, as short as it can be for people."""
    if device.serial and [other.serial for other in alike].count(device.serial) == 1:
        return device.serial
    steps = [re.split(r"[\\/#]", devicePath(other.place)) for other in alike]
    own = re.split(r"[\\/#]", devicePath(device.place))
    differing = [step for step in own if step and not all(step in other for other in steps)]
    # The last step in which they differ is the nearest to the camera: the USB port.
    return differing[-1] if differing and len({tuple(step) for step in steps}) == len(alike) else f"#{device.index}"


def find(sought: Camera, cameras: Iterable[Camera]) -> Camera:
    """The camera that was chosen earlier among those that are connected now, whatever its index is now.

    The same identity is the same camera. Otherwise a camera without a serial number of its own may be plugged in
    elsewhere: the only one of its name and model is taken for it, unless there were several when it was chosen, which
    its name says (see :func:`listed`).

    :raises LiveHandError: ``cameraAbsent`` or ``cameraAmbiguous``; never another camera in its place.
    """
    cameras = tuple(cameras)
    same = [camera for camera in cameras if sought.id and camera.id == sought.id]
    if len(same) != 1:
        # Model and serial number, wherever it is plugged in.
        same = [camera for camera in cameras if _serial(camera) and _serial(camera) == _serial(sought)]
    if len(same) != 1:
        same = [camera for camera in cameras if camera.name == sought.name and _mayBe(sought, camera)]
    if len(same) == 1:
        return same[0]
    # Chosen when it was the only one of its name, it may be any of those now.
    if [camera for camera in cameras if camera.name.startswith(f"{sought.name} (") and _mayBe(sought, camera)]:
        raise LiveHandError("cameraAmbiguous", name=sought.name)
    raise LiveHandError("cameraAbsent", name=sought.name)


def _serial(camera: Camera) -> tuple[str, ...]:
    """Its model and serial number, if it has one."""
    model, serial, _place = camera.id.split("@") if camera.id else ("", "", "")
    return (model, serial) if serial else ()


def _mayBe(sought: Camera, camera: Camera) -> bool:
    if not (sought.id and camera.id):
        return True  # of a scene of an earlier version, or a system that reports nothing
    (model, serial, _place), (otherModel, otherSerial, _otherPlace) = sought.id.split("@"), camera.id.split("@")
    return model == otherModel and serial == otherSerial


def calibrationNames(camera: Camera) -> tuple[str, ...]:
    """The names under which a camera's calibrations are kept, the one to be used for a new one first.

    :returns: its name with its model and its serial number, or else its place; and the name in the list alone, as
        earlier versions kept them.
    """
    if camera.id.count("@") != 2:
        return (camera.name,)
    model, serial, place = map(urllib.parse.unquote, camera.id.split("@"))
    base = re.sub(r" \([^()]*\)$", "", camera.name)
    return (" ".join(filter(None, (base, model, serial or place))), camera.name)


def sourceOf(source: Camera | int | str | Path) -> str:
    """How a source is written in the parameter node.

    :param source: a camera, its index, or the path of a file, which is written as it is.
    """
    if isinstance(source, int):
        source = Camera(source, f"#{source}")
    return f"camera:{source.id or source.index}:{source.name}" if isinstance(source, Camera) else str(source)


def cameraOf(source: str) -> Camera | None:
    """The camera that a parameter node's source names, without its modes; None if it names a file.

    :param source: ``camera:<id>:<name>``, or ``camera:<index>:<name>`` where no identity is known, as in scenes of
        earlier versions.
    """
    kind, _colon, rest = source.partition(":")
    identity, colon, name = rest.partition(":")
    if kind != "camera" or not colon:
        return None
    if identity.isdigit():
        return Camera(int(identity), name)
    return Camera(-1, name, identity) if identity.count("@") == 2 else None


def sameDevice(one: Camera | str, other: Camera | str) -> bool:
    """Whether two sources are the same device, as far as can be told from how they were chosen; two files never are."""
    if not (isinstance(one, Camera) and isinstance(other, Camera)):
        return False
    return one.id == other.id if one.id and other.id else (one.index, one.name) == (other.index, other.name)


def isNumber(camera: Camera) -> bool:
    """Whether a camera was chosen by its number alone, whichever camera that is."""
    return camera.index >= 0 and not camera.id and camera.name == f"#{camera.index}"


# Which mode


def sizeOf(resolution: str) -> tuple[int, int] | None:
    """Width and height, px, that a text such as ``"1280x720"`` says; None if it says no size of a frame."""
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", resolution)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    return size if size[0] in SIDES_PX and size[1] in SIDES_PX else None


def resolutionOf(size: tuple[int, int] | None) -> str:
    """How a size is written in the parameter node; the empty string for the size that the camera has."""
    return f"{size[0]}x{size[1]}" if size else ""


def sizesOf(modes: Iterable[Mode]) -> tuple[tuple[int, int], ...]:
    """The sizes of frames to offer for a camera, width and height in px, the smallest first.

    :param modes: those of the camera; :data:`USUAL_SIZES` are offered if there are none.
    """
    return tuple(sorted({(mode.width, mode.height) for mode in modes})) or USUAL_SIZES


def fourccFor(camera: Camera, size: tuple[int, int]) -> str:
    """The pixel format in which a camera has about :data:`RATE` frames per second of a size.

    :param camera: with its modes, in the order in which it lists them.
    :param size: width and height, px.
    :returns: the first that has, or else the fastest; empty where nothing has to be asked for. DirectShow does not say
        which it has, and takes an uncompressed one where it can; USB 2 carries 30 of these per second up to 640 x 480.
    """
    if not camera.modes:
        isLarge = size[0] * size[1] > 640 * 480
        return "MJPG" if isLarge and DSHOW <= camera.index < DSHOW + 100 else ""
    ofSize = [mode for mode in camera.modes if (mode.width, mode.height) == tuple(size) and mode.fourcc in _FORMATS]
    enough = (mode for mode in ofSize if mode.rate >= _RATE_ENOUGH)
    fastest = max(ofSize, key=lambda mode: mode.rate, default=Mode("", *size, 0.0))
    return next(enough, fastest).fourcc


_FORMATS = ("YUYV", "UYVY", "NV12", "YU12", "MJPG", "BGR3", "RGB3")  # what OpenCV's backends convert to BGR


def isSlow(rate: float) -> bool:
    """Whether a mode's frames per second are fewer than hands need; a rate that is not known is 0 and not slow."""
    return 0.0 < rate < _RATE_ENOUGH


# Which permission

_NOT_DETERMINED, _RESTRICTED, _DENIED, _AUTHORIZED = range(4)  # Apple's AVAuthorizationStatus


def macPermission(status: int, hasUsageDescription: bool) -> bool:
    """Whether the camera may be opened on macOS, or has to be asked for first.

    macOS ends a process at once that asks for the camera, without a chance to save anything, if the application that is
    responsible for it does not say in its Info.plist, under ``NSCameraUsageDescription``, what for (Apple, *Requesting
    authorization to capture and save media*; opencv issues 12763 and 14258 show the crash). Responsible is the program
    that the user started: Slicer when it was started from the Finder or the Dock, and the terminal when it was started
    there. Slicer's template of that file has no such key, up to Slicer 5.13; terminals have it.

    :param status: what ``AVCaptureDevice.authorizationStatusForMediaType`` returns.
    :param hasUsageDescription: whether the responsible application has that key.
    :returns: True to open it, False to ask for it.
    :raises LiveHandError: ``cameraDenied``, ``cameraRestricted`` or ``cameraNotDescribed``.
    """
    if status == _AUTHORIZED:
        return True
    if status == _DENIED:
        raise LiveHandError("cameraDenied")
    if status == _RESTRICTED:
        raise LiveHandError("cameraRestricted")
    if not hasUsageDescription:
        raise LiveHandError("cameraNotDescribed")
    return False


def applicationBundle(executable: str) -> str:
    """The folder of the application bundle that a program on macOS belongs to; empty if to none.

    :param executable: the program's path, for example ``/Applications/Slicer.app/Contents/MacOS/Slicer``. The outermost
        bundle is meant: what an application has inside of it belongs to it.
    """
    match = re.match(r"(.*?\.app)(?:/|$)", executable)
    return match[1] if match else ""


def windowsRefusal(consents: Iterable[str | None], users: Iterable[tuple[str, int]], ownProgram: str) -> LiveHandError:
    """Why a camera cannot be opened on Windows.

    :param consents: ``Value`` of the keys ``CapabilityAccessManager\\ConsentStore\\webcam`` and, below it,
        ``NonPackaged`` in the registry, of the computer and of the user; None where there is none. They are what
        *Settings > Privacy & security > Camera* writes.
    :param users: for each program of which the same keys keep track, its path, with ``#`` for ``\\``, and its
        ``LastUsedTimeStop``, which is 0 while it uses a camera.
    :param ownProgram: the path of this one.
    """
    if "Deny" in consents:
        return LiveHandError("cameraDeniedByWindows")
    programs = (program.replace("#", "\\") for program, lastUsedTimeStop in users if lastUsedTimeStop == 0)
    others = [program for program in programs if program.lower() != ownProgram.lower()]
    if others:
        return LiveHandError("cameraBusyWith", program=others[0].split("\\")[-1])
    return LiveHandError("cameraNotFound")


def linuxRefusal(number: int | None, device: str, user: str) -> LiveHandError:
    """Why a camera cannot be opened on Linux.

    :param number: ``errno`` of opening its device file and setting its format; None if that works.
    :param device: for example ``/dev/video0``.
    :param user: who runs Slicer.
    """
    if number in (errno.EACCES, errno.EPERM):
        return LiveHandError("cameraNotPermitted", device=device, user=user)
    if number == errno.EBUSY:
        return LiveHandError("cameraBusy")
    return LiveHandError("cameraNotFound")
