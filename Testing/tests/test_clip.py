"""Reading people's video and image files: made here with known times, shapes and damages, read by real OpenCV."""

import math
from pathlib import Path

import numpy as np
import pytest

from LiveHandLib.camera import clip, container, framereader
from LiveHandLib.errors import LiveHandError
from support import videofiles
from support.helpers import settled
from support.videofiles import write

pytestmark = pytest.mark.usefixtures("model")


def read(path) -> tuple[list[tuple[int, float, np.ndarray]], clip.Clip]:
    """All frames of a file: their numbers, times in ms and images."""
    file = clip.openClip(str(path))
    try:
        frames = []
        while (pixels := file.read()) is not None:
            frames.append((file.number, 1000.0 * file.timeS, pixels))
        assert file.read() is None and not file.skip(), "it stays at its end"
        return frames, file
    finally:
        file.close()


def timesMs(frames) -> np.ndarray:
    return np.array([time for _number, time, _pixels in frames])


@pytest.fixture
def put(tmp_path):
    """Writes bytes into a file."""

    def put(data: bytes, name: str = "clip.mp4") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return put


# Times

VARIABLE = [*(index / 30 for index in range(20)), *(20 / 30 + index / 10 for index in range(20))]
TIMES_S = {
    "regular": [index / 30 for index in range(40)],
    "variable": VARIABLE,
    "timelapse": [2.0 * index for index in range(40)],
    "dropped": [index / 30 for index in range(60) if index % 10 not in (3, 4, 5) or index > 45][:40],
    "1000 a second": [index / 1000 for index in range(40)],
    "long pause": [index / 30 + (120.0 if index > 20 else 0.0) for index in range(40)],
}


@pytest.mark.parametrize("kind", TIMES_S)
def test_times_are_the_containers(tmp_path, put, kind):
    times = TIMES_S[kind][:40]
    data = write(tmp_path / "made.mp4", len(times), 1000.0 if "1000" in kind else 30.0)
    frames, file = read(put(videofiles.withTimes(data, times)))
    assert [index for index, _time, _pixels in frames] == list(range(len(times)))
    assert np.allclose([videofiles.number(pixels) for *_rest, pixels in frames], np.arange(len(times)), atol=1)
    assert np.allclose(timesMs(frames), 1000.0 * np.array(times), atol=0.2)
    assert file.framesUnreadable == 0


def test_frames_of_the_reader_have_these_times(tmp_path, put):
    path = put(videofiles.withTimes(write(tmp_path / "made.mp4"), VARIABLE))
    reader = framereader.FrameReader(str(path), everyFrame=True)
    reader.start()
    frames = [reader.next(5) for _frame in VARIABLE]
    reader.close()
    assert [frame.timestampMs for frame in frames] == [round(1000.0 * time) for time in VARIABLE]


def test_the_pace_is_that_of_the_times(tmp_path, put):
    times = [index / 100 for index in range(10)] + [0.1 + index / 20 for index in range(10)]
    reader = framereader.FrameReader(str(put(videofiles.withTimes(write(tmp_path / "made.mp4", 20), times))))
    reader.start()
    frames = [reader.next(5)]
    while len(frames) == 1 or frames[-1].number < 19:
        frames.append(reader.next(5))
    reader.close()
    due = np.array([frame.captureTime for frame in frames[1:]])
    assert np.allclose(due - due[0], [times[frame.number] - times[frames[1].number] for frame in frames[1:]], atol=1e-3)


@pytest.mark.parametrize("name, codec", [("c.mkv", "MJPG"), ("c.webm", "VP80"), ("c.avi", "MJPG"), ("c.avi", "XVID")])
def test_times_in_other_containers(tmp_path, name, codec):
    write(tmp_path / name, 20, 25.0, codec)
    frames, _file = read(tmp_path / name)
    assert np.allclose(timesMs(frames), 40.0 * np.arange(20), atol=1)


def test_raw_motion_jpeg_has_no_times_and_is_played(put):
    for name in ("clip.mjpeg", "clip.mjpg", "clip.bin"):
        frames, _file = read(put(b"".join(map(videofiles.jpeg, range(20))), name))
        assert [videofiles.number(pixels) for _number, _time, pixels in frames] == list(range(20))
        steps = np.diff(timesMs(frames))
        assert np.allclose(steps, steps[0]) and 30 < steps[0] < 41


def clocked(timesS, rate=25.0) -> list[float]:
    clock = clip.Clock(rate)
    return [clock.next(time, 1) for time in timesS]


@pytest.mark.parametrize("nothing", [0.0, math.nan, math.inf, -9.2e15, 3.7e17])
def test_clock_without_times_has_the_rate(nothing):
    assert np.allclose(clocked([nothing] * 9), 0.04 * np.arange(9))
    assert np.allclose(clocked([nothing] * 9, rate=1000.0), np.arange(9) / 30)
    assert np.allclose(clocked([nothing] * 9, rate=math.nan), np.arange(9) / 30)
    assert np.allclose(clocked([nothing] * 9, rate=0.5), 2.0 * np.arange(9))


def test_clock_begins_at_the_first_frame():
    assert np.allclose(clocked(5.0 + 0.04 * np.arange(9)), 0.04 * np.arange(9))
    assert np.allclose(clocked([-0.08, 0.04, 0.08]), [0.0, 0.04, 0.08]), "a time of decoding"


def test_clock_that_is_wrong_once_goes_on_as_before():
    for wrong in (0.0, math.nan, 7000.0, -3.0, 0.12):
        times = 0.04 * np.arange(12)
        times[6] = wrong
        assert np.allclose(clocked(times), 0.04 * np.arange(12), atol=0.041), wrong
        assert np.allclose(clocked(times)[8:], 0.04 * np.arange(8, 12)), wrong


def test_clock_that_is_set_back_for_good_goes_on():
    assert np.allclose(clocked(np.r_[0.04 * np.arange(20), 0.1 * np.arange(1, 9)])[20:], 0.8 + 0.1 * np.arange(8))


def test_clock_never_goes_back():
    generator = np.random.default_rng(1)
    for _try in range(200):
        times = generator.choice([0.0, 1.0, 1e3, -1.0, math.nan, 1e18], 50) + generator.random(50)
        result = clocked(times, generator.choice([0.0, 30.0, 1e9, math.nan]))
        assert np.isfinite(result).all() and (np.diff(result) >= 0.0).all()


# Frames that cannot be decoded


@pytest.mark.parametrize("bad", [(20, 21, 22, 23), (5,), (3, 4, 30), tuple(range(6, 30)), (37, 38, 39)])
def test_bad_frames_are_passed_over_and_counted(tmp_path, put, bad):
    data = videofiles.withTimes(write(tmp_path / "made.mp4"), VARIABLE)
    frames, file = read(put(videofiles.withBadFrames(data, *bad)))
    good = [index for index in range(40) if index not in bad]
    assert [index for index, _time, _pixels in frames] == good
    assert np.allclose(timesMs(frames), 1000.0 * np.array(VARIABLE)[good], atol=0.2)
    assert file.framesUnreadable == len(bad)


def test_bad_frames_at_the_beginning(tmp_path, put):
    data = videofiles.withBadFrames(write(tmp_path / "made.mp4", codec="mp4v"), 0, 1)
    frames, file = read(put(data))
    assert len(frames) + file.framesUnreadable == 40 and file.framesUnreadable >= 2
    assert frames[-1][0] == 39 and np.isclose(frames[-1][1], 1000.0 * 39 / 30, atol=1)


def test_many_bad_frames(tmp_path, put):
    data = write(tmp_path / "made.mp4", 250)
    frames, file = read(put(videofiles.withBadFrames(data, *range(10, 240))))
    assert len(frames) == 20 and file.framesUnreadable == 230


def test_file_that_is_cut_off(tmp_path, put):
    data = videofiles.withIndexFirst(write(tmp_path / "made.mp4"))
    whole, _file = read(put(data))
    assert len(whole) == 40
    frames, file = read(put(data[: -(len(data) - videofiles.find(data, b"mdat")[0]) // 2]))
    assert 3 < len(frames) < 37 and len(frames) + file.framesUnreadable == 40


@pytest.mark.parametrize("name", ["clip.avi", "clip.mkv"])
def test_other_containers_that_are_cut_off(tmp_path, put, name):
    data = write(tmp_path / f"made_{name}", codec="MJPG")
    frames, file = read(put(data[: len(data) // 2], name))
    assert 3 < len(frames) < 37 and abs(len(frames) + file.framesUnreadable - 40) <= 1


def test_only_bad_frames_are_no_video(tmp_path, put):
    with pytest.raises(LiveHandError) as error:
        read(put(videofiles.withBadFrames(write(tmp_path / "made.mp4"), *range(40))))
    assert error.value.reason == "notAVideo"


# Codecs


@pytest.mark.parametrize("code, name", [(b"av01", "AV1"), (b"vvc1", "H.266"), (b"zzzz", "zzzz")])
def test_missing_codec_is_named(tmp_path, put, code, name):
    with pytest.raises(LiveHandError) as error:
        read(put(videofiles.withCodec(write(tmp_path / "made.mp4"), code)))
    assert error.value.reason == "codecMissing" and error.value.details == {"codec": name}


def test_missing_codec_in_matroska_is_named(tmp_path, put):
    data = bytes(write(tmp_path / "made.mkv", codec="MJPG"))
    assert container.read(str(tmp_path / "made.mkv")).codec == "V_MJPEG"
    with pytest.raises(LiveHandError) as error:
        read(put(data.replace(b"\x86\x87V_MJPEG", b"\x86\x85V_AV1\xec\x80"), "clip.mkv"))
    assert error.value.reason == "codecMissing" and error.value.details == {"codec": "AV1"}


# The shape of pixels, and the way up


@pytest.mark.parametrize(
    "aspect, size",
    [
        ((4, 3), (171, 96)),
        ((64, 45), (182, 96)),
        ((8, 9), (128, 108)),
        ((1, 1), (128, 96)),
        ((0, 1), (128, 96)),
        ((1, 0), (128, 96)),
        ((1000, 1001), (128, 96)),
        ((1000, 1), (128, 96)),
        ((1, 2**31), (128, 96)),
    ],
)
@pytest.mark.parametrize("isPortrait", [False, True])
def test_pixels_become_square(tmp_path, put, aspect, size, isPortrait):
    data = videofiles.withAspect(write(tmp_path / "made.mp4", 3), *aspect)
    if isPortrait:
        data = videofiles.withMatrix(data, 0, 1, -1, 0)
    frames, _file = read(put(data))
    assert {pixels.shape[1::-1] for _number, _time, pixels in frames} == {size[::-1] if isPortrait else size}


MATRICES = (
    (1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0),  # clockwise by 0, 90, 180, 270 degrees
    (1, 0, 0, -1), (0, 1, 1, 0), (-1, 0, 0, 1), (0, -1, -1, 0),  # the same of the image upside down in a mirror
)  # fmt: skip


@pytest.mark.parametrize("a, b, c, d", MATRICES)
@pytest.mark.parametrize("isAspect", [False, True])
@pytest.mark.parametrize("isUsersMirror", [False, True])
def test_eight_orientations(tmp_path, put, a, b, c, d, isAspect, isUsersMirror):
    data = videofiles.withMatrix(write(tmp_path / "made.mp4", 3), a, b, c, d)
    path = put(videofiles.withAspect(data, 2, 1) if isAspect else data)
    reader = framereader.FrameReader(str(path), everyFrame=True, mirrored=isUsersMirror)
    reader.start()
    pixels = reader.next(5).image
    reader.close()
    # The square's place from the middle, as the matrix has it.
    x, y = a * -1 + c * -1, b * -1 + d * -1
    x = -x if isUsersMirror else x
    assert videofiles.corner(pixels) == f"{'upper' if y < 0 else 'lower'} {'left' if x < 0 else 'right'}"
    assert pixels.shape[1::-1] == ((256 if isAspect else 128), 96)[:: 1 if a else -1]


# Images


@pytest.mark.parametrize(
    "orientation, place", [(1, "upper left"), (3, "lower right"), (6, "upper right"), (2, "upper right")]
)
def test_orientation_of_photographs(put, orientation, place):
    data = videofiles.withSegment(videofiles.jpeg(0), 0xE1, videofiles.exif(orientation))
    frames, _file = read(put(data, "photo_1.jpg"))
    assert len(frames) == 1 and videofiles.corner(frames[0][2]) == place
    assert frames[0][2].shape == ((128, 96, 3) if orientation == 6 else (96, 128, 3))


def test_photograph_with_a_gain_map_is_a_still(put):
    data = videofiles.withSegment(videofiles.jpeg(3), 0xE2, b"MPF\0") + videofiles.jpeg(4)
    frames, _file = read(put(data, "photo.jpg"))
    assert len(frames) == 1 and videofiles.number(frames[0][2]) == 3


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "avif"])
def test_animated_images_are_played(tmp_path, suffix):
    path = tmp_path / f"animation_1.{suffix}"
    durations = [100] * 5 + [250] * 4
    videofiles.writeAnimation(path, durations)
    frames, file = read(path)
    assert [index for index, _time, _pixels in frames] == list(range(9))
    assert np.allclose(timesMs(frames), np.cumsum([0, *durations[:-1]]), atol=1)
    if suffix != "gif":  # which OpenCV writes in few colors
        assert [videofiles.number(framereader.toRgb(pixels)) for *_rest, pixels in frames] == list(range(0, 36, 4))
    assert file.framesUnreadable == 0


def test_long_animations_are_decoded_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(clip, "CHUNK_BYTES", 200_000)
    videofiles.writeAnimation(tmp_path / "animation.webp", [40] * 10)
    frames, _file = read(tmp_path / "animation.webp")
    assert [videofiles.number(framereader.toRgb(pixels)) for *_rest, pixels in frames] == list(range(0, 40, 4))
    assert np.allclose(timesMs(frames), 40.0 * np.arange(10))


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"hevc"])
def test_heic_is_named(put, brand):
    # Neither what is inside nor the name matters: OpenCV would show the first of its tiles.
    data = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(500)
    for name in ("IMG_0001.HEIC", "photo.jpg"):
        with pytest.raises(LiveHandError) as error:
            read(put(data, name))
        assert error.value.reason == "imageKindUnreadable" and error.value.details["kind"] == "HEIC"


# Damaged headers


def test_damaged_headers_never_raise_nor_hang(tmp_path, put):
    generator = np.random.default_rng(0)
    files = [
        bytes(videofiles.withMatrix(write(tmp_path / "made.mp4", 5), -1, 0, 0, 1)),
        bytes(write(tmp_path / "made.mkv", 5, codec="MJPG")[:5000]),
        bytes(write(tmp_path / "made.avi", 5, codec="MJPG")[:5000]),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        videofiles.jpeg(0) * 2,
    ]
    index = videofiles.find(files[0], b"moov")
    for data in files:
        for _try in range(200):
            damaged = bytearray(data[: generator.integers(1, len(data) + 1)])
            for _place in range(generator.integers(0, 6)):
                at = generator.integers(*index) if data is files[0] else generator.integers(0, min(len(data), 400))
                if at < len(damaged):
                    damaged[at] = generator.choice([0, 1, 8, 255, generator.integers(256)])
            path = str(put(bytes(damaged)))
            assert isinstance(container.read(path), container.Container)
            assert isinstance(container.imageKind(path), container.ImageKind)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 4000, b"\xff" * 4000, b"\0\0\0\0ftyp", b"\0\0\0\x08moov" * 3000, b"\x1a\x45\xdf\xa3"],
    ids=("empty", "zeros", "ones", "box", "boxes", "EBML"),
)
def test_headers_of_nothing(put, content):
    path = str(put(content))
    assert container.read(path).frames is None and not container.read(path).isMirrored
    assert container.imageKind(path) == container.ImageKind()


# In the panel, each with the table's checks


def madeMp4(change, **options):
    return lambda path: path.write_bytes(change(write(path, **options)))


ENDED = "The file has been played to its end."
PLAYED = {
    # what it is: the file's name, how it is made, what is said at its end, frames read, and the last one's time in ms
    "variable frame rate": ("c.mp4", madeMp4(lambda data: videofiles.withTimes(data, VARIABLE)), ENDED, 40, 2567),
    "1000 frames/s by name": (
        "c.mp4",
        madeMp4(lambda data: videofiles.withTimes(data, TIMES_S["regular"]), rate=1000.0),
        ENDED, 40, 1300,
    ),
    "timelapse": ("c.mp4", madeMp4(lambda data: videofiles.withTimes(data, TIMES_S["timelapse"])), ENDED, 40, 78000),
    "raw Motion JPEG": (
        "c.mjpeg",
        lambda path: path.write_bytes(b"".join(map(videofiles.jpeg, range(20)))),
        ENDED, 20, 760,
    ),
    "animated image": ("c.webp", lambda path: videofiles.writeAnimation(path, [100] * 9), ENDED, 9, 800),
    "frames that cannot be decoded": (
        "c.mp4",
        madeMp4(lambda data: videofiles.withBadFrames(data, 20, 21, 22, 23)),
        "The file has been played to its end; 4 frames could not be decoded.", 36, 1300,
    ),
    "a clip that is cut off": (
        "c.mp4",
        madeMp4(lambda data: videofiles.withIndexFirst(data)[: -len(data[videofiles.frameBytes(data)[-1]])]),
        "The file has been played to its end; 1 frame could not be decoded.", 39, 1267,
    ),
}  # fmt: skip


def play(app, widget, path) -> list:
    """Tick Live with every frame of a file, until it goes off.

    :returns: the tracked frames.
    """
    frames = []
    parameterNode = widget.logic.getParameterNode()
    parameterNode.everyFrame = True
    widget.logic.setSource(path)
    widget.logic.worker.tracked.connect(frames.append)
    try:
        widget.ui.liveCheckBox.setChecked(True)
        settled(app, widget.logic)
    finally:
        widget.logic.worker.tracked.disconnect(frames.append)
        parameterNode.everyFrame = False
    return frames


@pytest.mark.parametrize("what", [pytest.param(what, marks=pytest.mark.fault(f"Field: {what}")) for what in PLAYED])
def test_files_of_people_are_played(app, widget, unharmed, tmp_path, what):
    name, make, end, frames, lastMs = PLAYED[what]
    make(tmp_path / name)
    tracked = play(app, widget, tmp_path / name)
    assert widget.ui.statusLabel.text == end
    assert widget.logic.worker.lastStatistics.framesRead == len(tracked) == frames
    assert abs(tracked[-1].timestampMs - lastMs) <= 1


@pytest.mark.fault("Field: pixels that are not square")
def test_pixels_that_are_not_square_in_the_panel(app, widget, unharmed, tmp_path):
    madeMp4(lambda data: videofiles.withAspect(data, 4, 3), frames=3)(tmp_path / "c.mp4")
    assert {frame.imageSize for frame in play(app, widget, tmp_path / "c.mp4")} == {(171, 96)}


@pytest.mark.fault("Field: mirrored clip")
def test_mirrored_clip_in_the_panel(app, widget, unharmed, tmp_path):
    madeMp4(lambda data: videofiles.withMatrix(data, 0, 1, 1, 0), frames=30)(tmp_path / "c.mp4")
    widget.logic.setPreview(True)
    shown = []
    widget.logic.worker.previewImage.connect(shown.append)
    try:
        play(app, widget, tmp_path / "c.mp4")
    finally:
        widget.logic.worker.previewImage.disconnect(shown.append)
        widget.logic.setPreview(False)
    assert shown and shown[0].shape[0] > shown[0].shape[1]
    assert videofiles.corner(shown[0][..., :3]) == "upper right", "upper left, in the preview's mirror"


UNREADABLE = {
    "photograph in HEIC": (
        "IMG_1.HEIC",
        lambda path: path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)),
        "is an image of the kind HEIC, which this OpenCV cannot read as a whole",
    ),
    "a codec that OpenCV lacks": (
        "c.mp4",
        madeMp4(lambda data: videofiles.withCodec(data, b"av01")),
        "This OpenCV cannot decode AV1 video",
    ),
}


@pytest.mark.parametrize("what", [pytest.param(what, marks=pytest.mark.fault(f"Field: {what}")) for what in UNREADABLE])
def test_files_that_cannot_be_read_are_told(app, widget, unharmed, tmp_path, what):
    from support.faults import assertReported

    name, make, words = UNREADABLE[what]
    make(tmp_path / name)
    assert play(app, widget, tmp_path / name) == []
    assertReported(widget, words)
