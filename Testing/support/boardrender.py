"""Renders a calibration board as a known camera would see it. The camera model is written out once more here, so that
the tests do not compare the library with itself.

Frame: the camera's, mm, x right, y down, z forward. Pixels in OpenCV's convention, the first one's centre at 0.
"""

import cv2
import numpy as np

from LiveHandLib.calibration.board import CHARUCO, Board

TEXTURE_PX_PER_SQUARE = 128
MARGIN_SQUARES = 0.5


class BoardRenderer:
    """One camera before which a board is held.

    :param board: the board.
    :param matrix: (3, 3) camera matrix, px.
    :param distortion: (5,) k1, k2, p1, p2, k3.
    :param imageSize: width and height of the image, px.
    :param supersampling: how many rays a pixel has across.
    :param isLegacy: a ChArUco board with an even number of rows has the layout of OpenCV before 4.6.
    """

    def __init__(
        self,
        board: Board,
        matrix,
        distortion,
        imageSize: tuple[int, int],
        supersampling: int = 2,
        isLegacy: bool = False,
    ) -> None:
        self.board, self.imageSize, self._supersampling = board, imageSize, supersampling
        size = board.columns * TEXTURE_PX_PER_SQUARE, board.rows * TEXTURE_PX_PER_SQUARE
        if board.kind == CHARUCO:
            markers = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_250)
            charuco = cv2.aruco.CharucoBoard((board.columns, board.rows), 1.0, 0.75, markers)
            charuco.setLegacyPattern(isLegacy)
            texture = charuco.generateImage(size)
        else:
            y, x = np.indices(size[::-1]) // TEXTURE_PX_PER_SQUARE
            texture = np.where((x + y) % 2, 255, 0).astype(np.uint8)
        margin = round(MARGIN_SQUARES * TEXTURE_PX_PER_SQUARE)
        self._texture = cv2.copyMakeBorder(texture, *[margin] * 4, cv2.BORDER_CONSTANT, value=255)
        # The direction of every pixel, found by turning the distortion round bit by bit.
        n = supersampling
        width, height = imageSize
        y, x = (np.indices((height * n, width * n)) + 0.5) / n - 0.5
        distorted = np.stack([(x - matrix[0][2]) / matrix[0][0], (y - matrix[1][2]) / matrix[1][1]])
        ideal = distorted.copy()
        for _iteration in range(15):
            ideal += distorted - distort(ideal, distortion)
        self._rays = np.stack([*ideal, np.ones_like(x)]).reshape(3, -1)

    def render(
        self,
        rotation: np.ndarray,
        centreMm: np.ndarray,
        *,
        blurPx: float = 0.7,
        noise: float = 2.0,
        light: float = 0.3,
        background: np.ndarray | float = 70.0,
        seed: int = 0,
    ) -> np.ndarray:
        """An image of the board.

        :param rotation: (3, 3) from the board's frame to the camera's.
        :param centreMm: where the board's middle is, mm.
        :param blurPx: standard deviation of the lens' blur, px.
        :param noise: standard deviation, grey levels of 255.
        :param light: by how much the light falls off from the left to the right, 0 to 1.
        :param background: grey behind the board: a level or (height, width).
        :returns: (height, width, 3) uint8, RGB.
        """
        board, (width, height) = self.board, self.imageSize
        middle = board.squareMm * np.array([board.columns, board.rows, 0.0]) / 2.0
        origin = np.asarray(centreMm, float) - rotation @ middle
        # board (x, y, 1) -> camera; its inverse takes each pixel's direction to a place on the board.
        plane = np.column_stack([rotation[:, 0], rotation[:, 1], origin])
        x, y, scale = np.linalg.inv(plane) @ self._rays
        toTexture = TEXTURE_PX_PER_SQUARE / board.squareMm
        margin = MARGIN_SQUARES * TEXTURE_PX_PER_SQUARE
        with np.errstate(divide="ignore", invalid="ignore"):
            u = np.where(scale > 0, x / scale, -1e6) * toTexture + margin - 0.5
            v = np.where(scale > 0, y / scale, -1e6) * toTexture + margin - 0.5
        shape = (height * self._supersampling, width * self._supersampling)
        arrays = [np.clip(array, -1e4, 1e4).astype(np.float32).reshape(shape) for array in (u, v)]
        # Grey from 25 to 230, and below 0 where the board is not.
        texture = 25.0 + self._texture.astype(np.float32) * (205.0 / 255.0)
        sampled = cv2.remap(texture, *arrays, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=-1e4)
        covered = cv2.resize((sampled > -1.0).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        seen = cv2.resize(np.maximum(sampled, 0.0), (width, height), interpolation=cv2.INTER_AREA)
        image = seen + (1.0 - covered) * background
        if blurPx:
            image = cv2.GaussianBlur(image, (0, 0), blurPx)
        image *= np.linspace(1.0, 1.0 - light, width, dtype=np.float32)
        image += np.random.default_rng(seed).normal(0.0, noise, image.shape) if noise else 0.0
        return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def distort(normalized: np.ndarray, distortion) -> np.ndarray:
    """OpenCV's distortion model with five coefficients.

    :param normalized: (2, ...) x/z and y/z.
    """
    k1, k2, p1, p2, k3 = distortion
    x, y = normalized
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ]
    )


def turned(aboutXDeg: float, aboutYDeg: float, aboutZDeg: float = 0.0) -> np.ndarray:
    """A board's rotation, (3, 3): first in its plane, then about the image's y axis, then about its x axis."""
    x, y, z = (
        cv2.Rodrigues(np.radians(angle) * axis)[0]
        for angle, axis in zip((aboutXDeg, aboutYDeg, aboutZDeg), np.eye(3), strict=True)
    )
    return x @ y @ z


def handHeldPoses(board: Board, matrix, imageSize, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rotations and centres (mm) of a board as somebody holds it who has to fill the image and to tilt it."""
    random = np.random.default_rng(seed)
    width, height = imageSize
    poses = []
    for number, (column, row) in enumerate([(c, r) for r in (0.3, 0.5, 0.7) for c in (0.28, 0.42, 0.58, 0.72)] * 2):
        distance = board.columns * board.squareMm * matrix[0][0] / width * random.uniform(1.6, 2.2)
        tilts = [(0, 0), (30, 0), (-30, 0), (0, 30), (0, -30)][number % 5] + random.normal(0, 4, 2)
        x = (column * width - matrix[0][2]) / matrix[0][0] * distance
        y = (row * height - matrix[1][2]) / matrix[1][1] * distance
        poses.append((turned(*tilts, random.normal(0, 8)), np.array([x, y, distance])))
    return poses
