"""Installing what LiveHand needs: real pip in fresh environments, whole and damaged in every way that was seen.

Each advice that a sentence gives is followed as it stands there, and has to help, and to leave numpy alone.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from support.paths import MODEL, REQUIREMENTS, ROOT, SAMPLE_CLIP

OLD, OTHER = "opencv-python-headless==4.9.0.80", "opencv-contrib-python-headless==4.11.0.86"
CAMERAS, INFO = "cv2_enumerate_cameras", "cv2_enumerate_cameras-1.4.0.dist-info"

SLICER = """
    # The functions of Slicer's slicer.util that the library calls; the pip behind them is the real one, and what it
    # says is only printed, as Slicer does.
    import importlib, os, shlex, subprocess, sys, types
    slicer, util, i18n = types.ModuleType("slicer"), types.ModuleType("slicer.util"), types.ModuleType("slicer.i18n")
    slicer.__path__, slicer.util, i18n.tr = [], util, lambda text: text
    questions = []
    util.confirmOkCancelDisplay = lambda text, *title: questions.append(text) or {answer}
    def pip_install(words):
        words = shlex.split(words) if isinstance(words, str) else words
        subprocess.run([sys.executable, "-m", "pip", "install", *words], stdout=sys.stderr, check=True)
    util.pip_install = pip_install
    sys.modules.update({{"slicer": slicer, "slicer.util": util, "slicer.i18n": i18n}})
    sys.path.append({livehand!r})
    from LiveHandLib import packages
    from LiveHandLib.detection import detector
    from LiveHandLib.panel.sentences import sentence
    def reported(action, *words):
        "What the panel says when this is done; nothing if all is well."
        try: error = action(*words)
        except packages.LiveHandError as raised: error = raised
        return sentence(error) if error else ""
    FILE = {requirements!r}
"""


class Environment:
    """A Python environment that stands for Slicer's, with its numpy and its pip.

    :ivar site: its folder ``site-packages``.
    """

    NUMPY = "2.0.2" if sys.version_info < (3, 13) else "2.1.3"  # as in Slicer 5.10

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.folder, self.wheels = folder, wheels
        self.variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
        self.variables["PIP_NO_COMPILE"] = "1"  # which would take the most of the time
        self.prefix: tuple[str, ...] = ()
        self.requirements = REQUIREMENTS
        if not folder.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            self.pip("install", "-q", f"numpy=={self.NUMPY}", "packaging", "pip==25.1.1")
        (self.site,) = self.folder.glob("[Ll]ib/**/site-packages")

    def copy(self, folder) -> "Environment":
        """Another one like it, in no time: pip and the tests replace files, and write into none."""
        shutil.copytree(self.folder, folder, symlinks=True, copy_function=link)
        return Environment(folder, self.wheels)

    def pip(self, *words: str) -> str:
        return self.run("-m", "pip", "--disable-pip-version-check", *words)

    def run(self, *words: str) -> str:
        python = self.folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        process = subprocess.run(
            [*self.prefix, python, *words], capture_output=True, text=True, env={**os.environ, **self.variables}
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    def script(self, code: str, answer: bool = True) -> str:
        setup = SLICER.format(answer=answer, livehand=str(ROOT / "LiveHand"), requirements=str(self.requirements))
        return self.run("-c", textwrap.dedent(setup) + textwrap.dedent(code)).strip()

    def check(self) -> str:
        """What pip finds wrong, but for a tag of MediaPipe's wheel, which is so everywhere."""
        python = self.folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        said = subprocess.run([python, "-m", "pip", "check"], capture_output=True, text=True).stdout.splitlines()
        return "\n".join(line for line in said if not re.match("mediapipe .* is not supported|No broken", line))

    # What a user does

    def missing(self) -> str:
        return self.script("print(*packages.missing(FILE))")

    def obstacle(self) -> str:
        """What the panel says when it is opened."""
        return self.script("print(reported(packages.obstacle, FILE))")

    def click(self) -> str:
        """Install packages, and agree; returns what the panel says."""
        return self.script("print(reported(packages.install, FILE))")

    def load(self) -> str:
        """What the panel says when Live is ticked."""
        return self.script("print(reported(detector.importPackages))")

    def installed(self) -> dict[str, str]:
        listed = json.loads(self.pip("list", "--format", "json"))
        return {package["name"].lower().replace("_", "-"): package["version"] for package in listed}

    def numpy(self) -> str:
        return self.run("-c", "import numpy; print(numpy.__version__)").strip()

    def assertReady(self, numpy: str = NUMPY) -> None:
        """Nothing is missing any more, and numpy is what it was."""
        code = "import numpy; print(packages.missing(FILE), reported(packages.obstacle, FILE), numpy.__version__)"
        assert self.script(code).split() == ["[]", numpy]

    def assertWorks(self, numpy: str = NUMPY) -> None:
        """The same, and the hand of the sample clip is found."""
        works = f"""
            print(packages.missing(FILE), reported(packages.obstacle, FILE))
            detector.importPackages()
            import cv2, numpy
            handDetector = detector.HandDetector(detector.loadModel({str(MODEL)!r}))
            capture = cv2.VideoCapture({str(SAMPLE_CLIP)!r})
            print(numpy.__version__, len(handDetector.detect(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB), 0)))
        """
        assert self.script(works).split() == ["[]", numpy, "1"]


def link(source, target) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def rewrite(path: Path, text: str | bytes) -> None:
    """Another file in place of this one, which other environments may share."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def makeWheel(folder: Path, name: str, *requires: str, version: str = "1.0", content: str = "") -> str:
    """Write a package of one file, with or without other packages that it needs, into a folder."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {text}\n" for text in requires)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", f"# {content}")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        paths = (f"{name}.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD")
        file.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in paths))
    return str(folder)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """What the tests install, fetched once from the package index."""
    folder = tmp_path_factory.mktemp("wheels")
    (folder / "constraints.txt").write_text(f"numpy=={Environment.NUMPY}")
    for words in (
        ["-r", str(REQUIREMENTS), "-c", str(folder / "constraints.txt")],
        ["--no-deps", "packaging", "pip==25.1.1", "numpy==1.26.4", "opencv-python==4.11.0.86", OLD, OTHER],
        ["--no-deps", "opencv-python-headless==4.11.0.86"],
    ):
        command = [sys.executable, "-m", "pip", "download", "-q", "--prefer-binary", "-d", str(folder), *words]
        process = subprocess.run(command, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
    makeWheel(folder, "numpy", version="2.9")  # which pip would take if it might
    return folder


@pytest.fixture(scope="module")
def bareEnvironment(tmp_path_factory, wheels):
    return Environment(tmp_path_factory.mktemp("bare") / "python", wheels)


@pytest.fixture(scope="module")
def completeEnvironment(bareEnvironment, tmp_path_factory):
    environment = bareEnvironment.copy(tmp_path_factory.mktemp("complete") / "python")
    environment.first = environment.obstacle(), environment.missing(), environment.click()
    environment.assertWorks()
    return environment


@pytest.fixture(scope="module")
def otherEnvironment(completeEnvironment, tmp_path_factory):
    environment = completeEnvironment.copy(tmp_path_factory.mktemp("other") / "python")
    environment.pip("uninstall", "-q", "-y", "opencv-python")
    environment.pip("install", "-q", "--no-deps", OTHER)
    environment.assertWorks()
    return environment


@pytest.fixture
def bare(bareEnvironment, tmp_path):
    """With what Slicer brings, and nothing else."""
    return bareEnvironment.copy(tmp_path / "python")


@pytest.fixture
def complete(completeEnvironment, tmp_path):
    """With all that LiveHand needs."""
    return completeEnvironment.copy(tmp_path / "python")


@pytest.fixture
def opencv(request, tmp_path):
    """With all that LiveHand needs, and the build of OpenCV that the test asks for."""
    environment = request.getfixturevalue("otherEnvironment" if request.param == OTHER else "completeEnvironment")
    return environment.copy(tmp_path / "python")


@pytest.fixture
def wheel(tmp_path):
    """Makes a package to be installed; returns the folder to find it in."""
    return lambda name, *requires, **more: makeWheel(tmp_path / "wheels", name, *requires, **more)


def field(name: str):
    """A case of the table of faults."""
    return pytest.mark.fault(f"Field: {name}")


# From nothing


@field("nothing installed yet")
def test_install_asked_first_leaves_numpy_and_one_working_cv2(bareEnvironment, completeEnvironment):
    declined = """
        before = packages.missing(FILE)
        print(reported(packages.install, FILE), before == packages.missing(FILE), len(questions))
    """
    assert "as you chose: Live needs them. True 1" in bareEnvironment.script(declined, answer=False)
    obstacle, missing, said = completeEnvironment.first
    assert re.search(r"package mediapipe\S* is missing: click Install packages", obstacle)
    assert len(missing.split()) == 3 and "numpy" not in missing and said == ""
    completeEnvironment.assertWorks()
    assert completeEnvironment.check() == ""
    installed = completeEnvironment.installed()
    assert [name for name in installed if name.startswith("opencv")] == ["opencv-python"]
    assert "matplotlib" not in installed


# What earlier installations left over

METADATA = "Metadata-Version: 2.1\nName: cv2_enumerate_cameras\n"


@pytest.mark.parametrize(
    "name, metadata",
    [
        pytest.param("1.4.0", None, marks=field("left-over dist-info without metadata")),
        pytest.param("1.4.0", "", marks=field("left-over dist-info with empty metadata")),
        pytest.param("1.4.0", METADATA, marks=field("left-over dist-info without a version")),
        pytest.param("1.4.0", METADATA + "Version: \n", marks=field("left-over dist-info with an empty version")),
        pytest.param("unknown", METADATA + "Version: unknown\n", marks=field("left-over dist-info, invalid version")),
        pytest.param("1.4.0", METADATA + "Version: 1.4.0\n", marks=field("left-over dist-info that seems complete")),
    ],
    ids=["no metadata", "empty metadata", "no version", "empty version", "invalid version", "seems complete"],
)
def test_left_over_dist_info_alone(complete, name, metadata):
    record = (complete.site / INFO / "RECORD").read_text()
    shutil.rmtree(complete.site / CAMERAS)
    shutil.rmtree(complete.site / INFO)
    folder = complete.site / f"{CAMERAS}-{name}.dist-info"
    rewrite(folder / "INSTALLER", "pip")
    if metadata is not None:
        rewrite(folder / "METADATA", metadata)
        rewrite(folder / "RECORD", record)
    assert re.search(r"package cv2-enumerate-cameras\S* is missing: click Install packages", complete.obstacle())
    assert complete.click() == ""
    complete.assertReady()
    assert len(list(complete.site.glob(f"{CAMERAS}*.dist-info"))) == 1


@field("left-overs beside the package")
def test_left_overs_beside_the_package(complete):
    old = complete.site / f"{CAMERAS}-1.1.0.dist-info"  # which Python finds first
    rewrite(old / "METADATA", METADATA + "Version: 1.1.0\n")
    rewrite(old / "RECORD", f"{CAMERAS}/__init__.py,sha256=another,100\n")
    rewrite(complete.site / "mediapipe-0.10.21.dist-info" / "INSTALLER", "pip")
    rewrite(complete.site / "numpy-1.26.4.dist-info" / "INSTALLER", "pip")
    complete.assertReady()
    # They are in pip's way, and LiveHand's own are removed when it installs; its constraint is the true numpy.
    shutil.rmtree(complete.site / "mediapipe")
    rewrite(complete.site / "absl_py-1.0.dist-info" / "INSTALLER", "pip")
    assert complete.click() == ""
    complete.assertWorks()
    assert not list(complete.site.glob("numpy-1.26.4*")) and not list(complete.site.glob("mediapipe-0.10.21*"))


@field("left-over dist-info of a package that others need")
@pytest.mark.parametrize("version", ["2.3.1", "unknown"])
def test_left_over_dist_info_of_a_dependency(bare, version):
    rewrite(bare.site / f"absl_py-{version}.dist-info" / "METADATA", f"Name: absl-py\nVersion: {version}\n")
    rewrite(bare.site / f"absl_py-{version}.dist-info" / "RECORD", "absl/__init__.py,,\n")
    assert bare.numpy() == bare.NUMPY
    said = bare.click()
    if version == "unknown":  # which pip does not go past
        shutil.rmtree(re.search(r"delete (\S+), and click Install packages", said)[1])
    else:
        assert re.search(r"The Python package absl-py\S* is missing: click Install packages", said)
    assert bare.click() == ""
    bare.assertWorks()


@field("a package that others need is gone")
def test_dependency_gone(complete):
    complete.pip("uninstall", "-y", "absl-py")
    assert re.search(r"The Python package absl-py\S* is missing: click Install packages", complete.obstacle())
    assert complete.click() == ""
    complete.assertReady()


# numpy


@field("numpy 1.26 of another extension")
def test_numpy_of_another_extension(bare):
    bare.pip("install", "-q", "numpy==1.26.4")
    assert "numpy" not in bare.missing()
    assert bare.click() == ""
    bare.assertWorks(numpy="1.26.4")


@field("numpy that pip cannot keep")
def test_numpy_that_cannot_be_kept(bare, wheel, tmp_path):
    bare.requirements = tmp_path / "requirements.txt"
    bare.requirements.write_text("livehand-needs==1.0\n")
    bare.variables["PIP_FIND_LINKS"] += " " + wheel("livehand_needs", "numpy<2")
    said = bare.click()
    assert f"do not go with numpy {bare.NUMPY}" in said and said.endswith("in another Slicer, without that extension.")
    assert bare.numpy() == bare.NUMPY
    other = bare.copy(tmp_path / "another")
    other.requirements, other.variables = bare.requirements, bare.variables
    other.pip("install", "-q", "numpy==1.26.4")
    assert other.click() == ""
    other.assertReady(numpy="1.26.4")


@field("another numpy comes first on Python's path")
def test_numpy_hidden(complete, tmp_path):
    for name in ("numpy", "numpy.libs", f"numpy-{complete.NUMPY}.dist-info"):
        if (complete.site / name).exists():
            shutil.copytree(complete.site / name, tmp_path / "other" / name, copy_function=link)
    complete.variables["PYTHONPATH"] = str(tmp_path / "other")
    shutil.rmtree(complete.site / CAMERAS)
    assert complete.click() == ""
    complete.assertReady()
    assert (complete.site / f"numpy-{complete.NUMPY}.dist-info").exists(), "whole, if not in use: no left-over"


# OpenCV


@field("an old opencv-python-headless")
def test_old_opencv(complete):
    complete.pip("uninstall", "-q", "-y", "opencv-python")
    complete.pip("install", "-q", "--no-deps", OLD)
    assert complete.missing() == "opencv-python-headless<6,>=4.10" and "click Install" in complete.obstacle()
    question = complete.script("packages.install(FILE); print(*questions)")
    assert "opencv-python-headless<6,>=4.10 (in place of 4.9.0.80)" in question
    complete.assertWorks()
    assert [one for one in complete.installed() if one.startswith("opencv")] == ["opencv-python-headless"]
    assert complete.check() == ""


@field("another build of OpenCV that will do")
def test_other_opencv(otherEnvironment):
    otherEnvironment.assertReady()


@field("an old build of OpenCV over a newer one")
def test_old_opencv_over_a_newer_one(complete):
    complete.pip("install", "-q", "--no-deps", OLD)
    assert complete.missing() == "opencv-python-headless<6,>=4.10", "what is there, and not what is listed first"
    assert complete.click() == ""
    complete.assertWorks()


@field("OpenCV's files deleted")
@pytest.mark.parametrize("opencv", ["opencv-python", OTHER], indirect=True)
def test_opencv_without_files(opencv):
    before = opencv.installed()
    shutil.rmtree(opencv.site / "cv2")
    assert "click Install packages" in opencv.obstacle()
    assert opencv.click() == ""
    opencv.assertWorks()
    assert opencv.installed().keys() == before.keys(), "the same build"


@field("OpenCV's dist-info deleted")
def test_opencv_without_dist_info(complete):
    for folder in complete.site.glob("opencv*.dist-info"):
        shutil.rmtree(folder)
    assert "click Install packages" in complete.obstacle()
    assert complete.click() == ""
    complete.assertWorks()


@field("another cv2 comes first on Python's path")
def test_opencv_hidden(complete, tmp_path):
    rewrite(tmp_path / "other" / "README", "")
    rewrite(tmp_path / "other" / "cv2" / "__init__.py", "__version__ = '3.4'")
    complete.variables["PYTHONPATH"] = str(tmp_path / "other")
    for said in (complete.obstacle(), complete.click()):
        folder = re.search(r"Python finds (\S+) in place of the installed package opencv-python: move that", said)[1]
    Path(folder).rename(tmp_path / "away")
    complete.assertReady()


@field("OpenCV is being imported")
def test_opencv_is_being_imported(complete):
    """Meanwhile cv2 has its own folder on Python's path, where its library has the package's name."""
    meanwhile = """
        import sys
        seen = []

        def onImport(event, arguments):
            if event == "import" and "cv2.abi3" in str(arguments[1]):
                seen.append(packages.missing(FILE))

        sys.addaudithook(onImport)
        import cv2
        print(seen)
    """
    assert complete.script(meanwhile) == "[[]]"


# Broken packages


@pytest.mark.parametrize(
    "opencv, broken",
    [
        pytest.param("opencv-python", "cv2/cv2.abi3.so", marks=field("OpenCV's library broken")),
        pytest.param(OTHER, "cv2/cv2.abi3.so", marks=field("the library of another build of OpenCV broken")),
        pytest.param("opencv-python", "opencv_python.libs/*", marks=field("a library that OpenCV brings is gone")),
        pytest.param("opencv-python", "mediapipe/tasks/python/core/base_options.py", marks=field("MediaPipe broken")),
    ],
    indirect=["opencv"],
)
def test_package_broken(opencv, broken):
    for path in opencv.site.glob(broken):
        rewrite(path, "broken") if "*" not in broken else path.unlink()
    before = opencv.installed()
    said = opencv.load()
    assert "cannot be loaded (" in said and said.endswith("in the Python console, and restart Slicer.")
    opencv.script(re.search(r"slicer\.util\.pip_install\('.*?'\)", said)[0])
    opencv.assertWorks()
    assert opencv.installed() == before


@field("a library of the system is missing")
def test_library_of_the_system_missing(complete):
    rewrite(complete.site / "cv2" / "__init__.py", "import ctypes; ctypes.CDLL('libLiveHandNeeds.so.1')")
    assert "lacks the library libLiveHandNeeds.so.1: install it with the system's package manager" in complete.load()


# What stops pip


def removeCapability(environment) -> None:
    """Has an administrator's programs respect the rights of files as everybody's do."""
    environment.prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    try:
        environment.run("-c", "")
    except (OSError, AssertionError):
        pytest.skip("an administrator may write everywhere here")


@pytest.mark.skipif(sys.platform == "win32", reason="rights are other ones there")
@field("site-packages cannot be written")
def test_no_right_to_write(complete):
    shutil.rmtree(complete.site / CAMERAS)
    complete.site.chmod(0o555)
    if os.geteuid() == 0:
        removeCapability(complete)
    said = complete.click()
    folder = Path(re.search(r"Slicer's folder (\S+) cannot be written: get the right to write there", said)[1])
    folder.chmod(0o755)
    assert complete.click() == ""
    complete.assertReady()


@field("no network")
@pytest.mark.parametrize("index", ["http://127.0.0.1:9/simple", "https://nowhere.invalid/simple"])
def test_no_network(complete, index):
    shutil.rmtree(complete.site / CAMERAS)
    whole = complete.variables
    complete.variables = {"PIP_INDEX_URL": index, "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    said = complete.click()
    assert "pip cannot reach the package index: check the network connection" in said
    complete.variables = whole
    assert complete.click() == ""
    complete.assertReady()


@field("the package index lacks the package")
def test_package_index_without_the_package(complete):
    shutil.rmtree(complete.site / CAMERAS)
    complete.variables["PIP_FIND_LINKS"] = str(complete.folder)
    assert "package index has no cv2-enumerate-cameras<2,>=1.4 for this Python: have pip use pypi" in complete.click()
    complete.variables = {"PIP_INDEX_URL": "https://pypi.org/simple"}
    assert complete.click() == ""
    complete.assertReady()


@field("no MediaPipe for this kind of computer")
@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
def test_computer_without_mediapipe(bare, machine):
    system = "Darwin" if machine == "x86_64" else "Linux"
    pretend = f"""
        import platform
        platform.machine, platform.system = lambda: "{machine}", lambda: "{system}"
        sys.platform = "{system.lower()}"
        print(reported(packages.install, FILE), len(questions))
    """
    assert f"no MediaPipe for this computer ({system} {machine}): use Slicer for" in bare.script(pretend)
    assert bare.script(pretend)[-1] == "0", "and nothing is tried"


@field("pip is gone")
def test_pip_gone(complete):
    shutil.rmtree(complete.site / CAMERAS)
    for folder in complete.site.glob("pip*"):
        shutil.rmtree(folder)
    said = complete.click()
    complete.script(re.search(r"enter (import ensurepip; .*?) in the Python console, and click Install", said)[1])
    assert complete.click() == ""
    complete.assertReady()


@pytest.fixture
def smallDisk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if not shutil.which("mount") or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("no small disk can be made here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@field("the disk is full")
def test_disk_full(bare, smallDisk, wheel, tmp_path):
    bare.requirements = tmp_path / "requirements.txt"
    bare.requirements.write_text("livehand-large==1.0\n")
    bare.variables["PIP_FIND_LINKS"] = wheel("livehand_large", content=os.urandom(2_000_000).hex())
    bare.variables |= {"PIP_TARGET": str(smallDisk), "PYTHONPATH": str(smallDisk)}
    assert "the disk is full: free 500 MB, and click Install packages" in bare.click()
    subprocess.run(["mount", "-o", "remount,size=500m", str(smallDisk)], check=True)
    assert bare.click() == ""
    bare.assertReady()


@field("pip installs elsewhere")
def test_pip_installs_elsewhere(complete, tmp_path):
    shutil.rmtree(complete.site / CAMERAS)
    complete.variables["PIP_TARGET"] = str(tmp_path / "elsewhere")
    assert "where Slicer's Python does not find them: take PIP_TARGET" in complete.click()
    del complete.variables["PIP_TARGET"]
    assert complete.click() == ""
    complete.assertReady()


# What has been imported already


@field("an old OpenCV has been imported already")
def test_old_opencv_imported(complete):
    complete.pip("uninstall", "-q", "-y", "opencv-python")
    complete.pip("install", "-q", "--no-deps", OLD, "numpy==1.26.4")
    session = "import cv2; print(reported(packages.install, FILE)); print(reported(packages.obstacle, FILE))"
    for said in complete.script(session).splitlines():
        assert said.endswith("opencv-python is in use in its version 4.9.0: restart Slicer.")
    complete.assertReady(numpy="1.26.4")


# MediaPipe


@pytest.mark.parametrize("version, unquiet", [("0.10.31", ""), ("0.10.35", "0.10.35"), ("1.2.2", "1.2.2")])
def test_mediapipe_that_reports_to_google_is_recognised(complete, version, unquiet):
    if version != "0.10.31":
        (complete.site / "mediapipe-0.10.31.dist-info").rename(complete.site / f"mediapipe-{version}.dist-info")
        rewrite(
            complete.site / f"mediapipe-{version}.dist-info" / "METADATA",
            f"Metadata-Version: 2.1\nName: mediapipe\nVersion: {version}\nRequires-Dist: opencv-contrib-python\n",
        )
    assert complete.script("print(packages.mediapipeWithTelemetry())") == unquiet
    assert complete.missing() == "", "another extension's newer one is left alone"


@field("an old MediaPipe")
def test_old_mediapipe(complete, wheel):
    complete.variables["PIP_FIND_LINKS"] += " " + wheel("mediapipe", version="0.10.21")
    complete.pip("install", "-q", "--no-deps", "mediapipe==0.10.21")
    assert complete.missing() == "mediapipe==0.10.31"
    assert complete.click() == ""
    complete.assertReady()
