"""Plays a clip or a camera through the whole module in the host and says how it went.

What the user would do with the mouse is done to the same widgets: choose a source, tick Live.
"""

import argparse
import json
import mimetypes
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from support import fakecamera
from support.paths import MODULE, SAMPLE_CLIP

KINDS = ("Surface", "Skeleton", "Landmarks")
STARTUP_S = 0.5
"""Stalls are counted from this long after the first result on: until then shaders are compiled and nodes made."""


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="run.py demo", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--source", metavar="FILE", help="video or image file (default: the bundled sample clip)")
    source.add_argument("--camera", metavar="N", type=int, help="number of a camera of this computer")
    source.add_argument(
        "--fake-camera", metavar="CLIP", help="a camera that sees a clip, read by OpenCV's V4L2 backend (Linux only)"
    )
    parser.add_argument("--second-source", metavar="FILE", help="the clip of a second camera that sees the same hands")
    parser.add_argument("--pair", metavar="FILE", help="where it is: rotation and translation from the first one, mm")
    parser.add_argument("--every-frame", action="store_true", help="take every frame, not the clip's own time")
    parser.add_argument("--frames", metavar="N", type=int, help="stop after N frames have been processed")
    parser.add_argument(
        "--hands",
        metavar="N",
        type=int,
        choices=(1, 2),
        help="hands to detect (default: 2 in an image, otherwise 1, because detecting a second one takes time)",
    )
    parser.add_argument("--headless", action="store_true", help="open no window even where there is a display")
    parser.add_argument("--gil", choices=("kept", "released"), default="kept", help="kept as Slicer does (default)")
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    parser.add_argument("--screenshot", metavar="PNG", help="write an image of the 3D view")
    parser.add_argument("--landmarks", metavar="NPZ", help="write the landmarks of every frame")
    options = parser.parse_args(argv)
    if options.hands is None:
        kind = mimetypes.guess_type(options.source or "")[0] or ""
        options.hands = 2 if kind.startswith("image/") else 1
    return options


class Recorder:
    """Notes what the module does while it is live.

    :ivar frames: the tracked frames, in order.
    :ivar sceneRas: for each of their hands, in order, (21, 3) mm as they stood in the markups node.
    """

    def __init__(self, logic, heartbeat) -> None:
        from LiveHandLib.threads import gil
        from LiveHandLib.tracking import worker

        self.frames, self.times, self.latenciesMs, self.sceneRas, self.blockedS = [], [], [], [], []
        self._logic = logic
        self._heartbeat = heartbeat
        self._isBeating = False
        self._lender = gil.lender()
        logic.worker.tracked.connect(self._onTracked)  # after the logic's own slot: the nodes have been moved
        self._timed(gil.GilLender, "_lend")
        self._timed(worker.TrackingWorker, "_onPosted")

    def _timed(self, cls, name) -> None:
        original = getattr(cls, name)

        def timed(*arguments) -> None:
            start = time.perf_counter()
            try:
                original(*arguments)
            finally:
                self.blockedS.append(time.perf_counter() - start)

        setattr(cls, name, timed)

    def _onTracked(self, frame) -> None:
        import slicer

        now = time.perf_counter()
        self.latenciesMs.append(1000 * (now - frame.captureTime))
        self.times.append(now)
        self.frames.append(frame)
        for side in frame.hands:
            node = getattr(self._logic.getParameterNode(), f"{side.lower()}Landmarks")
            self.sceneRas.append(slicer.util.arrayFromMarkupsControlPoints(node, world=True))
        if len(self.times) > 1 and now > self.times[0] + STARTUP_S and not self._isBeating:
            self._isBeating = True
            self._heartbeat.start()

    def figures(self) -> dict:
        """The figures, under the names of the ``--json`` file."""
        import slicer

        statistics = self._logic.worker.lastStatistics
        late = np.array(self._heartbeat.late or [0.0])
        latencies = np.array(self.latenciesMs or [0.0])
        duration = self.times[-1] - self.times[0] if len(self.times) > 1 else 0.0
        hands = [side for frame in self.frames for side in frame.hands]
        parameterNode = self._logic.getParameterNode()
        nodes = [
            getattr(parameterNode, name)
            for name in ("cameraToRAS", *(side + kind for side in ("left", "right") for kind in KINDS))
        ]
        return {
            "frames_read": statistics.framesRead,
            "frames_tracked": statistics.framesTracked,
            "frames_dropped": statistics.framesDropped,
            "frames_unreadable": statistics.framesUnreadable,
            "hands_left": hands.count("Left"),
            "hands_right": hands.count("Right"),
            "hands_by_two_cameras": sum(hand.cameras == 2 for frame in self.frames for hand in frame.hands.values()),
            "fps": (len(self.times) - 1) / duration if duration else 0.0,
            "latency_ms_median": float(np.median(latencies)),
            "latency_ms_p95": float(np.percentile(latencies, 95)),
            "gui_stall_ms_p99": float(np.percentile(late, 99)),
            "gui_stall_ms_max": float(late.max()),
            "gui_blocked_fraction": sum(self.blockedS) / duration if duration else 0.0,
            "node_names": [node.GetName() for node in nodes if node and slicer.mrmlScene.IsNodePresent(node)],
        }

    def saveLandmarks(self, path: str) -> None:
        """Write the landmarks, a row for each hand of each frame."""
        rows = [(frame, side, hand) for frame in self.frames for side, hand in frame.hands.items()]
        np.savez_compressed(
            path,
            frame=np.array([frame.number for frame, _side, _hand in rows], int),
            time_ms=np.array([frame.timestampMs for frame, _side, _hand in rows], int),
            handedness=np.array([side for _frame, side, _hand in rows], str),
            image_px=np.array([hand.imagePx for _frame, _side, hand in rows]).reshape(-1, 21, 2),
            world_mm=np.array([hand.worldMm for _frame, _side, hand in rows]).reshape(-1, 21, 3),
            scene_ras=np.array(self.sceneRas).reshape(-1, 21, 3),
        )

    def middleFrame(self):
        """The frame to show: of those with most hands the one nearest the middle, or None."""
        most = max((len(frame.hands) for frame in self.frames), default=0)
        if not most:
            return None
        middle = len(self.frames) / 2
        return min((abs(index - middle), index) for index, frame in enumerate(self.frames) if len(frame.hands) == most)[
            1
        ]


def lookAtHands(view, parameterNode) -> None:
    """Bring the hands that are shown to the middle of the 3D view, as large as fits."""
    import vtk

    box = vtk.vtkBoundingBox()
    for node in (getattr(parameterNode, side + kind) for side in ("left", "right") for kind in KINDS):
        if node and node.GetDisplayNode().GetVisibility():
            bounds = [0.0] * 6
            node.GetRASBounds(bounds)
            box.AddBounds(bounds)
    bounds = [0.0] * 6
    box.GetBounds(bounds)
    view.renderWindow().GetRenderers().GetFirstRenderer().ResetCamera(bounds)


def withFakeCamera(clip: str) -> int:
    """Start the demo anew, in a process that has a camera that sees a clip; returns its exit code."""
    modes = fakecamera.WEBCAM_MODES[:2]
    try:
        with fakecamera.FakeCameras([fakecamera.Device("Fake Camera", clip, modes, seconds=10.0)]) as cameras:
            return subprocess.call([sys.executable, *sys.orig_argv[1:]], env=cameras.environment())
    except (fakecamera.Unavailable, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def main(argv: list[str]) -> int:
    """Run the demo.

    :returns: exit code; 1 if the module reported a failure, which has been printed.
    """
    options = arguments(argv)
    if options.fake_camera and not fakecamera.loadedFolder():
        return withFakeCamera(options.fake_camera)
    from host.application import Application, Heartbeat

    with Application(headless=options.headless or None) as app:
        widget = app.showModule(app.loadModule(MODULE))
        logic = widget.logic
        from LiveHandLib.tracking import worker

        errors = []
        recorder = Recorder(logic, Heartbeat())
        logic.worker.failed.connect(errors.append)
        if options.fake_camera and app.headless and not options.frames:
            options.frames = 300  # its clip never ends
        if options.frames:
            logic.worker.tracked.connect(lambda frame: len(recorder.frames) >= options.frames and logic.stop())
        if options.fake_camera:
            # The panel finds it, and chooses the first one there is.
            assert app.spin(lambda: logic.getParameterNode().source, timeout=60), "no camera is found"
        else:
            logic.setSource(options.source or str(SAMPLE_CLIP) if options.camera is None else options.camera)
        if options.second_source:
            logic.setSecondSource(options.second_source)
        if options.pair:
            from LiveHandLib.errors import LiveHandError

            try:
                logic.importPair(options.pair)
            except LiveHandError as error:
                print(error, file=sys.stderr)
                return 1
        logic.getParameterNode().numberOfHands = options.hands
        logic.getParameterNode().everyFrame = options.every_frame
        widget.ui.liveCheckBox.setChecked(True)

        def isOver() -> bool:
            closed = not app.headless and not app.window.visible
            return closed or (logic.worker.state == worker.OFF and bool(recorder.frames or errors))

        # Looked at seldom: Python that runs in the GUI thread is a chance for the worker that Slicer would not give.
        app.spin(isOver, timeout=24 * 3600, gil=options.gil, interval=0.1)
        if errors or app.errors:
            print(*(app.errors or [widget.ui.statusLabel.text]), sep="\n", file=sys.stderr)
            return 1

        figures = recorder.figures()
        print(*(f"{name}: {value:.3g}" if isinstance(value, float) else f"{name}: {value}"
                for name, value in figures.items()), sep="\n")  # fmt: skip
        if options.json:
            Path(options.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        if options.landmarks:
            recorder.saveLandmarks(options.landmarks)
        middle = recorder.middleFrame()
        if middle is not None and (options.screenshot or app.headless):
            logic.showFrame(recorder.frames[middle])
            lookAtHands(app.view, logic.getParameterNode())
            path = options.screenshot or "LiveHandDemo.png"
            app.view.savePng(path)
            print(f"image: {path}")
        if not app.headless and app.window.visible:
            print("Close the window to end the demo.")
            app.exec(options.gil)
    return 0
