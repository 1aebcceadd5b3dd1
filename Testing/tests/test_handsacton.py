"""Hands that act on views, slices and transforms, in the host: real nodes, frames as the worker sends them."""

import math
import time

import numpy as np
import pytest
import slicer

from LiveHandLib.gestures.hold import FOLLOWED
from LiveHandLib.pose.estimator import TrackedFrame
from LiveHandLib.scene.gestures import HandsActOn
from tests.test_gestures import SIZE, STEP_MS, at

AWAY = {"Left": (120.0, 40.0, 500.0), "Right": (-120.0, 40.0, 500.0)}


class Hands:
    """Both hands, seen exactly, whose frames go to a logic as the worker's do."""

    def __init__(self, logic):
        self.logic, self.number = logic, 0
        self.closing = {"Right": 0.0}
        self.place = {side: np.array(place) for side, place in AWAY.items()}
        self.turn = {side: np.zeros(3) for side in AWAY}

    def show(self, frames=1):
        for _frame in range(frames):
            self.number += 1
            hands = {side: at(self.closing[side], self.place[side], self.turn[side]) for side in self.closing}
            timeMs = round(self.number * STEP_MS)
            self.logic.showFrame(TrackedFrame(self.number, timeMs, time.perf_counter(), SIZE, hands))

    def pinch(self, *sides):
        """Open hands, which then pinch; nothing moves."""
        self.closing = {side: self.closing.get(side, 0.0) for side in {*self.closing, *sides}}
        for side in sides:
            self.closing[side] = 0.0
        self.show(5)
        for side in sides:
            self.closing[side] = 1.0
        self.show(12)

    def move(self, wayMm=(0, 0, 0), turn=(0, 0, 0), sides=("Right",), frames=20, rest=70):
        """Carry what the hands hold by a way in the camera's coordinate system, in mm, and hold still."""
        for _frame in range(frames):
            for side in sides:
                self.place[side] = self.place[side] + np.array(wayMm) / frames
                self.turn[side] = self.turn[side] + np.array(turn) / frames
            self.show()
        self.show(rest)

    def open(self, *sides):
        for side in sides or self.closing:
            self.closing[side] = 0.0
        self.show(5)


@pytest.fixture
def hands(app, logic):
    hands = Hands(logic)
    hands.show(logic.display.FRAMES_UNTIL_CENTERED)
    yield hands
    logic.getParameterNode().handsActOn = HandsActOn.NOTHING
    logic.gestures.endLive()
    logic.gestures.isReporting = False
    logic.display.show({})


def camera():
    (node,) = slicer.util.getNodesByClass("vtkMRMLCameraNode")
    return node


def cameraState():
    return np.concatenate([camera().GetPosition(), camera().GetFocalPoint(), camera().GetViewUp()])


def inView(point):
    """Where a point is in the 3D view: to the right and up, over half its height."""
    aspect = 1.0
    matrix = slicer.util.arrayFromVTKMatrix(
        camera().GetCamera().GetCompositeProjectionTransformMatrix(aspect, -1.0, 1.0)
    )
    x, y, _z, w = matrix @ [*point, 1.0]
    return np.array([x, y]) / w


@pytest.fixture
def view(hands):
    """The 3D view's camera looks from anterior, half a metre from the origin, and hands act on it."""
    hands.logic.getParameterNode().handsActOn = HandsActOn.VIEW
    camera().SetPosition(0.0, 500.0, 0.0)
    camera().SetFocalPoint(0.0, 0.0, 0.0)
    camera().SetViewUp(0.0, 0.0, 1.0)
    camera().SetViewAngle(30.0)
    return hands


def test_hands_act_on_nothing_at_first(app, hands, logic):
    assert logic.getParameterNode().handsActOn is HandsActOn.NOTHING
    before = cameraState()
    hands.pinch("Right")
    hands.move((-100, 0, 0))
    assert (cameraState() == before).all() and logic.gestures.text == "" and not logic.gestures.canUndo()


def test_one_hand_rotates_the_view(app, view, logic):
    before = cameraState()
    view.pinch("Right")
    assert logic.gestures.text == "Rotate"
    np.testing.assert_allclose(cameraState(), before, atol=1e-6)
    view.move((100, 0, 0))
    position = camera().GetPosition()
    angle = math.degrees(math.atan2(-position[0], position[1]))
    shape = at(1.0, (0.0, 0.0, 500.0)).cameraMm[FOLLOWED]
    assert abs(angle - 350.0 * np.mean(100.0 / shape[:, 2])) < 1.0
    assert abs(position[2]) < 10 and abs(np.linalg.norm(position) - 500) < 0.01
    assert camera().GetFocalPoint() == (0, 0, 0)
    view.open()
    assert logic.gestures.text == ""


@pytest.mark.parametrize("way", [(-60, 0, 0), (60, 0, 0), (0, -60, 0), (0, 60, 0)])
def test_what_is_seen_follows_the_hand(app, view, way):
    front = np.array([0.0, 80.0, 0.0])
    view.pinch("Right")
    view.move(way)
    seen = inView(front)
    expected = np.array([-way[0], -way[1]])  # mirrored: to the image's left is to the view's right
    assert seen @ expected / np.linalg.norm(seen) / np.linalg.norm(expected) > 0.95


def test_hands_shown_as_the_camera_sees_them_rotate_the_other_way(app, view, logic):
    logic.setView("camera")
    view.pinch("Right")
    view.move((-60, 0, 0))
    assert inView([0.0, 80.0, 0.0])[0] < -0.1
    logic.setView("owner")


def test_two_hands_zoom(app, view, logic):
    view.pinch("Left", "Right")
    assert logic.gestures.text == "Zoom, pan, roll"
    for _step in range(20):
        for side, way in (("Left", 45), ("Right", -45)):
            view.place[side][0] += way / 20
        view.show()
    view.show(70)
    zoom = 330.0 / 240.0
    assert abs(np.linalg.norm(camera().GetPosition()) / 500.0 * zoom - 1.0) < 0.02


def test_two_hands_pan_and_roll(app, view):
    view.pinch("Left", "Right")
    view.move((-60, 0, 0), sides=("Left", "Right"))
    moved = inView([0.0, 0.0, 0.0])
    assert moved[0] > 0.2 and abs(moved[1]) < 0.05
    view.open()
    camera().SetPosition(0.0, 500.0, 0.0)
    camera().SetFocalPoint(0.0, 0.0, 0.0)
    camera().SetViewUp(0.0, 0.0, 1.0)
    view.place = {side: np.array(place) for side, place in AWAY.items()}
    view.pinch("Left", "Right")
    # As the user sees it, the right hand goes up and the left one down: counterclockwise.
    for _frame in range(20):
        view.place["Right"][1] -= 3.0
        view.place["Left"][1] += 3.0
        view.show()
    view.show(70)
    right = inView([-80.0, 0.0, 0.0])  # to the patient's left, which this view has at its right
    angle = math.degrees(math.atan2(right[1], right[0]))
    assert abs(angle - math.degrees(math.atan2(120.0, 240.0))) < 2.0


def test_hand_that_is_left_over_holds_nothing(app, view, logic):
    view.pinch("Left", "Right")
    view.open("Left")
    before = cameraState()
    view.move((-60, 0, 0))
    assert (cameraState() == before).all() and logic.gestures.text == ""
    view.open("Right")
    view.pinch("Right")
    assert logic.gestures.text == "Rotate"


def test_undo_gives_the_view_back(app, view, logic):
    states = [cameraState()]
    for way in ((-60, 0, 0), (0, 40, 0)):
        view.pinch("Right")
        view.move(way, rest=5)
        view.open()
        states.append(cameraState())
    assert not np.allclose(states[0], states[1]) and not np.allclose(states[1], states[2])
    logic.gestures.undo()
    np.testing.assert_allclose(cameraState(), states[1], atol=1e-9)
    logic.gestures.undo()
    np.testing.assert_allclose(cameraState(), states[0], atol=1e-9)
    assert not logic.gestures.canUndo()
    logic.gestures.undo()


def test_view_that_is_chosen_and_not_shown(app, view, logic):
    logic.getParameterNode().gestureView = "7"
    before = cameraState()
    view.pinch("Right")
    view.move((-60, 0, 0), rest=5)
    assert (cameraState() == before).all() and logic.gestures.text == ""
    assert logic.gestures.failure.reason == "gestureNoView"
    view.open()
    logic.getParameterNode().gestureView = ""
    assert logic.gestures.failure is None
    view.pinch("Right")
    assert logic.gestures.text == "Rotate"


def test_pinches_are_reported_to_others(app, hands, logic):
    reported = []
    logic.pinches.pinchStarted.connect(lambda pinch: reported.append(("started", pinch)))
    logic.pinches.pinchMoved.connect(lambda pinch: reported.append(("moved", pinch)))
    logic.pinches.pinchEnded.connect(lambda pinch: reported.append(("ended", pinch)))
    hands.pinch("Right")
    hands.open()
    assert reported == [], "the hands act on nothing"
    logic.gestures.isReporting = True
    hands.pinch("Right")
    hands.move((0, -50, 0))
    hands.open()
    names = [name for name, _pinch in reported]
    assert names[0] == "started" and names[-1] == "ended" and set(names[1:-1]) == {"moved"}
    first, last = reported[0][1], reported[-1][1]
    assert first.hand == "Right" and last.reason == "opened" and last.timestampMs > first.timestampMs
    np.testing.assert_allclose(last.positionMm - first.positionMm, [0, 0, 50], atol=3)  # up is superior
    points = slicer.util.arrayFromMarkupsControlPoints(logic.getParameterNode().rightLandmarks, world=True)
    assert np.linalg.norm(last.positionMm - points[4]) < 80
