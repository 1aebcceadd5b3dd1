"""Slicer's error log takes each line on stderr for an error: only errors may arrive there.

A test stands in for the log as CTK has it (ctkErrorLogFDMessageHandler): a pipe in place of the file descriptor 2, and
a thread that reads its lines.
"""

import contextlib
import io
import logging
import os
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest

from LiveHandLib.detection import librarymessages
from support.helpers import goLive, settled
from support.paths import MODEL, ROOT, SAMPLE_CLIP


@contextlib.contextmanager
def errorLog():
    """The lines that arrive on stderr meanwhile, complete when it is left."""
    lines: list[str] = []
    reading, writing = os.pipe()
    before = os.dup(2)
    os.dup2(writing, 2, inheritable=False)  # a process started meanwhile would keep the pipe open
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        thread = threading.Thread(target=lambda: lines.extend(line.strip() for line in pipe))
        thread.start()
        try:
            yield lines
        finally:
            os.dup2(before, 2)
            os.close(before)
            thread.join()


def test_going_live_writes_no_line_to_the_error_log(app, widget, caplog):
    caplog.set_level(logging.DEBUG)
    with errorLog() as lines:
        for numberOfHands in (1, 2, 2, 1):
            widget.logic.getParameterNode().numberOfHands = numberOfHands
            goLive(app, widget)
            widget.ui.liveCheckBox.setChecked(False)
            settled(app, widget.logic)
    assert lines == []
    reports = [record for record in caplog.records if "MediaPipe" in record.message]
    assert len(reports) in (2, 3), "once for each detector; the first one may be of an earlier test"
    assert all(record.levelno == logging.DEBUG and "signature" in record.message for record in reports)


def run(code: str) -> tuple[str, list[str]]:
    """Run code in a process of its own, for what libraries write once in a process; its output, its lines on stderr."""
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'LiveHand')!r})\n{code}"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    return process.stdout, process.stderr.splitlines()


@pytest.mark.parametrize("versions", ["detector.KNOWN_VERSIONS", "()"])
def test_detectors_write_no_line_from_the_first_to_the_last(versions):
    output, lines = run(f"""
from LiveHandLib.camera import clip
from LiveHandLib.detection import detector
detector.importPackages()
detector.KNOWN_VERSIONS = {versions}
frames = clip.openClip({str(SAMPLE_CLIP)!r})
images = [frames.read() for number in range(60)]
for numberOfHands in (1, 2):
    with detector.HandDetector(detector.loadModel({str(MODEL)!r}), numberOfHands) as hands:
        print(*hands.messages, sep="\\n")
        for stream in range(2):
            assert any([hands.detect(image, 33 * number) for number, image in enumerate(images)])
            hands.restart()
""")
    assert lines == []
    for words in ("XNNPACK delegate", "Feedback manager", "NORM_RECT"):
        assert words in output, "what MediaPipe 0.10.31 writes without being asked"


def test_what_is_wrong_with_a_file_or_camera_is_not_reported_a_second_time(tmp_path):
    damaged, cutOff = tmp_path / "damaged.mp4", tmp_path / "cutOff.mp4"
    content = SAMPLE_CLIP.read_bytes()
    damaged.write_bytes(content[:50_000] + bytes(5000) + content[55_000:])
    cutOff.write_bytes(content[:50_000])
    code = f"""
from LiveHandLib.camera import clip
from LiveHandLib.detection import detector
from LiveHandLib.errors import LiveHandError
detector.importPackages("opencv-python")
import cv2
for path in ({str(damaged)!r}, {str(cutOff)!r}):
    try:
        frames = clip.openClip(path)
        while frames.read() is not None:
            pass
        print(frames.framesUnreadable)
    except LiveHandError as error:
        print(error.reason)
cv2.VideoCapture(99, cv2.CAP_ANY if sys.platform != "linux" else cv2.CAP_V4L2)
"""
    output, lines = run(code)
    assert lines == []
    assert int(output.split()[0]) > 0 and output.split()[1] == "notAVideo"
    assert run(code.replace("detector.importPackages", "str"))[1] != [], "OpenCV alone reports it"


def test_errors_of_the_library_arrive(model):
    broken = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(model)) as bundle, zipfile.ZipFile(broken, "w") as changed:
        for name in bundle.namelist():
            changed.writestr(name, bundle.read(name)[:1000])
    from LiveHandLib.detection import detector

    with errorLog() as lines, pytest.raises(detector.LiveHandError, match="modelUnusable"):
        detector.HandDetector(broken.getvalue())
    assert lines == ["ERROR: The model is not a valid Flatbuffer buffer"]
    with errorLog() as lines, detector.HandDetector(model) as hands:
        assert hands.detect(np.zeros((480, 640, 3), np.uint8), 0) == []
    assert lines == [], "it works afterwards"


def test_only_information_and_warnings_are_taken():
    harmless = (
        "INFO: a",
        "WARNING: b",
        "I0000 00:00:1795825945.540534    5892 file.cc:1] c",
        "W1127 13:05:59.1 1 d] e",
    )
    others = ("ERROR: f", "E0000 00:00:1795825945.540534 1 file.cc:1] g", "F1127 13:05:59.1 1 h] i", "Warnings: j", "")
    with errorLog() as lines:
        os.write(2, b"before\n")
        with librarymessages.taken() as taken:
            for line in (*harmless, *others):
                os.write(2, f"{line}\n".encode())
            thread = threading.Thread(target=os.write, args=(2, 3000 * b"of another thread\n" + b"no end of line"))
            thread.start()
            thread.join()
        assert taken == list(harmless)
        os.write(2, b", but now\n")
    assert lines == ["before", *others, *3000 * ["of another thread"], "no end of line, but now"]


def test_it_is_taken_while_calls_fail_and_overlap():
    def call(number: int) -> None:
        with contextlib.suppress(ZeroDivisionError), librarymessages.taken() as taken:
            os.write(2, f"INFO: {number}\nERROR: {number}\n".encode())
            time.sleep(0.002)
            assert taken == []
            raise ZeroDivisionError

    with errorLog() as lines:
        threads = [threading.Thread(target=call, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.write(2, b"end\n")
    assert sorted(lines[:-1]) == sorted(f"ERROR: {number}" for number in range(20)) and lines[-1] == "end"


def test_without_stderr_nothing_is_taken():
    """Applications with windows have none on Windows."""
    output, lines = run("""
import os
from LiveHandLib.detection import librarymessages
sys.stderr = None
os.close(2)
with librarymessages.taken() as taken:
    print(os.path.exists("/proc/self/fd/2"), taken)
""")
    assert output.split() == ["False", "[]"] and lines == []
