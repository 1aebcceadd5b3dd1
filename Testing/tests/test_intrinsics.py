"""The camera model: points, files, and what no camera has."""

import os

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LiveHandLib.calibration.intrinsics import GUESSED_FIELD_OF_VIEW_DEG, CalibrationFolder, Intrinsics, choose
from LiveHandLib.errors import LiveHandError

MATRIX = np.array([[812.5, 0.0, 331.25], [0.0, 809.75, 236.5], [0.0, 0.0, 1.0]])
DISTORTIONS = [
    [0.0] * 5,
    [0.08, -0.21, 0.0012, -0.0008, 0.11],
    [-0.28, 0.09, 0.0, 0.0],
    [0.01, 0.02, 0.001, 0.002, 0.03, 0.02, 0.01, 0.001],
    [0.01, 0.02, 0.001, 0.002, 0.03, 0.02, 0.01, 0.001, 0.003, -0.002, 0.002, 0.001, 0.0, 0.0],
]


def intrinsics(distortion=DISTORTIONS[1], **others) -> Intrinsics:
    return Intrinsics(**{"matrix": MATRIX, "distortion": distortion, "imageSize": (640, 480), "rmsPx": 0.25, **others})


# Points


def gridPx(columns: int = 9, rows: int = 7) -> np.ndarray:
    """Points all over the image, its edges included."""
    x, y = np.meshgrid(np.linspace(0, 640, columns), np.linspace(0, 480, rows))
    return np.stack([x.ravel(), y.ravel()], axis=1)


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_projecting_and_normalizing_are_inverse(distortion):
    camera = intrinsics(distortion)
    normalized = camera.normalized(gridPx())
    cameraMm = np.column_stack([normalized, np.ones(len(normalized))]) * np.linspace(200, 900, len(normalized))[:, None]
    assert np.abs(camera.project(cameraMm) - gridPx()).max() < 0.005


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_as_opencv_does_it_whose_first_pixels_centre_is_at_zero(distortion):
    camera = intrinsics(distortion)
    cameraMm = np.random.default_rng(1).uniform([-150, -120, 400], [150, 120, 800], (50, 3))
    inOpenCv = cv2.projectPoints(cameraMm, np.zeros(3), np.zeros(3), MATRIX, np.array(distortion))[0].reshape(-1, 2)
    assert np.abs(camera.project(cameraMm) - (inOpenCv + 0.5)).max() < 1e-9
    assert np.abs(camera.normalized(inOpenCv + 0.5) - cameraMm[:, :2] / cameraMm[:, 2:]).max() < 5e-6


def test_corners_beyond_where_the_distortion_turns_back_stay_in_their_direction():
    camera = Intrinsics([[320, 0, 319.5], [0, 320, 239.5], [0, 0, 1]], [-0.25, 0.0, 0.0, 0.0], (640, 480))
    pinhole = Intrinsics(camera.matrix, np.zeros(4), (640, 480))
    seen, linear = camera.normalized(gridPx()), pinhole.normalized(gridPx())
    again = camera.project(np.column_stack([seen, np.ones(len(seen))]))
    assert np.abs(again - gridPx()).max() > 50, "the image's corners are such points"
    directions = np.arctan2(*seen.T), np.arctan2(*linear.T)
    assert directions[0] == pytest.approx(directions[1], abs=1e-9)
    assert (np.hypot(*seen.T) < 2 * np.hypot(*linear.T) + 1e-9).all()


@pytest.mark.parametrize("imageSize", [(640, 480), (1920, 1080), (720, 1280)])
def test_guess_sees_the_stated_field_of_view(imageSize):
    camera = Intrinsics.guessed(imageSize)
    width, height = imageSize
    ends = [[0, height / 2], [width, height / 2]] if width > height else [[width / 2, 0], [width / 2, height]]
    angles = np.degrees(np.arctan(camera.normalized(np.array(ends)).sum(axis=1)))
    assert angles == pytest.approx(np.array([-1, 1]) * GUESSED_FIELD_OF_VIEW_DEG / 2)
    assert not camera.isCalibrated and camera.rmsPx is None


def test_scaling_is_the_same_camera_with_finer_pixels():
    camera, finer = intrinsics(), intrinsics().scaledTo((1280, 960))
    cameraMm = np.array([[100.0, -50.0, 600.0], [-150.0, 100.0, 500.0]])
    assert finer.project(cameraMm) == pytest.approx(2 * camera.project(cameraMm))
    assert finer.imageSize == (1280, 960) and finer.rmsPx == 0.5
    assert intrinsics(imageSize=(1366, 768)).scaledTo((1280, 720)).imageSize == (1280, 720), "nearly the same shape"


def test_another_shape_of_image_cannot_be_scaled_to():
    with pytest.raises(LiveHandError, match="calibrationResolution"):
        intrinsics().scaledTo((1280, 720))


def test_choice_among_a_cameras_calibrations():
    small, wide = intrinsics(), intrinsics(imageSize=(1280, 720))
    assert choose([small, wide], (1280, 720)) is wide
    assert choose([small, wide], (1920, 1080)) == wide.scaledTo((1920, 1080))
    assert choose([small, wide], (800, 800)) == Intrinsics.guessed((800, 800))
    assert choose([], (640, 480)) == Intrinsics.guessed((640, 480))


def test_equal_by_their_figures_and_not_to_be_changed():
    assert intrinsics() == intrinsics() and hash(intrinsics()) == hash(intrinsics())
    for other in (intrinsics(DISTORTIONS[0]), intrinsics(rmsPx=None), intrinsics(imageSize=(800, 600))):
        assert other != intrinsics()
    with pytest.raises(ValueError, match="read-only"):
        intrinsics().matrix[0, 0] = 1.0


# Files


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_file_is_one_that_opencv_reads(tmp_path, distortion):
    path = tmp_path / "Kamera für 20 €.yml"
    intrinsics(distortion, calibrationTime='2025-03-04 "10:11"\n').save(path)
    again = Intrinsics.load(path)
    assert again == intrinsics(distortion, calibrationTime="2025-03-04 10:11")
    storage = cv2.FileStorage(path.read_text(encoding="utf-8"), cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    assert (storage.getNode("camera_matrix").mat() == MATRIX).all()
    assert (storage.getNode("distortion_coefficients").mat().ravel() == distortion).all()
    assert (storage.getNode("image_width").real(), storage.getNode("image_height").real()) == (640, 480)
    assert storage.getNode("avg_reprojection_error").real() == 0.25
    assert storage.getNode("calibration_time").string() == "2025-03-04 10:11"


@pytest.mark.parametrize("name", ["opencv.yml", "opencv.xml"])
@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_file_that_opencv_wrote(tmp_path, name, distortion):
    path = tmp_path / name
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    # In the order of, and with more than, what OpenCV's calibration sample writes.
    storage.write("calibration_time", "Tue Mar  4 10:11:12 2025")
    storage.write("nr_of_frames", 17)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.writeComment("flags: +fix_aspectRatio")
    storage.write("flags", 2)
    storage.write("camera_matrix", MATRIX)
    storage.write("distortion_coefficients", np.array([distortion]).T)
    storage.write("avg_reprojection_error", 0.25)
    storage.write("per_view_reprojection_errors", np.random.default_rng(1).random((17, 1)))
    storage.write("image_points", np.random.default_rng(1).random((17, 54, 2)).reshape(17, -1))
    storage.release()
    assert Intrinsics.load(path) == intrinsics(distortion, calibrationTime="Tue Mar  4 10:11:12 2025")


def test_rms_and_time_may_be_missing(tmp_path):
    intrinsics(rmsPx=None).save(tmp_path / "c.yml")
    text = (tmp_path / "c.yml").read_text().replace('calibration_time: ""\n', "")
    (tmp_path / "c.yml").write_text(text, newline="\r\n")
    assert Intrinsics.load(tmp_path / "c.yml") == intrinsics(rmsPx=None)


@pytest.mark.parametrize(
    "reason, changes",
    [
        ("calibrationNotFinite", {"812.5": ".Nan"}),
        ("calibrationNotFinite", {"236.5": "-.Inf"}),
        ("calibrationNotFinite", {"0.11": "1e999"}),
        ("calibrationNotFinite", {"avg_reprojection_error: 0.25": "avg_reprojection_error: nan"}),
        ("calibrationFocalLength", {"812.5": "-812.5"}),
        ("calibrationFocalLength", {"812.5": "3.6", "809.75": "3.6"}),
        ("calibrationFocalLength", {"809.75": "80.9"}),
        ("calibrationPrincipalPoint", {"331.25": "3312.5"}),
        ("calibrationPrincipalPoint", {"236.5": "-10"}),
        ("calibrationMatrix", {"0.0, 0.0, 1.0": "0.0, 0.0, 2.0"}),
        ("calibrationMatrix", {"0.08, -0.21, 0.0012, -0.0008, 0.11": "0.1, 0.1, 0.1"}),
        ("calibrationMatrix", {"rows: 5": "rows: 14", "0.11": "0.11" + 8 * ", 0.0" + ", 0.1"}),
        ("calibrationDistortion", {"-0.21": "-21e9"}),
        ("calibrationDistortion", {"0.0012": "1e100"}),
        ("calibrationImageSize", {"image_width: 640": "image_width: 0"}),
        ("calibrationImageSize", {"image_width: 640": "image_width: 64000000"}),
        ("notACalibration", {"image_width: 640": "image_width: wide"}),
        ("notACalibration", {"image_width: 640": "image_width: 9" + "9" * 5000}),
        ("notACalibration", {"camera_matrix": "projection_matrix"}),
        ("notACalibration", {"331.25, ": ""}),
        ("notACalibration", {"data:": "data"}),
    ],
)  # fmt: skip
def test_figures_that_no_camera_has(tmp_path, reason, changes):
    path = tmp_path / "c.yml"
    intrinsics().save(path)
    text = path.read_text()
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    with pytest.raises(LiveHandError) as raised:
        Intrinsics.load(path)
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00\x1f" * 1000, b"not a calibration", b"<html></html>", b"<a", b"%YAML:1.0\n"],
)
def test_file_that_is_something_else(tmp_path, content):
    path = tmp_path / "c.yml"
    path.write_bytes(content)
    with pytest.raises(LiveHandError, match="notACalibration"):
        Intrinsics.load(path)


def test_file_that_cannot_be_read_or_written(tmp_path):
    for path in (tmp_path / "none.yml", tmp_path, "a\0b"):
        with pytest.raises(LiveHandError, match="calibrationMissing"):
            Intrinsics.load(path)
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "c.yml", "a\0b"):
        with pytest.raises(LiveHandError, match="calibrationNotSaved"):
            intrinsics().save(path)


def written(name: str) -> str:
    """A calibration as OpenCV writes it, in the format of a file name."""
    storage = cv2.FileStorage(name, cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    for key, value in {"image_width": 640, "image_height": 480, "camera_matrix": MATRIX}.items():
        storage.write(key, value)
    storage.write("distortion_coefficients", np.array([DISTORTIONS[1]]))
    return storage.releaseAndGetString()


def test_xml_with_entities_is_not_read(tmp_path):
    text = written(".xml")
    path = tmp_path / "c.xml"
    path.write_text(text)
    assert Intrinsics.load(path).imageSize == (640, 480)
    declared = text.replace("?>", "?><!DOCTYPE a [<!ENTITY b '64'><!ENTITY c '&b;0'>]>").replace(">640<", ">&c;<")
    assert "&c;" in declared
    path.write_text(declared)
    with pytest.raises(LiveHandError, match="notACalibration"):
        Intrinsics.load(path)


@settings(max_examples=400, deadline=None)
@given(
    text=st.sampled_from([written(".yml"), written(".xml")]),
    damages=st.lists(
        st.tuples(
            st.floats(0, 1),
            st.integers(0, 40),
            st.text(max_size=5)
            | st.sampled_from(["-", "1e999", ".Nan", "<!ENTITY", "!!python/object:os.system", "[["]),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_damaged_file_is_a_camera_or_one_clear_failure(tmp_path_factory, text, damages):
    for where, length, instead in damages:
        start = round(where * len(text))
        text = text[:start] + instead + text[start + length :]
    path = tmp_path_factory.getbasetemp() / "damaged.yml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        camera = Intrinsics.load(path)
    except LiveHandError as error:
        assert error.reason.startswith("calibration") or error.reason == "notACalibration"
    else:
        assert np.abs(camera.normalized(gridPx())).max() < 100


# A folder of them


def test_calibrations_are_found_by_camera_and_resolution(tmp_path):
    folder = CalibrationFolder(tmp_path / "not" / "there")
    assert folder.load("Bench Camera") == ()
    small, large = intrinsics(), intrinsics(imageSize=(1280, 720))
    names = ["Bench Camera", "Bench Camera-1x2", "bench/camera: 2 <ä>?*", "../../up", "%2F", "/"]
    for name in names:
        folder.save(name, small)
    folder.save(names[1], large)
    again = CalibrationFolder(folder.path)
    assert [set(again.load(name)) for name in names] == [{small}, {small, large}, *[{small}] * 4]
    assert {path.parent for path in tmp_path.rglob("*.yml")} == {folder.path}, "no name leads out of it"
    better = intrinsics(rmsPx=0.1)
    folder.save(names[1], better)
    assert set(folder.load(names[1])) == {better, large}, "the newer one instead of the older"
    folder.forget(names[0])
    assert folder.load(names[0]) == () and set(folder.load(names[1])) == {better, large}


def test_newest_calibration_comes_first(tmp_path):
    folder = CalibrationFolder(tmp_path)
    for age, width in ((300, 640), (100, 800), (200, 1024)):
        folder.save("Camera", intrinsics(imageSize=(width, 480)))
        path = tmp_path / f"Camera-{width}x480.yml"
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    assert [calibration.imageSize[0] for calibration in folder.load("Camera")] == [800, 1024, 640]


def test_damaged_calibration_is_told_and_can_be_forgotten(tmp_path):
    folder = CalibrationFolder(tmp_path)
    folder.save("Camera", intrinsics())
    (tmp_path / "Camera-640x480.yml").write_text("damaged")
    for _time in range(2):
        with pytest.raises(LiveHandError, match="notACalibration"):
            CalibrationFolder(tmp_path).load("Camera")
    folder.forget("Camera")
    assert folder.load("Camera") == ()
