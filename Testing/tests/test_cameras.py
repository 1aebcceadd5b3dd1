"""From the device to the hand, through OpenCV's real V4L2 backend and the real module, with the cameras of the rig.

Each case is a line of the table at the end of the tests, and :mod:`support.faults` is checked after it.
"""

import getpass
import os
import subprocess
import sys

import numpy as np
import pytest

from LiveHandLib.camera import devicequery, devices, framereader
from LiveHandLib.tracking import camerafinder
from support.fakecamera import Device, Mode
from support.faults import assertReported, slicer, status
from support.helpers import choose, entries, goLive, refreshed, settled
from support.paths import SAMPLE_CLIP

pytestmark = [pytest.mark.usefixtures("model", "unharmed")]

HAND = {"clip": SAMPLE_CLIP, "seconds": 2.0}


def chooseWebcam(app, widget) -> None:
    """Choose the only camera there is."""
    assert refreshed(app, widget, "Webcam")
    choose(widget, "Webcam")


def tick(app, widget) -> None:
    """Tick Live and wait for the hand."""
    widget.ui.liveCheckBox.setChecked(True)
    assert app.spin(lambda: widget.logic.frame and widget.logic.frame.hands, timeout=30), status(widget)


def tickUntilOff(app, widget, words: str) -> None:
    """Tick Live, which goes off again for a reason that the panel says in these words."""
    widget.ui.liveCheckBox.setChecked(True)
    settled(app, widget.logic)
    assertReported(widget, words)


def more(app, tracked, frames: int = 3) -> bool:
    """Whether so many more frames are processed."""
    before = len(tracked)
    return app.spin(lambda: len(tracked) >= before + frames, timeout=10)


# Which camera


@pytest.mark.fault("Cameras: the second of three, chosen by its name")
def test_second_of_three(app, widget, fakeCameras, tracked):
    rig = fakeCameras(Device("First"), Device("Second", **HAND), Device("Third"))
    assert refreshed(app, widget, "First", "Second", "Third")
    choose(widget, "Second")
    tick(app, widget)
    assert rig.isInUse(1) and not rig.isInUse(0) and not rig.isInUse(2)
    landmarks = slicer.util.arrayFromMarkupsControlPoints(widget.logic.getParameterNode().rightLandmarks, world=True)
    assert np.isfinite(landmarks).all() and np.ptp(landmarks, axis=0).max() > 50, "the hand is in the scene"


@pytest.mark.fault("Cameras: unplugged while live, plugged in under another number")
def test_replugged_under_another_number(app, widget, fakeCameras, tracked):
    rig = fakeCameras(Device("First"), Device("Second", **HAND), Device("Third"))
    assert refreshed(app, widget, "First", "Second", "Third")
    choose(widget, "Second")
    tick(app, widget)
    rig.unplug(1)
    settled(app, widget.logic)
    assertReported(widget, "stopped sending")
    widget.ui.liveCheckBox.setChecked(True)
    settled(app, widget.logic)
    assertReported(widget, "The camera Second is not connected")
    rig.unplug(0)
    rig.plug(1, number=0)  # where the first one was
    rig.plug(0, number=8)
    tick(app, widget)
    assert rig.isInUse(1) and not rig.isInUse(0)


@pytest.mark.fault("Cameras: the numbers are exchanged while Live is off")
def test_exchanged_numbers(app, widget, fakeCameras):
    rig = fakeCameras(Device("Webcam"), Device("Webcam", **HAND))
    assert refreshed(app, widget, "Webcam (9-1:1.0)", "Webcam (9-2:1.0)")
    choose(widget, "Webcam (9-2:1.0)")
    numbers = rig.number(0), rig.number(1)
    for index in (0, 1):
        rig.unplug(index)
    for index in (0, 1):
        rig.plug(index, number=numbers[1 - index])
    tick(app, widget)
    assert rig.isInUse(1) and not rig.isInUse(0)


@pytest.mark.fault("Cameras: one of two of a name is absent")
def test_one_of_two_absent(app, widget, fakeCameras):
    rig = fakeCameras(Device("Webcam"), Device("Webcam", **HAND))
    assert refreshed(app, widget, "Webcam (9-1:1.0)", "Webcam (9-2:1.0)")
    choose(widget, "Webcam (9-1:1.0)")
    rig.unplug(0)
    tickUntilOff(app, widget, "The camera Webcam (9-1:1.0) is not connected")
    assert not rig.isInUse(1)


@pytest.mark.fault("Cameras: in a scene of an earlier version, under another number now")
def test_scene_of_an_earlier_version(app, widget, fakeCameras):
    rig = fakeCameras(Device("First"), Device("Second", **HAND))
    widget.logic.getParameterNode().source = "camera:200:Second"
    tick(app, widget)
    assert rig.isInUse(1) and not rig.isInUse(0)


@pytest.mark.fault("Cameras: a bare number is its own, not FFmpeg's or another")
def test_bare_number(app, widget, fakeCameras):
    rig = fakeCameras(Device("First"), Device("Second", **HAND))
    goLive(app, widget, rig.number(1))
    assert rig.isInUse(1)
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)
    widget.logic.setSource(rig.number(1) + 1)  # the metadata of the second
    tickUntilOff(app, widget, "cannot be opened")
    assert not rig.isInUse(0)


@pytest.mark.fault("Cameras: the list follows plugging without a click")
def test_list_follows(app, widget, fakeCameras):
    rig = fakeCameras(Device("First"), Device("Second"))
    finder = camerafinder.CameraFinder()  # the panel's has seen the folder before the rig was in front of it
    finder.found.connect(widget.sourcePanel.onCamerasFound)
    finder.find()
    assert app.spin(lambda: entries(widget)[:2] == ["First", "Second"], timeout=10)
    rig.unplug(0)
    assert app.spin(lambda: entries(widget)[0] == "Second", timeout=10)
    rig.plug(0)
    assert app.spin(lambda: "First" in entries(widget), timeout=10)
    finder.close()


@pytest.mark.fault("Cameras: the list is updated when the pointer comes to it")
def test_list_when_the_pointer_comes(app, widget, fakeCameras, monkeypatch):
    import qt

    monkeypatch.setattr(devicequery, "nodes", lambda: None)  # as on Windows and macOS
    fakeCameras(Device("First"))
    assert "First" not in entries(widget)
    qt.QApplication.sendEvent(widget.ui.sourceComboBox, qt.QEvent(qt.QEvent.Enter))
    assert app.spin(lambda: entries(widget)[0] == "First", timeout=10)


# Which mode


@pytest.mark.fault("Cameras: each resolution at 30 frames per second")
@pytest.mark.parametrize("size", [None, (640, 480), (1280, 720)])
def test_resolutions(app, widget, fakeCameras, tracked, size):
    fakeCameras(Device("Webcam", **HAND))
    assert refreshed(app, widget, "Webcam")
    box = widget.ui.resolutionComboBox
    choose(widget, "Webcam")
    assert [box.itemText(i) for i in range(box.count)] == ["As the camera has it", "640 × 480", "1280 × 720"]
    assert box.currentText == "{} × {}".format(*devices.DEFAULT_SIZE)
    index = box.findData(devices.resolutionOf(size))
    box.setCurrentIndex(index)
    widget.sourcePanel.onResolutionActivated(index)
    tick(app, widget)
    assert widget.logic.frame.imageSize == (size or (640, 480))
    assert app.spin(lambda: "frames/s" in widget.ui.modeLabel.text, timeout=10)
    app.spin(timeout=1.2)  # a whole period between two reports
    rate = widget.logic.worker.lastStatistics.sourceRate
    assert 13 < rate < 40, "10 per second is what YUYV has at 1280 x 720"


@pytest.mark.fault("Cameras: a resolution is remembered for each camera and changed while live")
def test_resolution_is_remembered(app, widget, fakeCameras):
    fakeCameras(Device("First", **HAND), Device("Second"))
    assert refreshed(app, widget, "First", "Second")
    choose(widget, "First")
    tick(app, widget)
    widget.logic.setResolution((640, 480))
    assert app.spin(lambda: widget.logic.frame and widget.logic.frame.imageSize == (640, 480), timeout=10)
    assert widget.logic.worker.state == "live"
    choose(widget, "Second")
    assert widget.ui.resolutionComboBox.currentText == "{} × {}".format(*devices.DEFAULT_SIZE)
    choose(widget, "First")
    assert widget.ui.resolutionComboBox.currentText == "640 × 480"


@pytest.mark.fault("Cameras: two buffers, so that a driver has one to fill while the other is decoded")
def test_two_buffers(app, widget, fakeCameras, monkeypatch):
    import cv2

    captures, VideoCapture = [], cv2.VideoCapture

    def noted(*arguments):
        captures.append(VideoCapture(*arguments))
        return captures[-1]

    monkeypatch.setattr(cv2, "VideoCapture", noted)
    fakeCameras(Device("Webcam", **HAND))
    chooseWebcam(app, widget)
    tick(app, widget)
    assert [capture.get(cv2.CAP_PROP_BUFFERSIZE) for capture in captures] == [2.0]


# What can be in the way


@pytest.mark.fault("Cameras: used by another program")
def test_busy(app, widget, fakeCameras):
    rig = fakeCameras(Device("Webcam", **HAND))
    chooseWebcam(app, widget)
    code = "import cv2; capture = cv2.VideoCapture(200); print(capture.read()[0], flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code], env=rig.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "True\n"
    tickUntilOff(app, widget, "used by another program")
    other.communicate("\n")
    tick(app, widget)


@pytest.mark.fault("Cameras: the user may not open it")
def test_denied(app, widget, fakeCameras):
    rig = fakeCameras(Device("Webcam", **HAND))
    chooseWebcam(app, widget)
    rig.set(0, "denied")
    tickUntilOff(app, widget, f"The user {getpass.getuser()} may not open the camera /dev/video0")
    rig.set(0, "works")
    tick(app, widget)


@pytest.mark.fault("Cameras: the stream cannot be started")
@pytest.mark.parametrize("situation", ["noStart", "noBandwidth"])
def test_stream_cannot_be_started(app, widget, fakeCameras, monkeypatch, situation):
    monkeypatch.setattr(framereader, "WAKING_TIME_S", 1.0)
    rig = fakeCameras(Device("Webcam", **HAND))
    chooseWebcam(app, widget)
    rig.set(0, situation)
    tickUntilOff(app, widget, "has sent no frame")
    rig.set(0, "works")
    tick(app, widget)


@pytest.mark.fault("Cameras: the stream can be started from 2 s on only")
def test_stream_starts_later(app, widget, fakeCameras):
    rig = fakeCameras(Device("Webcam", **HAND))
    chooseWebcam(app, widget)
    rig.set(0, "noStart")
    widget.ui.liveCheckBox.setChecked(True)
    app.spin(timeout=2.0)
    rig.set(0, "works")
    tick(app, widget)


@pytest.mark.fault("Cameras: reads fail for 3 s until it is awake")
def test_waking(app, widget, fakeCameras):
    rig = fakeCameras(Device("Webcam", **HAND))
    chooseWebcam(app, widget)
    rig.set(0, "waking", 3.0)
    tick(app, widget)


@pytest.mark.fault("Cameras: takes 6 s to open")
def test_slow_opening(app, widget, fakeCameras):
    rig = fakeCameras(Device("Webcam", **HAND, openingS=6.0))
    widget.logic.setSource(devices.Camera(200, "#0"))
    del rig
    widget.logic.getParameterNode().source = "camera:0:#0"
    widget.ui.liveCheckBox.setChecked(True)
    assert app.spin(lambda: "Still opening" in status(widget), timeout=30)
    assert app.spin(lambda: widget.logic.frame and widget.logic.frame.hands, timeout=30), status(widget)


@pytest.mark.fault("Cameras: not opened a second time while the first opening is under way")
def test_opened_once(app, widget, fakeCameras, monkeypatch):
    import cv2

    fakeCameras(Device("Webcam", **HAND, openingS=5.0))
    monkeypatch.setattr(devicequery, "_linuxModes", lambda path: ())  # which opens it as well, and takes as long
    opening, most = [], []
    VideoCapture = cv2.VideoCapture

    def counted(*arguments):
        opening.append(arguments)
        most.append(len(opening))
        try:
            return VideoCapture(*arguments)
        finally:
            opening.pop()

    monkeypatch.setattr(cv2, "VideoCapture", counted)
    widget.logic.getParameterNode().source = "camera:0:#0"
    widget.ui.liveCheckBox.setChecked(True)
    assert app.spin(lambda: opening, timeout=30)
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)
    tick(app, widget)
    assert max(most) == 1


@pytest.mark.fault("Cameras: silent, Live off and on again at once")
def test_silent(app, widget, fakeCameras):
    rig = fakeCameras(Device("Webcam", **HAND))
    chooseWebcam(app, widget)
    tick(app, widget)
    rig.set(0, "silent")
    app.spin(timeout=1.5)
    assert widget.logic.worker.state == "live", "it may come back"
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)
    assert not rig.isInUse(0), "given back before Live is off"
    rig.set(0, "works")
    tick(app, widget)


@pytest.mark.fault("Cameras: silent from the start")
def test_silent_from_the_start(app, widget, fakeCameras, monkeypatch):
    monkeypatch.setattr(framereader, "WAKING_TIME_S", 2.0)
    rig = fakeCameras(Device("Webcam", **HAND))
    chooseWebcam(app, widget)
    rig.set(0, "silent")
    tickUntilOff(app, widget, "has sent no frame for 2 seconds")
    rig.set(0, "works")
    tick(app, widget)


@pytest.mark.fault("Cameras: transfers fail for 2 s, then it goes on")
def test_failing_transfers(app, widget, fakeCameras, tracked):
    rig = fakeCameras(Device("Webcam", **HAND))
    chooseWebcam(app, widget)
    tick(app, widget)
    rig.set(0, "failing")
    app.spin(timeout=2.0)
    assert widget.logic.worker.state == "live", "it is still plugged in"
    rig.set(0, "works")
    assert more(app, tracked)


@pytest.mark.fault("Cameras: 60 % of the frames are lost, others are cut short")
def test_bad_transfers(app, widget, fakeCameras, tracked):
    rig = fakeCameras(Device("Webcam", **HAND))
    chooseWebcam(app, widget)
    rig.set(0, "lossy", 0.6)
    tick(app, widget)
    assert more(app, tracked, 10)
    rig.set(0, "corrupt")
    app.spin(timeout=1.0)
    assert widget.logic.worker.state == "live"
    rig.set(0, "works")
    assert more(app, tracked)


@pytest.mark.fault("Cameras: the driver hangs")
def test_hanging(app, widget, fakeCameras, monkeypatch):
    monkeypatch.setattr(framereader, "RELEASE_TIME_S", 0.3)
    rig = fakeCameras(Device("Webcam", **HAND))
    chooseWebcam(app, widget)
    tick(app, widget)
    rig.set(0, "hanging")
    app.spin(timeout=0.3)
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)
    assert not widget.ui.liveCheckBox.checked
    rig.set(0, "works")
    tick(app, widget)


@pytest.mark.skipif(os.name != "posix", reason="the demo's cameras are played on Linux only")
@pytest.mark.fault("Cameras: the real clip through a camera is the clip")
@pytest.mark.parametrize("fourcc", ["YUYV", "MJPG"])
def test_same_landmarks_as_the_file(app, widget, fakeCameras, shared, tracked, fourcc):
    """What the formats do to the image moves the landmarks little: by 0.8 % of the hand's size with a kernel's YUYV."""
    fakeCameras(Device("Webcam", shared / "clips" / "hand_desk.mp4", [Mode(fourcc, 720, 720, 30)], seconds=3.0))
    chooseWebcam(app, widget)
    tick(app, widget)
    assert more(app, tracked, 60)
    throughCamera = [frame.hands["Right"].imagePx for frame in tracked if "Right" in frame.hands]
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)
    tracked.clear()
    widget.logic.getParameterNode().everyFrame = True
    widget.logic.setSource(shared / "clips" / "hand_desk.mp4")
    widget.ui.liveCheckBox.setChecked(True)
    settled(app, widget.logic)
    inFile = np.array([frame.hands["Right"].imagePx for frame in tracked if "Right" in frame.hands])
    size = np.median(np.ptp(inFile, axis=1).max(axis=1))
    # The camera's clock is not the clip's, so each frame is compared with the one of the clip that it shows.
    nearest = [np.linalg.norm(inFile - hand, axis=2).mean(axis=1).min() for hand in throughCamera]
    assert np.median(nearest) < 0.02 * size


def test_demo_with_a_fake_camera(tmp_path, shared):
    from tests.test_demo import demo

    process, figures = demo(tmp_path, "--fake-camera", str(shared / "clips" / "hand_desk.mp4"), "--frames", "60")
    assert process.returncode == 0, process.stderr
    assert figures["frames_tracked"] > 40 and figures["hands_left"] == 0  # in its first ten frames there is none
    assert (tmp_path / "LiveHandDemo.png").exists()
