"""Makes the README's animation: the sample clip as the preview shows it, and beside it the hand in the 3D view.

python3 Testing/run.py make animation [Animation.webp]
"""

from pathlib import Path

import cv2
import numpy as np
import vtk

from host.application import Application
from support.paths import IMAGES, MODULE, SAMPLE_CLIP

SIZE = (400, 300)  # of each half, px
EVERY = 2  # frames of the clip for one of the animation
QUALITY = 85
CLOSER = 1.45  # than where everything within the motion's box would be seen from every side


def played(app, logic) -> tuple[list, list[np.ndarray]]:
    """Play the clip through the module; returns each tracked frame and its preview, RGB."""
    frames, previews = [], []
    logic.worker.PREVIEW_EVERY_S = 0.0  # a preview of each frame
    logic.worker.tracked.connect(frames.append)
    logic.worker.previewImage.connect(previews.append)
    logic.getParameterNode().everyFrame = True
    logic.setSource(SAMPLE_CLIP)
    logic.start()
    logic.worker.previewSize = SIZE
    app.spin(lambda: logic.worker.state == "off", timeout=120)
    return frames, previews


def views(app, logic, frames: list) -> list[np.ndarray]:
    """The 3D view at each tracked frame, RGB: from one point of view, from which the whole motion is seen."""
    app.view.view.update_size(*SIZE)
    app.view.mrmlViewNode().SetBoxVisible(False)
    app.view.mrmlViewNode().SetAxisLabelsVisible(False)
    box, bounds = vtk.vtkBoundingBox(), [0.0] * 6
    for frame in frames:
        logic.showFrame(frame)
        logic.getParameterNode().rightSurface.GetRASBounds(bounds)
        box.AddBounds(bounds)
    box.GetBounds(bounds)
    renderer = app.view.renderWindow().GetRenderers().GetFirstRenderer()
    renderer.ResetCamera(bounds)
    renderer.GetActiveCamera().Dolly(CLOSER)
    images = []
    for frame in frames:
        logic.showFrame(frame)
        renderer.ResetCameraClippingRange()
        images.append(app.view.image().copy())
    return images


def main(argv: list[str]) -> None:
    """Write ``Resources/Animation.webp``."""
    path = Path(argv[0]) if argv else IMAGES / "Animation.webp"
    with Application(headless=True) as app:
        app.loadModule(MODULE)
        import LiveHand

        logic = LiveHand.LiveHandLogic()
        frames, previews = played(app, logic)
        halves = zip(previews[::EVERY], views(app, logic, frames[::EVERY]), strict=True)
        logic.close()
    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(np.hstack(pair), cv2.COLOR_RGB2BGR) for pair in halves]
    animation.durations = [round(1000 * EVERY / cv2.VideoCapture(str(SAMPLE_CLIP)).get(cv2.CAP_PROP_FPS))] * len(
        animation.frames
    )
    cv2.imwriteanimation(str(path), animation, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    print(f"{path}: {len(animation.frames)} frames, {path.stat().st_size / 1e6:.2f} MB")
