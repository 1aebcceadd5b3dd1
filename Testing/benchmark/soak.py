"""Keeps the module live for long, with a clip in a loop, and says whether anything grows meanwhile.

The clip is played at its own pace; at its end Live is ticked again, so that what a start and a stop leave behind is
counted as well. The panel shows the preview, the 3D view the hand with its pointer, and the joint angles are measured.
Afterwards, any actions are tried in any order (test_fuzz.py) for a quarter as long.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from support.paths import MODULE, ROOT, SAMPLE_CLIP, TESTING

QUANTITIES = {
    "memory": ("MB", 4.0),
    "threads": ("", 1.5),
    "handles": ("", 1.5),
    "nodes": ("", 0.5),
    "latency": ("ms", 2.0),
}
"""What is watched: its unit, and how much of it somebody would have to mind, over the whole time. Below that are an
allocator that asks the system for another arena once, and a thread that a library keeps."""

WARM_UP = 0.2
"""The share of the time that does not count: libraries fill their caches and pools."""

BLOCKS, NOISE_SES = 8, 4.0
"""Neighbouring samples are much alike, so the noise is taken from the means of blocks of them. A slope of 8 means that
is 4 of its standard errors off happens by chance in less than one of 250 quantities."""


class Trend(NamedTuple):
    """How a quantity goes.

    :ivar perHour: its slope, by least squares.
    :ivar noise: the slope's standard error, from the residuals of the blocks' means.
    :ivar growth: what the slope makes over the time that counts.
    """

    perHour: float
    noise: float
    growth: float

    def grows(self, least: float) -> bool:
        """Whether it grows, beyond the noise and by at least that much."""
        return self.perHour > NOISE_SES * self.noise and self.growth > least


def trend(hours: np.ndarray, values: np.ndarray) -> Trend:
    """How a quantity goes after the warm-up.

    :param hours: (n,) when it was sampled, h.
    :param values: (n,) what it was then; a NaN where that is not known.
    """
    known = np.isfinite(values) & (hours >= hours[0] + WARM_UP * (hours[-1] - hours[0]))
    blocks = np.array_split(np.column_stack([hours, values])[known], BLOCKS)
    if not len(blocks[2]):
        return Trend(0.0, np.inf, 0.0)  # too little is known
    x, y = np.array([block.mean(axis=0) for block in blocks if len(block)]).T
    slope, offset = np.polyfit(x, y, 1)
    squares = ((y - offset - slope * x) ** 2).sum() / (len(x) - 2)
    return Trend(slope, np.sqrt(squares / ((x - x.mean()) ** 2).sum()), slope * np.ptp(hours[known]))


class Soak:
    """The module in the host, live on a clip in a loop.

    :param app: the host's application.
    :param source: path of the clip.
    :ivar samples: (time in h, then :data:`QUANTITIES`) by sample.
    :ivar rounds: how often the clip was begun.
    """

    def __init__(self, app, source: str) -> None:
        import psutil

        self.samples: list[tuple[float, ...]] = []
        self.rounds = 0
        self.failures = []
        self._app = app
        self._process = psutil.Process()
        self._latenciesMs: list[float] = []
        self._start = time.perf_counter()
        self._widget = widget = app.showModule(app.loadModule(MODULE))
        widget.logic.setSource(source)
        widget.ui.pointerCheckBox.click()
        widget.ui.measureAnglesCheckBox.click()
        widget.ui.displayComboBox.setCurrentIndex(2)
        widget.logic.worker.failed.connect(self.failures.append)
        widget.logic.worker.tracked.connect(self._onTracked)  # after the logic's own slot: the nodes have been moved

    def run(self, seconds: float, everyS: float) -> None:
        """Stay live, unless something fails.

        :param seconds: for how long.
        :param everyS: time between two samples, s.
        """
        end, due = time.perf_counter() + seconds, 0.0

        def isOver() -> bool:
            nonlocal due
            if self._widget.logic.worker.state == "off":
                self.rounds += 1
                self._widget.ui.liveCheckBox.click()
            if time.perf_counter() >= due:
                due = time.perf_counter() + everyS
                self._sample()
            return time.perf_counter() >= end or bool(self.failures or self._app.errors)

        # Looked at seldom: Python that runs in the GUI thread is a chance for the worker that Slicer would not give.
        self._app.spin(isOver, timeout=seconds + 60.0, interval=0.1)

    def _onTracked(self, frame) -> None:
        self._latenciesMs.append(1000.0 * (time.perf_counter() - frame.captureTime))

    def _sample(self) -> None:
        """Note how much there is of everything."""
        import slicer

        process = self._process
        handles = process.num_handles() if sys.platform == "win32" else process.num_fds()
        latency = float(np.median(self._latenciesMs)) if self._latenciesMs else np.nan
        self._latenciesMs.clear()
        self.samples.append(
            (
                (time.perf_counter() - self._start) / 3600.0,
                process.memory_info().rss / 1e6,
                process.num_threads(),
                handles,
                slicer.mrmlScene.GetNumberOfNodes(),
                latency,
            )
        )


def chart(samples: np.ndarray, trends: dict[str, Trend], path: str) -> None:
    """Draw the quantities over time, with what was made of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    minutes = 60.0 * samples[:, 0]
    figure, axes = pyplot.subplots(len(QUANTITIES), 1, figsize=(9, 8), sharex=True)
    for axis, values, (name, (unit, least)) in zip(axes, samples[:, 1:].T, QUANTITIES.items(), strict=True):
        found = trends[name]
        axis.plot(minutes, values, color="#2c7fb8", linewidth=1)
        axis.axvspan(minutes[0], minutes[0] + WARM_UP * np.ptp(minutes), color="#eeeeee")
        verdict = "GROWS" if found.grows(least) else "flat"
        axis.set_title(f"{described(found, unit)}: {verdict}", fontsize=8, loc="right")
        axis.set_ylabel(f"{name}, {unit}" if unit else name)
        axis.margins(y=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def described(found: Trend, unit: str) -> str:
    """A trend in words."""
    return f"{found.perHour:+.3g} {unit}".strip() + f" an hour (±{found.noise:.2g})"


def main(argv: list[str]) -> int:
    """Keep it live, and try any actions.

    :returns: exit code; 1 if something grows or fails.
    """
    parser = argparse.ArgumentParser(prog="run.py soak", description=__doc__)
    parser.add_argument("--minutes", metavar="N", type=float, default=60.0, help="how long to stay live (60)")
    parser.add_argument("--every", metavar="S", type=float, default=10.0, help="seconds between two samples (10)")
    parser.add_argument("--source", metavar="FILE", default=str(SAMPLE_CLIP), help="the clip (the sample clip)")
    parser.add_argument("--chart", metavar="PNG", default="LiveHandSoak.png", help="where to draw what was measured")
    parser.add_argument("--json", metavar="FILE", help="write the samples and what was made of them")
    parser.add_argument("--no-actions", action="store_true", help="only stay live")
    options = parser.parse_args(argv)
    from host.application import Application

    with Application(headless=True) as app:
        soak = Soak(app, options.source)
        soak.run(60.0 * options.minutes, options.every)
    failures = [str(failure) for failure in (*soak.failures, *app.errors)]
    samples = np.array(soak.samples)
    trends = {name: trend(samples[:, 0], values) for name, values in zip(QUANTITIES, samples[:, 1:].T, strict=True)}
    growing = [name for name, (_unit, least) in QUANTITIES.items() if trends[name].grows(least)]
    print(f"{60.0 * samples[-1, 0]:.1f} minutes, {soak.rounds} times the clip, {len(samples)} samples")
    for name, (unit, _least) in QUANTITIES.items():
        print(f"{name}: {described(trends[name], unit)}{'  GROWS' if name in growing else ''}")
    print(*failures, sep="\n", end="\n" if failures else "")
    chart(samples, trends, options.chart)
    print(f"image: {options.chart}", flush=True)
    if options.json:
        content = {
            "samples": dict(zip(("hours", *QUANTITIES), samples.T.tolist(), strict=True)),
            "trends": {name: found._asdict() for name, found in trends.items()},
            "growing": growing,
            "failures": failures,
        }
        Path(options.json).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 1 if growing or failures or not (options.no_actions or survivesActions(options.minutes / 4.0)) else 0


def survivesActions(minutes: float) -> bool:
    """Try sequences of actions, always others, for about so long."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTING / "tests" / "test_fuzz.py")]
    return subprocess.call(words, env={**os.environ, "LIVEHAND_FUZZ_MINUTES": str(minutes)}, cwd=ROOT) == 0
