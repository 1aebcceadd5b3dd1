"""The demo, as the README has it: a program of its own, with no display."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from LiveHandLib.calibration.intrinsics import Intrinsics
from LiveHandLib.pose.coordinates import CAMERA_TO_RAS
from support.paths import ROOT

KEYS = {
    "frames_read", "frames_tracked", "frames_dropped", "frames_unreadable", "hands_left", "hands_right", "fps",
    "latency_ms_median", "latency_ms_p95", "gui_stall_ms_p99", "gui_stall_ms_max", "gui_blocked_fraction", "node_names",
    "hands_by_two_cameras",
}  # fmt: skip


def demo(tmp_path, *options: str) -> tuple[subprocess.CompletedProcess, dict | None]:
    """Run it; the figures are None if it wrote none."""
    figures = tmp_path / "figures.json"
    code = "import sys; from tools.demo import main; sys.exit(main(sys.argv[1:]))"
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    process = subprocess.run(
        [sys.executable, "-c", code, "--json", str(figures), *options],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT / "Testing")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return process, json.loads(figures.read_text()) if figures.exists() else None


def colours(path) -> np.ndarray:
    import cv2

    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2HSV)


def test_every_frame_of_the_real_clip(tmp_path, shared):
    clip = str(shared / "clips" / "hand_desk.mp4")
    options = ["--headless", "--every-frame", "--source", clip, "--screenshot", "hand.png", "--landmarks", "out.npz"]
    process, figures = demo(tmp_path, *options)
    assert process.returncode == 0, process.stderr
    assert figures.keys() == KEYS
    assert figures["frames_read"] == 378 and figures["frames_dropped"] == 0
    assert figures["frames_tracked"] >= 355
    assert figures["hands_right"] == figures["frames_tracked"] and figures["hands_left"] == 0
    assert figures["node_names"] == ["LiveHand Camera to RAS", "LiveHand Right Surface", "LiveHand Right Landmarks"]
    assert figures["fps"] > 0 and figures["latency_ms_p95"] >= figures["latency_ms_median"] > 0
    assert 0 < figures["gui_blocked_fraction"] < 1

    with np.load(tmp_path / "out.npz") as rows:
        n = figures["frames_tracked"]
        assert rows["frame"].shape == rows["time_ms"].shape == rows["handedness"].shape == (n,)
        assert np.array_equal(rows["time_ms"], np.round(rows["frame"] * 1000 / 30)), "the clip has 30 frames a second"
        assert rows["image_px"].shape == (n, 21, 2)
        assert rows["world_mm"].shape == rows["scene_ras"].shape == (n, 21, 3)
        assert (np.diff(rows["frame"]) > 0).all() and set(rows["handedness"]) == {"Right"}
        # What stands in the scene is seen where the landmarks are in the image, apart from the smoothing's delay.
        toCamera = np.linalg.inv(CAMERA_TO_RAS["owner"])
        cameraMm = rows["scene_ras"].reshape(-1, 3) @ toCamera[:3, :3].T + toCamera[:3, 3]
        seenPx = Intrinsics.guessed((720, 720)).project(cameraMm).reshape(n, 21, 2)
        assert np.median(np.linalg.norm(seenPx - rows["image_px"], axis=2)) < 10

    image = colours(tmp_path / "hand.png")
    skin = (np.abs(image[..., 0].astype(int) - 14) < 8) & (image[..., 1] > 60) & (image[..., 2] > 80)
    assert 0.01 < skin.mean() < 0.5, "the hand's colour covers a part of the image"
    rows, columns = np.nonzero(skin)
    assert np.ptp(rows) > 0.4 * image.shape[0] or np.ptp(columns) > 0.4 * image.shape[1], "and is not small"


FIELD = {
    # frames read and unreadable, and the time of the last one, ms
    "vfr.mp4": (80, 0, 3900),
    "mr1000.webm": (120, 0, 3932),
    "badblock.mp4": (116, 4, 3967),
    "sar.mp4": (120, 0, 3967),
    "hflip.mp4": (120, 0, 3967),
    "anim.gif": (10, 0, 900),
}


@pytest.mark.parametrize("name", FIELD)
def test_files_from_the_field(tmp_path, shared, name):
    file = shared / "field" / name
    process, figures = demo(tmp_path, "--every-frame", "--source", str(file), "--landmarks", "out.npz")
    assert process.returncode == 0, process.stderr
    read, unreadable, lastMs = FIELD[name]
    assert (figures["frames_read"], figures["frames_unreadable"], figures["frames_dropped"]) == (read, unreadable, 0)
    with np.load(tmp_path / "out.npz") as rows:
        assert len(rows["frame"]) >= 0.5 * read, "a hand is seen in as many, so that there are rows"
        assert rows["frame"][-1] == read + unreadable - 1 and rows["time_ms"][-1] == lastMs


def test_pixels_that_are_not_square_change_no_place(tmp_path, shared):
    places = []
    for name in ("field/sar.mp4", "clips/hand_desk.mp4"):
        options = ["--every-frame", "--frames", "115", "--source", str(shared / name), "--landmarks", "out.npz"]
        process, _figures = demo(tmp_path, *options)
        assert process.returncode == 0, process.stderr
        with np.load(tmp_path / "out.npz") as rows:
            places.append(dict(zip(rows["frame"].tolist(), rows["scene_ras"], strict=True)))
    common = places[0].keys() & places[1].keys()
    assert len(common) > 90
    depthsMm = [np.array([place[frame][:, 1].mean() for frame in common]) for place in places]
    assert abs(np.median(depthsMm[0] / depthsMm[1]) - 1.0) < 0.03


def test_photograph_with_two_hands(tmp_path, shared):
    photo = str(shared / "photos" / "two_hands_1.jpg")
    process, figures = demo(tmp_path, "--headless", "--source", photo)
    assert process.returncode == 0, process.stderr
    assert (figures["frames_read"], figures["hands_left"], figures["hands_right"]) == (1, 1, 1)


def test_without_options_it_plays_the_sample_clip_and_leaves_a_image(tmp_path):
    process, figures = demo(tmp_path)
    assert process.returncode == 0, process.stderr
    assert figures["frames_read"] == 180
    assert figures["frames_tracked"] + figures["frames_dropped"] > 170
    assert (tmp_path / "LiveHandDemo.png").exists()


@pytest.mark.parametrize("gil", ["kept", "released"])
def test_number_of_frames(tmp_path, gil):
    process, figures = demo(tmp_path, "--frames", "20", "--every-frame", "--gil", gil)
    assert process.returncode == 0, process.stderr
    assert 20 <= figures["frames_tracked"] <= 23, "a few may be on their way"


@pytest.mark.parametrize(
    "options, words",
    [(["--source", "/nowhere.mp4"], "There is no file /nowhere.mp4"), (["--camera", "97"], "camera cannot be opened")],
)
def test_failures_are_one_sentence_and_an_exit_code(tmp_path, options, words):
    process, figures = demo(tmp_path, *options)
    assert process.returncode == 1
    assert words in process.stderr
    assert "Traceback" not in process.stderr
    assert figures is None
