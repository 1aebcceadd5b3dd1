"""Two cameras: where they are, what both see, and what one sees alone. Truth is exact: points that are projected."""

import json
from itertools import pairwise

import cv2
import numpy as np
import pytest

from LiveHandLib.calibration.intrinsics import Intrinsics
from LiveHandLib.detection.detector import Hand
from LiveHandLib.errors import LiveHandError
from LiveHandLib.landmarks import Landmark
from LiveHandLib.pose.estimator import PoseParameters
from LiveHandLib.stereo.bones import BoneLengths
from LiveHandLib.stereo.estimator import MOVED, MOVED_FRAMES, StereoEstimator
from LiveHandLib.stereo.pair import CameraPair, PairCollector
from LiveHandLib.stereo.triangulation import StereoPose, View, distances, triangulated
from LiveHandLib.stereo.views import AHEAD_MS, CameraViews
from support.handrender import FINGERS, HandCamera, RiggedHand, placement, rotation

SIZE = (640, 480)
CAMERA = HandCamera.typical(SIZE)
INTRINSICS = Intrinsics(CAMERA.matrix, np.zeros(5), SIZE)


def pairAt(degrees: float, distanceMm: float = 500.0) -> CameraPair:
    """Two cameras that both are so far from the point on the first one's axis."""
    matrix = rotation("y", degrees)
    centre = np.array([0.0, 0.0, distanceMm])
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    return CameraPair.ofMatrix(matrix)


PAIR = pairAt(60.0)


@pytest.fixture
def rigged(shared) -> RiggedHand:
    return RiggedHand.load(shared / "hand-mesh" / "right.glb")


def posed(rigged: RiggedHand, timeMs: float = 0.0, speed: float = 0.0) -> np.ndarray:
    """(21, 3) mm: a hand half bent that moves to the right, mm per ms."""
    bends = dict.fromkeys(FINGERS[1:], (20, 25, 15, 2))
    return rigged.pose(bends, placement((speed * timeMs, 10, 500), pitch=10, yaw=-30)).landmarks


def viewOf(pointsMm: np.ndarray) -> View:
    depths = pointsMm[:, 2]
    return View(pointsMm[:, :2] / depths[:, None], (depths - depths[0]) / depths.mean())


def handOf(pointsMm: np.ndarray, side: str = "Right", score: float = 0.95) -> Hand:
    """As MediaPipe would find it, whose relief is too flat, in the image and in the world landmarks."""
    depths = pointsMm[:, 2]
    depthPx = (depths - depths[0]) * INTRINSICS.matrix[0, 0] / depths.mean() / 1.5
    worldMm = (pointsMm - pointsMm.mean(axis=0)) / (1.0, 1.0, 1.5)
    return Hand(side, score, INTRINSICS.project(pointsMm), worldMm, depthPx)


def errorsMm(pointsMm: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(pointsMm - truth, axis=1)


# Where the cameras are


@pytest.mark.parametrize("name", ["pair.npz", "pair.json", "pair.yml", "pair.xml", "opencv.yml"])
def test_pair_files_are_read(tmp_path, name):
    path, turned, shift = tmp_path / name, PAIR.rotation, PAIR.translationMm
    if name.endswith("npz"):
        np.savez(path, rotation=turned, translation=shift, offset_ms=12.5)
    elif name.endswith("json"):
        path.write_text(json.dumps({"R": turned.tolist(), "T": shift.tolist(), "offset_ms": 12.5}))
    elif name == "pair.yml":
        PAIR.save(path)
    else:
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
        storage.write("R", np.array(turned))
        storage.write("T", np.array(shift)[:, None])
        storage.release()
    pair = CameraPair.load(path)
    assert pair.rotation == pytest.approx(turned, abs=1e-9) and pair.translationMm == pytest.approx(shift, abs=1e-6)
    assert pair.offsetMs == (12.5 if name in ("pair.npz", "pair.json") else 0.0)


def test_saved_pair_is_read_by_opencv(tmp_path):
    PAIR.save(tmp_path / "pair.yml")
    storage = cv2.FileStorage(str(tmp_path / "pair.yml"), cv2.FILE_STORAGE_READ)
    assert storage.getNode("rotation").mat() == pytest.approx(PAIR.rotation)
    assert storage.getNode("translation").mat().ravel() == pytest.approx(PAIR.translationMm)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"nothing of the kind", "notAPair"),
        (b"PK\x03\x04 damaged", "notAPair"),
        (b"{ not JSON", "notAPair"),
        (b"\xff\xfe\x00\x00", "notAPair"),
        (b'{"rotation": [1, 0, 0], "translation": [500, 0, 0]}', "notAPair"),
        (b'{"rotation": [[1, 0, 0], [0, 1, 0], [0, 0, -1]], "translation": [500, 0, 0]}', "pairImpossible"),
        (b'{"rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "translation": [0.5, 0, 0]}', "pairImpossible"),
        (b'{"rotation": [[1, 0, 0], [0, 1, 0], [0, 0, NaN]], "translation": [500, 0, 0]}', "pairImpossible"),
        (None, "pairMissing"),
    ],
)
def test_files_that_are_no_pair_are_refused(tmp_path, content, reason):
    path = tmp_path / "pair"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LiveHandError) as refusal:
        CameraPair.load(path)
    assert refusal.value.reason == reason


def test_epipolar_error_is_how_far_a_point_is_off(rigged):
    truth = posed(rigged)
    first, second = viewOf(truth).directions, viewOf(PAIR.toSecond(truth)).directions
    assert PAIR.epipolarErrors(first, second) == pytest.approx(np.zeros(21), abs=1e-9)
    # The cameras are beside each other: a point's line is about horizontal, so that up and down is across it.
    moved = PAIR.epipolarErrors(first, second + np.array([0.0, 0.02]))
    assert moved == pytest.approx(np.full(21, 0.02 / np.sqrt(2.0)), rel=0.15)


def test_pair_comes_from_a_board_that_both_see():
    random, collector = np.random.default_rng(5), PairCollector()

    def board(pair: CameraPair, noiseMm: float) -> tuple[np.ndarray, np.ndarray]:
        first = placement((*random.uniform(-50, 50, 2), 500), *random.uniform(-30, 30, 3))
        second = np.eye(4)
        second[:3, :3], second[:3, 3] = pair.rotation @ first[:3, :3], pair.toSecond(first[:3, 3])
        second[:3, 3] += random.normal(0, noiseMm, 3)
        return first, second

    for number in range(PairCollector.NEEDED + 10):
        wrong = number % 7 == 0  # such as with the other of the two tilts that a flat board leaves open
        collector.add(*board(pairAt(50.0) if wrong else PAIR, 1.0))
        assert number >= PairCollector.NEEDED - 1 or collector.pair() is None
    pair = collector.pair()
    assert np.linalg.norm(pair.translationMm - PAIR.translationMm) < 1.0
    assert np.degrees(np.linalg.norm(cv2.Rodrigues(pair.rotation.T @ PAIR.rotation)[0])) < 0.1
    for _number in range(PairCollector.NEEDED):  # the second camera is turned
        collector.add(*board(pairAt(55.0), 1.0))
    assert np.linalg.norm(collector.pair().translationMm - pairAt(55.0).translationMm) < 1.5


# What both see


def test_rays_meet_where_the_points_are(rigged):
    truth = posed(rigged)
    met = triangulated(PAIR, viewOf(truth).directions, viewOf(PAIR.toSecond(truth)).directions)
    assert met == pytest.approx(truth, abs=1e-4)
    parallel = CameraPair(np.eye(3), np.array([100.0, 0.0, 0.0]))
    same = np.zeros((21, 2))
    assert np.isfinite(triangulated(parallel, same, same)).all()


@pytest.mark.parametrize("degrees", [30.0, 60.0, 90.0])
def test_hand_is_placed_where_both_see_it(rigged, degrees):
    pair, truth, random = pairAt(degrees), posed(rigged), np.random.default_rng(3)
    pose, errors = StereoPose(pair), []
    for number in range(20):
        views = [viewOf(points) for points in (truth, pair.toSecond(truth))]
        noisy = [View(v.directions + random.normal(0, 1.0 / 557.0, (21, 2)), v.relativeDepths) for v in views]
        placed, stdMm = pose.update(*noisy, 33.0 * number)
        errors.append(errorsMm(placed, truth))
    assert np.median(errors) < 2.5 and stdMm.shape == (21,) and (stdMm > 0).all()


@pytest.mark.parametrize("guessing", [0, 1])
def test_finger_that_one_view_guesses_stays_where_the_other_sees_it(rigged, guessing):
    truth, pose = posed(rigged), StereoPose(PAIR)
    views = [viewOf(truth), viewOf(PAIR.toSecond(truth))]
    for number in range(10):
        pose.update(*views, 33.0 * number)
    wrong = views[guessing].directions.copy()
    wrong[Landmark.INDEX_FINGER_DIP] += 0.05  # 25 mm
    wrong[Landmark.INDEX_FINGER_TIP] += 0.08  # 40 mm
    guessed = list(views)
    guessed[guessing] = View(wrong, views[guessing].relativeDepths)
    tip = int(Landmark.INDEX_FINGER_TIP)
    plain = errorsMm(triangulated(PAIR, guessed[0].directions, guessed[1].directions), truth)[tip]
    placed, _stdMm = pose.update(*guessed, 330.0)
    assert plain > 15.0 and errorsMm(placed, truth)[tip] < 0.5 * plain
    others = [i for i in range(21) if i not in (tip, tip - 1)]
    assert errorsMm(placed, truth)[others].max() < 6.0


def test_landmarks_anywhere_give_figures(rigged):
    random, pose = np.random.default_rng(8), StereoPose(PAIR)
    for number in range(60):
        views = [View(random.normal(0, 2.0, (21, 2)), random.normal(0, 2.0, 21)) for _view in range(2)]
        if number % 10 == 0:
            views = [View(np.zeros((21, 2)), np.zeros(21))] * 2
        placed, stdMm = pose.update(*views, 33.0 * number)
        assert np.isfinite(placed).all() and np.isfinite(stdMm).all()


def test_bone_lengths_are_learnt(rigged):
    truth, bones = posed(rigged), BoneLengths()
    random = np.random.default_rng(2)
    new = [bones.add(truth + random.normal(0, 1.0, truth.shape)) for _frame in range(BoneLengths.NEEDED)]
    assert new == [False] * (BoneLengths.NEEDED - 1) + [True]
    assert bones.lengthsMm == pytest.approx(distances(truth), abs=0.8)


# Two clocks


def test_second_view_is_interpolated(rigged):
    views = CameraViews((INTRINSICS,))
    for timeMs in (0.0, 40.0, 80.0):
        views.add([handOf(posed(rigged, timeMs, speed=0.5))], SIZE, timeMs)
    for timeMs in (0.0, 13.0, 40.0, 71.0, 80.0 + AHEAD_MS):
        expected = viewOf(posed(rigged, timeMs, speed=0.5)).directions
        assert views.at(timeMs)["Right"].view.directions == pytest.approx(expected, abs=1e-3)
    assert views.at(80.0 + AHEAD_MS + 1.0) == {} and views.at(-1.0) == {}
    assert views.at(100.0)["Right"].view.inflation > views.at(81.0)["Right"].view.inflation > 1.0


def track(rigged, pair=PAIR, rates=(30.0, 25.0), offsetMs=17.0, seconds=2.0, speed=0.5, see=lambda camera, ms: True,
          side=lambda camera, ms: "Right", truePair=None, estimator=None, startMs=0.0):  # fmt: skip
    """A hand that moves before two cameras; gives time, hands and truth of each frame."""
    estimator = estimator or StereoEstimator(PoseParameters(60.0, 0.0, (INTRINSICS,)), (INTRINSICS,), pair)
    truePair = truePair or pair
    arrivals = sorted(
        (1000.0 * number / rate + camera * offsetMs, camera)
        for camera, rate in enumerate(rates)
        for number in range(int(seconds * rate))
    )
    frames = []
    for timeMs, camera in arrivals:
        at = timeMs - 1000.0 * seconds / 2.0
        truth = posed(rigged, at, speed)
        seen = truePair.toSecond(truth) if camera else truth
        hands = [handOf(seen, side(camera, timeMs))] if see(camera, timeMs) else []
        frames += estimator.add(camera, hands, SIZE, startMs + timeMs, (timeMs, truth))
    frames += estimator.finish()
    return frames, estimator


@pytest.mark.parametrize("offsetMs", [0.0, 17.0, 33.0])
@pytest.mark.parametrize("rates", [(30.0, 25.0), (30.0, 30.0), (25.0, 30.0), (30.0, 15.0)])
def test_unsynchronized_cameras_see_a_hand_that_moves_where_it_is(rigged, rates, offsetMs):
    frames, _estimator = track(rigged, rates=rates, offsetMs=offsetMs)
    assert [frame.key[0] for frame in frames] == pytest.approx(
        [1000.0 * n / rates[0] for n in range(int(2 * rates[0]))]
    )
    both = [frame for frame in frames if frame.hands["Right"].cameras == 2]
    assert len(both) >= len(frames) - 4
    errors = [errorsMm(frame.hands["Right"].cameraMm, frame.key[1]) for frame in both]
    assert np.median(errors) < 2.0  # in the 17 ms between two frames it moves by 8


def test_no_frame_waits_longer_than_until_the_next(rigged):
    estimator = StereoEstimator(PoseParameters(60.0, 0.0, (INTRINSICS,)), (INTRINSICS,), PAIR)
    hands, counts = [handOf(posed(rigged))], []
    for number in range(10):
        counts.append(len(estimator.add(0, hands, SIZE, 33.0 * number)))
    assert counts == [0] + [1] * 9  # the second camera gives nothing
    estimator.isSecondGone = True
    assert len(estimator.add(0, hands, SIZE, 330.0)) == 2
    waiting = StereoEstimator(PoseParameters(60.0, 0.0, (INTRINSICS,)), (INTRINSICS,), PAIR, isWaiting=True)
    assert [len(waiting.add(0, hands, SIZE, 33.0 * number)) for number in range(10)] == [0] * 10
    assert len(waiting.add(1, hands, SIZE, 100.0)) == 4


def test_frame_that_the_second_camera_has_just_missed_does_not_wait(rigged):
    estimator = StereoEstimator(PoseParameters(60.0, 0.0, (INTRINSICS,)), (INTRINSICS,), PAIR)
    first = posed(rigged)
    hands = [handOf(first)], [handOf(PAIR.toSecond(first))]
    ready = []
    for number in range(4):
        # The first camera's frame comes 4 ms after the second one's, and in the end 20 ms.
        timeMs = 33.0 * number
        assert not estimator.add(1, hands[1], SIZE, timeMs)
        ready += estimator.add(0, hands[0], SIZE, timeMs + (4.0 if number < 3 else 20.0))
        assert len(ready) == min(number + 1, 3)
    assert [ready[-1].hands["Right"].cameras, len(estimator.add(1, hands[1], SIZE, 132.0))] == [2, 1]


@pytest.mark.parametrize("latenessMs", [-30.0, 0.0, 45.0])
@pytest.mark.parametrize("isMoving", [True, False])
def test_camera_that_delivers_later_is_noticed_and_corrected(rigged, latenessMs, isMoving):
    """Its frames are stamped when they arrive."""
    estimator = StereoEstimator(PoseParameters(60.0, 0.0, (INTRINSICS,)), (INTRINSICS,), PAIR)
    random, errors = np.random.default_rng(1), []
    bias = random.normal(0.0, 3.0, (2, 21, 3))  # landmarks that are always laid beside the joints

    def handAt(timeMs: float) -> np.ndarray:
        phase = 2.0 * np.pi * 0.7 * timeMs / 1000.0 * isMoving
        return posed(rigged) + 60.0 * np.array([np.cos(phase), np.sin(phase), 0.0])

    arrivals = [(33.0 * number, 0, 33.0 * number) for number in range(400)]
    arrivals += [(40.0 * number + latenessMs, 1, 40.0 * number) for number in range(330)]
    for arrivalMs, camera, takenMs in sorted(arrivals):
        truth = handAt(takenMs)
        seen = truth + bias[camera] + random.normal(0.0, 1.0, (21, 3))
        frames = estimator.add(camera, [handOf(PAIR.toSecond(seen) if camera else seen)], SIZE, arrivalMs, truth)
        errors += [errorsMm(frame.hands["Right"].cameraMm, frame.key).mean() for frame in frames]
    if isMoving:
        assert abs(estimator.latency.ms - latenessMs) < 4.0 and np.median(errors[-60:]) < 6.0
    else:
        assert estimator.latency.ms == 0.0, "nothing is known of it"
    assert not estimator.isMoved()


def test_files_keep_their_times(rigged):
    estimator = StereoEstimator(PoseParameters(60.0, 0.0, (INTRINSICS,)), (INTRINSICS,), PAIR, isWaiting=True)
    track(rigged, estimator=estimator, seconds=8.0)
    assert estimator.latency.ms == 0.0


# What one sees alone


@pytest.mark.parametrize("gone", [0, 1])
def test_hand_that_one_camera_sees_goes_on_without_a_jump(rigged, gone):
    frames, _estimator = track(rigged, seconds=3.0, speed=0.0, see=lambda camera, ms: camera != gone or ms < 2000.0)
    hands = [frame.hands["Right"] for frame in frames]
    cameras = [hand.cameras for hand in hands]
    assert cameras[40] == 2 and cameras[-1] == 1 and not any(hand.isNewTrack for hand in hands[1:])
    steps = [np.linalg.norm(b.cameraMm - a.cameraMm, axis=1).max() for a, b in pairwise(hands[1:])]
    whole = np.linalg.norm(hands[-1].cameraMm - hands[40].cameraMm, axis=1).max()  # what one camera makes of it
    assert max(steps) < 0.5 * whole, "it goes there, in some frames"
    assert errorsMm(hands[-1].cameraMm, frames[-1].key[1]).mean() < 30.0
    assert hands[-1].landmarkStdMm.mean() > 1.3 * hands[40].landmarkStdMm.mean()
    if gone == 0:  # what the first camera would see of it
        assert hands[-1].imagePx == pytest.approx(INTRINSICS.project(hands[-1].cameraMm))


def test_both_views_agree_on_the_side(rigged):
    # One view labels the hand wrongly for a while, also when it sees it first; the first camera's name stays.
    for wrongMs in (range(600, 1000), range(400)):
        frames, _estimator = track(
            rigged, speed=0.1, side=lambda camera, ms, at=wrongMs: "Left" if camera and round(ms) in at else "Right"
        )
        assert all(set(frame.hands) == {"Right"} for frame in frames)
        assert frames[-2].hands["Right"].cameras == 2
    # The hand comes into the first view later, and is labelled wrongly there: it is the same.
    frames, _estimator = track(
        rigged,
        seconds=3.0,
        speed=0.1,
        see=lambda camera, ms: camera == 1 or ms > 1000.0,
        side=lambda camera, ms: "Right" if camera or ms > 1300.0 else "Left",
    )
    assert all(set(frame.hands) == {"Right"} for frame in frames if frame.hands)
    assert frames[-2].hands["Right"].cameras == 2


def test_mirrored_view_is_noticed_and_not_used(rigged):
    frames, estimator = track(rigged, speed=0.1, side=lambda camera, ms: "Left" if camera else "Right")
    assert estimator.isMoved() and all(frame.hands["Right"].cameras == 1 for frame in frames)


def test_another_hand_in_the_second_view_is_not_taken_for_it(rigged):
    elsewhere = pairAt(60.0)
    moved = CameraPair(elsewhere.rotation, elsewhere.translationMm + np.array([0.0, 120.0, 0.0]))
    frames, _estimator = track(rigged, truePair=moved, seconds=1.0, speed=0.0)
    assert all(frame.hands["Right"].cameras == 1 for frame in frames)


def test_moved_camera_is_noticed_and_not_used(rigged):
    frames, estimator = track(rigged, seconds=4.0, speed=0.1)
    assert not estimator.isMoved() and estimator.epipolarError() < 0.002
    turned = rotation("x", 2.5)[:3, :3]
    moved = CameraPair(turned @ PAIR.rotation, turned @ PAIR.translationMm)
    before = frames[20].hands["Right"].landmarkStdMm
    frames, estimator = track(rigged, truePair=moved, seconds=4.0, speed=0.1)
    assert estimator.isMoved() and len(frames) > MOVED_FRAMES
    assert (frames[20].hands["Right"].landmarkStdMm > 1.2 * before).all()
    assert frames[-1].hands["Right"].cameras == 1
    # It is put back.
    frames, _estimator = track(rigged, seconds=4.0, speed=0.1, estimator=estimator, startMs=4000.0)
    assert frames[-1].hands["Right"].cameras == 2


@pytest.mark.parametrize("degrees, isNoticed", [(5.0, True), (-5.0, True), (1.0, False)])
def test_camera_turned_along_the_lines_is_noticed_by_the_hands_size(rigged, degrees, isNoticed):
    """The cameras stand beside each other: turned to the side, each still sees the hand at the same height."""
    pair = pairAt(30.0)
    frames, estimator = track(rigged, seconds=4.0, speed=0.0, pair=pair)
    assert not estimator.isMoved()
    turned = rotation("y", degrees)[:3, :3]
    moved = CameraPair(turned @ pair.rotation, turned @ pair.translationMm)
    more = {"seconds": 3.0, "speed": 0.0, "estimator": estimator, "pair": pair}
    frames, _estimator = track(rigged, truePair=moved, startMs=4000.0, **more)
    assert estimator.epipolarError() < MOVED
    assert [estimator.isMoved(), frames[-1].hands["Right"].cameras] == [isNoticed, 1 if isNoticed else 2]
    # It is put back.
    frames, _estimator = track(rigged, startMs=7000.0, **more)
    assert frames[-1].hands["Right"].cameras == 2


def test_palm_width_that_no_hand_has_is_refused():
    with pytest.raises(LiveHandError, match="palmWidth"):
        StereoEstimator(PoseParameters(500.0), (), PAIR)
