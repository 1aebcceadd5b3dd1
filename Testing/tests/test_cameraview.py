"""The view from the camera: the scene lies over the image where the camera sees it, and the view comes back."""

import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import vtk

from LiveHandLib.calibration.imagemesh import ImageMesh, frustum
from LiveHandLib.errors import LiveHandError
from LiveHandLib.pose import coordinates
from support.handrender import HandCamera, HandRenderer, RiggedHand, placement
from support.helpers import goLive, play, settled
from support.overlayscene import BOARD, CAMERAS, OverlayScene, isGreen, isRed, outlineDistances, writeClip

ASPECTS = 4 / 3, 2.0, 2 / 3


# Geometry


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.name)
@pytest.mark.parametrize("aspect", ASPECTS)
def test_models_are_projected_onto_what_they_are_in_the_image(camera, aspect):
    """By VTK's camera onto the mesh: within a fifth of a px of the image, at its corners as well."""
    mesh = ImageMesh.of(camera.intrinsics)
    angle, center = frustum(mesh.box, aspect)
    viewpoint = vtk.vtkCamera()
    viewpoint.SetPosition(0, 0, 0)
    viewpoint.SetFocalPoint(0, 0, 1)
    viewpoint.SetViewUp(0, -1, 0)
    viewpoint.SetViewAngle(angle)
    viewpoint.SetWindowCenter(*center)
    matrix = viewpoint.GetCompositeProjectionTransformMatrix(aspect, 0, 1)
    toWindow = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])

    def inWindow(points):
        clip = np.column_stack([points, np.ones(len(points))]) @ toWindow.T
        return clip[:, :2] / clip[:, 3:]

    size = np.array(camera.size)
    random = np.random.default_rng(3)
    edge = np.array([[0.5, 0.5], [1, 0], [0, 1], [0.001, 0.001], [0.999, 0.999], [0.999, 0.001], [0.001, 0.999]])
    inImage = size * np.concatenate([edge, random.uniform(0, 1, (200, 2))])
    directions = np.column_stack([camera.intrinsics.normalized(inImage), np.ones(len(inImage))])
    assert np.abs(camera.project(directions) + 0.5 - inImage).max() < 0.05, "the truth is written out once more"
    models = inWindow(directions * random.uniform(100, 3000, (len(directions), 1)))
    # Where the mesh has them: between its points, as a renderer interpolates along the cells' edges and diagonals.
    vertices = inWindow(np.insert(mesh.points, 2, 1.0, axis=1))
    columns = len(np.unique(mesh.textureCoordinates[:, 0]))
    cells = np.array([columns - 1, len(mesh.points) // columns - 1])
    at = np.clip(inImage / size * cells, 0, cells - 1e-9)
    low, part = at.astype(int), at % 1
    corner = low[:, 1] * columns + low[:, 0]
    x, y = part.T[..., None]
    shown = (1 - y) * ((1 - x) * vertices[corner] + x * vertices[corner + 1])
    shown += y * ((1 - x) * vertices[corner + columns] + x * vertices[corner + columns + 1])
    focal = camera.matrix[0, 0] * np.tan(np.radians(angle / 2)) * np.array([aspect, 1.0])
    assert np.abs((models - shown) * focal).max() < 0.2
    assert np.abs(vertices[np.unique(mesh.quads)]).max() == pytest.approx(1.0), "all of the image, as large as it fits"


def test_no_mesh_where_the_distortion_is_not_one_to_one():
    from LiveHandLib.calibration.intrinsics import Intrinsics

    matrix = [[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]]
    folded = Intrinsics(np.array(matrix), np.array([-0.45, 0, 0, 0, 0]), (640, 480))
    mesh = ImageMesh.of(folded)
    assert 0 < len(mesh.quads) < 63 * 48
    ideal = mesh.points[np.unique(mesh.quads)]
    seen = folded.project(np.insert(ideal, 2, 1.0, axis=1)) / folded.imageSize
    assert seen == pytest.approx(mesh.textureCoordinates[np.unique(mesh.quads)], abs=1e-3)


def test_viewpoint_of_a_transform():
    matrix = np.eye(4)
    matrix[:3, :3] = 2.0 * cv2.Rodrigues(np.array([0.3, -1.0, 0.4]))[0]
    matrix[:3, 3] = 10, 20, 30
    place, along, up, scale = coordinates.viewpoint(matrix)
    assert place == pytest.approx([10, 20, 30]) and scale == pytest.approx(2.0)
    assert 2.0 * along == pytest.approx(matrix[:3, 2]) and 2.0 * up == pytest.approx(-matrix[:3, 1])
    for wrong in (np.diag([-1.0, 1, 1, 1]), np.diag([1.0, 1.1, 1, 1]), np.zeros((4, 4)), np.full((4, 4), np.nan)):
        with pytest.raises(LiveHandError, match="cameraViewTransform"):
            coordinates.viewpoint(wrong)


# In the host


@pytest.fixture
def view(app):
    """The 3D view without its box; its own camera and props are there again afterwards."""
    import slicer

    view = app.view
    view.mrmlViewNode().SetBoxVisible(False)
    view.mrmlViewNode().SetAxisLabelsVisible(False)
    before = stateOf(view)
    yield view
    slicer.modules.LiveHandWidget.logic.cameraView.remove()
    assert stateOf(view) == before
    view.mrmlViewNode().SetBoxVisible(True)
    view.mrmlViewNode().SetAxisLabelsVisible(True)


def rendererOf(view):
    return view.renderWindow().GetRenderers().GetFirstRenderer()


def stateOf(view) -> tuple:
    """What a view shows its scene with."""
    camera = view.cameraNode().GetCamera()
    props = [type(prop).__name__ for prop in rendererOf(view).GetViewProps() if prop.IsA("vtkTexturedActor2D")]
    textured = [a for a in rendererOf(view).GetActors() if a.GetTexture() and a.GetVisibility()]  # hidden: slices
    isOwn, center = rendererOf(view).GetActiveCamera() is camera, camera.GetWindowCenter()
    return isOwn, props, textured, center, rendererOf(view).HasObserver("StartEvent")


def isOn(view) -> bool:
    return rendererOf(view).GetActiveCamera() is not view.cameraNode().GetCamera()


def useBoard(node) -> None:
    from LiveHandLib.scene.reference import ReferenceKind

    node.referenceKind = ReferenceKind.BOARD
    node.referenceColumns, node.referenceRows, node.referenceSquareMm = BOARD.columns, BOARD.rows, BOARD.squareMm


def addModel(polyData, transform=None, color=(1, 0, 0)):
    """Without shading."""
    import slicer

    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Model")
    model.SetAndObservePolyData(polyData)
    model.CreateDefaultDisplayNodes()
    model.GetDisplayNode().SetColor(*color)
    model.GetDisplayNode().SetAmbient(1.0)
    model.GetDisplayNode().SetDiffuse(0.0)
    if transform:
        model.SetAndObserveTransformNodeID(transform.GetID())
    return model


def wall(z: float):
    """A plane across the camera's view, at this distance, mm."""
    source = vtk.vtkPlaneSource()
    source.SetOrigin(-z, -z, z)
    source.SetPoint1(z, -z, z)
    source.SetPoint2(-z, z, z)
    source.Update()
    return source.GetOutput()


def ball(centre, radius: float):
    source = vtk.vtkSphereSource()
    source.SetCenter(*centre)
    source.SetRadius(radius)
    source.SetThetaResolution(60)
    source.SetPhiResolution(60)
    source.Update()
    return source.GetOutput()


@pytest.fixture
def boardClip(tmp_path):
    """Writes a clip of a board and balls before a distorting camera: the scene, and the path."""

    def write(ways, camera=CAMERAS[2], lost=()):
        scene, path = OverlayScene(camera), tmp_path / "board.avi"
        blank = np.full((*camera.size[::-1], 3), 90, np.uint8)
        writeClip(path, [blank if n in lost else scene.image(way, n) for n, way in enumerate(ways)])
        return scene, str(path)

    return write


def test_outline_over_the_image(app, logic, view, boardClip):
    scene, path = boardClip([0.0] * 3)
    node = logic.getParameterNode()
    node.cameraView = node.everyFrame = True
    useBoard(node)
    logic.setSource(path)
    logic.addCalibration(scene.camera.intrinsics)
    play(app, logic, path)
    assert isOn(view)
    before = node.referenceToRAS
    models = [addModel(ball(at, radius), before) for at, radius in zip(scene.balls, scene.radii, strict=True)]
    for size in ((960, 720), (640, 900)):
        view.view.update_size(*size)
        with_ = isRed(view.image())
        for model in models:
            model.GetDisplayNode().SetVisibility(False)
        without = isGreen(view.image())
        for model in models:
            model.GetDisplayNode().SetVisibility(True)
        assert cv2.connectedComponents(without.astype(np.uint8))[0] == 6
        assert np.percentile(outlineDistances(with_, without), 95) < 3.0
    node.cameraView = False
    assert not isOn(view)


def test_image_and_pose_are_of_the_same_frame(app, logic, view, boardClip):
    """At 100 mm/s the board is 3.3 mm further in each."""
    import slicer

    scene, path = boardClip(100.0 / 30.0 * np.arange(6))
    node = logic.getParameterNode()
    node.cameraView = node.everyFrame = True
    useBoard(node)
    logic.setSource(path)
    logic.addCalibration(scene.camera.intrinsics)
    ways, shown = [], logic.cameraView

    def onTracked(frame):
        if shown.view:
            array = shown._image.GetPointData().GetScalars()
            assert np.shares_memory(vtk.util.numpy_support.vtk_to_numpy(array), frame.image), "no copy, no other frame"
            place = np.array([*rendererOf(view).GetActiveCamera().GetPosition(), 1.0])
            toReference = np.linalg.inv(slicer.util.arrayFromTransformMatrix(node.referenceToRAS))
            expected = np.linalg.inv(frame.reference.matrix)[:3, 3]
            assert (toReference @ place)[:3] == pytest.approx(expected, abs=1e-3)
            truth = np.linalg.inv(scene.boardToCamera(100.0 / 30.0 * frame.number))[:3, 3]
            ways.append(np.linalg.norm(expected - truth))

    logic.worker.tracked.connect(onTracked)
    play(app, logic, path)
    logic.worker.tracked.disconnect(onTracked)
    assert len(ways) >= 5 and np.median(ways) < 1.7, "half of what it moves"


def test_no_render_has_models_of_one_frame_over_the_image_of_another(app, logic, view, boardClip):
    """A view renders in the midst of it if it is asked while something has been due for long."""
    import slicer

    scene, path = boardClip([0.0, 30.0])
    node = logic.getParameterNode()
    node.cameraView = node.everyFrame = True
    useBoard(node)
    logic.setSource(path)
    logic.addCalibration(scene.camera.intrinsics)
    frames, rendered = [], []
    logic.worker.tracked.connect(frames.append)
    play(app, logic, path)
    logic.worker.tracked.disconnect(frames.append)
    addModel(ball((0.0, 0.0, 400.0), 20.0), node.cameraToReference)  # has the view render when it is moved

    def onRendered(caller, event):
        place = np.array([*rendererOf(view).GetActiveCamera().GetPosition()])
        rendered.append(np.abs(place - slicer.util.arrayFromTransformMatrix(node.cameraToReference, True)[:3, 3]).max())

    tag = view.renderWindow().AddObserver("EndEvent", onRendered)
    for frame in reversed(frames):
        view.scheduleRender()
        time.sleep(0.05)
        logic.showFrame(frame)
    view.renderWindow().RemoveObserver(tag)
    assert rendered and max(rendered) < 1e-3


def test_view_renders_only_when_something_changes(app, logic, view, stripes):
    node = logic.getParameterNode()
    node.cameraView = True
    play(app, logic, stripes, everyFrame=True)
    for opacity in (1.0, 0.5):
        node.cameraViewOpacity = opacity
        app.spin(timeout=0.5)
        before = view.renderCount
        view.scheduleRender()
        app.spin(timeout=0.5)
        assert 1 <= view.renderCount - before <= 2


def test_off_costs_nothing_and_frames_have_no_image(app, widget, tracked, view):
    goLive(app, widget)
    assert app.spin(lambda: len(tracked) > 3, timeout=20)
    assert not isOn(view) and {frame.image is None for frame in tracked} == {True}
    assert widget.ui.cameraViewLabel.text == ""
    widget.ui.cameraViewCheckBox.click()
    assert app.spin(lambda: isOn(view), timeout=20)
    assert tracked[-1].image is not None and "image=" not in repr(tracked[-1])
    assert "not calibrated" in widget.ui.cameraViewLabel.text or app.spin(
        lambda: "not calibrated" in widget.ui.cameraViewLabel.text, timeout=5
    )
    widget.ui.cameraViewCheckBox.click()
    assert not isOn(view) and widget.logic.frame.image is None
    del tracked[:]
    assert app.spin(lambda: tracked, timeout=20)
    assert tracked[-1].image is None


def test_nothing_is_left_of_an_image_when_live_goes_off(app, widget, view):
    widget.logic.getParameterNode().cameraView = True
    goLive(app, widget)
    assert app.spin(lambda: isOn(view), timeout=20)
    cameraBefore = view.cameraNode().GetPosition()
    widget.ui.liveCheckBox.setChecked(False)
    settled(app, widget.logic)
    assert not isOn(view) and widget.logic.frame.image is None
    assert widget.logic.cameraView._image.GetPointData().GetScalars() is None
    assert view.cameraNode().GetPosition() == cameraBefore
    assert "until Live is on" in widget.ui.cameraViewLabel.text


@pytest.fixture
def stripes(tmp_path):
    """The path of a short clip without hands."""
    image = np.full((240, 320, 3), 200, np.uint8)
    image[:, ::40] = image[100:140] = 20, 60, 30
    writeClip(tmp_path / "stripes.avi", [image] * 2)
    return str(tmp_path / "stripes.avi")


def test_opacity_mixes_all_with_the_image(app, logic, view, stripes):
    node = logic.getParameterNode()
    node.cameraView = True
    play(app, logic, stripes, everyFrame=True)
    view.view.update_size(400, 300)
    image = view.image().astype(float)
    addModel(wall(400.0), node.cameraToRAS, color=(0, 0, 1))
    over = view.image().astype(float)
    assert over[150, 200] != pytest.approx(image[150, 200], abs=30)
    for opacity in (0.5, 0.2, 0.0):
        node.cameraViewOpacity = opacity
        mixed = view.image().astype(float)
        assert np.abs(mixed - (opacity * over + (1 - opacity) * image)).max(axis=2).mean() < 2.0


def test_translucent_models_are_over_the_image(app, logic, view, stripes):
    node = logic.getParameterNode()
    node.cameraView = True
    play(app, logic, stripes, everyFrame=True)
    view.view.update_size(400, 300)
    image = view.image().astype(float)
    model = addModel(wall(600.0), node.cameraToRAS, color=(1, 0, 0))
    over = view.image().astype(float)
    model.GetDisplayNode().SetOpacity(0.5)
    assert np.median(np.abs(view.image() - (over + image) / 2)) < 6.0


@pytest.mark.parametrize("kind", ["volume rendering", "markup", "slice"])
def test_what_else_a_view_shows_is_over_the_image(app, logic, view, stripes, kind, request):
    import slicer

    node = logic.getParameterNode()
    node.cameraView = True
    play(app, logic, stripes, everyFrame=True)
    view.view.update_size(400, 300)
    image = view.image().astype(float)
    toRas = slicer.util.arrayFromTransformMatrix(node.cameraToRAS)
    at = toRas @ [0.0, 0.0, 500.0, 1.0]  # before the camera, so in the image's middle
    if kind == "markup":
        points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
        points.AddControlPoint(vtk.vtkVector3d(*at[:3]), "")
        points.GetDisplayNode().SetGlyphScale(8.0)
    else:
        ijkToRas = np.diag([4.0, 4.0, 4.0, 1.0])
        ijkToRas[:3, 3] = at[:3] - 4.0 * 9.5
        volume = slicer.util.addVolumeFromArray(np.full((20, 20, 20), 1000, np.int16), ijkToRas)
    if kind == "volume rendering":
        display = app.core.volume_rendering.create_display_node(volume, "CT-AAA")
        request.addfinalizer(lambda: slicer.mrmlScene.RemoveNode(display))
    if kind == "slice":
        redView = request.getfixturevalue("redView")
        redView.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        sliceNode = redView.GetSliceNode()
        sliceNode.SetOrientation("Coronal")
        sliceNode.JumpSliceByCentering(*at[:3])
        sliceNode.SetSliceVisible(True)
        request.addfinalizer(lambda: sliceNode.SetSliceVisible(False))
        app.spin(timeout=0.2)
        view.view.update_size(400, 300)  # the layout has resized it
    over = view.image().astype(float)
    changed = np.abs(over - image).max(axis=2) > 25
    assert changed[146:155, 196:205].all(), "in the middle"
    assert not changed[:60].any() and not changed[:, :60].any() and not changed[-60:].any(), "and nowhere else"


@pytest.mark.parametrize("behindMm, isSeen", [(200.0, False), (-200.0, True)])
def test_hand_occludes_what_is_behind_it(app, logic, view, shared, tmp_path, behindMm, isSeen):
    from LiveHandLib.scene.cameraview import HandOverImage

    camera = HandCamera.typical()
    posed = RiggedHand.load(shared / "hand-mesh" / "right.glb").pose(None, placement((0, 0, 450)))
    path = tmp_path / "hand.avi"
    writeClip(path, [cv2.cvtColor(HandRenderer(camera).render(posed), cv2.COLOR_BGR2RGB)] * 3)
    node = logic.getParameterNode()
    node.cameraView, node.cameraViewHand = True, HandOverImage.OCCLUDES
    play(app, logic, path, everyFrame=True)
    assert logic.frame.hands
    addModel(wall(450.0 + behindMm), node.cameraToRAS)
    view.view.update_size(*camera.size)
    red = isRed(view.image())
    red = cv2.resize(red[:, (red.shape[1] - 640) // 2 :][:, :640].astype(np.uint8), (640, 480)) > 0
    palm = camera.project(posed.landmarks[[0, 5, 17]].mean(axis=0)[None])[0].astype(int)
    assert red[palm[1], palm[0]] == isSeen
    assert red[40, 40]


def test_hand_is_hidden_in_this_view_only(app, widget, view):
    import slicer

    from LiveHandLib.scene.cameraview import HandOverImage

    logic = widget.logic
    node = logic.getParameterNode()
    node.cameraView = True
    goLive(app, widget)
    assert app.spin(lambda: isOn(view) and logic.frame.hands, timeout=30)
    display, own = node.rightSurface.GetDisplayNode(), view.mrmlViewNode().GetID()
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", "Other")
    other.SetLayoutName("Other")
    for hand in (HandOverImage.HIDDEN, HandOverImage.OCCLUDES):
        node.cameraViewHand = hand
        assert not display.IsDisplayableInView(own) and display.IsDisplayableInView(other.GetID())
        node.cameraViewHand = HandOverImage.DRAWN
        assert list(display.GetViewNodeIDs()) == []
    node.cameraViewHand = HandOverImage.HIDDEN
    display.SetViewNodeIDs([own])  # somebody else's choice stays
    node.cameraView = False
    assert list(display.GetViewNodeIDs()) == [own]
    display.SetViewNodeIDs([])
    slicer.mrmlScene.RemoveNode(other)


def test_scene_that_is_saved_has_no_image_and_the_user_s_camera(app, widget, view, tmp_path):
    import slicer

    goLive(app, widget)
    assert slicer.util.saveScene(str(tmp_path / "before.mrb"))
    widget.logic.getParameterNode().cameraView = True
    assert app.spin(lambda: isOn(view), timeout=20)
    assert slicer.util.saveScene(str(tmp_path / "on.mrb"))
    saved = []
    for name in ("before.mrb", "on.mrb"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            files = {Path(file).suffix for file in archive.namelist() if file[-1] != "/"}
            text = next(archive.read(file) for file in archive.namelist() if file.endswith(".mrml")).decode()
        assert files <= {".mrml", ".vtk", ".json", ".h5"}
        saved.append(next(part for part in text.split("<") if f'id="{view.cameraNode().GetID()}"' in part))
    assert saved[0] == saved[1]


def test_no_image_is_in_the_view_while_a_dialog_is_open(app, widget, view):
    """Slicer's dialog for saving puts a screenshot of the views into the scene's file."""
    import qt

    widget.logic.getParameterNode().cameraView = True
    goLive(app, widget)
    assert app.spin(lambda: isOn(view), timeout=20)
    dialog = qt.QDialog()
    dialog.setModal(True)
    dialog.show()
    assert app.spin(lambda: not isOn(view), timeout=20)
    dialog.close()
    assert app.spin(lambda: isOn(view), timeout=20)


# A second view, and faults


@pytest.fixture
def dual(app):
    """The layout with two 3D views; the second one."""
    import slicer

    layout = slicer.app.layoutManager()
    before = layout.layout
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutDual3DView)
    app.spin(timeout=0.2)
    view = layout.threeDWidget(1).threeDView()
    state = stateOf(view)
    yield view
    layout.setLayout(before)
    slicer.modules.LiveHandWidget.logic.cameraView.remove()
    if view.cameraNode() and view.mrmlViewNode().GetScene():
        assert stateOf(view) == state


def test_second_view_by_default_or_the_chosen_one(app, widget, view, dual):
    widget.logic.getParameterNode().cameraView = True
    goLive(app, widget)
    assert app.spin(lambda: isOn(dual), timeout=20) and not isOn(view)
    widget.cameraViewPanel.onCollapsed(False)
    box = widget.ui.cameraViewNameComboBox
    names = [box.itemData(index) for index in range(box.count)]
    assert names == ["", view.mrmlViewNode().GetLayoutName(), dual.mrmlViewNode().GetLayoutName()]
    widget.cameraViewPanel.onViewActivated(1)
    assert app.spin(lambda: isOn(view), timeout=20) and not isOn(dual)


@pytest.mark.fault("view from the camera: its view leaves the layout")
def test_layout_without_the_view(app, widget, view, dual, unharmed):
    import slicer

    node = widget.logic.getParameterNode()
    node.cameraView, node.cameraViewName = True, dual.mrmlViewNode().GetLayoutName()
    goLive(app, widget)
    assert app.spin(lambda: isOn(dual), timeout=20)
    layout = slicer.app.layoutManager()
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView)
    assert app.spin(lambda: not isOn(dual), timeout=20) and not isOn(view)
    assert app.spin(lambda: "shows no such 3D view" in widget.ui.cameraViewLabel.text, timeout=10)
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutDual3DView)
    assert app.spin(lambda: isOn(dual), timeout=20)
    node.cameraView = False


@pytest.mark.fault("view from the camera: the scene is closed")
def test_scene_closed(app, widget, view, unharmed):
    import slicer

    widget.logic.getParameterNode().cameraView = True
    goLive(app, widget)
    assert app.spin(lambda: isOn(view), timeout=20)
    slicer.mrmlScene.Clear(0)
    assert widget.logic.cameraView.view is None
    assert not [actor for actor in rendererOf(view).GetActors() if actor.GetTexture()]
    assert app.spin(lambda: not isOn(view), timeout=10)
    assert not widget.logic.getParameterNode().cameraView
    view.mrmlViewNode().SetBoxVisible(False)
    view.mrmlViewNode().SetAxisLabelsVisible(False)


@pytest.mark.fault("view from the camera: a scene is loaded")
def test_scene_loaded(app, widget, view, unharmed, tmp_path):
    import slicer

    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    widget.logic.getParameterNode().cameraView = True
    goLive(app, widget)
    assert app.spin(lambda: isOn(view), timeout=20)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    app.spin(timeout=0.5)
    assert isOn(view) == (widget.logic.getParameterNode().cameraView and widget.logic.worker.state == "live")
    widget.logic.getParameterNode().cameraView = False


@pytest.mark.fault("view from the camera: the board is lost")
def test_board_lost(app, logic, view, boardClip, unharmed):
    scene, path = boardClip([0.0] * 3 + [0.0] * 27 + [0.0] * 3, lost=range(3, 30))
    node = logic.getParameterNode()
    node.cameraView = node.everyFrame = True
    useBoard(node)
    logic.setSource(path)
    logic.addCalibration(scene.camera.intrinsics)
    states = []

    def onTracked(frame):
        states.append((frame.number, isOn(view), logic.cameraView.failure and logic.cameraView.failure.reason))

    logic.worker.tracked.connect(onTracked)
    play(app, logic, path)
    logic.worker.tracked.disconnect(onTracked)
    reasons = {number: (on, reason) for number, on, reason in states}
    assert reasons[2] == (True, None)
    assert reasons[29] == (False, "cameraViewReference"), "900 ms later"
    assert reasons[32] == (True, None)
    node.cameraView = False
    logic.forgetCalibrations()


@pytest.mark.fault("view from the camera: the board is out of sight while it moves")
def test_last_image_and_pose_stay_together(app, logic, view, boardClip, unharmed):
    ways = 100.0 / 30.0 * np.arange(14)
    scene, path = boardClip(ways, lost=(6, 7))
    node = logic.getParameterNode()
    node.cameraView = node.everyFrame = True
    useBoard(node)
    logic.setSource(path)
    logic.addCalibration(scene.camera.intrinsics)
    shown = {}

    def onTracked(frame):
        array = vtk.util.numpy_support.vtk_to_numpy(logic.cameraView._image.GetPointData().GetScalars())
        shown[frame.number] = np.shares_memory(array, frame.image)

    logic.worker.tracked.connect(onTracked)
    play(app, logic, path)
    logic.worker.tracked.disconnect(onTracked)
    assert shown[5] and not shown[6] and not shown[7] and shown[13]
    node.cameraView = False
    logic.forgetCalibrations()


@pytest.mark.fault("view from the camera: the resolution changes")
def test_other_resolution(app, widget, view, unharmed, tmp_path):
    sizes = (320, 240), (240, 320)
    node = widget.logic.getParameterNode()
    node.cameraView, node.everyFrame = True, True
    for size in sizes:
        path = tmp_path / f"{size[0]}.avi"
        image = np.zeros((size[1], size[0], 3), np.uint8)
        image[:, : size[0] // 2] = 20, 200, 20
        writeClip(path, [image] * 3)
        play(app, widget.logic, path)
        assert isOn(view)
        view.view.update_size(400, 400)
        green = isGreen(view.image())
        rows, columns = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
        seen = 2 * len(columns) / len(rows)
        assert seen == pytest.approx(size[0] / size[1], rel=0.03), "all of the new image"
    node.cameraView = False


@pytest.mark.fault("view from the camera: a transform that no camera sees by")
def test_sheared_transform(app, widget, view, unharmed):
    import slicer

    node = widget.logic.getParameterNode()
    node.cameraView = True
    goLive(app, widget)
    assert app.spin(lambda: isOn(view), timeout=20)
    before = slicer.util.arrayFromTransformMatrix(node.cameraToRAS)
    mirrored = before @ np.diag([-1.0, 1, 1, 1])
    node.cameraToRAS.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(mirrored))
    assert app.spin(lambda: not isOn(view), timeout=20)
    assert app.spin(lambda: "no camera sees like that" in widget.ui.cameraViewLabel.text, timeout=10)
    node.cameraToRAS.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(before))
    assert app.spin(lambda: isOn(view), timeout=20)
    node.cameraView = False
