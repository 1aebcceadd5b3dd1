"""Asks the operating system for its cameras, their modes and the permission to use them.

What follows from the answers is decided in ``devices.py``. All of this may take long, so it is called in threads and
never in the GUI thread, after :func:`detector.importPackages`.
"""

import contextlib
import ctypes
import errno
import getpass
import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import LiveHandError
from . import devices
from .devices import Camera, Device, Mode

# Cameras


def backends() -> tuple[int, ...]:
    """The backends of this OpenCV through which cameras can be opened, the best first."""
    import cv2

    return devices.backends(sys.platform, cv2.videoio_registry.hasBackend)


def listCameras() -> tuple[Camera, ...]:
    """The cameras of this computer, each once, with names that differ. None where none can be asked for."""
    from cv2_enumerate_cameras import enumerate_cameras, supported_backends

    found: dict[int, list[Device]] = {}
    for backend in backends():
        if backend in supported_backends:
            with contextlib.suppress(Exception):  # one that fails is no reason to have none of the others
                found[backend] = [
                    _device(info) for info in enumerate_cameras(backend) if not _isHidden(info.path or "")
                ]
                if sys.platform == "linux" and found[backend]:
                    break  # the next one would list the same cameras
    return devices.listed(found)


def find(camera: Camera) -> Camera:
    """The camera that was chosen, as it is connected now.

    :raises LiveHandError: see :func:`devices.find`.
    """
    if devices.isNumber(camera):
        index = devices.numbered(camera.index, backends())
        modes = _linuxModes(_linuxFile(index)) if sys.platform == "linux" else ()
        return Camera(index, camera.name, modes=modes)
    return devices.find(camera, listCameras())


NODES_FOLDER = "/dev"
"""The folder in which Linux has a file for each camera."""


def nodes() -> frozenset[str] | None:
    """The names of the cameras' files in :data:`NODES_FOLDER`; None where there is no such folder.

    Takes no longer than listing a folder does, and needs no package.
    """
    if sys.platform != "linux":
        return None
    return frozenset(name for name in os.listdir(NODES_FOLDER) if name.startswith("video"))


def _device(info: Any) -> Device:
    """From what cv2_enumerate_cameras says of a camera."""
    name, place, serial = info.name or "", info.path or "", ""
    modes: tuple[Mode, ...] = ()
    if sys.platform == "linux":  # where the path is only the number once more
        place, serial = _linuxPlace(Path(info.path).name)
        modes = _linuxModes(info.path)
    return Device(info.index, name, place, info.vid, info.pid, serial, modes)


# Linux: what sysfs and V4L2 say (https://docs.kernel.org/userspace-api/media/v4l/v4l2.html, linux/videodev2.h)

_G_FMT, _S_FMT, _ENUM_FMT = 0xC0D05604, 0xC0D05605, 0xC0405602
_ENUM_FRAMESIZES, _ENUM_FRAMEINTERVALS = 0xC02C564A, 0xC034564B
_VIDEO_CAPTURE, _DISCRETE = 1, 1
_MOST_MODES = 1000  # a driver that never comes to an end


def _linuxFile(index: int) -> str:
    return f"/dev/video{index % 100}"


def _linuxPlace(node: str) -> tuple[str, str]:
    """Where a camera is connected and its serial number, either of which may be empty.

    :param node: for example ``video0``.
    """
    folder = f"/sys/class/video4linux/{node}"
    place = os.path.realpath(f"{folder}/device")
    if place == f"{folder}/device" or not os.path.exists(place):
        return "", ""  # of a virtual camera
    number = _firstLine(f"{folder}/index")
    # The device is an interface of the USB device, which has the serial number.
    serial = _firstLine(f"{os.path.dirname(place)}/serial")
    place = place.removeprefix("/sys/devices/")
    return place + (f"/{number}" if number not in ("", "0") else ""), serial


def _isHidden(path: str) -> bool:
    """Whether a file of Linux that may not be opened, and so not be asked, is one beside a camera's first: metadata."""
    if sys.platform != "linux" or os.access(path, os.R_OK | os.W_OK):
        return False
    return _firstLine(f"/sys/class/video4linux/{Path(path).name}/index") not in ("", "0")


def _firstLine(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _linuxModes(path: str) -> tuple[Mode, ...]:
    """The modes that a camera has in discrete sizes, in the driver's order; none where it cannot be asked."""
    import fcntl

    def answers(request: int, layout: str, *fields: int) -> Iterator[tuple[Any, ...]]:
        for index in range(_MOST_MODES):
            record = bytearray(struct.calcsize(layout))
            struct.pack_into(f"={1 + len(fields)}I", record, 0, index, *fields)
            try:
                fcntl.ioctl(file, request, record)
            except OSError:  # EINVAL after the last one
                return
            yield struct.unpack(layout, record)

    modes = []
    try:
        file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return ()
    try:
        for _index, _type, _flags, _description, pixels, *_rest in answers(_ENUM_FMT, "=3I32sI4I", _VIDEO_CAPTURE):
            for _index, _pixels, kind, width, height, *_rest in answers(_ENUM_FRAMESIZES, "=3I6I2I", pixels):
                if kind != _DISCRETE:
                    break
                rates = [
                    denominator / numerator
                    for *_fields, kind, numerator, denominator, _3, _4, _5, _6, _7, _8 in answers(
                        _ENUM_FRAMEINTERVALS, "=5I6I2I", pixels, width, height
                    )
                    if kind == _DISCRETE and numerator
                ]
                fourcc = struct.pack("=I", pixels).decode("ascii", "replace")
                modes.append(Mode(fourcc, width, height, max(rates, default=0.0)))
    finally:
        os.close(file)
    return tuple(modes)


def _linuxErrno(path: str, *requests: int) -> int | None:
    """What stands in the way of a camera: ``errno`` of the first of some requests that fails, or None."""
    import fcntl

    try:
        file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        try:
            record = bytearray(208)  # struct v4l2_format
            struct.pack_into("=I", record, 0, _VIDEO_CAPTURE)
            for request in requests:
                fcntl.ioctl(file, request, record)
        finally:
            os.close(file)
    except OSError as error:
        return error.errno
    return None


# Windows: what the settings have written into the registry

_CONSENT = r"SOFTWARE\Microsoft\Windows\CurrentVersion\CapabilityAccessManager\ConsentStore\webcam"


def _windowsConsents() -> tuple[list[str | None], list[tuple[str, int]], str]:
    """What :func:`devices.windowsRefusal` wants to know."""
    import winreg

    program = ctypes.create_unicode_buffer(32768)  # of this process, which is not sys.executable in Slicer
    ctypes.windll.kernel32.GetModuleFileNameW(None, program, len(program))

    consents, users = [], []
    for root in (winreg.HKEY_LOCAL_MACHINE, winreg.HKEY_CURRENT_USER):
        for name in (_CONSENT, _CONSENT + r"\NonPackaged"):
            with contextlib.suppress(OSError), winreg.OpenKey(root, name) as key:
                with contextlib.suppress(OSError):
                    consents.append(winreg.QueryValueEx(key, "Value")[0])
                for number in range(winreg.QueryInfoKey(key)[0]):
                    user = winreg.EnumKey(key, number)
                    with contextlib.suppress(OSError), winreg.OpenKey(key, user) as ofUser:
                        users.append((user, winreg.QueryValueEx(ofUser, "LastUsedTimeStop")[0]))
    return consents, users, program.value


# macOS: what AVFoundation and the system's library say (pyobjc comes with cv2_enumerate_cameras)


def _hasUsageDescription() -> bool:
    """Whether the application that macOS holds responsible for this process says what it needs the camera for."""
    import AVFoundation

    system = ctypes.CDLL(None)
    process = os.getpid()
    with contextlib.suppress(AttributeError):  # not documented, but there since macOS 10.14
        system.responsibility_get_pid_responsible_for_pid.restype = ctypes.c_int
        process = system.responsibility_get_pid_responsible_for_pid(process)
    path = ctypes.create_string_buffer(4096)  # PROC_PIDPATHINFO_MAXSIZE
    system.proc_pidpath(process, path, len(path))
    folder = devices.applicationBundle(os.fsdecode(path.value))
    NSBundle = AVFoundation.NSBundle
    bundle = NSBundle.bundleWithPath_(folder) if folder else None
    if process == os.getpid():
        bundle = bundle or NSBundle.mainBundle()
    return bool(bundle and bundle.objectForInfoDictionaryKey_("NSCameraUsageDescription"))


# Permission


def awaitPermission(
    isCancelled: Callable[[], bool], onAsked: Callable[[], None], pause: Callable[[float], None]
) -> None:
    """Wait until the user has answered the system's question whether the camera may be used, if it asks one.

    :param isCancelled: ends the waiting.
    :param onAsked: called if the user is asked.
    :param pause: waits for so many s.
    :raises LiveHandError: see :func:`devices.macPermission`.
    """
    if sys.platform != "darwin":
        return
    import AVFoundation

    def mayOpen() -> bool:
        status = AVFoundation.AVCaptureDevice.authorizationStatusForMediaType_(AVFoundation.AVMediaTypeVideo)
        return devices.macPermission(status, _hasUsageDescription())

    if mayOpen():
        return
    onAsked()
    # The answer is polled: the handler is called in a thread that has to wait for the GIL.
    AVFoundation.AVCaptureDevice.requestAccessForMediaType_completionHandler_(
        AVFoundation.AVMediaTypeVideo, lambda _granted: None
    )
    while not isCancelled() and not mayOpen():
        pause(0.2)


def refusal(index: int) -> LiveHandError:
    """Why a camera cannot be opened, as far as the system says. To be asked when it has been released."""
    if sys.platform == "win32":
        return devices.windowsRefusal(*_windowsConsents())
    if sys.platform == "linux":
        path = _linuxFile(index)
        with contextlib.suppress(KeyError, OSError):  # a user without a name
            # To set the format that it has is refused while another program uses it.
            return devices.linuxRefusal(_linuxErrno(path, _G_FMT, _S_FMT), path, getpass.getuser())
    return LiveHandError("cameraNotFound")


def isThere(index: int) -> bool:
    """Whether a camera is connected, as far as the system says at once; False where it does not say.

    On Linux its file is there for as long as the driver keeps it, but cannot be opened any more.
    """
    gone = errno.ENOENT, errno.ENODEV, errno.ENXIO
    return sys.platform == "linux" and _linuxErrno(_linuxFile(index), _G_FMT) not in gone
