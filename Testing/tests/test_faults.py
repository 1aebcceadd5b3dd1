"""Nothing breaks it: every fault that can be made, in the host that keeps the GIL, against the real module and panel.

What holds after each of them is checked by the fixture ``unharmed``, see :mod:`support.faults`.
"""

import ctypes
import io
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from LiveHandLib.camera import devicequery, devices, framereader
from LiveHandLib.detection import detector
from LiveHandLib.threads import gil
from support.faults import assertReported, panel, qt, slicer, status
from support.helpers import goLive, liveHandThreads, nodesOfLiveHand, settled
from support.paths import MODEL, ROOT, SAMPLE_CLIP

pytestmark = [pytest.mark.usefixtures("model", "unharmed")]


def tick(app, widget, source=None) -> None:
    """Choose a source and tick Live."""
    if source is not None:
        widget.logic.setSource(source)
    widget.ui.liveCheckBox.setChecked(True)


def assertLiveFails(app, widget, source, words: str) -> None:
    """The same, and Live goes off again for a reason that the panel reports."""
    tick(app, widget, source)
    settled(app, widget.logic)
    assertReported(widget, words)


def more(app, tracked, frames: int = 3) -> bool:
    """Whether so many more frames are processed."""
    before = len(tracked)
    return app.spin(lambda: len(tracked) >= before + frames, timeout=10)


# Camera


class Driver:
    """A camera with a driver that fails when a test wants it, as no real one does: stands in for ``cv2.VideoCapture``.

    :ivar frames: function from a frame's number to what ``read`` returns; the sample clip's hand if not replaced.
    :ivar hang: ``read`` does not return while it is cleared.
    """

    def __init__(self, image: np.ndarray, videoCapture: type) -> None:
        self._VideoCapture = videoCapture
        self.frames = lambda number: (True, image)
        self.hang = threading.Event()
        self.hang.set()
        self.isPlugged = True
        self.captures: list[Driver._Capture] = []

    def open(self, source, *_arguments):
        """In place of ``cv2.VideoCapture``; files are read as ever."""
        if not isinstance(source, int):
            return self._VideoCapture(source)
        self.captures.append(self._Capture(self))
        return self.captures[-1]

    @property
    def areAllReleased(self) -> bool:
        return all(capture.isReleased for capture in self.captures)

    class _Capture:
        def __init__(self, driver) -> None:
            self.driver, self.number, self.isReleased = driver, 0, False

        def isOpened(self):
            return self.driver.isPlugged

        def set(self, *_arguments):
            return False

        def get(self, *_arguments):
            return 0.0

        def read(self):
            time.sleep(0.02)
            self.driver.hang.wait()
            if not self.driver.isPlugged:
                return False, None
            self.number += 1
            return self.driver.frames(self.number)

        def release(self):
            self.isReleased = True


@pytest.fixture
def handImage() -> np.ndarray:
    import cv2

    return cv2.VideoCapture(str(SAMPLE_CLIP)).read()[1]


@pytest.fixture
def driver(monkeypatch, unharmed, app, handImage):
    """A camera's driver that fails when a test wants it; every camera is released in the end."""
    import cv2

    driver = Driver(handImage, cv2.VideoCapture)
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", driver.open)
        yield driver
        driver.hang.set()
        panel().logic.stop()
        settled(app, panel().logic)
    assert app.spin(lambda: driver.areAllReleased, timeout=10)


@pytest.mark.fault("Camera: unplugged while live")
def test_camera_unplugged(app, widget, driver):
    goLive(app, widget, 0)
    driver.isPlugged = False
    settled(app, widget.logic)
    assertReported(widget, "stopped sending frames")


@pytest.mark.fault("Camera: gone at start")
def test_camera_gone_at_start(app, widget):
    assertLiveFails(app, widget, 97, "cannot be opened")


@pytest.mark.fault("Camera: held by another program")
def test_camera_held_by_another_program(app, widget, driver, monkeypatch):
    monkeypatch.setattr(framereader, "WAKING_TIME_S", 1.0)
    driver.frames = lambda number: (False, None)
    assertLiveFails(app, widget, 0, "has sent no frame")


@pytest.mark.fault("Camera: opens but never delivers a frame")
def test_camera_that_never_delivers(app, widget, driver, monkeypatch):
    monkeypatch.setattr(framereader, "WAKING_TIME_S", 0.3)
    monkeypatch.setattr(framereader, "RELEASE_TIME_S", 0.1)
    driver.hang.clear()
    assertLiveFails(app, widget, 0, "has sent no frame")


@pytest.mark.fault("Camera: a frame every 5 s")
def test_camera_that_is_slow(app, widget, driver, tracked, handImage):
    driver.frames = lambda number: (time.sleep(5.0), (True, handImage))[1]
    goLive(app, widget, 0)
    assert app.spin(lambda: len(tracked) >= 3, timeout=30)
    assert widget.logic.worker.state == "live" and widget.ui.liveCheckBox.checked


@pytest.mark.fault("Camera: freezes for 10 s and comes back")
def test_camera_that_freezes_and_comes_back(app, widget, driver, tracked):
    goLive(app, widget, 0)
    driver.hang.clear()
    app.spin(timeout=1.0)
    frozen = len(tracked)
    app.spin(timeout=9.0)
    assert len(tracked) == frozen and status(widget)[:1] != "⚠"
    driver.hang.set()
    assert more(app, tracked)
    assert widget.logic.worker.state == "live"


@pytest.mark.fault("Camera: freezes for good and comes back when Live is off")
def test_camera_that_comes_back_too_late(app, widget, driver, monkeypatch):
    monkeypatch.setattr(framereader, "SILENCE_TIME_S", 0.3)
    monkeypatch.setattr(framereader, "RELEASE_TIME_S", 0.1)
    goLive(app, widget, 0)
    driver.hang.clear()
    settled(app, widget.logic)
    assertReported(widget, "has sent no frame")
    assert not driver.areAllReleased
    driver.hang.set()
    app.spin(timeout=1.0)  # in which no Python runs but LiveHand's own
    assert driver.areAllReleased, "the camera's light must not stay on until somebody runs Python"


@pytest.mark.fault("Camera: read() never returns, Live off")
def test_read_that_never_returns_does_not_keep_live_on(app, widget, driver, monkeypatch):
    monkeypatch.setattr(framereader, "RELEASE_TIME_S", 0.1)
    goLive(app, widget, 0)
    driver.hang.clear()
    app.spin(timeout=0.2)
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)
    assert not widget.ui.liveCheckBox.checked and status(widget) == ""
    widget.logic.setSource(SAMPLE_CLIP)
    driver.hang.set()


@pytest.mark.fault("Camera: changes resolution in mid-stream")
def test_camera_that_changes_resolution(app, widget, driver, tracked, handImage):
    import cv2

    sizes = [(640, 480), (320, 240), (1280, 720), (360, 640), (641, 479)]
    images = [cv2.resize(handImage, size) for size in sizes]
    driver.frames = lambda number: (True, images[number // 3 % len(images)])
    widget.logic.getParameterNode().showInSliceView = True
    goLive(app, widget, 0)
    assert app.spin(lambda: {frame.imageSize for frame in tracked} == set(sizes), timeout=30)
    assert not status(widget).startswith("⚠")


def unusual(kind: str) -> np.ndarray:
    """An image as cameras seldom send it."""
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    return {
        "black": np.zeros((480, 640, 3), np.uint8),
        "noise": noise,
        "a single channel": noise[:, :, 0].copy(),
        "a single channel of three dimensions": noise[:, :, :1].copy(),
        "four channels": np.dstack([noise, noise[:, :, 0]]),
        "16 bit": noise.astype(np.uint16) << 8,
        "an odd size": noise[:333, :517].copy(),
        "16 x 16 px": noise[:16, :16].copy(),
        "8K": np.tile(noise, (9, 12, 1)),
    }[kind]


KINDS = (
    "black", "noise", "a single channel", "a single channel of three dimensions", "four channels", "16 bit",
    "an odd size", "16 x 16 px", "8K",
)  # fmt: skip


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.fault(f"Camera: sends {kind}")) for kind in KINDS]
)
def test_images_of_any_kind(app, widget, driver, tracked, kind):
    image = unusual(kind)
    driver.frames = lambda number: (True, image)
    widget.ui.previewCollapsibleButton.collapsed = False
    widget.logic.getParameterNode().showInSliceView = kind != "8K"
    tick(app, widget, 0)
    assert more(app, tracked), status(widget)
    assert tracked[-1].imageSize == image.shape[1::-1]
    assert not status(widget).startswith("⚠")


@pytest.mark.fault("Camera: sends what is no image")
@pytest.mark.parametrize(
    "shape, kind", [((48, 64, 2), np.uint8), ((48, 64, 3), float), ((0, 64, 3), np.uint8), ((1, 64), np.uint8)]
)
def test_what_is_no_image(app, widget, driver, shape, kind):
    driver.frames = lambda number: (True, np.zeros(shape, kind))
    assertLiveFails(app, widget, 0, "images of an unknown kind")


@pytest.mark.fault("Camera: a clip that ends")
def test_clip_that_ends(app, widget):
    widget.logic.getParameterNode().everyFrame = True
    tick(app, widget, SAMPLE_CLIP)
    settled(app, widget.logic)
    assert status(widget) == "The file has been played to its end."
    widget.logic.getParameterNode().everyFrame = False


@pytest.mark.fault("Camera: a clip that is cut off")
def test_clip_that_is_cut_off(app, widget, tmp_path, writeClip):
    whole = Path(writeClip(60, 100.0)).read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(whole[: len(whole) // 2])
    tick(app, widget, path)
    settled(app, widget.logic)
    statistics = widget.logic.worker.lastStatistics
    assert statistics.framesRead in range(1, 60)
    assert statistics.framesUnreadable == pytest.approx(60 - statistics.framesRead, abs=1)
    words = f"The file has been played to its end; {statistics.framesUnreadable} frames could not be decoded."
    assert status(widget) == words


@pytest.mark.fault("Camera: a clip that was cut off before its index")
def test_clip_without_its_index(app, widget, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(SAMPLE_CLIP.read_bytes()[:1000])
    assertLiveFails(app, widget, path, "cannot be read as a video")


@pytest.mark.fault("Camera: a clip of 0 bytes")
@pytest.mark.parametrize("name", ["empty.mp4", "empty.png"])
def test_clip_of_no_bytes(app, widget, tmp_path, name):
    (tmp_path / name).touch()
    assertLiveFails(app, widget, tmp_path / name, f"{name} cannot be read as a video")


@pytest.mark.fault("Camera: a file that is no video")
@pytest.mark.parametrize("name", ["text.mp4", "text.png", "text"])
def test_file_that_is_no_video(app, widget, tmp_path, name):
    (tmp_path / name).write_text("no video at all " * 100)
    assertLiveFails(app, widget, tmp_path / name, f"{name} cannot be read as a video")


@pytest.mark.fault("Camera: an image that is cut off")
def test_image_that_is_cut_off(app, widget, tmp_path, handImage):
    import cv2

    path = tmp_path / "cut.png"
    path.write_bytes(cv2.imencode(".png", handImage)[1].tobytes()[:30])
    assertLiveFails(app, widget, path, "cut.png cannot be read as a video")


@pytest.mark.fault("Camera: a clip whose name has spaces and non-ASCII letters")
def test_clip_with_any_name(app, widget, tmp_path, tracked):
    folder = tmp_path / "Händé 手 {0} % clip"
    folder.mkdir()
    path = folder / "ma vidéo 手 {detail}.mp4"
    path.write_bytes(SAMPLE_CLIP.read_bytes())
    goLive(app, widget, path)
    assert more(app, tracked)
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)
    path.unlink()
    assertLiveFails(app, widget, path, path.name)


@pytest.mark.fault("Camera: a clip whose path is gone before it is played")
def test_clip_that_is_gone(app, widget, tmp_path):
    assertLiveFails(app, widget, tmp_path / "gone" / "clip.mp4", "There is no file")
    assertLiveFails(app, widget, tmp_path, "There is no file")


@pytest.mark.fault("Camera: a clip whose path disappears while it is played")
def test_clip_that_disappears(app, widget, tmp_path, tracked):
    path = tmp_path / "clip.mp4"
    path.write_bytes(SAMPLE_CLIP.read_bytes())
    goLive(app, widget, path)
    path.write_bytes(b"")  # as when a network drive goes away; what is deleted only can be read on
    path.unlink()
    settled(app, widget.logic)
    assert not widget.ui.liveCheckBox.checked
    assertLiveFails(app, widget, path, "There is no file")


@pytest.mark.fault("Camera: the list of cameras changes while the drop-down is open")
def test_cameras_change_while_the_drop_down_is_open(app, widget):
    widget.logic.setSource(SAMPLE_CLIP)
    widget.sourcePanel.onCamerasFound((devices.Camera(200, "One"), devices.Camera(202, "Two")))
    box = widget.ui.sourceComboBox
    box.showPopup()
    app.spin(timeout=0.05)
    for cameras in ((devices.Camera(202, "Two"),), (), (devices.Camera(204, "Three"), devices.Camera(202, "Two"))):
        widget.sourcePanel.onCamerasFound(cameras)
        app.spin(timeout=0.05)
        shown = [box.itemText(index) for index in range(box.count)]
        assert shown[: len(cameras)] == [one.name for one in cameras]
        assert box.currentText == "Sample clip", "what is chosen stays chosen"
    box.setCurrentIndex(1)
    box.hidePopup()
    widget.sourcePanel.onSourceActivated(1)
    assert widget.logic.getParameterNode().source == "camera:202:Two"
    widget.sourcePanel.onCamerasFound(())
    assert box.currentText == "Two (not found)"


# Application


@pytest.mark.fault("Application: scene closed while live")
def test_scene_closed(app, widget):
    goLive(app, widget)
    slicer.mrmlScene.Clear(0)
    settled(app, widget.logic)
    assert status(widget) == "" and not widget.ui.liveCheckBox.checked
    assert nodesOfLiveHand() == [widget.logic.getParameterNode().parameterNode]


@pytest.mark.fault("Application: scene closed in a slot of LiveHand's")
def test_scene_closed_in_a_slot(app, widget):
    goLive(app, widget)
    closed = []

    def close(_frame):
        if not closed:
            closed.append(1)
            slicer.mrmlScene.Clear(0)

    widget.logic.worker.tracked.connect(close)
    assert app.spin(lambda: closed, timeout=20)
    settled(app, widget.logic)
    widget.logic.worker.tracked.disconnect(close)


@pytest.mark.fault("Application: another scene added while live")
def test_scene_imported(app, widget, tracked, tmp_path):
    goLive(app, widget)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": path, "clear": False})
    assert more(app, tracked)
    slicer.mrmlScene.Clear(0)  # with the second copy of everything
    settled(app, widget.logic)


@pytest.mark.fault("Application: module reloaded while live", times=10)
def test_module_reloaded(app, widget):
    for _time in range(10):
        goLive(app, widget)
        slicer.util.reloadScriptedModule("LiveHand")
        widget = panel()
        assert not widget.ui.liveCheckBox.checked
        settled(app, widget.logic)


def test_panel_whose_setup_failed_is_cleaned_up(app, monkeypatch):
    import LiveHand

    def fail(*_arguments):
        raise RuntimeError("no such child")

    monkeypatch.setattr(LiveHand, "MotionPanel", fail)
    parent = slicer.qMRMLWidget()
    parent.setLayout(qt.QVBoxLayout())
    failed = LiveHand.LiveHandWidget(parent)
    with pytest.raises(RuntimeError, match="no such child"):
        failed.setup()
    logic = failed.logic
    failed.cleanup()
    assert logic.worker is None
    parent.delete()  # PythonQt crashes at exit over widgets that Python still has


@pytest.mark.fault("Application: module left and entered while live", times=10)
def test_module_left_and_entered(app, widget, tracked):
    goLive(app, widget)
    for _time in range(10):
        app.showModule(None)
        assert more(app, tracked, 1), "Live goes on"
        app.showModule("LiveHand")
        assert widget.ui.liveCheckBox.checked


QUITTING = """
    import sys, threading, time
    sys.path[:0] = [{testing!r}]
    from host.application import Application
    application = Application(headless=True)
    import slicer
    widget = application.showModule(application.loadModule({module!r}))
    from LiveHandLib.detection import detector
    detector.importPackages()
    import cv2
    image = cv2.VideoCapture({clip!r}).read()[1]
    class HangingCamera:
        number = 0
        isOpened = set = lambda *_arguments: True
        get = lambda *_arguments: 0.0
        release = lambda *_arguments: None
        def read(self):
            self.number += 1
            time.sleep(0.05)
            if self.number > 60:
                threading.Event().wait()
            return True, image
    seen = []
    def onTracked(frame):
        seen.append(frame)
        if len(seen) == 5:
            {slot}
    widget.logic.worker.tracked.connect(onTracked)
    {source}
    widget.ui.liveCheckBox.setChecked(True)
    application.exec()
    application.close()
    assert application.errors == [], application.errors
    assert len(seen) >= 5
    print("quit in peace")
"""
CLIP, CAMERA = (
    "widget.logic.setSource({clip!r})",
    "cv2.VideoCapture = lambda *_: HangingCamera(); widget.logic.setSource(0)",
)


@pytest.mark.parametrize(
    "slot, source",
    [
        pytest.param("slicer.app.exit()", CLIP, marks=pytest.mark.fault("Application: quits while live")),
        pytest.param(
            "slicer.app.exit(); slicer.app.processEvents(); time.sleep(0.2); slicer.app.processEvents()",
            CLIP,
            marks=pytest.mark.fault("Application: quits with a slot in flight"),
        ),
        pytest.param(
            "import qt; qt.QTimer.singleShot(1000, slicer.app.exit)",
            CAMERA,
            marks=pytest.mark.fault("Camera: read() never returns, Slicer quits"),
        ),
    ],
)
def test_application_quits(slot, source):
    words = {
        "testing": str(ROOT / "Testing"),
        "module": str(ROOT / "LiveHand" / "LiveHand.py"),
        "clip": str(SAMPLE_CLIP),
    }
    code = textwrap.dedent(QUITTING).format(**words, slot=slot, source=source.format(**words))
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    assert process.stdout.endswith("quit in peace\n")


def allNodes(parameterNode) -> list:
    names = ("rightSurface", "rightSkeleton", "rightLandmarks", "rightPointer", "cameraToRAS")
    return [getattr(parameterNode, name) for name in names]


def delete(parameterNode) -> None:
    for node in allNodes(parameterNode):
        slicer.mrmlScene.RemoveNode(node)


def deleteDisplays(parameterNode) -> None:
    for node in allNodes(parameterNode):
        if hasattr(node, "GetDisplayNode") and node.GetDisplayNode():
            slicer.mrmlScene.RemoveNode(node.GetDisplayNode())


def deletePoint(parameterNode) -> None:
    parameterNode.rightLandmarks.SetFixedNumberOfControlPoints(False)
    parameterNode.rightLandmarks.SetLocked(False)
    parameterNode.rightLandmarks.RemoveNthControlPoint(8)


def deleteAllPoints(parameterNode) -> None:
    parameterNode.rightLandmarks.SetFixedNumberOfControlPoints(False)
    parameterNode.rightLandmarks.RemoveAllControlPoints()


def rename(parameterNode) -> None:
    for node in allNodes(parameterNode):
        node.SetName("Mine")


def lock(parameterNode) -> None:
    for node in allNodes(parameterNode):
        node.SetSelectable(False)
        node.SetHideFromEditors(True)
    parameterNode.rightLandmarks.SetLocked(not parameterNode.rightLandmarks.GetLocked())


def reparent(parameterNode) -> None:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "LiveHand is mine")
    for node in allNodes(parameterNode):
        node.SetAndObserveTransformNodeID(transform.GetID())


def unparent(parameterNode) -> None:
    for node in allNodes(parameterNode):
        node.SetAndObserveTransformNodeID(None)


DEEDS = {
    delete: "deletes the nodes",
    deleteDisplays: "deletes their display nodes",
    deletePoint: "deletes a landmark",
    deleteAllPoints: "deletes all landmarks",
    rename: "renames the nodes",
    lock: "locks and hides the nodes",
    reparent: "puts the nodes under another transform",
    unparent: "puts the nodes under no transform",
}


@pytest.mark.parametrize(
    "deed",
    [pytest.param(deed, marks=pytest.mark.fault(f"Application: the user {name}")) for deed, name in DEEDS.items()],
)
def test_nodes_are_the_users(app, widget, tracked, deed):
    from LiveHandLib.scene.handnodes import Display

    widget.logic.getParameterNode().display = Display.BOTH
    widget.logic.getParameterNode().pointer = True
    goLive(app, widget)
    assert more(app, tracked, 1)
    for _time in range(2):
        parameterNode = widget.logic.getParameterNode()
        if parameterNode.rightSurface:
            deed(parameterNode)
        assert more(app, tracked, 2)
    assert widget.logic.worker.state == "live"
    assert parameterNode.rightLandmarks.GetNumberOfControlPoints() == 21
    widget.logic.getParameterNode().pointer = False


def computeKeepingTheGil(seconds: float) -> None:
    ctypes.PyDLL(None).usleep(int(1e6 * seconds))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no usleep")
@pytest.mark.parametrize(
    "seconds, times",
    [
        pytest.param(
            0.2, 5, marks=pytest.mark.fault("Application: a computation of 200 ms in the GUI thread", times=5)
        ),
        pytest.param(10.0, 1, marks=pytest.mark.fault("Application: a computation of 10 s in the GUI thread")),
    ],
)
def test_computation_in_the_gui_thread(app, widget, driver, tracked, monkeypatch, seconds, times):
    monkeypatch.setattr(framereader, "SILENCE_TIME_S", 5.0)  # it is not the camera that is silent
    goLive(app, widget, 0)
    for _time in range(times):
        computeKeepingTheGil(seconds)
        before = len(tracked)
        slicer.app.processEvents()
        assert len(tracked) - before <= 2, "no queue has come about"
        assert more(app, tracked)
    assert widget.logic.worker.state == "live"


@pytest.mark.fault("Application: a modal dialog")
def test_modal_dialog(app, widget, tracked):
    goLive(app, widget)
    dialog = qt.QDialog()
    qt.QTimer.singleShot(300, dialog.accept)
    dialog.exec_()
    assert more(app, tracked)


@pytest.mark.fault("Application: a modal dialog in a slot of LiveHand's")
def test_modal_dialog_in_a_slot(app, widget):
    shown = []

    def show(*_arguments):
        if not shown:
            dialog = qt.QDialog()
            shown.append(dialog)
            qt.QTimer.singleShot(200, dialog.accept)
            dialog.exec_()

    worker = widget.logic.worker
    for signal in (worker.tracked, worker.stateChanged):
        shown.clear()
        signal.connect(show)
        goLive(app, widget)
        widget.ui.liveCheckBox.setChecked(False)
        settled(app, widget.logic)
        signal.disconnect(show)
        assert shown


@pytest.mark.fault("Application: processEvents and Live off and on in a slot", times=10)
def test_events_processed_in_a_slot(app, widget, tracked):
    turns = []

    def process(_frame):
        turns.append(1)
        slicer.app.processEvents()
        if len(turns) % 5 == 0 and len(turns) <= 50:
            widget.ui.liveCheckBox.setChecked(False)
            slicer.app.processEvents()
            widget.ui.liveCheckBox.setChecked(True)
            slicer.app.processEvents()

    widget.logic.worker.tracked.connect(process)
    goLive(app, widget)
    assert app.spin(lambda: len(turns) > 52, timeout=60)
    widget.logic.worker.tracked.disconnect(process)


@pytest.mark.fault("Application: two logics at once, the second on another source")
def test_two_logics(app, widget, driver):
    """They are of one scene, so the first one follows to the other source; see ``test_parameters.py``."""
    from LiveHand import LiveHandLogic

    app.showModule(None)
    frames: dict[str, list] = {"clip": [], "camera": []}
    logics = []
    try:
        for name, source in (("clip", SAMPLE_CLIP), ("camera", 0)):
            logic = LiveHandLogic()
            logics.append(logic)
            logic.worker.tracked.connect(frames[name].append)
            logic.setSource(source)
            logic.getParameterNode().everyFrame = False
            logic.start()
        assert app.spin(lambda: all(len(some) > 5 for some in frames.values()), timeout=30)
        logics[0].stop()
        assert app.spin(lambda: logics[0].worker.state == "off", timeout=20)
        before = len(frames["camera"])
        assert app.spin(lambda: len(frames["camera"]) > before + 3, timeout=20), "the other one goes on"
    finally:
        for logic in logics:
            logic.close()


@pytest.mark.fault("Application: Live toggled as fast as events allow", times=50)
def test_live_toggled(app, widget):
    widget.logic.setSource(SAMPLE_CLIP)
    for number in range(50):
        widget.ui.liveCheckBox.setChecked(number % 2 == 0)
        if number % 7 == 0:
            app.spin(timeout=0.01)
        else:
            slicer.app.processEvents()


@pytest.mark.fault("Application: undo and redo while live")
def test_undo_and_redo(app, widget, tracked):
    scene = slicer.mrmlScene
    scene.SetUndoOn()
    try:
        scene.SaveStateForUndo()
        goLive(app, widget)
        for _time in range(5):
            scene.SaveStateForUndo()
            assert more(app, tracked, 1)
            scene.Undo()
            assert more(app, tracked, 1)
            scene.Redo()
            assert more(app, tracked, 1)
        scene.Undo()
        scene.Undo()
        assert more(app, tracked, 1)
    finally:
        scene.ClearUndoStack()
        scene.ClearRedoStack()
        scene.SetUndoOff()


# Worker


def raising(*_arguments, **_keywords):
    raise ZeroDivisionError("on purpose\nin a second line")


STEPS = {
    "importing": "detection.detector.importPackages",
    "reading the model": "detection.detector.loadModel",
    "making MediaPipe's detector": "detection.detector.HandDetector.__init__",
    "detecting": "detection.detector.HandDetector.detect",
    "closing the detector": "detection.detector.HandDetector.close",
    "placing the hand": "pose.estimator.HandPoseEstimator.estimate",
    "drawing the preview": "tracking.preview.mirrored",
    "finding a hint": "tracking.hints.hint",
    "making the reader": "camera.framereader.FrameReader.__init__",
    "starting the reader": "camera.framereader.FrameReader.start",
    "reading": "camera.framereader.FrameReader._fileFrames",
    "converting an image": "camera.framereader.toRgb",
    "taking a frame": "camera.framereader.FrameReader.next",
    "making the nodes": "scene.handnodes.HandNodes.__init__",
    "moving the nodes": "scene.handnodes.HandNodes.update",
    "moving the skin": "scene.surface.HandSurface.update",
    "showing the preview in the slice view": "scene.sliceview.CameraSlice.update",
    "measuring": "motion.motion.Motion.add",
}


@pytest.mark.parametrize(
    "step",
    [pytest.param(step, marks=pytest.mark.fault(f"Worker: an exception when {name}")) for name, step in STEPS.items()],
)
def test_exception_at_any_step(app, widget, monkeypatch, step):
    goLive(app, widget)  # so that there are nodes already
    widget.logic.stop()
    settled(app, widget.logic)
    slicer.mrmlScene.Clear(0)
    widget.ui.previewCollapsibleButton.collapsed = False
    widget.logic.getParameterNode().showInSliceView = True
    widget.logic.getParameterNode().numberOfHands = 2  # which needs another detector, and the one before is closed
    monkeypatch.setattr(f"LiveHandLib.{step}", raising)
    assertLiveFails(app, widget, SAMPLE_CLIP, "ZeroDivisionError: on purpose in a second line")
    monkeypatch.undo()
    goLive(app, widget)
    widget.logic.getParameterNode().showInSliceView = False


@pytest.mark.fault("Worker: searching for cameras fails")
def test_cameras_cannot_be_listed(app, widget, monkeypatch):
    monkeypatch.setattr(devicequery, "listCameras", raising)
    widget.ui.refreshButton.click()
    settled(app, widget.logic)
    assert "Sample clip" in [widget.ui.sourceComboBox.itemText(i) for i in range(widget.ui.sourceComboBox.count)]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(np.nan, marks=pytest.mark.fault("Worker: MediaPipe returns NaN")),
        pytest.param(np.inf, marks=pytest.mark.fault("Worker: MediaPipe returns infinity")),
        pytest.param(30.0, marks=pytest.mark.fault("Worker: MediaPipe returns landmarks outside of the image")),
        pytest.param(-1e9, marks=pytest.mark.fault("Worker: MediaPipe returns landmarks a billion image widths away")),
        pytest.param(0.0, marks=pytest.mark.fault("Worker: MediaPipe returns the same point 21 times")),
    ],
)
def test_what_mediapipe_returns(app, widget, tracked, monkeypatch, value):
    from mediapipe.tasks.python import vision

    widget.ui.previewCollapsibleButton.collapsed = False
    detect = vision.HandLandmarker.detect_for_video

    def detectWrongly(self, *arguments):
        result = detect(self, *arguments)
        for landmarks in (*result.hand_landmarks, *result.hand_world_landmarks):
            for index, point in enumerate(landmarks):
                if value == 0.0 or index % 3 == 0:
                    point.x, point.y, point.z = value, value, value
        return result

    goLive(app, widget)
    assert more(app, tracked, 1)
    monkeypatch.setattr(vision.HandLandmarker, "detect_for_video", detectWrongly)
    monkeypatch.setattr(detector, "KNOWN_VERSIONS", ())  # whose results are read otherwise, and checked the same
    landmarks = widget.logic.getParameterNode().rightLandmarks
    for _time in range(10):
        assert more(app, tracked, 1)
        points = slicer.util.arrayFromMarkupsControlPoints(landmarks)
        assert (
            np.isfinite(points).all()
            and np.isfinite(widget.logic.getParameterNode().rightSurface.GetPolyData().GetBounds()).all()
        )
    assert not status(widget).startswith("⚠")


@pytest.mark.fault("Worker: the clock jumps back")
def test_clock_that_jumps_back(app, widget, tracked, monkeypatch):
    frame = framereader.FrameReader._frame

    def jumping(self, image, number, timestampMs, captureTime):
        return frame(self, image, number, timestampMs - 10_000 * (number % 5 == 4), captureTime)

    monkeypatch.setattr(framereader.FrameReader, "_frame", jumping)
    goLive(app, widget)
    assert more(app, tracked, 20)
    assert sum(bool(seen.hands) for seen in tracked) > 15
    assert not status(widget).startswith("⚠")


@pytest.mark.fault("Worker: the GIL switch is missing")
def test_gil_switch_missing(app, widget, monkeypatch):
    monkeypatch.setattr(gil, "canRunPythonInQThread", lambda: False)
    goLive(app, widget)
    assert "LiveHand worker" in liveHandThreads()


# Packages and model


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Lets a version of a package be installed before the one that is, or leaves over what an installation left."""

    def make(name: str, version: str, *, metadata: str | None = None, isThere: bool = True) -> None:
        folder = tmp_path / "site" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        if isThere:
            (tmp_path / "site" / name).mkdir()
            (tmp_path / "site" / name / "__init__.py").touch()
            (folder / "RECORD").write_text(f"{name}/__init__.py,,\n")
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        if metadata is not None:
            (folder / "METADATA").write_text(metadata)
        monkeypatch.syspath_prepend(str(folder.parent))

    return make


def assertInstallIsOffered(widget, isOffered: bool = True) -> None:
    widget.enter()
    assert widget.ui.installWidget.visible == isOffered
    assert widget.ui.liveCheckBox.enabled != isOffered


@pytest.fixture
def requirements(monkeypatch, tmp_path):
    """Makes LiveHand ask for other packages; pip would put them into a folder of the test's."""
    from LiveHandLib import logic

    resourcePath = logic.resourcePath
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "target"))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")

    def make(*lines: str) -> None:
        path = tmp_path / "requirements.txt"
        path.write_text("\n".join(lines))
        monkeypatch.setattr(
            logic, "resourcePath", lambda name: path if name == "requirements.txt" else resourcePath(name)
        )

    return make


@pytest.fixture
def answer(app, monkeypatch):
    """Answers Slicer's questions, and closes the dialog in which it shows what pip printed."""

    def give(value: bool) -> None:
        monkeypatch.setattr(app, "testing", False)
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_words, **_more: value)
        monkeypatch.setattr(slicer.util, "errorDisplay", lambda *_words, **_more: None)

    return give


@pytest.mark.fault("Packages: one is missing")
def test_package_missing(app, widget, requirements):
    requirements("livehand-needs-nothing-like-this==1.0")
    assertInstallIsOffered(widget)
    widget.logic.setSource(SAMPLE_CLIP)
    widget.logic.start()
    assertReported(widget, "livehand-needs-nothing-like-this==1.0 is missing")


@pytest.mark.fault("Packages: one is too old")
def test_package_too_old(app, widget, distribution):
    distribution("mediapipe", "0.10.21")
    assertInstallIsOffered(widget)
    widget.logic.setSource(SAMPLE_CLIP)
    widget.logic.start()
    assertReported(widget, "mediapipe")


@pytest.mark.fault("Field: left-over dist-infos when the panel comes up")
@pytest.mark.parametrize("metadata", [None, "", "Metadata-Version: 2.1\nName: x\nVersion: unknown\n"])
def test_left_over_dist_infos(app, widget, distribution, metadata):
    for name in ("mediapipe", "opencv_python", "numpy", "cv2_enumerate_cameras"):
        distribution(name, "0.1", metadata=metadata, isThere=False)
    slicer.util.reloadScriptedModule("LiveHand")
    assertInstallIsOffered(panel(), False)
    assert status(panel()) == ""
    goLive(app, panel())


@pytest.mark.fault("Field: an old OpenCV has been imported when the panel comes up")
def test_old_opencv_has_been_imported(app, widget, monkeypatch):
    import cv2

    with monkeypatch.context() as patch:
        patch.setattr(cv2, "__version__", "4.5.5")
        widget.enter()
        assertReported(widget, "opencv-python is in use in its version 4.5.5: restart Slicer.")
        assert not widget.ui.liveCheckBox.enabled and not widget.ui.installWidget.visible
        widget.logic.setSource(SAMPLE_CLIP)
        widget.logic.start()
        assertReported(widget, "restart Slicer")
    widget.enter()
    assert status(widget) == "" and widget.ui.liveCheckBox.enabled


@pytest.mark.fault("Packages: one goes away before Live is ticked")
def test_package_gone(app, widget, monkeypatch):
    from LiveHandLib.detection import detector

    monkeypatch.setattr(detector, "_MODULES", {"mediapipe": ("livehand_nowhere",)})
    assertLiveFails(app, widget, SAMPLE_CLIP, "The Python package mediapipe is missing")


@pytest.mark.fault("Packages: one is broken on import")
@pytest.mark.parametrize(
    "code", ["import livehand_nowhere_at_all", "raise SystemError('no such symbol\\nin any library')"]
)
def test_package_broken(app, widget, monkeypatch, tmp_path, code):
    from LiveHandLib.detection import detector

    (tmp_path / "livehand_broken.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(detector, "_MODULES", {"mediapipe": ("livehand_broken",)})
    assertLiveFails(app, widget, SAMPLE_CLIP, "The Python package mediapipe cannot be loaded")


@pytest.mark.fault("Packages: pip refused by the user")
def test_pip_refused(app, widget, requirements, answer):
    requirements("livehand-needs-nothing-like-this==1.0")
    answer(False)
    assertInstallIsOffered(widget)
    widget.ui.installButton.click()
    assertReported(widget, "not installed, as you chose")


@pytest.mark.fault("Packages: pip without network")
def test_pip_without_network(app, widget, requirements, answer, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    requirements("livehand-needs-nothing-like-this==1.0")
    answer(True)
    assertInstallIsOffered(widget)
    widget.ui.installButton.click()
    assertReported(widget, "pip cannot reach the package index")
    assertInstallIsOffered(widget)


@pytest.mark.fault("Packages: pip fails half-way")
def test_pip_fails_half_way(app, widget, requirements, answer, monkeypatch, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("livehand_first", "livehand_second"):
        path, info = wheels / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{name}.py", "number = 1")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
        if name == "livehand_first":  # which pip installs last
            path.write_bytes(path.read_bytes().replace(b"number = 1", b"number = 2"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    requirements("livehand-first==1.0", "livehand-second==1.0")
    answer(True)
    widget.ui.installButton.click()
    assertReported(widget, "failed (Bad CRC-32 for file 'livehand_first.py'): read what pip says in the Python console")
    assertInstallIsOffered(widget)


@pytest.mark.fault("Packages: no room for pip's files")
def test_no_room_for_pip(app, widget, requirements, answer, monkeypatch, tmp_path):
    requirements("livehand-needs-nothing-like-this==1.0")
    answer(True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    widget.ui.installButton.click()
    assertReported(widget, "Installing livehand-needs-nothing-like-this==1.0 failed")


def otherTask() -> bytes:
    """A bundle as MediaPipe wants it, with something else in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as bundle:
        bundle.writestr("hand_detector.tflite", b"no model " * 1000)
        bundle.writestr("hand_landmarks_detector.tflite", b"no model " * 1000)
    return file.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: b"", marks=pytest.mark.fault("Model: empty")),
        pytest.param(lambda: MODEL.read_bytes()[:100_000], marks=pytest.mark.fault("Model: truncated")),
        pytest.param(lambda: b"no model", marks=pytest.mark.fault("Model: a text")),
        pytest.param(SAMPLE_CLIP.read_bytes, marks=pytest.mark.fault("Model: a film")),
        pytest.param(otherTask, marks=pytest.mark.fault("Model: of another kind")),
    ],
)
def test_model_of_another_kind(app, widget, tmp_path, make):
    path = tmp_path / "other.task"
    path.write_bytes(make())
    widget.logic.setModel(path)
    assertLiveFails(app, widget, SAMPLE_CLIP, "MediaPipe cannot use the hand model")


@pytest.mark.fault("Model: missing, a folder, and changed since it was chosen")
def test_model_missing_or_changed(app, widget, tmp_path):
    path = tmp_path / "other.task"
    path.write_bytes(MODEL.read_bytes())
    widget.logic.setModel(path)
    path.write_bytes(MODEL.read_bytes()[:-1] + b"x")
    assertLiveFails(app, widget, SAMPLE_CLIP, "is not the file it should be (its SHA-256 differs)")
    path.unlink()
    assertLiveFails(app, widget, SAMPLE_CLIP, "other.task cannot be read")
    path.mkdir()
    assertLiveFails(app, widget, SAMPLE_CLIP, "other.task cannot be read")


@pytest.mark.fault("Model: the hand's mesh is missing or damaged")
def test_mesh_missing(app, widget, tmp_path, monkeypatch):
    for name in ("nowhere.npz", "damaged.npz"):
        (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 no mesh")
        slicer.mrmlScene.Clear(0)
        monkeypatch.setattr(widget.logic.display, "meshPath", tmp_path / name)
        assertLiveFails(app, widget, SAMPLE_CLIP, f"{name} cannot be read")
    monkeypatch.undo()
    slicer.mrmlScene.Clear(0)


@pytest.mark.fault("Settings: from a newer version or damaged")
@pytest.mark.parametrize("value", ["from a newer version", "nan", "1e999", ["a", "b"], ""])
def test_settings_damaged(app, widget, value):
    settings = slicer.app.userSettings()
    names = ("palmWidthMm", "smoothingMs", "tipOffsetMm", "padOffsetMm", "RightColor", "AgreedMediaPipe")
    before = {name: settings.value(f"LiveHand/{name}") for name in names}
    for name in names:
        settings.setValue(f"LiveHand/{name}", value)
    try:
        slicer.mrmlScene.Clear(0)
        assert widget.logic.getParameterNode().palmWidthMm == 62.0
        goLive(app, widget)
    finally:
        for name, was in before.items():
            settings.remove(f"LiveHand/{name}") if was is None else settings.setValue(f"LiveHand/{name}", was)


@pytest.mark.fault("Settings: a scene's from a newer version or damaged")
@pytest.mark.parametrize(
    "name, text", [("display", "HOLOGRAM"), ("numberOfHands", "many"), ("plottedMeasures.len", "x")]
)
def test_scene_settings_damaged(app, widget, tmp_path, name, text):
    goLive(app, widget)
    widget.logic.stop()
    settled(app, widget.logic)
    path = tmp_path / "scene.mrml"
    assert slicer.util.saveScene(str(path))
    app.showModule(None)
    slicer.mrmlScene.Clear(0)
    node = widget.logic.getParameterNode().parameterNode
    widget.logic.parameters.use(None)  # as after a start of Slicer
    node.SetParameter(name, text)
    app.showModule("LiveHand")
    assertReported(widget, "have been set back")
    assert widget.ui.numberOfHandsSpinBox.value == 1


@pytest.mark.fault("Settings: a calibration from a newer version or damaged")
@pytest.mark.parametrize("content", [b"", b"<opencv_storage><camera_matrix>", b"\x80\x04cos\nsystem\n"])
def test_calibration_damaged(app, widget, tracked, tmp_path, content):
    from LiveHandLib.errors import LiveHandError
    from LiveHandLib.panel.sentences import sentence

    path = tmp_path / "calibration.xml"
    path.write_bytes(content)
    goLive(app, widget)
    with pytest.raises(LiveHandError) as error:
        widget.logic.importCalibration(path)
    assert "calibration.xml is not a camera calibration" in sentence(error.value)
    assert more(app, tracked)
