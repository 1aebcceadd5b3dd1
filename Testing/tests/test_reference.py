"""The pose of a printed board or marker, on rendered frames with exactly known poses."""

import cv2
import numpy as np
import pytest

from LiveHandLib.calibration.board import CHARUCO, CHESSBOARD, Board
from LiveHandLib.calibration.intrinsics import Intrinsics
from LiveHandLib.errors import LiveHandError
from LiveHandLib.navigation import reference
from LiveHandLib.navigation.reference import Marker, ReferenceTracker, printedScale
from support.boardrender import BoardRenderer, turned

SIZE = (640, 480)
MATRIX = np.array([[560.0, 0.0, 331.0], [0.0, 556.0, 228.0], [0.0, 0.0, 1.0]])
DISTORTION = np.array([-0.1, 0.05, 0.001, -0.001, 0.0])
INTRINSICS = Intrinsics(MATRIX, DISTORTION, SIZE)
BOARD, MARKER = Board(CHARUCO), Marker(7, 60.0)
STEP_MS = 33


def renderer(of, isLegacy: bool = False) -> BoardRenderer:
    """Renders a board, or a marker."""
    if isinstance(of, Board):
        return BoardRenderer(of, MATRIX, DISTORTION, SIZE, isLegacy=isLegacy)
    result = BoardRenderer(Board(CHARUCO, 4, 4, of.sideMm / 4), MATRIX, DISTORTION, SIZE)
    markers = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_250)
    texture = cv2.aruco.generateImageMarker(markers, of.number, 4 * 128)
    result._texture = cv2.copyMakeBorder(texture, *[64] * 4, cv2.BORDER_CONSTANT, value=255)
    return result


def middleMm(of) -> np.ndarray:
    width, height = (of.columns, of.rows) if isinstance(of, Board) else (1, 1)
    unit = of.squareMm if isinstance(of, Board) else of.sideMm
    return np.array([width * unit / 2, height * unit / 2, 0.0])


def errors(pose, of, rotation, centreMm) -> tuple[float, float]:
    """Of a pose: how far the middle is off, mm, and by how much it is turned, degrees."""
    shift = pose.matrix[:3, :3] @ middleMm(of) + pose.matrix[:3, 3] - centreMm
    angle = np.linalg.norm(cv2.Rodrigues(pose.matrix[:3, :3].T @ rotation)[0])
    return float(np.linalg.norm(shift)), float(np.degrees(angle))


@pytest.fixture(scope="module")
def boardRenderer() -> BoardRenderer:
    return renderer(BOARD)


POSE = turned(20, -15, 10), np.array([20.0, -10.0, 600.0])


# How well


@pytest.mark.parametrize("of", [BOARD, Board(CHARUCO, 6, 4, 30.0), MARKER], ids=str)
def test_pose_at_600_mm(of):
    render, random, found = renderer(of).render, np.random.default_rng(1), []
    for _pose in range(12):
        rotation = turned(*random.uniform(-40, 40, 2), random.uniform(-180, 180))
        centre = np.array([*random.uniform(-90, 90, 2), 600.0])
        tracker = ReferenceTracker(of)
        for number in range(3):
            pose = tracker.find(render(rotation, centre, seed=number), STEP_MS * number, INTRINSICS)
        assert not pose.isLost and pose.isStill
        found.append(errors(pose, of, rotation, centre))
    shift, angle = np.median(found, axis=0)
    assert shift < 1.0 and angle < 0.3


def test_half_legacy_boards_are_found():
    board = Board(CHARUCO, 8, 6, 30.0)
    tracker, render = ReferenceTracker(board), renderer(board, isLegacy=True).render
    for number in range(5):
        pose = tracker.find(render(*POSE, seed=number), STEP_MS * number, INTRINSICS)
        assert pose.corners == 35 and max(errors(pose, board, *POSE)) < 0.5
    assert tracker.detections == 1


# How it is followed


def test_still_board_is_read_once_a_second_and_gets_steadier(boardRenderer):
    tracker, matrices = ReferenceTracker(BOARD), []
    for number in range(64):
        matrices.append(tracker.find(boardRenderer.render(*POSE, noise=6, seed=number), STEP_MS * number, INTRINSICS))
    assert tracker.detections == 3
    single = [
        ReferenceTracker(BOARD).find(boardRenderer.render(*POSE, noise=6, seed=number), 0, INTRINSICS).matrix[:3, 3]
        for number in range(12)
    ]
    averaged = [pose.matrix[:3, 3] for pose in matrices[31:]]
    assert np.std(averaged, axis=0).max() < 0.5 * np.std(single, axis=0).max()
    assert all(pose.isStill for pose in matrices[2:])


@pytest.mark.parametrize("of", [BOARD, MARKER], ids=["board", "marker"])
@pytest.mark.parametrize("speed", [10.0, 60.0, 400.0])  # mm/s
def test_moving_board_is_not_late(of, speed):
    render, tracker = renderer(of).render, ReferenceTracker(of)
    for number in range(16):
        movedMm = speed * max(number - 4, 0) * STEP_MS / 1000.0
        centre = POSE[1] + np.array([0.6, 0.0, 0.8]) * movedMm
        pose = tracker.find(render(POSE[0], centre, seed=number), STEP_MS * number, INTRINSICS)
        assert pose.ageMs == 0.0
        shift, _angle = errors(pose, of, POSE[0], centre)
        assert shift < (1.0 if of is BOARD else 2.5)


def test_board_that_is_covered_is_not_taken_for_still(boardRenderer):
    """Nothing is found where the image is plain, but corners that are not found stay where they were."""
    tracker = ReferenceTracker(BOARD, lostAfterMs=200)
    image = boardRenderer.render(*POSE)
    seen = tracker.find(image, 0, INTRINSICS)
    plain = np.full_like(image, 150)
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, image.shape, np.uint8), (0, 0), 2)
    for number, covered in enumerate([plain, noise, plain, noise, plain, noise, plain]):
        pose = tracker.find(covered, 40 * (number + 1), INTRINSICS)
        assert pose.ageMs == 40 * (number + 1)
        assert np.array_equal(pose.matrix, seen.matrix)
        assert pose.isLost == (pose.ageMs > 200)
    again = [tracker.find(image, 320 + 40 * number, INTRINSICS) for number in range(4)]
    assert again[-1].ageMs == 0 and not again[-1].isLost


def test_half_a_board_is_enough(boardRenderer):
    tracker = ReferenceTracker(BOARD)
    for number in range(30):
        image = boardRenderer.render(*POSE, seed=number)
        image[:, : 12 * number] = 180  # something comes in from the left
        pose = tracker.find(image, STEP_MS * number, INTRINSICS)
        assert pose.ageMs == 0 and max(errors(pose, BOARD, *POSE)) < 1.0
    assert 6 <= pose.corners < 30


def test_nothing_is_found_where_there_is_nothing(boardRenderer):
    random = np.random.default_rng(3)
    tracker = ReferenceTracker(BOARD)
    for number in range(12):
        image = random.integers(0, 255, (480, 640, 3), np.uint8)
        assert tracker.find(image, STEP_MS * number, INTRINSICS) is None
    assert tracker.detections <= 5, "whole frames are searched ten times a second"
    assert ReferenceTracker(Board(CHARUCO, 5, 7, 30.0)).find(boardRenderer.render(*POSE), 0, INTRINSICS) is None
    assert ReferenceTracker(Marker(200, 50.0)).find(boardRenderer.render(*POSE), 0, INTRINSICS) is None


def test_clock_or_camera_that_changes_begins_anew(boardRenderer):
    tracker = ReferenceTracker(BOARD)
    other = Intrinsics(np.diag([1.2, 1.2, 1.0]) @ MATRIX, np.zeros(5), SIZE)
    image = boardRenderer.render(*POSE)
    first = tracker.find(image, 5000, INTRINSICS)
    assert tracker.find(image, 0, INTRINSICS).ageMs == 0 and tracker.detections == 2
    assert tracker.find(image, 33, other).matrix[2, 3] > 1.1 * first.matrix[2, 3]
    near = turned(20, -15, 10), np.array([0.0, 0.0, 350.0])
    small = cv2.resize(boardRenderer.render(*near), (320, 240), interpolation=cv2.INTER_AREA)
    pose = tracker.find(small, 66, INTRINSICS.scaledTo((320, 240)))
    assert pose.ageMs == 0 and max(errors(pose, BOARD, *near)) < 1.0


@pytest.mark.parametrize("tilt", [6, -6, 15, -25])
def test_marker_tilts_to_the_right_side(tilt):
    """Both tilts explain a small marker nearly as well; over some frames the right one prevails."""
    marker, pose = Marker(3, 40.0), (turned(0, tilt), np.array([10.0, 10.0, 500.0]))
    render, tracker = renderer(marker).render, ReferenceTracker(marker)
    for number in range(25):
        found = tracker.find(render(*pose, seed=number), STEP_MS * number, INTRINSICS)
    assert errors(found, marker, *pose)[1] < 3.0 or found.isAmbiguous


def test_first_choice_of_the_tilt_is_corrected(boardRenderer):
    """As after the tilt had been chosen wrongly in frames that did not tell."""
    tracker = ReferenceTracker(BOARD)
    image = boardRenderer.render(*POSE)
    tracker.find(image, 0, INTRINSICS)
    poses = tracker._solved(tracker._cornersMm[tracker._indices], tracker._cornersPx)
    wrong = max(poses, key=lambda pose: reference._angleDeg(pose, tracker._pose.matrix))
    assert reference._angleDeg(wrong, tracker._pose.matrix) > 10
    tracker._pose = reference.replace(tracker._pose, matrix=wrong)
    for number in range(1, 6):
        pose = tracker.find(image, 110 * number, INTRINSICS)
    assert errors(pose, BOARD, *POSE)[1] < 0.3


# What cannot be


def test_references_that_cannot_be():
    for make in (lambda: Marker(250), lambda: Marker(-1), lambda: Marker(0, 5.0), lambda: Marker(0, float("nan"))):
        with pytest.raises(LiveHandError, match="referenceImpossible"):
            make()
    with pytest.raises(LiveHandError, match="referenceImpossible"):
        ReferenceTracker(Board(CHESSBOARD))


def test_scale_of_the_print():
    assert printedScale(97.0) == pytest.approx(0.97)
    for length in (0.0, 10.0, -100.0, 300.0, float("nan"), float("inf")):
        with pytest.raises(LiveHandError, match="printedLine"):
            printedScale(length)
