"""Calibration without Qt: the printed board, finding it, choosing views of it, and the camera that comes out."""

import re

import cv2
import numpy as np
import pytest

from LiveHandLib.calibration import boardviews
from LiveHandLib.calibration.board import CHARUCO, CHESSBOARD, CURRENT, LEGACY, PAPERS_MM, Board, BoardFinder, savePdf
from LiveHandLib.calibration.boardviews import TILTS, VIEWS_NEEDED, View, ViewCollector, calibrate, edgeWidthPx
from LiveHandLib.errors import LiveHandError
from support.boardrender import BoardRenderer, distort, handHeldPoses, turned

SIZE = (640, 480)
MATRIX = np.array([[560.0, 0.0, 331.0], [0.0, 556.0, 228.0], [0.0, 0.0, 1.0]])
DISTORTION = np.array([-0.1, 0.05, 0.001, -0.001, 0.0])
BOARDS = [Board(CHARUCO), Board(CHESSBOARD)]


def grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def trueCornersPx(board: Board, rotation, centreMm, matrix=MATRIX, distortion=DISTORTION) -> np.ndarray:
    """Where the camera sees all the board's corners, (n, 2) px in OpenCV's convention."""
    middle = board.squareMm * np.array([board.columns, board.rows, 0.0]) / 2.0
    points = (board.cornersMm() - middle) @ rotation.T + centreMm
    return distort((points[:, :2] / points[:, 2:]).T, distortion).T * matrix[[0, 1], [0, 1]] + matrix[:2, 2]


@pytest.fixture(scope="module", params=BOARDS, ids=lambda board: board.kind)
def renderer(request) -> BoardRenderer:
    return BoardRenderer(request.param, MATRIX, DISTORTION, SIZE)


@pytest.fixture
def views(renderer) -> list[View]:
    """Views of a board as a good camera would see it: their corners, with an error of a tenth of a pixel."""
    random = np.random.default_rng(5)
    corners = [trueCornersPx(renderer.board, *pose) for pose in handHeldPoses(renderer.board, MATRIX, SIZE)]
    return [View(np.arange(len(px)), px + random.normal(0.0, 0.1, px.shape)) for px in corners]


# The board


@pytest.mark.parametrize("turn", [turned(0, 0), turned(25, -20, 10), turned(-35, 10, 90), turned(0, 30, 180)])
def test_corners_are_found_to_a_fraction_of_a_pixel(renderer, turn):
    board, pose = renderer.board, (turn, [20.0, -10.0, 520.0])
    indices, cornersPx = BoardFinder(board).find(grey(renderer.render(*pose)))
    assert len(indices) == (board.columns - 1) * (board.rows - 1)
    expected = trueCornersPx(board, *pose)
    if board.kind == CHESSBOARD and np.abs(cornersPx - expected).max() > 10:
        expected = expected[::-1]  # half a turn cannot be distinguished
    assert np.sqrt(np.mean((cornersPx - expected) ** 2)) < 0.12


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.kind)
def test_large_images_are_searched_small_and_measured_large(board):
    matrix = np.diag([3.0, 3.0, 1.0]) @ MATRIX
    renderer = BoardRenderer(board, matrix, DISTORTION, (1920, 1440), supersampling=1)
    pose = turned(20, 25, 5), [-30.0, 20.0, 600.0]
    indices, cornersPx = BoardFinder(board).find(grey(renderer.render(*pose, blurPx=1.2)))
    assert len(indices) == 35
    error = cornersPx - trueCornersPx(board, *pose, matrix)
    assert np.sqrt(np.mean(error**2)) < 0.12 and np.abs(error.mean(axis=0)).max() < 0.05


def test_part_of_a_charuco_board_is_enough():
    board = BOARDS[0]
    image = grey(BoardRenderer(board, MATRIX, DISTORTION, SIZE).render(turned(0, 0), [190.0, 0.0, 400.0]))
    indices, cornersPx = BoardFinder(board).find(image)
    assert 10 < len(indices) < 35
    assert np.abs(cornersPx - trueCornersPx(board, turned(0, 0), [190.0, 0.0, 400.0])[indices]).max() < 0.5


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.kind)
def test_no_board_in_the_image(board):
    noise = np.random.default_rng(1).integers(0, 255, (480, 640), np.uint8)
    for image in (np.zeros((480, 640), np.uint8), noise, cv2.GaussianBlur(noise, (0, 0), 8)):
        indices, cornersPx = BoardFinder(board).find(image)
        assert indices.shape == (0,) and cornersPx.shape == (0, 2)


@pytest.mark.parametrize(
    "figures",
    [("circles", 8, 6, 30.0), (CHARUCO, 3, 6, 30.0), (CHARUCO, 8, 21, 30.0), (CHESSBOARD, 8, 6, float("nan"))],
)
def test_boards_that_cannot_be(figures):
    with pytest.raises(LiveHandError, match="boardImpossible"):
        Board(*figures)


# Its layout

SHAPES = [(8, 6), (7, 6), (5, 8), (12, 4)]
"""Columns and rows; with an even number of rows there are two layouts."""


def boards(columns: int, rows: int, isLegacy: bool, *pose) -> tuple[Board, np.ndarray, np.ndarray]:
    """A board in one of its layouts: it, what a camera sees of it, and where its corners are, px."""
    board = Board(CHARUCO, columns, rows, 200.0 / max(columns, rows))
    image = BoardRenderer(board, MATRIX, DISTORTION, SIZE, 1, isLegacy).render(*pose)
    return board, grey(image), trueCornersPx(board, *pose)


@pytest.mark.parametrize("isLegacy", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_either_layout_is_found_and_the_corners_are_the_same(shape, isLegacy):
    board, image, truePx = boards(*shape, isLegacy, turned(20, -15, 8), [5.0, -10.0, 330.0])
    finder = BoardFinder(board)
    assert finder.layout == ""
    for _again in range(2):
        indices, cornersPx = finder.find(image)
        assert indices.tolist() == list(range(len(truePx)))
        assert np.abs(cornersPx - truePx).max() < 0.5
        assert finder.layout == (LEGACY if isLegacy else CURRENT)


@pytest.mark.parametrize("isLegacy", [False, True])
@pytest.mark.parametrize("shape", [(7, 5), (8, 5)])
def test_odd_rows_have_one_layout(shape, isLegacy):
    board, image, truePx = boards(*shape, isLegacy, turned(20, -15, 8), [5.0, -10.0, 330.0])
    finder = BoardFinder(board)
    assert len(finder.find(image)[0]) == len(truePx) and finder.layout == ""


@pytest.mark.parametrize("isLegacy", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_part_of_a_board_is_taken_for_another_part(shape, isLegacy):
    """In the wrong layout, a part of a board with an odd number of columns is as if it were one column on."""
    board, image, truePx = boards(*shape, isLegacy, turned(10, 10), [0.0, 0.0, 330.0])
    left, right = (int(truePx[column, 0]) for column in (0, board.columns - 2))
    undecided = 0
    for edges in ((0, 0), (left + 5, SIZE[0]), (0, right - 5), (left + 5, right - 5)):
        part = np.full_like(image, 70)
        part[:, slice(*edges)] = image[:, slice(*edges)]
        for finder in (BoardFinder(board), BoardFinder(board)):
            indices, cornersPx = finder.find(part)
            assert np.abs(cornersPx - truePx[indices]).max(initial=0.0) < 1.0
            assert finder.isUndecided == (not len(indices) and edges != (0, 0))
            undecided += finder.isUndecided
            # Once the board has been seen, it is known in part as well.
            finder.find(image)
            indices, cornersPx = finder.find(part)
            assert (len(indices) >= board.rows - 1) == (edges != (0, 0))
            assert np.abs(cornersPx - truePx[indices]).max(initial=0.0) < 1.0
    assert (undecided > 0) == (board.columns % 2 == 1)


def test_markers_are_searched_once_in_a_frame(monkeypatch):
    """So that a frame takes no longer than with one layout."""
    board, image, _truePx = boards(8, 6, True, turned(0, 0), [0.0, 0.0, 330.0])
    finder, calls = BoardFinder(board), []
    original = finder._schedule.blockingCall
    monkeypatch.setattr(finder._schedule, "blockingCall", lambda kind: calls.append(kind) or original(kind))
    for _frame in range(3):
        finder.find(np.full_like(image, 70))
    finder.find(image)
    finder.find(image)
    assert calls == ["find"] * 4 + ["interpolate", "refine", "find", "refine"]


def test_field_board_of_an_older_opencv(shared):
    image = cv2.imread(str(shared / "field" / "legacy_board.png"), cv2.IMREAD_GRAYSCALE)
    finder = BoardFinder(Board(CHARUCO, 8, 6))
    indices, cornersPx = finder.find(image)
    assert finder.layout == LEGACY and indices.tolist() == list(range(35))
    steps = np.diff(cornersPx.reshape(5, 7, 2), axis=1)
    assert (steps[..., 0] > 0).all() and np.ptp(steps[..., 0]) < 2.0, "row by row, from left to right"


# Its print


def readPdf(content: bytes) -> tuple[tuple[float, float], np.ndarray]:
    """Size of the page and its rectangles (left, bottom, width, height), in mm, through the tables of the file."""
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF", content)[1])
    assert content[start:].startswith(b"xref\n")
    offsets = [int(offset) for offset in re.findall(rb"(\d{10}) \d{5} n \n", content[start:])]
    objects = [content[offset:] for offset in offsets]
    for number, text in enumerate(objects, start=1):
        assert text.startswith(b"%d 0 obj\n" % number)
    assert b"/PrintScaling /None" in objects[0], "viewers are not to shrink it"
    box = [float(word) for word in re.search(rb"/MediaBox \[0 0 (\S+) (\S+)\]", objects[2]).groups()]
    length, stream = re.search(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", objects[3], re.DOTALL).groups()
    assert int(length) == len(stream)
    scale = [float(word) for word in re.match(rb"(\S+) 0 0 (\S+) 0 0 cm", stream).groups()]
    rectangles = [[float(word) for word in match] for match in re.findall(rb"(\S+) (\S+) (\S+) (\S+) re", stream)]
    toMm = np.array(scale) * 25.4 / 72.0
    return tuple(np.array(box) * 25.4 / 72.0), np.array(rectangles) * np.tile(toMm, 2)


@pytest.mark.parametrize("paper", PAPERS_MM)
@pytest.mark.parametrize("board", [*BOARDS, Board(CHARUCO, 5, 8, 25.5)], ids=lambda board: f"{board.kind}{board.rows}")
def test_print_is_the_board_at_its_true_size(board, paper, tmp_path):
    savePdf(board, paper, tmp_path / "board.pdf")
    (width, height), rectangles = readPdf((tmp_path / "board.pdf").read_bytes())
    assert sorted((width, height)) == pytest.approx(PAPERS_MM[paper], abs=0.01)
    assert (width > height) == (board.columns > board.rows)
    assert rectangles[:, :2].min() > 5 and (rectangles[:, :2] + rectangles[:, 2:] < [width - 5, height - 5]).all()
    assert (np.abs(rectangles[:, 2:] - [100.0, 0.3]) < 1e-3).all(axis=1).sum() == 1, "the line to check it by"

    # Painted at 10 px per mm, it is found, and its corners are where they should be.
    page = np.full((round(10 * height), round(10 * width)), 255, np.uint8)
    for left, bottom, wide, tall in 10 * rectangles:
        top = 10 * height - bottom - tall
        page[round(top) : round(top + tall), round(left) : round(left + wide)] = 0
    indices, cornersPx = BoardFinder(board).find(page)
    assert len(indices) == (board.columns - 1) * (board.rows - 1)
    away = (cornersPx - cornersPx[0]) / 10.0 - (board.cornersMm() - board.cornersMm()[0])[:, :2]
    assert np.abs(away).max() < 0.1


def test_board_that_is_larger_than_the_paper_or_cannot_be_saved(tmp_path):
    with pytest.raises(LiveHandError, match="boardTooLarge"):
        savePdf(Board(CHARUCO, 8, 6, 35.0), "A4", tmp_path / "board.pdf")
    assert not list(tmp_path.iterdir())
    with pytest.raises(LiveHandError, match="boardNotSaved"):
        savePdf(Board(), "A4", tmp_path / "none" / "board.pdf")


# Choosing views


def hold(collector: ViewCollector, image: np.ndarray, timestampMs: int):
    """Hold a board still for two frames."""
    collector.add(image, timestampMs)
    return collector.add(image, timestampMs + 33)


def test_camera_of_rendered_boards(renderer):
    """The figures to be reached: focal length within 1 %, principal point within 1 % of the width."""
    collector, now = ViewCollector(renderer.board), 0
    done = [0.0]
    for number, pose in enumerate(handHeldPoses(renderer.board, MATRIX, SIZE)):
        progress = hold(collector, renderer.render(*pose, seed=number, noise=3.0, light=0.5), now)
        now += 66
        done.append(progress.done)
        if collector.isComplete():
            break
    assert collector.isComplete() and progress.cellsWanted == 0 and progress.tiltsWanted == () and done[-1] == 1.0
    assert (np.diff(done) >= 0).all() and len(done) > VIEWS_NEEDED
    result = collector.calibrate()
    matrix = result.intrinsics.matrix
    assert matrix[[0, 1], [0, 1]] == pytest.approx(MATRIX[[0, 1], [0, 1]], rel=0.004)
    assert matrix[:2, 2] == pytest.approx(MATRIX[:2, 2], abs=0.004 * SIZE[0])
    assert result.intrinsics.imageSize == SIZE and result.intrinsics.isCalibrated
    assert 0.01 < result.intrinsics.rmsPx < 0.2 and result.outliersPx == ()
    assert result.views == len(collector.views)
    # All over the image, not only in the figures:
    pose = turned(0, 0), np.array([0.0, 0.0, 420.0])
    middle = renderer.board.cornersMm().mean(axis=0)
    seen = result.intrinsics.project(renderer.board.cornersMm() - middle + pose[1]) - 0.5
    assert np.abs(seen - trueCornersPx(renderer.board, *pose)).max() < 1.0


def test_camera_of_a_board_in_the_older_layout():
    board, cameras = Board(CHARUCO), []
    for isLegacy in (False, True):
        renderer = BoardRenderer(board, MATRIX, DISTORTION, SIZE, 1, isLegacy)
        collector = ViewCollector(board)
        for number, pose in enumerate(handHeldPoses(board, MATRIX, SIZE)[:12]):
            progress = hold(collector, renderer.render(*pose, seed=number), 66 * number)
        result = collector.calibrate()
        assert progress.layout == result.layout == (LEGACY if isLegacy else CURRENT)
        cameras.append(result.intrinsics.matrix)
    assert cameras[1][[0, 1], [0, 1]] == pytest.approx(MATRIX[[0, 1], [0, 1]], rel=0.01)
    assert cameras[1] == pytest.approx(cameras[0], rel=0.003, abs=1.0)


def test_a_part_that_does_not_tell_the_layout_is_too_little():
    board, image, truePx = boards(7, 6, True, turned(0, 0), [0.0, 0.0, 330.0])
    image[:, int(truePx[5, 0]) - 5 :] = 70
    assert hold(ViewCollector(board), np.repeat(image[:, :, None], 3, axis=2), 0).rejection == "fewCorners"


def test_why_a_view_is_not_taken(renderer):
    collector = ViewCollector(renderer.board)
    still = renderer.render(turned(0, 0), [0.0, 0.0, 340.0])
    moved = renderer.render(turned(0, 0), [8.0, 0.0, 340.0])
    smeared = cv2.blur(still, (7, 1))
    far = renderer.render(turned(0, 0), [0.0, 0.0, 6000.0])
    assert collector.add(far, 0).rejection == "noBoard"
    assert collector.add(still, 33).rejection == "moved", "it is not known yet whether it is still"
    assert collector.add(moved, 66).rejection == "moved"
    assert collector.add(smeared, 99).rejection == "moved"
    assert collector.add(smeared, 132).rejection == "blurred"
    assert collector.add(still, 165).rejection == ""
    assert collector.add(still, 198).rejection == "nothingNew"
    assert collector.add(still, 198).rejection == "moved", "a clock that stands still"
    assert len(collector.views) == 1


@pytest.mark.parametrize(
    "board, hidden, corners", [(BOARDS[0], np.s_[:, 260:], 5), (Board(CHARUCO, 12, 6, 25.0), np.s_[210:], 11)]
)
def test_few_corners_or_a_single_row_are_not_taken(board, hidden, corners):
    collector = ViewCollector(board)
    image = BoardRenderer(board, MATRIX, DISTORTION, SIZE).render(turned(0, 0), [0.0, 0.0, 450.0])
    image[hidden] = 70
    assert len(BoardFinder(board).find(grey(image))[0]) == corners
    assert hold(collector, image, 0).rejection == "fewCorners"


@pytest.mark.parametrize("turn, side", [((30, 0), "top"), ((-30, 0), "bottom"), ((0, -30), "right"), ((0, 30), "left")])
def test_tilts_are_called_as_the_mirrored_image_shows_them(renderer, turn, side):
    """Known from the image alone: the side that is nearer is longer."""
    collector = ViewCollector(renderer.board)
    for number in range(2):
        image = renderer.render(turned(*turn), [140.0 * number - 70.0, 0.0, 560.0])
        progress = hold(collector, image, 100 * number)
        assert progress.rejection == ""
    assert set(TILTS) - set(progress.tiltsWanted) == {side}
    corners = collector.views[0].cornersPx.reshape(renderer.board.rows - 1, renderer.board.columns - 1, 2)
    lengths = {
        "top": np.linalg.norm(corners[0, 0] - corners[0, -1]),
        "bottom": np.linalg.norm(corners[-1, 0] - corners[-1, -1]),
        "right": np.linalg.norm(corners[0, 0] - corners[-1, 0]),  # left in the image as it was taken
        "left": np.linalg.norm(corners[0, -1] - corners[-1, -1]),
    }
    opposite = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
    assert lengths[side] > 1.1 * lengths[opposite[side]]


def test_preview_is_small_mirrored_and_dark_where_corners_are_wanted(renderer):
    collector = ViewCollector(renderer.board)
    image = renderer.render(turned(0, 0), [-120.0, 0.0, 700.0], light=0.0, background=150.0)
    preview = hold(collector, image, 0).preview
    assert preview.shape == (240, 320, 3) and preview.dtype == np.uint8 and preview.flags["C_CONTIGUOUS"]
    assert preview[120, 250].mean() > 1.5 * preview[20, 20].mean(), "the board is left in the image, so right here"
    assert (preview == [80, 255, 80]).all(axis=2).sum() > 35, "the corners of a view that is taken are green"
    assert (hold(collector, image, 200).preview == [80, 255, 80]).all(axis=2).sum() == 0


def test_collecting_comes_to_an_end_even_if_the_board_is_never_tilted(renderer, monkeypatch):
    monkeypatch.setattr(boardviews, "VIEWS_AT_MOST", 5)
    collector = ViewCollector(renderer.board)
    for number in range(6):
        image = renderer.render(turned(0, 0), [100.0 * (number % 3 - 1), 0.0, 550.0 + 250.0 * (number // 3)])
        progress = hold(collector, image, 100 * number)
    assert collector.isComplete() and progress.tiltsWanted == TILTS


@pytest.mark.parametrize("blurPx", [0.7, 1.5, 2.5])
def test_edge_width_follows_the_blur(renderer, blurPx):
    pose = turned(0, 0, 20), [0.0, 0.0, 450.0]
    image = renderer.render(*pose, blurPx=blurPx, noise=1.0)
    width = edgeWidthPx(grey(image), trueCornersPx(renderer.board, *pose))
    assert 1.8 * blurPx < width < 3.6 * blurPx


# Calibrating


def test_view_that_does_not_fit_is_left_out(renderer, views):
    good = calibrate(renderer.board, views, SIZE)
    assert good.outliersPx == () and 0.08 < good.intrinsics.rmsPx < 0.15
    random = np.random.default_rng(2)
    bad = [View(view.indices, view.cornersPx + random.normal(0.0, 4.0, view.cornersPx.shape)) for view in views[:2]]
    result = calibrate(renderer.board, [*views[2:8], bad[0], *views[8:], bad[1]], SIZE)
    assert len(result.outliersPx) == 2 and min(result.outliersPx) > 2.0
    assert result.views == len(views) - 2
    assert result.intrinsics.matrix == pytest.approx(good.intrinsics.matrix, abs=1.0)


def test_stated_uncertainty_is_about_the_error(renderer, views):
    result = calibrate(renderer.board, views, SIZE)
    assert np.abs(result.intrinsics.matrix - MATRIX)[[0, 1], [0, 1]].max() < 5 * result.focalErrorPx
    assert result.focalErrorPx < 2.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tiltDeg", [0.0, 2.0])
def test_board_that_was_hardly_tilted_gives_no_focal_length(renderer, seed, tiltDeg):
    random = np.random.default_rng(seed)
    places = [[20.0 * x, 20.0 * y, 600.0] for x in range(-2, 2) for y in range(-2, 2)]
    poses = [(turned(*random.normal(0.0, 1.0, 2) * tiltDeg), place) for place in places]
    corners = [trueCornersPx(renderer.board, *pose) for pose in poses]
    views = [View(np.arange(len(px)), px + random.normal(0.0, 0.3, px.shape)) for px in corners]
    with pytest.raises(LiveHandError, match="calibrationUncertain"):
        calibrate(renderer.board, views, SIZE)


def test_too_few_views(renderer, views):
    with pytest.raises(LiveHandError, match="calibrationTooFewViews"):
        calibrate(renderer.board, views[: VIEWS_NEEDED - 1], SIZE)
    with pytest.raises(LiveHandError, match="calibrationTooFewViews"):
        ViewCollector(renderer.board).calibrate()
