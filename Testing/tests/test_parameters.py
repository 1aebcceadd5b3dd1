"""What is chosen is followed, and what a scene brings is used: with the panel, without it, and after a reload."""

import gc
import logging
import os
import re
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import pytest

from support.helpers import goLive, settled
from support.paths import MODEL, ROOT, SAMPLE_CLIP

pytestmark = pytest.mark.usefixtures("model")


@pytest.fixture
def alone(app):
    """A logic as a script has it, and no panel open."""
    from LiveHand import LiveHandLogic

    app.showModule(None)
    logic = LiveHandLogic()
    yield logic
    logic.close()


@pytest.fixture(params=["never opened", "open", "left"])
def panelOr(request, app):
    """A logic, without a panel, with the panel open, and with the panel that was left."""
    if request.param == "never opened":
        yield request.getfixturevalue("alone")
        return
    widget = request.getfixturevalue("widget")
    if request.param == "left":
        app.showModule(None)
    yield widget.logic


class Frames:
    """The frames that arrive; ``next`` waits for some more."""

    def __init__(self, app, logic) -> None:
        self._app, self.all = app, []
        logic.worker.tracked.connect(self.all.append)

    def next(self, count: int = 5) -> list:
        self.all.clear()
        assert self._app.spin(lambda: len(self.all) >= count, timeout=30)
        return self.all[:count]

    def until(self, holds) -> bool:
        """Whether this comes to hold for a frame."""
        self.all.clear()
        return self._app.spin(lambda: self.all and holds(self.all[-1]), timeout=30)


def start(app, logic, source) -> Frames:
    """Go live, and wait for the hand."""
    frames = Frames(app, logic)
    logic.setSource(source)
    logic.start()
    assert frames.until(lambda frame: frame.hands)
    return frames


def observersOf(node) -> int:
    return str(node).count("vtkObserver (")


def named(name: str) -> list:
    import slicer

    return [node for node in slicer.util.getNodesByClass("vtkMRMLNode") if node.GetName() == name]


def writeLongClip(path: str, change) -> str:
    """The sample clip again and again, for 90 s, each image changed by a function."""
    import cv2

    capture, images = cv2.VideoCapture(str(SAMPLE_CLIP)), []
    while (read := capture.read())[0]:
        images.append(change(cv2.resize(read[1], None, fx=0.5, fy=0.5)))
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 10.0, images[0].shape[1::-1])
    for number in range(900):
        writer.write(images[number % len(images)])
    writer.release()
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory, model) -> str:
    """The sample clip's hand, for longer than a test takes."""
    return writeLongClip(str(tmp_path_factory.mktemp("clip") / "clip.avi"), lambda image: image)


@pytest.fixture(scope="module")
def twoHands(tmp_path_factory, model) -> str:
    """The same hand and its image in a mirror, side by side."""
    path = str(tmp_path_factory.mktemp("clip") / "two hands.avi")
    return writeLongClip(path, lambda image: np.hstack([image, image[:, ::-1]]))


# Parameters


def distanceMm(frames) -> float:
    return np.median([hand.cameraMm[:, 2].mean() for frame in frames for hand in frame.hands.values()])


@pytest.mark.fault("Field: parameter changed without a panel, or with the panel closed")
def test_everything_can_be_changed_while_live(app, clip, panelOr, twoHands, tmp_path):
    import slicer

    from LiveHandLib.scene.handnodes import Display

    logic = panelOr
    page = (ROOT / "LiveHand" / "Docs" / "python-api.md").read_text("utf-8")
    line = re.search(r"^logic\.getParameterNode\(\)\.palmWidthMm = .*", page, re.MULTILINE)[0]
    frames = start(app, logic, clip)
    parameterNode = logic.getParameterNode()
    parameterNode.palmWidthMm = 40.0
    near = distanceMm(frames.next(10))
    exec(line, {"logic": logic})
    assert parameterNode.palmWidthMm == 80.0
    assert distanceMm(frames.next(10)) / near == pytest.approx(2.0, rel=0.15)

    assert frames.until(lambda frame: set(frame.hands) == {"Right"})
    parameterNode.mirrored = True
    assert frames.until(lambda frame: set(frame.hands) == {"Left"})
    parameterNode.mirrored = False

    parameterNode.pointer = True
    frames.next()
    assert parameterNode.rightPointer
    tip = slicer.util.arrayFromTransformMatrix(parameterNode.rightPointer)[:3, 3]
    assert np.linalg.norm(tip) > 100.0

    assert parameterNode.rightSkeleton is None
    parameterNode.display = Display.SKELETON
    frames.next()
    assert parameterNode.rightSkeleton.GetDisplayNode().GetVisibility()
    assert not parameterNode.rightSurface.GetDisplayNode().GetVisibility()

    parameterNode.smoothingMs = 200.0
    assert logic.worker.settings.poseParameters.smoothingMs == 200.0

    parameterNode.showInSliceView = True
    assert app.spin(lambda: named("LiveHand Camera"), timeout=20)
    parameterNode.showInSliceView = False
    assert named("LiveHand Camera") == []

    logic.motion.showPlot()
    parameterNode.measureAngles = True
    frames.next()
    parameterNode.plottedMeasures = ["Pinch distance"]
    chart = parameterNode.anglesChart
    assert [chart.GetNthPlotSeriesNode(n).GetName() for n in range(chart.GetNumberOfPlotSeriesNodes())] == [
        "Right Pinch distance"
    ]
    parameterNode.measureAngles = False

    parameterNode.source = twoHands
    assert frames.until(lambda frame: frame.imageSize[0] > 2 * frame.imageSize[1])
    assert len(frames.all[-1].hands) <= 1
    parameterNode.numberOfHands = 2
    assert frames.until(lambda frame: len(frame.hands) == 2)

    model = tmp_path / "other.task"
    model.write_bytes(MODEL.read_bytes())
    logic.setModel(model)
    assert app.spin(lambda: logic.worker.settings and logic.worker.settings.modelPath == str(model), timeout=20)
    assert frames.until(lambda frame: frame.hands)
    logic.setModel("")


@pytest.mark.fault("Field: parameter changed without a panel, or with the panel closed")
def test_what_a_photograph_shows_is_shown_otherwise(app, alone, tmp_path):
    import cv2

    from LiveHandLib.scene.handnodes import Display

    path = tmp_path / "hand.png"
    cv2.imwrite(str(path), cv2.VideoCapture(str(SAMPLE_CLIP)).read()[1])
    alone.setSource(path)
    alone.start()
    settled(app, alone)
    parameterNode = alone.getParameterNode()
    assert parameterNode.rightPointer is None
    parameterNode.pointer = True
    assert parameterNode.rightPointer
    parameterNode.display = Display.BOTH
    assert parameterNode.rightSkeleton.GetDisplayNode().GetVisibility()


def test_panel_that_was_left_shows_what_was_changed_meanwhile(app, clip, widget):
    frames = start(app, widget.logic, clip)
    app.showModule(None)
    widget.logic.getParameterNode().palmWidthMm = 71.0
    frames.next()
    app.showModule("LiveHand")
    assert widget.ui.palmWidthSpinBox.value == 71.0
    widget.ui.palmWidthSpinBox.value = 72.0
    assert widget.logic.worker.settings.poseParameters.palmWidthMm == 72.0


def test_changes_of_one_batch_are_followed_once(app, clip, alone):
    import slicer

    frames = start(app, alone, clip)
    states = []
    alone.worker.stateChanged.connect(states.append)
    parameterNode = alone.getParameterNode()
    with slicer.util.NodeModify(parameterNode):
        parameterNode.mirrored = True
        parameterNode.numberOfHands = 2
        parameterNode.palmWidthMm = 75.0
        assert states == []
    assert app.spin(lambda: states[-1] == "live", timeout=20)
    frames.next()
    assert states.count("starting") <= 1 and states.count("live") == 1
    settings = alone.worker.settings
    assert settings.mirrored and settings.numberOfHands == 2 and settings.poseParameters.palmWidthMm == 75.0


def test_what_the_logic_sets_itself_neither_restarts_nor_resets_anything(app, widget, monkeypatch):
    """Making its nodes modifies the parameter node as well."""
    from LiveHandLib.pose.estimator import HandPoseEstimator
    from LiveHandLib.scene.handnodes import Display

    uses, use = [], HandPoseEstimator.use
    monkeypatch.setattr(HandPoseEstimator, "use", lambda self, measures: (uses.append(1), use(self, measures))[1])
    widget.logic.getParameterNode().display = Display.BOTH
    widget.logic.getParameterNode().pointer = True
    widget.logic.getParameterNode().measureAngles = True
    states = []
    widget.logic.worker.stateChanged.connect(states.append)
    goLive(app, widget)
    Frames(app, widget.logic).next()
    assert widget.logic.getParameterNode().rightPointer and widget.logic.getParameterNode().rightAngles
    assert len(uses) == 1 and states == ["starting", "live"]


def test_parameter_changed_in_a_slot_of_a_change(app, clip, alone):
    frames = start(app, alone, clip)
    states = []

    def onState(state):
        states.append(state)
        if state == "stopping" and states.count(state) == 1:
            alone.getParameterNode().numberOfHands = 2

    alone.worker.stateChanged.connect(onState)
    alone.getParameterNode().mirrored = True
    assert frames.until(lambda _frame: alone.worker.settings.numberOfHands == 2)
    assert alone.worker.settings.mirrored
    assert alone.worker.settings == alone._settings


def test_logic_that_is_closed_observes_nothing(app, clip):
    import slicer

    from LiveHand import LiveHandLogic

    gc.collect()
    before = observersOf(slicer.mrmlScene)
    gc.disable()  # as good as off in Slicer, which has a great many objects
    try:
        logic = LiveHandLogic()
        start(app, logic, clip)
        parameterNode = weakref.ref(logic.getParameterNode())
        assert observersOf(slicer.mrmlScene) > before
        logic.close()
        assert observersOf(slicer.mrmlScene) == before and parameterNode() is None
    finally:
        gc.enable()


@pytest.mark.fault("Field: two logics in one scene")
def test_two_logics_in_one_scene_share_what_is_chosen(app, clip, widget, alone, twoHands):
    """Both follow it, and neither sets it back."""
    app.showModule("LiveHand")
    logics = widget.logic, alone
    frames = [start(app, logic, clip) for logic in logics]
    states = []
    for logic in logics:
        logic.worker.stateChanged.connect(states.append)
    alone.getParameterNode().palmWidthMm = 70.0
    widget.ui.smoothingSliderWidget.value = 120
    assert widget.ui.palmWidthSpinBox.value == 70.0
    for logic, some in zip(logics, frames, strict=True):
        some.next()
        poseParameters = logic.worker.settings.poseParameters
        assert (poseParameters.palmWidthMm, poseParameters.smoothingMs) == (70.0, 120.0)
    assert states == []
    widget.logic.setSource(twoHands)
    for some in frames:
        assert some.until(lambda frame: frame.imageSize[0] > 2 * frame.imageSize[1])
    assert states.count("starting") <= 2 and states.count("live") == 2
    alone.stop()
    assert app.spin(lambda: alone.worker.state == "off", timeout=20)
    frames[0].next()


def test_parameter_node_that_is_gone_is_replaced(app, clip, widget):
    import slicer

    start(app, widget.logic, clip)
    slicer.mrmlScene.RemoveNode(widget.logic.getParameterNode().parameterNode)
    settled(app, widget.logic)
    assert "No camera is chosen" in widget.ui.statusLabel.text and not widget.ui.liveCheckBox.checked
    widget.logic.setSource(SAMPLE_CLIP)
    assert widget.ui.sourceComboBox.currentText == "Sample clip"
    widget.ui.palmWidthSpinBox.value = 70.0
    assert widget.logic.getParameterNode().palmWidthMm == 70.0
    frames = start(app, widget.logic, clip)
    widget.logic.getParameterNode().palmWidthMm = 71.0
    frames.next()
    assert widget.logic.worker.settings.poseParameters.palmWidthMm == 71.0


# Scenes

MATRIX = np.array([[0, 0, 1, 12], [1, 0, 0, -34], [0, 1, 0, 56], [0, 0, 0, 1.0]])
"""Where the user has put the camera."""


@pytest.fixture(params=["mrb", "mrml"])
def savedScene(request, app, clip, tmp_path):
    """The path of a scene with a hand, the user's transform and a recording, and what was in it."""
    import slicer

    from LiveHand import LiveHandLogic

    logic = LiveHandLogic()
    try:
        frames = start(app, logic, clip)
        logic.motion.startRecording()
        frames.next()
        browser = logic.motion.stopRecording()
        parameterNode = logic.getParameterNode()
        parameterNode.palmWidthMm, parameterNode.numberOfHands = 77.0, 2
        slicer.util.updateTransformMatrixFromArray(parameterNode.cameraToRAS, MATRIX)
        logic.stop()
        settled(app, logic)
        path = str(tmp_path / f"scene.{request.param}")
        assert slicer.util.saveScene(path)
        if request.param == "mrml":  # which has no data: beside it
            for node in (parameterNode.rightSurface, parameterNode.rightLandmarks, parameterNode.cameraToRAS):
                node.AddDefaultStorageNode()
                extension = node.GetStorageNode().GetDefaultWriteFileExtension()
                assert slicer.util.saveNode(node, str(tmp_path / f"{node.GetName()}.{extension}"))
            for sequence in slicer.util.getNodesByClass("vtkMRMLSequenceNode"):
                sequence.AddDefaultStorageNode()
                extension = sequence.GetStorageNode().GetDefaultWriteFileExtension()
                assert slicer.util.saveNode(sequence, str(tmp_path / f"{sequence.GetName()}.{extension}"))
            assert slicer.util.saveScene(path)
        yield path, browser.GetName()
    finally:
        logic.close()


def assertSavedNodesAreUsed(app, clip, logic, recordingName: str, tmp_path) -> None:
    """The nodes of the scene that was loaded last are the ones that are moved, and no others beside them."""
    import slicer

    parameterNode = logic.getParameterNode()
    newest = {name: getattr(parameterNode, name) for name in ("cameraToRAS", "rightLandmarks", "rightSurface")}
    assert all(newest.values())
    assert parameterNode.recording.GetName().startswith(recordingName)
    logic.motion.exportCsv(tmp_path / "recording.csv")
    assert (tmp_path / "recording.csv").stat().st_size > 1000
    assert logic.view() == ""
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLLinearTransformNode")}
    if logic.worker.state != "live":
        start(app, logic, clip)
    frames = Frames(app, logic)
    frames.next()
    for name, node in newest.items():
        assert getattr(logic.getParameterNode(), name) is node
    assert {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLLinearTransformNode")} == before
    assert np.allclose(slicer.util.arrayFromTransformMatrix(newest["cameraToRAS"]), MATRIX)
    points = slicer.util.arrayFromMarkupsControlPoints(newest["rightLandmarks"]).copy()
    assert frames.until(
        lambda frame: (slicer.util.arrayFromMarkupsControlPoints(newest["rightLandmarks"]) != points).any()
    )
    world = slicer.util.arrayFromMarkupsControlPoints(newest["rightLandmarks"], world=True)
    local = slicer.util.arrayFromMarkupsControlPoints(newest["rightLandmarks"])
    assert np.allclose(world, local @ MATRIX[:3, :3].T + MATRIX[:3, 3], atol=1e-3)


@pytest.mark.fault("Field: loaded scene's transform")
@pytest.mark.parametrize("isClosedBefore", [True, False], ids=["closed before", "added"])
@pytest.mark.parametrize("isLive", [True, False], ids=["live", "off"])
def test_loaded_scenes_nodes_are_used(app, clip, savedScene, panelOr, isLive, isClosedBefore, tmp_path):
    import slicer

    path, recordingName = savedScene
    logic = panelOr
    slicer.mrmlScene.Clear(0)
    ofAScript = logic.getParameterNode()
    assert ofAScript.cameraToRAS is None
    if isLive:
        start(app, logic, clip)
    slicer.util.loadScene(path, {"clear": isClosedBefore})
    if isClosedBefore:
        settled(app, logic)
        assert len(named("LiveHand Camera to RAS")) == 1
    assert ofAScript.cameraToRAS is logic.getParameterNode().cameraToRAS is not None
    assert ofAScript.rightLandmarks and ofAScript.recording and ofAScript.numberOfHands == 2
    if isLive and not isClosedBefore:
        assert app.spin(lambda: logic.worker.settings and logic.worker.settings.numberOfHands == 2, timeout=20)
        assert app.spin(lambda: logic.worker.state == "live", timeout=20)
        assert logic.worker.settings.poseParameters.palmWidthMm == 77.0
    assertSavedNodesAreUsed(app, clip, logic, recordingName, tmp_path)


@pytest.mark.fault("Field: loaded scene's transform")
@pytest.mark.parametrize("savedScene", ["mrb"], indirect=True)
def test_scene_that_replaces_the_parameter_node(app, clip, savedScene, panelOr, tmp_path):
    import slicer

    path, recordingName = savedScene
    panelOr.getParameterNode()
    former = panelOr.getParameterNode().parameterNode
    # As Clear(1) does, which would take the host's views as well.
    scene = slicer.mrmlScene
    tag = scene.AddObserver(scene.StartCloseEvent, lambda *_arguments: scene.RemoveNode(former))
    scene.Clear(0)
    scene.RemoveObserver(tag)
    assert former.GetScene() is None
    settled(app, panelOr)
    slicer.util.loadScene(path)
    assert panelOr.getParameterNode().parameterNode is not former
    assertSavedNodesAreUsed(app, clip, panelOr, recordingName, tmp_path)


@pytest.mark.fault("Field: frames arrive while a scene is loaded")
@pytest.mark.parametrize("savedScene", ["mrb"], indirect=True)
def test_frames_that_arrive_while_a_scene_is_loaded(app, clip, savedScene, panelOr, tmp_path):
    import slicer

    path, recordingName = savedScene
    slicer.mrmlScene.Clear(0)
    frames = start(app, panelOr, clip)
    parameterNode, times = panelOr.getParameterNode(), []

    def letFramesCome(*_arguments):
        if slicer.mrmlScene.IsImporting() and len(times) < 20:
            times.append(1)
            frames.all.clear()
            assert app.spin(lambda: frames.all, timeout=20)

    # So that the next frame that is shown would have them made anew.
    for name in ("rightSurface", "rightLandmarks", "cameraToRAS"):
        slicer.mrmlScene.RemoveNode(getattr(parameterNode, name))
    tag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAddedEvent, letFramesCome)
    try:
        slicer.util.loadScene(path)
    finally:
        slicer.mrmlScene.RemoveObserver(tag)
    assert times
    assert len(named("LiveHand Camera to RAS")) == 1
    assertSavedNodesAreUsed(app, clip, panelOr, recordingName, tmp_path)


@pytest.mark.fault("Field: loaded scene's settings are damaged, and its transform is not")
@pytest.mark.parametrize("name, text", [("display", "HOLOGRAM"), ("numberOfHands", "many"), ("palmWidthMm", "-1.0")])
@pytest.mark.parametrize("isHeld", [False, True], ids=["", "held by a script"])
def test_nodes_of_a_scene_with_damaged_settings_are_used(app, clip, widget, tmp_path, name, text, isHeld, capsys):
    import slicer

    start(app, widget.logic, clip)
    node = widget.logic.getParameterNode().parameterNode
    slicer.util.updateTransformMatrixFromArray(widget.logic.getParameterNode().cameraToRAS, MATRIX)
    widget.logic.stop()
    settled(app, widget.logic)
    path = tmp_path / "scene.mrml"
    assert slicer.util.saveScene(str(path))
    content, count = re.subn(rf"(parameter\d+= \"{name}) [^\"]*", rf"\g<1> {text}", path.read_text("utf-8"))
    assert count == 1
    path.write_text(content, "utf-8")
    slicer.mrmlScene.Clear(0)
    ofAScript = widget.logic.getParameterNode() if isHeld else None
    slicer.util.loadScene(str(path))
    assert "have been set back" in widget.ui.statusLabel.text
    parameterNode = widget.logic.getParameterNode()
    assert parameterNode.cameraToRAS and parameterNode.rightLandmarks and parameterNode.parameterNode is node
    assert parameterNode.numberOfHands == 1 and parameterNode.palmWidthMm == 62.0
    assert len(named("LiveHand Camera to RAS")) == 1
    if isHeld:
        assert ofAScript.cameraToRAS is parameterNode.cameraToRAS
        # What the script keeps reads what is damaged as well, and no one can keep it from that.
        assert all(isinstance(error, ValueError) for error in app.errors)
        app.errors.clear()
    assert app.errors == [] and (isHeld or "Traceback" not in capsys.readouterr().err)
    start(app, widget.logic, clip)
    assert len(named("LiveHand Camera to RAS")) == 1


def test_what_belongs_to_the_user_is_there_though_a_script_keeps_the_parameter_node(app, alone):
    import slicer

    ofAScript = alone.getParameterNode()
    ofAScript.palmWidthMm = 71.5
    slicer.mrmlScene.Clear(0)
    assert ofAScript.palmWidthMm == alone.getParameterNode().palmWidthMm == 71.5


# The log


def raising(*_arguments, **_keywords):
    raise ZeroDivisionError("on purpose")


def entries(caplog, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.mark.fault("Field: stack trace of what nobody foresaw")
@pytest.mark.parametrize(
    "step, function",
    [
        ("detection.detector.HandDetector.detect", "_track"),  # in the worker's thread
        ("camera.framereader.toRgb", "_fileFrames"),  # in the reader's
        ("scene.handnodes.HandNodes.update", "show"),  # in a slot
        ("pose.estimator.HandPoseEstimator.estimate", "_onFrameProcessed"),
        ("motion.motion.Motion.add", "showFrame"),
    ],
)
@pytest.mark.parametrize("hasPanel", [True, False], ids=["panel", "no panel"])
def test_stack_trace_is_in_the_log(app, request, monkeypatch, caplog, step, function, hasPanel):
    caplog.set_level(logging.DEBUG)
    widget = request.getfixturevalue("widget") if hasPanel else None
    logic = widget.logic if widget else request.getfixturevalue("alone")
    monkeypatch.setattr(f"LiveHandLib.{step}", raising)
    logic.setSource(SAMPLE_CLIP)
    logic.start()
    settled(app, logic)
    entry = entries(caplog, logging.ERROR)[0]
    assert "Traceback (most recent call last)" in entry and entry.endswith("ZeroDivisionError: on purpose\n")
    assert re.search(rf'File ".*", line \d+, in {function}\n', entry) and re.search(r"line \d+, in raising\n", entry)
    if widget:
        assert widget.ui.statusLabel.text == (
            "⚠ Something unexpected happened (ZeroDivisionError: on purpose): tick Live again, and report it if it "
            "comes back."
        )
    monkeypatch.undo()


@pytest.mark.fault("Field: stack trace of what nobody foresaw")
@pytest.mark.parametrize("where", ["cameras", "installing", "calibration", "parameter", "recording"])
def test_stack_trace_of_what_the_panel_calls_is_in_the_log(app, widget, monkeypatch, caplog, where):
    import qt

    from LiveHandLib import packages
    from LiveHandLib.camera import devicequery

    widget.logic.setSource(SAMPLE_CLIP)
    words = widget.ui.statusLabel
    if where == "cameras":
        monkeypatch.setattr(devicequery, "listCameras", raising)
        widget.ui.refreshButton.click()
        settled(app, widget.logic)
    elif where == "installing":
        monkeypatch.setattr(packages, "install", raising)
        widget.ui.installButton.click()
    elif where == "calibration":
        monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_arguments: "some file")
        monkeypatch.setattr(type(widget.logic), "importCalibration", raising)
        widget.ui.calibrationImportButton.click()
    elif where == "parameter":
        monkeypatch.setattr(widget.logic.motion, "updateChart", raising)
        widget.ui.mirroredCheckBox.click()
    else:
        monkeypatch.setattr(widget.logic.motion, "stopRecordingInSteps", raising)
        widget.motionPanel.keepRecording()
        words = widget.ui.recordingLabel
    (entry,) = entries(caplog, logging.ERROR)
    assert re.search(r"line \d+, in raising\n", entry)
    if where != "cameras":
        assert words.text.startswith("⚠ Something unexpected happened (ZeroDivisionError: on purpose)")
    monkeypatch.undo()
    settled(app, widget.logic)


def test_foreseen_failure_is_one_line_and_its_cause_is_for_those_who_debug(app, widget, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    widget.logic.setModel("")
    widget.logic.getParameterNode().modelPath = str(tmp_path / "nowhere.task")
    widget.logic.setSource(SAMPLE_CLIP)
    widget.logic.start()
    settled(app, widget.logic)
    (line,) = [entry for entry in entries(caplog, logging.INFO) if "LiveHand" in entry]
    assert "modelMissing" in line and "\n" not in line
    (trace,) = [entry for entry in entries(caplog, logging.DEBUG) if "LiveHand" in entry]
    assert "FileNotFoundError" in trace and "in _readModel" in trace
    assert entries(caplog, logging.ERROR) == []
    widget.logic.setModel("")


@pytest.mark.parametrize("isForeseen", [True, False])
def test_failure_that_is_kept_keeps_no_image(app, alone, monkeypatch, isForeseen):
    from LiveHandLib.camera import framereader
    from LiveHandLib.detection import detector
    from LiveHandLib.errors import LiveHandError

    toRgb, images, kept = framereader.toRgb, [], []

    def noted(image):
        image = toRgb(image)
        images.append(weakref.ref(image))
        return image

    def fail(self, image, _timestampMs):
        try:
            raise ZeroDivisionError(image.shape)
        except ZeroDivisionError as error:
            if isForeseen:
                raise LiveHandError("modelUnusable", detail="on purpose") from error
            raise

    monkeypatch.setattr(framereader, "toRgb", noted)
    monkeypatch.setattr(detector.HandDetector, "detect", fail)
    alone.worker.failed.connect(kept.append)
    gc.collect()
    gc.disable()
    try:
        alone.setSource(SAMPLE_CLIP)
        alone.start()
        settled(app, alone)
        assert [error.reason for error in kept] == ["modelUnusable" if isForeseen else "internal"]
        assert "in fail" in kept[0].trace and "ZeroDivisionError" in kept[0].trace
        assert images and all(image() is None for image in images)
    finally:
        gc.enable()


# Reload

RELOADING = """
    import gc, sys, threading, weakref
    from pathlib import Path
    sys.path[:0] = [{testing!r}]
    from host.application import Application
    application = Application(headless=True)
    import qt, slicer
    qt.QSettings().setValue("Developer/DeveloperMode", True)
    folder = Path({folder!r})
    module = application.loadModule(folder / "LiveHand" / "LiveHand.py")
    messages, source = folder / "LiveHand" / "LiveHandLib" / "panel" / "sentences.py", None

    def goLive():
        widget = application.showModule("LiveHand")
        widget.logic.setSource({clip!r})
        widget.logic.getParameterNode().showInSliceView = True
        widget.ui.liveCheckBox.setChecked(True)
        assert application.spin(lambda: widget.logic.frame and widget.logic.frame.hands, timeout=60)
        return widget

    def leftovers():
        gc.collect()
        objects = gc.get_objects()
        return dict(
            threads=len(threading.enumerate()),
            timers=sum(isinstance(one, qt.QTimer) and one.isActive() for one in objects),
            scene=str(slicer.mrmlScene).count("vtkObserver ("),
            parameters=sum(type(one).__name__ == "LiveHandParameterNode" for one in objects),
            panels=sum(type(one).__name__ == "LiveHandWidget" for one in objects),
            lenders=sum(type(one).__name__ == "GilLender" for one in objects),
            workers=sum(type(one).__name__ in ("TrackingWorker", "CameraFinder") for one in objects),
            detectors=sum(type(one).__name__ == "HandDetector" for one in objects),
            receivers=slicer.app.receivers(qt.SIGNAL("aboutToQuit()")),
            library=sorted(name for name in sys.modules if name.startswith("LiveHandLib")),
        )

    def idle(widget):
        assert application.spin(
            lambda: widget.logic.worker.state == "off" and not sys.modules["LiveHandLib.threads.gil"].lender().isBusy(),
            timeout=30,
        )

    before = None
    for number in range(11):
        widget = goLive()
        words = "No camera is chosen" if source is None else "Reloaded " + "x" * number
        former = sys.modules["LiveHandLib.errors"]
        source = source or messages.read_text(encoding="utf-8")
        if number:
            messages.write_text(source.replace("No camera is chosen", "Reloaded " + "x" * number), encoding="utf-8")
        widget.reloadButton.click()
        widget = slicer.modules.LiveHandWidget
        assert not widget.ui.liveCheckBox.checked and not [
            thread for thread in threading.enumerate() if thread.name.startswith("LiveHand")
        ]
        assert sys.modules["LiveHandLib.errors"] is not former
        widget.logic.setSource("")
        widget.logic.start()
        assert words in widget.ui.statusLabel.text, widget.ui.statusLabel.text
        idle(widget)
        application.spin(timeout=0.2)
        now = leftovers()
        before = before if number > 1 else now  # what was loaded first, and what was there last, may stay
        assert now == before, (number, now, before)

    # A mistake in a file, and its correction.
    messages.write_text("no Python at all", encoding="utf-8")
    try:
        widget.onReload()
    except SyntaxError:
        pass
    application.showModule(None)
    application.showModule("LiveHand")
    messages.write_text(source, encoding="utf-8")
    widget.onReload()
    widget = goLive()
    assert application.errors == [], application.errors
    slicer.app.exit()
    application.close()
    assert application.errors == [], application.errors
    print("reloaded in peace")
"""


@pytest.mark.fault("Field: module reloaded while live, its library changed", times=10)
def test_reload_takes_the_library_as_well(tmp_path):
    import shutil

    folder = tmp_path / "LiveHand"
    shutil.copytree(ROOT / "LiveHand", folder / "LiveHand", ignore=shutil.ignore_patterns("__pycache__"))
    words = {"testing": str(ROOT / "Testing"), "folder": str(folder), "clip": str(SAMPLE_CLIP)}
    code = textwrap.dedent(RELOADING).format(**words)
    environment = {**os.environ, "PYTHONPATH": ""}
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, env=environment, cwd=tmp_path
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stdout.endswith("reloaded in peace\n")


def test_nothing_reads_the_parameters_while_a_scene_is_loaded(app, widget, tmp_path):
    """A wrapper that is kept reads each value that the scene brings, before it is checked."""
    import slicer

    logic = widget.logic
    logic.getParameterNode().pointer = True
    start(app, logic, SAMPLE_CLIP)
    path = tmp_path / "scene.mrml"
    assert slicer.util.saveScene(str(path))
    wrapper, kept = weakref.ref(logic.getParameterNode()), []

    def onStartImport(*_arguments) -> None:
        gc.collect()
        kept.append(wrapper())

    tag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartImportEvent, onStartImport, -1.0)  # after the others
    slicer.util.loadScene(str(path))
    slicer.mrmlScene.RemoveObserver(tag)
    assert kept == [None]
    logic.stop()
    settled(app, logic)
