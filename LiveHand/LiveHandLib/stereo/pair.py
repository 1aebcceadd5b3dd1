"""Where two cameras are to each other. Knows numpy, nothing of Qt or MRML."""

import functools
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..calibration.intrinsics import numbersOf, readEntries, yamlOfMatrix
from ..errors import LiveHandError

DISTANCE_MM = 20.0, 5000.0
"""How far two cameras that see the same hand can be from each other, mm."""

_ROTATION_NAMES, _TRANSLATION_NAMES = ("rotation", "R"), ("translation", "T", "t")
_LARGEST_FILE = 1_000_000  # bytes


@dataclass(frozen=True, eq=False)
class CameraPair:
    """The second camera's place as the first one sees it: x in the second = rotation x in the first + translation.

    :ivar rotation: (3, 3) from the first camera's coordinate system to the second's.
    :ivar translationMm: (3,) mm.
    :ivar offsetMs: of two files: when the second one's first frame was taken, ms after the first one's.
    :raises LiveHandError: ``pairImpossible`` if it is no rotation, or the cameras are not within :data:`DISTANCE_MM`.
    """

    rotation: np.ndarray
    translationMm: np.ndarray
    offsetMs: float = 0.0

    def __post_init__(self) -> None:
        for name, shape in (("rotation", (3, 3)), ("translationMm", (3,))):
            array = np.array(getattr(self, name), float)
            if array.size != np.prod(shape) or not np.isfinite(array).all():
                raise LiveHandError("pairImpossible")
            array = array.reshape(shape)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        isRotation = np.abs(self.rotation @ self.rotation.T - np.eye(3)).max() < 1e-3
        distance = np.linalg.norm(self.translationMm)
        if not (isRotation and np.linalg.det(self.rotation) > 0 and DISTANCE_MM[0] <= distance <= DISTANCE_MM[1]):
            raise LiveHandError("pairImpossible")

    @classmethod
    def ofMatrix(cls, matrix: np.ndarray) -> "CameraPair":
        """From a (4, 4) matrix, mm, from the first camera's coordinate system to the second's."""
        return cls(matrix[:3, :3], matrix[:3, 3])

    def toSecond(self, pointsMm: np.ndarray) -> np.ndarray:
        """(n, 3) points of the first camera's coordinate system in the second's, mm."""
        return pointsMm @ self.rotation.T + self.translationMm

    def toFirst(self, pointsMm: np.ndarray) -> np.ndarray:
        """(n, 3) points of the second camera's coordinate system in the first's, mm."""
        return (pointsMm - self.translationMm) @ self.rotation

    def epipolarErrors(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The absolute values of :meth:`signedEpipolarErrors`."""
        return np.abs(self.signedEpipolarErrors(first, second))

    def signedEpipolarErrors(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """How far the second view's points are from where the first view's could be seen, (n,), to the one or to the
        other side of these lines: no unit, times the focal length it is px.

        Sampson's approximation of the distance by which both have to be moved (Hartley, Zisserman: Multiple View
        Geometry, 2004, 11.4.3).

        :param first: (n, 2) x/z and y/z in the first camera's coordinate system.
        :param second: (n, 2) the same points' in the second camera's.
        """
        essential = self._essential
        lines, backLines = first @ essential[:, :2].T + essential[:, 2], second @ essential[:2] + essential[2]
        slopes = np.square(lines[:, :2]).sum(axis=1) + np.square(backLines[:, :2]).sum(axis=1)
        apart = (second * lines[:, :2]).sum(axis=1) + lines[:, 2]
        return apart / np.sqrt(np.maximum(slopes, 1e-12))

    @functools.cached_property
    def _essential(self) -> np.ndarray:
        x, y, z = self.translationMm
        return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) @ self.rotation

    # Files

    @classmethod
    def load(cls, path: str | Path) -> "CameraPair":
        """Read a pair file: numpy's (.npz), JSON, or OpenCV's (YAML or XML).

        ``rotation`` (or ``R``) has 9 figures, ``translation`` (or ``T``) has 3, in mm, both from the first to the
        second camera, as OpenCV's ``stereoCalibrate`` gives them; ``offset_ms`` may be given for two clips.

        :raises LiveHandError: ``pairMissing`` when it cannot be read, ``notAPair``, and that of the class.
        """
        try:
            with Path(path).open("rb") as file:
                content = file.read(_LARGEST_FILE)
        except (OSError, ValueError) as error:  # ValueError: a path with a null character
            raise LiveHandError("pairMissing", path=str(path)) from error
        try:
            entries = _entriesOf(content)
            rotation, translation = (entries[_first(names, entries)] for names in (_ROTATION_NAMES, _TRANSLATION_NAMES))
            offset = float(np.ravel(entries.get("offset_ms", 0.0))[0])
            arrays = np.array(rotation, float).reshape(3, 3), np.array(translation, float).reshape(3), offset
        except (KeyError, ValueError, TypeError, IndexError, zipfile.BadZipFile, SyntaxError) as error:
            raise LiveHandError("notAPair", path=str(path)) from error
        return cls(*arrays)

    def save(self, path: str | Path) -> None:
        """Write a pair file that OpenCV's ``FileStorage`` can read (YAML).

        :raises LiveHandError: ``calibrationNotSaved`` when it cannot be written.
        """
        path = Path(path)
        text = (
            "%YAML:1.0\n---\n"
            f"rotation: {yamlOfMatrix(self.rotation)}translation: {yamlOfMatrix(self.translationMm[:, None])}"
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except (OSError, ValueError) as error:
            raise LiveHandError("calibrationNotSaved", path=str(path), detail=str(error)) from error


def _first(names: tuple[str, ...], entries: dict[str, Any]) -> str:
    """The first of some names that there is."""
    return next((name for name in names if name in entries), names[0])


def _entriesOf(content: bytes) -> dict[str, Any]:
    if content.startswith(b"PK"):
        with np.load(io.BytesIO(content)) as file:  # without pickled objects
            return dict(file)
    text = content.decode("utf-8", errors="replace")
    if text.lstrip().startswith("{"):
        return dict(json.loads(text))
    return {name: numbersOf(entry) if "data" in entry else entry for name, entry in readEntries(text).items()}


class PairCollector:
    """Finds where two cameras are from a board that both see, and refines it with every frame.

    The two poses of the board at one time give the pair; it is the mean of those that are near to their medians. When
    the newest are all somewhere else, a camera was moved, and the older ones are forgotten.
    """

    NEEDED = 20
    """How many times both have to see the board."""
    KEPT = 200
    MOVED_MM, MOVED_DEG = 10.0, 1.5
    """How far single results may be from their middle: some times the poses' errors, see
    ``run.py evaluate navigation``, at the distances of a hand."""

    def __init__(self) -> None:
        self._matrices = np.zeros((0, 4, 4))

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """The (4, 4) poses of the board, to the first and to the second camera, mm, at one time."""
        self._matrices = np.concatenate([self._matrices[-self.KEPT + 1 :], [second @ np.linalg.inv(first)]])
        newest = self.NEEDED // 2
        if len(self._matrices) > newest and not self._near()[-newest:].any():
            self._matrices = self._matrices[-newest:]

    @property
    def count(self) -> int:
        """How many times both have seen the board where the cameras are now."""
        return len(self._matrices)

    def pair(self) -> CameraPair | None:
        """The pair, or None while there are too few results, or too different ones.

        :raises LiveHandError: ``pairImpossible`` for cameras that are at one place.
        """
        near = self._matrices[self._near()]
        if len(near) < self.NEEDED:
            return None
        return CameraPair(_meanRotation(near[:, :3, :3]), near[:, :3, 3].mean(axis=0))

    def _near(self) -> np.ndarray:
        """(n,) which results are near to the middle."""
        rotations, translations = self._matrices[:, :3, :3], self._matrices[:, :3, 3]
        middle = _meanRotation(np.median(rotations, axis=0)[None])
        apart = np.linalg.norm(translations - np.median(translations, axis=0), axis=1)
        cosines = (np.einsum("nij,ij->n", rotations, middle) - 1.0) / 2.0
        return (apart < self.MOVED_MM) & (np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0))) < self.MOVED_DEG)


def _meanRotation(rotations: np.ndarray) -> np.ndarray:
    """The rotation nearest to the mean of (n, 3, 3), by singular values."""
    u, _s, vt = np.linalg.svd(rotations.mean(axis=0))
    return u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
