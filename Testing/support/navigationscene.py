"""A rendered sequence to navigate with: a camera that is moved half-way, a board, a phantom, and a hand.

The index finger of a rigged hand touches six known points of the phantom, follows its edge, and touches four targets;
the camera is moved, and the targets are touched again. Everything is known: the camera's intrinsics, where the board is
in each frame, and where the finger ends.
"""

import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from LiveHandLib.calibration.board import Board
from LiveHandLib.calibration.intrinsics import Intrinsics
from LiveHandLib.navigation.registration import apply
from support import handrender
from support.handrender import HandCamera, HandRenderer, RiggedHand, placement
from support.paths import SHARED

RATE = 30.0
BOARD = Board("charuco", 6, 4, 30.0)
CAMERA = HandCamera.typical((640, 480))
INTRINSICS = Intrinsics(CAMERA.matrix, np.zeros(5), CAMERA.size)

# The board's coordinate system: mm, x right and y down on the board, z into the table.

PHANTOM_CENTRE = np.array([290.0, 60.0, 0.0])
PHANTOM_RADIUS, PHANTOM_HEIGHT = 80.0, 50.0
EYES = (np.array([230.0, 190.0, -575.0]), np.array([340.0, 150.0, -580.0]))
"""Where the camera is in the first and in the second half, and what it looks at: it moves by 117 mm and turns by 11
degrees, as when somebody pushes its stand aside."""
LOOKED_AT = np.array([230.0, 120.0, 0.0])
IMAGE_FROM_BOARD = np.array(
    [[0.0, 1.0, 0.0, 40.0], [0.8, 0.0, -0.6, -110.0], [-0.6, 0.0, -0.8, 900.0], [0.0, 0.0, 0.0, 1.0]]
)
"""A rotation to the coordinate system of an image of the phantom, in which the planned points are given."""


def onPhantom(part: float, degrees: float) -> np.ndarray:
    """A point of the phantom's dome: so far from its top to its edge (0 to 1), in this direction; (3,) mm."""
    angle = np.radians(degrees)
    across = PHANTOM_RADIUS * part * np.array([np.cos(angle), np.sin(angle)])
    return PHANTOM_CENTRE + np.array([*across, -PHANTOM_HEIGHT * np.sqrt(1.0 - part**2)])


FIDUCIALS = np.array([onPhantom(*at) for at in ((0.9, 15), (0.75, 80), (0.9, 160), (0.8, 215), (0.9, 290), (0.1, 0))])
TARGETS = np.array([onPhantom(*at) for at in ((0.5, 40), (0.5, 130), (0.55, 250), (0.4, 330))])
EDGE = np.array([onPhantom(0.9, degrees) for degrees in np.linspace(90, 450, 240)])

MOVE_S, HOLD_S, EDGE_S, CAMERA_S = 0.8, 1.7, 8.0, 2.5
LIFT_MM = 30.0
SETTLE_S = 0.4  # from when the finger is there to when somebody presses the pedal


# The sequence


@dataclass
class Script:
    """What happens: a row for each frame.

    :ivar tips: where the end of the index finger is, mm.
    :ivar camera: where the camera is on its way, 0 to 1.
    :ivar clock: by which the hand sways and bends, s. It is turned back while the camera moves, so that the hand is the
        same in the room whenever it touches a target: the difference between the halves is the camera's.
    :ivar events: by name, the frames in which the finger is held at a point, or follows the edge.
    """

    tips: list[np.ndarray] = field(default_factory=list)
    camera: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)
    events: dict[str, range] = field(default_factory=dict)

    def go(
        self,
        to: np.ndarray,
        seconds: float,
        camera: tuple[float, float],
        lift: float = 0.0,
        clock: float | None = None,
    ) -> None:
        """Move to a place, lifted on the way, while the clock goes on, or to another time."""
        begin = self.clock[-1] if self.clock else 0.0
        clock = begin + seconds if clock is None else clock
        start, steps = self.tips[-1] if self.tips else to, round(seconds * RATE)
        for step in range(1, steps + 1):
            progress = step / steps
            eased = progress**3 * (progress * (6 * progress - 15) + 10)
            up = np.array([0.0, 0.0, -lift * np.sin(np.pi * eased)])
            self.tips.append(start + eased * (to - start) + up)
            self.camera.append(camera[0] + eased * (camera[1] - camera[0]))
            self.clock.append(begin + progress * (clock - begin))

    def touch(self, name: str, at: np.ndarray, camera: float) -> None:
        self.go(at, MOVE_S, (camera, camera), LIFT_MM)
        begin = len(self.tips)
        self.go(at, HOLD_S, (camera, camera))
        self.events[name] = range(begin, len(self.tips))


def script() -> Script:
    """The whole sequence."""
    result, hover = Script(), PHANTOM_CENTRE + np.array([0.0, 90.0, -40.0])
    result.go(hover, 1.0, (0.0, 0.0))
    for number, at in enumerate(FIDUCIALS):
        result.touch(f"fiducial {number}", at, 0.0)
    result.go(EDGE[0], 1.0, (0.0, 0.0), LIFT_MM)
    begin = len(result.tips)
    for progress in np.linspace(0, len(EDGE) - 1, round(EDGE_S * RATE)):
        low = min(int(progress), len(EDGE) - 2)
        result.tips.append(EDGE[low] + (progress - low) * (EDGE[low + 1] - EDGE[low]))
        result.camera.append(0.0)
        result.clock.append(result.clock[-1] + 1.0 / RATE)
    result.events["edge"] = range(begin, len(result.tips))
    result.go(hover, 1.0, (0.0, 0.0), LIFT_MM)
    before = result.clock[-1]
    for number, at in enumerate(TARGETS):
        result.touch(f"target {number} still", at, 0.0)
    result.go(hover, 1.0, (0.0, 0.0), LIFT_MM)
    result.go(hover, CAMERA_S, (0.0, 1.0), clock=before)
    for number, at in enumerate(TARGETS):
        result.touch(f"target {number} moved", at, 1.0)
    return result


def boardToCamera(camera: float) -> np.ndarray:
    """(4, 4) mm, for a place of the camera on its way, 0 to 1."""
    eye = EYES[0] + camera * (EYES[1] - EYES[0])
    z = (LOOKED_AT - eye) / np.linalg.norm(LOOKED_AT - eye)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([x, np.cross(z, x), z])
    matrix[:3, 3] = -matrix[:3, :3] @ eye
    return matrix


def fingerEnd(posed: handrender.PosedHand) -> np.ndarray:
    """Where a rigged hand's index finger ends, on its axis: (3,) mm."""
    tip = posed.landmarks[8]
    along = (tip - posed.landmarks[7]) / np.linalg.norm(tip - posed.landmarks[7])
    near = posed.vertices[np.linalg.norm(posed.vertices - tip, axis=1) < 20.0]
    return tip + ((near - tip) @ along).max() * along


def bends(sway: np.ndarray) -> dict:
    """A pointing hand, with fingers that move a little."""
    curled = (60 + 4 * sway[0], 72 + 5 * sway[1], 42, 0)
    return {
        "thumb": (16, 20, 18 + 5 * sway[2], 8),
        "index": (8 + 5 * sway[3], 8 + 4 * sway[4], 4, 0),
        **dict.fromkeys(("middle", "ring", "pinky"), curled),
    }


class SceneRenderer(HandRenderer):
    """Also renders the board and the phantom."""

    OVERSAMPLING = 2

    def __init__(self) -> None:
        super().__init__(CAMERA)
        dome = vtk.vtkSphereSource()
        dome.SetRadius(1.0)
        dome.SetThetaResolution(90)
        dome.SetPhiResolution(90)
        shape = vtk.vtkTransform()
        shape.Translate(PHANTOM_CENTRE)
        shape.Scale(PHANTOM_RADIUS, PHANTOM_RADIUS, PHANTOM_HEIGHT)
        placed = vtk.vtkTransformPolyDataFilter()
        placed.SetInputConnection(dome.GetOutputPort())
        placed.SetTransform(shape)
        half = vtk.vtkClipPolyData()
        half.SetInputConnection(placed.GetOutputPort())
        table = vtk.vtkPlane()
        table.SetNormal(0, 0, -1)
        half.SetClipFunction(table)
        self._props = [self._coloured(half, (0.55, 0.62, 0.66)), self._board()]
        for points, colour in ((FIDUCIALS, (0.1, 0.1, 0.1)), (TARGETS, (0.1, 0.2, 0.5))):
            for at in points:
                dot = vtk.vtkSphereSource()
                dot.SetCenter(at)
                dot.SetRadius(1.5)
                self._props.append(self._coloured(dot, colour))

    def _coloured(self, source, colour):
        mapper = vtk.vtkPolyDataMapper()
        mapper.SetInputConnection(source.GetOutputPort())
        mapper.ScalarVisibilityOff()
        return self._actor(mapper, colour)

    def _board(self):
        perModule, margin = 4, 0.5 * BOARD.squareMm
        black = BOARD.modules().repeat(perModule, axis=0).repeat(perModule, axis=1)
        pad = round(margin / BOARD.squareMm * black.shape[0] / BOARD.rows)
        grey = np.pad(np.where(black, 28, 225).astype(np.uint8), pad, constant_values=225)[::-1]
        image = vtk.vtkImageData()
        image.SetDimensions(grey.shape[1], grey.shape[0], 1)
        image.GetPointData().SetScalars(numpy_to_vtk(grey.repeat(3).reshape(-1, 3), deep=True))
        texture = vtk.vtkTexture()
        texture.SetInputData(image)
        texture.InterpolateOn()
        texture.MipmapOn()
        width, height = BOARD.columns * BOARD.squareMm, BOARD.rows * BOARD.squareMm
        sheet = vtk.vtkPlaneSource()
        sheet.SetOrigin(-margin, height + margin, 0)
        sheet.SetPoint1(width + margin, height + margin, 0)
        sheet.SetPoint2(-margin, -margin, 0)
        actor = self._coloured(sheet, (1, 1, 1))
        actor.SetTexture(texture)
        actor.GetProperty().LightingOff()
        return actor

    def image(self, hand, toCamera: np.ndarray) -> np.ndarray:
        """An image of all, BGR."""
        for prop in self._props:
            prop.SetUserMatrix(handrender._vtkMatrix(toCamera))
        return self.render(hand, props=self._props)


def renderClip(folder: Path) -> None:
    """Write ``clip.avi``, as a webcam's Motion JPEG, and ``truth.npz`` and ``events.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    hand, renderer, steps = RiggedHand.load(SHARED / "hand-mesh" / "right.glb"), SceneRenderer(), script()
    random = np.random.default_rng(19)
    phases, frequencies = random.uniform(0, 2 * np.pi, 11), random.uniform(0.05, 0.25, 11)
    path = str(folder / "clip.part.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), RATE, CAMERA.size)
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 95)
    noises = random.normal(0, 2.0, (16, CAMERA.size[1], CAMERA.size[0], 3)).astype(np.float32)
    toCameras, landmarks = [], []
    first = boardToCamera(0.0)
    for number, (tip, way, clock) in enumerate(zip(steps.tips, steps.camera, steps.clock, strict=True)):
        sway = np.sin(2 * np.pi * frequencies * clock + phases)
        toCamera = boardToCamera(way)
        # The hand stands in the room as it does before the camera in its first place: its back seen, the tip away.
        atOrigin = placement((0, 0, 0), pitch=-22 + 4 * sway[5], yaw=180 + 8 * sway[6], roll=-12 + 5 * sway[7])
        inRoom = np.linalg.inv(first)
        inRoom[:3, 3] = 0.0
        pose = np.eye(4)
        pose[:3, :3] = toCamera[:3, :3] @ inRoom[:3, :3] @ atOrigin[:3, :3]
        wanted = apply(toCamera, tip[None] + 0.25 * sway[8:11])[0]
        pose[:3, 3] = wanted - fingerEnd(hand.pose(bends(sway), pose))
        posed = hand.pose(bends(sway), pose)
        image = cv2.GaussianBlur(renderer.image(posed, toCamera), (0, 0), 0.6) + noises[random.integers(16)]
        writer.write(np.clip(image, 0, 255).astype(np.uint8))
        toCameras.append(toCamera)
        landmarks.append(posed.landmarks)
        if number % 100 == 0:
            print(f"\rrendering: {number} of {len(steps.tips)} frames", end="", file=sys.stderr, flush=True)
    writer.release()
    print(file=sys.stderr)
    rest = hand.pose().landmarks
    np.savez(
        folder / "truth.npz",
        boardToCamera=toCameras,
        landmarksMm=landmarks,
        tipsMm=steps.tips,
        palmWidthMm=np.linalg.norm(rest[5] - rest[17]),
    )
    events = {name: [frames.start, frames.stop] for name, frames in steps.events.items()}
    (folder / "events.json").write_text(json.dumps(events, indent=1))
    Path(path).replace(folder / "clip.avi")


def clipFolder() -> Path:
    """The folder of the clip, which is rendered when it is not there; another one after any change of this file."""
    from run import cacheFolder

    digest = hashlib.sha256(b"".join(Path(path).read_bytes() for path in (__file__, handrender.__file__)))
    folder = cacheFolder() / "evaluation" / f"navigation-{digest.hexdigest()[:12]}"
    if not (folder / "clip.avi").exists():
        renderClip(folder)
    return folder
