"""What a camera with known distortion sees of a board and of balls that are fixed to it, and how far the outlines of
two shapes in a view are from each other.

Coordinate systems: camera (mm, x right, y down, z forward), board (mm, x right, y down, z into the paper). Pixels in
OpenCV's convention.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from LiveHandLib.calibration.board import Board
from LiveHandLib.calibration.intrinsics import Intrinsics
from support.boardrender import BoardRenderer, distort, turned

BOARD = Board("charuco", 6, 4, 30.0)
GREEN = (20, 200, 40)
RADIUS_PX = 24.0  # of a ball in an image of 640 px
INSET = 0.11  # of a corner's ball from both edges, as a part of the image's longer side


@dataclass(frozen=True)
class OverlayCamera:
    """A camera, and the board before it.

    :ivar matrix: (3, 3) camera matrix, px.
    :ivar distortion: (5,) k1, k2, p1, p2, k3.
    :ivar size: width and height of its images, px.
    """

    name: str
    matrix: np.ndarray
    distortion: np.ndarray
    size: tuple[int, int]

    @classmethod
    def of(cls, name, size, focal, distortion=(0, 0, 0, 0, 0), middle=(0.0, 0.0), aspect=1.0) -> "OverlayCamera":
        """With the focal length as a part of the longer side, and the principal point's distance from the middle."""
        width, height = size
        f = focal * max(size)
        matrix = np.array(
            [[f, 0, width / 2 - 0.5 + middle[0]], [0, aspect * f, height / 2 - 0.5 + middle[1]], [0, 0, 1]]
        )
        return cls(name, matrix, np.array(distortion, float), size)

    @property
    def intrinsics(self) -> Intrinsics:
        return Intrinsics(self.matrix, self.distortion, self.size)

    def project(self, cameraMm: np.ndarray) -> np.ndarray:
        """(n, 2) px of (n, 3) mm."""
        seen = distort((cameraMm[:, :2] / cameraMm[:, 2:]).T, self.distortion).T
        return seen * self.matrix[[0, 1], [0, 1]] + self.matrix[:2, 2]


CAMERAS = (
    OverlayCamera.of("ideal", (640, 480), 0.87),
    OverlayCamera.of("off the middle", (1280, 720), 0.75, (-0.05, 0.02, 0, 0, 0), middle=(61.0, -37.0)),
    OverlayCamera.of("barrel", (640, 480), 0.6, (-0.35, 0.12, 0.001, -0.002, 0), middle=(-9.0, 14.0)),
    OverlayCamera.of("pincushion", (800, 600), 0.7, (0.3, -0.05, 0, 0, 0), middle=(12.0, 8.0)),
    OverlayCamera.of("portrait", (480, 640), 0.9, (-0.12, 0.05, 0.004, 0.003, 0), middle=(5.0, -11.0), aspect=1.04),
)


class OverlayScene:
    """A camera, a board before it, and green balls that are fixed to the board: one in the image's middle, four in its
    corners."""

    def __init__(self, camera: OverlayCamera) -> None:
        self.camera = camera
        self._board = BoardRenderer(BOARD, camera.matrix, camera.distortion, camera.size)
        longer, focal = max(camera.size), camera.matrix[0, 0]
        self.distanceMm = 1.9 * BOARD.columns * BOARD.squareMm * focal / min(camera.size)
        inset = INSET * longer
        x, y = (np.array([side / 2.0, inset, side - inset]) for side in camera.size)
        places = np.array([[x[0], y[0]], [x[1], y[1]], [x[2], y[1]], [x[2], y[2]], [x[1], y[2]]])
        directions = np.column_stack([camera.intrinsics.normalized(places + 0.5), np.ones(5)])
        depths = self.distanceMm * np.array([0.9, 1.0, 0.9, 0.95, 1.05])
        self.radii = RADIUS_PX / 640 * longer / focal * depths
        toBoard = np.linalg.inv(self.boardToCamera(0.0))
        inCamera = directions * depths[:, None]
        self.balls = inCamera @ toBoard[:3, :3].T + toBoard[:3, 3]

    def boardToCamera(self, wayMm: float) -> np.ndarray:
        """(4, 4) from the board's coordinate system to the camera's, when the board has moved so far to the right."""
        matrix = np.eye(4)
        matrix[:3, :3] = turned(18, -14, 5)
        middle = BOARD.squareMm * np.array([BOARD.columns, BOARD.rows, 0.0]) / 2.0
        matrix[:3, 3] = np.array([wayMm, 0.0, self.distanceMm]) - matrix[:3, :3] @ middle
        return matrix

    def ballsInCamera(self, wayMm: float) -> np.ndarray:
        """(5, 3) their centres, mm."""
        toCamera = self.boardToCamera(wayMm)
        return self.balls @ toCamera[:3, :3].T + toCamera[:3, 3]

    def image(self, wayMm: float = 0.0, seed: int = 0) -> np.ndarray:
        """(height, width, 3) uint8, RGB."""
        toCamera = self.boardToCamera(wayMm)
        middle = BOARD.squareMm * np.array([BOARD.columns, BOARD.rows, 0.0]) / 2.0
        image = self._board.render(
            toCamera[:3, :3], toCamera[:3, :3] @ middle + toCamera[:3, 3], light=0.1, noise=1.0, seed=seed
        )
        width, height = self.camera.size
        rays = self._board._rays
        lengths = (rays * rays).sum(axis=0)
        covered = np.zeros(rays.shape[1], bool)
        for centre, radius in zip(self.ballsInCamera(wayMm), self.radii, strict=True):
            along = centre @ rays
            covered |= (centre @ centre - along * along / lengths < radius**2) & (along > 0)
        share = covered.reshape(2 * height, 2 * width).astype(np.float32)
        share = cv2.resize(share, (width, height), interpolation=cv2.INTER_AREA)[..., None]
        return np.rint(share * GREEN + (1 - share) * image).astype(np.uint8)


def writeClip(path, images) -> None:
    """Write RGB images as a clip of 30 frames per second, without loss."""
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 30.0, (width, height))
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()


def isGreen(rgb: np.ndarray) -> np.ndarray:
    """Where the balls of the image are."""
    red, green, blue = np.moveaxis(rgb.astype(int), -1, 0)
    return (green > red + 90) & (green > blue + 80)  # half of what they differ by: on the edge


def isRed(rgb: np.ndarray) -> np.ndarray:
    """Where the models of the balls are."""
    red, green, blue = np.moveaxis(rgb.astype(int), -1, 0)
    return (red > green + 90) & (red > blue + 90)


def outlineDistances(shape: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far the points of a shape's outline are from the outline of another one, px.

    :param shape: (height, width) bool; likewise the other.
    """
    contours, _hierarchy = cv2.findContours(shape.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate(contours)[:, 0]
    # From the other's edge, half a pixel outside of its last pixel, as the contour is inside of it by the same.
    inside = cv2.distanceTransform(other.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    x, y = points.T
    return np.where(other[y, x], inside[y, x] - 1.0, outside[y, x])
