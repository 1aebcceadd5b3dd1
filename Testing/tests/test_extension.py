"""The extension as a whole: what is shipped is listed, what is listed is there, imports point one way."""

import ast
import hashlib
import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.paths import MODEL, ROOT, SAMPLE_CLIP

MODULE = ROOT / "LiveHand"
LIBRARY = MODULE / "LiveHandLib"


def trackedFiles() -> set[str]:
    """The repository's files, as git has them (or would have them)."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name for name in listed if (ROOT / name).exists()}


def cmakeList(name: str) -> set[str]:
    text = (MODULE / "CMakeLists.txt").read_text()
    words = re.search(rf"set\({name}\n(.*?)\)", text, re.DOTALL)[1].split()
    return {word.replace("${MODULE_NAME}", "LiveHand") for word in words}


def test_every_file_of_the_module_is_listed():
    shipped = {name.removeprefix("LiveHand/") for name in trackedFiles() if name.startswith("LiveHand/")}
    assert cmakeList("MODULE_PYTHON_SCRIPTS") == {name for name in shipped if name.endswith(".py")}
    resources = {name for name in shipped if name.startswith("Resources/")}
    assert cmakeList("MODULE_PYTHON_RESOURCES") == resources
    pages = {name for name in shipped if re.fullmatch(r"Docs/[\w-]+\.md", name)}  # for the web page
    assert shipped == cmakeList("MODULE_PYTHON_SCRIPTS") | resources | pages | {"CMakeLists.txt"}


def test_what_others_made_has_its_licence_beside_it():
    resources = {Path(name) for name in cmakeList("MODULE_PYTHON_RESOURCES")}
    made = {path for path in resources if path.suffix in (".npz", ".mp4", ".task")}
    assert len(made) == 4 and {path.with_suffix(".LICENSE.md") for path in made} <= resources


def test_top_level_resources_are_images_of_the_documentation():
    assert all(path.suffix in (".png", ".webp") for path in map(Path, trackedFiles()) if path.parts[0] == "Resources")


def test_top_level_has_nothing_else():
    allowed = {"CMakeLists.txt", "LiveHand", "Resources", "Testing", "README.md", "LICENSE", "pyproject.toml"}
    top = {name.partition("/")[0] for name in trackedFiles()}
    assert {name for name in top if not name.startswith(".")} == allowed


def test_extension_metadata_is_complete():
    text = (ROOT / "CMakeLists.txt").read_text()
    for name in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"):
        assert re.search(rf'set\(EXTENSION_{name} "[^"]+"\)', text), name
    for url in re.findall(r"https://raw\S+/main/(\S+)\"", text):
        assert (ROOT / url).is_file(), url


INDEX_FIELDS = {
    "$schema": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "category": str,
    "enabled": bool,
    "scm_revision": str,
    "scm_type": str,
    "scm_url": str,
    "tier": int,
}
"""The fields of an entry of Slicer's Extensions Index and their types, by Slicer's
``Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json``, which allows no others."""


def test_entry_for_the_extensions_index():
    path = ROOT / ".github" / "LiveHand.json"
    assert b"\r" not in path.read_bytes(), "the index asks for LF"
    entry = json.loads(path.read_text(encoding="utf-8"))
    assert {name: type(value) for name, value in entry.items()} == INDEX_FIELDS
    schema = urllib.parse.urlparse(entry["$schema"])
    assert schema.path.endswith("/slicer-extension-catalog-entry-schema-v1.0.1.json")
    assert entry["scm_type"] in ("git", "local") and entry["tier"] in (1, 3, 5)
    # What the index's own scripts check beside the schema.
    assert not path.stem.lower().startswith("slicer")
    url = urllib.parse.urlparse(entry["scm_url"])
    assert url.scheme == "https" and url.netloc and Path(url.path).name == f"Slicer{path.stem}.git"
    size = sum((ROOT / name).stat().st_size for name in trackedFiles())
    assert (ROOT / "LICENSE").is_file() and size < 100 * 2**20
    # What has to be as CMakeLists.txt says.
    text = (ROOT / "CMakeLists.txt").read_text()
    assert re.search(r"project\((\w+)", text)[1] == path.stem
    given = dict(re.findall(r'set\(EXTENSION_(\w+) "([^"]+)"\)', text))
    assert given["HOMEPAGE"] == entry["scm_url"].removesuffix(".git")
    assert given["CATEGORY"] == entry["category"]
    assert [name for name in given["DEPENDS"].split() if name != "NA"] == entry["build_dependencies"]
    for image in f"{given['ICONURL']} {given['SCREENSHOTURLS']}".split():
        assert urllib.parse.urlparse(image).path.split("/")[3] == entry["scm_revision"]


def test_model_is_the_one_that_was_measured():
    from LiveHandLib.detection import detector

    content = MODEL.read_bytes()
    assert hashlib.sha256(content).hexdigest() == detector.MODEL_SHA256
    assert detector.MODEL_SHA256 in MODEL.with_suffix(".LICENSE.md").read_text()


def test_sample_clip_is_small():
    assert SAMPLE_CLIP.stat().st_size < 1_000_000


def test_sample_clip_is_among_the_sample_data_and_plays_from_there(app, widget, monkeypatch):
    import LiveHand
    from support.helpers import settled

    registered = []

    class SampleDataLogic:  # Slicer's own module is no part of what can be installed
        registerCustomSampleDataSource = staticmethod(lambda **source: registered.append(source))

    LiveHand.registerSampleData()
    assert registered == [], "nothing happens in an application without it"
    monkeypatch.setitem(sys.modules, "SampleData", SimpleNamespace(SampleDataLogic=SampleDataLogic))
    LiveHand.registerSampleData()
    (source,) = registered
    path = Path(urllib.request.url2pathname(urllib.parse.urlparse(source["uris"]).path))
    assert path.samefile(SAMPLE_CLIP) and Path(source["thumbnailFileName"]).exists()
    assert source["checksums"] == "SHA256:" + hashlib.sha256(SAMPLE_CLIP.read_bytes()).hexdigest()
    source["customDownloader"](source)
    assert app.spin(lambda: widget.logic.frame and widget.logic.frame.hands, timeout=30)
    assert widget.ui.sourceComboBox.currentText == "Sample clip" and widget.ui.liveCheckBox.checked
    widget.logic.stop()
    settled(app, widget.logic)


# The library's layers, the lowest first: a part may import what is in its own and in lower ones only. The first six
# are pure: they know nothing of Qt, VTK or Slicer, but for the one file that lends the GIL from Qt's event loop.
LAYERS = (
    ("errors", "resources"),
    ("landmarks", "threads", "installed"),
    ("detection", "calibration"),
    ("camera",),
    ("pose",),
    ("gestures", "navigation", "stereo"),
    ("packages", "sampledata", "tracking", "scene"),
    ("motion",),
    ("settings",),
    ("panel",),
    ("logic",),
)
PURE = {layer for layers in LAYERS[:6] for layer in layers}
FORBIDDEN = {  # beyond what the layers say
    **{layer: {"qt", "slicer", "vtk"} for layer in PURE},
    "threads/gil.py": {"slicer", "vtk", "mediapipe", "cv2"},
    "navigation/surface.py": {"qt", "slicer", "cv2", "mediapipe"},
    "tracking": {"slicer", "vtk"},
    "scene": {"qt", "mediapipe", "cv2"},
    "scene/rendering.py": {"mediapipe", "cv2"},
    "motion": {"qt", "mediapipe", "cv2"},
    "packages": {"qt", "mediapipe", "cv2"},
}
LEFT_TO_FUNCTIONS = {"cv2", "mediapipe", "AVFoundation", "winreg", "fcntl"}  # may be missing, or take long to import


def imports(tree: ast.AST, package: str) -> set[str]:
    """What is imported anywhere in a tree: parts of the library by their names, others by their first one."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").partition(".")[0]
            if not node.level:
                names.add(module)
            elif node.level == (2 if package else 1):  # from the library's own folder
                names |= {module} if module else {alias.name for alias in node.names}
    return names


PARTS = sorted(path.relative_to(LIBRARY) for path in LIBRARY.rglob("*.py") if path != LIBRARY / "__init__.py")


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_imports_point_one_way(part):
    package = part.parts[0] if len(part.parts) > 1 else ""
    layer = package or part.stem
    rank = {name: rank for rank, names in enumerate(LAYERS) for name in names}
    tree = ast.parse((LIBRARY / part).read_text(encoding="utf-8"))
    found = imports(tree, package)
    assert {name for name in found & rank.keys() if rank[name] > rank[layer]} == set()
    assert found & FORBIDDEN.get(part.as_posix(), FORBIDDEN.get(layer, set())) == set()
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports(ast.Module(top, []), package) & LEFT_TO_FUNCTIONS == set()


def test_every_part_is_in_a_layer():
    assert {part.parts[0].removesuffix(".py") for part in PARTS} == {name for names in LAYERS for name in names}


def sources() -> dict[Path, str]:
    """The module's Python files, wherever they are in it."""
    return {path: path.read_text(encoding="utf-8") for path in [MODULE / "LiveHand.py", *LIBRARY.rglob("*.py")]}


def test_no_blocking_qt_call():
    """What deadlocks in Slicer stands nowhere, also where no test happens to run it."""
    for path, text in sources().items():
        for name in ("QMutex", "QWaitCondition", "QSemaphore", "waitForDone", "moveToThread"):
            assert name not in re.sub(r'""".*?"""', "", text, flags=re.DOTALL), (path, name)


SHOWING = re.compile(
    "(add|insert)(Action|Item|Items|Tab)|set(PlaceholderText|StatusTip|Text|Title|ToolTip|WhatsThis|WindowTitle)|setItemText"
    r"|showMessage|showStatusMessage|(confirm|warning|error|info|delay|message)\w*Display|get(Open|Save)FileNames?"
    "|getExistingDirectory|QLabel|QPushButton|QCheckBox|QAction"
)
"""Functions that show the user a text."""


SAME_IN_ALL_LANGUAGES = re.compile(r"\(\*[^)]*\)|\bLiveHand\b|\bPDF\b|\bmm\b|\.\w+\b")
"""Patterns of file names, names, units."""


def literals(node: ast.AST):
    """The texts in an expression that no function has translated."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_", "tr", "translate", "getattr", "value"):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from literals(child)


def untranslated(text: str) -> list[str]:
    """What a source shows the user in one language only, and what the tools that collect texts cannot find."""
    found = []
    tree = ast.parse(text)
    # Slicer's self-tests are for developers, and in English.
    tests = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("Test")]
    inTests = {id(node) for test in tests for node in ast.walk(test)}
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call) and id(node) not in inTests]:
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        if name == "_":
            found += [ast.unparse(call) for one in arguments if not isinstance(one, ast.Constant)]
        elif SHOWING.fullmatch(name):
            shown = [literal for one in arguments for literal in literals(one)]
            found += [one for one in shown if re.search(r"[^\W\d_]{2}", SAME_IN_ALL_LANGUAGES.sub("", one))]
    return found


@pytest.mark.parametrize(
    "source",
    [
        'label.setText("Text")',
        'label.setText("⚠ " + f"Some {text}")',
        'self.showMessage("" if isFine else "Some text")',
        'qt.QFileDialog.getSaveFileName(None, "Some text", "", "Text files (*.csv)")',
        'slicer.util.confirmOkCancelDisplay(text, windowTitle="Some text")',
        '_(f"Some {text}")',
        "_(text)",
    ],
)
def test_text_that_is_not_translatable_is_found(source):
    assert untranslated(source)
    assert not untranslated('label.setText(_("Some {text}").format(text=text) + "\\n")')


def test_every_text_is_translatable():
    assert {path.name: found for path, text in sources().items() if (found := untranslated(text))} == {}


def test_every_sentence_is_translatable():
    """Whatever stands in the module of the sentences and reads like one is one."""
    (path,) = (path for path in LIBRARY.rglob("sentences.py"))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    skipped = {id(node.value) for node in documented}

    def texts(node):
        if id(node) not in skipped and not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_"):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            for child in ast.iter_child_nodes(node):
                yield from texts(child)

    assert [text for text in texts(tree) if re.search(r"\w \w", text)] == []


def test_every_control_of_the_panel_says_what_it_is_for():
    panel = ElementTree.parse(MODULE / "Resources" / "UI" / "LiveHand.ui")
    for widget in panel.iter("widget"):
        if widget.get("class") in ("QComboBox", "QCheckBox", "QPushButton", "QSpinBox"):
            names = {prop.get("name") for prop in widget.findall("property")}
            assert "toolTip" in names, widget.get("name")
    buddies = {text.text for text in panel.iter("cstring")}
    inputs = {w.get("name") for w in panel.iter("widget") if w.get("class") in ("QComboBox", "QCheckBox", "QSpinBox")}
    assert inputs <= buddies, "every input has a label that leads to it"


def test_every_failure_has_a_sentence(app):
    from LiveHandLib.errors import LiveHandError
    from LiveHandLib.panel.sentences import sentence

    source = "\n".join(path.read_text() for path in [MODULE / "LiveHand.py", *LIBRARY.rglob("*.py")])
    raised = re.findall(r"LiveHandError\(\s*\"(\w+)\"((?:[^()]|\([^()]*\))*)\)", source)
    assert len(raised) > 12
    for reason, details in raised:
        given = dict.fromkeys(re.findall(r"(\w+)=", details), "X")
        text = sentence(LiveHandError(reason, **given))
        assert "{" not in text and ":" in text, "what happened: what to do"


def test_reasons_without_a_sentence_are_told_as_well(app):
    from LiveHandLib.errors import LiveHandError
    from LiveHandLib.panel.sentences import sentence

    assert "unheardOf" in sentence(LiveHandError("unheardOf", number=3))
