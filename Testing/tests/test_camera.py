"""Reading frames: real files, real OpenCV. A camera is stood in for only where a fault needs a driver's help."""

import shutil
import threading
import time

import numpy as np
import pytest

from LiveHandLib.camera import framereader
from LiveHandLib.errors import LiveHandError
from support.helpers import liveHandThreads
from support.paths import SAMPLE_CLIP

pytestmark = pytest.mark.usefixtures("model")  # which imports OpenCV, as the worker does first


def read(source, everyFrame=True, pause=0.0) -> tuple[list[framereader.Frame], framereader.FrameReader]:
    """All frames of a source, taken with a pause between them, s."""
    reader = framereader.FrameReader(source, everyFrame)
    reader.start()
    frames = []
    try:
        while True:
            frame = reader.next(5)
            assert frame is not None, "no frame within 5 s"
            frames.append(frame)
            time.sleep(pause)
    except EOFError:
        return frames, reader
    finally:
        assert reader.close()
        assert liveHandThreads() == []


def test_every_frame_of_a_clip(writeClip):
    frames, reader = read(writeClip(50, 25.0))
    assert [frame.number for frame in frames] == list(range(50))
    assert [frame.timestampMs for frame in frames] == [40 * number for number in range(50)]
    assert reader.framesDropped == 0
    grey = [frame.image.mean() for frame in frames]
    assert np.allclose(grey, 2 * np.arange(50), atol=3), "the images are the ones their numbers say"


@pytest.mark.parametrize("name", ["one_hand_1.jpg", "clip"])
def test_mirrored_images_are_mirrored_back(shared, name):
    source = str(shared / "photos" / name) if name.endswith("jpg") else str(SAMPLE_CLIP)
    images = []
    for mirrored in (False, True):
        reader = framereader.FrameReader(source, everyFrame=True, mirrored=mirrored)
        reader.start()
        images.append(reader.next(5).image)
        assert reader.close()
    assert np.array_equal(images[1], images[0][:, ::-1])
    assert not np.array_equal(*images)


def test_clip_at_its_own_pace_drops_what_nobody_takes(writeClip):
    frames, reader = read(writeClip(40, 100.0), everyFrame=False, pause=0.03)
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 40
    assert len(numbers) + reader.framesDropped == 40
    # What is taken is the newest: its image is the one of its number, and its number that of its time.
    assert np.allclose([frame.image.mean() for frame in frames], 2 * np.array(numbers), atol=3)
    due = [frame.captureTime - frames[0].captureTime for frame in frames]
    assert np.allclose(np.diff(due[1:]), np.diff(numbers[1:]) / 100.0, atol=1e-6)


def test_reader_holds_one_frame_only(writeClip):
    reader = framereader.FrameReader(writeClip(60, 100.0), everyFrame=False)
    reader.start()
    time.sleep(0.2)
    assert reader.next(1).number == 0, "a clip begins to play when its first frame is taken"
    while reader.is_alive():
        time.sleep(0.01)
    assert reader.next(1).number == 59
    assert reader.framesDropped == 58
    with pytest.raises(EOFError):
        reader.next(1)


def test_photograph_is_a_clip_of_one_frame(shared):
    # OpenCV would take the digit for the number of a sequence and go on with one_hand_2.jpg.
    frames, _reader = read(str(shared / "photos" / "one_hand_1.jpg"))
    assert [frame.image.shape for frame in frames] == [(512, 384, 3)]


def test_names_with_spaces_and_other_letters(writeClip, tmp_path):
    folder = tmp_path / "Händé 手 clip"
    folder.mkdir()
    path = folder / "ma vidéo 手.avi"
    shutil.move(writeClip(5, 30.0), path)
    assert len(read(str(path))[0]) == 5
    import cv2

    path = folder / "手.png"
    path.write_bytes(cv2.imencode(".png", np.zeros((40, 30, 3), np.uint8))[1].tobytes())
    assert read(str(path))[0][0].image.shape == (40, 30, 3)


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, "fileMissing"),
        (b"", "notAVideo"),
        (b"no video at all " * 100, "notAVideo"),
        (SAMPLE_CLIP.read_bytes()[:1000], "notAVideo"),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".png"])
def test_files_that_are_no_video(tmp_path, content, reason, suffix):
    path = tmp_path / f"file{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LiveHandError) as error:
        read(str(path))
    assert error.value.reason == reason
    assert error.value.details["path"] == str(path)


def test_camera_that_does_not_exist():
    with pytest.raises(LiveHandError) as error:
        read(97)
    assert error.value.reason == "cameraNotFound"


class FakeCapture:
    """A ``cv2.VideoCapture`` with a driver that fails when a test wants it; no real one does."""

    def __init__(self, *_arguments) -> None:
        self.hang = threading.Event()
        self.images = [np.zeros((48, 64, 3), np.uint8)] * 3
        self.released = False

    def isOpened(self):
        return True

    def set(self, *_arguments):
        return True

    def get(self, *_arguments):
        return 0.0

    def read(self):
        if self.images:
            return True, self.images.pop()
        self.hang.wait()
        return False, None

    def release(self):
        self.released = True


@pytest.fixture
def fakeCapture(monkeypatch):
    import cv2

    capture = FakeCapture()
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_arguments: capture)
    return capture


def test_camera_that_hangs_does_not_keep_anyone(fakeCapture, monkeypatch):
    monkeypatch.setattr(framereader, "RELEASE_TIME_S", 0.1)
    monkeypatch.setattr(framereader, "SILENCE_TIME_S", 0.2)
    reader = framereader.FrameReader(0)
    reader.start()
    with pytest.raises(LiveHandError) as error:
        while True:
            reader.next(0.05)
    assert error.value.reason == "cameraSilent"
    assert not reader.close(), "it says that the driver keeps the camera"
    fakeCapture.hang.set()
    reader.join(5)
    assert fakeCapture.released, "and gives it back as soon as the driver lets it"


def test_camera_that_is_unplugged(fakeCapture):
    fakeCapture.hang.set()
    with pytest.raises(LiveHandError) as error:
        read(0)
    assert error.value.reason == "cameraLost"
    assert fakeCapture.released


@pytest.mark.parametrize(
    "image",
    [
        np.full((48, 64), 100, np.uint8),
        np.full((48, 64, 1), 100, np.uint8),
        np.full((48, 64, 4), 100, np.uint8),
        np.full((48, 64, 3), 100 * 256, np.uint16),
        np.full((16, 17, 3), 100, np.uint8),
    ],
)
def test_any_image_becomes_rgb(image):
    result = framereader.toRgb(image)
    assert result.shape == (*image.shape[:2], 3) and result.dtype == np.uint8
    assert (result == 100).all()


def test_blue_stays_blue():
    assert framereader.toRgb(np.full((16, 16, 3), (255, 0, 0), np.uint8))[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 64, 2), np.uint8),
        np.zeros((48, 64, 3), float),
        np.zeros((0, 64, 3), np.uint8),
        np.zeros((1, 64, 3), np.uint8),
        np.zeros((48, 15, 3), np.uint8),
    ],
)
def test_other_images_are_refused(image):
    with pytest.raises(LiveHandError) as error:
        framereader.toRgb(image)
    assert error.value.reason == "imageUnusable"
