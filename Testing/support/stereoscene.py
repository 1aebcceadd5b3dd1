"""Rendered sequences of one hand seen by two known cameras, as clips with a truth for each and a pair file.

The cameras are 30 to 90 degrees apart and 400 to 800 mm away, of two resolutions, and not synchronized: one has 30
frames per second and the other 25, which begins up to 33 ms later. The files are in the format in which real clips are
given to ``run.py evaluate stereo``.
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmark.accuracy import motion
from LiveHandLib.landmarks import Landmark
from support import handrender
from support.handrender import HandCamera, HandRenderer, RiggedHand, rotation
from support.paths import SHARED

RATES = 30.0, 25.0
LENGTH_S = 3.0
SMALL, LARGE = (640, 480), (1280, 720)


@dataclass(frozen=True)
class Take:
    """One sequence.

    :ivar side: of the hand, ``"left"`` or ``"right"``.
    :ivar motion: one of :data:`benchmark.accuracy.MOTIONS`.
    :ivar apartDeg: between the directions in which the two cameras see the hand, degrees.
    :ivar facing: where the hand turns its palm: 0 to the first camera, 0.5 between the two.
    :ivar distancesMm: of the cameras from the middle of the motion, mm.
    :ivar sizes: of their images, px.
    :ivar offsetMs: when the second camera's first frame is taken, ms after the first camera's.
    """

    side: str
    motion: str
    apartDeg: float
    facing: float
    distancesMm: tuple[float, float]
    sizes: tuple[tuple[int, int], tuple[int, int]]
    offsetMs: float

    @property
    def name(self) -> str:
        return f"{self.side}, {self.motion}, {self.apartDeg:g} degrees"


TAKES = (
    Take("left", "fingers", 60, 0.5, (450, 450), (SMALL, SMALL), 0),
    Take("right", "fingers", 90, 0.5, (500, 600), (SMALL, LARGE), 11),
    Take("left", "turning", 30, 0.0, (450, 500), (SMALL, SMALL), 33),
    Take("right", "turning", 45, 0.5, (600, 700), (LARGE, LARGE), 17),
    Take("left", "near and far", 75, 0.5, (600, 600), (SMALL, SMALL), 22),
    Take("right", "near and far", 60, 0.0, (650, 800), (LARGE, LARGE), 28),
    Take("left", "pointing", 90, 0.25, (500, 400), (LARGE, SMALL), 6),
    Take("right", "pointing", 30, 0.5, (550, 550), (SMALL, SMALL), 15),
)
"""Angles, distances, resolutions and times between frames over the whole range in which the bars hold."""


def cameras(take: Take) -> list[np.ndarray]:
    """(4, 4) from the hand's surroundings (its palm faces -z) to the first and the second camera, mm."""
    result = []
    for index, distance in enumerate(take.distancesMm):
        matrix = rotation("x", 6.0 - 9.0 * index) @ rotation("y", take.apartDeg * (index - take.facing))
        matrix[:3, 3] = 0.0, 0.0, distance
        result.append(matrix)
    return result


def pairOf(take: Take) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and translation (3,), mm, from the first camera's coordinate system to the second's."""
    first, second = cameras(take)
    matrix = second @ np.linalg.inv(first)
    return matrix[:3, :3], matrix[:3, 3]


def render(take: Take, folder: Path) -> None:
    """Write ``first.avi`` and ``second.avi`` (Motion JPEG), their truths and ``pair.npz``."""
    folder.mkdir(parents=True, exist_ok=True)
    hand = RiggedHand.load(SHARED / "hand-mesh" / f"{take.side}.glb")
    random = np.random.default_rng([TAKES.index(take), 21])
    phases = random.uniform(0, 1, 30)
    for index, (name, rate, size, toCamera) in enumerate(
        zip(("first", "second"), RATES, take.sizes, cameras(take), strict=True)
    ):
        camera, path = HandCamera.typical(size), str(folder / f"{name}.part.avi")
        renderer = HandRenderer(camera)
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), rate, size)
        writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 95)
        noises = random.normal(0, 3, (8, size[1], size[0], 3)).astype(np.float32)
        landmarks = []
        for number in range(round(LENGTH_S * rate)):
            phase = (number / rate + index * take.offsetMs / 1000.0) / LENGTH_S
            bends, place = motion(
                take.motion, phase, lambda wave, f, at=phase: np.sin(2 * np.pi * (f * at + phases[wave]))
            )
            # About the middle of the motion, and no nearer to a camera than it can see a hand.
            place[2, 3] = 0.5 * (place[2, 3] - 550.0) if take.motion == "near and far" else place[2, 3] - 430.0
            posed = hand.pose(bends, toCamera @ place)
            image = cv2.GaussianBlur(renderer.render(posed), (0, 0), 0.6) + noises[random.integers(len(noises))]
            writer.write(np.clip(image, 0, 255).astype(np.uint8))
            landmarks.append(posed.landmarks)
        writer.release()
        np.savez(
            folder / f"{name}_truth.npz",
            frames=np.arange(len(landmarks)),
            landmarks_mm=landmarks,
            camera_matrix=camera.matrix,
            distortion=np.zeros(5),
        )
        Path(path).replace(folder / f"{name}.avi")
    turned, shift = pairOf(take)
    np.savez(folder / "pair.npz", rotation=turned, translation=shift, offset_ms=take.offsetMs)


def palmWidthMm(side: str) -> float:
    """Of the rigged hand, mm."""
    rest = RiggedHand.load(SHARED / "hand-mesh" / f"{side}.glb").pose().landmarks
    return float(np.linalg.norm(rest[Landmark.INDEX_FINGER_MCP] - rest[Landmark.PINKY_MCP]))


def clipFolder(take: Take) -> Path:
    """The folder of a take's files, which are rendered when they are not there; another one after any change."""
    from run import cacheFolder

    digest = hashlib.sha256(b"".join(Path(path).read_bytes() for path in (__file__, handrender.__file__)))
    folder = cacheFolder() / "evaluation" / f"stereo-{digest.hexdigest()[:12]}" / f"{TAKES.index(take)}"
    if not (folder / "pair.npz").exists():
        print(f"rendering: {take.name}", file=sys.stderr, flush=True)
        render(take, folder)
    return folder
