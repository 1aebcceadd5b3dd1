"""The soak run's verdict: it sees what grows, in figures and in the module, and nothing else."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmark.soak import QUANTITIES, trend
from support.paths import ROOT

HOURS = np.arange(360) / 360.0
NOISE = np.random.default_rng(0).normal(size=360)


def test_growth_is_seen_in_noise():
    found = trend(HOURS, 500.0 + 20.0 * HOURS + 5.0 * NOISE)
    assert found.perHour == pytest.approx(20.0, abs=3.0 * found.noise)
    assert found.growth == pytest.approx(16.0, abs=3.0) and found.grows(4.0) and not found.grows(20.0)


@pytest.mark.parametrize(
    "values",
    [
        np.full(360, 21.0),
        500.0 + 50.0 * NOISE,
        500.0 - 20.0 * HOURS,
        500.0 + 100.0 * np.clip(10.0 * HOURS, 0.0, 1.0),  # the warm-up
        12.0 + 3.0 * np.sin(20.0 * HOURS),  # comes and goes, for longer than a sample takes
        np.where(NOISE > 0, np.nan, 12.0),  # not always known
        np.full(360, np.nan),
    ],
)
def test_nothing_is_seen_where_nothing_grows(values):
    assert not trend(HOURS, values).grows(0.0)


def soak(tmp_path, leak: str = "") -> tuple[int, dict]:
    """Run it for a fraction of a minute, with some Python executed at each frame; returns exit code and figures."""
    code = (
        "import sys\nfrom benchmark import soak\nkept = []\nonTracked = soak.Soak._onTracked\n"
        "def leaking(self, frame):\n    import slicer, threading, os\n    onTracked(self, frame)\n"
        f"    {leak or 'pass'}\nsoak.Soak._onTracked = leaking\nsys.exit(soak.main(sys.argv[1:]))"
    )
    words = ["--minutes", "0.25", "--every", "0.3", "--chart", "soak.png", "--json", "soak.json", "--no-actions"]
    process = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "Testing")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (tmp_path / "soak.png").stat().st_size > 10_000, process.stderr
    return process.returncode, json.loads((tmp_path / "soak.json").read_text())


def test_what_leaks_is_told(tmp_path):
    leak = (
        "kept.append(bytearray(os.urandom(1_000_000))); slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', 'leak')"
        "; kept.append(open(os.devnull))"
    )
    code, figures = soak(tmp_path, leak)
    assert code == 1 and figures["failures"] == []
    assert {"memory", "nodes", "handles"} <= set(figures["growing"])
    assert figures["samples"].keys() == {"hours", *QUANTITIES}


def test_nodes_and_handles_of_the_module_do_not_grow(tmp_path):
    """Memory and latency need longer than that."""
    _code, figures = soak(tmp_path)
    assert figures["failures"] == []
    assert not {"nodes", "handles", "threads"} & set(figures["growing"])
