"""Which camera, backend, mode and permission: what is decided on what the three systems answer.

The answers are as OpenCV, cv2_enumerate_cameras and the systems gave them, with other serial numbers.
"""

import ctypes
import errno
import sys
from types import SimpleNamespace

import pytest

from LiveHandLib.camera import devicequery, devices
from LiveHandLib.camera.devices import AVFOUNDATION, DSHOW, GSTREAMER, MSMF, V4L2, Camera, Device, Mode
from LiveHandLib.errors import LiveHandError

C920 = {"name": "HD Pro Webcam C920", "vendor": 0x046D, "product": 0x082D}
USB_1 = "pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0"
USB_2 = "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0"


def onLinux(*found: Device) -> tuple[Camera, ...]:
    return devices.listed({V4L2: list(found)})


# Backends


@pytest.mark.parametrize(
    "platform, there, expected",
    [
        ("linux", {V4L2}, (V4L2,)),  # the packages from PyPI: getCameraBackends() has GStreamer all the same
        ("linux", {V4L2, GSTREAMER}, (V4L2, GSTREAMER)),
        ("linux", {GSTREAMER}, (GSTREAMER,)),
        ("win32", {MSMF, DSHOW}, (MSMF, DSHOW)),
        ("win32", {DSHOW}, (DSHOW,)),
        ("darwin", {AVFOUNDATION}, (AVFOUNDATION,)),
        ("freebsd14", {V4L2}, ()),
    ],
)
def test_backends_that_are_there(platform, there, expected):
    assert devices.backends(platform, lambda backend: backend in there) == expected


def test_a_bare_number_gets_its_backend():
    assert devices.numbered(2, (V4L2, GSTREAMER)) == 202
    assert devices.numbered(0, (MSMF, DSHOW)) == 1400
    assert devices.numbered(202, (V4L2,)) == 202, "it has one"
    assert devices.numbered(3, ()) == 3


# Listing

WINDOWS_MSMF = [
    Device(0, "HD Pro Webcam C920", r"\\?\usb#vid_046d&pid_082d&mi_00#7&2e5b0a1&0&0000"
           r"#{e5323777-f976-4f5b-9b55-b94699c46e44}\global", 0x046D, 0x082D),
    Device(1, "Integrated Camera", r"\\?\usb#vid_13d3&pid_56ff&mi_00#6&1a2b3c&0&0000"
           r"#{e5323777-f976-4f5b-9b55-b94699c46e44}\global", 0x13D3, 0x56FF),
]  # fmt: skip
WINDOWS_DSHOW = [
    Device(0, "Integrated Camera", r"\\?\usb#vid_13d3&pid_56ff&mi_00#6&1a2b3c&0&0000"
           r"#{65e8773d-8f56-11d0-a3b9-00a0c9223196}\global", 0x13D3, 0x56FF),
    Device(1, "HD Pro Webcam C920", r"\\?\USB#VID_046D&PID_082D&MI_00#7&2E5B0A1&0&0000"
           r"#{65e8773d-8f56-11d0-a3b9-00a0c9223196}\global", 0x046D, 0x082D),
    Device(2, "OBS Virtual Camera", ""),
]  # fmt: skip


def test_windows_lists_each_camera_once_and_the_virtual_ones_of_directshow():
    cameras = devices.listed({MSMF: WINDOWS_MSMF, DSHOW: WINDOWS_DSHOW})
    assert [(camera.index, camera.name) for camera in cameras] == [
        (1400, "HD Pro Webcam C920"),
        (1401, "Integrated Camera"),
        (702, "OBS Virtual Camera"),
    ]


def test_windows_with_a_first_backend_that_has_none():
    cameras = devices.listed({MSMF: [], DSHOW: WINDOWS_DSHOW})
    assert [camera.index for camera in cameras] == [700, 701, 702]
    assert devices.listed({DSHOW: WINDOWS_DSHOW}) == cameras


def test_windows_camera_is_the_same_through_either_backend():
    first, second = devices.listed({MSMF: WINDOWS_MSMF}), devices.listed({DSHOW: WINDOWS_DSHOW})
    assert {camera.id for camera in first} < {camera.id for camera in second}
    assert devices.find(first[0], second).index == 701


def test_macos_by_unique_id():
    facetime = Device(0, "FaceTime HD Camera", "47B4B64B-7067-4B9C-AD2B-AE273A71F4B5")
    phone = Device(1, "Ada's iPhone Camera", "A1B2C3D4-0000-0000-0000-000000000001")
    cameras = devices.listed({AVFOUNDATION: [facetime, phone]})
    assert [camera.index for camera in cameras] == [1200, 1201]
    later = devices.listed({AVFOUNDATION: [Device(0, *_named(phone)), Device(1, *_named(facetime))]})
    assert devices.find(cameras[0], later).index == 1201


def _named(device: Device) -> tuple[str, str]:
    return device.name, device.place


def test_two_of_a_name_are_told_apart():
    by = onLinux(Device(0, **C920, place=USB_1, serial="A1"), Device(2, **C920, place=USB_2, serial="B2"))
    assert [camera.name for camera in by] == ["HD Pro Webcam C920 (A1)", "HD Pro Webcam C920 (B2)"]
    by = onLinux(Device(0, **C920, place=USB_1), Device(2, **C920, place=USB_2))
    assert [camera.name for camera in by] == ["HD Pro Webcam C920 (1-1:1.0)", "HD Pro Webcam C920 (1-2:1.0)"]
    by = onLinux(Device(0, **C920, place=USB_1, serial="SN0001"), Device(2, **C920, place=USB_2, serial="SN0001"))
    assert len({camera.name for camera in by}) == 2, "a serial number that all of a make have"
    by = onLinux(Device(0, "Dummy video device"), Device(1, "Dummy video device"))
    assert [camera.name for camera in by] == ["Dummy video device (#0)", "Dummy video device (#1)"]
    by = devices.listed({DSHOW: [Device(0, "Phone"), Device(1, "Phone")]})
    assert len({camera.name for camera in by}) == 2


def test_several_cameras_in_one_place():
    vivid = [Device(number, "vivid", "platform/vivid.0") for number in (0, 2)]
    by = onLinux(*vivid)
    assert [camera.index for camera in by] == [200, 202]
    assert len({camera.name for camera in by}) == len({camera.id for camera in by}) == 2
    assert [devices.find(camera, by) for camera in by] == list(by)
    stereo = onLinux(Device(0, "RGB", "a/usb1/1-1/1-1:1.0"), Device(2, "IR", "a/usb1/1-1/1-1:1.0"))
    assert [devices.find(camera, stereo).name for camera in stereo] == ["RGB", "IR"]


def test_what_opencv_cannot_open_by_an_index_is_not_listed():
    assert onLinux(Device(128, "Far away")) == ()


# Finding again


def test_a_camera_is_found_under_another_number():
    was = onLinux(Device(2, **C920, place=USB_1), Device(0, "Other", USB_2))[1]
    now = onLinux(Device(0, **C920, place=USB_1), Device(2, "Other", USB_2))
    assert was.index == 202 and devices.find(was, now).index == 200


def test_two_of_a_name_that_changed_their_numbers():
    first, second = Device(0, **C920, place=USB_1), Device(2, **C920, place=USB_2)
    was = onLinux(first, second)
    now = onLinux(Device(0, **C920, place=USB_2), Device(2, **C920, place=USB_1))
    assert [devices.find(camera, now).index for camera in was] == [202, 200]
    alone = onLinux(Device(0, **C920, place=USB_2))
    with pytest.raises(LiveHandError, match="cameraAbsent"):
        devices.find(was[0], alone)
    assert devices.find(was[1], alone).index == 200


def test_one_without_a_serial_number_may_be_plugged_in_elsewhere():
    was = onLinux(Device(0, **C920, place=USB_1))[0]
    assert devices.find(was, onLinux(Device(0, **C920, place=USB_2))).index == 200
    both = onLinux(Device(0, **C920, place=USB_2), Device(2, **C920, place=USB_1))
    assert devices.find(was, both).index == 202, "the one in its place"
    elsewhere = onLinux(Device(0, **C920, place=USB_2), Device(2, **C920, place="usb9/9-9/9-9:1.0"))
    with pytest.raises(LiveHandError, match="cameraAmbiguous"):
        devices.find(was, elsewhere)


def test_a_serial_number_tells_wherever_it_is_plugged_in():
    was = onLinux(Device(0, **C920, place=USB_1, serial="A1"))[0]
    now = onLinux(Device(0, **C920, place=USB_1, serial="B2"), Device(2, **C920, place=USB_2, serial="A1"))
    assert devices.find(was, now).index == 202


def test_never_another_one():
    was = onLinux(Device(0, **C920, place=USB_1, serial="A1"))[0]
    others = [
        Device(0, **C920, place=USB_1, serial="B2"),
        Device(0, C920["name"], USB_1, 0x1234, 0x082D),
        Device(0, "Other", USB_1, 0x046D, 0x082D),
    ]
    for other in others:
        with pytest.raises(LiveHandError) as error:
            devices.find(was, onLinux(other))
        assert (error.value.reason, error.value.details["name"]) == ("cameraAbsent", C920["name"])
    with pytest.raises(LiveHandError, match="cameraAbsent"):
        devices.find(was, ())


def test_as_it_is_written_in_a_scene():
    for camera in onLinux(Device(0, **C920, place=USB_1, serial="A:1 @"), Device(3, "A: b", USB_2), Device(5, "Loop")):
        written = devices.cameraOf(devices.sourceOf(camera))
        assert (written.name, written.id) == (camera.name, camera.id)
        now = onLinux(Device(7, **C920, place=USB_1, serial="A:1 @"), Device(8, "A: b", USB_2), Device(9, "Loop"))
        assert devices.find(written, now).name == camera.name
    assert devices.cameraOf("camera:202:C920: two") == Camera(202, "C920: two")
    for other in ("", "/a/clip.mp4", "camera", "camera:", "camera:1", "camera:x:y", r"C:\camera:1\a.mp4", "camera:@:x"):
        assert devices.cameraOf(other) is None


def test_scenes_of_earlier_versions_are_found_by_name():
    now = onLinux(Device(4, "C920", USB_1), Device(6, "Other", USB_2))
    assert devices.find(Camera(202, "C920"), now).index == 204
    with pytest.raises(LiveHandError, match="cameraAbsent"):
        devices.find(Camera(206, "C270"), now)
    assert devices.isNumber(Camera(2, "#2")) and not devices.isNumber(Camera(202, "C920"))


def test_calibrations_of_two_of_a_name_are_apart():
    first, second = onLinux(Device(0, **C920, place=USB_1), Device(2, **C920, place=USB_2))
    assert not set(devices.calibrationNames(first)) & set(devices.calibrationNames(second))
    alone = onLinux(Device(0, **C920, place=USB_1))[0]
    assert devices.calibrationNames(alone)[0] == devices.calibrationNames(first)[0], "whatever else is connected"
    assert devices.calibrationNames(alone)[-1] == C920["name"], "as earlier versions kept them"
    serial = [onLinux(Device(0, **C920, place=place, serial="A1"))[0] for place in (USB_1, USB_2)]
    assert devices.calibrationNames(serial[0]) == devices.calibrationNames(serial[1])
    assert devices.calibrationNames(Camera(200, "Old")) == ("Old",)


# Modes

MODES = tuple(
    Mode(fourcc, *size, rate)
    for fourcc, size, rate in [
        ("YUYV", (640, 480), 30),
        ("YUYV", (1280, 720), 10),
        ("MJPG", (640, 480), 30),
        ("MJPG", (1280, 720), 30),
    ]
)


def test_format_with_enough_frames_per_second():
    camera = Camera(200, "x", modes=MODES)
    assert devices.fourccFor(camera, (640, 480)) == "YUYV"
    assert devices.fourccFor(camera, (1280, 720)) == "MJPG"
    assert devices.fourccFor(camera, (1920, 1080)) == ""
    slow = [Mode("YUYV", 1280, 720, 5), Mode("NV12", 1280, 720, 10), Mode("H264", 1280, 720, 30)]
    fastest = devices.fourccFor(Camera(200, "x", modes=tuple(slow)), (1280, 720))
    assert fastest == "NV12", "of those that OpenCV can convert"
    assert devices.fourccFor(Camera(200, "x", modes=(Mode("YUYV", 640, 480, 25),)), (640, 480)) == "YUYV"


def test_format_where_a_camera_cannot_be_asked():
    assert devices.fourccFor(Camera(DSHOW, "x"), (1280, 720)) == "MJPG"
    assert devices.fourccFor(Camera(DSHOW, "x"), (640, 480)) == ""
    assert devices.fourccFor(Camera(MSMF, "x"), (1280, 720)) == ""
    assert devices.isSlow(10.0) and not devices.isSlow(30.0) and not devices.isSlow(25.0) and not devices.isSlow(0.0)


def test_sizes():
    assert devices.sizesOf(MODES) == ((640, 480), (1280, 720))
    assert devices.sizesOf(()) == devices.USUAL_SIZES
    for size in devices.USUAL_SIZES:
        assert devices.sizeOf(devices.resolutionOf(size)) == size
    for other in ("", "nan", "1280", "1280x", "x720", "-1x720", "5x5", "99999x99999", "1280x720x3", "1e3x1e3"):
        assert devices.sizeOf(other) is None


# Permission


@pytest.mark.parametrize(
    "status, isDescribed, expected",
    [
        (3, True, True),
        (3, False, True),
        (0, True, False),
        (0, False, "cameraNotDescribed"),
        (1, True, "cameraRestricted"),
        (2, True, "cameraDenied"),
        (2, False, "cameraDenied"),
    ],
)
def test_permission_on_macos(status, isDescribed, expected):
    if isinstance(expected, bool):
        assert devices.macPermission(status, isDescribed) is expected
    else:
        with pytest.raises(LiveHandError, match=expected):
            devices.macPermission(status, isDescribed)


def test_application_that_macos_holds_responsible():
    slicer = "/Applications/Slicer.app"
    assert devices.applicationBundle(f"{slicer}/Contents/MacOS/Slicer") == slicer
    assert devices.applicationBundle(f"{slicer}/Contents/Helpers/x.app/Contents/MacOS/x") == slicer
    assert devices.applicationBundle("/System/Applications/Utilities/Terminal.app/Contents/MacOS/Terminal") == (
        "/System/Applications/Utilities/Terminal.app"
    )
    assert devices.applicationBundle("/usr/sbin/sshd") == ""
    assert devices.applicationBundle("/Users/me/my.application/x") == ""


SLICER = r"C:\Users\me\AppData\Local\slicer.org\Slicer 5.10.0\bin\SlicerApp-real.exe"


@pytest.mark.parametrize(
    "consents, users, expected",
    [
        (["Allow", "Allow"], [], "cameraNotFound"),
        ([None, None], [], "cameraNotFound"),
        (["Allow", "Deny"], [], "cameraDeniedByWindows"),
        (["Allow"], [(SLICER.replace("\\", "#"), 0)], "cameraNotFound"),
        (["Allow"], [("C:#Program Files#Zoom#bin#Zoom.exe", 133500000000000000)], "cameraNotFound"),
        (["Allow"], [("C:#Program Files#Zoom#bin#Zoom.exe", 0)], "cameraBusyWith"),
    ],
)
def test_refusal_of_windows(consents, users, expected):
    error = devices.windowsRefusal(consents, users, SLICER)
    assert error.reason == expected
    if expected == "cameraBusyWith":
        assert error.details["program"] == "Zoom.exe"


@pytest.mark.parametrize(
    "number, expected",
    [
        (errno.EACCES, "cameraNotPermitted"),
        (errno.EBUSY, "cameraBusy"),
        (errno.ENOENT, "cameraNotFound"),
        (errno.ENODEV, "cameraNotFound"),
        (None, "cameraNotFound"),
    ],
)
def test_refusal_of_linux(number, expected):
    assert devices.linuxRefusal(number, "/dev/video0", "me").reason == expected


# Asking the systems that are not here: stand-ins for what only they have


class AVFoundation:
    """What of macOS's framework is asked, with a user who answers when it is asked for the third time."""

    AVMediaTypeVideo = "vide"

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.requests = list(statuses), 0
        self.AVCaptureDevice = self

    def authorizationStatusForMediaType_(self, _kind):
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def requestAccessForMediaType_completionHandler_(self, _kind, _handler):
        self.requests += 1


@pytest.mark.parametrize(
    "statuses, isDescribed, reason, asked",
    [
        ([3], False, None, 0),
        ([0, 0, 0, 3], True, None, 1),
        ([0, 0, 2], True, "cameraDenied", 1),
        ([2], True, "cameraDenied", 0),
        ([0], False, "cameraNotDescribed", 0),
    ],
)
def test_macos_is_asked_once_and_its_answer_awaited(monkeypatch, statuses, isDescribed, reason, asked):
    system = AVFoundation(*statuses)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "AVFoundation", system)
    monkeypatch.setattr(devicequery, "_hasUsageDescription", lambda: isDescribed)
    askedFor = []
    try:
        devicequery.awaitPermission(lambda: False, lambda: askedFor.append(True), lambda _seconds: None)
        assert reason is None
    except LiveHandError as error:
        assert error.reason == reason
    assert len(askedFor) == system.requests == asked


def test_macos_question_without_an_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "AVFoundation", AVFoundation(0))
    monkeypatch.setattr(devicequery, "_hasUsageDescription", lambda: True)
    pauses = []
    devicequery.awaitPermission(lambda: len(pauses) > 3, lambda: None, pauses.append)
    assert len(pauses) == 4


class Registry(dict):
    """Windows's, as ``winreg`` reads it: keys by their path, with their values."""

    HKEY_LOCAL_MACHINE, HKEY_CURRENT_USER = "machine", "user"

    class Key(str):
        def __enter__(self):
            return self

        def __exit__(self, *_error):
            pass

    def OpenKey(self, root, name):
        path = f"{root}\\{name}"
        if not any(known == path or known.startswith(path + "\\") for known in self):
            raise FileNotFoundError(path)
        return self.Key(path)

    def QueryValueEx(self, key, name):
        try:
            return self[key][name], 1
        except KeyError:
            raise FileNotFoundError(name) from None

    def _below(self, key):
        return sorted({known[len(key) + 1 :].split("\\")[0] for known in self if known.startswith(key + "\\")})

    def QueryInfoKey(self, key):
        return len(self._below(key)), 0, 0

    def EnumKey(self, key, number):
        return self._below(key)[number]


def test_windows_registry_is_asked(monkeypatch):
    webcam = "user\\" + devicequery._CONSENT
    registry = Registry(
        {
            webcam: {"Value": "Allow"},
            webcam + r"\NonPackaged": {"Value": "Allow"},
            webcam + r"\NonPackaged\C:#Zoom#Zoom.exe": {"LastUsedTimeStop": 0},
            webcam + r"\NonPackaged\C:#Old.exe": {},
            "machine\\" + devicequery._CONSENT: {},
        }
    )
    kernel32 = SimpleNamespace(GetModuleFileNameW=lambda _module, buffer, _size: setattr(buffer, "value", SLICER))
    monkeypatch.setitem(sys.modules, "winreg", registry)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel32), raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert str(devicequery.refusal(1400)) == "cameraBusyWith {'program': 'Zoom.exe'}"
    registry[webcam + r"\NonPackaged"]["Value"] = "Deny"
    assert devicequery.refusal(1400).reason == "cameraDeniedByWindows"
