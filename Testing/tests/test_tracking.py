"""Finding hands in images: real MediaPipe on real images."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from LiveHandLib.detection import detector
from LiveHandLib.errors import LiveHandError
from LiveHandLib.landmarks import BONES, LANDMARK_NAMES, Landmark
from LiveHandLib.threads.schedule import GilSchedule
from LiveHandLib.tracking import loop
from support.paths import MODEL, ROOT


def rgb(path) -> np.ndarray:
    import cv2

    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(
    "photo, sides",
    [
        ("one_hand_1.jpg", ["Left"]),
        ("one_hand_2.jpg", ["Right"]),
        ("two_hands_1.jpg", ["Left", "Right"]),
        ("hard_1.jpg", []),
    ],
)
def test_hands_in_photographs(shared, model, photo, sides):
    """The sides were read off the images by eye: none of them is mirrored."""
    image = rgb(shared / "photos" / photo)
    with detector.HandDetector(model, numberOfHands=2) as handDetector:
        hands = handDetector.detect(image, 0)
    assert sorted(hand.handedness for hand in hands) == sides
    for hand in hands:
        assert hand.imagePx.shape == (21, 2) and hand.worldMm.shape == (21, 3)
        assert (hand.imagePx > 0).all() and (hand.imagePx < image.shape[1::-1]).all()
        assert 50 < np.linalg.norm(hand.worldMm[Landmark.MIDDLE_FINGER_MCP] - hand.worldMm[Landmark.WRIST]) < 130, (
            "wrist to middle MCP in mm"
        )
        assert 0.5 < hand.score <= 1


def test_results_are_the_same_read_either_way(shared, model, monkeypatch):
    """As the library has them, and by the public API, as for versions that are not known."""
    import mediapipe

    assert mediapipe.__version__ in detector.KNOWN_VERSIONS
    image = rgb(shared / "photos" / "two_hands_1.jpg")
    found = []
    for versions in (detector.KNOWN_VERSIONS, ()):
        monkeypatch.setattr(detector, "KNOWN_VERSIONS", versions)
        with detector.HandDetector(model, numberOfHands=2) as handDetector:
            found.append([handDetector.detect(image, time) for time in (0, 33)])
    for direct, public in zip(*found, strict=True):
        assert len(direct) == len(public) == 2
        for one, other in zip(direct, public, strict=True):
            for name, value in vars(one).items():
                assert np.array_equal(value, vars(other)[name]), name


def test_landmark_names_and_bones_are_mediapipes(model):
    from mediapipe.tasks.python.vision import hand_landmarker as vision

    assert [landmark.name for landmark in vision.HandLandmark] == list(LANDMARK_NAMES)
    connections = {(c.start, c.end) for c in vision.HandLandmarksConnections.HAND_CONNECTIONS}
    # MediaPipe draws the palm's edge from the thumb's CMC to the index; bones run from the wrist.
    assert connections - {(Landmark.THUMB_CMC, Landmark.INDEX_FINGER_MCP)} == set(BONES) - {
        (Landmark.WRIST, Landmark.INDEX_FINGER_MCP)
    }


def test_time_that_jumps_back_does_no_harm(shared, model):
    image = rgb(shared / "photos" / "one_hand_2.jpg")
    with detector.HandDetector(model) as handDetector:
        assert [len(handDetector.detect(image, time)) for time in (1000, 1000, 10, 1001)] == [1, 1, 1, 1]


@pytest.mark.parametrize("versions", [detector.KNOWN_VERSIONS, ()], ids=["library", "public"])
def test_what_mediapipe_refuses_is_raised_either_way(model, monkeypatch, versions):
    monkeypatch.setattr(detector, "KNOWN_VERSIONS", versions)
    with detector.HandDetector(model) as handDetector:
        with pytest.raises(ValueError, match=r"[Ss]ize"):
            handDetector.detect(np.zeros((48, 64, 1), np.uint8), 0)
        assert handDetector.detect(np.zeros((48, 64, 3), np.uint8), 1) == [], "and goes on"


def test_another_stream_begins_as_with_another_tracker(shared, model):
    image = rgb(shared / "photos" / "one_hand_2.jpg")
    shifted = np.roll(image, image.shape[1] // 8, axis=1)
    with detector.HandDetector(model) as fresh, detector.HandDetector(model) as handDetector:
        expected = [fresh.detect(shifted, time) for time in (0, 33)]
        for _stream in range(2):
            handDetector.detect(image, 5000)
            handDetector.restart()
            for time, (hand,) in zip((0, 33), expected, strict=True):
                (found,) = handDetector.detect(shifted, time)
                assert np.array_equal(found.imagePx, hand.imagePx) and np.array_equal(found.worldMm, hand.worldMm)


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux has that policy")
def test_mediapipes_threads_do_not_interrupt_others(model):
    def batch() -> set[int]:
        threads = [int(name) for name in os.listdir("/proc/self/task")]
        return {thread for thread in threads if os.sched_getscheduler(thread) == os.SCHED_BATCH}

    before = batch()
    kept = loop.KeptDetector()
    kept.prepare(loop.Settings("", str(MODEL)), GilSchedule(), isPaired=True)
    assert batch() > before and threading.get_native_id() not in batch()
    kept.close()
    assert batch() == before


def test_model_is_used_only_as_it_should_be(tmp_path):
    assert detector.loadModel(MODEL) == MODEL.read_bytes()
    changed = tmp_path / "changed.task"
    content = bytearray(MODEL.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    with pytest.raises(LiveHandError) as error:
        detector.loadModel(changed)
    assert error.value.reason == "modelChanged"
    assert detector.loadModel(changed, detector.sha256(changed)) == bytes(content)
    with pytest.raises(LiveHandError) as error:
        detector.loadModel(tmp_path / "none.task")
    assert error.value.reason == "modelMissing"


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04"])
def test_model_that_is_none(model, content):
    with pytest.raises(LiveHandError) as error:
        detector.HandDetector(content)
    assert error.value.reason == "modelUnusable"


def runPython(code: str, **environment) -> str:
    """What a fresh interpreter prints, the packages not being imported in it yet."""
    path = str(ROOT / "LiveHand")
    code = f"import sys; sys.path.insert(0, {path!r}); from LiveHandLib.detection import detector\n{code}"
    process = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return process.stdout.strip()


def test_importing_leaves_the_environment_as_it_was():
    names = (*detector._VARIABLES_SET_BY_CV2, *detector._VARIABLES_READ_BY_CV2)
    kept = detector._VARIABLES_READ_LATER
    code = f"import os\nos.environ |= {kept}\nbefore = dict(os.environ)\n"
    code += "detector.importPackages()\nimport cv2\nprint(before == dict(os.environ))"
    assert runPython(code, **dict.fromkeys(names, "1")) == "True"
    cleared = "import os\n" + "".join(f"os.environ.pop({name!r}, None)\n" for name in names)
    assert runPython(cleared + code) == "True"
    if sys.platform == "linux":
        # The ground of the test above: OpenCV alone does change them.
        assert runPython(cleared + code.replace("detector.importPackages()", "import cv2")) == "False"


def test_what_the_camera_backends_read_later_stays_set_unless_the_user_set_it():
    code = "import os\ndetector.importPackages('opencv-python')\n"
    code += "print(*(os.environ[name] for name in detector._VARIABLES_READ_LATER))"
    cleared = "import os\n" + "".join(f"os.environ.pop({name!r}, None)\n" for name in detector._VARIABLES_READ_LATER)
    assert runPython(cleared + code) == "1 0 1 -8"
    assert runPython(code, OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT="7").startswith("7 ")


def test_opencv_is_told_not_to_look_for_work_in_vain(tmp_path):
    (tmp_path / "cv2.py").write_text("import os\nprint(os.environ.get('OPENCV_THREAD_POOL_ACTIVE_WAIT_WORKER'))")
    code = f"sys.path.insert(0, {str(tmp_path)!r})\ndetector.importPackages('opencv-python')"
    assert runPython(code) == "0"
    assert runPython(code, OPENCV_THREAD_POOL_ACTIVE_WAIT_WORKER="7") == "7", "what the user says goes"


def test_missing_and_broken_packages_are_named(tmp_path):
    report = (
        "try: detector.importPackages()\n"
        "except detector.LiveHandError as error: print(error.reason, error.details['package'])"
    )
    hide = "import importlib.util, sys\nfind = importlib.util.find_spec\n"
    hide += "importlib.util.find_spec = lambda name, *a: None if name == 'mediapipe' else find(name, *a)\n"
    hide += "sys.modules['mediapipe'] = None\n"
    assert runPython(hide + report) == "packageMissing mediapipe"
    for text, reason in (
        ("libGL.so.1: cannot open shared object file", "libraryMissing"),
        ("undefined symbol", "packageBroken"),
    ):
        (tmp_path / "cv2.py").write_text(f"import sys; sys.path.insert(0, 'cv2'); raise ImportError({text!r})")
        code = f"sys.path.insert(0, {str(tmp_path)!r})\n{report}\nassert 'cv2' not in sys.path"
        assert runPython(code) == f"{reason} opencv-python"
