"""Installing what LiveHand needs: real pip in a fresh environment, and what is decided about what is there."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from conftest import ROOT

REQUIREMENTS = ROOT / "LiveHand" / "Resources" / "requirements.txt"

SLICER_5_10 = """
    # The two functions of Slicer 5.10's slicer.util that the library calls; the pip behind them is the real one.
    import subprocess, sys, types
    slicer, util, i18n = types.ModuleType("slicer"), types.ModuleType("slicer.util"), types.ModuleType("slicer.i18n")
    slicer.__path__, slicer.util, i18n.tr = [], util, lambda text: text
    questions = []
    util.confirmOkCancelDisplay = lambda text, *title: questions.append(text) or {answer}
    util.pip_install = lambda words: subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", *words])
    sys.modules.update({{"slicer": slicer, "slicer.util": util, "slicer.i18n": i18n}})
    sys.path.insert(0, {livehand!r})
    from LiveHandLib import packages
"""


class Environment:
    """A fresh Python environment with the numpy of Slicer 5.10."""

    def __init__(self, folder) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        self.python = os.path.join(folder, "Scripts" if sys.platform == "win32" else "bin", "python")
        self.pip("install", "-q", "numpy==2.0.2" if sys.version_info < (3, 13) else "numpy==2.1.3", "packaging")

    def pip(self, *words: str) -> str:
        return self.run("-m", "pip", "--disable-pip-version-check", *words)

    def run(self, *words: str) -> str:
        process = subprocess.run([self.python, *words], capture_output=True, text=True)
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    def script(self, code: str, answer: bool = True) -> str:
        setup = SLICER_5_10.format(answer=answer, livehand=str(ROOT / "LiveHand"))
        return self.run("-c", textwrap.dedent(setup) + textwrap.dedent(code)).strip()


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("environment"))


def test_install_asked_first_leaves_numpy_and_one_working_cv2(environment):
    numpyBefore = environment.run("-c", "import numpy; print(numpy.__version__)")
    file = repr(str(REQUIREMENTS))
    declined = f"""
        before = packages.missing({file})
        try: packages.install({file})
        except packages.LiveHandError as error: print(error.reason, before == packages.missing({file}), len(questions))
    """
    assert environment.script(declined, answer=False) == "installDeclined True 1"

    missing = environment.script(f"print(len(packages.missing({file}))); packages.install({file})")
    assert missing == "3", "all but numpy"
    assert environment.script(f"print(packages.missing({file}))") == "[]"
    assert "No broken requirements" in environment.pip("check")
    installed = {package["name"] for package in json.loads(environment.pip("list", "--format", "json"))}
    assert [name for name in installed if name.startswith("opencv")] == ["opencv-python"]
    assert "matplotlib" not in installed
    assert environment.run("-c", "import numpy; print(numpy.__version__)") == numpyBefore
    works = """
        import sys; from LiveHandLib import tracking
        tracking.importPackages()
        import cv2, numpy
        tracker = tracking.HandTracker(tracking.loadModel({model!r}))
        capture = cv2.VideoCapture({clip!r})
        print(len(tracker.detect(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB), 0)))
    """.format(model=str(ROOT / "Resources/hand_landmarker.task"), clip=str(ROOT / "Resources/SampleHand.mp4"))
    assert environment.script(works) == "1", "the hand of the sample clip's first frame"


def test_pip_that_fails_is_told_in_one_sentence_and_numpy_is_not_replaced(environment, tmp_path):
    before = environment.run("-c", "import numpy; print(numpy.__version__)")
    newer = tmp_path / "requirements.txt"
    newer.write_text("numpy>=2.2\n")  # there is one, but Slicer's own is to stay
    code = f"""
        try: packages.install({str(newer)!r})
        except packages.LiveHandError as error: print(error.reason, error.details["packages"])
    """
    assert environment.script(code).splitlines()[-1] == "installFailed numpy>=2.2"
    assert environment.run("-c", "import numpy; print(numpy.__version__)") == before


@pytest.fixture
def installed(monkeypatch):
    """Makes the given versions the only installed ones."""

    def set(**versions: str):
        def version(name: str) -> str:
            try:
                return versions[name.replace("-", "_")]
            except KeyError:
                raise importlib.metadata.PackageNotFoundError(name) from None

        monkeypatch.setattr(importlib.metadata, "version", version)

    return set


COMPLETE = {"mediapipe": "0.10.31", "opencv_python": "5.0.0.93", "numpy": "2.4.6", "cv2_enumerate_cameras": "1.4.0"}


def test_what_counts_as_missing(app, installed):
    from LiveHandLib import packages

    def missing(**changes) -> list[str]:
        installed(**{name: version for name, version in {**COMPLETE, **changes}.items() if version})
        return [re.match(r"[\w-]+", requirement)[0] for requirement in packages.missing(REQUIREMENTS)]

    assert missing() == []
    assert missing(mediapipe=None) == ["mediapipe"]
    assert missing(mediapipe="0.10.21") == ["mediapipe"], "too old: it needs numpy 1"
    assert missing(mediapipe="1.2.2") == [], "another extension's newer one is left alone"
    assert missing(opencv_python=None) == ["opencv-python"]
    # A second distribution of cv2 would overwrite the first one's files.
    assert missing(opencv_python=None, opencv_contrib_python="4.12.0.88") == []
    assert missing(opencv_python=None, opencv_python_headless="4.12.0.88") == []


@pytest.mark.parametrize("version, unquiet", [("0.10.31", ""), ("0.10.35", "0.10.35"), ("1.2.2", "1.2.2")])
def test_mediapipe_that_reports_to_google_is_recognised(app, installed, version, unquiet):
    from LiveHandLib import packages

    installed(mediapipe=version)
    assert packages.unquietMediapipe() == unquiet
