"""A second camera in the module: clips of two views of one hand, played through the whole module, and its faults."""

import cv2
import numpy as np
import pytest

from LiveHandLib.calibration.board import Board
from LiveHandLib.calibration.intrinsics import Intrinsics
from LiveHandLib.camera.devices import Camera, sameDevice
from LiveHandLib.camera.framereader import Frame
from LiveHandLib.landmarks import Landmark
from LiveHandLib.panel.sentences import sentence
from LiveHandLib.pose.estimator import PoseParameters, ReferencePose
from LiveHandLib.stereo.pair import CameraPair
from LiveHandLib.tracking.pairing import Pairing
from support.boardrender import BoardRenderer, turned
from support.fakecamera import Device
from support.helpers import choose, refreshed, settled
from support.stereoscene import TAKES, clipFolder
from tests.test_docs import example

TAKE = TAKES[0]  # 60 degrees apart, 640 x 480
TIP = int(Landmark.INDEX_FINGER_TIP)


@pytest.fixture(scope="session")
def take(request):
    """The folder of two clips of one hand, with their truth."""
    from support.paths import SHARED

    if not SHARED.is_dir():
        pytest.skip("the shared material is not beside the checkout; only these tests read it")
    return clipFolder(TAKE)


def intrinsicsOf(folder) -> Intrinsics:
    with np.load(folder / "first_truth.npz") as file:
        return Intrinsics(file["camera_matrix"], file["distortion"], TAKE.sizes[0])


@pytest.fixture
def calibrated(logic, take):
    """Both clips are chosen, and both cameras calibrated; every frame is processed."""
    node = logic.getParameterNode()
    node.everyFrame = True
    logic.setSource(take / "first.avi")
    logic.setSecondSource(take / "second.avi")
    for source in (logic.source(), logic.secondSource()):
        logic.cameraCalibrations.keep(source, False, intrinsicsOf(take))
    logic.userSettings.forgetBoneLengths()
    path = logic.cameraPairs._path(logic.source(), logic.secondSource())
    path.unlink(missing_ok=True)
    yield logic
    path.unlink(missing_ok=True)
    for source in ("first.avi", "second.avi"):
        logic.cameraCalibrations.forget(str(take / source), False)


def played(app, logic, tracked) -> list[tuple[int, str | None]]:
    """Play to the end; for each frame how many cameras saw the hand, and what the problem was."""
    states = []

    def note(frame):
        problem = logic.secondProblem()
        states.append((max([hand.cameras for hand in frame.hands.values()], default=0), problem and problem.reason))
        if problem:
            assert "camera" in sentence(problem)

    logic.worker.tracked.connect(note)
    try:
        logic.start()
        settled(app, logic)
    finally:
        logic.worker.tracked.disconnect(note)
    return states


def tipErrors(take, tracked) -> np.ndarray:
    truth = np.load(take / "first_truth.npz")["landmarks_mm"]
    return np.array(
        [np.linalg.norm(hand.cameraMm[TIP] - truth[f.number][TIP]) for f in tracked for hand in f.hands.values()]
    )


def test_two_cameras_place_the_hand_that_the_nodes_show(app, calibrated, take, tracked):
    calibrated.importPair(take / "pair.npz")
    states = played(app, calibrated, tracked)
    assert len(tracked) == 90 and [frame.number for frame in tracked] == list(range(90))
    assert np.mean([cameras == 2 for cameras, _problem in states]) > 0.9
    assert all(problem is None for _cameras, problem in states)
    two = np.median(tipErrors(take, tracked))
    tracked.clear()
    calibrated.setSecondSource(None)
    played(app, calibrated, tracked)
    assert all(hand.cameras == 1 for frame in tracked for hand in frame.hands.values())
    assert two < 8.0 and two < 0.6 * np.median(tipErrors(take, tracked))


def test_example_of_two_cameras(app, calibrated, take, monkeypatch):
    monkeypatch.chdir(take)
    printed = []  # not to the output: the example's slot stays connected in the tests that follow
    exec(example("two-cameras.md", "logic.setSource"), {"logic": calibrated, "print": printed.append})
    settled(app, calibrated)
    assert printed.count([2]) > 80


def test_scene_has_the_last_pose(app, calibrated, take, tracked):
    import slicer

    calibrated.importPair(take / "pair.npz")
    played(app, calibrated, tracked)
    shown = slicer.util.arrayFromMarkupsControlPoints(calibrated.getParameterNode().leftLandmarks, world=False)
    assert shown == pytest.approx(tracked[-1].hands["Left"].cameraMm, abs=0.01)


def test_bone_lengths_are_kept_for_one_camera(app, calibrated, take, tracked):
    calibrated.importPair(take / "pair.npz")
    width = calibrated.getParameterNode().palmWidthMm
    assert calibrated.userSettings.boneLengths(width) == ()
    played(app, calibrated, tracked)
    lengths = calibrated.userSettings.boneLengths(width)
    assert len(lengths) == 28 and all(5.0 < length < 120.0 for length in lengths)
    assert calibrated.userSettings.boneLengths(width + 5.0) == ()  # another user's palm
    calibrated.setSecondSource(None)
    calibrated.start()
    assert calibrated.worker.settings.poseParameters.lengthsMm == lengths
    settled(app, calibrated)


def test_without_a_pair_the_hand_comes_from_one(app, calibrated, tracked):
    states = played(app, calibrated, tracked)
    assert len(states) == 90 and set(states) == {(1, "pairUnknown")}


@pytest.mark.parametrize("fault", ["pair", "mirrored"])
def test_what_does_not_fit_together_is_told(app, calibrated, take, tracked, tmp_path, fault):
    with np.load(take / "pair.npz") as file:
        turn = cv2.Rodrigues(np.array([0.08, 0.0, 0.0]))[0] if fault == "pair" else np.eye(3)
        np.savez(tmp_path / "pair.npz", rotation=turn @ file["rotation"], translation=turn @ file["translation"])
    calibrated.importPair(tmp_path / "pair.npz")
    calibrated.getParameterNode().secondMirrored = fault == "mirrored"
    states = played(app, calibrated, tracked)
    assert states[-1] == (1, "pairMoved")
    assert not calibrated.userSettings.boneLengths(calibrated.getParameterNode().palmWidthMm)


@pytest.mark.fault("second camera fails")
def test_second_camera_that_fails_leaves_the_first(app, calibrated, take, tracked, tmp_path):
    calibrated.setSecondSource(tmp_path / "absent.avi")
    states = played(app, calibrated, tracked)
    assert len(states) == 90 and states[-1] == (1, "secondCameraFailed")


@pytest.mark.fault("second camera ends")
def test_second_file_that_ends_leaves_the_first(app, calibrated, take, tracked, tmp_path):
    capture, path = cv2.VideoCapture(str(take / "second.avi")), str(tmp_path / "second.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 25.0, TAKE.sizes[1])
    for _frame in range(40):
        writer.write(capture.read()[1])
    writer.release()
    calibrated.setSecondSource(path)
    calibrated.importPair(take / "pair.npz")
    states = played(app, calibrated, tracked)
    assert len(states) == 90 and states[30][0] == 2 and states[-1][0] == 1
    steps = np.diff([frame.hands["Left"].cameraMm for frame in tracked], axis=0)
    assert np.median(np.linalg.norm(steps, axis=2).max(axis=1)) < 20.0
    calibrated.cameraPairs._path(calibrated.source(), path).unlink()


def imageOf(path, number: int) -> np.ndarray:
    capture = cv2.VideoCapture(str(path))
    capture.set(cv2.CAP_PROP_POS_FRAMES, number)
    return capture.read()[1]


@pytest.mark.fault("second camera is unplugged, and plugged in again")
def test_unplugged_second_camera_leaves_the_first(app, widget, logic, take, fakeCameras, tracked):
    logic = widget.logic
    # Both after a second, of 30 and of 25 frames.
    images = imageOf(take / "first.avi", 30), imageOf(take / "second.avi", 25)
    rig = fakeCameras(*(Device(name, clip=np.stack([image] * 2)) for name, image in zip("AB", images, strict=True)))
    assert refreshed(app, widget, "A", "B")
    choose(widget, "A")
    ui = widget.ui
    ui.secondSourceComboBox.setCurrentIndex(ui.secondSourceComboBox.findText("B"))
    widget.secondCameraPanel.onSourceActivated(ui.secondSourceComboBox.currentIndex)
    for source in (logic.source(), logic.secondSource()):
        logic.cameraCalibrations.keep(source, False, intrinsicsOf(take))
    logic.importPair(take / "pair.npz")
    ui.liveCheckBox.setChecked(True)

    def isSeenBy(cameras: int) -> bool:
        return app.spin(lambda: tracked and [h.cameras for h in tracked[-1].hands.values()] == [cameras], timeout=30)

    assert isSeenBy(2) and rig.isInUse(0) and rig.isInUse(1)
    rig.unplug(1)
    assert isSeenBy(1) and logic.worker.state == "live"
    assert app.spin(lambda: "stopped sending" in ui.secondCameraLabel.text, timeout=10), ui.secondCameraLabel.text
    assert logic.secondProblem().reason == "secondCameraFailed"
    rig.plug(1, number=7)
    ui.liveCheckBox.setChecked(False)
    settled(app, logic)
    tracked.clear()
    ui.liveCheckBox.setChecked(True)
    assert isSeenBy(2) and logic.secondProblem() is None
    logic.cameraPairs._path(logic.source(), logic.secondSource()).unlink()
    for source in (logic.source(), logic.secondSource()):
        logic.cameraCalibrations.forget(source, False)
    ui.secondSourceComboBox.setCurrentIndex(0)
    widget.secondCameraPanel.onSourceActivated(0)


@pytest.mark.fault("second camera is the first")
def test_second_camera_that_is_the_first_is_told(app, logic):
    logic.setSource(Camera(200, "Camera"))
    logic.setSecondSource(Camera(200, "Camera"))
    logic.start()
    assert logic.secondProblem().reason == "secondCameraSame" and logic.secondWorker.state == "off"
    logic.stop()
    settled(app, logic)
    assert sameDevice(Camera(1, "A", "m@s@p"), Camera(2, "A", "m@s@p"))
    assert not sameDevice(Camera(1, "A", "m@s@p"), Camera(1, "A", "m@s@q"))
    assert not sameDevice("clip.avi", "clip.avi") and not sameDevice(Camera(0, "A"), "clip.avi")


def test_second_camera_is_chosen_and_left_while_live(app, calibrated, take, tracked):
    calibrated.getParameterNode().everyFrame = False
    calibrated.importPair(take / "pair.npz")
    calibrated.setSecondSource(None)
    calibrated.start()
    assert app.spin(lambda: len(tracked) > 5, timeout=30)
    calibrated.setSecondSource(take / "second.avi")
    assert app.spin(lambda: tracked[-1].hands and tracked[-1].hands["Left"].cameras == 2, timeout=30)
    calibrated.setSecondSource(None)
    count = len(tracked)
    assert app.spin(lambda: len(tracked) > count and calibrated.pairing is None, timeout=30)
    assert app.spin(lambda: tracked[-1].hands and tracked[-1].hands["Left"].cameras == 1, timeout=30)
    calibrated.stop()
    settled(app, calibrated)
    assert calibrated.secondWorker.state == "off"


BOARD = Board("charuco", 8, 6, 30.0)


@pytest.fixture
def boardClips(take, tmp_path):
    """Two clips of a board that lies where both cameras see it."""
    with np.load(take / "pair.npz") as file:
        rotation, translation = file["rotation"], file["translation"]
    intrinsics = intrinsicsOf(take)
    toCamera, centre = turned(20, -30, 5), np.array([0.0, 10.0, 520.0])
    poses = (toCamera, centre), (rotation @ toCamera, rotation @ centre + translation)
    paths = []
    for name, (turn, middle) in zip(("first", "second"), poses, strict=True):
        renderer = BoardRenderer(BOARD, intrinsics.matrix, np.zeros(5), intrinsics.imageSize)
        writer = cv2.VideoWriter(
            str(tmp_path / f"{name}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, intrinsics.imageSize
        )
        images = [renderer.render(turn, middle, seed=seed) for seed in range(4)]
        for number in range(60):
            writer.write(images[number % 4])
        writer.release()
        paths.append(tmp_path / f"{name}.avi")
    return paths, CameraPair(rotation, translation)


def test_board_that_both_see_shows_where_the_cameras_are(app, calibrated, boardClips, widget):
    (first, second), truth = boardClips
    calibrated.setSource(first)
    calibrated.setSecondSource(second)
    found = []
    widget.ui.findPairButton.click()
    assert calibrated.isFindingPair()
    note = lambda _frame: found.append(calibrated.pairing.pair)  # noqa: E731
    calibrated.worker.tracked.connect(note)
    calibrated.start()
    settled(app, calibrated)
    calibrated.worker.tracked.disconnect(note)  # the panel's logic goes on to the next test
    pair = next(filter(None, reversed(found)))
    assert np.linalg.norm(pair.translationMm - truth.translationMm) < 3.0
    assert np.degrees(np.linalg.norm(cv2.Rodrigues(pair.rotation.T @ truth.rotation)[0])) < 0.4
    kept = calibrated.cameraPairs.of(calibrated.source(), calibrated.secondSource())
    assert kept.translationMm == pytest.approx(pair.translationMm, abs=0.5)
    assert not calibrated.isFindingPair()
    calibrated.cameraPairs._path(first, second).unlink()


@pytest.mark.parametrize("aheadMs", [-150.0, 0.0, 150.0])
@pytest.mark.parametrize("isMoved", [False, True])
def test_board_is_matched_when_one_file_is_ahead_of_the_other(boardClips, aheadMs, isMoved):
    paths, truth = boardClips
    images = [cv2.VideoCapture(str(path)).read()[1] for path in paths]
    pairing = Pairing(PoseParameters(), (), None, True, True, lambda *_frame: None, lambda _pair: None)
    poses = [np.eye(4), np.eye(4)]
    poses[1][:3, :3], poses[1][:3, 3] = truth.rotation, truth.translationMm
    for number in range(40):
        if isMoved:  # between all that the first camera sees and all that the second one does
            begin = 0.0 if number < 20 else 5000.0
            cameras = [0] if number < 20 else [1]
        else:
            begin, cameras = 0.0, [0, 1]
        for camera in cameras:
            timeMs = begin + 33.0 * number + (aheadMs if camera else 0.0)
            reference = ReferencePose(poses[camera], 0.2, 30, isStill=True)
            pairing.add(camera, Frame(images[camera], number, timeMs, 0.001 * timeMs), [], reference)
    assert pairing.boardsSeen == 0 if isMoved else pairing.boardsSeen > 30
    assert isMoved or pairing.pair.translationMm == pytest.approx(truth.translationMm)


def test_panel_offers_a_second_camera_and_says_how_it_goes(app, calibrated, widget, take):
    ui = widget.ui
    assert ui.secondSourceComboBox.currentData == str(take / "second.avi") and ui.findPairButton.enabled
    said = []
    note = lambda _frame: said.append(ui.secondCameraLabel.text)  # noqa: E731
    calibrated.worker.tracked.connect(note)
    calibrated.start()
    settled(app, calibrated)
    assert any("is not known" in text for text in said)
    calibrated.importPair(take / "pair.npz")
    calibrated.start()
    settled(app, calibrated)
    assert "Both cameras see the hand." in said
    calibrated.worker.tracked.disconnect(note)
    ui.secondSourceComboBox.setCurrentIndex(0)
    widget.secondCameraPanel.onSourceActivated(0)
    assert calibrated.getParameterNode().secondSource == "" and not ui.findPairButton.enabled
