"""The preview: in the panel, in a slice view, at no cost when nobody sees it, and kept nowhere."""

import numpy as np
import pytest

from support.helpers import cameraVolumes, goLive, labelPixels, play, settled

pytestmark = pytest.mark.usefixtures("model")

CORNERS = {"top left": (255, 0, 0), "top right": (0, 255, 0), "bottom left": (0, 0, 255), "bottom right": (255, 255, 0)}


def imageWithCorners(width: int = 320, height: int = 240) -> np.ndarray:
    """A grey image whose corners have different colours; RGB."""
    image = np.full((height, width, 3), 100, np.uint8)
    for name, color in CORNERS.items():
        rows = slice(0, 40) if "top" in name else slice(-40, None)
        columns = slice(0, 40) if "left" in name else slice(-40, None)
        image[rows, columns] = color
    return image


def shownCorners(pixels: np.ndarray) -> dict[str, tuple]:
    """The colours a little inside the corners of an image whose first row is the top one."""
    return {
        name: tuple(int(value) for value in pixels[12 if "top" in name else -12, 12 if "left" in name else -12, :3])
        for name in CORNERS
    }


@pytest.fixture
def previews(logic):
    """The previews that arrive from now on."""
    arrived = []
    logic.worker.previewImage.connect(arrived.append)
    yield arrived
    logic.worker.previewImage.disconnect(arrived.append)


def viewPixels(sliceLogic) -> np.ndarray:
    """What a slice view shows, its first row at the top."""
    from vtk.util.numpy_support import vtk_to_numpy

    producer = sliceLogic.GetImageDataConnection().GetProducer()
    producer.Update()
    image = producer.GetOutputDataObject(0)
    width, height, _depth = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1]


# The image


def test_preview_is_mirrored_and_fits(model):
    from LiveHandLib.tracking import preview

    image = imageWithCorners(1280, 720)
    drawn = preview.mirrored(image, {}, (320, 240))
    assert drawn.shape == (180, 320, 3)
    assert np.array_equal(drawn[5, -5], CORNERS["top left"]) and np.array_equal(drawn[5, 5], CORNERS["top right"])
    assert preview.mirrored(image[:, :400], {}, (320, 240)).shape == (240, 133, 3)
    assert np.array_equal(preview.mirrored(image[:90, :160], {}, (320, 240)), image[:90, 159::-1]), "never enlarged"


def test_landmarks_are_drawn_where_the_hand_is(shared, model):
    import cv2

    from LiveHandLib.detection import detector
    from LiveHandLib.pose import identity
    from LiveHandLib.tracking import preview

    image = cv2.cvtColor(cv2.imread(str(shared / "photos" / "two_hands_1.jpg")), cv2.COLOR_BGR2RGB)
    before = image.copy()
    with detector.HandDetector(model, numberOfHands=2) as handDetector:
        hands = identity.HandIdentity().assign(handDetector.detect(image, 0), 0)
    plain, drawn = (preview.mirrored(image, shown, (320, 240)) for shown in ({}, hands))
    assert np.array_equal(image, before), "MediaPipe's image is left alone"
    changed = (plain != drawn).any(axis=2)
    assert 0.005 < changed.mean() < 0.1
    scale = 240 / image.shape[0]
    for side, hand in hands.items():
        x, y = np.rint(scale * hand.imagePx - 0.5).astype(int).T
        x = drawn.shape[1] - 1 - x
        assert (drawn[y, x] > 180).all(), "a white dot at every joint"
        box = drawn[y.min() : y.max(), x.min() : x.max()].reshape(-1, 3).astype(int)
        assert (np.abs(box - preview.COLORS[side]).max(axis=1) < 30).sum() > 20, "bones in the side's colour"


# The panel


def test_preview_shows_the_image_as_it_is(app, widget):
    for width, height in ((320, 240), (133, 240), (640, 480)):  # rows that Qt pads, and images for a slice view
        image = imageWithCorners(width, height)
        widget.livePanel.onPreview(image)
        pixels = labelPixels(widget.ui.previewLabel)
        assert pixels.shape == (240, 133 if width == 133 else 320, 3)
        assert shownCorners(pixels) == CORNERS
    widget.ui.previewLabel.clear()


def test_next_preview_is_painted_and_nothing_else_laid_out_or_painted(app, widget):
    import qt

    class Watch(qt.QObject):
        seen = []

        def eventFilter(self, watched, event):
            if event.type() in (qt.QEvent.LayoutRequest, qt.QEvent.Paint):
                self.seen.append(watched)
            return False

    def seenWhilePreviewComes() -> list:
        watch.seen.clear()
        widget.livePanel.onPreview(imageWithCorners())
        app.spin(lambda: False, timeout=0.1)
        return list(watch.seen)

    watch, label, panel = Watch(), widget.ui.previewLabel, widget.ui.previewCollapsibleButton
    widget.livePanel.onPreview(imageWithCorners())
    app.spin(lambda: False, timeout=0.1)
    label.installEventFilter(watch)
    panel.installEventFilter(watch)
    try:
        assert seenWhilePreviewComes() == [label]
        panel.update()
        assert panel in seenWhilePreviewComes(), "it would have been seen"
    finally:
        label.removeEventFilter(watch)
        panel.removeEventFilter(watch)
        label.clear()


def test_preview_is_live_and_gone_with_it(app, widget, previews, tracked):
    assert widget.ui.previewLabel.visible, "open from the start"
    goLive(app, widget)
    assert app.spin(lambda: len(previews) > 5, timeout=20)
    assert previews[-1].shape == (240, 320, 3) and previews[-1].dtype == np.uint8
    assert len(previews) < len(tracked), "not for every frame"
    shown = labelPixels(widget.ui.previewLabel)
    assert shown.std() > 10 and not np.array_equal(previews[0], previews[-1])
    widget.logic.stop()
    settled(app, widget.logic)
    assert labelPixels(widget.ui.previewLabel) is None


def test_preview_has_its_old_name_as_well(app, widget):
    arrived = []
    widget.logic.worker.picture.connect(arrived.append)
    widget.logic.worker.previewImage.emit(imageWithCorners())
    assert len(arrived) == 1
    widget.logic.worker.picture.disconnect(arrived.append)


@pytest.mark.parametrize("way", ["closed", "left"])
def test_nothing_is_drawn_or_sent_while_nobody_sees_it(app, widget, previews, tracked, way, monkeypatch):
    from LiveHandLib.tracking import preview

    goLive(app, widget)
    assert app.spin(lambda: previews, timeout=20)
    if way == "closed":
        widget.ui.previewCollapsibleButton.collapsed = True
    else:
        app.showModule(None)
        reported = []
        widget.logic.worker.statistics.connect(reported.append)
        assert app.spin(lambda: len(reported) > 1, timeout=20)
        widget.logic.worker.statistics.disconnect(reported.append)
    assert widget.logic.worker.previewSize is None
    app.spin(lambda: False, timeout=0.2)  # one may have been on its way
    drawn = []
    monkeypatch.setattr(preview, "mirrored", lambda *arguments: drawn.append(arguments))
    start, sent = len(tracked), len(previews)
    assert app.spin(lambda: len(tracked) > start + 10, timeout=20), "Live goes on"
    assert drawn == [] and len(previews) == sent
    monkeypatch.undo()
    if way == "closed":
        widget.ui.previewCollapsibleButton.collapsed = False
    else:
        app.showModule("LiveHand")
    assert app.spin(lambda: len(previews) > sent, timeout=20), "and it is back when somebody sees it again"


def test_photograph_stays_in_the_preview(app, widget, shared):
    play(app, widget.logic, shared / "photos" / "two_hands_1.jpg", numberOfHands=2)
    assert labelPixels(widget.ui.previewLabel).shape == (240, 180, 3)


# The slice view


def test_slice_view_shows_the_image_upright_and_gives_its_place_back(app, redView):
    import slicer

    from LiveHandLib.scene.sliceview import CameraSlice

    voxels = np.zeros((10, 100, 100))
    users = slicer.util.addVolumeFromArray(voxels, np.diag([2.0, 2.0, 2.0, 1.0]), "somebody else's")
    compositeNode, sliceNode = redView.GetSliceCompositeNode(), redView.GetSliceNode()
    compositeNode.SetBackgroundVolumeID(users.GetID())
    sliceNode.SetSliceToRASByNTP(0, 1, 0, 1, 0, 0, 10, 20, 30, 0)  # turned and moved by the user
    sliceNode.SetFieldOfView(123, 92.25, 1)
    before = slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS())

    cameraSlice = CameraSlice()
    cameraSlice.update(np.zeros((480, 360, 3), np.uint8))
    cameraSlice.update(np.zeros((240, 320, 3), np.uint8))
    cameraSlice.update(imageWithCorners())
    (volume,) = cameraVolumes()
    assert volume.GetName() == "LiveHand Camera"
    assert compositeNode.GetBackgroundVolumeID() == volume.GetID()
    pixels = viewPixels(redView)
    assert pixels.shape[:2] == (300, 400)
    assert shownCorners(pixels) == CORNERS
    assert np.array_equal(pixels[150, 200, :3], (100, 100, 100))
    # In space: the top left corner is anterior and at the patient's right.
    matrix = slicer.util.vtkMatrixFromArray(np.eye(4))
    volume.GetIJKToRASMatrix(matrix)
    assert np.array_equal(slicer.util.arrayFromVTKMatrix(matrix) @ (0, 0, 0, 1), (159.5, 119.5, 0, 1))

    cameraSlice.remove()
    assert cameraVolumes() == []
    assert compositeNode.GetBackgroundVolumeID() == users.GetID()
    assert np.allclose(slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS()), before)
    assert np.allclose(sliceNode.GetFieldOfView(), (123, 92.25, 1))
    cameraSlice.remove()


def test_what_the_user_put_into_the_view_meanwhile_stays(app, redView):
    import slicer

    from LiveHandLib.scene.sliceview import CameraSlice

    cameraSlice = CameraSlice()
    cameraSlice.update(imageWithCorners())
    users = slicer.util.addVolumeFromArray(np.zeros((4, 4, 4)), name="somebody else's")
    redView.GetSliceCompositeNode().SetBackgroundVolumeID(users.GetID())
    cameraSlice.update(imageWithCorners())
    cameraSlice.remove()
    assert redView.GetSliceCompositeNode().GetBackgroundVolumeID() == users.GetID()


def test_slice_view_on_and_off_while_live(app, widget, redView, previews):
    goLive(app, widget)
    assert cameraVolumes() == []
    widget.ui.showInSliceViewCheckBox.setChecked(True)
    assert app.spin(cameraVolumes, timeout=20)
    assert app.spin(lambda: previews[-1].shape == (480, 640, 3), timeout=20)
    assert np.array_equal(viewPixels(redView)[150, 200, :3].shape, (3,))
    (volume,) = cameraVolumes()
    assert volume.GetImageData().GetDimensions() == (640, 480, 1)
    assert labelPixels(widget.ui.previewLabel).shape == (240, 320, 3)
    widget.ui.showInSliceViewCheckBox.setChecked(False)
    assert cameraVolumes() == [] and widget.logic.worker.previewSize == (320, 240)
    widget.ui.showInSliceViewCheckBox.setChecked(True)
    assert app.spin(cameraVolumes, timeout=20)
    widget.logic.stop()
    settled(app, widget.logic)
    assert cameraVolumes() == [], "no image of the user is left when Live is off"


def test_slice_views_volume_deleted_while_live_comes_back(app, widget, redView):
    import slicer

    widget.logic.getParameterNode().showInSliceView = True
    goLive(app, widget)
    assert app.spin(cameraVolumes, timeout=20)
    (volume,) = cameraVolumes()
    slicer.mrmlScene.RemoveNode(volume)
    assert app.spin(lambda: cameraVolumes() and cameraVolumes() != [volume], timeout=20)


def test_no_image_is_saved(app, widget, redView, tmp_path):
    import zipfile

    import slicer

    widget.logic.getParameterNode().showInSliceView = True
    goLive(app, widget)
    assert app.spin(cameraVolumes, timeout=20)
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (sceneName,) = [name for name in names if name.endswith(".mrml")]
        text = archive.read(sceneName).decode()
    assert "<VectorVolume" not in text
    assert not [name for name in names if name.endswith((".nrrd", ".png", ".jpg", ".nhdr")) and "Camera" in name]
    assert cameraVolumes(), "and it goes on being shown"
    slicer.mrmlScene.Clear(0)
    settled(app, widget.logic)
    assert cameraVolumes() == []
    slicer.util.loadScene(str(path))
    assert cameraVolumes() == [] and widget.logic.getParameterNode().showInSliceView


# Hints


@pytest.mark.parametrize(
    "photo, gain, expected",
    [
        ("hard_1.jpg", 1.0, "dark"),
        ("hard_2.jpg", 1.0, ""),
        ("one_hand_1.jpg", 0.3, "dark"),
        ("one_hand_2.jpg", 0.5, "dark"),
        ("one_hand_2.jpg", 1.0, ""),
        ("one_hand_3.jpg", 1.0, ""),
        ("two_hands_1.jpg", 1.0, ""),
        ("two_hands_1.jpg", 0.25, "dark"),
    ],
)
def test_dark_photographs(shared, model, photo, gain, expected):
    import cv2

    from LiveHandLib.detection import detector
    from LiveHandLib.tracking import hints

    image = (gain * cv2.imread(str(shared / "photos" / photo))[:, :, ::-1]).astype(np.uint8)
    with detector.HandDetector(model, numberOfHands=2) as handDetector:
        assert hints.hint(image, handDetector.detect(image, 0)) == expected


@pytest.mark.parametrize("edge", ["left", "right", "top", "bottom"])
@pytest.mark.parametrize("cut", [-0.15, 0.25])
def test_hand_that_is_partly_out_of_view(shared, model, edge, cut):
    """A real image cropped beside the hand, and through it."""
    import cv2

    from LiveHandLib.detection import detector
    from LiveHandLib.tracking import hints

    capture = cv2.VideoCapture(str(shared / "clips" / "hand_desk.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 45)
    image = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)
    with detector.HandDetector(model) as handDetector:
        (hand,) = handDetector.detect(image, 0)
    (left, top), (right, bottom) = hand.imagePx.min(axis=0), hand.imagePx.max(axis=0)
    acrossX, acrossY = cut * (right - left), cut * (bottom - top)
    height, width = image.shape[:2]
    x0, x1, y0, y1 = {
        "left": (left + acrossX, width, 0, height),
        "right": (0, right - acrossX, 0, height),
        "top": (0, width, top + acrossY, height),
        "bottom": (0, width, 0, bottom - acrossY),
    }[edge]
    cropped = np.ascontiguousarray(image[int(y0) : int(y1), int(x0) : int(x1)])
    with detector.HandDetector(model) as handDetector:
        hands = handDetector.detect(cropped, 0)
    assert len(hands) == 1
    assert hints.hint(cropped, hands) == ("outside" if cut > 0 else "")


def test_hand_that_goes_away_is_small_before_it_is_lost(shared, model):
    from LiveHandLib.detection import detector
    from LiveHandLib.tracking import hints
    from support.handrender import HandCamera, HandRenderer, RiggedHand, placement

    hand = RiggedHand.load(shared / "hand-mesh" / "right.glb")
    renderer = HandRenderer(HandCamera.typical((640, 480)))
    seen = []
    with detector.HandDetector(model) as handDetector:
        for number, distance in enumerate(range(400, 4400, 100)):
            image = np.ascontiguousarray(renderer.render(hand.pose({}, placement((0, 0, distance))))[:, :, ::-1])
            hands = handDetector.detect(image, 33 * number)
            seen.append((distance, hints.hint(image, hands) if hands else "lost"))
    reported = [hint for _distance, hint in seen]
    order = ["", "small", "lost"]
    assert sorted(set(reported), key=order.index) == order
    assert all(hint == "" for distance, hint in seen if distance <= 1000)
    assert reported.index("small") < reported.index("lost")


def test_hint_in_the_panel(app, widget, shared):
    from LiveHandLib.panel.sentences import hintSentence

    play(app, widget.logic, shared / "photos" / "hard_1.jpg")
    assert widget.logic.worker.lastStatistics.hint == "dark"
    assert widget.ui.hintLabel.text == hintSentence("dark")
    play(app, widget.logic, shared / "photos" / "one_hand_2.jpg")
    assert widget.ui.hintLabel.text == ""


def test_every_hint_has_a_sentence(app):
    import inspect
    import re

    from LiveHandLib.panel.sentences import hintSentence
    from LiveHandLib.tracking import hints

    named = set(re.findall(r'"(\w+)"', inspect.getsource(hints.hint).split('"""')[2]))
    assert named == {"dark", "outside", "small"}
    for hint in named:
        assert ":" in hintSentence(hint), "what is wrong: what to do"
