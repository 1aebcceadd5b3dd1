"""The whole way in the host: clip, worker, signals, nodes, panel. The GUI thread keeps the GIL, as in Slicer."""

import ctypes
import gc
import os
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from support.helpers import goLive, liveHandThreads, play, settled
from support.paths import MODEL, SAMPLE_CLIP

pytestmark = pytest.mark.usefixtures("model")  # imported before, so that no test depends on which comes first


# The regime


def test_threads_stand_still_in_the_idle_event_loop(app):
    """The ground of all the others: if the host let threads run, they would prove nothing."""
    turns, stop = [], threading.Event()

    def work():
        while not stop.is_set():
            time.sleep(0.001)
            turns.append(1)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    time.sleep(0.05)  # lets it begin
    before = len(turns)
    app.spin(timeout=0.5)
    during = len(turns) - before
    stop.set()
    thread.join()
    assert during < 25, "a thread that is free makes more than 400"


def test_signals_of_the_host_give_back_what_they_took(app):
    """A Qt binding that miscounts references crashes after some thousand signals, and the blame would be ours."""
    import qt

    class Sender(qt.QObject):
        sent = qt.Signal(object)

    sender, received = Sender(), []
    sender.sent.connect(lambda message: received.append(message))
    before = [sys.getrefcount(value) for value in (True, False)]
    for number in range(1000):
        sender.sent.emit((number,))
    after = [sys.getrefcount(value) for value in (True, False)]
    assert len(received) == 1000
    assert np.abs(np.subtract(after, before)).max() < 100


def test_lender_lets_a_thread_run(app, monkeypatch):
    from LiveHandLib.threads import gil

    def rounds() -> int:
        """How often a thread comes back from a short sleep while the event loop is idle."""
        done, ends, stop = [], [], threading.Event()

        def work():
            while not stop.is_set():
                with gil.lender().schedule.blockingCall("sleep"):
                    time.sleep(0.001)
                done.append(threading.get_ident())

        gil.lender().start(work, stop.set, lambda: ends.append(threading.get_ident()))
        app.spin(timeout=1.0)
        count = len(done)
        stop.set()
        assert app.spin(lambda: ends, timeout=20)
        assert threading.get_ident() not in done
        assert ends == [threading.get_ident()], "in the GUI thread, once"
        assert not gil.lender().isBusy()
        return count

    lent = rounds()
    monkeypatch.setattr(gil.GilLender, "_lend", lambda self: None)
    assert lent > 2 * rounds()


@pytest.mark.parametrize("periodic", [False, True])
def test_estimate_that_has_become_late_recovers(periodic):
    """Calls end every 33 ms, 5 ms after they began, and are polled by a timer; all in simulated time."""
    from LiveHandLib.threads import schedule

    random = np.random.default_rng(0)
    estimator, late = schedule._ReturnTimeEstimator(periodic), []
    for call in range(400):
        begin = 0.033 * call + random.normal(0.0, 0.0002)
        end = 0.033 * call + 0.005
        due, _until = estimator.expected(begin)
        missed, seen = begin, max(due, begin) + random.uniform(0.0, 0.001)
        while seen < end:
            missed, seen = seen, seen + 0.001
        if 100 <= call < 120:
            seen += 0.02  # the GUI thread is busy
        estimator.record(begin, seen, seen - missed)
        late.append(seen - end)
    for calls in (late[60:100], late[260:]):
        assert np.mean(calls) < 0.001, "as a timer sees them that begins before they are due"


def test_thread_that_is_woken_is_not_taken_for_another_one():
    """Two workers at once: one's frame does not wake the other."""
    from LiveHandLib.threads.schedule import GilSchedule

    schedule, events = GilSchedule(), (threading.Event(), threading.Event())

    def work(event):
        with schedule.waiting(event):
            event.wait()
        schedule.done()

    threads = [threading.Thread(target=work, args=(event,), daemon=True) for event in events]
    for thread in threads:
        thread.start()
    time.sleep(0.05)  # both wait
    for event, thread in zip(events, threads, strict=True):
        schedule.wake(event)
        assert schedule.isGilWanted
        event.set()
        thread.join()
        assert not schedule.isGilWanted


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system's threads cannot choose their cores")
def test_detection_keeps_off_one_core_and_nobody_else_does(app, widget):
    def names() -> dict[int, str]:
        threads = Path("/proc/self/task").iterdir()
        return {int(thread.name): (thread / "comm").read_text().strip() for thread in threads}

    cores, before = os.sched_getaffinity(0), names()
    goLive(app, widget)
    kept = cores - {min(cores)} if len(cores) > 1 else cores
    started = {thread: name for thread, name in names().items() if thread not in before}
    detecting = [thread for thread, name in started.items() if name.startswith("mediapipe")]
    (reader,) = [thread.native_id for thread in threading.enumerate() if thread.name == "LiveHand reader"]
    assert all(os.sched_getaffinity(thread) == kept for thread in detecting)
    assert any(os.sched_getaffinity(thread) == kept for thread in started), "the worker, if the detector is an old one"
    assert os.sched_getaffinity(reader) == os.sched_getaffinity(0) == cores


def test_waiting_for_a_thread_does_not_block_it(app):
    from LiveHandLib.threads import gil

    done = []
    thread = gil.lender().start(lambda: (time.sleep(0.1), done.append(1)), lambda: None, lambda: done.append(2))
    assert gil.lender().wait(thread, timeout=20)
    assert done == [1, 2]


# Tracking


def test_every_frame_of_the_real_clip_as_a_plain_script_sees_it(app, logic, tracked, shared, model):
    import cv2
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks.python import BaseOptions, vision

    clip = str(shared / "clips" / "hand_desk.mp4")
    play(app, logic, clip, everyFrame=True)
    statistics = logic.worker.lastStatistics
    assert statistics.framesRead == 378 and statistics.framesDropped == 0
    assert statistics.framesTracked >= 355
    assert [frame.number for frame in tracked] == list(range(378))

    options = vision.HandLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(MODEL)), running_mode=vision.RunningMode.VIDEO, num_hands=1
    )
    capture = cv2.VideoCapture(clip)
    with vision.HandLandmarker.create_from_options(options) as landmarker:
        for frame in tracked:
            image = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)
            result = landmarker.detect_for_video(Image(ImageFormat.SRGB, image), frame.number * 1000 // 30)
            assert len(result.hand_landmarks) == len(frame.hands)
            for side, hand in frame.hands.items():
                assert side == hand.handedness == result.handedness[0][0].category_name
                px = [(point.x * image.shape[1], point.y * image.shape[0]) for point in result.hand_landmarks[0]]
                mm = [(1000 * p.x, 1000 * p.y, 1000 * p.z) for p in result.hand_world_landmarks[0]]
                assert np.abs(hand.imagePx - px).max() < 1e-4
                assert np.abs(hand.worldMm - mm).max() < 1e-4


def test_clip_at_its_own_pace(app, logic, tracked):
    play(app, logic, SAMPLE_CLIP)
    statistics = logic.worker.lastStatistics
    assert statistics.framesRead == 180
    assert len(tracked) + statistics.framesDropped == 180
    assert len(tracked) > 60
    assert statistics.framesTracked > 0.95 * len(tracked)


def test_two_hands_in_a_photograph(app, logic, shared):
    play(app, logic, shared / "photos" / "two_hands_1.jpg", numberOfHands=2)
    assert set(logic.frame.hands) == {"Left", "Right"}
    parameterNode = logic.getParameterNode()
    left, right = (node.GetDisplayNode() for node in (parameterNode.leftSurface, parameterNode.rightSurface))
    assert left.GetVisibility() and right.GetVisibility(), "what a photograph shows stays"
    assert left.GetColor() != right.GetColor()


def test_mirrored_camera_shows_the_same_hand(app, logic, shared, tmp_path):
    """What is seen through a mirror is exactly what is seen without, once the user has said that it is one."""
    import cv2

    photo = str(shared / "photos" / "one_hand_2.jpg")
    mirrorImage = str(tmp_path / "mirrored.png")
    cv2.imwrite(mirrorImage, cv2.flip(cv2.imread(photo), 1))
    seen = []
    for source, mirrored in ((photo, False), (mirrorImage, False), (mirrorImage, True)):
        play(app, logic, source, mirrored=mirrored)
        seen.append(logic.frame.hands)
    assert [list(hands) for hands in seen] == [["Right"], ["Left"], ["Right"]]
    assert np.array_equal(seen[2]["Right"].cameraMm, seen[0]["Right"].cameraMm)


def test_busy_gui_thread_finds_the_newest_frame_not_a_queue(app, widget, tracked):
    import slicer

    goLive(app, widget)
    for busy in (time.sleep, lambda seconds: ctypes.PyDLL(None).usleep(int(1e6 * seconds))):
        # The first lets go of the GIL, so that the worker could go on; the second does not.
        if sys.platform == "win32" and busy is not time.sleep:
            continue
        before = len(tracked)
        number = tracked[-1].number
        busy(0.4)
        slicer.app.processEvents()
        assert len(tracked) - before <= 2, "the one that was on its way and the one that followed it"
        assert app.spin(lambda before=before: len(tracked) > before + 5, timeout=20)
        assert tracked[-1].number > number + len(tracked) - before, "the others were dropped"


# On and off


def test_ten_times_off_and_on(app, widget):
    for _time in range(10):
        goLive(app, widget)
        assert widget.ui.liveCheckBox.checked
        widget.ui.liveCheckBox.setChecked(False)
        settled(app, widget.logic)
        assert liveHandThreads() == []
        assert not widget.ui.liveCheckBox.checked


def test_tracker_is_kept_from_run_to_run_and_closed_at_the_end(app, widget, tracked, monkeypatch):
    """MediaPipe's memory would grow with each that is made."""
    from LiveHand import LiveHandLogic
    from LiveHandLib.detection import detector

    made, closed = [], []
    for name, calls in (("__init__", made), ("close", closed)):
        original = getattr(detector.HandDetector, name)
        monkeypatch.setattr(
            detector.HandDetector, name, lambda self, *a, o=original, c=calls: (c.append(self), o(self, *a))[1]
        )
    logic = LiveHandLogic()
    try:
        logic.worker.tracked.connect(tracked.append)
        for hands, times in ((1, 3), (2, 2)):
            logic.setSource(SAMPLE_CLIP)
            logic.getParameterNode().numberOfHands = hands
            for _time in range(times):
                tracked.clear()
                logic.start()
                assert app.spin(lambda: tracked and tracked[-1].hands, timeout=20)
                logic.stop()
                settled(app, logic)
            assert len(made) == hands and len(closed) == hands - 1
    finally:
        logic.close()
    assert closed == made and len(made) == 2


@pytest.mark.parametrize("isStopped", [False, True])
def test_no_image_stays_in_memory(app, widget, tracked, monkeypatch, isStopped):
    """In Slicer, which has a great many objects, Python may not collect cycles of references for hours."""
    from LiveHandLib.camera import framereader

    toRgb, images = framereader.toRgb, []

    def noted(image):
        converted = toRgb(image)
        images.append(weakref.ref(converted))
        return converted

    monkeypatch.setattr(framereader, "toRgb", noted)
    gc.collect()
    gc.disable()
    try:
        goLive(app, widget)
        assert app.spin(lambda: len(tracked) > 30, timeout=30)
        estimator = weakref.ref(widget.logic.worker._estimator)
        if isStopped:
            widget.ui.liveCheckBox.setChecked(False)
        settled(app, widget.logic)
        assert len(images) > 30
        assert estimator() is None, "nor does anything else of a run"
        assert [number for number, image in enumerate(images) if image() is not None] == []
    finally:
        gc.enable()


def test_camera_is_released_when_live_goes_off(app, widget, monkeypatch):
    import cv2

    captures = []
    Capture = cv2.VideoCapture

    class Noted:
        def __init__(self, *arguments):
            self.capture = Capture(*arguments)
            captures.append(self.capture)

        def __getattr__(self, name):
            return getattr(self.capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", Noted)
    goLive(app, widget)
    assert [capture.isOpened() for capture in captures] == [True]
    widget.logic.stop()
    settled(app, widget.logic)
    assert [capture.isOpened() for capture in captures] == [False]


def test_live_again_at_once_follows_the_run_that_is_stopping(app, widget, tracked):
    goLive(app, widget)
    widget.ui.liveCheckBox.setChecked(False)
    widget.ui.liveCheckBox.setChecked(True)
    assert widget.ui.liveCheckBox.checked
    before = len(tracked)
    assert app.spin(lambda: len(tracked) > before + 3, timeout=20)
    assert widget.logic.worker.state == "live"


def test_live_that_is_refused_while_an_earlier_run_stops(app, widget):
    goLive(app, widget)
    widget.logic.setSource("")
    assert widget.logic.worker.state == "stopping"
    widget.ui.liveCheckBox.click()
    assert not widget.ui.liveCheckBox.checked and "No camera is chosen" in status(widget)
    settled(app, widget.logic)
    assert not widget.ui.liveCheckBox.checked and "No camera is chosen" in status(widget)


def test_ticked_while_an_earlier_run_stops_and_stopped_again(app, widget):
    goLive(app, widget)
    box = widget.ui.liveCheckBox
    box.click()
    box.click()
    assert widget.logic.worker.state == "stopping" and box.checked
    widget.logic.stop()
    assert not box.checked
    settled(app, widget.logic)
    assert not box.checked


def test_switch_is_asked_for_under_pythonqt_only_and_may_be_missing(app, monkeypatch):
    from LiveHandLib.threads import gil

    assert gil.canRunPythonInQThread(), "another binding takes the GIL by itself"
    monkeypatch.setitem(sys.modules, "PythonQt", object())
    assert not gil.canRunPythonInQThread(), "there is no PythonQt library in this process"
    calls = []
    monkeypatch.setattr(gil, "_gilScopeSwitch", lambda: calls.append)
    assert gil.canRunPythonInQThread()
    assert calls == [True]


def test_settings_changed_while_live_are_followed(app, widget, tracked, shared):
    goLive(app, widget)
    widget.ui.numberOfHandsSpinBox.setValue(2)
    assert app.spin(lambda: widget.logic.worker.settings and widget.logic.worker.settings.numberOfHands == 2)
    before = len(tracked)
    assert app.spin(lambda: len(tracked) > before, timeout=20)
    widget.logic.setSource(shared / "photos" / "two_hands_1.jpg")
    settled(app, widget.logic)
    assert len(tracked[-1].hands) == 2


# Failures


def status(widget) -> str:
    return widget.ui.statusLabel.text


def test_no_source(app, widget):
    widget.logic.getParameterNode().source = ""
    widget.ui.liveCheckBox.setChecked(True)
    settled(app, widget.logic)
    assert "No camera is chosen" in status(widget)
    assert not widget.ui.liveCheckBox.checked


def test_package_that_is_missing(app, widget, monkeypatch, tmp_path):
    from LiveHandLib import logic

    resourcePath, path = logic.resourcePath, tmp_path / "requirements.txt"
    path.write_text("mediapipe==0.9.9")
    monkeypatch.setattr(logic, "resourcePath", lambda name: path if name == path.name else resourcePath(name))
    widget.enter()
    assert widget.ui.installWidget.visible
    assert not widget.ui.liveCheckBox.enabled
    widget.logic.setSource(SAMPLE_CLIP)
    widget.logic.start()
    assert "mediapipe==0.9.9 is missing" in status(widget)
    assert widget.logic.worker.state == "off"
    monkeypatch.undo()
    widget.enter()
    assert not widget.ui.installWidget.visible
    assert widget.ui.liveCheckBox.enabled
    settled(app, widget.logic)


def test_model_with_a_wrong_checksum(app, widget, tmp_path):
    other = tmp_path / "other.task"
    other.write_bytes(MODEL.read_bytes())
    widget.logic.setModel(other)
    assert widget.ui.modelNameLabel.text == "other.task"
    goLive(app, widget)
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)

    other.write_bytes(MODEL.read_bytes()[:-1] + b"x")
    widget.ui.liveCheckBox.setChecked(True)
    settled(app, widget.logic)
    assert "SHA-256" in status(widget)
    assert not widget.ui.liveCheckBox.checked

    widget.ui.modelResetButton.click()
    goLive(app, widget)


def test_newer_mediapipe_is_used_only_after_the_user_agreed(app, widget, monkeypatch):
    import slicer

    from LiveHandLib import packages

    monkeypatch.setattr(packages, "mediapipeWithTelemetry", lambda: "1.2.2")
    slicer.app.userSettings().remove("LiveHand/AgreedMediaPipe")
    questions = []

    def answer(value):
        return lambda text, *_title: questions.append(text) or value

    widget.logic.setSource(SAMPLE_CLIP)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", answer(False))
    widget.ui.liveCheckBox.setChecked(True)
    assert "1.2.2" in questions[0] and "Google" in questions[0]
    assert "reports on its use to Google" in status(widget)
    assert widget.logic.worker.state == "off" and not widget.ui.liveCheckBox.checked

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", answer(True))
    goLive(app, widget)
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)
    goLive(app, widget)
    assert len(questions) == 2, "asked once, remembered"
    slicer.app.userSettings().remove("LiveHand/AgreedMediaPipe")


# The panel


def entries(widget) -> list[str]:
    box = widget.ui.sourceComboBox
    return [box.itemText(index) for index in range(box.count)]


def test_drop_down_has_the_cameras_by_name_and_a_file_to_open(app, widget, monkeypatch, shared):
    import qt

    from LiveHandLib.camera.devices import Camera

    settled(app, widget.logic)
    widget.logic.getParameterNode().source = ""
    widget.sourcePanel.onCamerasFound((Camera(200, "Bench Camera"), Camera(202, "Second Camera")))
    assert entries(widget)[:2] == ["Bench Camera", "Second Camera"]
    assert widget.ui.sourceComboBox.currentText == "Bench Camera", "the first one is chosen"
    assert widget.logic.source() == Camera(200, "Bench Camera")

    photo = str(shared / "photos" / "one_hand_1.jpg")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_arguments: photo)
    widget.sourcePanel.onSourceActivated(widget.ui.sourceComboBox.count - 1)
    assert widget.ui.sourceComboBox.currentText == "one_hand_1.jpg"
    assert widget.logic.getParameterNode().source == photo
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_arguments: "")
    widget.sourcePanel.onSourceActivated(widget.ui.sourceComboBox.count - 1)
    assert widget.ui.sourceComboBox.currentText == "one_hand_1.jpg", "nothing was chosen, nothing changes"

    widget.logic.setSource(Camera(204, "Lost: Camera"))
    assert widget.ui.sourceComboBox.currentText == "Lost: Camera (not found)"


def test_camera_that_was_used_last_is_chosen_first(app, widget):
    import slicer

    from LiveHandLib.camera.devices import Camera

    cameras = Camera(200, "Bench Camera"), Camera(202, "Second Camera")
    widget.logic.setSource(cameras[1])
    widget.ui.liveCheckBox.setChecked(True)  # there is none, but it was used
    settled(app, widget.logic)
    slicer.mrmlScene.Clear(0)
    widget.sourcePanel.onCamerasFound(cameras)
    assert widget.ui.sourceComboBox.currentText == "Second Camera"
    slicer.app.userSettings().remove("LiveHand/camera")


def test_status_line_tells_how_it_goes(app, widget):
    goLive(app, widget)
    assert app.spin(lambda: "frames/s" in status(widget), timeout=20)
    assert "ms latency" in status(widget) and "right hand" in status(widget)


def test_end_of_a_file_is_told_and_its_last_pose_stays(app, widget):
    widget.logic.getParameterNode().everyFrame = True
    widget.logic.setSource(SAMPLE_CLIP)
    widget.ui.liveCheckBox.setChecked(True)
    settled(app, widget.logic)
    assert status(widget) == "The file has been played to its end."
    assert not widget.ui.liveCheckBox.checked
    assert widget.logic.getParameterNode().rightSurface.GetDisplayNode().GetVisibility()


def test_the_modules_own_test(app, widget):
    import LiveHand

    LiveHand.LiveHandTest().runTest()
