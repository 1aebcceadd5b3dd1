"""Navigation through the module: a reference beside the hands in the scene, points, traces, registration, following."""

import time

import cv2
import numpy as np
import pytest

from support.boardrender import BoardRenderer, turned
from support.helpers import settled
from support.paths import SAMPLE_CLIP

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
        self.logic.showFrame(TrackedFrame(self.number, timeMs, time.perf_counter(), SIZE, hands, reference))


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


@pytest.fixture(scope="module")
def markerClip(tmp_path_factory):
    """The sample clip with marker 7 of 60 mm beside the hand in its first 60 frames."""
    from LiveHandLib.calibration.board import CHARUCO, Board
    from LiveHandLib.calibration.intrinsics import Intrinsics

    matrix = Intrinsics.guessed(SIZE).matrix
    marker = BoardRenderer(Board(CHARUCO, 4, 4, 15.0), matrix, np.zeros(5), SIZE)
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


def test_pinch_of_the_other_hand_records_a_point(logic, stream):
    parameterNode = logic.getParameterNode()
    parameterNode.pinchRecords = True
    open_, closed = handWith((100, 0, 500)), handWith((100, 0, 500))
    open_.cameraMm[4] += (-40, 0, 0)
    closed.cameraMm[4] = closed.cameraMm[8] + (5, 0, 0)
    for hand in (open_, closed):
        for _frame in range(40):
            stream.show((0, 0, 500), Left=hand)
        assert (parameterNode.points is not None) == (hand is closed)
    assert parameterNode.points.GetNumberOfControlPoints() == 1


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
