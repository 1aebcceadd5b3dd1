"""Calibration the whole way in the host: a clip of a board, worker, signals, panel, files in the user's settings."""

import cv2
import numpy as np
import pytest

from LiveHandLib.calibration.board import CHARUCO, CHESSBOARD, Board
from LiveHandLib.calibration.intrinsics import CalibrationFolder, Intrinsics
from LiveHandLib.errors import LiveHandError
from support.boardrender import BoardRenderer, handHeldPoses
from support.fakecamera import Device
from support.helpers import choose, refreshed, settled
from support.paths import SAMPLE_CLIP

pytestmark = pytest.mark.usefixtures("model")  # imported before, so that no test depends on which comes first

SIZE = (640, 480)
MATRIX = np.array([[560.0, 0.0, 331.0], [0.0, 556.0, 228.0], [0.0, 0.0, 1.0]])
DISTORTION = [-0.1, 0.05, 0.001, -0.001, 0.0]


@pytest.fixture(scope="module")
def writeBoardClip(tmp_path_factory):
    """Writes a clip of a board that is held still in some places and moved fast between them."""

    def write(board: Board, places: int, name: str) -> str:
        path = str(tmp_path_factory.getbasetemp() / name)
        renderer = BoardRenderer(board, MATRIX, DISTORTION, SIZE, supersampling=1)
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 30.0, SIZE)
        for number, pose in enumerate(handHeldPoses(board, MATRIX, SIZE)[:places]):
            image = cv2.cvtColor(renderer.render(*pose, seed=number), cv2.COLOR_RGB2BGR)
            for frame in (cv2.blur(image, (25, 1)), image, image, image):
                writer.write(frame)
        writer.release()
        return path

    return write


@pytest.fixture(scope="module", params=[Board(CHARUCO), Board(CHESSBOARD, 9, 7, 25.0)], ids=lambda board: board.kind)
def boardClip(request, writeBoardClip) -> tuple[Board, str]:
    """A board and a clip that is enough to calibrate from."""
    return request.param, writeBoardClip(request.param, 24, f"{request.param.kind}.avi")


@pytest.fixture
def panel(app, widget):
    """The panel, which processes every frame of a clip; the settings folder has no calibrations, before and after."""
    folder = widget.logic.cameraCalibrations.folder

    def clear():
        for path in folder.path.glob("*.yml"):
            path.unlink()
        folder.__init__(folder.path)

    clear()
    widget.logic.frame = None  # an earlier test's
    widget.logic.getParameterNode().everyFrame = True
    yield widget
    widget.logic.stop()
    settled(app, widget.logic)
    clear()


def setBoard(widget, board: Board) -> None:
    ui = widget.ui
    ui.boardKindComboBox.setCurrentIndex(ui.boardKindComboBox.findData(board.kind))
    ui.boardColumnsSpinBox.setValue(board.columns)
    ui.boardRowsSpinBox.setValue(board.rows)
    ui.boardSquareSpinBox.setValue(board.squareMm)


def status(widget) -> str:
    return widget.ui.statusLabel.text


def inUse(widget) -> str:
    return widget.ui.calibrationLabel.text


def someIntrinsics(imageSize=SIZE, **others) -> Intrinsics:
    return Intrinsics(MATRIX, DISTORTION, imageSize, 0.25, **others)


# Calibrating


def test_clip_of_a_board_calibrates_the_camera(app, panel, boardClip):
    import LiveHand

    board, clip = boardClip
    ui, logic = panel.ui, panel.logic
    logic.setSource(clip)
    setBoard(panel, board)
    assert "Not calibrated: a field of view of 60°" in inUse(panel)
    assert not ui.calibrationExportButton.enabled and not ui.calibrationForgetButton.enabled
    seen, results, shown = [], [], []

    def note(progress):
        seen.append(progress)
        shown.append((ui.calibrationPreviewLabel.pixmap.width(), ui.calibrationProgressBar.value))

    logic.worker.calibrating.connect(note)
    logic.worker.calibrated.connect(results.append)
    ui.calibrateButton.setChecked(True)
    assert app.spin(lambda: seen, timeout=60)
    assert ui.calibrateButton.checked and not ui.liveCheckBox.checked
    assert not ui.boardColumnsSpinBox.enabled, "the board is not changed under way"
    assert "Calibrating" in status(panel)
    settled(app, logic)
    logic.worker.calibrating.disconnect(note)
    logic.worker.calibrated.disconnect(results.append)

    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)
    assert {"", "moved"} <= {progress.rejection for progress in seen}
    assert shown[-1] == (320, 100)
    (result,) = results
    matrix = result.intrinsics.matrix
    assert matrix[[0, 1], [0, 1]] == pytest.approx(MATRIX[[0, 1], [0, 1]], rel=0.01)
    assert matrix[:2, 2] == pytest.approx(MATRIX[:2, 2], abs=0.01 * SIZE[0])
    assert result.intrinsics.rmsPx < 0.3

    assert not ui.calibrateButton.checked and ui.boardColumnsSpinBox.enabled and status(panel) == ""
    assert f"RMS {result.intrinsics.rmsPx:.2f} px" in ui.calibrationHintLabel.text
    assert ("The board has OpenCV's layout." in ui.calibrationHintLabel.text) == (board.kind == CHARUCO)
    assert inUse(panel).startswith("Calibrated for 640 × 480 px, RMS 0.")
    assert result.intrinsics.calibrationTime in inUse(panel)
    # It is there again in another session, for this source only, and used for tracking.
    other = LiveHand.LiveHandLogic()
    assert other.intrinsics() == result.intrinsics
    assert other.calibrations() == (result.intrinsics,)
    assert other.intrinsics((320, 240)) == result.intrinsics.scaledTo((320, 240))
    assert not other.intrinsics((640, 360)).isCalibrated
    other.close()
    logic.setSource(SAMPLE_CLIP)
    assert "Not calibrated" in inUse(panel) and logic.intrinsics() is None


def test_too_few_views_are_told(app, panel, writeBoardClip):
    panel.logic.setSource(writeBoardClip(Board(), 3, "short.avi"))
    setBoard(panel, Board())
    panel.ui.calibrateButton.setChecked(True)
    settled(app, panel.logic)
    assert "only 3 views of the board were good and 8 are needed" in status(panel)
    assert not panel.ui.calibrateButton.checked and "Not calibrated" in inUse(panel)
    assert not panel.ui.calibrationPreviewLabel.visible


def test_given_up_it_changes_nothing_and_live_goes_on(app, panel, writeBoardClip):
    panel.logic.setSource(writeBoardClip(Board(), 24, "charuco.avi"))
    seen = []
    panel.logic.worker.calibrating.connect(seen.append)
    panel.ui.calibrateButton.setChecked(True)
    assert app.spin(lambda: len(seen) > 3, timeout=60)
    panel.ui.calibrateButton.setChecked(False)
    assert not panel.ui.calibrateButton.checked
    settled(app, panel.logic)
    assert "Not calibrated" in inUse(panel) and status(panel) == ""

    before = len(seen)
    panel.ui.calibrateButton.setChecked(True)
    assert app.spin(lambda: len(seen) > before, timeout=60)
    panel.ui.liveCheckBox.setChecked(True)  # tracking takes the camera over
    assert app.spin(lambda: panel.logic.frame, timeout=60)
    assert panel.ui.liveCheckBox.checked and not panel.ui.calibrateButton.checked
    panel.ui.calibrateButton.setChecked(True)  # and calibrating takes it back
    before = len(seen)
    assert app.spin(lambda: len(seen) > before, timeout=60)
    assert panel.ui.calibrateButton.checked and not panel.ui.liveCheckBox.checked
    panel.logic.worker.calibrating.disconnect(seen.append)


def test_hints_say_how_to_hold_the_board(panel):
    from LiveHandLib.calibration.boardviews import TILTS, Progress

    preview = np.zeros((240, 320, 3), np.uint8)
    hints = set()
    for rejection in ("", "noBoard", "fewCorners", "moved", "blurred", "nothingNew"):
        for wanted in ({"tiltsWanted": (side,)} for side in TILTS), ({"cellsWanted": 3}, {}):
            for more in wanted:
                figures = {"cellsWanted": 0, "tiltsWanted": (), **more}
                panel.calibrationPanel.showProgress(Progress(preview, 3, rejection, done=0.4, **figures))
                hints.add(panel.ui.calibrationHintLabel.text)
    assert len(hints) == 6 * 6
    assert all(hint.startswith("Views: 3 of at least 12.") for hint in hints)
    for layout, words in (("current", "OpenCV's layout."), ("legacy", "of calib.io and of OpenCV before 4.6.")):
        panel.calibrationPanel.showProgress(Progress(preview, 3, "", 0, (), 0.4, layout))
        assert panel.ui.calibrationHintLabel.text.endswith(words)


def test_nothing_is_chosen(app, panel):
    panel.logic.getParameterNode().source = ""
    panel.calibrationPanel.update()
    assert not panel.ui.calibrateButton.enabled and not panel.ui.calibrationImportButton.enabled
    panel.logic.calibrate()
    assert "No camera is chosen" in status(panel)
    with pytest.raises(LiveHandError, match="noSource"):
        panel.logic.addCalibration(someIntrinsics())


# Files


@pytest.fixture
def answer(monkeypatch):
    """What the user answers: a path in file dialogs, yes or no in questions."""
    import qt
    import slicer

    def set(path="", agrees=True):
        for name in ("getOpenFileName", "getSaveFileName"):
            monkeypatch.setattr(qt.QFileDialog, name, lambda *_arguments: str(path))
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_arguments: agrees)

    return set


def test_calibration_is_imported_exported_and_forgotten(app, panel, answer, tmp_path):
    ui = panel.ui
    panel.logic.setSource(SAMPLE_CLIP)
    someIntrinsics(calibrationTime="2025-03-04 10:11").save(tmp_path / "in.yml")
    answer("")
    ui.calibrationImportButton.click()
    assert "Not calibrated" in inUse(panel), "no file was chosen"
    answer(tmp_path / "in.yml")
    ui.calibrationImportButton.click()
    assert inUse(panel) == "Calibrated for 640 × 480 px, RMS 0.25 px, 2025-03-04 10:11"
    answer(tmp_path / "out.yml")
    ui.calibrationExportButton.click()
    assert Intrinsics.load(tmp_path / "out.yml") == Intrinsics.load(tmp_path / "in.yml")
    answer(tmp_path)  # a folder
    ui.calibrationExportButton.click()
    assert "cannot be saved" in status(panel)
    answer(agrees=False)
    ui.calibrationForgetButton.click()
    assert "Calibrated" in inUse(panel)
    answer(agrees=True)
    ui.calibrationForgetButton.click()
    assert "Not calibrated" in inUse(panel) and not ui.calibrationForgetButton.enabled


def test_mirrored_images_are_another_cameras(panel):
    from LiveHandLib.camera.devices import Camera

    panel.logic.setSource(Camera(3, "Bench: Camera/2"))
    panel.logic.setResolution((640, 480))
    panel.logic.addCalibration(someIntrinsics())
    panel.ui.mirroredCheckBox.setChecked(True)
    assert "Not calibrated" in inUse(panel) and panel.logic.calibrations() == ()
    panel.ui.mirroredCheckBox.setChecked(False)
    assert "Calibrated" in inUse(panel)
    panel.logic.setSource(Camera(5, "Bench: Camera/2"))  # plugged in elsewhere
    assert panel.logic.calibrations() == (someIntrinsics(),)


@pytest.mark.parametrize(
    "change, words",
    [
        (("560.0", "-560.0"), "focal length of -560"),
        (("228.0", ".Nan"), "infinite or no numbers"),
        (("camera_matrix", "matrix"), "not a camera calibration"),
    ],
)
def test_bad_file_is_told_in_one_sentence(app, panel, answer, tmp_path, change, words):
    panel.logic.setSource(SAMPLE_CLIP)
    path = tmp_path / "bad.yml"
    someIntrinsics().save(path)
    path.write_text(path.read_text().replace(*change))
    answer(path)
    panel.ui.calibrationImportButton.click()
    assert words in status(panel) and status(panel).startswith("⚠")
    assert "Not calibrated" in inUse(panel)


def test_damaged_file_in_the_settings_is_told_and_does_not_stop_tracking(app, panel, answer):
    panel.logic.setSource(SAMPLE_CLIP)
    panel.logic.addCalibration(someIntrinsics())
    (path,) = panel.logic.cameraCalibrations.folder.path.glob("*.yml")
    path.write_text("damaged")
    panel.logic.cameraCalibrations.folder.__init__(panel.logic.cameraCalibrations.folder.path)  # as after a restart
    panel.calibrationPanel.update()
    assert inUse(panel).startswith("⚠") and path.name in inUse(panel)
    panel.ui.liveCheckBox.setChecked(True)
    settled(app, panel.logic)
    assert panel.logic.frame is not None
    answer(agrees=True)
    panel.ui.calibrationForgetButton.click()
    assert "Not calibrated" in inUse(panel) and not path.exists()


def test_resolution_that_is_not_calibrated_is_told_while_live(app, panel):
    panel.logic.setSource(SAMPLE_CLIP)
    width, height = cv2.VideoCapture(str(SAMPLE_CLIP)).read()[1].shape[1::-1]
    panel.logic.addCalibration(someIntrinsics((900, 500)))
    panel.calibrationPanel.update()
    assert "Calibrated for 900 × 500 px" in inUse(panel), "the resolution is not known yet"
    panel.ui.liveCheckBox.setChecked(True)
    assert app.spin(lambda: "another shape (900 × 500 px)" in inUse(panel), timeout=30)
    assert panel.logic.intrinsics() == Intrinsics.guessed((width, height))
    panel.logic.addCalibration(someIntrinsics((2 * width, 2 * height)))  # is followed while live
    assert app.spin(lambda: f"Calibrated for {width} × {height} px, RMS 0.12 px" in inUse(panel), timeout=30)


# The board


def test_board_is_printed_and_remembered(app, panel, answer, tmp_path, monkeypatch):
    import qt

    opened = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    board = Board(CHESSBOARD, 7, 5, 32.5)
    setBoard(panel, board)
    panel.ui.boardPaperComboBox.setCurrentIndex(panel.ui.boardPaperComboBox.findData("Letter"))
    answer("")
    panel.ui.boardPrintButton.click()
    answer(tmp_path / "board.pdf")
    panel.ui.boardPrintButton.click()
    assert (tmp_path / "board.pdf").read_bytes() == board.pdf("Letter")
    assert opened == [str(tmp_path / "board.pdf")]

    setBoard(panel, Board())
    panel.calibrationPanel.restoreBoard()
    assert panel.calibrationPanel.board() == board
    assert panel.ui.boardPaperComboBox.currentData == "Letter"

    setBoard(panel, Board(CHARUCO, 20, 20, 30.0))
    panel.ui.boardPrintButton.click()
    assert "does not fit on Letter paper" in status(panel) and len(opened) == 1
    setBoard(panel, Board())


def test_calibrations_of_the_user_are_in_the_settings_folder(app, panel):
    import slicer

    folder = panel.logic.cameraCalibrations.folder
    assert isinstance(folder, CalibrationFolder)
    assert str(folder.path).startswith(slicer.app.slicerUserSettingsFilePath.rpartition("/")[0])


def test_calibrations_of_two_of_a_name(app, panel, fakeCameras):
    fakeCameras(Device("Webcam"), Device("Webcam"))
    assert refreshed(app, panel, "Webcam (9-1:1.0)", "Webcam (9-2:1.0)")
    choose(panel, "Webcam (9-1:1.0)")
    panel.logic.addCalibration(someIntrinsics())
    assert panel.logic.calibrations()
    choose(panel, "Webcam (9-2:1.0)")
    assert not panel.logic.calibrations()
    choose(panel, "Webcam (9-1:1.0)")
    assert panel.logic.calibrations()
    panel.logic.forgetCalibrations()


def test_resolution_that_is_not_calibrated(app, panel, fakeCameras):
    fakeCameras(Device("Webcam"))
    assert refreshed(app, panel, "Webcam")
    choose(panel, "Webcam")
    panel.logic.addCalibration(someIntrinsics())
    panel.logic.setResolution((640, 480))
    assert panel.ui.calibrationLabel.text.startswith("Calibrated for 640 × 480")
    panel.logic.setResolution((1280, 720))
    assert panel.ui.calibrationLabel.text.startswith("Not calibrated")
    assert "640 × 480" in panel.ui.calibrationLabel.text
    panel.logic.forgetCalibrations()
