"""Takes the documentation's screenshots: the panel with a live hand, and both hands over a model of the lumbar spine.

Nobody's hands and nobody's spine: the hands in front of the camera are rendered from the rigged meshes, and the
vertebrae are put together from simple bodies.

    python3 Testing/run.py make screenshot [folder with right.glb and left.glb]
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from host.application import Application
from support.handrender import HandCamera, HandRenderer, RiggedHand, placement
from support.paths import IMAGES, MODULE, SAMPLE_CLIP, SHARED
from tools.demo import lookAtHands

FRAME = 120  # fingers spread
# Bends in degrees, see RiggedHand.pose().
CURLED, ROUND = (71, 81, 40, 0), (23, 28, 15, 0)
POINT = {"thumb": (25, 25, 20, 10), "index": (25, 10, 5, 0), "middle": CURLED, "ring": CURLED, "pinky": CURLED}
HOLD = {"thumb": (0, 10, 10, -5), "index": ROUND, "middle": ROUND, "ring": ROUND, "pinky": ROUND}


def panel(app, logic) -> None:
    """Write ``Resources/Screenshot.png``."""
    logic.setSource(SAMPLE_CLIP)
    logic.start()

    def hasReached(number: int):
        return lambda: logic.frame and logic.frame.number >= number

    app.spin(hasReached(FRAME - 10), timeout=60)
    lookAtHands(app.view, logic.getParameterNode())
    app.spin(hasReached(FRAME), timeout=60)
    app.window.grab().save(str(IMAGES / "Screenshot.png"))
    stop(app, logic)


def bothHands(app, logic, meshes: Path) -> None:
    """Write ``Resources/BothHands.png``."""
    import slicer

    right = RiggedHand.load(meshes / "right.glb").pose(POINT, placement((-115, 10, 470), 10, -30, 52))
    left = RiggedHand.load(meshes / "left.glb").pose(HOLD, placement((125, 10, 480), 10, 40, -25))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "hands.png")
        cv2.imwrite(path, HandRenderer(HandCamera.typical((1280, 720))).render(right, left))
        logic.getParameterNode().numberOfHands = 2
        logic.setSource(path)
        logic.start()
        stop(app, logic)

    parameterNode = logic.getParameterNode()
    tips = [
        slicer.util.arrayFromMarkupsControlPoints(node, world=True)[index]
        for node, index in ((parameterNode.rightLandmarks, 8), (parameterNode.leftLandmarks, 4))
    ]
    # The pointing finger at the middle vertebra, the thumb of the other hand on the side of it.
    place = np.mean(tips, axis=0) + np.array([0, 25, 10])
    for name, color, distances in (("Vertebrae", (0.95, 0.90, 0.78), bone), ("Discs", (0.62, 0.72, 0.80), discs)):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
        node.SetAndObservePolyData(surfaceOf(distances, place))
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetColor(color)
    viewNode = app.view.mrmlViewNode()
    viewNode.SetBoxVisible(False)
    viewNode.SetAxisLabelsVisible(False)
    lookAtHands(app.view, parameterNode)
    image = app.view.image()
    height = len(image)
    cv2.imwrite(str(IMAGES / "BothHands.png"), image[int(0.15 * height) : int(0.75 * height), :, ::-1])


def stop(app, logic) -> None:
    """End what is played, or let it end."""
    if logic.frame:
        logic.stop()
    app.spin(lambda: logic.worker.state == "off", timeout=60)


# The spine: distances in mm from simple bodies, negative inside, at (..., 3) points in R, A, S from its middle.

LEVELS_MM = 38.0 * np.arange(-2, 3)


def smoothUnion(first: np.ndarray, second: np.ndarray, width: float = 5.0) -> np.ndarray:
    """Of two bodies, with a fillet."""
    share = np.clip(0.5 + (second - first) / (2 * width), 0, 1)
    return second + share * (first - second) - width * share * (1 - share)


def drum(points: np.ndarray, radii: tuple, height: float, waist: float) -> np.ndarray:
    """An elliptic drum with rounded rims and a waist."""
    x, y, z = np.moveaxis(points, -1, 0)
    across = min(radii) * (np.hypot(x / radii[0], y / radii[1]) - 1) + waist * (1 - (2 * z / height) ** 2)
    along = np.abs(z) - height / 2
    rim = 3.0
    outside = np.hypot(np.maximum(across + rim, 0), np.maximum(along + rim, 0))
    return outside + np.minimum(np.maximum(across, along) + rim, 0) - rim


def rod(points: np.ndarray, start: tuple, end: tuple, radius: float) -> np.ndarray:
    """A rod with round ends, and its mirror image on the other side."""
    points = np.stack([np.abs(points[..., 0]), points[..., 1], points[..., 2]], axis=-1)
    start, along = np.array(start, float), np.subtract(end, start)
    share = np.clip((points - start) @ along / (along @ along), 0, 1)
    return np.linalg.norm(points - start - share[..., None] * along, axis=-1) - radius


def vertebra(points: np.ndarray) -> np.ndarray:
    """A lumbar vertebra: body, pedicles, laminae, spinous, transverse and articular processes."""
    distances = drum(points, (24, 17), 27, 2.5)
    for start, end, radius in (
        ((13, -12, 4), (17, -26, 4), 5),
        ((17, -26, 4), (2, -40, -2), 5),
        ((0, -40, -2), (0, -62, -8), 5),
        ((17, -24, 4), (42, -30, 7), 3.5),
        ((17, -27, 16), (16, -32, -15), 5),
    ):
        distances = smoothUnion(distances, rod(points, start, end, radius))
    return distances


def lordosis(points: np.ndarray, level: float) -> np.ndarray:
    """Points as a vertebra at a level sees them, which the curve of the spine moves forwards and tilts."""
    angle = level / 250
    moved = points - (0, -((level / 30) ** 2), level)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]])
    return moved @ turn.T


def bone(points: np.ndarray) -> np.ndarray:
    """Distances from five vertebrae."""
    return np.min([vertebra(lordosis(points, level)) for level in LEVELS_MM], axis=0)


def discs(points: np.ndarray) -> np.ndarray:
    """Distances from the four discs between them."""
    between = (LEVELS_MM[1:] + LEVELS_MM[:-1]) / 2
    return np.min([drum(lordosis(points, level), (23, 16), 12, -1) for level in between], axis=0)


def surfaceOf(distances, place: np.ndarray):
    """The surface of a body around a place in RAS."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    step = 1.5
    axes = [np.arange(low, high, step) for low, high in ((-52, 52), (-80, 30), (-110, 110))]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    image = vtk.vtkImageData()
    image.SetDimensions([len(axis) for axis in axes])
    image.SetSpacing(step, step, step)
    image.SetOrigin(*(axis[0] + offset for axis, offset in zip(axes, place, strict=True)))
    image.GetPointData().SetScalars(numpy_to_vtk(distances(grid).ravel(order="F"), deep=True))
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 0.0)
    contour.ComputeScalarsOff()
    contour.Update()
    return contour.GetOutput()


def main(argv: list[str]) -> None:
    """Take both."""
    meshes = Path(argv[0]) if argv else SHARED / "hand-mesh"
    with Application(headless=True) as app:
        logic = app.showModule(app.loadModule(MODULE)).logic
        panel(app, logic)
        bothHands(app, logic, meshes)
