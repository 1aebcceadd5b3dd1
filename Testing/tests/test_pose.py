"""Where the hand is in millimetres: the method's own laws, rendered hands, and a real clip with a stereo truth."""

import numpy as np
import pytest

from benchmark import accuracy
from LiveHandLib.errors import LiveHandError
from LiveHandLib.landmarks import Landmark
from LiveHandLib.pose.coordinates import pointer
from LiveHandLib.pose.handpose import HandPose, deviationsAfter
from LiveHandLib.pose.smoothing import OneEuro

STEP_MS = 33


def seen(random=None, distance: float = 500.0) -> tuple[np.ndarray, np.ndarray]:
    """An open hand of a 62 mm palm that faces the camera: directions and relative depths, no unit."""
    fingers = [((-28, -85), (-30, -135)), ((-8, -88), (-9, -150)), ((11, -82), (13, -138)), ((31, -72), (38, -112))]
    points = [(0, 0), (-30, -22), (-50, -50), (-62, -78), (-70, -100)]
    for base, tip in fingers:
        points += [np.array(base) + part * (np.array(tip) - base) for part in (0, 0.5, 0.8, 1)]
    normalized = np.array(points, float) / distance
    depth = np.zeros(21)
    if random is not None:
        normalized = normalized + random.normal(0, 0.5 / 800, (21, 2))
        depth = depth + random.normal(0, 4.0 / 800, 21)
    return normalized, depth


def test_hand_is_as_far_away_as_it_is_small():
    placed = [HandPose(62.0).update(*seen(distance=distance), 0)[0][:, 2].mean() for distance in (400, 800)]
    assert placed == pytest.approx([400, 800], rel=0.1)
    assert placed[1] / placed[0] == pytest.approx(2, rel=0.02)


def test_larger_palm_of_the_same_looks_is_farther_away_by_as_much():
    small, large = (HandPose(palm).update(*seen(), 0)[0] for palm in (50.0, 75.0))
    assert large == pytest.approx(1.5 * small, rel=1e-3)


def test_landmarks_stay_where_they_are_seen():
    normalized, depth = seen(np.random.default_rng(1))
    placed, _deviations = HandPose().update(normalized, depth, 0)
    assert placed[:, :2] / placed[:, 2:] == pytest.approx(normalized)


def test_mirror_image_is_placed_as_a_mirror_image():
    normalized, depth = seen(np.random.default_rng(2))
    placed, _deviations = HandPose().update(normalized, depth, 0)
    mirrored, _deviations = HandPose().update(normalized * (-1, 1), depth, 0)
    assert mirrored == pytest.approx(placed * (-1, 1, 1))


def test_nearer_end_of_a_bone_is_the_one_that_mediapipe_says():
    normalized, depth = seen()
    normalized[8] = normalized[7] + 0.3 * (normalized[8] - normalized[7])  # the last bone is foreshortened
    for sign in (-1, 1):
        depth[8] = depth[7] + sign * 0.02
        placed, _deviations = HandPose().update(normalized, depth, 0)
        assert np.sign(placed[8, 2] - placed[7, 2]) == sign


def test_nearer_end_of_a_bone_is_the_one_that_the_world_landmarks_say():
    normalized, depth = seen()
    normalized[6:9] = normalized[5] + 0.3 * (normalized[6:9] - normalized[5])  # the finger is foreshortened
    for sign in (-1, 1):
        world = np.zeros(21)
        world[6:9] = sign * 30.0
        placed, _deviations = HandPose().update(normalized, depth, 0, world)
        assert np.sign(placed[6, 2] - placed[5, 2]) == sign


def test_world_landmarks_are_those_of_a_hand_of_any_size():
    normalized, depth = seen(np.random.default_rng(5))
    world = np.random.default_rng(6).normal(0, 10.0, 21)
    small, large = (HandPose(palm).update(normalized, depth, 0, world)[0] for palm in (50.0, 75.0))
    assert large == pytest.approx(1.5 * small, rel=1e-3)


def test_frames_before_make_it_steadier():
    random = np.random.default_rng(3)
    frames = [seen(random) for _frame in range(60)]
    pose = HandPose()
    together = [pose.update(*frame, STEP_MS * n)[0] for n, frame in enumerate(frames)]
    alone = [HandPose().update(*frame, 0)[0] for frame in frames]
    spreads = [np.std(placed[10:], axis=0)[:, 2].mean() for placed in (together, alone)]
    assert spreads[0] < 0.8 * spreads[1]


def test_uncertainty_falls_with_frames_and_grows_while_the_hand_is_hidden():
    random = np.random.default_rng(4)
    pose = HandPose()
    deviations = [pose.update(*seen(random), STEP_MS * n)[1] for n in range(20)]
    assert (deviations[-1] < deviations[0]).all()
    hidden = [deviationsAfter(deviations[-1], elapsed) for elapsed in (0, 100, 1000, 5000)]
    assert np.allclose(hidden[0], deviations[-1])
    assert (np.diff(hidden, axis=0) > 0).all()
    _placed, afterwards = pose.update(*seen(random), STEP_MS * 19 + 900)
    assert (afterwards > deviations[-1]).all(), "and one frame does not make up for it"


def test_another_hand_is_not_drawn_to_where_the_first_one_was():
    pose = HandPose()
    for n in range(10):
        pose.update(*seen(distance=400), STEP_MS * n)
    pose.reset()
    placed, _deviations = pose.update(*seen(distance=800), STEP_MS * 10)
    assert placed == pytest.approx(HandPose().update(*seen(distance=800), 0)[0])


@pytest.mark.parametrize("width", [0.0, 500.0, -60.0, float("nan")])
def test_palm_width_that_cannot_be(width):
    with pytest.raises(LiveHandError, match="palmWidth"):
        HandPose(width)


def flags(numbers: str) -> np.ndarray:
    return np.array([float(number) for number in numbers])


@pytest.mark.fault("Field: all landmarks in one point")
@pytest.mark.parametrize(
    "at, depth",
    [
        ((0.1, 0.2), 3.0 * flags("100000000000000001000")),
        ((1.0, 1.0), 0.1 * flags("010000010001100110001")),
        ((0.5, 0.0), 0.1 * flags("100001000001100101010")),
        ((0.0, 0.0), 1.0 * flags("100000111011010101100")),
    ],
)
def test_landmarks_in_one_point_have_a_pose(at, depth):
    """These made a matrix that is exactly singular, and others nearly, see test_fuzz.py for any landmarks."""
    placed, deviations = HandPose().update(np.tile(at, (21, 1)), depth, 0)
    assert np.isfinite(placed).all() and np.isfinite(deviations).all() and (deviations > 0).all()
    assert (placed[:, 2] >= 80.0).all() and (placed[:, 2] <= 3000.0).all()


# Smoothing


def test_slow_step_arrives_after_the_delay():
    smoothing = OneEuro(200.0)
    smoothing.update(np.zeros((1, 3)), 0)
    values = [smoothing.update(np.array([[0.01, 0.0, 0.0]]), 10 * n)[0, 0] for n in range(1, 200)]
    arrival = 10 * (1 + next(n for n, value in enumerate(values) if value > 0.01 * (1 - np.exp(-1))))
    assert 160 < arrival < 240
    assert values[-1] == pytest.approx(0.01, rel=0.01)


def test_trembling_is_taken_out_and_movement_is_followed():
    random = np.random.default_rng(5)
    times = STEP_MS * np.arange(90)
    moving = np.outer(times * 0.5, [1.0, 0.0, 0.0])[:, None, :]  # 500 mm/s
    trembling = random.normal(0, 1.0, (90, 1, 3))
    smoothing = OneEuro(100.0)
    rest = np.array([smoothing.update(point, time) for point, time in zip(trembling, times, strict=True)])
    assert rest[20:].std() < 0.75 * trembling[20:].std()
    smoothing.reset()
    path = np.array([smoothing.update(point, time) for point, time in zip(moving, times, strict=True)])
    assert np.abs(path - moving)[20:].max() < 500 * 0.004, "mm: less than 4 ms behind"


def test_nothing_is_smoothed_without_a_delay_nor_over_a_gap():
    points = np.random.default_rng(6).normal(size=(3, 21, 3))
    assert np.array_equal(OneEuro(0.0).update(points[0], 0), points[0])
    smoothing = OneEuro(400.0)
    smoothing.update(points[0], 0)
    assert not np.allclose(smoothing.update(points[1], 30), points[1])
    assert np.array_equal(smoothing.update(points[2], 1000), points[2])


# The pointer


@pytest.mark.parametrize("side", ["Right", "Left"])
def test_pointer_begins_beyond_the_tip_and_its_pad_is_on_the_palms_side(side, shared):
    from support.handrender import RiggedHand, placement

    hand = RiggedHand.load(shared / "hand-mesh" / f"{side.lower()}.glb")
    posed = hand.pose({}, placement(roll=20))  # it shows its palm to the camera
    matrix = pointer(posed.landmarks, side, 7.0, 2.0)
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3)) and np.linalg.det(matrix[:3, :3]) > 0
    along, pad, tip = matrix[:3, 2], matrix[:3, 1], posed.landmarks[Landmark.INDEX_FINGER_TIP]
    assert along @ (tip - posed.landmarks[Landmark.INDEX_FINGER_DIP]) > 0
    assert pad[2] < -0.8, "towards the camera"
    assert matrix[:3, 3] == pytest.approx(tip + 7.0 * along + 2.0 * pad)


# Against the truth, through MediaPipe


def test_real_clip(shared, model):
    clips = shared / "clips"
    paths = str(clips / "hand_desk.mp4"), str(clips / "hand_desk_truth.npz")
    result = accuracy.track(accuracy.clip(*paths, range(200), 52.6), model)
    assert len(result.frames) > 180
    figures = accuracy.figures(result, "livehand")
    assert figures["tip_registered_mm_median"] <= 13
    assert figures["tip_mm_median"] <= 30
    assert figures["all_mm_median"] <= 30 and figures["all_mm_p90"] <= 70
    assert figures["depth_jitter_mm"] <= 20
    sqpnp = accuracy.figures(result, "sqpnp")
    assert sqpnp["tip_mm_median"] == pytest.approx(208, abs=4), "as published figures of the method have it"
    honesty = accuracy.within(result)
    assert honesty["within_1_deviation"] > 0.6 and honesty["within_2_deviations"] > 0.9


@pytest.mark.parametrize("side, motion", [("left", "pointing"), ("right", "near and far")])
def test_rendered_hand(side, motion, shared, model):
    result = accuracy.track(accuracy.rendered(side, motion), model)
    assert result.missed <= 2
    figures = accuracy.figures(result, "livehand")
    assert figures["tip_mm_median"] < 25 and figures["all_mm_median"] < 25
    assert figures["all_mm_median"] < 0.6 * accuracy.figures(result, "sqpnp")["all_mm_median"]
    assert accuracy.within(result)["within_2_deviations"] > 0.85


def test_command_writes_the_figures(shared, tmp_path, capsys):
    clips = shared / "clips"
    options = ["--clip", clips / "hand_desk.mp4", "--truth", clips / "hand_desk_truth.npz", "--frames", "10:30"]
    options += ["--palm-width", "52.6", "--json", tmp_path / "out.json", "--plot", tmp_path / "out.png"]
    assert accuracy.main([str(option) for option in options]) == 0
    import json

    content = json.loads((tmp_path / "out.json").read_text())
    keys = {"tip_registered_mm_median", "tip_mm_median", "tip_mm_p90", "all_mm_median", "all_mm_p90", "depth_bias_mm"}
    for method in accuracy.METHODS:
        assert keys | {"depth_jitter_mm", "ms_per_frame"} <= content[method].keys()
    assert (tmp_path / "out.png").stat().st_size > 5000
    assert "hand_desk (18 frames" in capsys.readouterr().out
