"""Makes the moving images of the gestures page: the preview with the hands, and beside it what they move.

The hands are rendered; everything else is the module's work in the host.

    python3 Testing/run.py make gestures [folder]
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from benchmark import gestures
from host.application import Application
from support.paths import IMAGES, MODULE
from tools.make_screenshot import bone, surfaceOf

SIZE = (320, 240)  # of each half, px
EVERY = 4  # frames of the clip for one of the animation
QUALITY = 70

RIGHT, LEFT = ("Right",), gestures.SIDES
SHOWN = {
    # by the name of the file: what the hands act on, each hand's way in mm and its turn in degrees, and its view
    "GestureRotate": ("VIEW", {"Right": ((80, -30, 0), 0)}, RIGHT, "3D"),
    "GestureZoom": ("VIEW", {"Left": ((35, 25, 0), 0), "Right": ((-35, -25, 0), 0)}, LEFT, "3D"),
    "GestureScroll": ("SLICES", {"Right": ((0, -60, 0), 0)}, RIGHT, "Red"),
    "GestureWindow": ("SLICES", {"Left": ((0, 0, 0), 0), "Right": ((60, -40, 0), 0)}, LEFT, "Red"),
    "GestureCarry": ("TRANSFORM", {"Right": ((60, -40, 0), 25)}, RIGHT, "3D"),
}


def scan(step: float = 2.0):
    """A volume of the spine: its bone is bright, what is about it dark."""
    import slicer

    axes = [np.arange(-bound, bound, step) for bound in (110.0, 80.0, 60.0)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    distances = bone(np.stack([x, y, z], axis=-1))
    values = np.clip(500.0 - 80.0 * distances, 0, 1000) + 150.0 * (np.hypot(x, y + 20) < 55)
    volume = slicer.util.addVolumeFromArray(values.astype(np.int16), name="Scan")
    volume.SetSpacing(step, step, step)
    volume.SetOrigin(*(float(axis[0]) for axis in reversed(axes)))
    volume.CreateDefaultDisplayNodes()
    return volume


class Stage:
    """The spine as a model and as a volume, and the views in which the hands move it."""

    def __init__(self, app, logic) -> None:
        import slicer

        self._app, self._logic, self._node = app, logic, logic.getParameterNode()
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self._spine = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Spine")
        self._spine.SetAndObservePolyData(surfaceOf(bone, np.zeros(3)))
        self._spine.CreateDefaultDisplayNodes()
        self._spine.GetDisplayNode().SetColor(0.95, 0.90, 0.78)
        self._held = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Spine Transform")
        self._spine.SetAndObserveTransformNodeID(self._held.GetID())
        self._volume = scan()
        self._slice = slicer.app.applicationLogic().GetSliceLogicByLayoutName("Red")
        self._slice.GetSliceCompositeNode().SetBackgroundVolumeID(self._volume.GetID())
        (self._camera,) = slicer.util.getNodesByClass("vtkMRMLCameraNode")
        self._node.heldNode, self._node.gestureSlice = self._held, "Red"
        self._node.numberOfHands, self._node.everyFrame = 2, True
        self._views = {
            "3D": slicer.app.layoutManager().threeDWidget(0).threeDView(),
            "Red": slicer.app.layoutManager().sliceWidget("Red").sliceView(),
        }
        viewNode = self._views["3D"].mrmlViewNode()
        viewNode.SetBoxVisible(False)
        viewNode.SetAxisLabelsVisible(False)
        for view in self._views.values():
            view.view.update_size(*SIZE)

    def play(self, clip: gestures.Clip, actsOn: str, name: str) -> list[np.ndarray]:
        """The images of the animation, RGB: a clip's preview, and beside it a view."""
        from LiveHandLib.scene.gestures import HandsActOn

        self._held.SetMatrixTransformToParent(gestures.vtk.vtkMatrix4x4())
        self._camera.SetPosition(0.0, 620.0, 40.0)
        self._camera.SetFocalPoint(0.0, -20.0, 0.0)
        self._camera.SetViewUp(0.0, 0.0, 1.0)
        self._camera.ResetClippingRange()
        self._volume.GetDisplayNode().SetAutoWindowLevel(False)
        self._volume.GetDisplayNode().SetWindowLevel(900.0, 500.0)
        self._slice.FitSliceToAll()
        self._slice.SetSliceOffset(-20.0)
        previews, images, view = [], [], self._views[name]

        def onTracked(frame) -> None:
            if frame.number % EVERY == 0:
                images.append(view.image().copy())

        worker = self._logic.worker
        worker.PREVIEW_EVERY_S = 0.0
        worker.tracked.connect(onTracked)
        worker.previewImage.connect(previews.append)
        self._node.palmWidthMm, self._node.handsActOn = clip.palmWidthMm, HandsActOn[actsOn]
        self._logic.setSource(clip.path)
        self._logic.addCalibration(clip.intrinsics)
        try:
            self._logic.start()
            worker.previewSize = SIZE
            self._app.spin(lambda: worker.state == "off", timeout=300)
        finally:
            self._logic.forgetCalibrations()
            self._node.handsActOn = HandsActOn.NOTHING
            worker.tracked.disconnect(onTracked)
            worker.previewImage.disconnect(previews.append)
        shown = [cv2.resize(preview, SIZE, interpolation=cv2.INTER_AREA) for preview in previews[::EVERY]]
        return [np.hstack([one, cv2.resize(other, SIZE)]) for one, other in zip(shown, images, strict=False)]


def main(argv: list[str]) -> None:
    """Write an animation for each gesture."""
    folder = Path(argv[0]) if argv else IMAGES
    with Application(headless=True) as app:
        stage = Stage(app, app.showModule(app.loadModule(MODULE)).logic)
        for name, (actsOn, travel, sides, view) in SHOWN.items():
            clip = gestures.holding(f"shown-{name}", 480, 1.4, travel, sides)
            animation = cv2.Animation()
            animation.frames = [image[:, :, ::-1].copy() for image in stage.play(clip, actsOn, view)]
            if not animation.frames:
                sys.exit(f"{name}: nothing was seen.")
            animation.durations = [round(1000 * EVERY / gestures.RATE)] * len(animation.frames)
            path = folder / f"{name}.webp"
            cv2.imwriteanimation(str(path), animation, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
            print(f"{path}: {len(animation.frames)} frames, {path.stat().st_size / 1e6:.2f} MB")
