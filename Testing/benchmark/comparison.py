"""Measures LiveHand beside the other ways of getting a hand into Slicer, in one run, on the same clip.

Every measurement is a process of its own; the rows are measured in turn, several times over. Figures are compared
within a turn only, as ratios, because a computer is not equally fast at all times.

Without a layout in a row's name no view renders meanwhile. In the rows with one, the views render as Slicer's do, in
software if there is no graphics card; *frame to screen* is the time until the last of them shows the frame.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import connection
from pathlib import Path

import numpy as np

from LiveHandLib.calibration.board import Board
from support import fakecamera
from support.paths import MODEL, MODULE, SAMPLE_CLIP, TESTING

KEY = b"benchmark"
OWN_PROCESS = [sys.executable, "-m", "benchmark.comparison"]

ROWS = {
    "plain": "a plain script, no Slicer",
    "pipe": "second process, multiprocessing and QSocketNotifier",
    "igtl": "second process, OpenIGTLink (pyigtl)",
    "http": "second process, HTTP",
    "livehand": "LiveHand",
    "gestures": "LiveHand, hands act on the 3D view",
    "reference": "LiveHand, a reference board in sight",
    "twocameras": "LiveHand, two cameras",
    "released": "LiveHand, GIL released (for scale)",
    "naive": "LiveHand with a 5 ms timer instead of its hand-over",
    "pipe-3d": "second process (socket), 3D only",
    "livehand-3d": "LiveHand, 3D only",
    "pipe-fourup": "second process (socket), four-up",
    "livehand-fourup": "LiveHand, four-up",
}
ABLATION = {
    "poll": "LiveHand, a plain poll every 1 ms instead of its schedule",
    "unwaited": "LiveHand, the return of a regular call is polled for, not waited for",
    "believing": "LiveHand, a return is taken for the time of its observation",
    "unclocked": "LiveHand, without the camera's clock",
    "scheduled-3d": "LiveHand, 3D only, rendered when Slicer schedules it",
    "gilfree-3d": "LiveHand, 3D only, GIL released while a view renders",
    "scheduled-fourup": "LiveHand, four-up, rendered when Slicer schedules it",
    "gilfree-fourup": "LiveHand, four-up, GIL released while a view renders",
}
"""Rows that lack one thing each, for ``--ablation``."""

LAYOUTS = {"3d": "OneUp3D", "fourup": "FourUp"}
"""Slicer's layouts, by the end of a row's name."""
VIEWS_SIZE = (800, 600)
"""Width and height of all views together, px."""

PACES = {"free": None, "30": 30.0, "60": 60.0}
WARM_UP_FRAMES = 30
"""Left out of the figures: shaders are compiled, nodes made and times learnt meanwhile."""

SECOND_SHIFT = 0.2
"""What a second camera sees is the clip so much further left, in widths of its image: as from beside the first one."""

BOARD = Board("charuco", 5, 4, 30.0)
"""The reference board: it lies still in every other second, and moves in between."""
BOARD_FRAMES = 30

CAMERA_FRAMES = 180
"""How many are read of a camera, which has no end."""

BARS = {
    "ratio_fps_plain": (">=", 0.95),
    "ratio_latency_ipc_30": ("<=", 1.05),
    "ratio_cpu_ipc": ("<=", 1.0),
    "dropped_30": ("<=", 0),
    "gui_fraction_30": ("<=", 0.10),
    "heartbeat_ms_p99_30": ("<=", 5.0),
    "dropped_reference_30": ("<=", 0),
    "ratio_gui_twocameras_30": ("<=", 1.5),
    "ratio_heartbeat_twocameras_30": ("<=", 1.5),
    "latency_ms_p95_twocameras_30": ("<=", 60.0),
    "start_stall_ms": ("<=", 100.0),
    "live_to_hand_s": ("<=", 1.0),
    "scene_update_ms": ("<=", 0.5),
    "memory_growth_mb": ("<=", 5.0),
    "ratio_gui_plain_cpu_30": ("<=", 0.25),
    **{f"ratio_screen_{layout}_30": ("<=", 0.95) for layout in LAYOUTS},
    **{f"ratio_cpu_{layout}_30": ("<=", 1.0) for layout in LAYOUTS},
    **{f"dropped_{layout}_30": ("<=", 0) for layout in LAYOUTS},
}


# The other ways: a script that detects hands, and what it sends them through


def frames(clip: str, pace: float | None):
    """Frames of a clip as a script reads them: RGB, number, time in ms, and when it was there to be read, s.

    :param clip: a file, or the index of a camera, of which :data:`CAMERA_FRAMES` are read.
    :param pace: frames a second; what comes too late is skipped. None reads all, as fast as they are taken.
    """
    import cv2

    if clip.isdigit():
        capture = cv2.VideoCapture(int(clip))
        for number in range(CAMERA_FRAMES):
            image = capture.read()[1]
            available = time.perf_counter()
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB), number, round(1000 * available), available
        return
    capture = cv2.VideoCapture(clip)
    start = time.perf_counter()
    number = 0
    while True:
        if pace:
            while time.perf_counter() > start + (number + 1) / pace and capture.grab():
                number += 1
        delivered, image = capture.read()
        if not delivered:
            return
        available = time.perf_counter()
        if pace:
            available = start + number / pace
            time.sleep(max(0.0, available - time.perf_counter()))
        yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB), number, round(number * 1000 / (pace or 30.0)), available
        number += 1


def detections(clip: str, pace: float | None, hands: int = 1):
    """What a script finds: (number, available, seen), seen being (21, 3) landmarks in mm for each hand.

    It places the hands by the same code as LiveHand, so that all ways end with the same.
    """
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    from LiveHandLib.detection import detector
    from LiveHandLib.pose import estimator

    options = vision.HandLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(MODEL)), running_mode=vision.RunningMode.VIDEO, num_hands=hands
    )
    poseEstimator = estimator.HandPoseEstimator(estimator.PoseParameters())
    with vision.HandLandmarker.create_from_options(options) as landmarker:
        for image, number, timestamp, available in frames(clip, pace):
            mpImage = mediapipe.Image(mediapipe.ImageFormat.SRGB, image)
            result = landmarker.detect_for_video(mpImage, timestamp)
            height, width = image.shape[:2]
            placed = poseEstimator.estimate(detector.handsOf(result, (width, height)), (width, height), timestamp)
            yield number, available, [hand.cameraMm for hand in placed.values()]


def plain(clip: str, pace: float | None) -> dict:
    """The script alone."""
    meter = Meter()
    for number, available, _seen in detections(clip, pace):
        meter.frame(number, available)
    return meter.figures()


def send(way: str, address: str, clip: str, pace: float | None, cpuFile: str) -> None:
    """The script as a second process: sends what it finds, and notes the CPU time it takes a frame, s."""
    with contextlib.ExitStack() as stack:
        if way == "pipe":
            pipe = stack.enter_context(connection.Client(address, authkey=KEY))
            deliver = pipe.send
        elif way == "igtl":
            import pyigtl

            server = pyigtl.OpenIGTLinkServer(port=int(address), local_server=True)
            stack.callback(server.stop)
            while not server.is_connected():
                time.sleep(0.01)

            def deliver(message) -> None:
                number, available, seen = message
                # The number goes as a further point, for the message has no other place for it.
                points = np.vstack([*seen[:1], [number, len(seen), 0.0]])
                server.send_message(pyigtl.PointMessage(points, timestamp=available, device_name="hand"))
        else:
            import http.client

            client = http.client.HTTPConnection("127.0.0.1", int(address))

            def deliver(message) -> None:
                number, available, seen = message
                body = json.dumps({"number": number, "available": available, "seen": [p.tolist() for p in seen]})
                client.request("POST", "/hand", body)
                client.getresponse().read()

        for count, message in enumerate(detections(clip, pace), 1):
            deliver(message)
            if count == WARM_UP_FRAMES:
                start = time.process_time()
        Path(cpuFile).write_text(str((time.process_time() - start) / (count - WARM_UP_FRAMES)))
        deliver((0, 0.0, []))  # available at 0: the end
        if way == "igtl":
            time.sleep(0.5)  # it is sent by a thread


# In the host


class Meter:
    """Notes frames as they arrive, and what they cost.

    :param views: those that show the frames.

    :ivar blockedS: how long each call of our code held the GUI thread, s; whoever makes such a call appends to it.
    """

    def __init__(self, heartbeat=None, views=()) -> None:
        self.latenciesMs, self.times, self.numbers, self.blockedS = [], [], [], []
        self._heartbeat = heartbeat
        self._start = None
        self._begin = self._end = 0.0  # of what is counted as blocked, s
        self._views = frozenset(range(len(views)))
        self._stale = set()  # the views that have not rendered since the newest frame has arrived
        self._screenMs = []
        for number, view in enumerate(views):
            view.renderWindow().AddObserver("EndEvent", lambda *_, number=number: self._onRendered(number))

    def frame(self, number: int, available: float) -> None:
        """A frame has arrived where it was to go.

        :param number: how many frames the clip had before it.
        :param available: when it could be had, s.
        """
        now = time.perf_counter()
        self.times.append(now)
        self.numbers.append(number)
        self.latenciesMs.append(1000 * (now - available))
        self._available = available
        self._stale = set(self._views)
        if len(self.times) == WARM_UP_FRAMES:
            self._start, self._begin = time.process_time(), now
            self.blockedS.clear()
            self._screenMs.clear()
            if self._heartbeat:
                self._heartbeat.start()

    def _onRendered(self, number: int) -> None:
        if number in self._stale:
            self._stale.discard(number)
            if not self._stale:
                self._screenMs.append(1000 * (time.perf_counter() - self._available))

    def figures(self) -> dict:
        """The figures, without the warm-up; ``cpu_s`` is that of this process, ``shown`` the frames on the screen."""
        if self._heartbeat:
            self._heartbeat.stop()
        times, latencies = self.times[WARM_UP_FRAMES - 1 :], np.array(self.latenciesMs[WARM_UP_FRAMES:])
        duration = times[-1] - times[0]
        late = np.array(self._heartbeat.late if self._heartbeat else [np.nan])
        return {
            "frames": len(times) - 1,
            "all_frames": len(self.times),
            "dropped": self.numbers[-1] - self.numbers[WARM_UP_FRAMES - 1] - (len(times) - 1),
            "fps": (len(times) - 1) / duration,
            "latency_ms": float(np.median(latencies)),
            "latency_ms_p95": float(np.percentile(latencies, 95)),
            "shown": len(self._screenMs),
            "screen_ms": float(np.median(self._screenMs or [np.nan])),
            "screen_ms_p95": float(np.percentile(self._screenMs or [np.nan], 95)),
            "gui_fraction": sum(self.blockedS) / (max(self._end, times[-1]) - times[0]),
            "gui_s": sum(self.blockedS) / (len(times) - 1),
            "heartbeat_ms_p99": float(np.percentile(late, 99)),
            "heartbeat_ms_max": float(late.max()),
            "cpu_s": (time.process_time() - self._start) / (len(times) - 1),
        }

    def timed(self, function):
        """The function, with its time counted as blocked."""

        def timed(*arguments):
            start = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self._end = time.perf_counter()
                self.blockedS.append(self._end - max(start, self._begin))

        return timed


@contextlib.contextmanager
def application(layout: str = ""):
    """The host, with the module loaded.

    :param layout: of the views, a key of :data:`LAYOUTS`; without one, none renders.
    """
    from host.application import Application, Heartbeat

    with Application(headless=True) as app:
        import slicer

        app.loadModule(MODULE)
        arrangement = f"SlicerLayout{LAYOUTS[layout]}View" if layout else "SlicerLayoutNone"
        app.layoutManager.widget.setFixedSize(*VIEWS_SIZE)
        app.layoutManager.setLayout(getattr(slicer.vtkMRMLLayoutNode, arrangement))
        yield app, Meter(Heartbeat(), app.layoutManager.views() if layout else ())
        if app.errors:
            raise RuntimeError(app.errors)


def handNodes(side: str):
    """A hand's nodes as LiveHand shows them by default."""
    import slicer

    import LiveHand
    from LiveHandLib.scene import handnodes, surface

    kept = slicer.mrmlScene.GetSingletonNode("benchmark", "vtkMRMLScriptedModuleNode")
    kept = kept or slicer.mrmlScene.AddNode(slicer.vtkMRMLScriptedModuleNode())
    kept.SetSingletonTag("benchmark")
    nodes = LiveHand.LiveHandParameterNode(kept)
    return handnodes.HandNodes(side, nodes, LiveHand.resourcePath(surface.MESH_FILE_NAME))


def received(way: str, layout: str, clip: str, pace: float | None) -> dict:
    """A second process sends; the host receives and moves the same nodes as LiveHand does."""
    with application(layout) as (app, meter):
        import qt

        hand = handNodes("Right")
        over = []

        def show(number, available, seen) -> None:
            if not available:
                over.append(True)
                return
            hand.update(seen[0] if seen else None)
            meter.frame(number, available)

        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            cpuFile = Path(folder, "cpu")
            address = RECEIVERS[way](stack, qt, show, meter)
            command = [*OWN_PROCESS, "--send", way, "--address", str(address), "--clip", clip]
            process = subprocess.Popen([*command, "--pace", str(pace or 0), "--cpu", str(cpuFile)])
            app.spin(lambda: over or process.poll() is not None, timeout=600, interval=0.1)
            figures = meter.figures()
            process.wait()
            figures["cpu_s"] += float(cpuFile.read_text())
        return figures


def receivePipe(stack, qt, show, meter) -> str:
    """``multiprocessing.connection`` and a ``QSocketNotifier``."""
    listener = stack.enter_context(connection.Listener(authkey=KEY))
    accepted = []

    def accept(*_arguments) -> None:
        pipe = listener.accept()
        notifier = qt.QSocketNotifier(pipe.fileno(), qt.QSocketNotifier.Read)
        notifier.connect("activated(int)", meter.timed(lambda *_: receive(pipe, notifier)))
        accepted.append((pipe, notifier))

    def receive(pipe, notifier) -> None:
        try:
            while pipe.poll():
                show(*pipe.recv())
        except (EOFError, ConnectionResetError):
            notifier.setEnabled(False)

    entrance = qt.QSocketNotifier(listener._listener._socket.fileno(), qt.QSocketNotifier.Read)
    entrance.connect("activated(int)", accept)
    accepted.append(entrance)
    stack.callback(accepted.clear)
    return listener.address


def receiveIgtl(stack, qt, show, meter) -> int:
    """A pyigtl client, whose thread is lent the GIL and asked for messages by a timer."""
    import pyigtl

    port = freePort()
    client = pyigtl.OpenIGTLinkClient("127.0.0.1", port)
    stack.callback(client.stop)

    def poll() -> None:
        time.sleep(0.0005)
        for message in client.get_latest_messages():
            *points, (number, hands, _nothing) = np.array(message.positions)
            show(int(number), message.timestamp, [np.array(points)] if hands else [])

    timer = qt.QTimer()
    timer.setTimerType(qt.Qt.PreciseTimer)
    timer.timeout.connect(meter.timed(poll))
    timer.start(2)
    stack.callback(timer.stop)
    return port


def receiveHttp(stack, qt, show, meter) -> int:
    """A small server in the event loop, as Slicer's WebServer has one."""
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    kept = []

    def accept(*_arguments) -> None:
        client, _address = server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        notifier = qt.QSocketNotifier(client.fileno(), qt.QSocketNotifier.Read)
        buffer = bytearray()
        notifier.connect("activated(int)", meter.timed(lambda *_: receive(client, notifier, buffer)))
        kept.append((client, notifier))

    def receive(client, notifier, buffer) -> None:
        content = client.recv(65536)
        if not content:
            notifier.setEnabled(False)
            return
        buffer += content
        head, separator, body = bytes(buffer).partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        buffer.clear()
        message = json.loads(body)
        show(message["number"], message["available"], [np.array(points) for points in message["seen"]])
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    entrance = qt.QSocketNotifier(server.fileno(), qt.QSocketNotifier.Read)
    entrance.connect("activated(int)", accept)
    kept.append(entrance)
    stack.callback(kept.clear)
    return server.getsockname()[1]


RECEIVERS = {"pipe": receivePipe, "igtl": receiveIgtl, "http": receiveHttp}


def freePort() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def livehand(way: str, layout: str, clip: str, pace: float | None, hands: int = 1, second: str | None = None) -> dict:
    """The module itself.

    :param second: what the second camera of the way ``twocameras`` is.
    """
    with application(layout) as (app, meter):
        from host.widgets import ctkVTKAbstractView
        from LiveHandLib.scene.gestures import HandsActOn
        from LiveHandLib.scene.reference import ReferenceKind
        from LiveHandLib.threads import gil, schedule
        from LiveHandLib.tracking import worker

        if way == "naive":
            gil.GilLender._onTimeout = naiveTimeout
        if way in ABLATIONS:
            ABLATIONS[way](gil.GilLender, schedule)
        for cls, name in ((gil.GilLender, "_onTimeout"), (worker.TrackingWorker, "_onPosted")):
            setattr(cls, name, timedMethod(meter, getattr(cls, name)))
        logic = app.showModule("LiveHand").logic
        logic.rendering.isOn = way != "scheduled"
        ctkVTKAbstractView.KEEPS_GIL = way != "gilfree"
        logic.worker.tracked.connect(lambda frame: meter.frame(frame.number, frame.captureTime))
        parameterNode = logic.getParameterNode()
        if clip.isdigit():
            logic.setSource(int(clip))
            parameterNode.resolution = ""  # as the script takes it
            logic.worker.tracked.connect(lambda frame: frame.number >= CAMERA_FRAMES - 1 and logic.stop())
        else:
            logic.setSource(clip)
        parameterNode.everyFrame = pace is None
        parameterNode.numberOfHands = hands
        if way == "twocameras":
            joinSecond(logic, clip, second)
        if way == "gestures":
            parameterNode.handsActOn = HandsActOn.VIEW
        referred = []  # in which frames the board was found
        if way == "reference":
            parameterNode.referenceKind = ReferenceKind.BOARD
            parameterNode.referenceColumns, parameterNode.referenceRows = BOARD.columns, BOARD.rows
            logic.worker.tracked.connect(
                lambda frame: referred.append(bool(frame.reference and not frame.reference.ageMs))
            )
        logic.start()
        app.spin(
            lambda: meter.times and logic.worker.state == worker.OFF,
            timeout=600,
            gil="released" if way == "released" else "kept",
            interval=0.1,
        )
        return {**meter.figures(), "referred": sum(referred)}


def joinSecond(logic, clip: str, second: str | None) -> None:
    """Choose a second camera, or the clip as one sees it, and say where it is."""
    from LiveHandLib.stereo.pair import CameraPair

    if second is None:
        second = rewritten(clip, Path(tempfile.mkdtemp(), "second.mp4"), shift=SECOND_SHIFT)
    logic.setSecondSource(int(second) if second.isdigit() else second)
    # A hand 450 mm away is so much further left for a camera that sees 60 degrees.
    baselineMm = SECOND_SHIFT * 450.0 * 2.0 * np.tan(np.radians(30.0))
    pair = CameraPair(np.eye(3), np.array([-baselineMm, 0.0, 0.0]))
    logic.cameraPairs.keep(logic.source(), logic.secondSource(), pair)


def timedMethod(meter: Meter, method):
    """A method, with its time counted as blocked."""
    return lambda self, *arguments: meter.timed(method)(self, *arguments)


def naiveTimeout(lender) -> None:
    """What many try first: let go of the GIL every 5 ms."""
    time.sleep(0)
    lender._collect()
    if lender.isBusy():
        lender._timer.start(5)


def withoutSchedule(lender, _schedule) -> None:
    """A poll every 1 ms, whatever the threads do."""
    lender._untilPoll = lambda self: self.TIMER_S
    lender._lend = lambda self: self.schedule.yieldGil(self.POLL_S, self.LONGEST_RUN_S)


def withoutWaiting(lender, _schedule) -> None:
    """A poll when a call is due, also where it returns regularly."""
    lender.LONGEST_POLL_S = 0.0


def withoutDoubt(_lender, schedule) -> None:
    """A call has returned when that is observed, also where it was not polled for long."""
    schedule._ReturnTimeEstimator.SHORTLY_S = float("inf")


def withoutClock(_lender, schedule) -> None:
    """A camera's reads are learnt as all other calls, by how long they take."""
    blockingCall = schedule.GilSchedule.blockingCall
    schedule.GilSchedule.blockingCall = lambda self, kind, periodic=False: blockingCall(self, kind, False)


ABLATIONS = {
    "poll": withoutSchedule,
    "unwaited": withoutWaiting,
    "believing": withoutDoubt,
    "unclocked": withoutClock,
}


def start(clip: str) -> dict:
    """The first time Live goes on in a process, imports included, and the second."""
    with application() as (app, _meter):
        from host.application import Heartbeat
        from LiveHandLib.tracking import worker

        heartbeat = Heartbeat()
        logic = app.showModule("LiveHand").logic
        logic.setSource(clip)

        def untilHand() -> float:
            seen = []
            slot = lambda frame: frame.hands and seen.append(time.perf_counter())  # noqa: E731
            logic.worker.tracked.connect(slot)
            begin = time.perf_counter()
            logic.start()
            app.spin(lambda: seen, timeout=60, interval=0.1)
            logic.worker.tracked.disconnect(slot)
            return seen[0] - begin

        heartbeat.start()
        first = untilHand()
        heartbeat.stop()
        logic.stop()
        app.spin(lambda: logic.worker.state == worker.OFF, timeout=60)
        second = untilHand()
        return {"start_stall_ms": heartbeat.worst, "first_live_to_hand_s": first, "live_to_hand_s": second}


def sceneUpdate() -> dict:
    """Moving the nodes alone, ms a frame, for one hand and for two."""
    with application() as (app, _meter):
        app.showModule("LiveHand")
        hands = [handNodes(side) for side in ("Right", "Left")]
        landmarks = np.random.default_rng(0).uniform(-80, 80, (500, 21, 3))

        def cost(some) -> float:
            times = []
            for points in landmarks:
                begin = time.perf_counter()
                for hand in some:
                    hand.update(points)
                times.append(1000 * (time.perf_counter() - begin))
            return statistics.median(times)

        return {"one_ms": cost(hands[:1]), "two_ms": cost(hands)}


def memory(clip: str) -> dict:
    """Memory after the first 1,000 frames and at the end of a long clip, MB."""
    import psutil

    with application() as (app, _meter):
        from LiveHandLib.tracking import worker

        logic = app.showModule("LiveHand").logic
        sizes = []
        process = psutil.Process()

        def note(frame) -> None:
            if frame.number % 1000 == 999:
                sizes.append(process.memory_info().rss / 1e6)

        logic.worker.tracked.connect(note)
        logic.setSource(clip)
        logic.getParameterNode().everyFrame = True
        logic.start()
        app.spin(lambda: sizes and logic.worker.state == worker.OFF, timeout=3600, interval=0.1)
        return {"sizes_mb": sizes, "growth_mb": sizes[-1] - sizes[0]}


# Clips


def rewritten(
    clip: str, path: Path, *, rate=30.0, height=None, twice=False, frames=None, shift=0.0, hasBoard=False
) -> str:
    """A copy of a clip at another rate or size, with the hand twice, or repeated up to a number of frames.

    :param shift: how far the image is moved to the left, in its widths.
    :param hasBoard: :data:`BOARD` is seen below on the right.
    """
    import cv2

    capture, writer, written = cv2.VideoCapture(clip), None, 0
    paste = boardPaster(sizeOfClip(clip)) if hasBoard else None
    while True:
        delivered, image = capture.read()
        if not delivered:
            if frames is None or written >= frames:
                break
            capture = cv2.VideoCapture(clip)
            continue
        if twice:
            image = cv2.hconcat([image, image[:, ::-1]])
        if paste:
            paste(image, written)
        if shift:
            left = round(shift * image.shape[1])
            image = cv2.copyMakeBorder(image[:, left:], 0, 0, 0, left, cv2.BORDER_REPLICATE)
        if height:
            image = cv2.resize(image, (2 * round(image.shape[1] * height / image.shape[0] / 2), height))
        if writer is None:
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, image.shape[1::-1])
        writer.write(image)
        written += 1
        if frames and written >= frames:
            break
    writer.release()
    return str(path)


def boardPaster(size: tuple[int, int]):
    """A function that draws :data:`BOARD` into an image of this size, given the frame's number."""
    from support.boardrender import BoardRenderer, turned
    from support.handrender import HandCamera

    width, height = size
    matrix = HandCamera.typical(size).matrix
    renderer, rotation = BoardRenderer(BOARD, matrix, np.zeros(5), size), turned(20.0, 10.0)

    def paste(image: np.ndarray, number: int) -> None:
        phase = number % (2 * BOARD_FRAMES) - BOARD_FRAMES
        moved = 12.0 * np.sin(2.0 * np.pi * max(phase, 0) / BOARD_FRAMES)
        board = renderer.render(
            rotation, np.array([215.0, 115.0 + moved, 560.0]), background=image.mean(axis=2), light=0.0, seed=number
        )
        image[height // 2 :, 2 * width // 3 :] = board[height // 2 :, 2 * width // 3 :]

    return paste


@contextlib.contextmanager
def source(clips: list[str], rate: float | None):
    """What a row reads at a pace: a camera that sees the clip, where there can be one, or else the clip.

    :param clips: one for each camera.
    :returns: the options of :func:`measure`: the clips, or the cameras' indices, and the environment in which they are.
    """
    names, environment = clips, None
    with contextlib.ExitStack() as stack:
        if rate is not None and canHaveCameras():
            modes = [fakecamera.Mode("YUYV", *sizeOfClip(clip), rate) for clip in clips]
            devices = [
                fakecamera.Device(f"Benchmark {number}", clip, [mode], seconds=CAMERA_FRAMES / rate)
                for number, (clip, mode) in enumerate(zip(clips, modes, strict=True))
            ]
            cameras = stack.enter_context(fakecamera.FakeCameras(devices))
            names = [str(200 + cameras.number(number)) for number in range(len(clips))]
            environment = cameras.environment()
        yield {"environment": environment, **dict(zip(("clip", "second"), names, strict=False))}


def canHaveCameras() -> bool:
    """Whether cameras can be played on this system."""
    try:
        fakecamera.buildLibrary()
    except fakecamera.Unavailable as reason:
        print(f"The clip is read in place of a camera. {reason}", file=sys.stderr)
        return False
    return True


def sizeOfClip(clip: str) -> tuple[int, int]:
    """Width and height of a clip's frames, px."""
    import cv2

    capture = cv2.VideoCapture(clip)
    return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))


# The run


def measure(what: str, environment=None, **options) -> dict:
    """Run one measurement in a process of its own."""
    command = [*OWN_PROCESS, "--measure", what]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    environment = {**(environment or os.environ), "PYTHONPATH": os.pathsep.join([str(TESTING), str(MODULE.parent)])}
    process = subprocess.run(command, capture_output=True, text=True, env=environment)
    if process.returncode:
        raise RuntimeError(f"{what} {options}: {process.stderr[-2000:]}")
    return json.loads(process.stdout.splitlines()[-1])


def measured(options) -> dict:
    """What a process that :func:`measure` starts does."""
    what, clip, pace = options.measure, options.clip, options.pace or None
    if what in ("start", "memory"):
        return globals()[what](clip)
    if what == "scene":
        return sceneUpdate()
    if what == "plain":
        return plain(clip, pace)
    way, _, layout = what.partition("-")
    if way in RECEIVERS:
        return received(way, layout, clip, pace)
    return livehand(way, layout, clip, pace, options.hands, options.second)


def bars(turns: list[dict], others: dict) -> dict:
    """The figures that the project promises, from all turns: ratios are taken within a turn."""

    def median(value) -> float:
        return statistics.median(value(turn) for turn in turns)

    result = {
        "ratio_fps_plain": median(lambda turn: turn["livehand"]["free"]["fps"] / turn["plain"]["free"]["fps"]),
        "ratio_latency_ipc_30": median(
            lambda turn: turn["livehand"]["30"]["latency_ms"] / turn["pipe"]["30"]["latency_ms"]
        ),
        "ratio_cpu_ipc": median(lambda turn: turn["livehand"]["30"]["cpu_s"] / turn["pipe"]["30"]["cpu_s"]),
        "dropped_30": median(lambda turn: turn["livehand"]["30"]["dropped"]),
        "dropped_reference_30": median(lambda turn: turn["reference"]["30"]["dropped"]),
        "gui_fraction_30": median(lambda turn: turn["livehand"]["30"]["gui_fraction"]),
        "ratio_gui_twocameras_30": median(
            lambda turn: turn["twocameras"]["30"]["gui_s"] / turn["livehand"]["30"]["gui_s"]
        ),
        "ratio_heartbeat_twocameras_30": median(
            lambda turn: turn["twocameras"]["30"]["heartbeat_ms_p99"] / turn["livehand"]["30"]["heartbeat_ms_p99"]
        ),
        "latency_ms_p95_twocameras_30": median(lambda turn: turn["twocameras"]["30"]["latency_ms_p95"]),
        "heartbeat_ms_p99_30": median(lambda turn: turn["livehand"]["30"]["heartbeat_ms_p99"]),
        "start_stall_ms": statistics.median(start["start_stall_ms"] for start in others["start"]),
        "live_to_hand_s": statistics.median(start["live_to_hand_s"] for start in others["start"]),
        "scene_update_ms": others["scene"]["one_ms"],
        "ratio_gui_plain_cpu_30": median(lambda turn: turn["livehand"]["30"]["gui_s"] / turn["plain"]["30"]["cpu_s"]),
    }
    for layout in LAYOUTS:
        for name, key in (("screen", "screen_ms"), ("cpu", "cpu_s")):
            result[f"ratio_{name}_{layout}_30"] = median(
                lambda turn, layout=layout, key=key: (
                    turn[f"livehand-{layout}"]["30"][key] / turn[f"pipe-{layout}"]["30"][key]
                )
            )
        result[f"dropped_{layout}_30"] = median(
            lambda turn, layout=layout: max(
                turn[f"livehand-{layout}"]["30"]["dropped"] - turn[f"pipe-{layout}"]["30"]["dropped"], 0
            )
        )
    if "memory" in others:
        result["memory_growth_mb"] = others["memory"]["growth_mb"]
    return result


COLUMNS = {
    "frames/s": ("free", "fps", "{:.0f}"),
    "latency at 30/s, ms": ("30", "latency_ms", "{:.1f}"),
    "p95": ("30", "latency_ms_p95", "{:.1f}"),
    "latency at 60/s, ms": ("60", "latency_ms", "{:.1f}"),
    "frame to screen at 30/s, ms": ("30", "screen_ms", "{:.1f}"),
    "p95 of it": ("30", "screen_ms_p95", "{:.1f}"),
    "dropped at 30/s": ("30", "dropped", "{:.0f}"),
    "GUI time at 30/s": ("30", "gui_fraction", "{:.1%}"),
    "heartbeat p99, ms": ("30", "heartbeat_ms_p99", "{:.1f}"),
    "worst, ms": ("30", "heartbeat_ms_max", "{:.1f}"),
    "CPU a frame at 30/s, ms": ("30", "cpu_s", "{:.1f}"),
}


def table(turns: list[dict]) -> str:
    """The rows as a Markdown table of medians."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for row, title in {**ROWS, **ABLATION}.items():
        if row not in turns[0]:
            continue
        cells = []
        for pace, key, form in COLUMNS.values():
            value = statistics.median(turn[row][pace][key] for turn in turns)
            value *= 1000 if key == "cpu_s" else 1
            cells.append("-" if np.isnan(value) or (row == "plain" and key == "gui_fraction") else form.format(value))
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def chart(turns: list[dict], path: str) -> None:
    """Draw latency and frames a second of the rows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 3.6), sharey=True)
    colours = ["#2c7fb8" if row == "livehand" else "#b8c4cc" for row in ROWS]
    for axis, (title, pace, key) in zip(
        axes,
        [("frames a second, as fast as it goes", "free", "fps"), ("latency at 30 frames/s, ms", "30", "latency_ms")],
        strict=True,
    ):
        values = [statistics.median(turn[row][pace][key] for turn in turns) for row in ROWS]
        drawn = axis.barh(list(ROWS.values()), values, color=colours)
        axis.bar_label(drawn, fmt="%.0f", padding=3)
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main(argv: list[str]) -> int:
    """Run the benchmark.

    :returns: exit code; 1 if a bar is missed.
    """
    parser = argparse.ArgumentParser(prog="run.py benchmark", description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--chart", metavar="PNG", help="draw the rows")
    parser.add_argument("--repeats", metavar="N", type=int, default=3, help="how often the rows take turns (3)")
    parser.add_argument("--clip", metavar="FILE", default=str(SAMPLE_CLIP), help="the clip (the sample clip)")
    parser.add_argument("--quick", action="store_true", help="leave out sizes, numbers of hands and memory")
    parser.add_argument(
        "--ablation", action="store_true", help="also measure LiveHand without each part of its schedule"
    )
    for name in ("--measure", "--send", "--address", "--cpu", "--second"):
        parser.add_argument(name, help=argparse.SUPPRESS)  # for its own child processes, as the next two
    parser.add_argument("--pace", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--hands", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(hands=1)
    options = parser.parse_args(argv)
    if not options.clip.isdigit():
        options.clip = str(Path(options.clip).resolve())
    from LiveHandLib.detection import detector

    detector.importPackages() if options.send or options.measure == "plain" else None
    if options.send:
        send(options.send, options.address, options.clip, options.pace or None, options.cpu)
        return 0
    if options.measure:
        print(json.dumps(measured(options)))
        return 0

    rows = {**ROWS, **ABLATION} if options.ablation else ROWS
    turns, others = [], {"start": []}
    with tempfile.TemporaryDirectory() as folder:
        detector.importPackages()
        clips = {
            pace: rewritten(options.clip, Path(folder, f"{pace}.mp4"), rate=rate or 30.0)
            for pace, rate in PACES.items()
        }
        seconds = {
            pace: rewritten(path, Path(folder, f"second-{pace}.mp4"), rate=PACES[pace] or 30.0, shift=SECOND_SHIFT)
            for pace, path in clips.items()
        }
        boards = {
            pace: rewritten(path, Path(folder, f"board-{pace}.mp4"), rate=PACES[pace] or 30.0, hasBoard=True)
            for pace, path in clips.items()
        }
        for number in range(options.repeats):
            turn = {row: {} for row in rows}
            for pace, rate in PACES.items():
                for row in rows:
                    print(f"turn {number + 1} of {options.repeats}: {rows[row]}, {pace}", file=sys.stderr, flush=True)
                    seen = [boards[pace] if row == "reference" else clips[pace]]
                    seen += [seconds[pace]] if row == "twocameras" else []
                    with source(seen, rate) as sources:
                        turn[row][pace] = measure(row, **sources, pace=rate or 0)
            turns.append(turn)
            others["start"].append(measure("start", clip=clips["30"]))
        others["scene"] = measure("scene")
        print(table(turns), flush=True)
        if options.chart:
            chart(turns, options.chart)
        if not options.quick:
            print("sizes and numbers of hands", file=sys.stderr, flush=True)
            others["growth"] = growth(options.clip, Path(folder))
            print("memory", file=sys.stderr, flush=True)
            long = rewritten(options.clip, Path(folder, "long.mp4"), height=270, frames=20000)
            others["memory"] = measure("memory", clip=long)

    print()
    print(f"scene update: {others['scene']['one_ms']:.2f} ms for one hand, {others['scene']['two_ms']:.2f} ms for two")
    for name, figures in others.get("growth", {}).items():
        print(f"{name}: {figures['free']:.0f} frames/s, latency at 30/s {figures['30']:.1f} ms")
    promised = bars(turns, others)
    missed = []
    for name, value in promised.items():
        sign, bar = BARS[name]
        met = value >= bar if sign == ">=" else value <= bar
        missed += [] if met else [name]
        print(f"{name}: {value:.3g} (bar {sign} {bar:g}){'' if met else '  MISSED'}")
    if options.json:
        content = {"bars": promised, "rows": turns, **others}
        Path(options.json).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 1 if missed else 0


def growth(clip: str, folder: Path) -> dict:
    """LiveHand with larger images and with two hands."""
    cases = {f"{height}p": {"height": height} for height in (480, 720, 1080)}
    cases["two hands, both seen"] = {"height": 480, "twice": True}
    result = {}
    for name, options in cases.items():
        path = rewritten(clip, folder / f"{name}.mp4", **options)
        hands = 2 if "hands" in name else 1
        free = measure("livehand", clip=path, pace=0, hands=hands)
        paced = measure("livehand", clip=path, pace=30, hands=hands)
        result[name] = {"free": free["fps"], "30": paced["latency_ms"], "gui_fraction_30": paced["gui_fraction"]}
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
