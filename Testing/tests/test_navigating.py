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
