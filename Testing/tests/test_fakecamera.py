"""The cameras that other tests read are what OpenCV and the system see of real ones: those of Linux's uvcvideo.

What is expected here was measured with that driver in a virtual machine, with an emulated USB camera of the same modes.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.fakecamera import Device, Mode, Unavailable, buildLibrary, clipIndex, fitted, loadedFolder

BITS = 8
SLOW = Mode("YUYV", 320, 240, 5)  # there is time enough between two frames, whatever else the computer does


def numberedClip(count: int = 60) -> np.ndarray:
    """(count, 180, 320, 3) BGR: smooth colours, over which stands the number of each frame, in black and white."""
    y, x = np.mgrid[:180, :320]
    clip = np.empty((count, 180, 320, 3), np.uint8)
    clip[:] = np.dstack([x * 0.7, y, 200 - x * 0.5]).clip(0, 255).astype(np.uint8)
    for number in range(count):
        for bit in range(BITS):
            clip[number, :30, 40 * bit : 40 * bit + 40] = 255 * (number >> bit & 1)
    return clip


def numberIn(image: np.ndarray) -> int:
    """The number of the clip's frame that an image shows, black bars above and below included."""
    scale = image.shape[1] / 320
    y = (image.shape[0] - 180 * scale) / 2 + 15 * scale
    return sum(int(image[int(y), int((40 * bit + 20) * scale)].mean() > 128) << bit for bit in range(BITS))


def opened(number: int, *settings: int) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(number, cv2.CAP_V4L2, list(settings))
    assert capture.isOpened()
    return capture


def canBeOpened(number: int) -> bool:
    capture = cv2.VideoCapture(number, cv2.CAP_V4L2)
    isOpened = capture.isOpened()
    capture.release()
    return isOpened


def mode(capture: cv2.VideoCapture) -> Mode:
    properties = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS
    fourcc = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()
    return Mode(fourcc, *(int(capture.get(which)) for which in properties))


def numbers(capture: cv2.VideoCapture, count: int, decodingS: float = 0.0) -> list[int]:
    """What the next images show, where decoding each takes so much longer; OpenCV has its buffer until then."""
    result = []
    for _ in range(count):
        assert capture.grab()
        time.sleep(decodingS)
        result.append(numberIn(capture.retrieve()[1]))
    return result


def failsAtOnce(capture: cv2.VideoCapture) -> bool:
    """Whether every read fails, and none of them waits for a frame first, which would take a second or ten."""
    start = time.monotonic()
    return not any(capture.read()[0] for _ in range(20)) and time.monotonic() - start < 10


def test_library_is_loaded_where_it_can_be():
    try:
        buildLibrary()
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert loadedFolder()
    assert "fakecamera" not in os.environ.get("LD_PRELOAD", ""), "nor is it in the processes that the tests start"


# Which cameras there are


def test_are_listed_as_real_ones_without_their_metadata(fakeCameras):
    from cv2_enumerate_cameras import enumerate_cameras

    fakeCameras(
        Device("HD Webcam", serial="A1"), Device("Caméra", number=7, vendor=0x1BCF, product=0x28C4), Device("HD Webcam")
    )
    found = sorted(enumerate_cameras(cv2.CAP_V4L2), key=lambda camera: camera.index)
    assert [(camera.index, camera.name, camera.path, camera.vid, camera.pid) for camera in found] == [
        (0, "HD Webcam", "/dev/video0", 0x046D, 0x0825),
        (2, "HD Webcam", "/dev/video2", 0x046D, 0x0825),
        (7, "Caméra", "/dev/video7", 0x1BCF, 0x28C4),
    ]
    nodes = [f"video{number}" for number in (0, 1, 2, 3, 7, 8)]
    assert sorted(name for name in os.listdir("/dev") if name.startswith("video")) == nodes
    assert sorted(os.listdir("/sys/class/video4linux")) == nodes
    assert {"null", "shm"} <= set(os.listdir("/dev")), "everything else is there"
    places = {os.path.realpath(f"/sys/class/video4linux/{name}/device") for name in nodes}
    assert len(places) == 3, "cameras of one name are distinguished by their ports"
    assert [canBeOpened(number) for number in (0, 1, 2, 3, 4, 7, 8)] == [True, False, True, False, False, True, False]
    links = sorted(map(str, Path("/dev/v4l/by-path").iterdir()))
    assert [os.path.realpath(link) for link in links] == [f"/dev/video{number}" for number in (0, 1, 7, 8, 2, 3)]
    capture = cv2.VideoCapture(links[2], cv2.CAP_V4L2)
    assert capture.isOpened() and not canBeOpened(7) and canBeOpened(0)
    capture.release()


def test_metadata_nodes_say_that_they_are(fakeCameras):
    from cv2_enumerate_cameras.linux_backend import device_can_capture_video

    fakeCameras(Device(), Device(hasMetadata=False), Device())
    assert [bool(device_can_capture_video(f"/dev/video{number}")) for number in range(5)] == [1, 0, 1, 1, 0]


def test_without_them_the_system_is_as_it_is(fakeCameras):
    code = "import os; print('video7' in os.listdir('/dev'), os.path.exists('/dev/video7'))"
    before = subprocess.check_output([sys.executable, "-c", code])
    cameras = fakeCameras(Device(number=7))
    assert subprocess.check_output([sys.executable, "-c", code]) == before
    assert subprocess.check_output([sys.executable, "-c", code], env=cameras.environment()) == b"True True\n"


def test_qt_notices_plugging(app, fakeCameras):
    from PySide6.QtCore import QFileSystemWatcher

    cameras = fakeCameras(Device())
    watcher, noticed = QFileSystemWatcher(["/dev"]), []
    watcher.directoryChanged.connect(noticed.append)
    cameras.unplug(0)
    assert app.spin(lambda: noticed)
    noticed.clear()
    cameras.plug(0)
    assert app.spin(lambda: noticed)


# Modes and frames

MJPG = cv2.VideoWriter.fourcc(*"MJPG")
SIZE = cv2.CAP_PROP_FRAME_WIDTH, 1280, cv2.CAP_PROP_FRAME_HEIGHT, 720


@pytest.mark.parametrize(
    "settings, expected",
    [
        ((), Mode("YUYV", 640, 480, 30)),
        (SIZE, Mode("YUYV", 1280, 720, 10)),
        ((*SIZE, cv2.CAP_PROP_FPS, 30), Mode("YUYV", 1280, 720, 10)),
        ((cv2.CAP_PROP_FOURCC, MJPG), Mode("MJPG", 1280, 720, 30)),
        ((cv2.CAP_PROP_FOURCC, MJPG, *SIZE, cv2.CAP_PROP_FPS, 30), Mode("MJPG", 1280, 720, 30)),
        ((*SIZE, cv2.CAP_PROP_FPS, 30, cv2.CAP_PROP_FOURCC, MJPG), Mode("MJPG", 1280, 720, 30)),
    ],
)
@pytest.mark.parametrize("isAfterwards", [False, True])
def test_modes_come_out_as_with_the_driver(fakeCameras, settings, expected, isAfterwards):
    fakeCameras(Device(clip=numberedClip()))
    capture = opened(0, *(() if isAfterwards else settings))
    if isAfterwards:
        for which, value in zip(settings[::2], settings[1::2], strict=True):
            capture.set(which, value)
    assert mode(capture) == expected
    stamps = []
    for _ in range(4):
        assert capture.read()[0]
        stamps.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    assert np.diff(stamps).min() == pytest.approx(1000 / expected.rate, abs=0.01)
    capture.release()


def test_a_camera_has_the_modes_it_is_given(fakeCameras):
    modes = (Mode("MJPG", 1920, 1080, 30), Mode("MJPG", 1920, 1080, 60), Mode("MJPG", 640, 360, 30))
    fakeCameras(Device(modes=modes, seconds=0.2))
    capture = opened(0)
    assert mode(capture) == modes[2], "the nearest to the 640 x 480 that OpenCV asks for"
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, 1920)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, 1080)
    assert mode(capture) == modes[0]
    capture.set(cv2.CAP_PROP_FPS, 60)
    assert mode(capture) == modes[1]
    assert capture.read()[1].shape == (1080, 1920, 3)
    capture.release()


@pytest.mark.parametrize("fourcc, atMost", [("YUYV", 2.0), ("MJPG", 2.0)])
@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_frames_show_the_clip(fakeCameras, fourcc, size, atMost):
    clip = numberedClip()
    fakeCameras(Device(clip=clip, modes=[Mode(fourcc, *size, 10)]))
    capture = opened(0)
    for _ in range(4):
        image = capture.read()[1]
        number = numberIn(image)
        assert number % 3 == 0, "10 frames of 30"
        expected = fitted(clip[number], *size)
        assert np.abs(image.astype(int) - expected).mean() < atMost
    capture.release()


def test_a_file_is_shown_over_and_over(fakeCameras, tmp_path):
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (320, 180))
    for image in numberedClip(6):
        writer.write(image)
    writer.release()
    fakeCameras(Device(clip=path, modes=[Mode("YUYV", 320, 240, 10)]))
    capture = opened(0)
    start = 1  # OpenCV reads the first two frames and gives the second
    assert numbers(capture, 10) == [clipIndex(frame % 4, 10, 15) for frame in range(start, start + 10)]
    capture.release()


def test_two_buffers_get_every_frame_and_one_gets_half(fakeCameras):
    cameras = fakeCameras(Device(clip=numberedClip(200), modes=[SLOW], seconds=60))
    for buffers, step in ((2, 1), (4, 1), (1, 2)):
        capture = opened(0)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, buffers)
        assert capture.get(cv2.CAP_PROP_BUFFERSIZE) == buffers
        lost = cameras.lost(0)
        shown = numbers(capture, 5, decodingS=0.06)
        assert set(np.diff(shown)) == {6 * step}, "the clip has 30 frames per second"
        assert (cameras.lost(0) > lost) == (buffers == 1)
        capture.release()


def test_two_cameras_at_once(fakeCameras):
    clip = numberedClip()
    fakeCameras(Device("One", clip), Device("Two", clip[::-1].copy()))
    one, two = opened(0), opened(2)
    forwards, backwards = zip(*((numberIn(one.read()[1]), numberIn(two.read()[1])) for _ in range(5)), strict=True)
    assert sorted(forwards) == list(forwards) and sorted(backwards, reverse=True) == list(backwards)
    one.release()
    two.release()


# What happens to cameras


def test_busy_while_another_program_has_it(fakeCameras):
    cameras = fakeCameras(Device(), Device())
    assert not cameras.isInUse(0)
    capture = opened(0)
    assert cameras.isInUse(0) and not cameras.isInUse(1)
    assert not canBeOpened(0) and canBeOpened(2)
    assert capture.read()[0]
    capture.release()
    assert not cameras.isInUse(0) and canBeOpened(0)
    cameras.set(0, "busy")
    assert not canBeOpened(0)
    cameras.set(0, "works")
    assert canBeOpened(0)


def test_a_process_that_is_killed_gives_it_back(fakeCameras):
    cameras = fakeCameras(Device())
    code = "import cv2; c = cv2.VideoCapture(200); print(c.read()[0], flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=cameras.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"True\n"
    assert cameras.isInUse(0) and not canBeOpened(0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not cameras.isInUse(0) and canBeOpened(0)


def test_a_bare_index_can_open_another_camera(fakeCameras):
    """Where V4L2 refuses, OpenCV lets FFmpeg try, which has an order of its own."""
    cameras = fakeCameras(Device("One"), Device("Two"))
    cameras.set(0, "busy")
    inUse = set()
    for number in range(4):
        capture = cv2.VideoCapture(number)
        if capture.isOpened() and capture.getBackendName() == "FFMPEG":
            assert capture.read()[0]
            inUse |= {(number, index) for index in range(2) if cameras.isInUse(index)}
        capture.release()
    assert any(number != 2 * index for number, index in inUse)


def test_opening_may_take_long(fakeCameras):
    fakeCameras(Device(openingS=1.0))
    start = time.monotonic()
    opened(0).release()
    assert time.monotonic() - start >= 1.0


def test_denied_to_a_user_who_is_not_in_the_group(fakeCameras):
    cameras = fakeCameras(Device())
    assert os.access("/dev/video0", os.R_OK | os.W_OK)
    cameras.set(0, "denied")
    assert os.path.exists("/dev/video0") and not os.access("/dev/video0", os.R_OK | os.W_OK)
    with pytest.raises(PermissionError):
        os.open("/dev/video0", os.O_RDWR)
    assert not canBeOpened(0)


def test_unplugged_and_plugged_in_again(fakeCameras):
    cameras = fakeCameras(Device(), Device())
    capture = opened(0)
    assert capture.read()[0]
    cameras.unplug(0)
    assert cameras.number(0) is None
    assert not any(map(os.path.exists, ("/dev/video0", "/dev/video1", "/sys/class/video4linux/video0")))
    assert failsAtOnce(capture)
    assert capture.isOpened(), "OpenCV does not notice"
    assert not canBeOpened(0)
    cameras.plug(0, number=4)
    assert os.path.exists("/dev/video4") and canBeOpened(4) and not canBeOpened(0)
    assert failsAtOnce(capture), "what was opened before stays dead"
    capture.release()
    capture = opened(4)
    assert capture.read()[0]
    capture.release()


def test_numbers_can_be_swapped(fakeCameras):
    from cv2_enumerate_cameras import enumerate_cameras

    cameras = fakeCameras(Device("One"), Device("Two"))
    cameras.unplug(0)
    cameras.unplug(1)
    cameras.plug(1)
    cameras.plug(0)
    assert {camera.index: camera.name for camera in enumerate_cameras(cv2.CAP_V4L2)} == {0: "Two", 2: "One"}


def test_unplugging_ends_a_read_that_waits(fakeCameras):
    cameras = fakeCameras(Device())
    capture = opened(0)
    assert capture.read()[0]
    cameras.set(0, "silent")
    results = []
    reader = threading.Thread(target=lambda: results.append(next(i for i in range(99) if not capture.read()[0])))
    reader.start()
    time.sleep(0.3)
    assert not results, "it waits"
    cameras.unplug(0)
    reader.join(5)
    assert results and not reader.is_alive()
    capture.release()


def test_frames_end_a_read_that_waits(fakeCameras):
    cameras = fakeCameras(Device())
    capture = opened(0)
    assert capture.read()[0]
    cameras.set(0, "silent")
    results = []
    reader = threading.Thread(target=lambda: results.extend(capture.read()[0] for _ in range(8)))
    reader.start()
    reader.join(0.5)
    assert reader.is_alive()
    cameras.set(0, "works")
    reader.join(5)
    assert results[-1] and not reader.is_alive()
    capture.release()


SILENCE = """
import cv2, time
capture = cv2.VideoCapture(200)
print(capture.read()[0], flush=True)
input()
while True:
    start = time.monotonic()
    delivered = capture.read()[0]
    print(delivered, time.monotonic() - start, flush=True)
    if input() == "end":
        break
"""


def test_a_silent_camera_is_waited_for_as_long_as_opencv_is_told(fakeCameras):
    cameras = fakeCameras(Device())
    environment = {**cameras.environment(), "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SILENCE], env=environment, **pipes) as process:

        def read() -> tuple[bool, float]:
            process.stdin.write("on\n")
            process.stdin.flush()
            delivered, duration = process.stdout.readline().split()
            return delivered == "True", float(duration)

        assert process.stdout.readline() == "True\n"
        cameras.set(0, "silent")
        while (result := read())[0]:  # what was on its way
            pass
        assert 0.5 < result[1] < 5, "not at once, and not only after OpenCV's 10 s"
        cameras.set(0, "works")
        assert [read()[0] for _ in range(3)] == [True] * 3
        process.communicate("end\n")


def test_failing_transfers_fail_at_once_and_can_end(fakeCameras):
    cameras = fakeCameras(Device())
    capture = opened(0)
    assert capture.read()[0]
    cameras.set(0, "failing")
    assert failsAtOnce(capture)
    cameras.set(0, "works")
    assert [capture.read()[0] for _ in range(5)] == [True] * 5
    capture.release()


def test_a_waking_camera_fails_many_reads_before_the_first_frame(fakeCameras):
    cameras = fakeCameras(Device())
    cameras.set(0, "waking", 1.0)
    capture = opened(0)
    failures = 0
    while not capture.read()[0]:
        failures += 1
        time.sleep(0.01)
        assert failures < 1000
    assert failures > 11
    assert capture.read()[0]
    capture.release()


@pytest.mark.parametrize("situation", ["noStart", "noBandwidth"])
def test_a_stream_that_cannot_be_started(fakeCameras, situation):
    cameras = fakeCameras(Device())
    cameras.set(0, situation)
    capture = opened(0)
    assert failsAtOnce(capture)
    cameras.set(0, "works")
    assert failsAtOnce(capture), "OpenCV queues the same buffers again, which is refused, until it is reopened"
    capture.release()
    capture = opened(0)
    assert capture.read()[0]
    capture.release()


def test_lost_frames_are_only_missing(fakeCameras):
    cameras = fakeCameras(Device(clip=numberedClip(200), modes=[Mode("YUYV", 320, 240, 30)], seconds=60))
    cameras.set(0, "lossy", 0.6)
    capture = opened(0)
    steps = np.diff(numbers(capture, 30))
    assert steps.min() >= 1 and steps.mean() > 1.5
    assert cameras.lost(0) >= 25 and cameras.delivered(0) >= 30
    capture.release()


@pytest.mark.parametrize("fourcc", ["YUYV", "MJPG"])
def test_corrupt_frames(fakeCameras, fourcc):
    """OpenCV ignores the flag that says so."""
    cameras = fakeCameras(Device(clip=numberedClip(), modes=[Mode(fourcc, 640, 480, 30)]))
    capture = opened(0)
    assert capture.read()[0]
    cameras.set(0, "corrupt")
    for _ in range(6):
        capture.read()
    cameras.set(0, "works")
    for _ in range(6):
        capture.read()
    assert len(set(numbers(capture, 3))) == 3
    capture.release()


def test_a_hanging_driver_does_not_come_back(fakeCameras):
    cameras = fakeCameras(Device())
    capture = opened(0)
    assert capture.read()[0]
    cameras.set(0, "hanging")
    reader = threading.Thread(target=lambda: [capture.read() for _ in range(8)])
    reader.start()
    reader.join(0.5)
    assert reader.is_alive()
    cameras.set(0, "works")
    reader.join(10)
    assert not reader.is_alive()
    assert capture.read()[0]
    capture.release()


def test_controls(fakeCameras):
    fakeCameras(Device())
    capture = opened(0)
    assert capture.get(cv2.CAP_PROP_BRIGHTNESS) == 128
    assert capture.set(cv2.CAP_PROP_BRIGHTNESS, 40) and capture.get(cv2.CAP_PROP_BRIGHTNESS) == 40
    assert capture.get(cv2.CAP_PROP_AUTOFOCUS) == 1
    assert not capture.set(cv2.CAP_PROP_ZOOM, 2)
    capture.release()
