"""Hands that act on views, slices and transforms, in the host: real nodes, frames as the worker sends them."""

import math
import time

import numpy as np
import pytest
import qt
import slicer
import vtk
from PySide6.QtTest import QTest

from LiveHandLib.detection import detector
from LiveHandLib.gestures import moves
from LiveHandLib.gestures.hold import DEPTH_SLACK, FOLLOWED, rotationMatrix, rotationVector
from LiveHandLib.logic import LiveHandLogic
from LiveHandLib.pose.coordinates import CAMERA_TO_RAS
from LiveHandLib.pose.estimator import TrackedFrame
from LiveHandLib.scene.gestures import HandsActOn
from LiveHandLib.scene.handnodes import Display
from support.helpers import goLive, play, settled
from support.paths import SAMPLE_CLIP
from tests.test_gestures import SIZE, STEP_MS, at, shape

pytestmark = pytest.mark.usefixtures("model")

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
            hands = {
                side: at(self.closing[side], self.place[side], self.turn[side], side=side) for side in self.closing
            }
            timeMs = round(self.number * STEP_MS)
            self.logic.showFrame(TrackedFrame(self.number, timeMs, time.perf_counter(), SIZE, hands))

    def middles(self):
        """(2, 2) the directions in which the middles of the left and of the right hand are seen while they pinch."""
        followed = [at(1.0, self.place[side], self.turn[side], side=side).cameraMm[FOLLOWED] for side in AWAY]
        return np.array([(one[:, :2] / one[:, 2:]).mean(axis=0) for one in followed])

    def tips(self, side):
        """(3,) the middle between the fingertips of a hand that pinches, mm."""
        return at(1.0, self.place[side], self.turn[side], side=side).cameraMm[[4, 8]].mean(axis=0)

    def pinch(self, *sides):
        """Open hands, which then pinch; nothing moves."""
        self.closing = {side: self.closing.get(side, 0.0) for side in {*self.closing, *sides}}
        for side in sides:
            self.closing[side] = 0.0
        self.show(5)
        for side in sides:
            self.closing[side] = 1.0
        self.show(18)

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
    """Of the first 3D view; another test may have shown a second one."""
    nodes = slicer.util.getNodesByClass("vtkMRMLCameraNode")
    return next(node for node in nodes if node.GetLayoutName() == "1")


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
    assert abs(angle - 350.0 * np.mean(100.0 / (500.0 + shape(1.0)[FOLLOWED, 2]))) < 1.0
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
    before = view.middles()
    for _step in range(20):
        for side, way in (("Left", 45), ("Right", -45)):
            view.place[side][0] += way / 20
        view.show()
    view.show(70)
    zoom = np.linalg.norm(np.diff(view.middles(), axis=0)) / np.linalg.norm(np.diff(before, axis=0))
    assert zoom > 1.3 and abs(np.linalg.norm(camera().GetPosition()) / 500.0 * zoom - 1.0) < 0.02


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
    (left, right), level = view.middles(), np.array([1.0, 0.0])
    expected = math.degrees(math.acos(abs((right - left) @ level) / np.linalg.norm(right - left)))
    assert expected > 20.0 and abs(angle - expected) < 2.0


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


# Slices


@pytest.fixture
def slices(app, hands, logic):
    """Three slice views that show a volume of 60 slices, 2 mm apart, about the origin; hands act on them."""
    layoutManager = slicer.app.layoutManager()
    layoutManager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    values = (np.arange(60 * 50 * 40) // 120).astype(np.int16).reshape(60, 50, 40)
    volume = slicer.util.addVolumeFromArray(values, name="Volume")
    volume.SetSpacing(4, 4, 2)
    volume.SetOrigin(-80, -100, -59)
    volume.CreateDefaultDisplayNodes()
    for name, orientation in (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal")):
        sliceLogic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(name)
        sliceLogic.GetSliceNode().SetOrientation(orientation)
        sliceLogic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        sliceLogic.GetSliceNode().SetFieldOfView(400, 300, 1)
        sliceLogic.SetSliceOffset(0.0)
        sliceLogic.GetSliceNode().SetXYZOrigin(0, 0, 0)
    logic.getParameterNode().handsActOn = HandsActOn.SLICES
    hands.volume = volume
    yield hands
    layoutManager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView)


def offsets():
    return [
        slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{name}").GetSliceOffset() for name in ("Red", "Green", "Yellow")
    ]


def test_hand_scrolls_the_chosen_slice_view(app, slices, logic):
    node = logic.getParameterNode()
    node.gestureSlice = "Red"
    slices.pinch("Right")
    assert logic.gestures.text.startswith("Scroll Red: ") and offsets() == [0.0, 0.0, 0.0]
    slices.move((0, -30, 0))
    red, *others = offsets()
    assert abs(red - 30.0) <= 2.0 and others == [0.0, 0.0]
    assert abs((red + 59.0) / 2.0 - round((red + 59.0) / 2.0)) < 1e-6, "in the middle of a slice of the volume"
    assert logic.gestures.text == f"Scroll Red: S {red:.1f} mm"
    slices.move((0, -150, 0), rest=1)
    assert offsets()[0] <= 61.0, "no farther than the volume goes"
    slices.open()
    logic.gestures.undo()
    assert offsets() == [0.0, 0.0, 0.0]


def test_scroll_factor_without_snapping(app, slices, logic):
    node = logic.getParameterNode()
    node.gestureSlice, node.scrollFactor, node.snapToSlices = "Green", 0.5, False
    slices.pinch("Right")
    slices.move((0, -30, 0))
    assert abs(offsets()[1] - 15.0) < 0.5


def test_slice_view_on_which_the_pinch_is(app, slices, logic):
    logic.getParameterNode().gestureSlice = ""
    slices.place["Right"] += np.array([-168.0, -55.0, 455.0]) - slices.tips("Right")
    slices.pinch("Right")
    nearest = logic.gestures.text.split(":")[0]
    assert nearest == "Scroll Green", "the coronal one, half a metre from the camera as the hand"
    slices.open()
    for name in ("Red", "Green", "Yellow"):
        slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{name}").SetXYZOrigin(1000, 0, 0)
    slices.pinch("Right")
    assert logic.gestures.text == "" and logic.gestures.failure.reason == "gestureNoSlice"


def test_other_hand_pinching_sets_window_and_level(app, slices, logic):
    logic.getParameterNode().gestureSlice = "Red"
    display = slices.volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(600, 500)
    slices.pinch("Left", "Right")
    slices.move((0, 0, 0), rest=5)
    assert (display.GetWindow(), display.GetLevel()) == (600, 500)
    slices.move((57, 0, 0), rest=5)  # to the left, as the user sees it
    assert display.GetWindow() < 600 - 0.1 * 999 and abs(display.GetLevel() - 500) < 40
    assert logic.gestures.text.startswith("Window ") and offsets() == [0.0, 0.0, 0.0]
    slices.open()
    logic.gestures.undo()
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == (600, 500, 0)


def test_two_hands_zoom_a_slice_view(app, slices, logic):
    logic.getParameterNode().gestureSlice = "Red"
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    before = red.GetFieldOfView()
    slices.pinch("Left", "Right")
    for _step in range(30):
        for side, way in (("Left", 60), ("Right", -60)):
            slices.place[side][0] += way / 30
        slices.show()
    slices.show(70)
    # It is decided after 15 mm of each hand what both do: from there on it counts.
    zoom = before[0] / red.GetFieldOfView()[0]
    assert 360 / 280 < zoom < 360 / 260 and abs(before[1] / red.GetFieldOfView()[1] - zoom) < 1e-6
    assert logic.gestures.text == "Zoom Red" and offsets() == [0.0, 0.0, 0.0]
    slices.open()
    logic.gestures.undo()
    assert red.GetFieldOfView() == before


# Transforms


@pytest.fixture
def transform(hands, logic):
    """A transform under another one, chosen to be carried."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Held")
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Parent")
    matrix = np.eye(4)
    matrix[:3, :3] = rotationMatrix(np.array([0.3, -0.5, 0.2]))
    matrix[:3, 3] = 10, 20, 30
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(parent.GetID())
    logic.getParameterNode().heldNode = node
    logic.getParameterNode().handsActOn = HandsActOn.TRANSFORM
    return node


def toWorld(node):
    return slicer.util.arrayFromTransformMatrix(node, toWorld=True)


def test_hand_carries_a_transform(app, hands, transform, logic):
    before = toWorld(transform)
    hands.pinch("Right")
    np.testing.assert_allclose(toWorld(transform), before, atol=1e-9)
    assert logic.gestures.text == "Move Held"
    hands.move((50, -40, 30))
    moved = (toWorld(transform) @ np.linalg.inv(before))[:3, :3]
    assert math.degrees(math.acos(min(1.0, (np.trace(moved) - 1) / 2))) < 3.0
    # Where the hand is, for the transform turns about it: right in the image is right, up is superior.
    closed = shape(1.0)
    hand = CAMERA_TO_RAS["owner"] @ [*(closed[FOLLOWED].mean(axis=0) + AWAY["Right"]), 1.0]
    way = (toWorld(transform) @ np.linalg.inv(before) @ hand - hand)[:3]
    np.testing.assert_allclose(way, [50, 30, 40], atol=530 * DEPTH_SLACK + 2.0)  # by which the distance lags
    np.testing.assert_allclose(way[[0, 2]], [50, 40], atol=4.0)
    hands.open()
    after = toWorld(transform)
    hands.move((50, 0, 0), rest=3)
    assert (toWorld(transform) == after).all()
    logic.gestures.undo()
    np.testing.assert_allclose(toWorld(transform), before, atol=1e-9)


def test_hand_turns_a_transform(app, hands, transform, logic):
    logic.getParameterNode().lockTranslation = True
    before = toWorld(transform)
    hands.pinch("Right")
    hands.move(turn=(0, 0, 0.6))
    moved = (toWorld(transform) @ np.linalg.inv(before))[:3, :3]
    turned = rotationVector(CAMERA_TO_RAS["owner"][:3, :3].T @ moved @ CAMERA_TO_RAS["owner"][:3, :3])
    np.testing.assert_allclose(np.degrees(turned), [0, 0, np.degrees(0.6)], atol=3.0)  # lags by its slack
    hands.open()
    logic.getParameterNode().lockTranslation, logic.getParameterNode().lockRotation = False, True
    before = toWorld(transform)
    hands.pinch("Right")
    hands.move((30, 0, 0), turn=(0, 0, 0.3))
    np.testing.assert_allclose(toWorld(transform)[:3, :3], before[:3, :3], atol=1e-9)
    assert np.linalg.norm(toWorld(transform)[:3, 3] - before[:3, 3]) > 20


def test_two_hands_hold_a_transform_at_two_points(app, hands, transform, logic):
    node = logic.getParameterNode()
    before = toWorld(transform)
    for scales in (False, True):
        node.scaleWithHands = scales
        hands.place = {side: np.array(place) for side, place in AWAY.items()}
        hands.pinch("Left", "Right")
        start = np.linalg.norm(hands.tips("Left") - hands.tips("Right"))
        for _step in range(20):
            for side, way in (("Left", 45), ("Right", -45)):
                hands.place[side][0] += way / 20
            hands.show()
        hands.show(70)
        larger = np.linalg.norm(hands.tips("Left") - hands.tips("Right")) / start
        scale = np.cbrt(np.linalg.det(toWorld(transform)[:3, :3]) / np.linalg.det(before[:3, :3]))
        assert larger > 1.3 and abs(scale - (larger if scales else 1.0)) < 0.03
        hands.open()
        logic.gestures.undo()
        np.testing.assert_allclose(toWorld(transform), before, atol=1e-9)


def test_second_hand_takes_over(app, hands, transform, logic):
    """From one hand to the other, nothing jumps."""
    hands.pinch("Right")
    hands.move((30, 0, 0), rest=30)
    before = toWorld(transform)
    hands.pinch("Left")
    assert np.abs(toWorld(transform) - before).max() < 1.0
    before = toWorld(transform)
    hands.closing["Right"] = 0.0
    hands.show(5)
    assert np.abs(toWorld(transform) - before).max() < 1.0 and logic.gestures.text == "Move Held"
    hands.move((30, 0, 0), sides=("Left",), rest=30)
    assert np.abs(toWorld(transform) - before).max() > 20
    hands.open()
    logic.gestures.undo()
    assert not logic.gestures.canUndo(), "all of it was one action"


def test_hand_that_has_turned_goes_on_with_what_it_holds(app, hands, transform):
    hands.pinch("Right")
    hands.move(turn=(0, 0, 0.5), rest=30)
    hands.pinch("Left")
    before = toWorld(transform)
    hands.closing["Left"] = 0.0
    hands.show(5)
    assert np.abs(toWorld(transform) - before).max() < 1.0


def test_model_gets_a_transform(app, hands, logic):
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Bone")
    model.SetAndObservePolyData(sphere.GetOutput())
    node = logic.getParameterNode()
    node.handsActOn, node.heldNode = HandsActOn.TRANSFORM, model
    for _time in range(2):
        hands.pinch("Right")
        hands.move((0, -20, 0), rest=20)
        hands.open()
    transform = model.GetParentTransformNode()
    assert transform.GetName() == "Bone Transform" and transform.GetParentTransformNode() is None
    assert toWorld(transform)[2, 3] > 25
    assert len(slicer.util.getNodes("Bone Transform*")) == 1


def test_what_hands_cannot_carry(app, hands, logic):
    node = logic.getParameterNode()
    node.handsActOn = HandsActOn.TRANSFORM
    above = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Above")
    node.cameraToRAS.SetAndObserveTransformNodeID(above.GetID())
    bent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "Bent")
    cases = [(None, "gestureNoTransform"), (node.cameraToRAS, "gestureNotHoldable"), (above, "gestureNotHoldable")]
    cases += [(node.rightSurface, "gestureNotHoldable"), (bent, "gestureNotHoldable")]
    for held, reason in cases:
        node.heldNode = held
        hands.pinch("Right")
        assert logic.gestures.failure.reason == reason and logic.gestures.text == ""
        hands.open()
    node.cameraToRAS.SetAndObserveTransformNodeID(None)


# Points


@pytest.fixture
def points(hands, logic):
    """A point list in place mode, with persistence; hands act on the 3D view otherwise."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    applicationLogic = slicer.app.applicationLogic()
    applicationLogic.GetSelectionNode().SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    applicationLogic.GetSelectionNode().SetActivePlaceNodeID(node.GetID())
    interaction = applicationLogic.GetInteractionNode()
    interaction.SetPlaceModePersistence(1)
    interaction.SetCurrentInteractionMode(interaction.Place)
    logic.getParameterNode().handsActOn = HandsActOn.VIEW
    yield node
    interaction.SetPlaceModePersistence(0)
    interaction.SwitchToViewTransformMode()
    applicationLogic.GetSelectionNode().SetActivePlaceNodeID(None)


def test_pinch_places_a_point(app, hands, points, logic):
    view = cameraState()
    for count in (1, 2):
        hands.pinch("Right")
        assert points.GetNumberOfControlPoints() == count and logic.gestures.text == "Point placed in Points"
        hands.move((30 * count, 0, 0), rest=5)
        hands.open()
    closed = shape(1.0)
    expected = CAMERA_TO_RAS["owner"] @ [*((closed[4] + closed[8]) / 2 + AWAY["Right"]), 1.0]
    placed = slicer.util.arrayFromMarkupsControlPoints(points, world=True)
    np.testing.assert_allclose(placed[0], expected[:3], atol=0.1)
    np.testing.assert_allclose(placed[1] - placed[0], [30, 0, 0], atol=0.1)
    assert (cameraState() == view).all(), "place mode has the hands"
    logic.gestures.undo()
    assert points.GetNumberOfControlPoints() == 1


def test_hand_that_is_new_does_not_take_the_list_in_place_mode(app, points, logic):
    from LiveHandLib.scene.handnodes import newLandmarks

    selection = slicer.app.applicationLogic().GetSelectionNode()
    landmarks = newLandmarks("New", "Right")
    assert selection.GetActivePlaceNodeID() == points.GetID()
    slicer.mrmlScene.RemoveNode(landmarks)


def test_place_mode_for_one_point_ends_with_it(app, hands, points, logic):
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetPlaceModePersistence(0)
    hands.pinch("Right")
    hands.open()
    assert points.GetNumberOfControlPoints() == 1 and interaction.GetCurrentInteractionMode() != interaction.Place
    hands.pinch("Right")
    assert points.GetNumberOfControlPoints() == 1 and logic.gestures.text == "Rotate"


def test_place_mode_of_others_is_left_alone(app, hands, points, logic):
    view = cameraState()
    points.SetLocked(True)
    hands.pinch("Right")
    hands.move((30, 0, 0), rest=5)
    assert points.GetNumberOfControlPoints() == 0 and (cameraState() == view).all()
    assert logic.gestures.failure.reason == "gestureNoPointList"
    hands.open()
    curve = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsCurveNode", "Curve")
    slicer.app.applicationLogic().GetSelectionNode().SetActivePlaceNodeID(curve.GetID())
    hands.pinch("Right")
    hands.move((30, 0, 0), rest=5)
    assert curve.GetNumberOfControlPoints() == 0 and (cameraState() == view).all()


# What is seen of it


def greenPixels():
    image = slicer.app.layoutManager().threeDWidget(0).threeDView().image().astype(int)
    return int(((image[..., 1] > image[..., 0] + 60) & (image[..., 1] > image[..., 2] + 60)).sum())


@pytest.mark.parametrize("display", ["SURFACE", "SKELETON"])
def test_pinching_fingers_change_colour(app, view, slices, logic, display, capfd):
    logic.getParameterNode().display = Display[display]
    view.show()
    logic.getParameterNode().handsActOn = HandsActOn.TRANSFORM  # which leaves the view alone
    slicer.util.resetThreeDViews()
    node = logic.getParameterNode().rightSurface
    color = node.GetDisplayNode().GetColor()
    assert greenPixels() == 0
    view.pinch("Right")
    app.spin(timeout=0.2)  # the slice views show it as well
    assert greenPixels() > 100
    assert "ERR" not in capfd.readouterr().err
    view.open()
    assert greenPixels() == 0 and node.GetDisplayNode().GetColor() == color
    logic.getParameterNode().display = Display.SURFACE


def test_view_says_in_its_corner_what_is_held(app, view, slices, logic):
    def annotations(widget):
        props = widget.renderWindow().GetRenderers().GetFirstRenderer().GetViewProps()
        texts = [props.GetItemAsObject(index) for index in range(props.GetNumberOfItems())]
        return [one.GetText(one.UpperRight) for one in texts if one.IsA("vtkCornerAnnotation")]

    layoutManager = slicer.app.layoutManager()
    threeDView, red = layoutManager.threeDWidget(0).threeDView(), layoutManager.sliceWidget("Red").sliceView()
    before = annotations(threeDView), annotations(red)
    logic.getParameterNode().handsActOn = HandsActOn.VIEW
    view.pinch("Right")
    assert "Rotate" in annotations(threeDView) and "Rotate" not in annotations(red)
    view.open()
    assert (annotations(threeDView), annotations(red)) == before
    logic.getParameterNode().handsActOn, logic.getParameterNode().gestureSlice = HandsActOn.SLICES, "Red"
    view.pinch("Right")
    view.move((0, -20, 0), rest=5)
    assert logic.gestures.text in annotations(red) and "mm" in logic.gestures.text
    view.open()
    assert (annotations(threeDView), annotations(red)) == before


# Nothing by accident; what else holds after a fault is checked by the fixture unharmed, see support.faults


def hold(hands, way=(30, 0, 0), *sides):
    """Pinch and carry a little."""
    sides = sides or ("Right",)
    hands.pinch(*sides)
    hands.move(way, sides=sides, frames=10, rest=20)
    assert hands.logic.gestures.text != ""


def assertLetGo(hands, state, before):
    """Nothing is held, nothing has jumped, and nothing follows a hand that has not been opened."""
    assert hands.logic.gestures.text == ""
    np.testing.assert_array_equal(state(), before)
    hands.move((20, -10, 0), frames=5, rest=5)
    np.testing.assert_array_equal(state(), before)


@pytest.mark.fault("Gestures: the hand is lost while it holds, and comes back elsewhere")
def test_hand_lost(app, unharmed, hands, transform, logic):
    hold(hands)
    before = toWorld(transform)
    hands.closing = {}
    hands.show(5)
    hands.closing, hands.place["Right"] = {"Right": 1.0}, np.array([60.0, 0.0, 420.0])
    hands.show(3)
    assertLetGo(hands, lambda: toWorld(transform), before)
    hold(hands)
    assert np.abs(toWorld(transform) - before).max() > 5


@pytest.mark.fault("Gestures: the hand is lost for two frames while it holds")
def test_hand_lost_for_a_moment(app, unharmed, hands, transform, logic):
    hold(hands)
    before = toWorld(transform)
    hands.closing = {}
    hands.show(2)
    hands.closing = {"Right": 1.0}
    hands.show(10)
    assert np.abs(toWorld(transform) - before).max() < 1.0
    assert logic.gestures.text == "Move Held"


@pytest.mark.fault("Gestures: hands cross while holding")
def test_hands_cross(app, unharmed, hands, transform, logic):
    hold(hands, (20, 0, 0), "Left", "Right")
    for _step in range(30):
        hands.place["Left"][0] -= 9.0
        hands.place["Right"][0] += 9.0
        before = toWorld(transform)
        hands.show()
        assert np.abs(toWorld(transform) - before).max() < 25.0, "as far as the hands go in a frame"
    before = toWorld(transform)
    hands.show(10)
    np.testing.assert_allclose(toWorld(transform), before, atol=2.0)


@pytest.mark.fault("Gestures: the transform is deleted while held")
def test_transform_deleted(app, unharmed, hands, transform, logic):
    hold(hands)
    slicer.mrmlScene.RemoveNode(transform)
    hands.show(5)
    assert logic.gestures.text == ""
    hands.open()
    hands.pinch("Right")
    assert logic.gestures.failure.reason == "gestureNoTransform"
    hands.open()
    logic.gestures.undo()
    assert transform.GetScene() is None


@pytest.mark.fault("Gestures: the model that is held is taken from its transform, or deleted")
@pytest.mark.parametrize("isDeleted", [False, True])
def test_model_taken_away(app, unharmed, hands, logic, isDeleted):
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Bone")
    logic.getParameterNode().handsActOn, logic.getParameterNode().heldNode = HandsActOn.TRANSFORM, model
    hold(hands)
    made = model.GetParentTransformNode()
    before = toWorld(made)
    if isDeleted:
        slicer.mrmlScene.RemoveNode(model)
    else:
        model.SetAndObserveTransformNodeID(None)
    hands.show()
    assertLetGo(hands, lambda: toWorld(made), before)


@pytest.mark.fault("Gestures: the 3D view is closed while held")
def test_view_closed(app, unharmed, view, logic):
    hold(view)
    before = cameraState()
    viewNode = slicer.app.layoutManager().threeDWidget(0).mrmlViewNode()
    viewNode.SetMappedInLayout(0)
    view.show()
    assertLetGo(view, cameraState, before)
    view.open()
    view.pinch("Right")
    assert logic.gestures.failure.reason == "gestureNoView"
    viewNode.SetMappedInLayout(1)


@pytest.mark.fault("Gestures: the layout is changed while a slice view is held")
def test_layout_changed(app, slices, unharmed, logic):
    logic.getParameterNode().gestureSlice = "Red"
    hold(slices, (0, -30, 0))
    before = offsets()
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView)
    slices.show()
    assertLetGo(slices, offsets, before)
    slicer.mrmlScene.RemoveNode(slices.volume)


@pytest.mark.fault("Gestures: the scene is closed while something is held")
@pytest.mark.parametrize("actsOn", ["view", "slices", "transform"])
def test_scene_closed(app, unharmed, hands, logic, request, actsOn):
    request.getfixturevalue(actsOn)
    hold(hands, (0, -30, 0))
    slicer.mrmlScene.Clear(0)
    assert logic.gestures.text == "" and not logic.gestures.canUndo()
    assert logic.getParameterNode().handsActOn is HandsActOn.NOTHING
    hands.show(10)
    logic.gestures.undo()
    assert logic.gestures.text == ""


@pytest.mark.fault("Gestures: a scene is loaded while something is held, which lets hands act")
def test_scene_loaded(app, unharmed, view, logic, tmp_path):
    logic.getParameterNode().scrollFactor = 3.0
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    hold(view)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert logic.gestures.text == ""
    assert logic.getParameterNode().scrollFactor == 3.0
    assert logic.getParameterNode().handsActOn is HandsActOn.NOTHING, "until the user lets them"


@pytest.mark.fault("Gestures: two logics")
def test_two_logics(app, unharmed, hands, transform, logic):
    other = LiveHandLogic()
    other.applyParameters()  # as when it goes live
    try:
        otherHands = Hands(other)
        hold(hands)
        before = toWorld(transform)
        otherHands.pinch("Right")
        otherHands.move((50, 0, 0), rest=5)
        assert other.gestures.text == "" and other.gestures.failure.reason == "gestureElsewhere"
        np.testing.assert_array_equal(toWorld(transform), before)
        hands.open()
        otherHands.open()
        hold(otherHands)
        otherHands.show()
        other.close()
        before = toWorld(transform)
        hold(hands)
        assert np.abs(toWorld(transform) - before).max() > 5
    finally:
        other.close()


@pytest.mark.fault("Gestures: a dialog opens while something is held")
def test_dialog(app, unharmed, view, logic):
    hold(view)
    before = cameraState()
    dialog = qt.QDialog()

    def whileOpen():
        view.move((40, 0, 0), frames=5, rest=10)
        view.open()
        view.pinch("Right")
        view.move((40, 0, 0), frames=5, rest=10)
        dialog.accept()

    qt.QTimer.singleShot(100, whileOpen)
    dialog.exec_()
    assertLetGo(view, cameraState, before)
    hold(view)


@pytest.mark.fault("Gestures: the mouse drags something while something is held")
def test_mouse_drags(app, unharmed, view, logic, monkeypatch):
    hold(view)
    before = cameraState()
    window = app.window.windowHandle()
    QTest.mousePress(window, qt.Qt.LeftButton, qt.Qt.NoModifier, qt.QPoint(5, 5))
    assert qt.QApplication.mouseButtons() != qt.Qt.NoButton
    view.show()
    assert logic.gestures.text == ""
    np.testing.assert_array_equal(cameraState(), before)
    QTest.mouseRelease(window, qt.Qt.LeftButton, qt.Qt.NoModifier, qt.QPoint(5, 5))
    assertLetGo(view, cameraState, before)
    hold(view)


@pytest.mark.fault("Gestures: place mode begins while something is held")
def test_place_mode_begins(app, unharmed, view, logic):
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    hold(view)
    before = cameraState()
    interaction.SetCurrentInteractionMode(interaction.Place)
    view.show()
    assertLetGo(view, cameraState, before)
    interaction.SwitchToViewTransformMode()
    hold(view)


@pytest.mark.fault("Gestures: Escape, and the switch, while something is held")
@pytest.mark.parametrize("isKey", [False, True])
def test_escape_and_switch(app, unharmed, view, logic, widget, isKey):
    goLive(app, widget)
    logic.worker.tracked.disconnect(logic.showFrame)  # the frames are the test's
    try:
        hold(view)
        before = cameraState()
        if isKey:
            app.window.activateWindow()
            app.spin(timeout=0.1)
            QTest.keyClick(app.window, qt.Qt.Key_Escape)
            assert logic.getParameterNode().handsActOn is HandsActOn.NOTHING
        else:
            logic.getParameterNode().handsActOn = HandsActOn.NOTHING
        assertLetGo(view, cameraState, before)
    finally:
        logic.worker.tracked.connect(logic.showFrame)
        logic.stop()
        settled(app, logic)


@pytest.mark.fault("Gestures: Live goes off while something is held")
def test_live_goes_off(app, unharmed, view, logic, widget):
    goLive(app, widget)
    logic.worker.tracked.disconnect(logic.showFrame)
    try:
        hold(view)
        before = cameraState()
        widget.ui.liveCheckBox.setChecked(False)
        settled(app, logic)
        assert logic.gestures.text == ""
        np.testing.assert_array_equal(cameraState(), before)
    finally:
        logic.worker.tracked.connect(logic.showFrame)


@pytest.mark.fault("Gestures: the hand is called by the other side's name while it holds")
def test_hand_renamed(app, unharmed, hands, transform, logic):
    hold(hands)
    before = toWorld(transform)
    hands.place["Left"] = hands.place["Right"] + (40, 0, 0)
    hands.closing = {"Left": 1.0}
    hands.show(6)
    assertLetGo(hands, lambda: toWorld(transform), before)


def test_nothing_moves_at_first(app, hands, transform, logic):
    """In the first 100 ms of a pinch."""
    before = toWorld(transform)
    hands.show(5)
    hands.closing["Right"] = 1.0
    while not logic.gestures.text:
        hands.show()
    for _frame in range(3):
        hands.place["Right"][0] += 10.0
        hands.show()
        np.testing.assert_allclose(toWorld(transform), before, atol=1e-9)


# Rendered hands, through the worker


def playClip(app, logic, clip):
    """Play a rendered clip through the whole module, with its camera and palm width."""
    ended = []
    pinches = []
    logic.pinches.pinchStarted.connect(lambda pinch: pinches.append(pinch))
    logic.pinches.pinchEnded.connect(lambda pinch: ended.append(pinch))
    logic.setSource(clip.path)
    logic.addCalibration(clip.intrinsics)
    try:
        play(app, logic, clip.path, everyFrame=True, palmWidthMm=clip.palmWidthMm, numberOfHands=2)
    finally:
        logic.forgetCalibrations()
    assert [pinch.reason for pinch in ended] == ["opened"] * len(pinches)
    return pinches


def trueEnds(gestures, clip, pinch):
    """The true landmarks when a pinch begins, and before the fingers open; (2, 21, 3), mm."""
    first = round(pinch.timestampMs * gestures.RATE / 1000.0)
    return clip.landmarks[[first, len(clip.landmarks) - round(0.8 * gestures.RATE)], gestures.SIDES.index(pinch.hand)]


@pytest.fixture
def gestures(shared):
    """The evaluation, which renders the clips."""
    detector.importPackages()
    from benchmark import gestures

    return gestures


def test_rendered_hand_rotates_the_view(app, gestures, view, logic):
    clip = gestures.holding("drag-right-450", 450, 1.2, {"Right": ((70, 0, 0), 0)})
    (pinch,) = playClip(app, logic, clip)
    azimuth, elevation = moves.dragAngles(*gestures.directions(trueEnds(gestures, clip, pinch)))
    expected, _up = moves.orbit(np.array([0.0, 500.0, 0.0]), np.zeros(3), np.array([0.0, 0.0, 1.0]), azimuth, elevation)
    angle = math.degrees(math.acos(np.dot(expected, camera().GetPosition()) / 500.0**2))
    assert abs(azimuth) > 30 and angle < 2.0


def test_rendered_hands_zoom_the_view(app, gestures, view, logic):
    ways = {"Left": ((35, 0, 0), 0), "Right": ((-35, 0, 0), 0)}
    clip = gestures.holding("zoom-apart-450", 450, 1.2, ways, gestures.SIDES)
    pinches = {pinch.hand: pinch for pinch in playClip(app, logic, clip)}
    ends = [gestures.directions(trueEnds(gestures, clip, pinches[side])) for side in gestures.SIDES]
    zoom, _pan, _roll = moves.twoHands(*zip(*ends, strict=True))
    distance = np.linalg.norm(np.subtract(camera().GetPosition(), camera().GetFocalPoint()))
    assert zoom > 1.2 and abs(500.0 / distance / zoom - 1.0) < 0.02


def test_rendered_hand_scrolls_a_slice_view(app, gestures, slices, logic):
    logic.getParameterNode().gestureSlice = "Red"
    clip = gestures.holding("drag-up-450", 450, 1.2, {"Right": ((0, -60, 0), 0)})
    (pinch,) = playClip(app, logic, clip)
    way = -np.diff(gestures.fingertips(trueEnds(gestures, clip, pinch)), axis=0)[0][1]
    assert way > 40 and abs(offsets()[0] - min(way, 59.0)) <= 3.0, "one slice of 2 mm, and its rounding"


def test_rendered_hand_carries_a_transform(app, gestures, transform, logic):
    before = toWorld(transform)
    clip = gestures.holding("grab-across-450", 450, 1.2, {"Right": ((60, -40, 0), 0)})
    (pinch,) = playClip(app, logic, clip)
    ends = gestures.fingertips(trueEnds(gestures, clip, pinch))
    way = CAMERA_TO_RAS["owner"][:3, :3] @ (ends[1] - ends[0])
    point = [*pinch.positionMm, 1.0]
    moved = (toWorld(transform) @ np.linalg.inv(before) @ point - point)[:3]
    # The evaluation's grab_mm says how far it is off; the module adds nothing to that.
    assert np.linalg.norm(way) > 50 and np.linalg.norm(moved - way) < 8.0


def test_sample_clip_rotates_the_view_by_its_pinch(app, view, logic):
    before = cameraState()
    pinches = []
    logic.pinches.pinchStarted.connect(pinches.append)
    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    assert len(pinches) == 1 and pinches[0].hand == "Right"
    logic.gestures.undo()
    np.testing.assert_allclose(cameraState()[:6], before[:6], atol=1e-6)


# The panel


def choose(box, text):
    """Choose an entry of a drop-down as the mouse does."""
    index = [box.itemText(row) for row in range(box.count)].index(text)
    box.setCurrentIndex(index)
    box.activated.emit(index)


def test_panel(app, widget, hands, logic):
    ui, node = widget.ui, logic.getParameterNode()
    assert ui.gesturesCollapsibleButton.collapsed and not ui.gestureUndoButton.enabled
    choose(ui.handsActOnComboBox, "3D view")
    assert node.handsActOn is HandsActOn.VIEW and ui.gestureViewComboBox.enabled and not ui.heldNodeComboBox.enabled
    assert "both hands" in ui.gestureLabel.text
    hands.pinch("Right")
    assert ui.gestureLabel.text == "Rotate" and ui.gestureUndoButton.enabled
    hands.open()
    ui.gestureUndoButton.click()
    assert not ui.gestureUndoButton.enabled
    choose(ui.handsActOnComboBox, "A transform, model or volume")
    hands.pinch("Right")
    assert ui.gestureLabel.text.startswith("⚠ ") and "transform" in ui.gestureLabel.text
    hands.open()
    held = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Held")
    choose(ui.heldNodeComboBox, "Held")
    assert node.heldNode is held
    assert "LiveHand Right Surface" not in [ui.heldNodeComboBox.itemText(i) for i in range(ui.heldNodeComboBox.count)]
    slicer.mrmlScene.RemoveNode(held)
    assert ui.heldNodeComboBox.currentText == "Choose..." and node.heldNode is None


def test_panel_offers_the_views_of_the_layout(app, widget, slices, logic):
    ui, node = widget.ui, logic.getParameterNode()
    ui.gesturesCollapsibleButton.setCollapsed(False)
    assert [ui.gestureViewComboBox.itemText(index) for index in range(ui.gestureViewComboBox.count)][1:] == [
        "Red",
        "Green",
        "Yellow",
    ]
    choose(ui.gestureViewComboBox, "Yellow")
    assert node.gestureSlice == "Yellow"
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView)
    widget.gesturesPanel.update()
    assert ui.gestureViewComboBox.currentText == "Yellow", "as it is chosen, although it is not shown"
    ui.gesturesCollapsibleButton.setCollapsed(True)
