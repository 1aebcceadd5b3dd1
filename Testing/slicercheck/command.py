"""Runs the module in a Slicer that is installed on this computer, and says what is right. Needs nothing but Python."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.paths import MODULE

STEPS = Path(__file__).resolve().with_name("steps.py")
TAILS = {
    "The end of what Slicer printed": "output.txt",
    "The end of its errors": "errors.txt",
    "Where its threads were when the GUI thread had stopped": "stacks.txt",
}
SILENCE_S = 600  # longer than any step takes, an installation included


def slicerCommand(path):
    """The command of an installation, given as its executable or its folder; None if there is none."""
    path = Path(path).expanduser().resolve()
    inside = [path / name for name in ("Slicer", "Slicer.exe", "Contents/MacOS/Slicer")]
    executable = next((one for one in (path, *inside) if one.is_file()), None)
    if executable and executable.suffix == ".py":  # the tests' host application
        return [sys.executable, str(executable)]
    return executable and [str(executable)]


def start(command, folder, output, errors):
    """Start Slicer with the steps, and with settings of its own that are not kept."""
    # These two are for the Python that runs this.
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    arguments = ["--no-splash", "--disable-settings", "--ignore-slicerrc"]
    arguments += ["--additional-module-path", str(MODULE.parent)]
    arguments += ["--python-script", str(STEPS), str(folder)]
    isWindows = sys.platform == "win32"
    return subprocess.Popen(
        [*command, *arguments], stdout=output, stderr=errors, env=environment, start_new_session=not isWindows
    )


def kill(process):
    """End Slicer, which its launcher has started."""
    if sys.platform == "win32":
        subprocess.call(["taskkill", "/T", "/F", "/PID", str(process.pid)], stdout=subprocess.DEVNULL)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def follow(process, results):
    """Yields what the steps report, as they do; ends with the process, or when it has said nothing for long."""
    results.touch()
    latest = time.monotonic()
    with open(results, encoding="utf-8") as file:
        while True:
            isOver = process.poll() is not None
            for line in iter(file.readline, ""):
                latest = time.monotonic()
                yield json.loads(line)
            if isOver:
                return
            if time.monotonic() - latest > SILENCE_S:
                kill(process)
                return
            time.sleep(0.1)


def text(row):
    """A row's figures, or what is wrong."""
    if row["outcome"] not in ("right", "wrong"):
        return f"{row['outcome']}: {row['detail']}"
    return row["detail"] or ", ".join(f"{name} {value}" for name, value in row["figures"].items() if value is not None)


def show(row):
    sign = {"right": "right", "wrong": "WRONG"}.get(row["outcome"], "-")
    print(f"{sign:6} {row['step']:32} {text(row)}", flush=True)


def tail(path):
    content = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return "\n".join(content.splitlines()[-50:])


def main(arguments):
    """Run the steps; returns 0 if all that this application has is right."""
    parser = argparse.ArgumentParser(prog="run.py slicer", description=main.__doc__)
    parser.add_argument("slicer", metavar="PATH", help="the executable of a Slicer 5.10 or later, or its folder")
    parser.add_argument("--json", metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--pictures", metavar="FOLDER", help="save screenshots of the panel and the views")
    parser.add_argument("--quick", action="store_true", help="a minute or so: one layout, the clip once")
    parser.add_argument(
        "--install", action="store_true", help="install the Python packages in this Slicer if they are missing"
    )
    parser.add_argument("--only", metavar="STEP,...", default="", help="live, scene, ...: see the documentation")
    options = parser.parse_args(arguments)
    sys.stdout.reconfigure(errors="replace")  # the panel's sentences have signs that not every console has
    command = slicerCommand(options.slicer)
    if not command:
        parser.error(f"There is no Slicer {options.slicer}.")
    pictures = options.pictures and Path(options.pictures).resolve()
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    wanted = {"quick": options.quick, "install": options.install, "pictures": pictures and str(pictures)}
    wanted["only"] = [name for name in options.only.split(",") if name]
    print(f"Starting {command[-1]} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="livehand-check-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "options.json").write_text(json.dumps(wanted), encoding="utf-8")
        rows, begun, isComplete = [], "start", False
        with open(folder / "output.txt", "wb") as output, open(folder / "errors.txt", "w+b") as errors:
            process = start(command, folder, output, errors)
            try:
                for line in follow(process, folder / "results.jsonl"):
                    begun = line.get("begin", begun)
                    isComplete = isComplete or "end" in line
                    if "step" in line:
                        rows.append(line)
                        show(line)
            except BaseException:
                kill(process)
                raise
        code = process.returncode
        if isComplete:
            begun = begun if begun == "quit while live" else "quit"
        isRight = isComplete and code == 0
        detail = "" if isRight else f"Slicer ended with the exit code {code}"
        outcome = "right" if isRight else "wrong"
        rows.append({"step": begun, "outcome": outcome, "detail": detail, "figures": {"exit code": code}})
        show(rows[-1])
        if not isRight:
            for title, file in TAILS.items():
                if end := tail(folder / file):
                    print(f"\n{title}:\n{end}")
    wrong = [row["step"] for row in rows if row["outcome"] == "wrong"]
    print(f"{len(rows)} steps, wrong: {', '.join(wrong) or 'none'}")
    if options.json:
        Path(options.json).write_text(json.dumps({"rows": rows, "exitCode": code}, indent=1), encoding="utf-8")
    return 1 if wrong else 0
