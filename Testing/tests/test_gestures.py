"""Pinches and what they move: exact geometry, and hands that are lost, cross, jump or are none."""

import math
from pathlib import Path

import numpy as np
import pytest
import vtk

from LiveHandLib.errors import LiveHandError
from LiveHandLib.gestures import moves
from LiveHandLib.gestures.hold import DIRECTION_SLACK, FOLLOWED, Hold, rotationMatrix, rotationVector
from LiveHandLib.gestures.pinch import (
    DWELL_MS,
    ENDED,
    GRACE_MS,
    MOVED,
    SETTLE_MS,
    STARTED,
    PinchRecognizer,
)
from LiveHandLib.gestures.pinchnetwork import FILE_NAME, PinchNetwork
from LiveHandLib.panel.sentences import sentence
from LiveHandLib.pose.estimator import TrackedHand
from support.paths import RESOURCES

SIZE = (640, 480)
PLACE = np.array([0.0, 40.0, 500.0])  # mm, in the camera's coordinate system
FOCAL = 560.0
STEP_MS = 33.0
NETWORK = PinchNetwork(RESOURCES / FILE_NAME)


with np.load(Path(__file__).parent / "data" / "Hands.npz") as _file:
    # Poses of the rig of LiveHand/Resources/HandMesh.LICENSE.md, mm: a right hand that shows its palm and closes thumb
    # and index finger in 18 steps (support/handrender.py's pinched()), and one that makes a fist.
    CLOSING, FIST = _file["closing"].astype(float), _file["fist"].astype(float)


def shape(closing: float, fist: bool = False) -> np.ndarray:
    """(21, 3) a right hand that shows its palm, mm; open where thumb and index finger close by 0."""
    if fist:
        return FIST
    step = closing * (len(CLOSING) - 1)
    before = min(int(step), len(CLOSING) - 2)
    return CLOSING[before] + (step - before) * (CLOSING[before + 1] - CLOSING[before])


def tracked(landmarks: np.ndarray, side: str = "Right", **others) -> TrackedHand:
    """The hand as a camera sees it that is exact."""
    z = landmarks[:, 2]
    imagePx = landmarks[:, :2] / z[:, None] * FOCAL + np.array(SIZE) / 2.0
    depthPx = (z - z[0]) * FOCAL / z.mean()
    world = landmarks - landmarks.mean(axis=0)
    return TrackedHand(side, 0.95, imagePx, world, depthPx, landmarks, np.full(21, 20.0), **others)


def at(
    closing: float, place=(0.0, 40.0, 500.0), turn=(0.0, 0.0, 0.0), fist=False, side="Right", **others
) -> TrackedHand:
    hand = shape(closing, fist) * (1.0 if side == "Right" else -1.0, 1.0, 1.0)
    return tracked(hand @ rotationMatrix(np.array(turn, float)).T + place, side, **others)


class Stream:
    """Frames that come every 33 ms."""

    def __init__(self):
        self.recognizer, self.timeMs, self.events = PinchRecognizer(NETWORK), 0.0, []

    def show(self, frames: int = 1, **hands) -> list:
        events = []
        for _frame in range(frames):
            self.timeMs += STEP_MS
            events += self.recognizer.update(dict(hands), SIZE, self.timeMs)
        self.events += events
        return events

    def names(self) -> list[str]:
        return [event.name for event in self.events if event.name != MOVED]

    def pinch(self, **keywords) -> "Stream":
        self.show(5, Right=at(0.0, **keywords))
        self.show(12, Right=at(1.0, **keywords))
        assert self.names()[-1] == STARTED
        return self


def test_open_hand_and_pinch_are_far_from_each_other():
    """Also those of a hand that the network has never seen, in its exact geometry."""
    assert NETWORK.probability(at(0.0), "Right") < 0.001 and NETWORK.probability(at(1.0), "Right") > 0.9


@pytest.mark.parametrize("content", [None, b"", b"PK"])
def test_network_that_cannot_be_read_is_told(tmp_path, content):
    path = tmp_path / FILE_NAME
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LiveHandError, match="networkMissing") as raised:
        PinchNetwork(path).probability(at(0.0), "Right")
    assert str(path) in sentence(raised.value)


@pytest.mark.parametrize("turn", [(0, 0, 0), (0.6, 0, 0), (-0.6, 0, 0), (0, 0.6, 0), (0, -0.6, 0), (0.4, 0.5, 1)])
def test_pinch_is_recognized_from_any_direction(turn):
    stream = Stream().pinch(turn=turn)
    stream.show(5, Right=at(0.0, turn=turn))
    assert stream.names() == [STARTED, ENDED]
    assert stream.events[-1].reason == "opened"


def test_pinch_has_to_last():
    stream = Stream()
    stream.show(5, Right=at(0.0))
    for _time in range(5):
        stream.show(2, Right=at(1.0))
        stream.show(2, Right=at(0.0))
    assert stream.names() == []


def test_fingers_that_nearly_touch_hold_on_but_take_no_hold():
    nearly = next(at(part) for part in np.linspace(0.0, 1.0, 500) if NETWORK.probability(at(part), "Right") > 0.25)
    stream = Stream()
    stream.show(5, Right=at(0.0))
    assert not stream.show(30, Right=nearly)
    stream.show(10, Right=at(1.0))
    assert stream.names() == [STARTED]
    assert len(stream.show(30, Right=nearly)) == 30 and stream.names() == [STARTED]


def test_pinch_begins_when_it_has_lasted():
    stream = Stream()
    stream.show(5, Right=at(0.0))
    closedMs = stream.timeMs
    stream.show(10, Right=at(1.0))
    started = next(event for event in stream.events if event.name == STARTED)
    assert DWELL_MS <= started.timestampMs - closedMs < DWELL_MS + 2 * STEP_MS
    moved = next(event for event in stream.events if event.name == MOVED)
    assert moved.timestampMs - started.timestampMs >= SETTLE_MS


def test_fingers_between_open_and_closed_change_nothing():
    between = next(at(part) for part in np.linspace(0, 1, 500) if 0.08 < NETWORK.probability(at(part), "Right") < 0.18)
    stream = Stream()
    stream.show(5, Right=at(0.0))
    stream.show(20, Right=between)
    assert stream.names() == []
    stream.show(12, Right=at(1.0))
    stream.show(20, Right=between)
    assert stream.names() == [STARTED]


def test_hand_that_was_never_open_does_not_pinch():
    stream = Stream()
    stream.show(30, Right=at(1.0))
    assert stream.names() == []
    stream.show(1, Right=at(0.0))
    stream.show(30, Right=at(1.0))
    assert stream.names() == [], "nor after one frame"


def test_touching_fingertips_of_a_fist_are_no_pinch():
    """The network alone takes them for one."""
    hand = shape(1.0).copy()
    hand[10:13] = hand[9] + np.array([(0, -15, -36), (0, 12, -48), (0, 22, -30)])
    fist = tracked(hand + PLACE)
    assert NETWORK.probability(fist, "Right") > 0.9
    stream = Stream()
    stream.show(5, Right=at(0.0))
    stream.show(20, Right=fist)
    assert stream.names() == []


def test_fist_is_no_pinch():
    stream = Stream()
    stream.show(5, Right=at(0.0))
    stream.show(20, Right=at(1.0, fist=True))
    assert stream.names() == []


def test_hand_moves_what_it_holds_and_not_at_first():
    stream = Stream()
    stream.show(5, Right=at(0.0))
    while not stream.show(1, Right=at(1.0)):
        assert stream.timeMs < 1000.0
    (started,) = stream.events
    stream.show(3, Right=at(1.0, place=(20.0, 40.0, 500.0)))
    assert [event.name for event in stream.events] == [STARTED]
    (moved,) = stream.show(1, Right=at(1.0, place=(20.0, 40.0, 500.0)))
    assert np.allclose(moved.positionMm, started.positionMm), "what it did while settling does not count"
    stream.show(60, Right=at(1.0, place=(60.0, 10.0, 500.0)))
    assert stream.events[-1].positionMm - started.positionMm == pytest.approx([40.0, -30.0, 0.0], abs=1.5)


def test_hand_that_is_lost_lets_go_where_it_was():
    stream = Stream().pinch()
    stream.show(30, Right=at(1.0, place=(30.0, 40.0, 500.0)))
    last = stream.events[-1]
    stream.show(2)
    assert stream.names() == [STARTED], "a frame or two may be missing"
    stream.show(math.ceil(GRACE_MS / STEP_MS))
    ended = stream.events[-1]
    assert (ended.name, ended.reason) == (ENDED, "lost")
    assert (ended.positionMm == last.positionMm).all() and (ended.rotation == last.rotation).all()
    stream.show(20, Right=at(1.0))
    assert stream.names() == [STARTED, ENDED], "it has to be seen open again"


def test_landmarks_that_are_no_numbers_let_go():
    stream = Stream().pinch()
    hand = shape(1.0) + PLACE
    broken = tracked(hand)
    broken.imagePx[:], broken.cameraMm[:] = np.nan, np.nan
    stream.show(6, Right=broken)
    assert stream.names() == [STARTED, ENDED]
    assert all(np.isfinite(event.positionMm).all() for event in stream.events)


def test_renamed_hand_lets_go_at_once():
    stream = Stream().pinch()
    stream.show(1, Right=at(1.0, isNewTrack=True))
    assert stream.names() == [STARTED, ENDED]


def test_hands_that_cross_let_go_of_both():
    stream = Stream()
    apart = {"Left": (-100.0, 40.0, 500.0), "Right": (100.0, 40.0, 500.0)}
    for closing in (0.0, 1.0):
        stream.show(10, **{side: at(closing, place=place, side=side) for side, place in apart.items()})
    assert stream.names() == [STARTED, STARTED]
    stream.show(6, **{side: at(1.0, place=(place[0] / 8, *place[1:]), side=side) for side, place in apart.items()})
    assert stream.names() == [STARTED, STARTED, ENDED, ENDED]


def test_jump_lets_go_and_does_not_carry_along():
    stream = Stream().pinch()
    stream.show(1, Right=at(1.0, place=(150.0, 40.0, 500.0)))
    assert np.abs(stream.events[-1].positionMm - stream.events[0].positionMm).max() < 1.0


def test_hand_out_of_the_image_lets_go():
    stream = Stream().pinch()
    for x in range(0, 400, 20):
        stream.show(1, Right=at(1.0, place=(-float(x), 40.0, 500.0)))
    assert stream.names() == [STARTED, ENDED] and stream.events[-1].reason == "lost"


def test_clock_that_jumps_lets_go():
    for step in (-5000.0, 1000.0):
        stream = Stream().pinch()
        stream.timeMs += step
        stream.show(5, Right=at(1.0))
        assert stream.names() == [STARTED, ENDED]


def test_stop_lets_go():
    stream = Stream().pinch()
    (ended,) = stream.recognizer.stop(stream.timeMs)
    assert (ended.name, ended.reason) == (ENDED, "stopped") and stream.recognizer.held == {}
    assert stream.show(10, Right=at(1.0)) == []


def test_opening_hand_does_not_move_what_it_held():
    stream = Stream().pinch()
    stream.show(20, Right=at(1.0))
    last = stream.events[-1].positionMm
    for part in (0.6, 0.3, 0.0, 0.0, 0.0):
        stream.show(1, Right=at(part, place=(25.0, 40.0, 500.0)))
    assert stream.names() == [STARTED, ENDED]
    assert np.abs(stream.events[-1].positionMm - last).max() < 2.0


def test_flick_does_not_throw():
    stream = Stream().pinch()
    start = stream.events[-1].direction
    for x in (60.0, 130.0):
        stream.show(1, Right=at(1.0, place=(x, 40.0, 500.0)))
    stream.show(4, Right=at(0.0, place=(150.0, 40.0, 500.0)))
    azimuth, _elevation = moves.dragAngles(start, stream.events[-1].direction)
    assert stream.names() == [STARTED, ENDED] and abs(azimuth) < 40.0


def test_jitter_of_a_hand_that_holds_still_moves_nothing():
    random = np.random.default_rng(1)
    stream = Stream().pinch()
    stream.show(10, Right=at(1.0))
    start = stream.events[-1]
    for _frame in range(300):
        jitter = random.normal(0, (0.7, 0.7, 4.0), (21, 3)) + random.normal(0, (0.3, 0.3, 3.0))
        stream.show(1, Right=tracked(shape(1.0) + PLACE + jitter))
        event = stream.events[-1]
        assert np.linalg.norm(event.positionMm - start.positionMm) < 1.0
        assert np.degrees(np.linalg.norm(rotationVector(event.rotation))) < 1.0
        assert max(map(abs, moves.dragAngles(start.direction, event.direction))) < 1.0


def test_hold_follows_six_degrees_of_freedom():
    hand = shape(1.0) + PLACE
    hold = Hold(hand)
    turn = rotationMatrix(np.array([0.2, -0.3, 0.5]))
    for part in np.linspace(0, 1, 60):
        rotation = rotationMatrix(part * rotationVector(turn))
        moved = (hand - hand.mean(axis=0)) @ rotation.T + hand.mean(axis=0) + part * np.array([50.0, -20.0, 80.0])
        hold.follow(hand if part < 0.2 else moved, STEP_MS)
    for _frame in range(200):
        hold.follow(moved, STEP_MS)
    assert np.degrees(np.linalg.norm(rotationVector(hold.rotation @ turn.T))) < 2.6
    assert hold.wayMm == pytest.approx((moved - hand)[FOLLOWED].mean(axis=0), abs=14.0)
    assert hold.direction == pytest.approx((moved[FOLLOWED, :2] / moved[FOLLOWED, 2:]).mean(axis=0), abs=1e-4)


def test_hold_follows_a_hand_that_comes_nearer_all_the_way():
    hand = shape(1.0) + PLACE
    hold, distance = Hold(hand), hand[FOLLOWED, 2].mean()
    for way in [*[0] * 12, *range(0, 42, 2), *[42] * 60]:
        hold.follow(hand * (1.0 - way / distance), STEP_MS)
    assert hold.wayMm[2] == pytest.approx(-42, abs=2.0), "and does not stop short by the slack"
    for way in [40, 44] * 60:
        hold.follow(hand * (1.0 - way / distance), STEP_MS)
        assert hold.wayMm[2] == pytest.approx(-42, abs=2.0), "nor wander within it when the hand rests"


def test_hold_is_back_where_the_hand_is_back():
    hand = shape(1.0) + PLACE
    hold = Hold(hand)
    for x in [*range(0, 80, 4), *range(80, 0, -4), *[0] * 200]:
        hold.follow(hand + np.array([x, 0.0, 0.0]), STEP_MS)
    assert np.linalg.norm(hold.direction - Hold(hand).direction) < 0.05 * DIRECTION_SLACK


@pytest.mark.parametrize("length", [0.0, 1e-9, 0.3, 2.0, math.pi - 1e-4, math.pi])
def test_rotation_vectors_and_matrices_are_each_others_inverse(length):
    for axis in (*np.eye(3), np.array([1.0, -2.0, 2.0]) / 3.0):
        matrix = rotationMatrix(length * axis)
        assert rotationMatrix(rotationVector(matrix)) == pytest.approx(matrix, abs=1e-6)


# What it does


def test_orbit_is_vtks():
    random = np.random.default_rng(2)
    for _time in range(20):
        camera = vtk.vtkCamera()
        camera.SetPosition(*random.normal(0, 100, 3))
        camera.SetFocalPoint(*random.normal(0, 30, 3))
        camera.SetViewUp(*random.normal(0, 1, 3))
        camera.OrthogonalizeViewUp()
        before = [np.array(values) for values in (camera.GetPosition(), camera.GetFocalPoint(), camera.GetViewUp())]
        azimuth, elevation = random.uniform(-80, 80, 2)
        camera.Azimuth(azimuth)
        camera.Elevation(elevation)
        camera.OrthogonalizeViewUp()
        position, viewUp = moves.orbit(*before, azimuth, elevation)
        assert position == pytest.approx(camera.GetPosition(), abs=1e-9)
        assert viewUp == pytest.approx(camera.GetViewUp(), abs=1e-9)


def test_orbit_of_a_camera_in_its_focal_point_changes_nothing():
    position, viewUp = moves.orbit(np.zeros(3), np.zeros(3), np.array([0.0, 0.0, 1.0]), 30.0, 20.0)
    assert (position == 0.0).all() and (viewUp == [0.0, 0.0, 1.0]).all()


def test_what_is_seen_follows_the_hand():
    """A point in front of the focal point goes to the right of the view when the user's hand does, and up."""
    view = np.array([0.0, 0.0, 300.0]), np.zeros(3), np.array([0.0, 1.0, 0.0])  # right is x
    point = np.array([0.0, 0.0, 50.0])
    usersRight, up = np.array([-0.1, 0.0]), np.array([0.0, -0.1])  # in the image of a camera that faces the user
    for way, axis in ((usersRight, 0), (up, 1)):
        position, viewUp = moves.orbit(*view, *moves.dragAngles(np.zeros(2), way))
        right = np.cross(viewUp, position / np.linalg.norm(position))
        assert (right, viewUp)[axis] @ point > 10.0
        assert abs((viewUp, right)[axis] @ point) < 1e-9


def test_two_hands_zoom_pan_and_roll():
    left, right = np.array([0.1, 0.0]), np.array([-0.1, 0.0])  # in a camera that faces the user
    assert moves.twoHands((left, right), (2 * left, 2 * right)) == (2.0, pytest.approx([0, 0]), pytest.approx(0))
    move = np.array([0.05, 0.02])
    zoom, pan, roll = moves.twoHands((left, right), (left - move, right - move))
    assert (zoom, roll) == (pytest.approx(1), pytest.approx(0))
    assert pan == pytest.approx(move), "to the user's right, and up"
    up = np.array([0.0, -0.1])
    _zoom, _pan, roll = moves.twoHands((left, right), (left - up, right + up))
    assert roll == pytest.approx(45.0), "the right hand up: counterclockwise"


def test_two_hands_in_one_place_do_not_zoom():
    hand = np.array([0.1, 0.0])
    assert moves.twoHands((hand, hand), (hand, 2 * hand))[0] == 1.0
    near = moves.twoHands((hand, -hand), (1e-4 * hand, -1e-4 * hand))[0]
    assert near == 1.0 / moves.LARGEST_ZOOM


def test_scrolling_is_mm_per_mm_and_snaps():
    start, now = np.array([0.0, 40.0, 500.0]), np.array([5.0, 19.6, 500.0])
    assert moves.scrolled(10.0, start, now) == pytest.approx(30.4)
    assert moves.scrolled(10.0, start, now, factor=2.0) == pytest.approx(50.8)
    assert moves.scrolled(10.0, start, now, spacing=3.0, origin=0.5) == pytest.approx(30.5)


def test_window_and_level_go_as_with_the_mouse():
    right, up = np.array([-0.057, 0.0]), np.array([0.0, -0.057])
    window, level = moves.windowLevel(100.0, 50.0, (0.0, 1000.0), np.zeros(2), right + up)
    assert (window, level) == (pytest.approx(200.0), pytest.approx(150.0))
    assert moves.windowLevel(100.0, 50.0, (0.0, 1000.0), np.zeros(2), -50 * right)[0] == 0.0
    assert moves.windowLevel(100.0, 50.0, (0.0, 1000.0), np.zeros(2), 50 * up)[1] == 1050.0


def transformed(matrix: np.ndarray, point) -> np.ndarray:
    return matrix[:3, :3] @ np.asarray(point, float) + matrix[:3, 3]


def test_one_hand_carries_as_a_rigid_body():
    stream = Stream().pinch()
    start = stream.recognizer.started["Right"]
    way, turn = np.array([10.0, 20.0, 30.0]), rotationMatrix(np.array([0.0, 0.0, 0.5]))
    now = type(start)(
        **vars(start) | {"positionMm": start.positionMm + way, "centreMm": start.centreMm + way, "rotation": turn}
    )
    point = np.array([3.0, 4.0, 5.0])
    assert transformed(moves.carried(start, now), start.centreMm + point) == pytest.approx(now.centreMm + turn @ point)
    assert transformed(moves.carried(start, now, canTurn=False), point) == pytest.approx(point + way)
    onlyTurned = moves.carried(start, now, canMove=False)
    assert transformed(onlyTurned, start.positionMm) == pytest.approx(start.positionMm)
    assert onlyTurned[:3, :3] == pytest.approx(turn)


def test_two_hands_carry_their_two_points():
    start = np.array([-100.0, 0.0, 500.0]), np.array([100.0, 0.0, 500.0])
    now = np.array([-50.0, -80.0, 520.0]), np.array([90.0, 60.0, 450.0])
    scaled = moves.carriedByTwo(start, now, canScale=True)
    for before, after in zip(start, now, strict=True):
        assert transformed(scaled, before) == pytest.approx(after)
    rigid = moves.carriedByTwo(start, now)
    assert rigid[:3, :3] @ rigid[:3, :3].T == pytest.approx(np.eye(3)) and np.linalg.det(rigid[:3, :3]) > 0
    middle = transformed(rigid, (start[0] + start[1]) / 2)
    assert middle == pytest.approx((now[0] + now[1]) / 2)
    assert moves.carriedByTwo(start, now, canTurn=False)[:3, :3] == pytest.approx(np.eye(3))
    same = moves.carriedByTwo((start[0], start[0]), now, canScale=True)
    assert same[:3, :3] == pytest.approx(np.eye(3)), "no line between them"


def test_motion_in_ras_is_the_same_motion():
    from LiveHandLib.pose.coordinates import CAMERA_TO_RAS

    matrix = moves.carriedByTwo((np.zeros(3), np.ones(3)), (np.ones(3), np.array([1.0, 2.0, 4.0])))
    for cameraToRas in CAMERA_TO_RAS.values():
        inRas = moves.inCoordinates(matrix, cameraToRas)
        point = np.array([1.0, 2.0, 3.0])
        moved = transformed(cameraToRas, transformed(matrix, point))
        assert transformed(inRas, transformed(cameraToRas, point)) == pytest.approx(moved)
