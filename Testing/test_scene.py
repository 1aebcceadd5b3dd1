"""The nodes: standard, made once, moved in place, right side up, and the user's to delete."""

import numpy as np
import pytest

from conftest import SAMPLE_CLIP, settled
from test_live import goLive, play, tracked  # noqa: F401

pytestmark = pytest.mark.usefixtures("model")


def nodesOfLiveHand() -> list:
    import slicer

    return [node for node in slicer.util.getNodesByClass("vtkMRMLNode") if node.GetName().startswith("LiveHand")]


def test_standard_nodes_under_one_transform(app, logic):
    from LiveHandLib import tracking

    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    parameterNode = logic.getParameterNode()
    landmarks, skeleton = parameterNode.rightLandmarks, parameterNode.rightSkeleton
    assert landmarks.GetClassName() == "vtkMRMLMarkupsFiducialNode"
    assert skeleton.GetClassName() == "vtkMRMLModelNode"
    assert parameterNode.cameraToRAS.GetClassName() == "vtkMRMLLinearTransformNode"
    assert landmarks.GetParentTransformNode() is skeleton.GetParentTransformNode() is parameterNode.cameraToRAS
    labels = [landmarks.GetNthControlPointLabel(index) for index in range(landmarks.GetNumberOfControlPoints())]
    assert labels == list(tracking.LANDMARK_NAMES)
    assert parameterNode.leftLandmarks is None, "no node for a hand that was never seen"


def test_landmarks_are_where_the_worker_says_and_the_skeleton_around_them(app, logic):
    import slicer

    from LiveHandLib.geometry import CAMERA_TO_RAS

    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    parameterNode = logic.getParameterNode()
    cameraMm = logic.frame.hands["Right"].cameraMm
    ras = slicer.util.arrayFromMarkupsControlPoints(parameterNode.rightLandmarks, world=True)
    assert np.allclose(ras, cameraMm @ CAMERA_TO_RAS[:3, :3].T, atol=1e-3)
    surface = slicer.util.arrayFromModelPoints(parameterNode.rightSkeleton)
    distances = np.linalg.norm(surface[:, None] - cameraMm[None], axis=2)
    assert distances.min(axis=0).max() < 5, "a sphere about every joint"
    assert np.isfinite(surface).all()


def test_right_is_right_and_up_is_up(app, logic, tracked):  # noqa: F811
    import slicer

    ras = []
    logic.worker.tracked.connect(
        lambda frame: ras.append(
            slicer.util.arrayFromMarkupsControlPoints(logic.getParameterNode().rightLandmarks, world=True)
        )
    )
    play(app, logic, SAMPLE_CLIP, everyFrame=True)
    imageX = np.array([frame.hands["Right"].imagePx[:, 0].mean() for frame in tracked])
    r = np.array(ras)[:, :, 0].mean(axis=1)
    # The user's right is the picture's left, and the 3D view from anterior has the patient's left at its right.
    assert np.ptp(imageX) > 50
    assert np.corrcoef(imageX, r)[0, 1] > 0.95
    upright = np.array(ras)[0]
    assert upright[12, 2] - upright[0, 2] > 100, "the middle finger's tip is above the wrist, in mm"


def test_skeletons_normals_point_outwards(app):
    from vtk.util.numpy_support import vtk_to_numpy

    from LiveHandLib.scene import Skeleton

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

    from LiveHandLib.scene import Skeleton

    skeleton = Skeleton()
    skeleton.update(np.zeros((21, 3)))
    assert np.isfinite(vtk_to_numpy(skeleton.polyData.GetPoints().GetData())).all()


def test_nodes_are_made_once_and_told_of_once_a_frame(app, widget, tracked):  # noqa: F811
    import slicer

    goLive(app, widget)
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode")}
    parameterNode = widget.logic.getParameterNode()
    polyData = parameterNode.rightSkeleton.GetPolyData()
    modified = []
    events = {"model": 0, "points": 0}

    def count(name):
        return lambda caller, event: events.update({name: events[name] + 1})

    tags = [
        (parameterNode.rightSkeleton.GetPolyData(), "ModifiedEvent", count("model")),
        (parameterNode.rightLandmarks, slicer.vtkMRMLMarkupsNode.PointModifiedEvent, count("points")),
    ]
    tags = [(node, node.AddObserver(event, callback)) for node, event, callback in tags]
    start = len(tracked)
    assert app.spin(lambda: len(tracked) > start + 10, timeout=20)
    frames = len(tracked) - start
    for node, tag in tags:
        node.RemoveObserver(tag)
    assert {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode")} == before
    assert parameterNode.rightSkeleton.GetPolyData() is polyData
    assert events == {"model": frames, "points": frames}
    assert modified == []


def test_hidden_when_lost_or_off_and_shown_again(app, widget):
    from dataclasses import replace

    goLive(app, widget)
    logic = widget.logic
    parameterNode = logic.getParameterNode()
    displays = [node.GetDisplayNode() for node in (parameterNode.rightSkeleton, parameterNode.rightLandmarks)]
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


@pytest.mark.parametrize("name", ["rightSkeleton", "rightLandmarks", "cameraToRAS"])
def test_node_deleted_while_live_comes_back(app, widget, tracked, name):  # noqa: F811
    import slicer

    goLive(app, widget)
    parameterNode = widget.logic.getParameterNode()
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "somebody else's")
    slicer.mrmlScene.RemoveNode(getattr(parameterNode, name))
    start = len(tracked)
    assert app.spin(lambda: len(tracked) > start + 3, timeout=20)
    assert getattr(parameterNode, name) is not None
    assert parameterNode.rightSkeleton.GetParentTransformNode() is parameterNode.cameraToRAS
    assert len(nodesOfLiveHand()) == len({node.GetName() for node in nodesOfLiveHand()})
    assert other.GetScene()


def test_transform_that_the_user_moved_is_left_alone(app, widget, tracked):  # noqa: F811
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
    goLive(app, widget)
    assert sorted(node.GetName() for node in nodesOfLiveHand()) == settledNodes, "the saved nodes are used again"


def test_module_reloaded_while_live(app, widget):
    import slicer

    for _time in range(3):
        goLive(app, widget)
        slicer.util.reloadScriptedModule("LiveHand")
        widget = slicer.modules.LiveHandWidget
        settled(app, widget.logic)
        assert not widget.ui.liveCheckBox.checked
    goLive(app, widget)


def test_module_left_and_entered_while_live(app, widget, tracked):  # noqa: F811
    goLive(app, widget)
    app.showModule(None)
    start = len(tracked)
    assert app.spin(lambda: len(tracked) > start + 3, timeout=20), "Live goes on"
    app.showModule("LiveHand")
    assert widget.ui.liveCheckBox.checked
