"""The check of a real Slicer runs against the host application, and says what is wrong."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from support.paths import ROOT


def check(*options, root=ROOT) -> subprocess.CompletedProcess:
    command = [sys.executable, root / "Testing" / "run.py", "slicer", root / "Testing" / "host" / "launcher.py"]
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.run([*command, *options], capture_output=True, text=True, env=environment, timeout=900)


@pytest.fixture
def brokenCopy(tmp_path):
    """Copies what the check needs, and adds lines to the module's file that break it."""

    def copy(lines: str):
        for name in ("LiveHand", "Testing"):
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        with open(tmp_path / "LiveHand" / "LiveHand.py", "a", encoding="utf-8") as file:
            file.write(f"\n{lines}\n")
        return tmp_path

    return copy


def test_quick_check_of_the_host(tmp_path):
    run = check("--quick", "--json", tmp_path / "rows.json", "--pictures", tmp_path / "images")
    assert run.returncode == 0, run.stdout + run.stderr
    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["rows"]
    outcomes = {row["step"]: row["outcome"] for row in rows}
    assert set(outcomes.values()) <= {"right", "not in this application"}
    right = {step for step, outcome in outcomes.items() if outcome == "right"}
    assert right >= {
        "versions",
        "packages",
        "live, 3D only, own pace",
        "live, 3D only, every frame",
        "ten times on and off",
        "parameters, panel closed",
        "recording, CSV, angles",
        "slice view",
        "calibration",
        "scene saved live, loaded",
        "first hand in sight",
        "reload while live",
        "the module's own tests",
        "error log",
        "quit while live",
    }
    for step in outcomes:
        assert step in run.stdout
    assert (tmp_path / "images" / "live OneUp3DView.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("lines", "only", "said"),
    [
        ("LiveHandLogic.applyParameters = lambda self: None", "parameters", "after its width was set to 70 %"),
        ("LiveHandLogic.missingPackages = lambda self: ['absent']", "live", "absent; start again with --install"),
        ("LiveHandLogic.start = lambda self: 1 / 0", "onoff", "ZeroDivisionError"),
        ("LiveHandWidget.onReload = lambda self: __import__('os')._exit(7)", "reload", "ended with the exit code 7"),
        (
            "slicer.app.connect('aboutToQuit()', lambda: __import__('os')._exit(7))",
            "quit",
            "ended with the exit code 7",
        ),
    ],
    ids=["parameters", "packages", "exception", "crash", "quitting"],
)
def test_what_is_wrong_is_found(brokenCopy, lines, only, said):
    run = check("--only", only, root=brokenCopy(lines))
    assert run.returncode == 1
    wrong = next(line for line in run.stdout.splitlines() if line.startswith("WRONG"))
    assert said in wrong


def test_a_slicer_that_is_not_there(tmp_path):
    command = [sys.executable, ROOT / "Testing" / "run.py", "slicer", tmp_path / "Slicer"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2 and "There is no Slicer" in run.stderr
