"""The steps of ``run.py slicer``; the script that Slicer is started with.

Slicer reads this file in the system's encoding, so it is ASCII. Only what Slicer's Python has is imported.
"""

import csv
import importlib
import importlib.metadata
import os
import platform
import re
import sys
import time
from pathlib import Path

import numpy as np
import qt
import slicer
import vtk

sys.path.append(str(Path(__file__).resolve().parent.parent))

from slicercheck.runner import (
    Abort,
    Check,
    Frames,
    Heartbeat,
    expect,
    quantile,
    threads,
)
from support.paths import ROOT

OLDEST = (5, 10)


def versions(check):
    """What the figures belong to; the module is loaded from this checkout."""
    version = slicer.app.majorVersion, slicer.app.minorVersion
    if not hasattr(slicer.modules, "livehand"):
        raise Abort("the module is not loaded: see what Slicer says in its log")
    path = Path(slicer.modules.livehand.path).resolve()
    if ROOT not in path.parents:
        raise Abort(f"another copy of the module is loaded: {path}")
    if version < OLDEST:
        raise Abort(
            f"LiveHand needs Slicer {OLDEST[0]}.{OLDEST[1]} or later, and this is {slicer.app.applicationVersion}"
        )
    slicer.util.selectModule("LiveHand")
    yield 0.5
    if getattr(slicer.modules, "LiveHandWidget", None) is None or check.logic is None:
        raise Abort("the panel cannot be opened: see what Slicer says in its log")
    check.logic.worker.failed.connect(check.noteFailure)
    yield from check.layout("OneUp3DView")
    slicer.util.forceRenderAllViews()
    renderer = re.search(r"OpenGL renderer string: *(.*)", check.view.renderWindow().ReportCapabilities() or "")
    return {
        "Slicer": f"{slicer.app.applicationVersion} ({slicer.app.revision})",
        "Python": platform.python_version(),
        "Qt": (getattr(qt, "qVersion", None) or qt.Qt.qVersion)(),
        "VTK": vtk.vtkVersion.GetVTKVersion(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "renderer": renderer[1].strip() if renderer else None,
    }


def installedVersion(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def packages(check):
    """The packages are there, after they have been installed if that was asked for."""
    names, missing, figures = ("numpy", "mediapipe"), check.logic.missingPackages(), {}
    before, numpyBefore = missing, installedVersion("numpy")
    if missing and check.options["install"]:
        answer = qt.QTimer()
        answer.connect("timeout()", agree)
        answer.start(200)
        start = time.perf_counter()
        try:
            check.ui.installButton.click()  # returns when all is installed
        finally:
            answer.stop()
        figures = {"installed": ", ".join(before), "seconds": round(time.perf_counter() - start, 1)}
        missing = check.logic.missingPackages()
        if missing:
            raise Abort(
                f"after the installation there is still missing: {', '.join(missing)}; {check.ui.statusLabel.text}"
            )
    if missing:
        raise Abort(f"not installed: {', '.join(missing)}; start again with --install")
    obstacle = check.logic.packageObstacle()
    if obstacle:
        raise Abort(f"the packages cannot be used: {obstacle!r}")
    if check.logic.unagreedMediapipe():
        raise Abort(
            f"MediaPipe {check.logic.unagreedMediapipe()} sends metrics, and Live asks before it uses it: "
            "install the version that LiveHand asks for"
        )
    if installedVersion("numpy") != numpyBefore:
        raise Abort(f"numpy was {numpyBefore} and is {installedVersion('numpy')} after the installation")
    opencv = [
        name for name in ("opencv-python", "opencv-contrib-python", "opencv-python-headless") if installedVersion(name)
    ]
    figures.update({name: installedVersion(name) for name in (*names, *opencv)})
    yield 1.2  # in Slicer's error log, what comes within a second is one entry
    check.firstLogEntry = slicer.app.errorLogModel().logEntryCount()
    return figures


def agree():
    """Answer OK to the question whether to install."""
    box = qt.QApplication.activeModalWidget()
    if box and box.inherits("QMessageBox") and box.button(qt.QMessageBox.Ok):
        box.button(qt.QMessageBox.Ok).click()


def live(layout, everyFrame):
    """The step: the sample clip in a layout, at its own pace or every frame of it."""

    def step(check):
        yield from check.layout(layout)
        view = check.view if check.view and check.view.visible else None
        expect(
            bool(view) == (layout != "None"), "no 3D view is on the screen" if layout != "None" else "a view is left"
        )
        times, latenciesMs, toScreenMs, lateMs, dropped, read, tracked = [], [], [], [], 0, 0, 0
        worker, preview = check.logic.worker, check.ui.previewCollapsibleButton
        preview.collapsed = True
        for _round in range(1 if check.isQuick else 3):
            yield from check.goLive(everyFrame=everyFrame)
            expect(check.node.rightLandmarks is not None, "the hand has no landmarks in the scene")
            frames, heartbeat = Frames(check.logic, check.node.rightLandmarks, view), Heartbeat()
            heartbeat.start()
            try:
                yield from check.wait(lambda: worker.state == "off", 60, "the clip is not played to its end")
            finally:
                lateMs += heartbeat.stop()
                frames.stop()
            statistics = worker.lastStatistics
            dropped, read = dropped + statistics.framesDropped, read + statistics.framesRead
            tracked += statistics.framesTracked
            times.append(
                (len(frames.times) - 1) / (frames.times[-1] - frames.times[0]) if len(frames.times) > 1 else 0.0
            )
            latenciesMs += frames.latenciesMs
            toScreenMs += frames.toScreenMs
            moved = len({tuple(np.round(tip, 3)) for tip in frames.tips})
            expect(moved > 0.5 * len(frames.times) > 5, f"{moved} places of the hand in {len(frames.times)} frames")
        if not everyFrame:
            check.screenshot(f"live {layout}")
        preview.collapsed = False
        expect(tracked + dropped > 0.9 * read, f"the hand was found in {tracked} of {read} frames")
        return {
            "frames/s": round(float(np.mean(times)), 1),
            "latency ms": quantile(latenciesMs, 0.5),
            "latency p95 ms": quantile(latenciesMs, 0.95),
            "to screen ms": quantile(toScreenMs, 0.5),
            "to screen p95 ms": quantile(toScreenMs, 0.95),
            "heartbeat p99 ms": quantile(lateMs, 0.99),
            "dropped": dropped,
            "of": read,
        }

    return step


def onAndOff(check):
    """Ten times on and off, and nothing is left."""
    offMs, logic = [], check.logic
    for _number in range(10):
        yield from check.goLive()
        start = time.perf_counter()
        check.ui.liveCheckBox.setChecked(False)
        yield from check.wait(lambda: logic.worker.state == "off", 15, "Live does not go off")
        offMs.append(1000 * (time.perf_counter() - start))
        yield from check.wait(lambda: not threads(), 15, "threads are left")
        expect(not check.ui.liveCheckBox.checked, "the panel shows Live as on")
    hand = check.node.rightSurface.GetDisplayNode()
    expect(not hand.GetVisibility(), "the hand is still shown")
    return {"off after ms": quantile(offMs, 0.5), "at most ms": quantile(offMs, 1.0), "polled every ms": check.POLL_MS}


def closedPanel(check):
    """Parameters take effect while another module is open."""
    yield from check.goLive(everyFrame=False)
    wide = check.node.palmWidthMm
    widths = []
    for width in (wide, 0.7 * wide):
        if width != wide:
            slicer.util.selectModule("")
            yield 0.2
            expect(not check.widget.parent.isEntered, "the module is still open")
            check.node.palmWidthMm = width
            yield 0.5
        measured = []
        for _number in range(10):
            landmarks = check.shownLandmarks()
            measured.append(np.linalg.norm(landmarks[5] - landmarks[17]))
            yield 0.1
        widths.append(float(np.median(measured)))
        expect(check.logic.worker.state == "live", "Live went off")
    slicer.util.selectModule("LiveHand")
    check.node.palmWidthMm = wide
    yield 0.2
    expect(
        0.6 < widths[1] / widths[0] < 0.8,
        f"the palm was {widths[0]:.0f} mm wide and is {widths[1]:.0f} mm after its width was set to 70 %",
    )
    return {"before mm": round(widths[0], 1), "at 70 % mm": round(widths[1], 1)}


def recording(check):
    """A recording, its frames, its CSV file, and the joint angles."""
    check.ui.measureAnglesCheckBox.setChecked(True)
    yield from check.goLive()
    check.ui.recordButton.setChecked(True)
    yield 2.0
    check.ui.recordButton.setChecked(False)
    node = check.node
    yield from check.wait(lambda: node.recording is not None, 20, "no recording comes into the scene")
    browser = node.recording
    expect(browser.GetNumberOfItems() > 10, f"the recording has {browser.GetNumberOfItems()} frames")
    yield from check.goOff()
    expect(node.rightAngles is not None and node.rightAngles.GetNumberOfRows() > 10, "no joint angles were measured")
    path = check.folder / "recording.csv"
    check.logic.motion.exportCsv(str(path))
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    expect(rows, "the CSV file is empty")
    last = rows[-21:]
    written = np.array([[float(row[axis]) for axis in ("R_mm", "A_mm", "S_mm")] for row in last])
    numbers = range(browser.GetNumberOfItems())
    (number,) = (n for n in numbers if browser.GetMasterSequenceNode().GetNthIndexValue(n) == last[0]["time_s"])
    browser.SetSelectedItemNumber(number)
    yield 0.2
    proxies = vtk.vtkCollection()
    browser.GetAllProxyNodes(proxies)
    (hand,) = (node for node in proxies if node.IsA("vtkMRMLMarkupsFiducialNode") and "Right" in node.GetName())
    played = slicer.util.arrayFromMarkupsControlPoints(hand, world=True)
    far = float(np.abs(played - written).max())
    expect(far < 0.001, f"the recording and its CSV file differ by {far:.3f} mm")
    check.screenshot("recording")
    return {"frames": browser.GetNumberOfItems(), "lines": len(rows), "angles": node.rightAngles.GetNumberOfRows()}


def playback(check):
    """A recording is played back by the application."""
    browser = check.node.recording
    expect(browser is not None, "there is no recording")
    check.hostLacks("playback")
    browser.SetSelectedItemNumber(0)
    browser.SetPlaybackActive(True)
    try:
        yield from check.wait(lambda: browser.GetSelectedItemNumber() > 5, 10, "it is not played back")
    finally:
        browser.SetPlaybackActive(False)


def plot(check):
    """The joint angles as a plot beside the 3D view."""
    yield from check.layout("OneUp3DView")
    check.ui.showPlotButton.click()
    yield from check.goLive()
    node = check.node
    yield from check.wait(
        lambda: node.rightAngles and node.rightAngles.GetNumberOfRows() > 10, 10, "nothing is measured"
    )
    expect(node.anglesChart and node.anglesChart.GetNumberOfPlotSeriesNodes() > 0, "the chart shows nothing")
    manager = slicer.app.layoutManager()
    if not manager.plotViewCount:
        check.hostLacks("plot views")
    check.screenshot("plot")
    plots = [manager.plotWidget(index) for index in range(manager.plotViewCount)]
    chart = node.anglesChart.GetID()
    expect(
        any(one.visible and one.mrmlPlotViewNode().GetPlotChartNodeID() == chart for one in plots),
        "the plot is not on the screen",
    )
    expect(check.view.visible, "the 3D view is not on the screen")
    return {"series": node.anglesChart.GetNumberOfPlotSeriesNodes()}


def sliceView(check):
    """The camera's image in the red slice view, while it is asked for."""
    yield from check.layout("FourUpView")
    yield from check.goLive()
    composite = slicer.app.applicationLogic().GetSliceLogicByLayoutName("Red").GetSliceCompositeNode()
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVectorVolumeNode")

    def isShown():
        volume = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
        return volume is not None and volume.IsA("vtkMRMLVectorVolumeNode")

    check.ui.showInSliceViewCheckBox.setChecked(True)
    yield from check.wait(isShown, 10, "the slice view does not show the image")
    yield 0.5
    check.screenshot("slice view")
    check.ui.showInSliceViewCheckBox.setChecked(False)
    yield from check.wait(lambda: not isShown(), 10, "the slice view still shows the image")
    expect(
        slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVectorVolumeNode") == before, "the volume stays in the scene"
    )


def calibration(check):
    """A clip of a board, rendered here, calibrates its camera."""
    import cv2

    from LiveHandLib.calibration.board import Board
    from support.boardrender import BoardRenderer, handHeldPoses

    size, distortion = (640, 480), [-0.1, 0.05, 0.001, -0.001, 0.0]
    matrix = np.array([[560.0, 0.0, 331.0], [0.0, 556.0, 228.0], [0.0, 0.0, 1.0]])
    board = Board()  # as the panel has it at first
    # Calibrations are kept by the file's name, so it is one that no other file has.
    path = check.folder / f"{check.folder.name} board.avi"
    renderer = BoardRenderer(board, matrix, distortion, size, supersampling=1)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, size)
    for number, pose in enumerate(handHeldPoses(board, matrix, size)):
        image = cv2.cvtColor(renderer.render(*pose, seed=number), cv2.COLOR_RGB2BGR)
        for frame in (cv2.blur(image, (25, 1)), image, image, image):
            writer.write(frame)
        yield 0.01
    writer.release()
    results, logic = [], check.logic

    def onCalibrated(result):
        results.append(result)

    logic.worker.calibrated.connect(onCalibrated)
    logic.setSource(str(path))
    check.node.everyFrame = True
    try:
        check.ui.calibrateButton.setChecked(True)
        yield from check.wait(lambda: results and logic.worker.state == "off", 120, "the calibration does not end")
        found = logic.intrinsics(size)
        expect(found is not None and found.isCalibrated, "the calibration is not used")
        focalLength = float(found.matrix[0][0])
        expect(abs(focalLength / matrix[0][0] - 1.0) < 0.02, f"the focal length is {focalLength:.0f} px, and not 560")
        check.screenshot("calibration")
    finally:
        logic.worker.calibrated.disconnect(onCalibrated)
        logic.forgetCalibrations()
        check.node.everyFrame = False
    return {"views": results[0].views, "RMS px": round(found.rmsPx, 2), "focal length px": round(focalLength, 1)}


def savedScene(check):
    """A scene saved while live and loaded with the panel open: the module goes on with the nodes in it."""
    slicer.mrmlScene.Clear(0)
    yield 0.5
    yield from check.goLive()
    matrix = np.array([[0.0, -1.0, 0.0, 12.0], [1.0, 0.0, 0.0, -34.0], [0.0, 0.0, 1.0, 56.0], [0.0, 0.0, 0.0, 1.0]])
    check.node.cameraToRAS.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    check.ui.recordButton.setChecked(True)
    yield 1.0
    check.ui.recordButton.setChecked(False)
    node = check.node
    yield from check.wait(lambda: node.recording is not None, 20, "no recording comes into the scene")
    items = node.recording.GetNumberOfItems()
    if check.logic.worker.state != "live":
        yield from check.goLive()
    path = check.folder / "scene.mrb"
    expect(slicer.util.saveScene(str(path)) and path.stat().st_size > 1000, "the scene cannot be saved")
    names = ("cameraToRAS", "rightLandmarks", "rightSurface", "recording")
    saved = {name: getattr(node, name).GetName() for name in names}
    slicer.mrmlScene.Clear(0)
    yield from check.goOff()
    expect(check.node.cameraToRAS is None, "closing the scene leaves the transform")
    slicer.util.loadScene(str(path))
    yield 0.5
    loaded = {name: getattr(check.node, name) for name in names}
    expect(all(loaded.values()), f"not used: {', '.join(name for name, one in loaded.items() if one is None)}")
    expect({name: one.GetName() for name, one in loaded.items()} == saved, "other nodes than the saved ones are used")
    counts = [slicer.mrmlScene.GetNumberOfNodesByClass(one.GetClassName()) for one in loaded.values()]
    yield from check.goLive()
    yield 0.5
    now = {name: getattr(check.node, name) for name in names}
    expect(now == loaded, "Live uses other nodes than the loaded ones")
    expect(
        [slicer.mrmlScene.GetNumberOfNodesByClass(one.GetClassName()) for one in now.values()] == counts,
        "Live has made nodes although the scene has them",
    )
    used = slicer.util.arrayFromTransformMatrix(now["cameraToRAS"])
    expect(np.allclose(used, matrix), "the transform is another one")
    expect(
        now["rightLandmarks"].GetParentTransformNode() == now["cameraToRAS"],
        "the landmarks are under another transform",
    )
    expect(now["recording"].GetNumberOfItems() == items, "the recording is another one")
    hand = check.logic.frame.hands.get("Right")
    far = np.abs(check.shownLandmarks() - (hand.cameraMm @ matrix[:3, :3].T + matrix[:3, 3])).max() if hand else 0.0
    expect(far < 0.1, f"the landmarks are {far:.1f} mm from where the frame has them")
    check.logic.motion.exportCsv(str(check.folder / "loaded.csv"))
    check.screenshot("saved scene")
    yield from check.goOff()
    slicer.mrmlScene.Clear(0)
    yield 0.2
    return {"kB": round(path.stat().st_size / 1000), "frames recorded": items}


def inSight(check):
    """The first hand in an empty 3D view is brought into sight, once."""
    yield from check.layout("OneUp3DView")
    slicer.mrmlScene.Clear(0)
    yield 0.5
    renderer = check.view.renderWindow().GetRenderers().GetFirstRenderer()

    def turnAway():
        camera = renderer.GetActiveCamera()
        camera.SetFocalPoint(5000.0, 0.0, 0.0)
        camera.SetPosition(5000.0, 500.0, 0.0)
        return camera.GetPosition()

    def isInSight():
        landmarks = check.shownLandmarks()
        if landmarks is None:
            return False
        aspect = renderer.GetTiledAspectRatio()
        matrix = renderer.GetActiveCamera().GetCompositeProjectionTransformMatrix(aspect, -1.0, 1.0)
        x, y, _z, w = slicer.util.arrayFromVTKMatrix(matrix) @ np.append(landmarks.mean(axis=0), 1.0)
        return w > 0 and abs(x) < w and abs(y) < w

    away = turnAway()
    yield from check.goLive()
    yield from check.wait(isInSight, 5, "the first hand is not brought into sight")
    yield 0.5
    check.screenshot("first hand")
    yield from check.goOff()
    away = turnAway()
    yield from check.goLive()
    yield 1.5
    expect(np.allclose(renderer.GetActiveCamera().GetPosition(), away), "the view is moved although the user chose it")
    expect(not isInSight(), "the view is moved although the user chose it")
    yield from check.goOff()
    slicer.util.resetThreeDViews()


def reloaded(check):
    """The module is loaded again while live."""
    yield from check.goLive()
    old = check.widget
    old.onReload()
    yield 0.5
    expect(check.widget is not old and check.logic is not None, "there is no new panel")
    expect(old.logic is None, "the old panel goes on")
    check.logic.worker.failed.connect(check.noteFailure)
    yield from check.goLive()
    check.screenshot("reloaded")


def ownTests(check):
    """The module's own tests, as Reload and Test runs them."""
    yield 0.1
    importlib.import_module("LiveHand").LiveHandTest().runTest()


# What MediaPipe and its parts write, LiveHand's own reports, and its files in a traceback.
MODULES_LINES = r"mediapipe|tensorflow|tflite|xnnpack|absl|inference_feedback|NORM_RECT|LiveHand: |LiveHand[\w/\\]*\.py"


def errorLog(check):
    """Nothing of MediaPipe's or LiveHand's is in Slicer's error log as an error, since they were installed."""
    model = slicer.app.errorLogModel()
    yield 1.0  # what other threads write comes by queued signals
    levelColumn = 2  # ctkErrorLogAbstractModel::LogLevelColumn
    entries = [
        model.logEntryDescription(row)
        for row in range(check.firstLogEntry, model.logEntryCount())
        if model.index(row, levelColumn).data() in ("Error", "Critical", "Fatal")
    ]
    lines = [line.strip() for entry in entries for line in entry.splitlines() if line.strip()]
    own = [line for line in lines if re.search(MODULES_LINES, line, re.IGNORECASE)]
    expect(not own, f"{len(own)} lines, the first one: {own[0] if own else ''}")
    return {"errors of others": len(entries), "the first": lines[0] if lines else None}


LAYOUTS = {"OneUp3DView": "3D only", "FourUpView": "four-up", "ConventionalView": "conventional", "None": "no view"}
LIVE = [
    ("live", f"live, {title}, {'every frame' if everyFrame else 'own pace'}", live(layout, everyFrame))
    for layout, title in LAYOUTS.items()
    for everyFrame in (False, True)
]

NEEDED = ("versions", "packages")  # by all others
NOT_QUICK = [step for _name, _title, step in LIVE[2:]]

STEPS = (
    ("versions", "versions", versions),
    ("packages", "packages", packages),
    *LIVE,
    ("onoff", "ten times on and off", onAndOff),
    ("parameters", "parameters, panel closed", closedPanel),
    ("recording", "recording, CSV, angles", recording),
    ("recording", "playback", playback),
    ("plot", "plot beside the 3D view", plot),
    ("slice", "slice view", sliceView),
    ("calibration", "calibration", calibration),
    ("scene", "scene saved live, loaded", savedScene),
    ("sight", "first hand in sight", inSight),
    ("reload", "reload while live", reloaded),
    ("tests", "the module's own tests", ownTests),
    ("log", "error log", errorLog),
)

check = Check(sys.argv[-1], STEPS, NEEDED, NOT_QUICK)  # kept in the main namespace, as long as Slicer runs
