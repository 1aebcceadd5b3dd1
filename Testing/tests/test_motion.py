"""Joint angles as tables and plots, recordings as sequences and as a text file: in the host, on the sample clip."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from LiveHandLib.landmarks import LANDMARK_NAMES, Landmark
from support.helpers import goLive, nodesOfLiveHand, play, settled
from support.paths import ROOT, SAMPLE_CLIP

pytestmark = pytest.mark.usefixtures("model")


def frameAt(timestampMs: float, captureTime: float = 0.0, hands=None) -> SimpleNamespace:
    return SimpleNamespace(timestampMs=timestampMs, captureTime=captureTime, hands=hands or {})


def madeUpHand(seed: int) -> SimpleNamespace:
    random = np.random.default_rng(seed)
    return SimpleNamespace(
        imagePx=random.uniform(0, 500, (21, 2)),
        depthPx=random.uniform(-50, 50, 21),
        cameraMm=random.uniform(-100, 100, (21, 3)) + np.array([0, 0, 400]),
    )


def madeUpFrames(count: int, sides=("Left", "Right"), stepMs: float = 33) -> list[SimpleNamespace]:
    """Frames of hands that are not hands, but whose positions are unmistakable."""
    return [
        frameAt(stepMs * number, hands={side: madeUpHand(2 * number + (side == "Left")) for side in sides})
        for number in range(count)
    ]


def record(logic, frames):
    """A recording of made-up frames, in the scene."""
    logic.motion.startRecording()
    for frame in frames:
        logic.motion.add(frame)
    return logic.motion.stopRecording()


def goLiveForLong(app, widget) -> None:
    """Tick Live for a clip that lasts, however slow the computer is just now."""
    widget.logic.getParameterNode().everyFrame = True
    goLive(app, widget)


def proxies(browser) -> dict:
    """The nodes that the browser moves, by the names they have after the recording's."""
    import vtk

    nodes = vtk.vtkCollection()
    browser.GetAllProxyNodes(nodes)
    return {node.GetName().removeprefix(browser.GetName()).strip(): node for node in nodes}


def positions(node) -> np.ndarray:
    import slicer

    return slicer.util.arrayFromMarkupsControlPoints(node, world=True)


def rasOf(landmarks: np.ndarray, transform: np.ndarray) -> np.ndarray:
    return landmarks @ transform[:3, :3].T + transform[:3, 3]


def column(table, name: str) -> np.ndarray:
    import slicer

    return slicer.util.arrayFromTableColumn(table, name)


# Time


def test_seconds_count_on_over_a_source_that_is_opened_again(app):
    from LiveHandLib.motion.streamclock import StreamClock

    clock = StreamClock()
    frames = [(5000, 1.0), (5033, 1.03), (5033, 1.05), (5034, 1.06), (0, 3.06), (40, 3.1)]
    seconds = [clock.at(frameAt(*frame)) for frame in frames]
    assert seconds == pytest.approx([0, 0.033, 0.053, 0.055, 2.055, 2.095])


# Joint angles


def test_tables_have_what_was_measured(app, logic, tracked):
    from LiveHandLib.motion import angles

    play(app, logic, SAMPLE_CLIP, everyFrame=True, measureAngles=True)
    parameterNode = logic.getParameterNode()
    table = parameterNode.rightAngles
    assert table.GetClassName() == "vtkMRMLTableNode" and table.GetName() == "LiveHand Right Joint Angles"
    assert parameterNode.leftAngles is None
    names = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
    assert names == ["Time", *angles.MEASURES]
    assert {table.GetColumnUnitLabel(name) for name in names} == {"s", "degrees", "mm"}
    assert table.GetNumberOfRows() == len(tracked) > 100
    assert np.allclose(column(table, "Time"), [0.001 * frame.timestampMs for frame in tracked], atol=0.002)
    hands = [frame.hands["Right"] for frame in tracked]
    expected = angles.measure(hands, "Right")
    measured = np.column_stack([column(table, name) for name in angles.MEASURES])
    assert np.allclose(measured, expected)
    assert np.ptp(column(table, "Index PIP flexion")) > 45, "the sample clip's hand grasps"
    distances = [
        np.linalg.norm(hand.cameraMm[Landmark.THUMB_TIP] - hand.cameraMm[Landmark.INDEX_FINGER_TIP]) for hand in hands
    ]
    assert np.allclose(column(table, "Pinch distance"), distances)


def test_nothing_is_measured_that_was_not_asked_for(app, logic):
    import slicer

    play(app, logic, SAMPLE_CLIP)
    assert slicer.util.getNodesByClass("vtkMRMLTableNode") == []


def test_live_table_is_bounded_and_shows_gaps(app, monkeypatch):
    from LiveHandLib.motion import angles

    monkeypatch.setattr(angles.LiveTable, "ROWS", 50)
    table = angles.LiveTable("Left", None)
    events = []
    table.node.AddObserver("ModifiedEvent", lambda caller, event: events.append(1))
    for number in range(200):
        table.add(number / 30.0, None if 180 <= number < 190 else madeUpHand(number))
    table.update()
    assert len(events) < 40, "modified a few times a second, not once a frame"
    times, values = column(table.node, "Time"), column(table.node, "Ring DIP flexion")
    assert len(times) == len(values) == 50
    assert times[-1] == pytest.approx(199 / 30)
    assert np.flatnonzero(np.isnan(values)).tolist() == [39] and times[39] == pytest.approx(6.0), "one row for the gap"
    assert np.array_equal(times, np.sort(times))


def test_table_deleted_while_live_comes_back_and_starts_anew_with_live(app, widget, tracked):
    import slicer

    widget.ui.measureAnglesCheckBox.setChecked(True)
    goLiveForLong(app, widget)
    parameterNode = widget.logic.getParameterNode()
    assert app.spin(lambda: parameterNode.rightAngles and parameterNode.rightAngles.GetNumberOfRows() > 3, timeout=20)
    slicer.mrmlScene.RemoveNode(parameterNode.rightAngles)
    assert app.spin(lambda: parameterNode.rightAngles and parameterNode.rightAngles.GetNumberOfRows() > 3, timeout=20)
    widget.logic.stop()
    settled(app, widget.logic)
    rows = parameterNode.rightAngles.GetNumberOfRows()
    assert rows > 3, "the last Live's angles stay"
    goLiveForLong(app, widget)
    assert app.spin(lambda: 0 < parameterNode.rightAngles.GetNumberOfRows() < rows + 2, timeout=20)
    assert column(parameterNode.rightAngles, "Time")[0] == 0
    assert len(slicer.util.getNodesByClass("vtkMRMLTableNode")) == 1


def series(chart) -> dict[str, object]:
    nodes = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    return {node.GetName(): node for node in nodes}


def tick(widget, measure: str, on: bool) -> None:
    import qt

    from LiveHandLib.motion.angles import MEASURES

    item = widget.ui.plottedMeasuresList.item(MEASURES.index(measure))
    item.setCheckState(qt.Qt.Checked if on else qt.Qt.Unchecked)


@pytest.mark.parametrize("arrangement", ["FourUp", "Conventional", "OneUp3D", "FourUpPlot", "ConventionalPlot"])
def test_plot_comes_beside_the_3d_view(app, widget, arrangement):
    import slicer

    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout = layout or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLayoutNode")
    before = layout.GetViewArrangement()
    layout.SetViewArrangement(getattr(layout, f"SlicerLayout{arrangement}View"))
    widget.ui.showPlotButton.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutConventionalPlotView
    layout.SetViewArrangement(layout.SlicerLayoutCustomView)  # somebody's own
    widget.logic.motion.showPlot()
    assert layout.GetViewArrangement() != layout.SlicerLayoutConventionalPlotView
    layout.SetViewArrangement(before)


def test_plot_of_the_ticked_measures(app, widget):
    import slicer

    goLiveForLong(app, widget)
    widget.ui.showPlotButton.click()
    parameterNode = widget.logic.getParameterNode()
    assert parameterNode.measureAngles and widget.ui.measureAnglesCheckBox.checked
    assert app.spin(lambda: parameterNode.rightAngles, timeout=20)
    chart = parameterNode.anglesChart
    selection = slicer.app.applicationLogic().GetSelectionNode()
    assert selection.GetActivePlotChartID() == chart.GetID()
    assert set(series(chart)) == {"Right Index MCP flexion", "Right Index PIP flexion", "Right Index DIP flexion"}
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", "somebody else's")
    chart.AddAndObservePlotSeriesNodeID(other.GetID())
    tick(widget, "Index MCP flexion", False)
    tick(widget, "Pinch distance", True)
    names = {"Right Index PIP flexion", "Right Index DIP flexion", "Right Pinch distance"}
    assert set(series(chart)) == names | {"somebody else's"}
    assert chart.GetYAxisTitle() == "Angle (degrees), Distance (mm)"
    for name in names:
        node = series(chart)[name]
        assert node.GetTableNode() is parameterNode.rightAngles
        assert node.GetXColumnName() == "Time" and f"Right {node.GetYColumnName()}" == name
    ours = [node for node in slicer.util.getNodesByClass("vtkMRMLPlotSeriesNode") if node is not other]
    assert {node.GetName() for node in ours} == names, "what is not plotted any more is gone"


# Recording


def test_played_back_as_it_was(app, logic, tracked):
    """Every frame of the clip, while the user moves the hands' transform."""
    import slicer

    transforms = []

    def onTracked(frame) -> None:
        node = logic.getParameterNode().cameraToRAS
        transforms.append(slicer.util.arrayFromTransformMatrix(node))
        if len(transforms) == 40:
            slicer.util.updateTransformMatrixFromArray(node, np.diag([-1.0, 1.0, -1.0, 1.0]))

    logic.worker.tracked.connect(onTracked)
    logic.motion.startRecording()
    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    logic.worker.tracked.disconnect(onTracked)
    browser = logic.motion.stopRecording()
    assert browser is logic.getParameterNode().recording
    assert browser.GetNumberOfItems() == len(tracked) > 100
    nodes = proxies(browser)
    assert set(nodes) == {"Camera to RAS", "Right Landmarks"}
    live = positions(logic.getParameterNode().rightLandmarks)
    master = browser.GetMasterSequenceNode()
    assert (master.GetIndexName(), master.GetIndexUnit()) == ("time", "s")
    for item in [*range(len(tracked)), 3]:
        browser.SetSelectedItemNumber(item)
        expected = rasOf(tracked[item].hands["Right"].cameraMm, transforms[item])
        assert np.abs(positions(nodes["Right Landmarks"]) - expected).max() < 1e-3, "mm"
        assert float(master.GetNthIndexValue(item)) == pytest.approx(tracked[item].timestampMs / 1000, abs=0.002)
    assert nodes["Right Landmarks"].GetNthControlPointLabel(8) == "INDEX_FINGER_TIP"
    assert browser.GetPlaybackRateFps() == pytest.approx(30, abs=1)
    assert np.array_equal(positions(logic.getParameterNode().rightLandmarks), live), "the live nodes are others"


def test_table_of_the_recordings_angles(app, logic, tracked):
    import slicer

    from LiveHandLib.motion import angles

    logic.motion.startRecording()
    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    browser = logic.motion.stopRecording()
    table = slicer.util.getNode(f"{browser.GetName()} Right Joint Angles")
    expected = angles.measure([frame.hands["Right"] for frame in tracked], "Right")
    assert np.allclose(np.column_stack([column(table, name) for name in angles.MEASURES]), expected)
    indices = [browser.GetMasterSequenceNode().GetNthIndexValue(item) for item in range(browser.GetNumberOfItems())]
    assert np.allclose(column(table, "Time"), np.array(indices, float))


def test_hand_that_is_not_seen_is_not_there(app, logic):
    frames = madeUpFrames(10)
    for number in (0, 1, 5):
        del frames[number].hands["Right"]
    browser = record(logic, frames)
    nodes = proxies(browser)
    for item in (0, 9, 5, 4, 1, 2):
        browser.SetSelectedItemNumber(item)
        for side in ("Left", "Right"):
            points = positions(nodes[f"{side} Landmarks"])
            hand = frames[item].hands.get(side)
            assert np.allclose(points, hand.cameraMm) if hand else len(points) == 0


def test_what_the_user_does_to_the_proxies_leaves_the_recording_as_it_is(app, logic):
    frames = madeUpFrames(3)
    browser = record(logic, frames)
    landmarks = proxies(browser)["Left Landmarks"]
    landmarks.SetNthControlPointPosition(8, 1, 2, 3)
    browser.SetSelectedItemNumber(1)
    browser.SetSelectedItemNumber(0)
    assert np.allclose(positions(landmarks), frames[0].hands["Left"].cameraMm)


def test_recordings_do_not_mix(app, logic):
    first = record(logic, madeUpFrames(3))
    second = record(logic, madeUpFrames(5, sides=["Right"]))
    assert first.GetName() != second.GetName()
    assert (first.GetNumberOfItems(), second.GetNumberOfItems()) == (3, 5)
    assert set(proxies(second)) == {"Camera to RAS", "Right Landmarks"}
    names = [node.GetName() for node in nodesOfLiveHand()]
    for browser, sides in ((first, ["Left", "Right"]), (second, ["Right"])):
        sequences = ["Camera to RAS", *(f"{side} Landmarks" for side in sides)]
        for name in sequences:
            assert names.count(f"{browser.GetName()} {name}") == 2, "a sequence and the node that it moves"
    assert logic.getParameterNode().recording is second


def test_recording_does_not_take_the_names_of_what_is_left_of_another_one(app, logic):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "LiveHand Recording Camera to RAS")
    assert record(logic, madeUpFrames(3)).GetName() == "LiveHand Recording_1"
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "LiveHand Recording_10 Camera to RAS")
    assert record(logic, madeUpFrames(3)).GetName() == "LiveHand Recording_2"


LOAD = """
import json, sys
sys.path[:0] = [{testing!r}]
from host.application import Application
with Application(headless=True) as application:
    import slicer, vtk
    slicer.util.loadScene({path!r})
    browser = slicer.util.getNode("LiveHand Recording")
    nodes = vtk.vtkCollection()
    browser.GetAllProxyNodes(nodes)
    landmarks = [node for node in nodes if node.GetName() == "LiveHand Recording Right Landmarks"][0]
    items = []
    for item in range(browser.GetNumberOfItems()):
        browser.SetSelectedItemNumber(item)
        items.append(slicer.util.arrayFromMarkupsControlPoints(landmarks, world=True).tolist())
    table = slicer.util.getNode("LiveHand Recording Right Joint Angles")
    print("RESULT", json.dumps([items, slicer.util.arrayFromTableColumn(table, "Ring PIP flexion").tolist()]))
"""


def test_saved_with_the_scene_and_played_back_by_a_slicer_without_livehand(app, logic, tmp_path):
    import slicer

    slicer.util.updateTransformMatrixFromArray(newTransform(logic), turned := matrix())
    frames = madeUpFrames(12)
    del frames[4].hands["Right"]
    record(logic, frames)
    table = slicer.util.getNode("LiveHand Recording Right Joint Angles")
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    script = LOAD.format(testing=str(ROOT / "Testing"), path=str(path))
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert "RESULT" in run.stdout, run.stdout + run.stderr
    items, angles = json.loads(run.stdout.partition("RESULT")[2])
    for frame, item in zip(frames, items, strict=True):
        expected = rasOf(frame.hands["Right"].cameraMm, turned) if "Right" in frame.hands else np.empty((0, 3))
        assert np.allclose(np.reshape(item, (-1, 3)), expected, atol=1e-3), "mm"
    assert np.allclose(np.array(angles, float), column(table, "Ring PIP flexion"), atol=1e-3)


def matrix() -> np.ndarray:
    """Some matrix from the camera's frame to RAS."""
    result = np.eye(4)
    result[:3] = [[0, -1, 0, 10], [0, 0, 1, -20], [-1, 0, 0, 30]]
    return result


def newTransform(logic):
    from LiveHandLib.scene import handnodes

    logic.getParameterNode().cameraToRAS = handnodes.newTransform()
    return logic.getParameterNode().cameraToRAS


def test_kept_when_live_goes_off_by_itself(app, widget, tracked, writeClip):
    """The panel, the real clip played to its end."""
    parameterNode = widget.logic.getParameterNode()
    assert not widget.ui.recordButton.enabled
    goLive(app, widget)
    assert widget.ui.recordButton.enabled
    widget.ui.recordButton.click()
    first = len(tracked)
    assert app.spin(lambda: widget.ui.recordingLabel.text.endswith("frames"), timeout=20)
    assert app.spin(lambda: parameterNode.recording, timeout=60)
    assert not widget.ui.recordButton.checked and not widget.ui.recordButton.enabled
    assert widget.logic.motion.recording is None
    assert parameterNode.recording.GetNumberOfItems() == len(tracked) - first
    assert widget.ui.recordingLabel.text == parameterNode.recording.GetName()


def test_kept_for_a_script_without_the_panel(app, widget, tracked):
    from LiveHand import LiveHandLogic

    logic = LiveHandLogic()
    logic.motion.startRecording()
    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    assert logic.motion.recording.isStopped
    frames = len(logic.motion.recording.frames)
    logic.showFrame(logic.frame)
    assert logic.motion.stopRecording().GetNumberOfItems() == frames > 100
    logic.close()


def test_goes_on_over_a_change_of_settings(app, widget, tracked):
    goLiveForLong(app, widget)
    widget.ui.recordButton.click()
    first = len(tracked)
    assert app.spin(lambda: len(tracked) > first + 10, timeout=20)
    widget.ui.numberOfHandsSpinBox.setValue(2)
    before = len(tracked)
    assert app.spin(lambda: len(tracked) > before + 10, timeout=30)
    assert widget.ui.recordButton.checked
    widget.ui.recordButton.click()
    recorded = tracked[first:]
    assert app.spin(lambda: widget.logic.getParameterNode().recording, timeout=30)
    assert widget.logic.worker.state == "live"
    master = widget.logic.getParameterNode().recording.GetMasterSequenceNode()
    times = np.array([master.GetNthIndexValue(item) for item in range(master.GetNumberOfDataNodes())], float)
    assert len(times) == len(recorded) > 20 and (np.diff(times) > 0.001).all()


def test_scene_saved_while_recording(app, widget, tmp_path):
    import slicer

    goLiveForLong(app, widget)
    widget.ui.recordButton.click()
    motion = widget.logic.motion
    assert app.spin(lambda: len(motion.recording.frames) > 5, timeout=20)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    before = len(motion.recording.frames)
    assert app.spin(lambda: len(motion.recording.frames) > before + 3, timeout=20)
    assert motion.stopRecording().GetNumberOfItems() > before + 3


def test_scene_closed_while_recording_and_while_the_recording_is_made(app, widget):
    import slicer

    goLiveForLong(app, widget)
    widget.ui.recordButton.click()
    app.spin(timeout=0.3)
    slicer.mrmlScene.Clear(0)
    settled(app, widget.logic)
    assert widget.logic.motion.recording is None and not widget.ui.recordButton.checked
    widget.logic.motion.startRecording()
    for frame in madeUpFrames(300):
        widget.logic.motion.add(frame)
    widget.ui.recordButton.setChecked(True)
    widget.ui.recordButton.setChecked(False)
    app.spin(timeout=0.05)
    slicer.mrmlScene.Clear(0)
    app.spin(timeout=0.5)
    assert nodesOfLiveHand() == [widget.logic.getParameterNode().parameterNode]


def test_no_hand_is_no_recording(app, widget):
    from LiveHandLib.errors import LiveHandError

    motion = widget.logic.motion
    with pytest.raises(LiveHandError, match="recordingEmpty"):
        motion.stopRecording()
    motion.startRecording()
    motion.add(frameAt(0))
    with pytest.raises(LiveHandError, match="recordingEmpty"):
        motion.stopRecording()
    assert motion.recording is None
    assert nodesOfLiveHand() == [widget.logic.getParameterNode().parameterNode]


def test_ends_when_it_is_full(app, widget, monkeypatch, tracked):
    from LiveHandLib.motion.recording import Recording

    monkeypatch.setattr(Recording, "MAX_POSES", 20)
    goLiveForLong(app, widget)
    widget.ui.recordButton.click()
    assert app.spin(lambda: "come to its end" in widget.ui.recordingLabel.text, timeout=20)
    assert app.spin(lambda: widget.logic.getParameterNode().recording, timeout=20)
    assert widget.logic.getParameterNode().recording.GetNumberOfItems() == 20
    assert widget.logic.worker.state == "live"


def test_ten_minutes_fit(app, logic):
    motion = logic.motion
    motion.startRecording()
    hands = {"Left": madeUpHand(0), "Right": madeUpHand(1)}
    for number in range(18_000):
        motion.add(frameAt(100 * number / 3, hands=hands))
    assert len(motion.recording.frames) == 18_000
    assert motion.recording.seconds == pytest.approx(600, abs=0.1)
    motion.add(frameAt(600_000, hands=hands))
    assert len(motion.recording.frames) == 18_000, "and then it is full"


def test_scene_changes_in_the_last_step_only(app, logic):
    motion = logic.motion
    motion.startRecording()
    for frame in madeUpFrames(50):
        motion.add(frame)
    steps = motion.stopRecordingInSteps()
    assert [next(steps) for _step in range(30)] == pytest.approx(np.arange(30) / 50), "a frame at each step"
    assert motion.stopRecordingInSteps() is steps
    steps.close()
    assert nodesOfLiveHand() == [logic.getParameterNode().parameterNode]
    assert motion.stopRecording().GetNumberOfItems() == 50, "nothing is lost"


def test_event_loop_goes_on_while_the_panel_works(app, widget):
    import qt

    beats, seen = [], []
    timer = qt.QTimer()
    timer.connect("timeout()", lambda: beats.append(1))
    timer.start(0)

    def steps():
        for number in range(50):
            time.sleep(0.004)
            seen.append(len(beats))
            yield number / 50

    panel = widget.motionPanel
    panel.runSteps(steps, "{percent} %")
    assert not widget.ui.recordButton.enabled
    assert app.spin(lambda: len(seen) == 50 and not panel.isBusy(), timeout=20)
    timer.stop()
    assert len(set(seen)) > 10, "others have their turns, after a few steps each"


# Export


def read(path) -> tuple[list[str], list[list[str]]]:
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return header, rows


def test_csv(app, logic, tmp_path):
    import slicer

    slicer.util.updateTransformMatrixFromArray(newTransform(logic), matrix())
    frames = madeUpFrames(4)
    del frames[2].hands["Left"]
    record(logic, frames)
    slicer.util.updateTransformMatrixFromArray(logic.getParameterNode().cameraToRAS, np.eye(4))
    path = tmp_path / "mötion 1.csv"
    path.write_text("what was there before")
    logic.motion.exportCsv(path)
    header, rows = read(path)
    assert header == ["time_s", "hand", "landmark", "R_mm", "A_mm", "S_mm"]
    expected = [
        (0.033 * number, side, name, position)
        for number, frame in enumerate(frames)
        for side, hand in frame.hands.items()
        for name, position in zip(LANDMARK_NAMES, rasOf(hand.cameraMm, matrix()), strict=True)
    ]
    assert len(rows) == len(expected) == 7 * 21
    for (seconds, side, name, *position), row in zip(expected, rows, strict=True):
        assert row[1:3] == [side, name]
        assert np.allclose(float(row[0]), seconds, atol=1e-3)
        assert np.allclose([float(value) for value in row[3:]], position[0], atol=1e-3)
    assert list(tmp_path.iterdir()) == [path]


def test_failed_export_leaves_nothing_behind_and_the_recording_as_it_is(app, logic, tmp_path):
    import slicer

    from LiveHandLib.errors import LiveHandError
    from LiveHandLib.panel.sentences import sentence

    with pytest.raises(LiveHandError, match="noRecording"):
        logic.motion.exportCsv(tmp_path / "a.csv")
    browser = record(logic, madeUpFrames(100))
    with pytest.raises(LiveHandError, match="exportFailed") as failure:
        logic.motion.exportCsv(tmp_path / "no such folder" / "a.csv")
    assert "no such folder" in sentence(failure.value)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(LiveHandError, match="exportFailed"):
        logic.motion.exportCsv(tmp_path / "folder.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "somebody else's")
    with pytest.raises(LiveHandError, match="noRecording"):
        logic.motion.exportCsv(tmp_path / "a.csv", other)
    steps = logic.motion.exportCsvInSteps(tmp_path / "b.csv")
    assert [next(steps) for _step in range(3)] == pytest.approx([0, 0.01, 0.02])
    steps.close()
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]
    logic.motion.exportCsv(tmp_path / "a.csv", browser)
    assert len(read(tmp_path / "a.csv")[1]) == 100 * 2 * 21


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files, which Windows cannot")
def test_export_when_the_disk_is_full(app, widget, tmp_path, monkeypatch):
    import resource

    import qt

    record(widget.logic, madeUpFrames(100))
    widget.motionPanel.update()
    path = tmp_path / "a.csv"
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_arguments: str(path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        widget.ui.exportButton.click()
        assert app.spin(lambda: "cannot be written" in widget.ui.recordingLabel.text, timeout=20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    widget.ui.exportButton.click()
    assert not widget.ui.exportButton.enabled
    assert app.spin(lambda: path.exists() and widget.ui.exportButton.enabled, timeout=20)
    assert len(read(path)[1]) == 100 * 2 * 21
    assert list(tmp_path.iterdir()) == [path]


def fullDevice(folder: Path) -> Path:
    """A path that takes no byte: the file that is written before it gets its name is Linux's full device."""
    path = folder / "full.csv"
    path.with_name(f"{path.name}.{os.getpid()}.part").symlink_to("/dev/full")
    return path


def throughAFile(folder: Path) -> Path:
    """A path that nobody can write, whoever runs the test."""
    (folder / "file").write_text("no folder")
    return folder / "file" / "a.csv"


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(fullDevice, marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux's /dev/full")),
        throughAFile,
    ],
)
def test_export_to_where_nothing_can_be_written(app, widget, tmp_path, monkeypatch, place):
    import qt

    browser = record(widget.logic, madeUpFrames(1))  # less than a buffer full: writing fails when the file is closed
    widget.motionPanel.update()
    path = place(tmp_path)
    kept = {other for other in tmp_path.iterdir() if not other.is_symlink()}
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_arguments: str(path))
    widget.ui.recordingLabel.setText("")
    widget.ui.exportButton.click()
    assert app.spin(lambda: "cannot be written" in widget.ui.recordingLabel.text, timeout=20)
    assert set(tmp_path.iterdir()) == kept and not path.exists()
    assert widget.ui.exportButton.enabled
    assert widget.logic.getParameterNode().recording is browser
    widget.logic.motion.exportCsv(tmp_path / "elsewhere.csv")
    assert len(read(tmp_path / "elsewhere.csv")[1]) == 2 * 21
