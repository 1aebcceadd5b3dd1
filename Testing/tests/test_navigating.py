"""Navigation through the module: a reference beside the hands in the scene, points, traces, registration, following."""

import time

import cv2
import numpy as np
import pytest

from support.boardrender import BoardRenderer, turned
from support.helpers import settled
from support.paths import SAMPLE_CLIP
from tests import test_gestures

SIZE = (640, 480)
AWAY = np.array([-160.0, 0.0, 500.0])  # where the marker is before the camera: left of the hand of the sample clip
FLAT = np.diag([1.0, 1.0, 1.0])


def referencePose(matrix=None, **changed):
    """A reference that is seen, or not."""
    from LiveHandLib.pose.estimator import ReferencePose

    if matrix is None:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turned(20, -15, 10), (20.0, -10.0, 600.0)
    return ReferencePose(np.array(matrix, float), 0.2, 20, **changed)


def handWith(tipMm, finger: int = 8):
    """A hand whose fingertip, with no offset beyond its landmark, is at a place in the camera's coordinate system."""
    from LiveHandLib.pose.estimator import TrackedHand

    landmarks = np.zeros((21, 3))
    for digit in range(5):
        for joint in range(4):
            landmarks[1 + 4 * digit + joint] = (20.0 * digit - 40.0, -80.0 - 20.0 * joint, 0.0)
    landmarks += np.asarray(tipMm, float) - landmarks[finger]
    return TrackedHand("Right", 1.0, np.zeros((21, 2)), landmarks.copy(), np.zeros(21), landmarks, np.full(21, 2.0))


class Stream:
    """Shows the logic frames as its worker does, 30 a second, without a camera."""

    def __init__(self, logic) -> None:
        self.logic, self.number = logic, 0
        self.rate = None  # frames that become available a second, if not when they are shown
        parameterNode = logic.getParameterNode()
        parameterNode.tipOffsetMm = parameterNode.padOffsetMm = 0.0

    def show(self, tipMm=None, reference=None, side: str = "Right", **others) -> None:
        """The next frame: a hand with its fingertip there in the camera's coordinate system, or none."""
        from LiveHandLib.pose.estimator import TrackedFrame

        hands = dict(others)
        if tipMm is not None:
            hands[side] = handWith(tipMm)
        self.number += 1
        timeMs = round(1000 * self.number / 30)
        available = time.perf_counter() if self.rate is None else self.number / self.rate
        self.logic.showFrame(TrackedFrame(self.number, timeMs, available, SIZE, hands, reference))


@pytest.fixture
def stream(app, logic):
    return Stream(logic)


def worldTip(logic) -> np.ndarray:
    import slicer

    return slicer.util.arrayFromMarkupsControlPoints(logic.getParameterNode().rightLandmarks, world=True)[8]


def matrixOf(node) -> np.ndarray:
    import slicer

    return slicer.util.arrayFromTransformMatrix(node)


# The reference


def test_hand_stays_on_the_anatomy_when_the_camera_moves(logic, stream):
    from LiveHandLib.scene.reference import ReferenceKind

    stream.show((10, 20, 500))
    parameterNode = logic.getParameterNode()
    before = worldTip(logic)
    parameterNode.referenceKind = ReferenceKind.BOARD
    first = referencePose()
    stream.show((10, 20, 500), first)
    assert parameterNode.rightLandmarks.GetParentTransformNode() is parameterNode.cameraToReference
    assert parameterNode.cameraToReference.GetParentTransformNode() is parameterNode.referenceToRAS
    assert parameterNode.rightSurface.GetParentTransformNode() is parameterNode.cameraToReference
    assert parameterNode.cameraToReference.GetName() == "LiveHand Camera to Reference"
    assert parameterNode.referenceToRAS.GetName() == "LiveHand Reference to RAS"
    assert np.allclose(matrixOf(parameterNode.cameraToReference), np.linalg.inv(first.matrix))
    assert np.allclose(worldTip(logic), before, atol=1e-3), "it does not jump when the reference is found"
    moved = np.eye(4)  # of the camera: all that it sees
    moved[:3, :3], moved[:3, 3] = turned(5, 10, 3), (40.0, -30.0, 25.0)
    stream.show((moved @ (10, 20, 500, 1))[:3], referencePose(moved @ first.matrix))
    assert np.allclose(worldTip(logic), before, atol=1e-3)


def test_switching_the_reference_off_and_on_loses_nothing(logic, stream):
    from LiveHandLib.scene.reference import ReferenceKind

    parameterNode = logic.getParameterNode()
    parameterNode.pointer = True
    stream.show((10, 20, 500))
    toRas = matrixOf(parameterNode.cameraToRAS)
    parameterNode.referenceKind = ReferenceKind.MARKER
    stream.show((10, 20, 500), referencePose())
    registered = np.diag([1.0, -1.0, -1.0, 1.0])
    registered[:3, 3] = 1.0, 2.0, 3.0
    import slicer

    slicer.util.updateTransformMatrixFromArray(parameterNode.referenceToRAS, registered)
    assert parameterNode.rightPointer.GetParentTransformNode() is parameterNode.cameraToReference
    nodes = parameterNode.rightLandmarks, parameterNode.rightSurface, parameterNode.referenceToRAS
    parameterNode.referenceKind = ReferenceKind.NONE
    stream.show((10, 20, 500))
    for node in (*nodes[:2], parameterNode.rightPointer):
        assert node.GetParentTransformNode() is parameterNode.cameraToRAS
    assert np.allclose(matrixOf(parameterNode.cameraToRAS), toRas)
    parameterNode.referenceKind = ReferenceKind.MARKER
    stream.show((10, 20, 500), referencePose())
    assert (parameterNode.rightLandmarks, parameterNode.rightSurface, parameterNode.referenceToRAS) == nodes
    assert np.allclose(matrixOf(parameterNode.referenceToRAS), registered)
    assert parameterNode.rightLandmarks.GetParentTransformNode() is parameterNode.cameraToReference


def test_lost_reference_is_seen_by_the_hand_and_nothing_of_it_is_recorded(logic, stream):
    from LiveHandLib.scene.handnodes import FADED
    from LiveHandLib.scene.reference import ReferenceKind

    parameterNode = logic.getParameterNode()
    parameterNode.referenceKind = ReferenceKind.BOARD
    stream.show((10, 20, 500))
    display = parameterNode.rightSurface.GetDisplayNode()
    assert logic.isReferenceLost() and display.GetOpacity() == pytest.approx(FADED), "it was never found"
    stream.show((10, 20, 500), referencePose())
    assert not logic.isReferenceLost() and display.GetOpacity() == 1.0
    display.SetOpacity(0.8)
    logic.motion.startRecording()
    stream.show((10, 20, 500), referencePose(ageMs=100.0))
    assert display.GetOpacity() == 0.8, "its last pose is kept for a while"
    stream.show((10, 20, 500), referencePose(ageMs=600.0, isLost=True))
    assert logic.isReferenceLost() and display.GetOpacity() == pytest.approx(0.8 * FADED)
    stream.show(None, referencePose(ageMs=633.0, isLost=True))
    assert display.GetOpacity() == 0.8, "given back when it is hidden"
    stream.show((10, 20, 500), referencePose(ageMs=666.0, isLost=True))
    display.SetOpacity(0.5)  # by the user
    stream.show((10, 20, 500), referencePose())
    assert display.GetOpacity() == 0.5
    assert [len(frame.hands) for frame in logic.motion.recording.frames] == [1, 0, 0, 0, 1]
    expected = matrixOf(parameterNode.referenceToRAS) @ matrixOf(parameterNode.cameraToReference)
    assert np.allclose(logic.motion.recording.frames[0].cameraToRas, expected)


def test_view_with_a_reference(logic, stream):
    from LiveHandLib.pose.coordinates import CAMERA_TO_RAS
    from LiveHandLib.scene.reference import ReferenceKind

    logic.getParameterNode().referenceKind = ReferenceKind.BOARD
    stream.show((10, 20, 500), referencePose())
    for view, matrix in CAMERA_TO_RAS.items():
        logic.setView(view)
        stream.show((10, 20, 500), referencePose())
        assert np.allclose(worldTip(logic), (matrix @ (10, 20, 500, 1))[:3], atol=1e-3)
        assert logic.view() == "", "only as long as the camera does not move"


def boardRenderer(board):
    """Renders a board as the camera that is assumed sees it."""
    from LiveHandLib.calibration.intrinsics import Intrinsics

    return BoardRenderer(board, Intrinsics.guessed(SIZE).matrix, np.zeros(5), SIZE)


@pytest.fixture(scope="module")
def markerClip(tmp_path_factory):
    """The sample clip with marker 7 of 60 mm beside the hand in its first 60 frames."""
    from LiveHandLib.calibration.board import CHARUCO, Board

    marker = boardRenderer(Board(CHARUCO, 4, 4, 15.0))
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_250)
    image = cv2.aruco.generateImageMarker(dictionary, 7, 4 * 128)
    marker._texture = cv2.copyMakeBorder(image, *[64] * 4, cv2.BORDER_CONSTANT, value=255)
    rendered = [marker.render(FLAT, AWAY, noise=0.0, light=0.0, background=level) for level in (0.0, 255.0)]
    isMarker = (np.abs(rendered[0].astype(int) - rendered[1]) < 30).all(axis=2)
    path = str(tmp_path_factory.mktemp("clips") / "marker.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 30, SIZE)
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 95)
    capture = cv2.VideoCapture(str(SAMPLE_CLIP))
    for number in range(100):
        frame = capture.read()[1]
        if number < 60:
            frame[isMarker] = rendered[0][isMarker]
        writer.write(frame)
    writer.release()
    return path


def test_marker_is_found_beside_the_hand_while_live(app, widget, tracked, markerClip):
    from LiveHandLib.scene.reference import ReferenceKind

    logic, parameterNode = widget.logic, widget.logic.getParameterNode()
    parameterNode.everyFrame = True
    logic.setSource(markerClip)
    widget.ui.liveCheckBox.setChecked(True)
    assert app.spin(lambda: len(tracked) > 5, timeout=60)
    assert tracked[-1].reference is None and tracked[-1].hands
    run = logic.worker._loop
    parameterNode.referenceMarker, parameterNode.referenceMarkerMm = 7, 60.0
    parameterNode.referenceKind = ReferenceKind.MARKER
    parameterNode.referenceKeptMs = 200.0
    assert app.spin(lambda: tracked[-1].reference, timeout=60)
    assert logic.worker._loop is run, "without a pause"
    reference = tracked[-1].reference
    assert np.linalg.norm(reference.matrix[:3, :3] @ (30, 30, 0) + reference.matrix[:3, 3] - AWAY) < 3.0
    settled(app, logic)
    poses = {frame.number: frame.reference for frame in tracked if frame.reference}
    assert not any(pose.isLost for number, pose in poses.items() if number < 60)
    assert all(pose.isLost for number, pose in poses.items() if number > 66)
    assert parameterNode.rightLandmarks.GetParentTransformNode() is parameterNode.cameraToReference


def test_status_line_has_the_reference(app, widget, stream):
    from LiveHandLib.scene.reference import ReferenceKind

    assert widget.livePanel.referenceText() == ""
    widget.logic.getParameterNode().referenceKind = ReferenceKind.BOARD
    for pose, words in (
        (None, ", reference not found yet"),
        (referencePose(), ", reference ±0.2 px"),
        (referencePose(ageMs=600.0, isLost=True), ", reference lost"),
    ):
        stream.show((10, 20, 500), pose)
        assert widget.livePanel.referenceText() == words


# Points


def pointList(name: str, points=(), names=()):
    """A point list of the scene, with points in RAS."""
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for index, point in enumerate(points):
        node.AddControlPoint(vtk.vtkVector3d(point), names[index] if names else f"{name} {index}")
    return node


def touch(stream, at, reference=None, spread: float = 0.5, frames: int = 40, seed: int = 0) -> None:
    """Hold the fingertip at a place in the camera's coordinate system while a point is recorded."""
    random = np.random.default_rng(seed)
    stream.show(at, reference)
    stream.logic.navigation.recordPoint()
    for _frame in range(frames):
        if not stream.logic.navigation.isRecordingPoint:
            break
        stream.show(at + random.normal(0, spread, 3), reference)
    assert not stream.logic.navigation.isRecordingPoint


def useBoard(logic) -> None:
    from LiveHandLib.scene.reference import ReferenceKind

    logic.getParameterNode().referenceKind = ReferenceKind.BOARD


def test_point_is_in_the_references_coordinate_system(logic, stream):
    import slicer

    useBoard(logic)
    parameterNode, pose = logic.getParameterNode(), referencePose()
    progress = []
    logic.navigation.changed.append(lambda: progress.append(logic.navigation.pointProgress))
    touch(stream, np.array([10.0, 20.0, 500.0]), pose)
    points = parameterNode.points
    assert points.GetName() == "LiveHand Points" and points.GetNumberOfControlPoints() == 1
    assert points.GetParentTransformNode() is parameterNode.referenceToRAS
    expected = np.linalg.inv(pose.matrix) @ (10, 20, 500, 1)
    assert np.allclose(slicer.util.arrayFromMarkupsControlPoints(points)[0], expected[:3], atol=0.5)
    assert progress == [*sorted(progress[:-1]), 0.0] and 0.3 < progress[15] < 0.7, "0 when it is done"
    table = parameterNode.pointsTable
    assert table.GetNumberOfRows() == 1
    row = {table.GetColumnName(column): table.GetCellText(0, column) for column in range(table.GetNumberOfColumns())}
    assert row["Point"] == points.GetNthControlPointLabel(0) and float(row["N"]) + float(row["Outliers"]) >= 30
    assert 0.5 < float(row["SD"]) < 1.3, "of three coordinates with 0.5 each"
    description = points.GetNthControlPointDescription(0)
    assert description.startswith("SD 0.") and "N " in description
    assert logic.navigation.failure is None
    moved = np.eye(4)
    moved[:3, 3] = 40.0, 0.0, 0.0
    touch(stream, np.array([50.0, 20.0, 500.0]), referencePose(moved @ pose.matrix))
    both = slicer.util.arrayFromMarkupsControlPoints(points)
    assert np.linalg.norm(both[0] - both[1]) < 1.0, "the camera moved, the finger did not"
    assert logic.navigation.undoPoint() and points.GetNumberOfControlPoints() == table.GetNumberOfRows() == 1
    assert logic.navigation.undoPoint() and points.GetNumberOfControlPoints() == table.GetNumberOfRows() == 0
    assert not logic.navigation.undoPoint()


def test_points_get_the_names_of_the_plan(logic, stream):
    parameterNode = logic.getParameterNode()
    parameterNode.plannedPoints = pointList("Plan", np.eye(3), ("Nasion", "Left ear", "Right ear"))
    chosen = parameterNode.points = pointList("Touched")
    for name in ("Nasion", "Left ear"):
        assert logic.navigation.nextPoint() == name
        touch(stream, np.array([10.0, 20.0, 500.0]))
    assert [chosen.GetNthControlPointLabel(index) for index in range(2)] == ["Nasion", "Left ear"]
    assert chosen.GetParentTransformNode() is parameterNode.cameraToRAS, "an empty list is put where it belongs"
    chosen.RemoveNthControlPoint(0)
    assert logic.navigation.nextPoint() == "Nasion", "whichever is missing"
    assert logic.navigation.undoPoint() and not logic.navigation.undoPoint()


def test_list_with_points_of_its_own_is_left_where_it_is(logic, stream):
    parameterNode = logic.getParameterNode()
    parameterNode.points = pointList("Own", [(1.0, 2.0, 3.0)])
    at = np.array([10.0, 20.0, 500.0])
    touch(stream, at, spread=0.01)
    assert parameterNode.points.GetParentTransformNode() is None
    world = [0.0, 0.0, 0.0]
    parameterNode.points.GetNthControlPointPositionWorld(1, world)
    assert np.allclose(world, (matrixOf(parameterNode.cameraToRAS) @ (*at, 1))[:3], atol=0.1)


@pytest.mark.parametrize("finger", ["THUMB", "MIDDLE", "PINKY"])
def test_any_fingertip_of_either_hand(logic, stream, finger):
    import slicer

    from LiveHandLib.scene.navigation import Finger, Side

    parameterNode = logic.getParameterNode()
    parameterNode.pointingSide, parameterNode.pointingFinger = Side.LEFT, Finger[finger]
    hand = handWith((10, 20, 500))
    stream.show(None, Left=hand)
    logic.navigation.recordPoint()
    for _frame in range(40):
        stream.show((300, 0, 500), Left=hand)
    expected = matrixOf(parameterNode.cameraToRAS) @ (*hand.cameraMm[Finger[finger].value], 1)
    assert np.allclose(slicer.util.arrayFromMarkupsControlPoints(parameterNode.points, world=True)[0], expected[:3])


def test_dwelling_records_a_point_and_only_one(logic, stream):
    parameterNode = logic.getParameterNode()
    parameterNode.dwellRecords, parameterNode.dwellMs, parameterNode.dwellRadiusMm = True, 500.0, 4.0
    progress = []
    for number in range(10):
        stream.show((20.0 * number, 0, 500))
        assert parameterNode.points is None
    for _frame in range(120):
        stream.show((200, 0, 500))
        progress.append(logic.navigation.dwellProgress)
    assert parameterNode.points.GetNumberOfControlPoints() == 1
    assert 0.4 < max(progress) < 1.0


def otherHand(closing: float, **keywords):
    """A left hand that pinches, or does not, beside the one that points."""
    return test_gestures.at(closing, (150.0, 40.0, 500.0), side="Left", **keywords)


def test_pinch_of_the_other_hand_records_a_point(logic, stream):
    parameterNode = logic.getParameterNode()
    parameterNode.pinchRecords = True
    for hand in (otherHand(1.0), otherHand(0.0), otherHand(1.0)):
        assert parameterNode.points is None, "a hand that was never open does not pinch"
        for _frame in range(40):
            stream.show((0, 0, 500), Left=hand)
    assert parameterNode.points.GetNumberOfControlPoints() == 1


def test_fist_of_the_other_hand_records_nothing(logic, stream):
    parameterNode = logic.getParameterNode()
    parameterNode.pinchRecords = True
    for hand in (otherHand(0.0), otherHand(1.0, fist=True)):
        for _frame in range(40):
            stream.show((0, 0, 500), Left=hand)
    assert parameterNode.points is None


def test_trace_lasts_as_long_as_the_other_hand_pinches(logic, stream):
    parameterNode, navigation = logic.getParameterNode(), logic.navigation
    parameterNode.pinchTraces, parameterNode.traceSmoothingMs = True, 0.0
    traced = []
    for number in range(90):
        stream.show((2.0 * number, 20, 500), Left=otherHand(float(20 <= number < 60)))
        traced.append(navigation.isTracing)
    begin, end = traced.index(True), len(traced) - traced[::-1].index(True)
    assert all(traced[begin:end]) and 21 <= begin <= 26 and 60 <= end <= 65
    curve = parameterNode.trace
    assert abs(curve.GetNumberOfControlPoints() - (end - begin)) <= 1
    navigation.startTrace()  # by the button
    for number in range(40):
        stream.show((2.0 * number, 20, 500), Left=otherHand(float(number < 20)))
    assert navigation.isTracing, "a pinch does not end what it has not begun"


def test_next_point_can_be_chosen(app, navigationPanel, stream):
    import slicer

    logic, ui = navigationPanel.logic, navigationPanel.ui
    logic.getParameterNode().plannedPoints = pointList("Plan", PLAN)
    box = ui.nextPointComboBox
    assert [box.itemText(index) for index in range(box.count)] == [f"Plan {number}" for number in range(5)]
    navigationPanel.navigationPanel.onNextPointChosen(2)
    for number in (2, 0, 1, 3, 4):
        assert logic.navigation.nextPoint() == box.currentText == f"Plan {number}"
        touch(stream, (placed() @ (*PLAN[number], 1))[:3], spread=0.0)
    assert logic.navigation.nextPoint() == "" == box.currentText
    assert slicer.util.arrayFromMarkupsControlPoints(logic.getParameterNode().points).shape == (5, 3)
    assert logic.navigation.registering.register().freMm < 1e-6, "by their names, for their order is another one"


@pytest.fixture
def lastPoint(stream):
    """One point is recorded and another one is under way, with a board; gives what ends it."""
    useBoard(stream.logic)
    touch(stream, np.array([10.0, 20.0, 500.0]), referencePose())
    stream.logic.navigation.recordPoint()
    for _frame in range(10):
        stream.show((10, 20, 500), referencePose())
    assert stream.logic.navigation.pointProgress > 0.2
    return stream


def assertGivenUp(logic, reason: str, points=None) -> None:
    from LiveHandLib.panel.sentences import sentence

    assert not logic.navigation.isRecordingPoint and logic.navigation.failure.reason == reason
    assert "not" in sentence(logic.navigation.failure) or "No point" in sentence(logic.navigation.failure)
    if points:
        assert points.GetNumberOfControlPoints() == 1, "what was recorded before is kept"


@pytest.mark.fault("Navigation: board lost while a point is recorded")
def test_lost_board_ends_a_point(logic, lastPoint, unharmed):
    lastPoint.show((10, 20, 500), referencePose(ageMs=600.0, isLost=True))
    assertGivenUp(logic, "pointReferenceLost", logic.getParameterNode().points)
    with pytest.raises(Exception, match="pointReferenceLost"):
        logic.navigation.recordPoint()


@pytest.mark.fault("Navigation: hand lost, or another one, while a point is recorded")
def test_other_hand_ends_a_point(logic, lastPoint, unharmed):
    for _frame in range(12):
        lastPoint.show((10, 20, 500), referencePose(), side="Left")
    assertGivenUp(logic, "pointHandLost", logic.getParameterNode().points)


@pytest.mark.fault("Navigation: list deleted while a point is recorded")
def test_deleted_list_ends_a_point(logic, lastPoint, unharmed):
    import slicer

    slicer.mrmlScene.RemoveNode(logic.getParameterNode().points)
    lastPoint.show((10, 20, 500), referencePose())
    assertGivenUp(logic, "pointListGone")
    touch(lastPoint, np.array([10.0, 20.0, 500.0]), referencePose())
    assert logic.getParameterNode().points.GetNumberOfControlPoints() == 1, "in a new list"


@pytest.mark.fault("Navigation: scene closed while a point is recorded")
def test_closed_scene_ends_a_point(logic, lastPoint, unharmed):
    import slicer

    slicer.mrmlScene.Clear(0)
    assertGivenUp(logic, "pointSceneClosed")
    lastPoint.show((10, 20, 500))
    assert logic.getParameterNode().points is None


@pytest.mark.fault("Navigation: NaN for a fingertip while a point is recorded")
def test_positions_that_are_none_do_not_count(logic, lastPoint, unharmed):
    for number in range(60):
        tip = (np.nan, 20, 500) if number % 3 == 0 else (10, 20, 500)
        lastPoint.show(tip, referencePose())
    import slicer

    points = slicer.util.arrayFromMarkupsControlPoints(logic.getParameterNode().points)
    assert len(points) == 2 and np.isfinite(points).all()


def test_no_point_without_live_or_hand(logic, stream):
    from LiveHandLib.errors import LiveHandError

    logic.navigation.endLive()
    with pytest.raises(LiveHandError, match="pointNotLive"):
        logic.navigation.recordPoint()
    stream.show(None)
    with pytest.raises(LiveHandError, match="pointHandLost"):
        logic.navigation.recordPoint()
    assert logic.getParameterNode().points is None


def bent(node):
    """Put a transform node under one that is not linear: twice as far as the square of the height, to the right."""
    import slicer
    import vtk

    spline, points = vtk.vtkThinPlateSplineTransform(), [vtk.vtkPoints(), vtk.vtkPoints()]
    for corner in np.array(np.meshgrid(*[(-600.0, 0.0, 600.0)] * 3)).reshape(3, -1).T:
        points[0].InsertNextPoint(corner)
        points[1].InsertNextPoint(corner + np.array([corner[2] ** 2 / 6000.0, 0, 0]))
    spline.SetBasisToR()
    spline.SetSourceLandmarks(points[0])
    spline.SetTargetLandmarks(points[1])
    spline.Update()
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "Bent")
    parent.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(parent.GetID())
    return spline


@pytest.mark.fault("Navigation: a transform that is not linear above the hand")
def test_transform_that_is_not_linear(logic, stream, touched, unharmed):
    import slicer

    from LiveHandLib.errors import LiveHandError

    parameterNode, navigation = logic.getParameterNode(), logic.navigation
    at, pose = np.array([10.0, 20.0, 500.0]), referencePose()
    linear = (matrixOf(parameterNode.referenceToRAS) @ np.linalg.inv(pose.matrix) @ (*at, 1))[:3]
    spline = bent(parameterNode.referenceToRAS)
    expected = np.array(spline.TransformPoint(linear))
    assert np.linalg.norm(expected - linear) > 0.5
    parameterNode.distanceTo = pointList("Target", [expected + np.array([0, 0, 5.0])])
    touch(stream, at, pose, spread=0.0)
    world = slicer.util.arrayFromMarkupsControlPoints(parameterNode.points, world=True)
    assert np.allclose(world[-1], expected, atol=1e-3) and np.allclose(navigation.tip(), expected, atol=1e-3)
    assert navigation.distanceMm == pytest.approx(5.0, abs=1e-2)
    navigation.undoPoint()
    assert refusal(navigation.registering.register) == "transformNotLinear"
    logic.motion.startRecording()
    with pytest.raises(LiveHandError, match="transformNotLinear"):
        logic.motion.add(logic.frame)
    logic.motion.recording = None


# Traces


def traceLine(stream, lengthMm: int, stepMm: float = 2.0, startMm: float = 0.0, reference=None) -> None:
    """Move the fingertip along a line."""
    for number in range(round(lengthMm / stepMm) + 1):
        stream.show((startMm + stepMm * number, 20, 500), reference)


@pytest.mark.parametrize("isClosed", [False, True])
def test_trace_becomes_a_curve(logic, stream, isClosed):
    import slicer

    useBoard(logic)
    parameterNode = logic.getParameterNode()
    parameterNode.traceClosed, parameterNode.traceSmoothingMs = isClosed, 0.0
    stream.show((0, 20, 500), referencePose())
    logic.navigation.startTrace()
    traceLine(stream, 200, reference=referencePose())
    model = parameterNode.traceModel
    assert model.GetPolyData().GetNumberOfPoints() == 101 and model.GetPolyData().GetNumberOfLines() == 100
    assert parameterNode.trace is None
    logic.navigation.stopTrace()
    traceLine(stream, 50, reference=referencePose())
    curve = parameterNode.trace
    assert curve.GetClassName() == ("vtkMRMLMarkupsClosedCurveNode" if isClosed else "vtkMRMLMarkupsCurveNode")
    assert curve.GetNumberOfControlPoints() == 101
    assert curve.GetParentTransformNode() is model.GetParentTransformNode() is parameterNode.referenceToRAS
    length = 400.0 if isClosed else 200.0
    assert logic.navigation.traceLengthMm == pytest.approx(length, rel=1e-3)
    assert curve.GetCurveLengthWorld() == pytest.approx(length, rel=1e-3)
    expected = np.linalg.inv(referencePose().matrix) @ (200, 20, 500, 1)
    assert np.allclose(slicer.util.arrayFromMarkupsControlPoints(curve)[-1], expected[:3], atol=1e-3)


def test_trace_goes_on_is_taken_back_deleted_and_begun_anew(logic, stream):
    parameterNode, navigation = logic.getParameterNode(), logic.navigation
    parameterNode.traceSmoothingMs, parameterNode.traceSpacingMm = 0.0, 2.0
    for start in (0, 100):
        stream.show((start, 20, 500))
        navigation.startTrace()
        traceLine(stream, 98, startMm=start)
        navigation.stopTrace()
    curve, model = parameterNode.trace, parameterNode.traceModel
    assert curve.GetNumberOfControlPoints() == model.GetPolyData().GetNumberOfPoints() == 100
    navigation.undoTrace(20.0)
    assert curve.GetNumberOfControlPoints() == model.GetPolyData().GetNumberOfPoints() == 90
    assert model.GetPolyData().GetNumberOfLines() == 89 and navigation.traceLengthMm == pytest.approx(178.0)
    navigation.newTrace()
    assert navigation.traceLengthMm == 0.0 and curve.GetScene() and model.GetScene()
    navigation.startTrace()
    traceLine(stream, 50)
    navigation.stopTrace()
    assert parameterNode.trace is not curve and parameterNode.traceModel is not model
    navigation.deleteTrace()
    assert parameterNode.trace is None and parameterNode.traceModel is None
    assert curve.GetScene() and model.GetScene(), "the one before is kept"


@pytest.fixture
def tracing(stream):
    """A trace of 100 mm is under way, with a board."""
    useBoard(stream.logic)
    stream.logic.getParameterNode().traceSmoothingMs = 0.0
    stream.show((0, 20, 500), referencePose())
    stream.logic.navigation.startTrace()
    traceLine(stream, 100, reference=referencePose())
    return stream


def assertKept(logic, reason: str) -> None:
    from LiveHandLib.panel.sentences import sentence

    assert not logic.navigation.isTracing and logic.navigation.failure.reason == reason
    assert sentence(logic.navigation.failure).startswith("The trace has ended")
    assert logic.getParameterNode().trace.GetNumberOfControlPoints() == 51
    assert logic.getParameterNode().traceModel.GetPolyData().GetNumberOfPoints() == 51


@pytest.mark.fault("Navigation: board or hand lost in mid-trace")
@pytest.mark.parametrize("what", ["Hand", "Reference"])
def test_trace_ends_where_something_is_lost(logic, tracing, what, unharmed):
    for _frame in range(12):
        if what == "Hand":
            tracing.show(None, referencePose())
        else:
            tracing.show((150, 20, 500), referencePose(ageMs=600.0, isLost=True))
    assertKept(logic, f"trace{what}Lost")


@pytest.mark.fault("Navigation: Live goes off in mid-trace")
def test_trace_is_kept_when_live_goes_off(logic, tracing, unharmed):
    logic.navigation.endLive()
    assert logic.getParameterNode().trace.GetNumberOfControlPoints() == 51
    with pytest.raises(Exception, match="traceNotLive"):
        logic.navigation.startTrace()


@pytest.mark.fault("Navigation: trace deleted while it grows")
def test_deleted_trace_ends(logic, tracing, unharmed):
    import slicer

    slicer.mrmlScene.RemoveNode(logic.getParameterNode().traceModel)
    tracing.show((120, 20, 500), referencePose())
    assert not logic.navigation.isTracing and logic.navigation.failure.reason == "traceGone"
    logic.navigation.startTrace()
    traceLine(tracing, 20, reference=referencePose())
    assert logic.getParameterNode().traceModel.GetPolyData().GetNumberOfPoints() == 11


@pytest.mark.fault("Navigation: scene closed in mid-trace")
def test_scene_closed_in_mid_trace(logic, tracing, unharmed, tmp_path):
    import slicer

    touched = str(tmp_path / "trace.vtp")
    slicer.util.saveNode(logic.getParameterNode().traceModel, touched)  # what is there is there at any time
    slicer.mrmlScene.Clear(0)
    tracing.show((120, 20, 500))
    assert not logic.navigation.isTracing and logic.getParameterNode().traceModel is None
    assert slicer.util.loadModel(touched).GetPolyData().GetNumberOfPoints() == 51


def test_thousands_of_points_are_appended_not_rebuilt(logic, stream):
    """By what is done, not by how long it takes."""
    parameterNode = logic.getParameterNode()
    parameterNode.traceSpacingMm, parameterNode.traceSmoothingMs = 0.1, 0.0
    stream.show((0, 20, 500))
    logic.navigation.startTrace()
    before = parameterNode.traceModel.GetPolyData()
    points, lines = before.GetPoints(), before.GetLines()
    for number in range(3000):
        logic.navigation._follow(np.array([0.5 * number, 20.0, 500.0]), 33.0 * number, True)
    polyData = parameterNode.traceModel.GetPolyData()
    assert polyData.GetPoints() is points and polyData.GetLines() is lines
    assert points.GetNumberOfPoints() == 3000 and lines.GetNumberOfCells() == 2999


# Registration

PLAN = np.array([(0, 0, 0), (80, 0, 10), (0, 60, 0), (20, 30, 70), (70, 70, -20)], float)  # in RAS


def placed() -> np.ndarray:
    """From RAS to the reference's coordinate system, as the phantom lies in the room."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turned(200, 15, 40), (30.0, -20.0, 40.0)
    return matrix


@pytest.fixture
def touched(logic, stream):
    """The plan's points, touched with a board; gives how far each was touched from where it is, mm in RAS."""
    useBoard(logic)
    logic.getParameterNode().plannedPoints = pointList("Plan", PLAN)
    errors = np.random.default_rng(3).normal(0, 1.0, (len(PLAN), 3))
    pose = referencePose()
    for at in PLAN + errors:
        touch(stream, (pose.matrix @ placed() @ (*at, 1))[:3], pose, spread=0.0)
    return errors


def test_registration_by_points(logic, touched):
    from LiveHandLib.navigation.registration import register

    parameterNode, registering = logic.getParameterNode(), logic.navigation.registering
    before = matrixOf(parameterNode.referenceToRAS)
    found = registering.register()
    expected = register(PLAN + touched, PLAN)
    assert found.freMm == pytest.approx(expected.freMm, abs=1e-6) and 0.3 < found.freMm < 2.0
    assert np.allclose(matrixOf(parameterNode.referenceToRAS), expected.matrix @ np.linalg.inv(placed()), atol=1e-6)
    target = np.array([40.0, 40.0, 20.0])
    assert registering.expectedTreMm(target) == pytest.approx(expected.expectedTreMm(target), abs=1e-6)
    assert registering.worstTarget() is None
    parameterNode.targetPoints = pointList("Target", [target, target + 500.0, target + 50.0])
    name, error = registering.worstTarget()
    assert name == "Target 1" and error == pytest.approx(expected.expectedTreMm(target + 500.0), abs=1e-6)
    table = parameterNode.registrationTable
    assert [table.GetCellText(row, 0) for row in range(6)] == [f"Plan {number}" for number in range(5)] + ["RMS"]
    assert float(table.GetCellText(5, 1)) == pytest.approx(found.freMm, abs=1e-4)
    assert registering.names[found.worst] == f"Plan {found.worst}"
    again = registering.register()
    assert np.allclose(again.matrix, found.matrix, atol=1e-6), "though the points have moved with it"
    assert registering.undo() and registering.undo() and not registering.undo()
    assert np.allclose(matrixOf(parameterNode.referenceToRAS), before)


def test_registration_without_a_reference(logic, stream):
    logic.getParameterNode().plannedPoints = pointList("Plan", PLAN)
    for at in PLAN:
        touch(stream, (placed() @ (*at, 1))[:3], spread=0.0)
    assert logic.navigation.registering.register().freMm < 1e-6
    assert np.allclose(matrixOf(logic.getParameterNode().cameraToRAS), np.linalg.inv(placed()), atol=1e-6)


def test_registration_under_a_transform_of_the_users(logic, touched):
    import slicer

    parameterNode = logic.getParameterNode()
    users = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "User's")
    slicer.util.updateTransformMatrixFromArray(users, placed())
    parameterNode.referenceToRAS.SetAndObserveTransformNodeID(users.GetID())
    found = logic.navigation.registering.register()
    recorded = slicer.util.arrayFromMarkupsControlPoints(parameterNode.points, world=True)
    assert np.allclose(np.linalg.norm(recorded - PLAN, axis=1), found.errorsMm, atol=1e-4)


def refusal(call) -> str:
    """The reason for which something is refused."""
    from LiveHandLib.errors import LiveHandError
    from LiveHandLib.panel.sentences import sentence

    with pytest.raises(LiveHandError) as raised:
        call()
    assert "internal" not in raised.value.reason and "Something unexpected" not in sentence(raised.value)
    return raised.value.reason


@pytest.mark.fault("Navigation: registration with points that give none", times=6)
def test_registration_is_refused(logic, touched, unharmed):
    import slicer

    parameterNode, registering = logic.getParameterNode(), logic.navigation.registering
    points, planned = parameterNode.points, parameterNode.plannedPoints
    before = matrixOf(parameterNode.referenceToRAS)
    parameterNode.plannedPoints = None
    assert refusal(registering.register) == "registrationNoLists"
    parameterNode.plannedPoints = pointList("Mirrored", PLAN * (-1, 1, 1))
    assert refusal(registering.register) == "registrationMirrored"
    parameterNode.plannedPoints = pointList("On a line", [(10.0 * number, 0.0, 0.0) for number in range(5)])
    assert refusal(registering.register) == "registrationCollinear"
    parameterNode.plannedPoints = pointList("Not finite", np.where(np.eye(5, 3), np.nan, PLAN))
    assert refusal(registering.register) == "registrationNotFinite"
    parameterNode.plannedPoints = planned
    parameterNode.points = pointList("Of the image", PLAN)
    assert refusal(registering.register) == "registrationNotTouched"
    parameterNode.points = points
    while points.GetNumberOfControlPoints() > 2:
        logic.navigation.undoPoint()
    assert refusal(registering.register) == "registrationTooFew"
    assert np.array_equal(matrixOf(parameterNode.referenceToRAS), before)
    assert slicer.util.arrayFromMarkupsControlPoints(points).shape == (2, 3), "nothing recorded is lost"


@pytest.mark.fault("Navigation: a board printed to another scale")
def test_scale_of_the_print_shows_in_the_registration(logic, stream, unharmed):
    useBoard(logic)
    logic.getParameterNode().plannedPoints = pointList("Plan", PLAN)
    pose = referencePose()
    for at in PLAN:
        touch(stream, (pose.matrix @ (*(1.05 * at), 1))[:3], pose, spread=0.0)
    assert logic.navigation.registering.register().scale == pytest.approx(1 / 1.05, abs=1e-3)


def test_trace_is_fitted_to_a_surface(logic, stream):
    import slicer
    import vtk

    useBoard(logic)
    parameterNode, pose = logic.getParameterNode(), referencePose()
    parameterNode.traceSmoothingMs = 0.0
    sphere = vtk.vtkTexturedSphereSource()
    sphere.SetRadius(1.0)
    sphere.SetThetaResolution(60)
    sphere.SetPhiResolution(60)
    shape = vtk.vtkTransform()
    shape.Scale(60, 45, 30)
    ellipsoid = vtk.vtkTransformPolyDataFilter()
    ellipsoid.SetInputConnection(sphere.GetOutputPort())
    ellipsoid.SetTransform(shape)
    ellipsoid.Update()
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Skin")
    model.SetAndObservePolyData(ellipsoid.GetOutput())
    assert refusal(logic.navigation.registering.registerSurface) == "surfaceMissing"
    parameterNode.surface = model
    stream.show((0, 20, 500), pose)
    logic.navigation.startTrace()
    slicer.util.updateTransformMatrixFromArray(parameterNode.referenceToRAS, np.eye(4))  # off by a bit
    off = np.eye(4)
    off[:3, :3], off[:3, 3] = turned(4, -3, 5), (4.0, -3.0, 2.0)
    for turn in np.linspace(0, 30, 400):
        across, along = 0.3 + 0.6 * turn / 30, turn
        at = np.array([np.cos(along) * across, np.sin(along) * across, np.sqrt(1 - across**2)]) * (60, 45, 30)
        stream.show((pose.matrix @ off @ (*at, 1))[:3], pose)
    logic.navigation.stopTrace()
    found = logic.navigation.registering.registerSurface()
    assert found.statistics.rms < 0.5 < ((found.initialDistancesMm**2).mean()) ** 0.5
    assert np.allclose(matrixOf(parameterNode.referenceToRAS), found.matrix)
    display, points = parameterNode.traceModel.GetDisplayNode(), parameterNode.traceModel.GetPolyData().GetPointData()
    assert (
        display.GetScalarVisibility() and points.GetScalars().GetName() == "Distance" == display.GetActiveScalarName()
    )
    assert logic.navigation.registering.undo()
    assert np.allclose(matrixOf(parameterNode.referenceToRAS), np.eye(4))


def test_comparison_with_the_truth(logic, touched, tmp_path):
    parameterNode, registering = logic.getParameterNode(), logic.navigation.registering
    assert refusal(lambda: registering.exportComparison(tmp_path / "none.csv")) == "noComparison"
    found = registering.register()
    parameterNode.truePoints = pointList("Truth", PLAN)
    compared = registering.compare()
    assert np.allclose(compared.errorsMm, found.errorsMm, atol=1e-4)
    assert compared.targets.rms == pytest.approx(found.freMm, abs=1e-4) and compared.fiducials.count == 0
    registering.exportComparison(tmp_path / "errors.csv")
    lines = (tmp_path / "errors.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "point,kind,error_mm" and lines[1].startswith("Truth 0,target,") and len(lines) == 1 + 5 + 6
    table = parameterNode.comparisonTable
    assert table.GetNumberOfRows() == 5 and table.GetCellText(4, 0) == "Truth 4"
    statistics = parameterNode.comparisonStatistics
    assert statistics.GetNumberOfRows() == 6 and statistics.GetCellText(5, 0) == "rms"
    series = parameterNode.comparisonChart.GetNthPlotSeriesNode(0)
    assert series.GetTableNode() is table and (series.GetLabelColumnName(), series.GetYColumnName()) == (
        "Point",
        "Error",
    )
    byFiducials = registering.compare([0, 1, 2, 3])
    assert byFiducials.fiducials.count == 4 and byFiducials.targets.count == 1
    assert refusal(lambda: registering.exportComparison(tmp_path / "no folder" / "errors.csv")) == "exportFailed"


# Follow


def test_slices_follow_the_finger_not_too_often(logic, stream, redView):
    parameterNode, node = logic.getParameterNode(), redView.GetSliceNode()
    offsets = []
    parameterNode.slicesFollow = True
    stream.rate = 60.0
    for number in range(60):
        stream.show((10, 20.0 + number, 500))
        offsets.append(node.GetSliceOffset())
    stream.rate = 1.0
    jumps = np.count_nonzero(np.diff(offsets))
    assert 10 <= jumps <= 15
    tip = worldTip(logic)
    assert offsets[-1] == pytest.approx(tip[2], abs=10.0)
    before = offsets[-1]
    stream.show(None)
    assert node.GetSliceOffset() == before, "not while the hand is lost"
    useBoard(logic)
    stream.show((10, 200, 500))
    assert node.GetSliceOffset() == before, "nor while the reference is"
    parameterNode.followingViews = ["Green"]
    stream.show((10, 200, 500), referencePose())
    assert node.GetSliceOffset() == before, "nor where it was not chosen"
    parameterNode.followingViews = []
    stream.show((10, 200, 500), referencePose())
    assert node.GetSliceOffset() != before


def test_distance_to_a_model_and_to_points(logic, stream):
    import slicer
    import vtk

    parameterNode, navigation = logic.getParameterNode(), logic.navigation
    stream.show((10, 20, 500))
    tip = navigation.tip()
    assert np.allclose(tip, worldTip(logic), atol=1e-3)
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(10.0)
    sphere.SetThetaResolution(100)
    sphere.SetPhiResolution(100)
    sphere.Update()
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Ball")
    model.SetAndObservePolyData(sphere.GetOutput())
    users = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "User's")
    model.SetAndObserveTransformNodeID(users.GetID())
    parameterNode.distanceTo = model
    for away in (50.0, 30.0):
        matrix = placed()
        matrix[:3, 3] = tip + np.array([0, 0, away])
        slicer.util.updateTransformMatrixFromArray(users, matrix)
        stream.show((10, 20, 500))
        assert navigation.distanceMm == pytest.approx(away - 10.0, abs=0.05)
    parameterNode.distanceTo = pointList("Targets", tip + np.array([[0, 30, 0], [0, 0, 7]]))
    stream.show((10, 20, 500))
    assert navigation.distanceMm == pytest.approx(7.0, abs=0.01)
    stream.show(None)
    assert navigation.distanceMm is None
    parameterNode.distanceTo = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Empty")
    stream.show((10, 20, 500))
    assert navigation.distanceMm is None


# The panel


@pytest.fixture
def navigationPanel(app, widget, stream):
    """The panel with its group open, and frames that come without a camera."""
    widget.ui.navigationCollapsibleButton.setCollapsed(False)
    yield widget
    widget.ui.navigationCollapsibleButton.setCollapsed(True)


def test_group_is_collapsed_at_first(widget):
    assert widget.ui.navigationCollapsibleButton.collapsed


def test_panel_offers_the_nodes_and_follows_the_parameter_node(app, navigationPanel):
    import slicer

    ui, parameterNode = navigationPanel.ui, navigationPanel.logic.getParameterNode()
    plan = pointList("Plan", PLAN)
    box = ui.plannedPointsComboBox
    assert app.spin(lambda: box.findText("Plan") > 0, timeout=5)
    box.setCurrentIndex(box.findText("Plan"))
    navigationPanel.navigationPanel.onNodeChosen("plannedPoints", box.findText("Plan"))
    assert parameterNode.plannedPoints is plan
    assert ui.navigationLabel.text == "Next point: Plan 0"
    slicer.mrmlScene.RemoveNode(plan)
    assert app.spin(lambda: box.findText("Plan") < 0, timeout=5)
    assert box.currentIndex == 0


def test_widgets_of_the_reference_are_those_of_its_kind(app, navigationPanel):
    from LiveHandLib.scene.reference import ReferenceKind

    ui, parameterNode = navigationPanel.ui, navigationPanel.logic.getParameterNode()
    for kind in ReferenceKind:
        parameterNode.referenceKind = kind
        assert ui.referenceSquareSpinBox.isVisibleTo(ui.navigationCollapsibleButton) == (kind == ReferenceKind.BOARD)
        assert ui.referenceMarkerSpinBox.isVisibleTo(ui.navigationCollapsibleButton) == (kind == ReferenceKind.MARKER)


def test_points_by_the_panel_and_what_it_says(app, navigationPanel, stream):
    ui, logic, panel = navigationPanel.ui, navigationPanel.logic, navigationPanel.navigationPanel
    panel.do(panel.recordOrCancel)
    assert ui.navigationLabel.text.startswith("⚠ ") and "Live" in ui.navigationLabel.text
    stream.show((10, 20, 500))
    panel.do(panel.recordOrCancel)
    assert ui.recordPointButton.checked and ui.navigationLabel.text == "Hold the finger still."
    panel.do(panel.recordOrCancel)
    assert not ui.recordPointButton.checked, "given up"
    logic.getParameterNode().plannedPoints = pointList("Plan", PLAN)
    for at in PLAN:
        touch(stream, (placed() @ (*at, 1))[:3], spread=0.0)
    ui.registerButton.click()
    text = ui.navigationLabel.text
    assert text.startswith("Registered by 5 points: FRE 0.0 mm") and "best scale 1.000" in text, text
    assert text.endswith("Each point left out once: 0.0 mm.")
    assert ui.targetLabel.text == ""
    logic.getParameterNode().targetPoints = pointList("Target", [(0, 0, 0), (900, 0, 0)])
    assert ui.targetLabel.text == "Target 1: 0.0 mm"
    logic.getParameterNode().truePoints = logic.getParameterNode().plannedPoints
    ui.compareButton.click()
    assert ui.navigationLabel.text.startswith("Errors of 5 points: mean 0.0 mm")
    ui.showComparisonButton.click()
    assert not ui.navigationLabel.text.startswith("⚠")
    for _time in range(3):
        ui.undoPointButton.click()
    ui.registerButton.click()
    assert ui.navigationLabel.text.startswith("⚠ 2 points are too few")
    ui.undoRegistrationButton.click()
    assert not ui.navigationLabel.text.startswith("⚠")


def test_trace_by_the_panel(app, navigationPanel, stream):
    ui, logic, panel = navigationPanel.ui, navigationPanel.logic, navigationPanel.navigationPanel
    logic.getParameterNode().traceSmoothingMs = 0.0
    stream.show((0, 20, 500))
    panel.do(panel.startOrStopTrace)
    assert ui.traceButton.checked
    traceLine(stream, 100)
    panel.do(panel.startOrStopTrace)
    assert not ui.traceButton.checked and ui.traceLengthLabel.text == "100 mm"
    ui.undoTraceButton.click()
    assert ui.traceLengthLabel.text == "90 mm"
    ui.deleteTraceButton.click()
    assert ui.traceLengthLabel.text == "" and logic.getParameterNode().trace is None


def test_key_records_a_point_in_any_module(app, navigationPanel, stream):
    import qt

    stream.show((10, 20, 500))
    shortcut = navigationPanel.navigationPanel._shortcuts[0]
    assert shortcut.key.toString() == "F8" if hasattr(shortcut.key, "toString") else shortcut.key().toString() == "F8"
    shortcut.activated.emit()
    assert navigationPanel.logic.navigation.isRecordingPoint
    assert isinstance(shortcut, qt.QShortcut)


def test_distance_is_in_the_panel_and_in_the_views_corner(app, navigationPanel, stream):
    import slicer
    import vtk

    logic, ui = navigationPanel.logic, navigationPanel.ui
    stream.show((10, 20, 500))
    logic.getParameterNode().distanceTo = pointList("Target", [logic.navigation.tip() + np.array([0, 0, 12.5])])
    stream.show((10, 20, 500))
    renderer = slicer.app.layoutManager().threeDWidget(0).threeDView().renderWindow().GetRenderers().GetFirstRenderer()

    def shown() -> list[str]:
        props = renderer.GetViewProps()
        annotations = [prop for prop in props if isinstance(prop, vtk.vtkCornerAnnotation)]
        return [annotation.GetText(vtk.vtkCornerAnnotation.UpperLeft) for annotation in annotations]

    assert ui.distanceLabel.text == "12.5 mm" and "12.5 mm" in shown()
    logic.getParameterNode().distanceTo = None
    stream.show((10, 20, 500))
    assert "12.5 mm" not in shown()


@pytest.mark.parametrize("kind", ["BOARD", "MARKER"])
def test_reference_is_printed(app, navigationPanel, tmp_path, monkeypatch, kind):
    import qt

    from LiveHandLib.scene.reference import ReferenceKind

    ui, parameterNode = navigationPanel.ui, navigationPanel.logic.getParameterNode()
    parameterNode.referenceKind, parameterNode.printedLineMm = ReferenceKind[kind], 97.0
    parameterNode.referenceColumns, parameterNode.referenceRows = 5, 7
    path = tmp_path / "reference.pdf"
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: str(path))
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda _url: None)
    ui.referencePrintButton.click()
    what = "ChArUco board, 5 x 7 squares of 30 mm." if kind == "BOARD" else "marker 0, 50 mm wide."
    assert what.encode() in path.read_bytes(), "as it is to be, not as it was printed before"
    parameterNode.referenceSquareMm = parameterNode.referenceMarkerMm = 300.0
    ui.referencePrintButton.click()
    assert "does not fit" in ui.navigationLabel.text


def test_printed_line_scales_the_reference(logic):
    from LiveHandLib.scene.reference import ReferenceKind, chosen

    parameterNode = logic.getParameterNode()
    parameterNode.printedLineMm = 97.0
    parameterNode.referenceKind = ReferenceKind.BOARD
    assert chosen(parameterNode).squareMm == pytest.approx(29.1)
    parameterNode.referenceKind = ReferenceKind.MARKER
    assert chosen(parameterNode).sideMm == pytest.approx(48.5)


def test_size_of_the_reference_is_the_users(logic):
    import slicer

    parameterNode = logic.getParameterNode()
    parameterNode.referenceColumns, parameterNode.referenceMarkerMm, parameterNode.printedLineMm = 5, 40.0, 98.5
    slicer.mrmlScene.Clear(0)
    parameterNode = logic.getParameterNode()
    kept = parameterNode.referenceColumns, parameterNode.referenceMarkerMm, parameterNode.printedLineMm
    assert kept == (5, 40.0, 98.5) and isinstance(kept[0], int)


def test_views_that_follow_are_chosen(app, navigationPanel, request):
    import slicer

    layoutManager = slicer.app.layoutManager()
    layoutManager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    request.addfinalizer(lambda: layoutManager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView))
    ui, parameterNode = navigationPanel.ui, navigationPanel.logic.getParameterNode()
    parameterNode.slicesFollow = True
    box = ui.followingViewsComboBox
    names = [box.itemText(index) for index in range(box.count)]
    assert names[0] == "All views" and "Red" in names
    navigationPanel.navigationPanel.onFollowingViewsChosen(names.index("Red"))
    assert list(parameterNode.followingViews) == ["Red"] and box.currentText == "Red"
    parameterNode.followingViews = ["Red", "Green"]
    assert box.currentText == "Red, Green"
    navigationPanel.navigationPanel.onFollowingViewsChosen(0)
    assert list(parameterNode.followingViews) == []


@pytest.mark.fault("Navigation: a board with another number of squares than is set")
def test_board_with_other_squares_is_told(app, widget, tracked, markerClip, tmp_path, unharmed):
    from LiveHandLib.calibration.board import CHARUCO, Board
    from LiveHandLib.scene.reference import ReferenceKind

    widget.ui.navigationCollapsibleButton.setCollapsed(False)
    parameterNode, renderer = widget.logic.getParameterNode(), boardRenderer(Board(CHARUCO, 7, 5, 30.0))
    path = str(tmp_path / "board.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 30, SIZE)
    for number in range(90):
        writer.write(renderer.render(turned(15, -10, 5), np.array([0.0, 0.0, 500.0]), seed=number))
    writer.release()
    parameterNode.everyFrame = True
    parameterNode.referenceKind = ReferenceKind.BOARD
    parameterNode.referenceColumns, parameterNode.referenceRows = 8, 5
    texts = []
    widget.logic.worker.tracked.connect(lambda _frame: texts.append(widget.ui.navigationLabel.text))
    widget.logic.setSource(path)
    widget.ui.liveCheckBox.setChecked(True)
    settled(app, widget.logic)
    assert widget.logic.worker.lastStatistics.hasOtherBoard
    assert all(frame.reference is None for frame in tracked)
    assert any(text.startswith("⚠ The board in view has other squares than 8 × 5") for text in texts), set(texts)
    parameterNode.referenceColumns = 7
    widget.ui.liveCheckBox.setChecked(True)
    settled(app, widget.logic)
    assert not widget.logic.worker.lastStatistics.hasOtherBoard and tracked[-1].reference
    widget.ui.navigationCollapsibleButton.setCollapsed(True)


def test_nodes_are_what_other_modules_ask_for(logic, stream):
    """SlicerIGT's and OpenIGTLinkIF's: classes, names, and one event of the pointer a frame."""
    import slicer

    useBoard(logic)
    parameterNode, pose = logic.getParameterNode(), referencePose()
    parameterNode.pointer = True
    touch(stream, np.array([10.0, 20.0, 500.0]), pose)
    events = []
    pointer = slicer.util.getNode("LiveHand Right Pointer")
    tag = pointer.AddObserver(slicer.vtkMRMLTransformableNode.TransformModifiedEvent, lambda *_: events.append(1))
    for number in range(10):
        stream.show((10.0 + number, 20, 500), pose)
    pointer.RemoveObserver(tag)
    assert len(events) == 10
    for name in ("LiveHand Right Pointer", "LiveHand Reference to RAS", "LiveHand Camera to Reference"):
        assert slicer.util.getNode(name).GetClassName() == "vtkMRMLLinearTransformNode"
    assert slicer.util.getNode("LiveHand Points").GetClassName() == "vtkMRMLMarkupsFiducialNode"
    toWorld = slicer.util.arrayFromTransformMatrix(pointer, toWorld=True)
    assert np.allclose(toWorld[:3, 3], logic.navigation.tip(), atol=1e-6)
