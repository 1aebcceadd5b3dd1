"""How well models lie over the camera's image in the view from the camera, and how well the hand occludes them.

Board and balls are rendered as five cameras see them (see :mod:`support.overlayscene`) and played through the whole
module; in the view from the camera, models of the balls lie over the image's. The outlines' distances are the 95th
percentile, in px of the image, of the worst ball, camera and window. Hands are rendered before a wall's model behind
them (see :mod:`support.handrender`).

    python3 Testing/run.py evaluate overlay [--json FILE] [--pictures FOLDER]
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import vtk

from host.application import Application
from LiveHandLib.calibration.intrinsics import Intrinsics
from support.handrender import HandCamera, HandRenderer, RiggedHand, pinched, placement
from support.overlayscene import BOARD, CAMERAS, OverlayScene, isGreen, isRed, outlineDistances, writeClip
from support.paths import MODULE, SHARED

WINDOWS = 4 / 3, 2.0, 2 / 3
"""The view's shapes, width over height: each is reached by resizing the view while it shows the image."""
PX_PER_IMAGE_PX = 1.5
"""The view is so large that outlines can be compared within less than a px of the image."""
STILL_FRAMES, MOVING_FRAMES, HAND_FRAMES, RATE, SPEED_MM_S = 12, 20, 5, 30.0, 100.0

BARS = {
    "outline_px_centre": ("at most", 1.5),
    "outline_px_corner": ("at most", 3.0),
    "outline_px_moving": ("at most", 3.0),
    "occlusion_share": ("at least", 0.97),
    "lag_frames": ("at most", 0.0),
}


class Session:
    """The module in the host, with the view from the camera on."""

    def __init__(self, app: Application, pictures: Path | None) -> None:
        import slicer

        from LiveHandLib.scene.reference import ReferenceKind

        self.app, self.view, self.pictures = app, app.view, pictures
        self.logic = app.showModule(app.loadModule(MODULE)).logic
        self.view.mrmlViewNode().SetBoxVisible(False)
        self.view.mrmlViewNode().SetAxisLabelsVisible(False)
        node = self.node = self.logic.getParameterNode()
        node.everyFrame = node.cameraView = True
        node.referenceColumns, node.referenceRows, node.referenceSquareMm = BOARD.columns, BOARD.rows, BOARD.squareMm
        self._kinds = ReferenceKind
        self._models: list = []
        self._scene = slicer.mrmlScene
        self.size = 640, 480  # of the view, px

    def play(self, clip: Path, intrinsics: Intrinsics, isReferenced: bool, onFrame=None) -> None:
        """Play a clip to its end; the view shows its last frame."""
        self.node.referenceKind = self._kinds.BOARD if isReferenced else self._kinds.NONE
        self.logic.setSource(clip)
        self.logic.addCalibration(intrinsics)
        if onFrame:
            self.logic.worker.tracked.connect(onFrame)
        self.logic.start()
        self.app.spin(lambda: self.logic.worker.state == "off", timeout=120)
        if onFrame:
            self.logic.worker.tracked.disconnect(onFrame)

    def addModel(self, polyData: vtk.vtkPolyData, transform) -> None:
        """A red model without shading."""
        model = self._scene.AddNewNodeByClass("vtkMRMLModelNode")
        model.SetAndObservePolyData(polyData)
        model.CreateDefaultDisplayNodes()
        display = model.GetDisplayNode()
        display.SetColor(1, 0, 0)
        display.SetAmbient(1.0)
        display.SetDiffuse(0.0)
        model.SetAndObserveTransformNodeID(transform.GetID())
        self._models.append(model)

    def removeModels(self) -> None:
        for model in self._models:
            self._scene.RemoveNode(model)
        self._models.clear()

    def images(self, name: str = "") -> tuple[np.ndarray, np.ndarray]:
        """The view without and with the models."""
        self.view.view.update_size(*self.size)  # as the view's widget does when it is resized
        images = []
        for isVisible in (False, True):
            for model in self._models:
                model.GetDisplayNode().SetVisibility(isVisible)
            images.append(self.view.image())
        if name and self.pictures:
            cv2.imwrite(str(self.pictures / f"{name}.png"), cv2.cvtColor(images[1], cv2.COLOR_RGB2BGR))
        return images[0], images[1]

    def imagePxPerPx(self, intrinsics: Intrinsics) -> float:
        """Px of the image, undistorted with its own focal length, in a px of the view."""
        renderer = self.view.renderWindow().GetRenderers().GetFirstRenderer()
        tangent = np.tan(np.radians(renderer.GetActiveCamera().GetViewAngle() / 2.0))
        return float(intrinsics.matrix[0, 0] * 2.0 * tangent / renderer.GetSize()[1])


def measured(session: Session, scene: OverlayScene, wayMm: float, name: str = "") -> tuple[list[float], float]:
    """Of the balls that are all in the image: how far their outlines are apart, px; and how far the first one's model
    is to the right of the image's, px."""
    without, with_ = session.images(name)
    scale = session.imagePxPerPx(scene.camera.intrinsics)
    green, red = parts(isGreen(without)), parts(isRed(with_))
    places = scene.ballsInCamera(wayMm)
    radiusPx = scene.radii * scene.camera.matrix[0, 0] / places[:, 2]
    inside = [
        bool((at > 1.6 * radius).all() and (at < np.array(scene.camera.size) - 1.6 * radius).all())
        for at, radius in zip(scene.camera.project(places), radiusPx, strict=True)
    ]
    distances, shift = [], np.nan
    for number in np.flatnonzero(inside):
        at = predicted(session, places[number])
        ball, model = nearest(green, at), nearest(red, at)
        if ball is None or model is None:
            distances.append(np.inf)
            continue
        apart = np.concatenate([outlineDistances(model, ball), outlineDistances(ball, model)])
        distances.append(float(np.percentile(apart, 95)) * scale)
        if number == 0:
            shift = float(np.flatnonzero(model.any(axis=0)).mean() - np.flatnonzero(ball.any(axis=0)).mean()) * scale
    return distances, shift


def parts(mask: np.ndarray) -> list[np.ndarray]:
    """The connected parts of a mask that are more than specks."""
    count, labels, statistics, _centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return [labels == one for one in range(1, count) if statistics[one, cv2.CC_STAT_AREA] > 100]


def nearest(masks: list[np.ndarray], at: np.ndarray) -> np.ndarray | None:
    """The part whose middle is the nearest to a place, if that is near at all."""

    def distance(mask):
        y, x = np.nonzero(mask)
        return np.hypot(x.mean() - at[0], y.mean() - at[1])

    best = min(masks, key=distance, default=None)
    return best if best is not None and distance(best) < 60.0 else None


def predicted(session: Session, cameraMm: np.ndarray) -> np.ndarray:
    """About where a point is in the view: which ball is which."""
    import slicer

    from LiveHandLib.scene import reference

    renderer = session.view.renderWindow().GetRenderers().GetFirstRenderer()
    toRas = slicer.util.arrayFromTransformMatrix(reference.handsTransform(session.node), toWorld=True)
    renderer.SetWorldPoint(*(toRas @ [*cameraMm, 1.0]))
    renderer.WorldToDisplay()
    x, y, _z = renderer.GetDisplayPoint()
    return np.array([x, renderer.GetSize()[1] - y])


def sphere(centre: np.ndarray, radius: float) -> vtk.vtkPolyData:
    source = vtk.vtkSphereSource()
    source.SetCenter(*centre)
    source.SetRadius(radius)
    source.SetThetaResolution(120)
    source.SetPhiResolution(120)
    source.Update()
    return source.GetOutput()


def windowSize(camera, aspect: float) -> tuple[int, int]:
    """The size of a view of a shape in which the image has :data:`PX_PER_IMAGE_PX`, as far as it is not distorted."""
    width, height = camera.size
    rows = PX_PER_IMAGE_PX * max(height, width / aspect)
    return round(rows * aspect), round(rows)


def outlines(session: Session, folder: Path) -> dict[str, float]:
    """Of all cameras and windows, the worst."""
    import slicer

    centre, corner, moving, lags = [], [], [], []
    for camera in CAMERAS:
        scene, clip = OverlayScene(camera), folder / f"{camera.name}.avi"
        writeClip(clip, [scene.image(0.0, number) for number in range(STILL_FRAMES)])
        session.play(clip, camera.intrinsics, isReferenced=True)
        for ball, radius in zip(scene.balls, scene.radii, strict=True):
            session.addModel(sphere(ball, radius), session.node.referenceToRAS)
        for aspect in WINDOWS:
            session.size = windowSize(camera, aspect)
            distances, _shift = measured(session, scene, 0.0, f"{camera.name} {aspect:.2f}")
            centre.append(distances[0])
            corner.append(max(distances[1:]) if len(distances) == 5 else np.inf)
        session.size = windowSize(camera, WINDOWS[0])
        step = SPEED_MM_S / RATE
        ways = step * (np.arange(MOVING_FRAMES) - MOVING_FRAMES / 2)
        writeClip(clip, [scene.image(way, number) for number, way in enumerate(ways)])
        shifts = []

        def onFrame(frame, scene=scene, ways=ways, shifts=shifts) -> None:
            if frame.number and frame.reference and not frame.reference.ageMs:
                distances, shift = measured(session, scene, ways[frame.number])
                moving.extend(distances)
                shifts.append(shift)

        session.play(clip, camera.intrinsics, isReferenced=True, onFrame=onFrame)
        stepPx = step * camera.matrix[0, 0] / scene.ballsInCamera(0.0)[0, 2]
        lags.append(-np.median(shifts) / stepPx if len(shifts) > MOVING_FRAMES / 2 else np.inf)
        print(
            f"{camera.name:16} centre {max(centre[-3:]):5.2f}  corner {max(corner[-3:]):5.2f}  "
            f"moving {max(moving[-5 * len(shifts) :], default=np.inf):5.2f} px  lag {lags[-1]:5.2f} frames"
        )
        session.removeModels()
        session.logic.forgetCalibrations()
        for node in (session.node.referenceToRAS, session.node.cameraToReference):
            slicer.mrmlScene.RemoveNode(node)
    return {
        "outline_px_centre": max(centre),
        "outline_px_corner": max(corner),
        "outline_px_moving": max(moving),
        "lag_frames": float(max(np.abs(np.rint(lags)))),
    }


HANDS = (
    ({}, placement((0, 0, 450))),
    ({}, placement((40, 20, 600), pitch=15, yaw=25)),
    ({}, placement((-50, -10, 500), yaw=180, roll=-20)),
    (pinched(1.0), placement((10, 0, 430), yaw=20)),
    (pinched(0.5, 2), placement((0, 20, 500), pitch=-20, roll=15)),
    (dict.fromkeys(("middle", "ring", "pinky"), (70, 80, 40, 0)), placement((20, 10, 450), yaw=-15)),
    (dict.fromkeys(("middle", "ring", "pinky"), (70, 80, 40, 0)), placement((-30, 0, 550), yaw=165, pitch=-20)),
    ({"index": (30, 30, 15, 0), "middle": (30, 30, 15, 0)}, placement((0, -10, 400), roll=30)),
)


def occlusion(session: Session, folder: Path) -> dict[str, float]:
    """Around rendered hands before a model, the share of the pixels in which the right one of both is seen."""
    from LiveHandLib.scene.cameraview import HandOverImage

    camera = HandCamera.typical()
    intrinsics = Intrinsics(camera.matrix, np.zeros(5), camera.size)
    hand = RiggedHand.load(SHARED / "hand-mesh" / "right.glb")
    rest = hand.pose().landmarks
    session.node.palmWidthMm = float(np.linalg.norm(rest[5] - rest[17]))
    session.node.cameraViewHand = HandOverImage.OCCLUDES
    scene, flat = HandRenderer(camera), HandRenderer(camera, (1, 0, 0), (0, 0, 1), (0, 0))
    session.size = camera.size  # a px of the view is one of the image
    shares = []
    for number, (bends, place) in enumerate(HANDS):
        posed, path = hand.pose(bends, place), folder / f"hand{number}.avi"
        writeClip(path, [cv2.cvtColor(scene.render(posed), cv2.COLOR_BGR2RGB)] * HAND_FRAMES)
        session.play(path, intrinsics, isReferenced=False)
        if not session.logic.frame.hands:
            shares.append(np.nan)
            print(f"hand {number}: not found by MediaPipe")
            continue
        wall = vtk.vtkPlaneSource()
        z = place[2, 3] + 250.0
        wall.SetOrigin(-z, -z, z)
        wall.SetPoint1(z, -z, z)
        wall.SetPoint2(-z, z, z)
        wall.Update()
        session.addModel(wall.GetOutput(), session.node.cameraToRAS)
        _without, with_ = session.images(f"hand {number}")
        session.removeModels()
        blue, _green, red = np.moveaxis(flat.render(posed).astype(int), -1, 0)
        skin, sleeve = (red > blue) & (red > 20), (blue >= red) & (blue > 20)
        rows, columns = np.flatnonzero(skin.any(axis=1)), np.flatnonzero(skin.any(axis=0))
        around = np.zeros(skin.shape, bool)
        margin = round(0.1 * max(np.ptp(rows), np.ptp(columns)))
        around[
            max(rows[0] - margin, 0) : rows[-1] + margin + 1, max(columns[0] - margin, 0) : columns[-1] + margin + 1
        ] = True
        shares.append(float(((isRed(with_) != skin) & ~sleeve)[around & ~sleeve].mean()))
        print(f"hand {number}: {shares[-1]:.3f}")
    return {"occlusion_share": float(np.nanmean(shares)), "occlusion_share_worst": float(np.nanmin(shares))}


def speed(session: Session) -> dict[str, float]:
    """CPU time of a frame's render with the last image of a hand, which occludes, and without the image, ms."""
    result, logic, calibrations = {}, session.logic, session.logic.calibrations()
    frame = logic.frame
    for width, height in ((640, 480), (1280, 720)):
        session.view.view.update_size(width, height)
        for isOn in (True, False):
            times = []
            for _time in range(31):
                if isOn:
                    logic.cameraView.show(frame, calibrations)
                else:
                    logic.cameraView.remove()
                begin = time.process_time()
                session.view.renderWindow().Render()
                times.append(1000.0 * (time.process_time() - begin))
            result[f"render_ms_{width}x{height}{'' if isOn else '_off'}"] = float(np.median(times[1:]))
    return result


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="evaluate overlay", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    parser.add_argument("--pictures", metavar="FOLDER", help="write images of the views")
    options = parser.parse_args(arguments)
    if not SHARED.is_dir():
        sys.exit("The hand meshes are not beside the checkout.")
    pictures = Path(options.pictures) if options.pictures else None
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    with Application(headless=True) as app, tempfile.TemporaryDirectory() as folder:
        session = Session(app, pictures)
        result = outlines(session, Path(folder)) | occlusion(session, Path(folder)) | speed(session)
    for name, value in result.items():
        bar = ""
        if name in BARS:
            words, limit = BARS[name]
            isMet = value <= limit if words == "at most" else value >= limit
            bar = f"   ({words} {limit:g}: {'met' if isMet else 'MISSED'})"
        print(f"{name:24} {value:8.3f}{bar}")
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1))
    return 0
