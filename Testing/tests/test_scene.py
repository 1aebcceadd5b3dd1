"""The nodes: standard, made once, moved in place, right side up, and the user's to delete."""

from dataclasses import replace

import numpy as np
import pytest

from LiveHandLib.landmarks import LANDMARK_NAMES
from support.helpers import goLive, nodesOfLiveHand, play, settled
from support.paths import MESH, SAMPLE_CLIP, TESTING

pytestmark = pytest.mark.usefixtures("model")

SAVED_SCENE = TESTING / "tests" / "data" / "Scene20261126.mrb"


def test_standard_nodes_under_one_transform(app, logic):

    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    parameterNode = logic.getParameterNode()
    landmarks, surface = parameterNode.rightLandmarks, parameterNode.rightSurface
    assert landmarks.GetClassName() == "vtkMRMLMarkupsFiducialNode"
    assert surface.GetClassName() == "vtkMRMLModelNode"
    assert parameterNode.cameraToRAS.GetClassName() == "vtkMRMLLinearTransformNode"
    assert landmarks.GetParentTransformNode() is surface.GetParentTransformNode() is parameterNode.cameraToRAS
    labels = [landmarks.GetNthControlPointLabel(index) for index in range(landmarks.GetNumberOfControlPoints())]
    assert labels == list(LANDMARK_NAMES)
    assert parameterNode.leftLandmarks is parameterNode.leftSurface is None, "no node for a hand that was never seen"
    assert parameterNode.rightSkeleton is None, "nor for what was never shown"


def test_landmarks_are_where_the_worker_says_and_the_models_around_them(app, logic):
    import slicer

    from LiveHandLib.pose.coordinates import CAMERA_TO_RAS
    from LiveHandLib.scene.handnodes import Display

    play(app, logic, SAMPLE_CLIP, everyFrame=True, display=Display.BOTH)
    parameterNode = logic.getParameterNode()
    cameraMm = logic.frame.hands["Right"].cameraMm
    ras = slicer.util.arrayFromMarkupsControlPoints(parameterNode.rightLandmarks, world=True)
    toRAS = CAMERA_TO_RAS["owner"]
    assert np.allclose(ras, cameraMm @ toRAS[:3, :3].T + toRAS[:3, 3], atol=1e-3)
    for node, furthest in ((parameterNode.rightSkeleton, 5), (parameterNode.rightSurface, 20)):
        points = slicer.util.arrayFromModelPoints(node)
        distances = np.linalg.norm(points[:, None] - cameraMm[None], axis=2)
        assert distances.min(axis=0).max() < furthest, "mm: a sphere about every joint, skin not far from it"
        assert np.isfinite(points).all()


def test_slicer_works_out_nothing_for_moved_landmarks_that_nobody_needs(app, widget, tmp_path):
    import slicer

    def isSpared(landmarks) -> bool:
        assert landmarks.GetNumberOfControlPoints() == 21
        # Slicer asks for the number of these points without asking whether there are any.
        hasNoCurve = landmarks.GetCurvePointsWorld().GetNumberOfPoints() == 0
        return hasNoCurve and landmarks.GetNumberOfMovableControlPoints() == 0

    goLive(app, widget)
    assert isSpared(widget.logic.getParameterNode().rightLandmarks)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    settled(app, widget.logic)
    slicer.util.loadScene(path)
    goLive(app, widget)
    assert isSpared(widget.logic.getParameterNode().rightLandmarks), "nor when they come from a saved scene"


def test_right_is_right_and_up_is_up(app, logic, tracked):
    import slicer

    ras = []

    def note(frame) -> None:
        ras.append(slicer.util.arrayFromMarkupsControlPoints(logic.getParameterNode().rightLandmarks, world=True))

    logic.worker.tracked.connect(note)
    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    logic.worker.tracked.disconnect(note)
    imageX = np.array([frame.hands["Right"].imagePx[:, 0].mean() for frame in tracked])
    r = np.array(ras)[:, :, 0].mean(axis=1)
    # The user's right is the image's left, and the 3D view from anterior has the patient's left at its right.
    assert np.ptp(imageX) > 50
    assert np.corrcoef(imageX, r)[0, 1] > 0.95
    upright = np.array(ras)[0]
    assert upright[12, 2] - upright[0, 2] > 100, "the middle finger's tip is above the wrist, in mm"


def test_a_hand_that_comes_nearer_or_goes_farther_is_not_cut_off(app, logic):
    import slicer

    from LiveHandLib.scene.handnodes import HandNodes

    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    parameterNode, hand = logic.getParameterNode(), logic.frame.hands["Right"].cameraMm
    camera = app.view.cameraNode().GetCamera()
    start = slicer.util.arrayFromTransformMatrix(parameterNode.cameraToRAS)
    renderer = app.view.renderWindow().GetRenderers().GetFirstRenderer()
    nodes = HandNodes("Right", parameterNode, MESH)

    def isWhole(path: float) -> bool:
        """Whether the hand is shown wholly after it has moved so much of the way to the view's camera."""
        matrix = start.copy()
        matrix[:3, 3] += path * (np.array(camera.GetPosition()) - center)
        parameterNode.cameraToRAS.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
        nodes.update(hand)
        seen = app.view.image()
        renderer.ResetCameraClippingRange()
        whole = app.view.image()
        assert np.ptp(whole) > 50, "there is something to be seen"
        return np.mean(np.abs(seen.astype(int) - whole).max(axis=2) > 30) < 0.001

    nodes.update(hand)
    slicer.util.resetThreeDViews()
    center = slicer.util.arrayFromMarkupsControlPoints(parameterNode.rightLandmarks, world=True).mean(axis=0)
    assert [path for path in (0.0, 0.3, 0.5, 0.7, 0.85, -1.0, -5.0) if not isWhole(path)] == []
    assert isWhole(0.5)
    before = camera.GetMTime()
    nodes.update(hand + 1.0)
    assert camera.GetMTime() == before, "it is wide enough"


def test_skeletons_normals_point_outwards(app):
    from vtk.util.numpy_support import vtk_to_numpy

    from LiveHandLib.scene.handnodes import Skeleton

    skeleton = Skeleton()
    landmarks = np.random.default_rng(0).uniform(-80, 80, (21, 3))
    skeleton.update(landmarks)
    points = vtk_to_numpy(skeleton.polyData.GetPoints().GetData())
    normals = vtk_to_numpy(skeleton.polyData.GetPointData().GetNormals())
    triangles = vtk_to_numpy(skeleton.polyData.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    corners = points[triangles]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("ij,ij->i", facing, normals[triangles].mean(axis=1)) > -1e-3).all()


def test_landmarks_that_fall_together_break_nothing(app):
    from vtk.util.numpy_support import vtk_to_numpy

    from LiveHandLib.scene.handnodes import Skeleton

    skeleton = Skeleton()
    skeleton.update(np.zeros((21, 3)))
    assert np.isfinite(vtk_to_numpy(skeleton.polyData.GetPoints().GetData())).all()


def test_nodes_are_made_once_and_told_of_once_a_frame(app, widget, tracked):
    import slicer

    goLive(app, widget)
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode")}
    parameterNode = widget.logic.getParameterNode()
    polyData = parameterNode.rightSurface.GetPolyData()
    modified = []
    events = {"model": 0, "points": 0}

    def count(name):
        return lambda caller, event: events.update({name: events[name] + 1})

    tags = [
        (polyData, "ModifiedEvent", count("model")),
        (parameterNode.rightLandmarks, slicer.vtkMRMLMarkupsNode.PointModifiedEvent, count("points")),
    ]
    tags = [(node, node.AddObserver(event, callback)) for node, event, callback in tags]
    start = len(tracked)
    assert app.spin(lambda: len(tracked) > start + 10, timeout=20)
    frames = len(tracked) - start
    for node, tag in tags:
        node.RemoveObserver(tag)
    assert {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode")} == before
    assert parameterNode.rightSurface.GetPolyData() is polyData
    assert events == {"model": frames, "points": frames}
    assert modified == []


def test_hidden_when_lost_or_off_and_shown_again(app, widget):
    from dataclasses import replace

    goLive(app, widget)
    logic = widget.logic
    parameterNode = logic.getParameterNode()
    displays = [node.GetDisplayNode() for node in (parameterNode.rightSurface, parameterNode.rightLandmarks)]
    assert all(display.GetVisibility() for display in displays)
    seen = logic.frame
    logic.showFrame(replace(seen, hands={}))
    assert not any(display.GetVisibility() for display in displays)
    logic.showFrame(seen)
    assert all(display.GetVisibility() for display in displays)
    displays[0].SetVisibility(False)
    logic.showFrame(seen)
    assert not displays[0].GetVisibility(), "what the user hides stays hidden as long as the hand is seen"
    logic.stop()
    settled(app, logic)
    assert not any(display.GetVisibility() for display in displays)


def test_what_is_shown_is_chosen_in_the_panel_at_any_time(app, widget):
    from dataclasses import replace

    goLive(app, widget)
    logic, box = widget.logic, widget.ui.displayComboBox
    parameterNode = logic.getParameterNode()
    assert [box.itemText(index) for index in range(box.count)] == ["Surface", "Skeleton", "Surface and skeleton"]
    logic.stop()
    settled(app, logic)

    def isVisible(name: str) -> bool:
        node = getattr(parameterNode, name)
        return bool(node and node.GetDisplayNode().GetVisibility())

    def expectVisible(isSurface: bool, isSkeleton: bool) -> None:
        assert (isVisible("rightSurface"), isVisible("rightSkeleton")) == (isSurface, isSkeleton)

    expectVisible(False, False)
    seen = logic.frame
    logic.showFrame(seen)
    expectVisible(True, False)
    landmarks = parameterNode.rightLandmarks.GetDisplayNode()
    assert landmarks.GetVisibility() and landmarks.GetVisibility2D() and not landmarks.GetVisibility3D()
    box.setCurrentIndex(1)
    expectVisible(False, True)
    assert landmarks.GetVisibility3D()
    box.setCurrentIndex(2)
    expectVisible(True, True)
    assert parameterNode.rightSurface.GetDisplayNode().GetOpacity() < 1, "the skeleton can be seen"
    box.setCurrentIndex(1)

    # What is not shown is not moved, and stands where it should once it is shown.
    before = parameterNode.rightSurface.GetPolyData().GetMTime()
    moved = replace(seen.hands["Right"], cameraMm=seen.hands["Right"].cameraMm + 1000.0)
    logic.showFrame(replace(seen, hands={"Right": moved}))
    assert parameterNode.rightSurface.GetPolyData().GetMTime() == before
    box.setCurrentIndex(0)
    assert parameterNode.rightSurface.GetDisplayNode().GetOpacity() == 1
    assert parameterNode.rightSurface.GetPolyData().GetMTime() > before
    assert parameterNode.rightSurface.GetPolyData().GetBounds()[0] > 500
    logic.showFrame(replace(seen, hands={}))
    expectVisible(False, False)
    box.setCurrentIndex(1)
    expectVisible(False, False)


def test_surface_is_cut_by_slices_and_keeps_the_colour_it_was_given(app, widget):
    import slicer

    goLive(app, widget)
    logic = widget.logic
    display = logic.getParameterNode().rightSurface.GetDisplayNode()
    assert display.GetVisibility2D() and display.GetVisibility3D()
    display.SetColor(0.2, 0.4, 0.6)
    logic.stop()
    settled(app, logic)
    slicer.mrmlScene.Clear(0)
    goLive(app, widget)
    assert np.allclose(logic.getParameterNode().rightSurface.GetDisplayNode().GetColor(), (0.2, 0.4, 0.6), atol=0.01)


def test_surface_can_be_cut_into_closed_lines(app, logic):
    import vtk

    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    polyData = logic.getParameterNode().rightSurface.GetPolyData()
    cutter = vtk.vtkCutter()
    cutter.SetInputData(polyData)
    plane = vtk.vtkPlane()
    plane.SetNormal(0, 1, 0)
    cutter.SetCutFunction(plane)
    openEnds = vtk.vtkFeatureEdges()
    openEnds.SetInputData(polyData)
    openEnds.BoundaryEdgesOn()
    openEnds.NonManifoldEdgesOn()
    openEnds.FeatureEdgesOff()
    openEnds.ManifoldEdgesOff()
    openEnds.Update()
    assert openEnds.GetOutput().GetNumberOfCells() == 0, "the surface is closed"
    bottom, top = polyData.GetBounds()[2:4]
    for y in np.linspace(bottom + 5, top - 5, 10):
        plane.SetOrigin(0, y, 0)
        stripper = vtk.vtkStripper()
        stripper.SetInputConnection(cutter.GetOutputPort())
        stripper.Update()
        lines = stripper.GetOutput()
        assert lines.GetNumberOfLines() > 0
        for index in range(lines.GetNumberOfCells()):
            ids = lines.GetCell(index).GetPointIds()
            assert ids.GetId(0) == ids.GetId(ids.GetNumberOfIds() - 1)


@pytest.mark.parametrize("name", ["rightSurface", "rightSkeleton", "rightLandmarks", "cameraToRAS"])
def test_node_deleted_while_live_comes_back(app, widget, tracked, name):
    import slicer

    from LiveHandLib.scene.handnodes import Display

    widget.logic.getParameterNode().display = Display.BOTH
    goLive(app, widget)
    parameterNode = widget.logic.getParameterNode()
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "somebody else's")
    deleted = getattr(parameterNode, name)
    slicer.mrmlScene.RemoveNode(deleted)
    start = len(tracked)
    assert app.spin(lambda: len(tracked) > start + 3, timeout=20)
    assert getattr(parameterNode, name) is not None
    if name in ("rightSurface", "rightSkeleton"):
        assert getattr(parameterNode, name).GetPolyData() is not deleted.GetPolyData(), "Slicer would crash"
    for node in (parameterNode.rightSurface, parameterNode.rightSkeleton, parameterNode.rightLandmarks):
        assert node.GetParentTransformNode() is parameterNode.cameraToRAS
        assert node.GetDisplayNode().GetVisibility()
    assert len(nodesOfLiveHand()) == len({node.GetName() for node in nodesOfLiveHand()})
    assert other.GetScene()


@pytest.mark.parametrize("isNone", [True, False], ids=["none", "empty"])
def test_surface_taken_out_of_its_node_while_live_comes_back(app, widget, tracked, isNone):
    import vtk

    goLive(app, widget)
    node = widget.logic.getParameterNode().rightSurface
    for _time in range(3):
        node.SetAndObservePolyData(None if isNone else vtk.vtkPolyData())
        start = len(tracked)
        assert app.spin(lambda start=start: len(tracked) > start + 3, timeout=20)
        assert node.GetPolyData().GetNumberOfPoints() > 1000


def test_parameter_node_deleted_while_live(app, widget, tracked):
    import slicer

    goLive(app, widget)
    former = widget.logic.getParameterNode().rightSurface
    slicer.mrmlScene.RemoveNode(widget.logic.getParameterNode().parameterNode)
    start = len(tracked)
    app.spin(lambda: len(tracked) > start + 5, timeout=5)
    assert widget.logic.getParameterNode().rightSurface is not former
    assert not former.GetDisplayNode().GetVisibility()


def test_transform_that_the_user_moved_is_left_alone(app, widget, tracked):
    import slicer

    goLive(app, widget)
    parameterNode = widget.logic.getParameterNode()
    matrix = np.eye(4)
    matrix[:3, 3] = 10, 20, 30
    slicer.util.updateTransformMatrixFromArray(parameterNode.cameraToRAS, matrix)
    start = len(tracked)
    assert app.spin(lambda: len(tracked) > start + 3, timeout=20)
    assert np.allclose(slicer.util.arrayFromTransformMatrix(parameterNode.cameraToRAS), matrix)


def test_scene_closed_while_live(app, widget):
    import slicer

    goLive(app, widget)
    slicer.mrmlScene.Clear(0)
    assert widget.logic.worker.state == "stopping"
    settled(app, widget.logic)
    assert widget.ui.statusLabel.text == ""
    assert not widget.ui.liveCheckBox.checked
    assert nodesOfLiveHand() == [widget.logic.getParameterNode().parameterNode]
    goLive(app, widget)


def test_scene_saved_while_live_and_loaded_again(app, widget, tmp_path):
    import slicer

    goLive(app, widget)
    widget.ui.numberOfHandsSpinBox.setValue(2)
    settledNodes = sorted(node.GetName() for node in nodesOfLiveHand())
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    settled(app, widget.logic)
    slicer.util.loadScene(path)
    assert widget.logic.worker.state == "off" and not widget.ui.liveCheckBox.checked
    parameterNode = widget.logic.getParameterNode()
    assert parameterNode.numberOfHands == 2 and parameterNode.source == str(SAMPLE_CLIP)
    assert widget.ui.numberOfHandsSpinBox.value == 2
    assert sorted(node.GetName() for node in nodesOfLiveHand()) == settledNodes
    assert parameterNode.rightLandmarks.GetNumberOfControlPoints() == 21
    assert parameterNode.rightSurface.GetPolyData().GetNumberOfPoints() > 1000
    goLive(app, widget)
    assert sorted(node.GetName() for node in nodesOfLiveHand()) == settledNodes, "the saved nodes are used again"


def test_scene_of_an_earlier_version_is_used_as_it_was_saved(app, widget, tracked):
    """Saved by the module at cf2aa7d, before cameras had an identity, with nodes that the user had renamed."""
    import slicer
    import vtk

    from LiveHandLib.camera.devices import Camera
    from LiveHandLib.scene.handnodes import Display

    def positions(node) -> np.ndarray:
        return slicer.util.arrayFromMarkupsControlPoints(node, world=True)

    def names() -> list[str]:
        return sorted(node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"))

    def checkWhatIsTheUsers() -> None:
        assert np.allclose(slicer.util.arrayFromTransformMatrix(parameterNode.cameraToRAS), toRAS)
        assert parameterNode.rightLandmarks.GetNthControlPointLabel(8) == "Pointing here"
        assert np.allclose(parameterNode.rightSkeleton.GetDisplayNode().GetColor(), (0.2, 0.4, 0.8))

    toRAS = np.array([[0, -1, 0, 10], [1, 0, 0, -250], [0, 0, 1, 35.5], [0, 0, 0, 1]])
    slicer.util.loadScene(str(SAVED_SCENE))
    parameterNode = widget.logic.getParameterNode()
    parameters = {
        "source": "camera:3:HD Webcam", "resolution": "", "numberOfHands": 2, "mirrored": True, "everyFrame": True,
        "palmWidthMm": 71.5, "smoothingMs": 60.0, "pointer": True, "tipOffsetMm": 4.5, "padOffsetMm": 6.25,
        "display": Display.SKELETON, "measureAngles": True,
    }  # fmt: skip
    assert {name: getattr(parameterNode, name) for name in parameters} == parameters
    assert list(parameterNode.plottedMeasures) == ["Ring PIP flexion", "Pinch distance"]
    assert widget.logic.source() == Camera(3, "HD Webcam")
    assert widget.ui.sourceComboBox.currentText.startswith("HD Webcam")
    assert (widget.ui.palmWidthSpinBox.value, widget.ui.numberOfHandsSpinBox.value) == (71.5, 2)
    nodes = {
        "cameraToRAS": "Webcam on the Shelf", "recording": "LiveHand Recording", "anglesChart": "LiveHand Joint Angles",
        "leftLandmarks": "LiveHand Left Landmarks", "leftPointer": "LiveHand Left Pointer",
        "leftAngles": "LiveHand Left Joint Angles", "rightLandmarks": "My Fingertips",
        "rightSkeleton": "LiveHand Right Skeleton", "rightPointer": "LiveHand Right Pointer",
        "rightAngles": "LiveHand Right Joint Angles",
    }  # fmt: skip
    assert {name: getattr(parameterNode, name).GetName() for name in nodes} == nodes
    assert parameterNode.leftSkeleton is None, "which the user had deleted"
    checkWhatIsTheUsers()
    assert parameterNode.rightAngles.GetNumberOfRows() == parameterNode.leftAngles.GetNumberOfRows() == 12

    browser, proxies = parameterNode.recording, vtk.vtkCollection()
    browser.GetAllProxyNodes(proxies)
    recorded = next(node for node in proxies if node.GetName() == "LiveHand Recording Right Landmarks")
    fingertips = []
    for item in range(browser.GetNumberOfItems()):
        browser.SetSelectedItemNumber(item)
        fingertips.append(positions(recorded)[8])
    assert len(fingertips) == 12 and (np.ptp(fingertips, axis=0) > 1.0).any()
    # The last frame of the recording is the last one before Live went off.
    assert np.allclose(fingertips[-1], toRAS[:3] @ [19.1938, -134.1723, 482.5444, 1.0], atol=1e-3)
    assert np.allclose(fingertips[-1], positions(parameterNode.rightLandmarks)[8], atol=1e-3)

    before, saved = names(), {name: getattr(parameterNode, name) for name in nodes}
    parameterNode.mirrored = False
    goLive(app, widget)
    assert app.spin(lambda: len(tracked) > 5, timeout=20)
    widget.logic.stop()
    settled(app, widget.logic)
    cameraMm = tracked[-1].hands["Right"].cameraMm
    assert np.linalg.norm(cameraMm[5] - cameraMm[17]) == pytest.approx(71.5, rel=0.05), "the saved palm width, mm"
    assert np.allclose(positions(parameterNode.rightLandmarks), cameraMm @ toRAS[:3, :3].T + toRAS[:3, 3], atol=1e-3)
    assert names() == before and {name: getattr(parameterNode, name) for name in nodes} == saved
    checkWhatIsTheUsers()
    assert parameterNode.rightAngles.GetNumberOfRows() == len(tracked)


@pytest.mark.parametrize("live", [True, False])
def test_scene_saved_while_live_and_added_twice(app, widget, tmp_path, live):
    """The newest copy of the nodes is moved, and no earlier one stays visible beside it."""
    import slicer

    goLive(app, widget)
    path = str(tmp_path / "scene.mrml")
    assert slicer.util.saveScene(path)
    if not live:
        widget.logic.stop()
        settled(app, widget.logic)
    for _time in range(2):
        slicer.util.loadScene(path)
        assert (widget.logic.worker.state == "live") == live

    def visible() -> set:
        nodes = [node for node in nodesOfLiveHand() if hasattr(node, "GetDisplayNode") and node.GetDisplayNode()]
        assert len(nodes) >= 3 * 2
        return {node.GetID() for node in nodes if node.GetDisplayNode().GetVisibility()}

    goLive(app, widget)
    parameterNode = widget.logic.getParameterNode()
    newest = parameterNode.rightLandmarks, parameterNode.rightSurface
    assert app.spin(newest[1].GetPolyData, timeout=10)
    assert visible() == {node.GetID() for node in newest}
    before = slicer.util.arrayFromModelPoints(newest[1]).copy()
    assert app.spin(lambda: (slicer.util.arrayFromModelPoints(newest[1]) != before).any(), timeout=10)
    widget.logic.stop()
    settled(app, widget.logic)
    assert visible() == set()


def test_hand_of_a_saved_scene_that_is_not_seen_is_hidden_when_live_goes_on(app, widget, tracked):
    from LiveHandLib.scene.handnodes import HandNodes

    parameterNode = widget.logic.getParameterNode()
    saved = HandNodes("Left", parameterNode, MESH)
    saved.update(np.random.default_rng(0).uniform(-80, 80, (21, 3)))
    displays = parameterNode.leftSurface.GetDisplayNode(), parameterNode.leftLandmarks.GetDisplayNode()
    assert all(display.GetVisibility() for display in displays)
    goLive(app, widget)  # with a right hand
    assert app.spin(lambda: len(tracked) > 2, timeout=20)
    assert not any(display.GetVisibility() for display in displays)


def test_palm_width_is_followed_while_live_without_a_pause(app, widget, tracked):
    goLive(app, widget)
    states = []
    widget.logic.worker.stateChanged.connect(states.append)
    distances = []

    def seen():
        return [frame.hands["Right"] for frame in tracked[5:] if "Right" in frame.hands]

    for width in (50.0, 100.0):
        widget.ui.palmWidthSpinBox.value = width
        tracked.clear()  # of the first five, the smoothing is not over
        assert app.spin(lambda: len(seen()) > 5, timeout=20)
        distances.append(np.median([hand.cameraMm[:, 2].mean() for hand in seen()]))
    widget.logic.worker.stateChanged.disconnect(states.append)
    assert states == []
    assert distances[1] / distances[0] == pytest.approx(2, rel=0.15)


def test_what_belongs_to_the_user_is_there_in_the_next_scene(app, widget, tmp_path):
    import slicer

    widget.ui.palmWidthSpinBox.value = 71.5
    widget.ui.smoothingSliderWidget.value = 120
    slicer.mrmlScene.Clear(0)
    parameterNode = widget.logic.getParameterNode()
    assert parameterNode.palmWidthMm == 71.5 and parameterNode.smoothingMs == 120
    # Somebody else's scene brings its own values, but they are not the user's from then on.
    widget.ui.palmWidthSpinBox.value = 95.0
    path = str(tmp_path / "scene.mrml")
    assert slicer.util.saveScene(path)
    widget.ui.palmWidthSpinBox.value = 71.5
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(path)
    assert widget.logic.getParameterNode().palmWidthMm == 95.0
    widget.ui.tipOffsetSpinBox.value = 9.0
    slicer.mrmlScene.Clear(0)
    parameterNode = widget.logic.getParameterNode()
    assert parameterNode.palmWidthMm == 71.5 and parameterNode.tipOffsetMm == 9.0
    slicer.app.userSettings().setValue("LiveHand/palmWidthMm", "from another version")
    slicer.mrmlScene.Clear(0)
    assert widget.logic.getParameterNode().palmWidthMm == 62.0
    for name in ("palmWidthMm", "smoothingMs", "tipOffsetMm"):
        slicer.app.userSettings().remove(f"LiveHand/{name}")


def test_view_can_be_chosen_and_a_moved_transform_is_told(app, logic, widget):
    import slicer

    from LiveHandLib.pose.coordinates import CAMERA_TO_RAS

    play(app, logic, SAMPLE_CLIP)
    box = widget.ui.viewComboBox
    widget.handPanel.onViewActivated(box.findData("camera"))
    node = logic.getParameterNode().cameraToRAS
    assert np.allclose(slicer.util.arrayFromTransformMatrix(node), CAMERA_TO_RAS["camera"])
    assert box.currentData == "camera"
    slicer.util.updateTransformMatrixFromArray(node, np.eye(4))
    widget.handPanel.updateView()
    assert box.currentText == "As the transform has it"
    widget.handPanel.onViewActivated(box.findData("owner"))
    assert logic.view() == "owner" and box.count == 2


def test_pointer_begins_at_the_fingertip_and_goes_with_the_hand(app, logic, widget):
    import slicer
    import vtk

    widget.ui.pointerCheckBox.setChecked(True)
    play(app, logic, SAMPLE_CLIP)
    parameterNode = logic.getParameterNode()
    assert parameterNode.leftPointer is None
    matrix = vtk.vtkMatrix4x4()
    parameterNode.rightPointer.GetMatrixTransformToWorld(matrix)
    toRAS = slicer.util.arrayFromVTKMatrix(matrix)
    ras = slicer.util.arrayFromMarkupsControlPoints(parameterNode.rightLandmarks, world=True)
    assert np.linalg.norm(toRAS[:3, 3] - ras[8]) == pytest.approx(7.0, abs=0.01)
    assert toRAS[:3, 2] @ (ras[8] - ras[7]) > 0
    cone = slicer.util.getNode("LiveHand Right Pointer Tip")
    assert cone.GetDisplayNode().GetVisibility() and cone.GetParentTransformNode() is parameterNode.rightPointer
    logic.showFrame(replace(logic.frame, hands={}))
    assert not cone.GetDisplayNode().GetVisibility()


def test_uncertainty_grows_while_the_hand_is_hidden(app, logic):
    play(app, logic, SAMPLE_CLIP)
    first = logic.landmarkStdMm("Right")
    app.spin(timeout=0.2)
    assert (logic.landmarkStdMm("Right") > first).all()
    assert logic.landmarkStdMm("Left") is None


# The views


def focalPoint(app) -> np.ndarray:
    """The focal point of the 3D view's camera, (3,) mm in RAS."""
    renderer = app.view.renderWindow().GetRenderers().GetFirstRenderer()
    return np.array(renderer.GetActiveCamera().GetFocalPoint())


def live(app, widget, frames: int) -> np.ndarray:
    """Go live until so many frames had a hand; returns where it is then, (21, 3) mm in RAS."""
    import slicer

    seen = []
    slot = lambda frame: frame.hands and seen.append(frame)  # noqa: E731
    widget.logic.worker.tracked.connect(slot)
    widget.logic.setSource(SAMPLE_CLIP)
    widget.ui.liveCheckBox.setChecked(True)
    assert app.spin(lambda: len(seen) >= frames, timeout=30)
    widget.logic.worker.tracked.disconnect(slot)
    landmarks = widget.logic.getParameterNode().rightLandmarks
    return slicer.util.arrayFromMarkupsControlPoints(landmarks, world=True)


def test_first_hand_in_an_empty_view_is_centered_once(app, widget):
    app.view.resetCamera()
    before = focalPoint(app)
    hand = live(app, widget, 15)
    centered = focalPoint(app)
    assert np.linalg.norm(centered - before) > 50 and np.linalg.norm(centered - hand.mean(axis=0)) < 150
    widget.logic.stop()
    settled(app, widget.logic)
    renderer = app.view.renderWindow().GetRenderers().GetFirstRenderer()
    renderer.GetActiveCamera().SetFocalPoint(1.0, 2.0, 3.0)  # the user turns the view
    live(app, widget, 15)
    assert focalPoint(app).tolist() == [1.0, 2.0, 3.0]


def test_hand_without_a_layout_manager(app, widget, monkeypatch):
    """As in a Slicer that was started with ``--no-main-window``, in which CTest runs a module's own test."""
    import slicer

    monkeypatch.setattr(type(slicer.app), "layoutManager", lambda _self: None)
    assert np.isfinite(live(app, widget, 15)).all()
    assert widget.logic.worker.state == "live"


@pytest.mark.parametrize("isVisible", [True, False])
def test_first_hand_beside_something_else_moves_no_view(app, widget, isVisible):
    import slicer
    import vtk

    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(300.0, 0.0, 0.0)
    sphere.Update()
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    model.SetAndObservePolyData(sphere.GetOutput())
    model.CreateDefaultDisplayNodes()
    model.GetDisplayNode().SetVisibility(isVisible)
    renderer = app.view.renderWindow().GetRenderers().GetFirstRenderer()
    renderer.GetActiveCamera().SetFocalPoint(1.0, 2.0, 3.0)
    live(app, widget, 15)
    assert (focalPoint(app).tolist() == [1.0, 2.0, 3.0]) == isVisible
