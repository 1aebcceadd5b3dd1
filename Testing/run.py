"""Runs the demo, the tests and the measurements in a Python environment of their own, made when it is first needed.

    python3 Testing/run.py demo [options]
    python3 Testing/run.py tests [--coverage] [options of pytest]
    python3 Testing/run.py benchmark [options]
    python3 Testing/run.py evaluate <name> [options]
    python3 Testing/run.py soak [options]
    python3 Testing/run.py make [name]
    python3 Testing/run.py slicer PATH [options]
    python3 Testing/run.py lint [--fix]

The environment is kept in the user's cache folder and made anew when the requirements change. Needs nothing but Python.
"""

import contextlib
import ctypes
import hashlib
import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

TESTING = Path(__file__).resolve().parent
REQUIREMENTS = (TESTING / "requirements.txt", TESTING.parent / "LiveHand" / "Resources" / "requirements.txt")
PYTHONS = [(3, minor) for minor in (12, 11, 13, 10)]  # those that all the packages support, the best tested first

# The libraries that the packages expect of a Linux system, and the Debian packages that have them.
LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLESv2.so.2": "libgles2",
    "libX11.so.6": "libx11-6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
}
# And those that Qt needs to open windows under X.
X_LIBRARIES = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
PROBE = "import PySide6.QtWidgets, PySide6.QtUiTools, vtkmodules.all, slicer, cv2, mediapipe"


class Failure(Exception):
    """Told to the person in one sentence."""


# The commands; they run inside the environment


def demo(arguments):
    """Show the module at work, with a clip or a camera."""
    from tools.demo import main

    return main(arguments)


def tests(arguments):
    """Run the tests; the options are pytest's, and --coverage for the lines that no test runs.

    All of them run in as many processes as there are processors, those of a file in one; chosen ones in this process.
    """
    import pytest

    from support import fakecamera

    chosen = any(Path(argument.split("::")[0]).exists() for argument in arguments if argument[0] != "-")
    if chosen:
        fakecamera.restartLoaded()
    else:
        arguments = [
            *fakecamera.processes(min(4, os.cpu_count())),
            "--dist=loadfile",
            "--no-loadscope-reorder",
            *arguments,
        ]
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(cacheFolder() / "hypothesis"))
    cache = ["-o", f"cache_dir={cacheFolder() / 'pytest'}"]
    options = [*cache, *arguments, *([] if chosen else [str(TESTING / "tests")])]
    if "--coverage" not in options:
        return pytest.main(options)
    options.remove("--coverage")
    with coverageReported():
        return pytest.main(options)


@contextlib.contextmanager
def coverageReported():
    """Note which lines of the module are run meanwhile, in all threads and processes, and print a table of them."""
    import coverage

    folder = cacheFolder() / "coverage"
    folder.mkdir(exist_ok=True)
    measured = coverage.Coverage(str(folder / "data"), config_file=str(TESTING.parent / "pyproject.toml"))
    measured.erase()
    measured.start()
    try:
        yield
    finally:
        measured.stop()
        measured.save()
        measured.combine([str(folder)])
        measured.report()


def benchmark(arguments):
    """Measure LiveHand beside the other ways of getting a hand into Slicer."""
    from benchmark.comparison import main

    return main(arguments)


def accuracy(arguments):
    """Measure how far LiveHand's landmarks are from the truth."""
    from benchmark.accuracy import main

    return main(arguments)


def angles(arguments):
    """Measure how far the joint angles are from the truth."""
    from benchmark.angle_accuracy import main

    return main(arguments)


def evaluate(arguments):
    """Measure a capability on sequences with a known truth; without a name, lists them."""
    names = [name for name in EVALUATIONS if (TESTING / "benchmark" / f"{name}.py").exists()]
    if arguments[:1] not in [[name] for name in names]:
        say(f"Usage: python3 Testing/run.py evaluate <{'|'.join(names)}> [options]")
        return 2
    return importlib.import_module(f"benchmark.{arguments[0]}").main(arguments[1:])


def soak(arguments):
    """Keep the module live for an hour and see whether anything grows."""
    from benchmark.soak import main

    return main(arguments)


def make(arguments):
    """Make an image of the documentation or a resource of the module anew; without a name, lists them."""
    names = sorted(path.stem.removeprefix("make_") for path in (TESTING / "tools").glob("make_*.py"))
    if arguments[:1] not in [[name] for name in names]:
        say(f"Usage: python3 Testing/run.py make <{'|'.join(names)}> [options]")
        return 2
    return importlib.import_module(f"tools.make_{arguments[0]}").main(arguments[1:])


def slicer(arguments):
    """Check the module in a Slicer that is installed on this computer."""
    from slicercheck.command import main

    return main(arguments)


def lint(arguments):
    """Check the code without running it: ruff's rules, the format, and the types; --fix mends what ruff can mend."""
    mends = "--fix" in arguments
    checkout = hashlib.sha256(str(TESTING).encode()).hexdigest()[:12]  # mypy keeps files by their path in it
    checks = [
        ["ruff", "check", "--no-cache", *arguments, "."],
        ["ruff", "format", "--no-cache", *([] if mends else ["--check"]), "."],
        ["mypy", f"--cache-dir={cacheFolder() / 'mypy' / checkout}"],
    ]
    codes = [subprocess.call([sys.executable, "-m", *check], cwd=TESTING.parent) for check in checks]
    return max(map(abs, codes))


EVALUATIONS = ("gestures", "navigation", "overlay", "stereo")
COMMANDS = {
    command.__name__: command
    for command in (demo, tests, benchmark, accuracy, angles, evaluate, soak, make, slicer, lint)
}


# The environment


def cacheFolder():
    """Where this platform keeps what can be made again."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "LiveHand"


def environmentFolder():
    """The environment's folder, which depends on all that it is made from."""
    content = b"".join(path.read_bytes() for path in REQUIREMENTS)
    digest = hashlib.sha256(content + platform.machine().encode()).hexdigest()[:12]
    return cacheFolder() / f"python{sys.version_info[0]}.{sys.version_info[1]}-{digest}"


def environmentPython(folder):
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


@contextlib.contextmanager
def locked(path):
    """Only one process at a time gets past this; the lock goes with the process, however it ends."""
    with open(path, "a+b") as file:
        isAnnounced = False
        while not tryLock(file):
            if not isAnnounced:
                say("Waiting for another run that prepares the same environment ...")
                isAnnounced = True
            time.sleep(0.5)
        yield


def tryLock(file):
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def prepare():
    """Make the environment if there is none yet; returns its Python."""
    folder = environmentFolder()
    python, complete = environmentPython(folder), folder / "complete"
    if not complete.exists():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = locked(folder.with_name(folder.name + ".lock"))
        except OSError as error:
            raise Failure(f"The folder {folder.parent} can't be written ({error.strerror}).") from error
        with lock:
            if not complete.exists():
                build(folder, python)
                complete.touch()
    checked = folder / ("checked-display" if hasXDisplay() else "checked")
    if not checked.exists():
        checkLibraries(python)
        checked.touch()
    return python


def build(folder, python):
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left
    makeVenv(folder)
    arguments = [argument for path in REQUIREMENTS for argument in ("-r", str(path))]
    run(
        "Installing the Python packages, once (1.6 GB on disk, a few minutes)",
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *arguments],
        explainPip,
    )


def makeVenv(folder):
    try:
        import ensurepip  # noqa: F401  which Debian has in a package of its own
        import venv  # noqa: F401
    except ImportError:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        aptInstall([f"python{version}-venv"], f"Python {version} has no venv module")
    run(
        "Making a Python environment",
        [sys.executable, "-m", "venv", str(folder)],
        lambda output: f"The Python environment can't be made: {lastLine(output)}",
    )


def explainPip(output):
    if re.search(r"No space left", output):
        return f"The disk of {cacheFolder()} is full."
    if re.search(r"NewConnectionError|ConnectTimeout|ProxyError|name resolution|getaddrinfo|Max retries", output):
        return "The Python packages can't be downloaded: there is no connection to the package index."
    return f"pip failed: {lastLine(output)}"


def lastLine(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no message"])[-1]


def run(title, command, explain):
    """Run a command quietly, with one line that says how long it takes."""
    start, live = time.monotonic(), sys.stderr.isatty()
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    )
    say(f"{title} ...", end="" if live else "\n")
    output = ""
    while True:
        try:
            output = process.communicate(timeout=1)[0]
            break
        except subprocess.TimeoutExpired:
            if live:
                say(f"\r{title} ... {time.monotonic() - start:.0f} s", end="")
        except KeyboardInterrupt:
            process.terminate()
            process.communicate()
            raise
    if live:
        say("")
    if process.returncode:
        raise Failure(explain(output))


# The system's libraries


def hasXDisplay():
    return sys.platform.startswith("linux") and bool(os.environ.get("DISPLAY"))


def checkLibraries(python):
    """See whether the packages can be loaded, and install or name what is missing of the system."""
    if sys.platform.startswith("linux"):
        wanted = {**LIBRARIES, **(X_LIBRARIES if hasXDisplay() else {})}
        missing = sorted({package for library, package in wanted.items() if not canLoad(library)})
        if missing:
            aptInstall(missing, "Libraries of the system are missing")
    probe = subprocess.run([str(python), "-c", PROBE], capture_output=True, text=True, errors="replace")
    if probe.returncode:
        library = re.search(r"(lib[^\s:/]+\.so[.\d]*): cannot open shared object", probe.stderr)
        if library:
            raise Failure(f"The system's library {library[1]} is missing; install the package that has it.")
        raise Failure(f"The installed packages can't be loaded: {lastLine(probe.stderr)}")


def canLoad(library):
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def aptInstall(packages, problem):
    """Install Debian packages if that is possible here without asking; otherwise say how."""
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if not shutil.which("apt-get"):
        raise Failure(f"{problem}; Debian calls the packages: {' '.join(packages)}.")
    if os.geteuid() != 0:
        raise Failure(f"{problem}; install them with: sudo apt-get install {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    say(f"{problem}. Installing: {' '.join(packages)} ...")
    for attempt in (command, ["apt-get", "update"], command):  # the list of packages may be missing or old
        result = subprocess.run(attempt, env=environment, capture_output=True, text=True, errors="replace")
        if result.returncode == 0 and attempt is command:
            return
    raise Failure(f"{problem}; 'apt-get install {' '.join(packages)}' failed: {lastLine(result.stderr)}")


# The start


def say(text, end="\n"):
    print(text, end=end, file=sys.stderr, flush=True)


def supportedPython():
    """The command of another Python on this computer that the packages support, or None."""
    for major, minor in PYTHONS:
        name = f"python{major}.{minor}"
        for command in ([shutil.which(name)], [shutil.which("py"), f"-{major}.{minor}"]):
            if command[0]:
                test = f"import sys; sys.exit(sys.version_info[:2] != {major, minor})"
                if subprocess.run([*command, "-c", test], capture_output=True).returncode == 0:
                    return command
    return None


def restart(command):
    """Go on in another Python; returns its exit code."""
    command = [*map(str, command), str(Path(__file__).resolve()), *sys.argv[1:]]
    if sys.platform == "win32":  # where exec doesn't wait
        return subprocess.call(command)
    sys.stdout.flush()
    os.execv(command[0], command)


def main():
    """Run the command of the command line; returns the exit code."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in COMMANDS:
        commands = "".join(f"\n  {name:10} {command.__doc__.splitlines()[0]}" for name, command in COMMANDS.items())
        say(f"Usage: python3 Testing/run.py <command> [options]\n{commands}")
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    if arguments[0] == "slicer":  # which has all that is needed
        return slicer(arguments[1:])
    if sys.version_info[:2] not in PYTHONS:
        versions = "3.10 to 3.13"
        other = supportedPython()
        if not other:
            raise Failure(f"Python {versions} is needed, and this is {platform.python_version()}.")
        say(f"Python {platform.python_version()} is not supported ({versions} is): continuing with {' '.join(other)}.")
        return restart(other)
    if Path(sys.prefix).resolve() != environmentFolder().resolve():
        return restart([prepare()])
    sys.path.insert(1, str(TESTING.parent / "LiveHand"))
    return COMMANDS[arguments[0]](arguments[1:])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        say(f"Error: {failure}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
