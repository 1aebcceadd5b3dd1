"""What the tests share: the material they read, and one host application."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import pytest

import host  # noqa: F401  gives the test modules what a module of Slicer imports: qt, ctk, slicer
from support import fakecamera
from support.helpers import liveHandThreads, settled
from support.paths import MODEL, MODULE, SHARED

# The table of the faults


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(name, times=1): a case of the table of faults, tried so many times")
    fakecamera.keepFromChildren()  # where this process is one of several


@pytest.fixture(autouse=True)
def _fault(request):
    """Notes for the table which case a test is."""
    for mark in request.node.iter_markers("fault"):
        request.node.user_properties.append(("fault", (*mark.args, mark.kwargs.get("times", 1))))


def pytest_terminal_summary(terminalreporter):
    """Say of each fault how many times it was tried and how many times everything was as promised afterwards."""
    outcomes = [terminalreporter.stats.get(kind, []) for kind in ("passed", "failed", "error")]
    reports = [report for reports in outcomes for report in reports if hasattr(report, "user_properties")]
    harmed = {report.nodeid for report in reports if report.failed}
    cases: dict[str, dict[str, int]] = {}
    for report in reports:
        for key, value in report.user_properties:
            if key == "fault":
                cases.setdefault(value[0], {})[report.nodeid] = value[1]
    if not cases:
        return
    terminalreporter.section("Faults")
    width = max(map(len, cases))
    terminalreporter.write_line(f"{'case':{width}}  tried  survived")
    for name, tests in cases.items():
        tried, survived = (sum(times for test, times in tests.items() if test not in gone) for gone in ((), harmed))
        terminalreporter.write_line(f"{name:{width}}  {tried:5}  {survived:8}", red=survived < tried)
    survivors = sum(not set(tests) & harmed for tests in cases.values())
    terminalreporter.write_line(f"{survivors} of {len(cases)} cases survived", bold=True)


@pytest.fixture
def shared() -> Path:
    """The material that may not go into the project."""
    if not SHARED.is_dir():
        pytest.skip("the shared material is not beside the checkout; only these tests read it")
    return SHARED


@pytest.fixture(scope="session")
def model() -> bytes:
    """The hand model, after the packages have been imported."""
    from LiveHandLib.detection import detector

    detector.importPackages()
    return detector.loadModel(MODEL)


@pytest.fixture
def writeClip(tmp_path):
    """Writes a clip of plain images whose grey encodes their number, at a rate in frames a second."""
    import cv2

    def write(frames: int, rate: float, name: str = "clip.avi") -> str:
        path = str(tmp_path / name)
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), rate, (64, 48))
        for number in range(frames):
            writer.write(np.full((48, 64, 3), 2 * number, np.uint8))
        writer.release()
        return path

    return write


@pytest.fixture
def fakeCameras():
    """Plugs in what is given to it, for this process as well; see :mod:`support.fakecamera`."""
    try:
        fakecamera.buildLibrary()
    except fakecamera.Unavailable as reason:
        pytest.skip(str(reason))
    assert fakecamera.loadedFolder(), "cameras need to be there from the process's start: Testing/run.py tests"
    with contextlib.ExitStack() as cameras:
        yield lambda *devices: cameras.enter_context(fakecamera.FakeCameras(devices))


@pytest.fixture(scope="session")
def _application():
    from host.application import Application

    application = Application(headless=True)
    yield application
    application.close()
    assert application.errors == []


@pytest.fixture
def app(_application):
    """The host, keeping the GIL as Slicer does, with an empty scene; no test may leave anything running."""
    import slicer

    slicer.app.userSettings().remove("LiveHand")  # what an earlier test chose as the user
    slicer.mrmlScene.Clear(0)
    yield _application
    errors = _application.errors[:]
    _application.errors.clear()  # the next test is not to fail of this one's
    assert errors == [], "what left a slot as an exception"
    assert liveHandThreads() == []


@pytest.fixture
def widget(app):
    """The module's panel, just opened and with nothing chosen; Live is off again afterwards."""
    import slicer

    if not hasattr(slicer.modules, "livehand"):
        app.loadModule(MODULE)
    widget = app.showModule("LiveHand")
    settled(app, widget.logic)
    yield widget
    widget = slicer.modules.LiveHandWidget  # another one after a reload
    widget.logic.stop()
    settled(app, widget.logic)
    app.showModule(None)


@pytest.fixture
def unharmed(app, widget, tmp_path, monkeypatch):
    """Checks after the test that the fault did no harm; see :mod:`support.faults`."""
    from support.faults import Unharmed

    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    unharmed = Unharmed(app, folder)
    yield unharmed
    monkeypatch.undo()  # the fault is over
    unharmed.check()


@pytest.fixture
def logic(widget):
    """The panel's logic."""
    return widget.logic


@pytest.fixture
def tracked(logic):
    """The frames that arrive from now on."""
    frames = []

    def note(frame):
        frames.append(frame)

    logic.worker.tracked.connect(note)
    yield frames
    if logic.worker:
        logic.worker.tracked.disconnect(note)


@pytest.fixture
def redView(app):
    """The host's red slice view, hidden, so that no layout resizes it: axial, 400 x 300 px; gives its logic."""
    import slicer

    layout = slicer.app.layoutManager()
    if not layout.sliceWidget("Red"):
        before = layout.layout
        layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        app.spin(timeout=0.1)
        layout.setLayout(before)
    logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName("Red")
    sliceNode, dimensions = logic.GetSliceNode(), logic.GetSliceNode().GetDimensions()
    sliceNode.SetDimensions(400, 300, 1)
    sliceNode.SetOrientation("Axial")
    sliceNode.SetFieldOfView(250.0, 187.5, 1.0)
    sliceNode.UpdateMatrices()
    yield logic
    if logic.GetSliceCompositeNode():
        logic.GetSliceCompositeNode().SetBackgroundVolumeID(None)
    sliceNode.SetDimensions(*dimensions)
