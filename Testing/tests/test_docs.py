"""The documentation: its links lead somewhere, its code runs, and it has what the code has."""

import ast
import io
import re
import tokenize
import urllib.parse
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest
import slicer

from support.helpers import play, settled
from support.paths import ROOT, SAMPLE_CLIP

README = ROOT / "README.md"
DOCS = ROOT / "LiveHand" / "Docs"
LIBRARY = ROOT / "LiveHand" / "LiveHandLib"
PAGES = [README, *sorted(DOCS.glob("*.md"))]


def prose(page) -> str:
    """A page without its code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def links(page) -> list[str]:
    """Where a page's links and images lead, as far as that is within the repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in targets if not urllib.parse.urlparse(target).scheme]


def anchors(page) -> set[str]:
    """The names by which a page's headings can be linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_images_lead_somewhere(page):
    for target in links(page):
        path, _hash, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_file(), target
        assert not anchor or anchor in anchors(linked), target


def test_every_page_and_image_is_linked():
    linked = {(page.parent / target.partition("#")[0]).resolve() for page in PAGES for target in links(page)}
    assert set(DOCS.glob("*")) <= linked
    images = {path for path in (ROOT / "Resources").iterdir() if path.suffix in (".png", ".webp")}
    assert images - {ROOT / "Resources" / "LiveHand.png"} <= linked  # which is the extension's icon


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page):
    names = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.*")}
    for named in re.findall(r"`(Testing/[\w/]+\.\w+|test_\w+\.py|make_\w+\.py)`", prose(page)):
        assert named in names if "/" in named else any(name.endswith(f"/{named}") for name in names), named


def test_readme_is_short():
    assert README.stat().st_size <= 6000


OWN_WORDS = re.compile(
    r"\bpictures?\b|\blook(s|ed|ing)? at\b|\bin vain\b|tells? of|turned round|in so many words|camera's frame\b"
    r"|leaves? Python alone|nobody looks",
    re.IGNORECASE,
)
"""Words that the glossary has others for."""


def wording(path: Path) -> str:
    """What is written for people in a page, in a source (comments, docstrings and other texts), or in the panel."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        text = re.sub(r"\*[^*\n]* > [^*\n]*\*", "", prose(path))  # labels are the panel's
    elif path.suffix == ".ui":
        text = "\n".join(element.text or "" for element in ElementTree.fromstring(text).iter("string"))
    else:
        kinds = {"COMMENT", "STRING", "FSTRING_MIDDLE"}
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        text = "\n".join(token.string for token in tokens if tokenize.tok_name[token.type] in kinds)
    return re.sub(r"`[^`]*`", "", text)  # names are the code's


@pytest.mark.parametrize(
    "path", [*PAGES, *sorted(LIBRARY.parent.rglob("*.py")), *LIBRARY.parent.rglob("*.ui")], ids=lambda path: path.name
)
def test_words_are_those_of_the_glossary(path):
    text = " ".join(wording(path).replace("#", " ").split())
    assert [text[max(found.start() - 30, 0) : found.end() + 30] for found in OWN_WORDS.finditer(text)] == []


def test_labels_of_the_panel_are_as_they_stand_there():
    panel = ElementTree.parse(LIBRARY.parent / "Resources" / "UI" / "LiveHand.ui")
    texts = {text.text.rstrip(":.") for text in panel.iter("string") if text.text}
    words = " ".join(" ".join(prose(page).split()) for page in PAGES)
    named = re.findall(r"\*([\w ]+) > ([^*>]+)\*", words)
    assert len(named) > 8
    for group, name in named:
        assert group == "View" or {group, name} <= texts, (group, name)  # Slicer's menu


def test_animation_moves_and_is_small():
    path = ROOT / "Resources" / "Animation.webp"
    assert path.stat().st_size < 3_000_000
    _isRead, animation = cv2.imreadanimation(str(path))
    seconds = cv2.VideoCapture(str(SAMPLE_CLIP)).get(cv2.CAP_PROP_FRAME_COUNT) / 30
    assert sum(animation.durations) / 1000 == pytest.approx(seconds, rel=0.02)
    first, other = animation.frames[0], animation.frames[len(animation.frames) // 2]
    for half in (slice(None, 400), slice(400, None)):
        assert abs(first[:, half].astype(int) - other[:, half]).max() > 50


def sourceOfSentences():
    return next(path for path in LIBRARY.rglob("*.py") if path.name in ("messages.py", "sentences.py"))


def reasons() -> set[str]:
    """All that a LiveHandError can be for."""
    tree = ast.parse(sourceOfSentences().read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "sentence")
    table = next(node for node in ast.walk(function) if isinstance(node, ast.Dict))
    return {key.value for key in table.keys}


def test_every_failure_has_its_entry_in_troubleshooting():
    rows = re.findall(r"^\| (`.*) \|$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    entries = []
    for row in rows:
        problem, *answers = row.split(" | ")
        assert len(answers) == 2 and all(len(answer) > 10 for answer in answers), row
        names, _colon, what = problem.partition(": ")
        assert what.endswith("."), row
        entries += re.findall(r"`(\w+)`", names)
    assert len(reasons()) > 50
    assert sorted(entries) == sorted(reasons())


def test_files_of_the_library_are_those_of_the_architecture():
    layers = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("## Layers")[2].partition("\n## ")[0]
    named = {name for name in re.findall(r"`([\w/]+\.py)`", layers) if name != "gil.py"}
    assert named == {
        path.relative_to(LIBRARY).as_posix() for path in LIBRARY.rglob("*.py") if path.name != "__init__.py"
    }


def example(page: str, begin: str) -> str:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.search(rf"```python\n({re.escape(begin)}.*?)```", text, re.DOTALL)[1]


def test_every_example_is_run():
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "Testing").rglob("test_*.py"))
    for page in PAGES:
        for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            called = re.findall(rf'example\("{page.name}", "([^"]+)"\)', tests)
            assert any(code.startswith(begin) for begin in called), code


@pytest.mark.parametrize("source", ["0", repr(str(SAMPLE_CLIP))], ids=["as written", "with the clip"])
def test_example_of_going_live(app, widget, source, capsys):
    code = example("python-api.md", "from LiveHand import LiveHandLogic")
    code = code.replace("setSource(0)", f"setSource({source})")
    before, separator, after = code.partition("logic.getParameterNode()")
    names = {}
    exec(before, names)
    reported = []
    logic = names["logic"]
    logic.worker.tracked.connect(lambda frame: reported.append(frame.hands))
    logic.worker.failed.connect(reported.append)
    assert app.spin(lambda: any(reported), timeout=30)
    exec(separator + after, names)
    printed = capsys.readouterr().out
    assert ("{'Right': array(" in printed and "Intrinsics(" in printed) == (source != "0")
    assert logic.worker is None


def test_example_of_motion(app, widget, tmp_path, monkeypatch):
    code = example("python-api.md", "logic.motion.startRecording")
    first, _comment, rest = code.partition("# ... the hand moves ...\n")
    monkeypatch.chdir(tmp_path)
    logic = widget.logic
    logic.setSource(SAMPLE_CLIP)
    logic.start()
    assert app.spin(lambda: logic.frame and logic.frame.hands, timeout=30)
    names = {"logic": logic}
    exec(first, names)
    assert app.spin(lambda: len(logic.motion.recording.frames) > 5, timeout=20)
    exec(rest, names)
    assert names["browser"].GetSelectedItemNumber() == names["browser"].GetNumberOfItems() - 1 > 4
    header, *rows = (tmp_path / "motion.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) > 5 * 21
    assert f"```\n{header}\n" in (DOCS / "finger-motion.md").read_text(encoding="utf-8")
    parameterNode = logic.getParameterNode()
    assert app.spin(lambda: parameterNode.rightAngles, timeout=20)
    chart = parameterNode.anglesChart
    shown = {chart.GetNthPlotSeriesNode(i).GetName() for i in range(chart.GetNumberOfPlotSeriesNodes())}
    assert shown == {"Right Index PIP flexion", "Right Pinch distance"}
    logic.stop()
    settled(app, logic)


def test_example_of_navigation(app, widget, tmp_path, monkeypatch, capsys):
    """A whole session: points of a plan, a trace over a dome, with frames that come without a camera."""
    import slicer
    import vtk

    from tests.test_navigating import PLAN, Stream, placed, pointList, referencePose, touch

    code = example("navigation.md", "import slicer")
    setUp, record, restOfPoints, finish = re.split(r"# \.\.\. .*\n", code)
    monkeypatch.chdir(tmp_path)
    stream, pose = Stream(widget.logic), referencePose()
    pointList("Plan", PLAN)
    sphere = vtk.vtkTexturedSphereSource()
    sphere.SetRadius(60.0)
    sphere.SetThetaResolution(60)
    sphere.SetPhiResolution(60)
    sphere.Update()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Skin").SetAndObservePolyData(sphere.GetOutput())

    def inCamera(at) -> np.ndarray:
        return (pose.matrix @ placed() @ (*at, 1.0))[:3]

    names = {"logic": widget.logic}
    exec(setUp, names)
    stream.show(inCamera(PLAN[0]), pose)
    exec(record, names)
    while names["navigation"].isRecordingPoint:
        stream.show(inCamera(PLAN[0]), pose)
    for at in PLAN[1:]:
        touch(stream, inCamera(at), pose, spread=0.0)
    exec(restOfPoints, names)
    for turn in np.linspace(0.0, 30.0, 300):
        across = 0.3 + 0.02 * turn
        stream.show(
            inCamera(61.0 * np.array([across * np.cos(turn), across * np.sin(turn), np.sqrt(1.0 - across**2)])), pose
        )
    exec(finish, names)
    assert names["registration"].freMm < 1e-3
    assert names["navigation"].failure is None and "Plan 1 0.0 None" in capsys.readouterr().out
    rows = (tmp_path / "errors.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 5 + 6
    assert all(float(row.split(",")[2]) < 0.01 for row in rows[1:])
    names.clear()  # a parameter node's wrapper that a script keeps goes on reading what the next tests write


def test_example_of_the_view_from_the_camera(app, logic, capsys):
    exec(example("camera-view.md", "from LiveHandLib"), {"logic": logic})
    assert capsys.readouterr().out == "None\n" and logic.worker.sendsImages
    play(app, logic, SAMPLE_CLIP, numberOfHands=1)
    assert logic.cameraView.view is app.view
    logic.getParameterNode().cameraView = False


def test_example_of_a_consumer_of_pinches(app, widget, capsys):
    logic = widget.logic
    exec(example("gestures.md", "logic = slicer.util"), {"slicer": slicer})
    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    hand, *_position, timestampMs = capsys.readouterr().out.split()
    assert hand == "Right" and float(timestampMs) > 0.0
    logic.gestures.isReporting = False


def test_example_of_a_consumer_of_landmarks(app, widget):
    logic = widget.logic
    names = {"logic": logic}
    exec(example("contributing.md", "import numpy as np"), names)
    frames = []
    logic.worker.tracked.connect(frames.append)
    logic.getParameterNode().everyFrame = True
    logic.setSource(SAMPLE_CLIP)
    logic.start()
    settled(app, logic)
    # The clip has one pinch, and a fist and a pointing hand, in which the thumb lies on the fingers.
    assert 0 < len(names["pinches"]) < len(frames) / 3
    assert all(abs(point).max() < 1000 for point in names["pinches"])
    logic.worker.tracked.disconnect(names["onTracked"])
