"""What happens stays here: nothing is sent, nothing is stored that nobody asked for, and no file can execute anything.

The process that tracks is watched from its inside, by Python's auditing, and from outside, by what Linux says of it.
"""

import ast
import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from support.helpers import cameraVolumes, goLive, labelPixels
from support.paths import ROOT, SAMPLE_CLIP

TRACKS = """
import json, os, sys, threading
from pathlib import Path

events, recording = [], threading.Event()
WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
WATCHED = (
    "open", "os.", "shutil.", "tempfile.",  # files
    "socket.", "http.", "urllib.", "ftplib.", "smtplib.", "webbrowser.",  # the network
    "subprocess.", "pty.",  # programs
)
HARMLESS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.add_dll_directory", "os.putenv", "os.unsetenv")

def hook(event, arguments):
    if not recording.is_set() or event in HARMLESS:
        return
    if "LiveHand-messages-" in str(arguments[0]):
        return  # where there are no files in memory: the lines that MediaPipe writes to stderr, while it is loaded
    if event == "open" and isinstance(arguments[0], int):
        return  # something that is open already
    if event.startswith(WATCHED) and (event != "open" or arguments[2] & WRITING):
        events.append([event, str(arguments[0])])

sys.addaudithook(hook)
sys.dont_write_bytecode = True
from host.application import Application

with Application(headless=True, settingsFolder=os.environ["SETTINGS"]) as app:
    widget = app.showModule(app.loadModule(MODULE))
    logic = widget.logic
    from LiveHandLib.threads.gil import lender

    app.spin(lambda: not lender().isBusy(), timeout=60)  # until cameras have been searched for
    logic.getParameterNode().showInSliceView = True
    widget.ui.previewCollapsibleButton.collapsed = False
    recording.set()
    widget.ui.measureAnglesCheckBox.click()
    logic.setSource(CLIP)
    widget.ui.everyFrameCheckBox.click()
    widget.ui.liveCheckBox.click()
    assert app.spin(lambda: logic.frame and logic.frame.hands, timeout=60), widget.ui.statusLabel.text
    widget.ui.recordButton.click()
    print("live", flush=True)
    ALSO
    app.spin(lambda: logic.worker.state == "off", timeout=60)
    assert widget.ui.statusLabel.text.startswith("The file has been played")
    assert app.spin(lambda: logic.getParameterNode().recording, timeout=60)
    assert app.errors == [] and "sounddevice" not in sys.modules
    recording.clear()
print(json.dumps(events), flush=True)
"""


class Tracking:
    """A process of its own that tracks the sample clip to its end, with everything on that the panel has.

    Whatever it takes for the user's folders is in one folder, so that what it writes can be seen from outside.

    :param folder: that folder.
    :param also: a line of Python that it executes while it tracks.
    :param first: some that it executes before anything else.
    """

    def __init__(self, folder: Path, also: str = "pass", first: str = "") -> None:
        self.folder = folder
        places = {name: folder / name for name in ("HOME", "TMPDIR", "SETTINGS", "XDG_CACHE_HOME", "cwd")}
        for place in places.values():
            place.mkdir()
        self.messages = tempfile.TemporaryFile("w+")  # noqa: SIM115  for as long as the process
        code = TRACKS.replace("MODULE", repr(str(ROOT / "LiveHand" / "LiveHand.py")))
        code = code.replace("CLIP", repr(str(SAMPLE_CLIP))).replace("ALSO", also)
        self.process = subprocess.Popen(
            [sys.executable, "-c", first + code],
            cwd=places["cwd"],
            env={
                **os.environ,
                **{name: str(place) for name, place in places.items()},
                "PYTHONPATH": str(ROOT / "Testing"),
                "QT_QPA_PLATFORM": "offscreen",
                "MESA_SHADER_CACHE_DISABLE": "true",  # the graphics driver's own
            },
            stdout=subprocess.PIPE,
            stderr=self.messages,
            text=True,
        )

    def waitUntilLive(self) -> None:
        assert self.process.stdout.readline() == "live\n"

    def events(self) -> list:
        """What Python's auditing reported from Live being ticked until the clip was over and the recording made."""
        output = self.process.communicate(timeout=120)[0]
        self.messages.seek(0)
        assert self.process.returncode == 0, self.messages.read()
        return json.loads(output.splitlines()[-1])


def test_nothing_is_sent_started_or_written_while_live(tmp_path):
    assert Tracking(tmp_path).events() == []
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.relative_to(tmp_path).parts[0] for path in written] in ([], ["SETTINGS"]), written
    for path in written:
        assert path.stat().st_size < 2000, "the user's settings, for example the palm width"


def test_auditing_would_notice(tmp_path):
    """The control of the test above."""
    also = "import socket, subprocess; socket.socket().close(); open('x', 'w').close(); subprocess.run(['true'])"
    names = {name for name, _arguments in Tracking(tmp_path, also).events()}
    assert names >= {"socket.__new__", "open", "subprocess.Popen"}


# From outside of Python: MediaPipe's library could do what Python does not hear of.


def internetSockets(pid: int) -> list[str]:
    """What Linux says of a process's open sockets of the Internet's protocols."""
    mine = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            target = os.readlink(descriptor)
            if target.startswith("socket:["):
                mine.add(target[8:-1])
    sockets = []
    for protocol in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "icmp", "icmp6"):
        table = Path(f"/proc/{pid}/net/{protocol}")
        if table.exists():
            rows = [line.split() for line in table.read_text().splitlines()[1:]]
            sockets += [f"{protocol} {' '.join(row)}" for row in rows if mine & set(row)]
    return sockets


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
@pytest.mark.parametrize(
    "also, isSeen",
    [
        ("pass", False),
        ("import socket; kept = socket.socket(); kept.bind(('127.0.0.1', 0)); kept.listen()", True),
        ("import socket; kept = socket.socket(type=socket.SOCK_DGRAM); kept.connect(('127.0.0.1', 9))", True),
    ],
)
def test_no_internet_socket_is_seen_from_outside(tmp_path, also, isSeen):
    tracking = Tracking(tmp_path, also)
    seen = set()
    try:
        tracking.waitUntilLive()
        while tracking.process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # it has just ended
                seen |= set(internetSockets(tracking.process.pid))
            time.sleep(0.01)
    finally:
        tracking.process.kill()
        tracking.process.communicate()
    assert bool(seen) == isSeen, seen


FORBID_INTERNET_SOCKETS = """
import ctypes, struct

# Linux ends the process when any of its code, in whatever language, asks for a socket of the Internet (seccomp(2)).
LOAD, EQUAL, RETURN, KILL_PROCESS, ALLOW = 0x20, 0x15, 0x06, 0x80000000, 0x7FFF0000
SOCKET, AF_INET, AF_INET6 = 41, 2, 10
rules = [
    (LOAD, 0, 0, 0), (EQUAL, 0, 4, SOCKET),  # the call's number; the first argument
    (LOAD, 0, 0, 16), (EQUAL, 1, 0, AF_INET), (EQUAL, 0, 1, AF_INET6),
    (RETURN, 0, 0, KILL_PROCESS), (RETURN, 0, 0, ALLOW),
]
rules = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
program = ctypes.create_string_buffer(struct.pack("H6xP", 7, ctypes.addressof(rules)))
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
assert ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert ctypes.CDLL(None).prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program) == 0
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="filters Linux's system calls")
@pytest.mark.parametrize("also, end", [("pass", 0), ("import socket; socket.socket().close()", -31)])
def test_no_internet_socket_is_ever_asked_for(tmp_path, also, end):
    """Not even for a moment, which watching could miss; from the start of the process to its end."""
    tracking = Tracking(tmp_path, also, first=FORBID_INTERNET_SOCKETS)
    tracking.waitUntilLive()
    tracking.process.communicate(timeout=120)
    assert tracking.process.returncode == end, "31 is SIGSYS"


# What files can do


PAYLOAD = "__import__('pathlib').Path({path!r}).touch()"


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:eval [{code!r}]\n",
        "camera_matrix: !!python/object/apply:eval [{code!r}]\nimage_width: 640\nimage_height: 480\n",
        "image_width: {code}\nimage_height: 480\ncamera_matrix: !!opencv-matrix\n   data: [ {code} ]\n",
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><opencv_storage><camera_matrix>&e;</camera_matrix>'
        "</opencv_storage>",
    ],
)
def test_calibration_file_executes_nothing(tmp_path, text):
    from LiveHandLib.calibration.intrinsics import Intrinsics
    from LiveHandLib.errors import LiveHandError

    path = tmp_path / "calibration.yml"
    path.write_text(
        "%YAML:1.0\n---\n" * (text[0] != "<") + text.format(code=PAYLOAD.format(path=str(tmp_path / "done")))
    )
    with pytest.raises(LiveHandError, match="notACalibration"):
        Intrinsics.load(path)
    assert list(tmp_path.iterdir()) == [path]


class Payload:
    """What executes something when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return eval, (PAYLOAD.format(path=str(self.path)),)


def test_mesh_file_executes_nothing(tmp_path):
    from LiveHandLib.errors import LiveHandError
    from LiveHandLib.scene.surface import HandSurface

    path, done = tmp_path / "mesh.npz", tmp_path / "done"
    np.savez(path, points=np.array([Payload(done)], object), triangles=np.array([Payload(done)], object))
    with np.load(path, allow_pickle=True) as file:
        assert file["points"] is not None and done.exists(), "it would"
    done.unlink()
    with pytest.raises(LiveHandError, match="meshMissing"):
        HandSurface(path, "Right")
    assert not done.exists()


def test_settings_execute_nothing(app, widget, tmp_path):
    """The user's settings and a scene's parameter node are text, from whoever wrote the file."""
    import slicer

    code = PAYLOAD.format(path=str(tmp_path / "done"))
    names = ("palmWidthMm", "smoothingMs", "RightColor", "AgreedMediaPipe")
    settings = slicer.app.userSettings()
    before = {name: settings.value(f"LiveHand/{name}") for name in names}
    try:
        for name in names:
            settings.setValue(f"LiveHand/{name}", code)
        slicer.mrmlScene.Clear(0)
        assert 30 <= widget.logic.getParameterNode().palmWidthMm <= 110
        widget.logic.setSource(SAMPLE_CLIP)
        widget.ui.liveCheckBox.click()
        assert app.spin(lambda: widget.logic.frame and widget.logic.frame.hands, timeout=30)
    finally:
        for name, value in before.items():
            settings.remove(f"LiveHand/{name}") if value is None else settings.setValue(f"LiveHand/{name}", value)
    assert not (tmp_path / "done").exists()


def test_nothing_is_there_that_could_execute_a_file():
    """Also where no test happens to run it."""
    for path in (ROOT / "LiveHand").rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").partition(".")[0])
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names.add(f"{node.func.id}()")
            elif isinstance(node, ast.keyword):
                names.add(f"{node.arg}=")
            elif isinstance(node, ast.Attribute) and ast.unparse(node) != "platform.system":
                names.add(f".{node.attr}")
        forbidden = {"pickle", "marshal", "shelve", "dill", "joblib", "yaml", "socket", "http", "requests"}
        forbidden |= {"eval()", "exec()", "compile()", "__import__()", "allow_pickle=", ".system", ".popen", ".Popen"}
        forbidden |= {".run", ".call", ".check_call", ".check_output"} if "subprocess" in names else set()
        assert names & forbidden == set(), path


# Images


def test_scene_saved_while_everything_shows_the_preview_has_none(app, widget, redView, tmp_path):
    import zipfile

    import slicer

    widget.ui.previewCollapsibleButton.collapsed = False
    widget.logic.getParameterNode().showInSliceView = True
    goLive(app, widget)
    assert app.spin(lambda: cameraVolumes() and labelPixels(widget.ui.previewLabel) is not None, timeout=20)
    widget.ui.recordButton.click()
    app.spin(timeout=0.5)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb")) and slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    with zipfile.ZipFile(tmp_path / "scene.mrb") as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}
    contents["scene.mrml"] = (tmp_path / "scene.mrml").read_bytes()
    # The kinds that are known to have no pixels, and of those all.
    assert {Path(name).suffix for name in contents} <= {".mrml", ".vtk", ".json", ".h5", ".txt", ".tsv", ".csv"}
    for name, content in contents.items():
        assert b"ImageData" not in content and b"STRUCTURED_POINTS" not in content, name
    for name in (name for name in contents if name.endswith(".mrml")):
        assert not re.search(rb"<(?!Slice)\w*(Volume|Image)\w*\s", contents[name]), name


def test_preview_is_out_of_the_slice_view_while_a_dialog_is_open(app, widget, redView):
    """Slicer's dialog for saving puts a screenshot of the views into the scene's file."""
    import qt

    widget.logic.getParameterNode().showInSliceView = True
    goLive(app, widget)
    assert app.spin(cameraVolumes, timeout=20)
    dialog = qt.QDialog()
    dialog.setModal(True)
    dialog.show()
    assert app.spin(lambda: not cameraVolumes(), timeout=20)
    assert redView.GetSliceCompositeNode().GetBackgroundVolumeID() is None
    dialog.close()
    assert app.spin(cameraVolumes, timeout=20)
