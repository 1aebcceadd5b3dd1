"""Tells from a hand's landmarks whether thumb and index finger touch. Knows numpy, nothing of Qt or MRML."""

import math
from pathlib import Path

import numpy as np

from ..detection.detector import Hand
from ..errors import LiveHandError

FILE_NAME = "PinchNetwork.npz"

_FROM, _TO = np.array(
    [(4, 8), (4, 7), (3, 8), (4, 6), (3, 7), (4, 5), (8, 5), (2, 8), (4, 12), (8, 12), (12, 0), (8, 0)]
).T
"""Landmarks whose distances say it: of thumb and index finger from each other, and how far these and the middle finger
are bent, for in a fist the tips are near each other as well."""

PALM, _KNUCKLES = [0, 5, 9, 13, 17], [5, 9, 17]
_NEXT, _LAST = [1, 2, 0], [2, 0, 1]  # of x, y and z

_DEPTH_WEIGHT = 0.4
"""MediaPipe's relative depth is uncertain where one finger hides the other, so it counts less."""


def palmSize(points: np.ndarray) -> np.ndarray:
    """The root mean square distance of wrist and knuckles from their centre: (...) of (..., 21, 3) landmarks."""
    off = points[..., PALM, :] - np.add.reduce(points[..., PALM, :], axis=-2, keepdims=True) / len(PALM)
    return np.asarray(np.sqrt(np.add.reduce(off * off, axis=(-2, -1)) / len(PALM)))


def features(image: np.ndarray, world: np.ndarray, isRight: np.ndarray | bool) -> np.ndarray:
    """What the network takes: distances of landmarks over :func:`palmSize`, and how the palm is turned to the camera,
    which says how far they can be trusted.

    :param image: (..., 21, 3) landmarks in the image and their depths, px.
    :param world: (..., 21, 3) MediaPipe's world landmarks, mm.
    :param isRight: (...) whether it is a right hand.
    :returns: (..., 26): the distances in the image, and those of the world landmarks; along the camera's axis the unit
        vectors out of the palm's back and from the wrist to the middle finger's knuckle.
    """
    both = np.stack([image, world], axis=-3)
    size = palmSize(both) + 1e-6
    between = both[..., _FROM, :] - both[..., _TO, :]
    between[..., 0, :, 2] *= _DEPTH_WEIGHT
    distances = np.sqrt(np.add.reduce(between * between, axis=-1)) / size[..., None]
    directions = world[..., _KNUCKLES, :] - world[..., :1, :]
    index, pinky = directions[..., 0, :], directions[..., 2, :]
    # Their vector product, in a fifth of the time that np.cross takes.
    directions[..., 0, :] = index[..., _NEXT] * pinky[..., _LAST] - index[..., _LAST] * pinky[..., _NEXT]
    lengths = np.sqrt(np.add.reduce(directions * directions, axis=-1)) + 1e-6
    turned = (directions[..., 2] / lengths)[..., :2]
    turned[..., 0] *= np.where(isRight, 1.0, -1.0)
    return np.concatenate([distances.reshape(*distances.shape[:-2], -1), turned], axis=-1)


class PinchNetwork:
    """Some small multilayer perceptrons whose mean counts: of rectified linear units, with a logistic output.

    They were trained by ``Testing/tools/make_pinch_network.py`` on rendered hands as MediaPipe sees them. In steep
    views MediaPipe's fingertips are a palm's width apart while they touch; other distances tell nevertheless.

    :param path: the file that this tool writes; read when it is needed first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._layers: list[tuple[np.ndarray, np.ndarray]] = []

    def probability(self, hand: Hand, side: str) -> float:
        """How likely thumb and index finger touch, from 0 to 1; NaN where a landmark is.

        :param side: ``"Left"`` or ``"Right"``, whatever the hand's own label says.
        :raises LiveHandError: ``networkMissing`` when the file cannot be read.
        """
        if not self._layers:
            self._load()
        image = np.concatenate([hand.imagePx, hand.depthPx[:, None]], axis=1)
        values = features(image, hand.worldMm, side == "Right")[
            None
        ]  # a row, of which each network makes one of its own
        for weights, biases in self._layers[:-1]:
            values = np.maximum(np.matmul(values, weights) + biases, 0.0)
        weights, biases = self._layers[-1]
        logit = float(np.add.reduce(np.matmul(values, weights) + biases, axis=None)) / len(weights)
        return 0.5 + 0.5 * math.tanh(0.5 * logit)

    def _load(self) -> None:
        try:
            with np.load(self._path) as file:
                count = len(file.files) // 2
                self._layers = [(file[f"weights{i}"], file[f"biases{i}"][:, None]) for i in range(count)]
        except Exception as error:  # numpy's, zipfile's and the system's, whatever is wrong with the file
            raise LiveHandError("networkMissing", path=str(self._path)) from error
