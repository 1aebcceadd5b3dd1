"""Nothing breaks it: every fault that can be made, in the host that keeps the GIL, against the real module and panel.

What holds after each of them is checked by the fixture ``unharmed``, see :mod:`faults`.
"""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import SAMPLE_CLIP, settled
from faults import assertTold, panel, status
from LiveHandLib import camera
from test_live import goLive, tracked  # noqa: F401

pytestmark = [pytest.mark.usefixtures("model", "unharmed")]


def tick(app, widget, source=None) -> None:
    """Choose a source and tick Live."""
    if source is not None:
        widget.logic.setSource(source)
    widget.ui.liveCheckBox.setChecked(True)


def tickInVain(app, widget, source, words: str) -> None:
    """The same, and Live goes off again for a reason that the panel tells."""
    tick(app, widget, source)
    settled(app, widget.logic)
    assertTold(widget, words)


def more(app, tracked, frames: int = 3) -> bool:  # noqa: F811
    """Whether so many more pictures are looked at."""
    before = len(tracked)
    return app.spin(lambda: len(tracked) >= before + frames, timeout=10)


# Camera


class Driver:
    """A camera with a driver that can be told to fail, which no real one can: stands in for ``cv2.VideoCapture``.

    :ivar pictures: function from a picture's number to what ``read`` returns; the sample clip's hand if not replaced.
    :ivar hang: ``read`` does not return while it is cleared.
    """

    def __init__(self, picture: np.ndarray) -> None:
        self.pictures = lambda number: (True, picture)
        self.hang = threading.Event()
        self.hang.set()
        self.isPlugged = True
        self.captures: list[Driver._Capture] = []

    def open(self, *_arguments):
        """In place of ``cv2.VideoCapture``."""
        self.captures.append(self._Capture(self))
        return self.captures[-1]

    @property
    def areAllReleased(self) -> bool:
        return all(capture.isReleased for capture in self.captures)

    class _Capture:
        def __init__(self, driver) -> None:
            self.driver, self.number, self.isReleased = driver, 0, False

        def isOpened(self):
            return self.driver.isPlugged

        def set(self, *_arguments):
            return False

        def read(self):
            time.sleep(0.02)
            self.driver.hang.wait()
            if not self.driver.isPlugged:
                return False, None
            self.number += 1
            return self.driver.pictures(self.number)

        def release(self):
            self.isReleased = True


@pytest.fixture
def handPicture() -> np.ndarray:
    import cv2

    return cv2.VideoCapture(str(SAMPLE_CLIP)).read()[1]


@pytest.fixture
def driver(monkeypatch, unharmed, app, handPicture):
    """A camera's driver to be told to fail; every camera is released in the end."""
    import cv2

    driver = Driver(handPicture)
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", driver.open)
        yield driver
        driver.hang.set()
        panel().logic.stop()
        settled(app, panel().logic)
    assert app.spin(lambda: driver.areAllReleased, timeout=10)


@pytest.mark.fault("Camera: unplugged while live")
def test_camera_unplugged(app, widget, driver):
    goLive(app, widget, 0)
    driver.isPlugged = False
    settled(app, widget.logic)
    assertTold(widget, "stopped sending pictures")


@pytest.mark.fault("Camera: gone at start")
def test_camera_gone_at_start(app, widget):
    tickInVain(app, widget, 97, "cannot be opened")


@pytest.mark.fault("Camera: held by another program")
def test_camera_held_by_another_program(app, widget, driver):
    driver.pictures = lambda number: (False, None)
    tickInVain(app, widget, 0, "no other program uses it")


@pytest.mark.fault("Camera: opens but never delivers a picture")
def test_camera_that_never_delivers(app, widget, driver, monkeypatch):
    monkeypatch.setattr(camera, "OPENING_TIME_S", 0.3)
    monkeypatch.setattr(camera, "RELEASE_TIME_S", 0.1)
    driver.hang.clear()
    tickInVain(app, widget, 0, "has sent no picture")


@pytest.mark.fault("Camera: a picture every 5 s (here 0.5 s)")
def test_camera_that_is_slow(app, widget, driver, tracked, monkeypatch, handPicture):  # noqa: F811
    monkeypatch.setattr(camera, "SILENCE_TIME_S", 1.5)
    driver.pictures = lambda number: (time.sleep(0.5), (True, handPicture))[1]
    goLive(app, widget, 0)
    assert more(app, tracked, 4)
    assert widget.logic.worker.state == "live" and widget.ui.liveCheckBox.checked


@pytest.mark.fault("Camera: freezes and comes back")
def test_camera_that_freezes_and_comes_back(app, widget, driver, tracked):  # noqa: F811
    goLive(app, widget, 0)
    driver.hang.clear()
    app.spin(timeout=1.0)
    frozen = len(tracked)
    app.spin(timeout=0.5)
    assert len(tracked) == frozen
    driver.hang.set()
    assert more(app, tracked)
    assert widget.logic.worker.state == "live"


@pytest.mark.fault("Camera: freezes for good and comes back when Live is off")
def test_camera_that_comes_back_too_late(app, widget, driver, monkeypatch):
    monkeypatch.setattr(camera, "SILENCE_TIME_S", 0.3)
    monkeypatch.setattr(camera, "RELEASE_TIME_S", 0.1)
    goLive(app, widget, 0)
    driver.hang.clear()
    settled(app, widget.logic)
    assertTold(widget, "has sent no picture")
    assert not driver.areAllReleased
    driver.hang.set()
    app.spin(timeout=1.0)  # in which no Python runs but LiveHand's own
    assert driver.areAllReleased, "the camera's light must not stay on until somebody runs Python"


@pytest.mark.fault("Camera: read() never returns, Live off")
def test_read_that_never_returns_does_not_keep_live_on(app, widget, driver, monkeypatch):
    monkeypatch.setattr(camera, "RELEASE_TIME_S", 0.1)
    goLive(app, widget, 0)
    driver.hang.clear()
    app.spin(timeout=0.2)
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)
    assert not widget.ui.liveCheckBox.checked and status(widget) == ""
    widget.logic.setSource(SAMPLE_CLIP)
    driver.hang.set()


@pytest.mark.fault("Camera: changes resolution in mid-stream")
def test_camera_that_changes_resolution(app, widget, driver, tracked, handPicture):  # noqa: F811
    import cv2

    sizes = [(640, 480), (320, 240), (1280, 720), (360, 640), (641, 479)]
    pictures = [cv2.resize(handPicture, size) for size in sizes]
    driver.pictures = lambda number: (True, pictures[number // 3 % len(pictures)])
    widget.logic.getParameterNode().showInSliceView = True
    goLive(app, widget, 0)
    assert app.spin(lambda: {frame.imageSize for frame in tracked} == set(sizes), timeout=30)
    assert not status(widget).startswith("⚠")


def unusual(kind: str) -> np.ndarray:
    """A picture as cameras seldom send it."""
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    return {
        "black": np.zeros((480, 640, 3), np.uint8),
        "noise": noise,
        "a single channel": noise[:, :, 0].copy(),
        "a single channel of three dimensions": noise[:, :, :1].copy(),
        "four channels": np.dstack([noise, noise[:, :, 0]]),
        "16 bit": noise.astype(np.uint16) << 8,
        "an odd size": noise[:333, :517].copy(),
        "16 x 16 px": noise[:16, :16].copy(),
        "8K": np.tile(noise, (9, 12, 1)),
    }[kind]


KINDS = (
    "black", "noise", "a single channel", "a single channel of three dimensions", "four channels", "16 bit",
    "an odd size", "16 x 16 px", "8K",
)  # fmt: skip


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.fault(f"Camera: sends {kind}")) for kind in KINDS]
)
def test_pictures_of_any_kind(app, widget, driver, tracked, kind):  # noqa: F811
    picture = unusual(kind)
    driver.pictures = lambda number: (True, picture)
    widget.ui.previewCollapsibleButton.collapsed = False
    widget.logic.getParameterNode().showInSliceView = kind != "8K"
    tick(app, widget, 0)
    assert more(app, tracked), status(widget)
    assert tracked[-1].imageSize == picture.shape[1::-1]
    assert not status(widget).startswith("⚠")


@pytest.mark.fault("Camera: sends what is no picture")
@pytest.mark.parametrize(
    "shape, kind", [((48, 64, 2), np.uint8), ((48, 64, 3), float), ((0, 64, 3), np.uint8), ((1, 64), np.uint8)]
)
def test_what_is_no_picture(app, widget, driver, shape, kind):
    driver.pictures = lambda number: (True, np.zeros(shape, kind))
    tickInVain(app, widget, 0, "pictures of an unknown kind")


@pytest.mark.fault("Camera: a clip that ends")
def test_clip_that_ends(app, widget):
    widget.logic.getParameterNode().everyFrame = True
    tick(app, widget, SAMPLE_CLIP)
    settled(app, widget.logic)
    assert status(widget) == "The file has been played to its end."
    widget.logic.getParameterNode().everyFrame = False


@pytest.mark.fault("Camera: a clip that is cut off")
def test_clip_that_is_cut_off(app, widget, tmp_path, writeClip):
    whole = Path(writeClip(60, 100.0)).read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(whole[: len(whole) // 2])
    tick(app, widget, path)
    settled(app, widget.logic)
    assert widget.logic.worker.lastStatistics.framesRead in range(1, 60)
    assert status(widget) == "The file has been played to its end."


@pytest.mark.fault("Camera: a clip that was cut off before its index")
def test_clip_without_its_index(app, widget, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(SAMPLE_CLIP.read_bytes()[:1000])
    tickInVain(app, widget, path, "cannot be read as a video")


@pytest.mark.fault("Camera: a clip of 0 bytes")
@pytest.mark.parametrize("name", ["empty.mp4", "empty.png"])
def test_clip_of_no_bytes(app, widget, tmp_path, name):
    (tmp_path / name).touch()
    tickInVain(app, widget, tmp_path / name, f"{name} cannot be read as a video")


@pytest.mark.fault("Camera: a file that is no video")
@pytest.mark.parametrize("name", ["text.mp4", "text.png", "text"])
def test_file_that_is_no_video(app, widget, tmp_path, name):
    (tmp_path / name).write_text("no video at all " * 100)
    tickInVain(app, widget, tmp_path / name, f"{name} cannot be read as a video")


@pytest.mark.fault("Camera: a picture that is cut off")
def test_picture_that_is_cut_off(app, widget, tmp_path, handPicture):
    import cv2

    path = tmp_path / "cut.png"
    path.write_bytes(cv2.imencode(".png", handPicture)[1].tobytes()[:30])
    tickInVain(app, widget, path, "cut.png cannot be read as a video")


@pytest.mark.fault("Camera: a clip whose name has spaces and non-ASCII letters")
def test_clip_with_any_name(app, widget, tmp_path, tracked):  # noqa: F811
    folder = tmp_path / "Händé 手 {0} % clip"
    folder.mkdir()
    path = folder / "ma vidéo 手 {detail}.mp4"
    path.write_bytes(SAMPLE_CLIP.read_bytes())
    goLive(app, widget, path)
    assert more(app, tracked)
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)
    path.unlink()
    tickInVain(app, widget, path, path.name)


@pytest.mark.fault("Camera: a clip whose path is gone before it is played")
def test_clip_that_is_gone(app, widget, tmp_path):
    tickInVain(app, widget, tmp_path / "gone" / "clip.mp4", "There is no file")
    tickInVain(app, widget, tmp_path, "There is no file")


@pytest.mark.fault("Camera: a clip whose path disappears while it is played")
def test_clip_that_disappears(app, widget, tmp_path, tracked):  # noqa: F811
    path = tmp_path / "clip.mp4"
    path.write_bytes(SAMPLE_CLIP.read_bytes())
    goLive(app, widget, path)
    path.write_bytes(b"")  # as when a network drive goes away; what is deleted only can be read on
    path.unlink()
    settled(app, widget.logic)
    assert not widget.ui.liveCheckBox.checked
    tickInVain(app, widget, path, "There is no file")


@pytest.mark.fault("Camera: the list of cameras changes while the drop-down is open")
def test_cameras_change_while_the_drop_down_is_open(app, widget):
    widget.logic.setSource(SAMPLE_CLIP)
    widget.onCamerasFound((camera.Camera(200, "One"), camera.Camera(202, "Two")))
    box = widget.ui.sourceComboBox
    box.showPopup()
    app.spin(timeout=0.05)
    for cameras in ((camera.Camera(202, "Two"),), (), (camera.Camera(204, "Three"), camera.Camera(202, "Two"))):
        widget.onCamerasFound(cameras)
        app.spin(timeout=0.05)
        shown = [box.itemText(index) for index in range(box.count)]
        assert shown[: len(cameras)] == [one.name for one in cameras]
        assert box.currentText == "Sample clip", "what is chosen stays chosen"
    box.setCurrentIndex(1)
    box.hidePopup()
    widget.onSourceActivated(1)
    assert widget.logic.getParameterNode().source == "camera:202:Two"
    widget.onCamerasFound(())
    assert box.currentText == "Two (not found)"
