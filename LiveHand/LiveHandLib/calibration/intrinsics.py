"""How a camera maps directions to its image: OpenCV's pinhole model with distortion. Knows numpy, nothing of Qt.

Two conventions meet here. In LiveHand, as in MediaPipe, images begin at 0 with the left edge of the first pixel, so
that its centre is at 0.5 px. In OpenCV the centre of the first pixel is at 0 px. ``Intrinsics.matrix`` and the files
are OpenCV's; every point that goes in or comes out is LiveHand's.
"""

import re
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import LiveHandError

SIDES_PX = range(16, 16385)
"""Widths and heights of images that a camera may have, px."""

GUESSED_FIELD_OF_VIEW_DEG = 60.0
"""What a camera that is not calibrated is assumed to see along its image's longer side, degrees.

Makers state the diagonal: from 55 (Logitech C270) over 60 (C310) to 78 (C920, C922, StreamCam), which is 49, 53 and 70
along the longer side of 16:9. The guess lies in the middle; distances come out between a fifth too short and a quarter
too long.
"""

_HALF_PIXEL = 0.5
_LARGEST_FILE = 1_000_000  # bytes; a calibration with all its views takes a tenth of it
_NUMBERS_OF_COEFFICIENTS = (4, 5, 8, 12, 14)  # of OpenCV's distortion model
_LARGEST_OTHER = 0.1  # of the coefficients that are not radial; those of real lenses are hundredths at most
_WIDEST_ANGLE_DEG = 80.0  # off the axis; a pinhole model holds for no lens that sees more


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """The camera model of one camera at one resolution. Equal if all its figures are.

    :ivar matrix: (3, 3) camera matrix in OpenCV's convention, px.
    :ivar distortion: (n,) OpenCV's distortion coefficients k1, k2, p1, p2, k3, ...; n is 4, 5, 8, 12 or 14. The last
        two of 14, for a tilted sensor, have to be 0.
    :ivar imageSize: width and height of the images it holds for, px.
    :ivar rmsPx: root mean square of the reprojection error of its calibration, px; None if it is not known.
    :ivar isCalibrated: False if it is a guess from the field of view.
    :ivar calibrationTime: when it was calibrated, in words; may be empty.
    :raises LiveHandError: ``calibrationMatrix``, ``calibrationNotFinite``, ``calibrationImageSize``,
        ``calibrationFocalLength``, ``calibrationPrincipalPoint`` or ``calibrationDistortion`` for figures that no
        camera has.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    imageSize: tuple[int, int]
    rmsPx: float | None = None
    isCalibrated: bool = True
    calibrationTime: str = ""

    def __post_init__(self) -> None:
        for name in ("matrix", "distortion"):
            array = np.array(getattr(self, name), float)  # a copy, for nobody may change it afterwards
            array = array.ravel() if name == "distortion" else array
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "imageSize", (int(self.imageSize[0]), int(self.imageSize[1])))
        self._check()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intrinsics) and self._figures() == other._figures()

    def __hash__(self) -> int:
        return hash(self._figures())

    def _figures(self) -> tuple[object, ...]:
        arrays = self.matrix.tobytes(), self.distortion.tobytes()
        return *arrays, self.imageSize, self.rmsPx, self.isCalibrated, self.calibrationTime

    def _check(self) -> None:
        tilt = self.distortion[12:]
        if self.matrix.shape != (3, 3) or self.distortion.size not in _NUMBERS_OF_COEFFICIENTS or tilt.any():
            raise LiveHandError("calibrationMatrix")
        rms = 0.0 if self.rmsPx is None else self.rmsPx
        if not np.isfinite([*self.matrix.flat, *self.distortion, rms]).all():
            raise LiveHandError("calibrationNotFinite")
        width, height = self.imageSize
        if not (width in SIDES_PX and height in SIDES_PX):
            raise LiveHandError("calibrationImageSize", width=width, height=height)
        (fx, skew, cx), (zero, fy, cy), lastRow = self.matrix
        if skew or zero or lastRow.tolist() != [0.0, 0.0, 1.0]:
            raise LiveHandError("calibrationMatrix")
        # From a fisheye's, which this model does not hold for, to a telescope's; pixels are nearly square.
        longer = max(width, height)
        if not (0.1 * longer < fx < 20.0 * longer and 0.5 * fx < fy < 2.0 * fx):
            raise LiveHandError("calibrationFocalLength", fx=f"{fx:.0f}", fy=f"{fy:.0f}")
        if not (0.0 < cx < width and 0.0 < cy < height):
            raise LiveHandError("calibrationPrincipalPoint", x=f"{cx:.0f}", y=f"{cy:.0f}")
        # The distortion has to be one-to-one at least within the largest circle in the image.
        distortedRadii, _factors = self._undistorting
        others = self._coefficients[2:4] + self._coefficients[8:12]
        if distortedRadii[-1] * min(fx, fy) < min(width, height) / 2.0 or max(map(abs, others)) > _LARGEST_OTHER:
            raise LiveHandError("calibrationDistortion")

    @cached_property
    def _isPinhole(self) -> bool:
        return not self.distortion.any()

    @cached_property
    def _coefficients(self) -> tuple[float, ...]:
        """All that OpenCV's model has, 0 where they are not given."""
        return tuple(np.pad(self.distortion, (0, 14 - self.distortion.size)).tolist())

    @cached_property
    def _undistorting(self) -> tuple[np.ndarray, np.ndarray]:
        """The radial distortion the other way round, as far as it is one-to-one.

        :returns: distorted radii from 0 on, growing, and what to multiply each with to undo the distortion.
        """
        radii = np.tan(np.radians(np.linspace(0.0, _WIDEST_ANGLE_DEG, 1000)))
        with np.errstate(all="ignore"):
            factors = self._radialFactor(radii**2)
            distorted = radii * factors
            rises = np.diff(distorted, prepend=-1.0) > 0
            inverse = 1.0 / factors
        end = len(rises) if rises.all() else int(np.argmin(rises))
        return distorted[:end], inverse[:end]

    @classmethod
    def guessed(cls, imageSize: tuple[int, int]) -> "Intrinsics":
        """A camera without distortion that sees :data:`GUESSED_FIELD_OF_VIEW_DEG`.

        :param imageSize: the image's width and height, px.
        """
        width, height = imageSize
        focalLength = max(width, height) / 2.0 / np.tan(np.radians(GUESSED_FIELD_OF_VIEW_DEG / 2.0))
        cx, cy = width / 2.0 - _HALF_PIXEL, height / 2.0 - _HALF_PIXEL
        matrix = np.array([[focalLength, 0.0, cx], [0.0, focalLength, cy], [0.0, 0.0, 1.0]])
        return cls(matrix, np.zeros(5), (width, height), isCalibrated=False)

    # Points

    def normalized(self, imagePx: np.ndarray) -> np.ndarray:
        """Where points in the image lie on the plane 1 in front of the camera, without distortion.

        OpenCV's ``undistortPoints`` searches for them one by one and finds anything at all where the distortion is not
        one-to-one, as it often is not in the corners of a wide image; here they stay in the direction in which they
        are seen.

        :param imagePx: (n, 2) px, LiveHand's convention.
        :returns: (n, 2) x/z and y/z in the camera's coordinate system.
        """
        distorted = (imagePx - (self.matrix[:2, 2] + _HALF_PIXEL)) / self.matrix[[0, 1], [0, 1]]
        if self._isPinhole:
            return distorted
        ideal = distorted
        for _round in range(2):  # the other distortions are a thousandth of the image, so the second is exact
            radial = distorted - self._otherDistortion(ideal)
            factors = np.interp(np.hypot(radial[:, 0], radial[:, 1]), *self._undistorting)
            ideal = radial * factors[:, None]
        return ideal

    def isOneToOne(self, imagePx: np.ndarray) -> np.ndarray:
        """Where the radial distortion is one-to-one, so that :meth:`normalized` is exact.

        :param imagePx: (n, 2) px, LiveHand's convention.
        :returns: (n,) bool.
        """
        distorted = (imagePx - (self.matrix[:2, 2] + _HALF_PIXEL)) / self.matrix[[0, 1], [0, 1]]
        return np.hypot(distorted[:, 0], distorted[:, 1]) <= self._undistorting[0][-1]

    def project(self, cameraMm: np.ndarray) -> np.ndarray:
        """Where points in front of the camera appear in the image; the inverse of :meth:`normalized`.

        :param cameraMm: (n, 3) in the camera's coordinate system, mm: x right, y down, z forward and greater than 0.
        :returns: (n, 2) px, LiveHand's convention.
        """
        normalized = cameraMm[:, :2] / cameraMm[:, 2:]
        if not self._isPinhole:
            r2 = (normalized * normalized).sum(axis=1, keepdims=True)
            normalized = normalized * self._radialFactor(r2) + self._otherDistortion(normalized)
        return normalized * self.matrix[[0, 1], [0, 1]] + (self.matrix[:2, 2] + _HALF_PIXEL)

    def _radialFactor(self, r2: np.ndarray) -> np.ndarray:
        k1, k2, _p1, _p2, k3, k4, k5, k6 = self._coefficients[:8]
        return (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))

    def _otherDistortion(self, normalized: np.ndarray) -> np.ndarray:
        """The tangential and the thin prism distortion, (n, 2)."""
        p1, p2 = self._coefficients[2:4]
        s1, s2, s3, s4 = self._coefficients[8:12]
        x, y = normalized.T
        r2, xy2 = x * x + y * y, 2 * x * y
        dx = p1 * xy2 + p2 * (r2 + 2 * x * x) + r2 * (s1 + r2 * s2)
        dy = p1 * (r2 + 2 * y * y) + p2 * xy2 + r2 * (s3 + r2 * s4)
        return np.column_stack([dx, dy])

    def scaledTo(self, imageSize: tuple[int, int]) -> "Intrinsics":
        """The same camera at another resolution, if its image is the same, only finer or coarser.

        :param imageSize: the other width and height, px.
        :raises LiveHandError: ``calibrationResolution`` when the images have different shapes: which part of it
            a camera cuts off cannot be known.
        """
        (width, height), (newWidth, newHeight) = self.imageSize, imageSize
        if abs(newWidth * height - newHeight * width) > max(width, height):  # rounded to full pixels
            raise LiveHandError(
                "calibrationResolution", width=width, height=height, newWidth=newWidth, newHeight=newHeight
            )
        scale = np.array([newWidth / width, newHeight / height])
        matrix = self.matrix.copy()
        matrix[[0, 1], [0, 1]] *= scale
        matrix[:2, 2] = (matrix[:2, 2] + _HALF_PIXEL) * scale - _HALF_PIXEL
        rmsPx = None if self.rmsPx is None else self.rmsPx * float(scale.mean())
        return Intrinsics(matrix, self.distortion, imageSize, rmsPx, self.isCalibrated, self.calibrationTime)

    # Files

    @classmethod
    def load(cls, path: str | Path) -> "Intrinsics":
        """Read a calibration file in OpenCV's format, YAML or XML, with the keys of OpenCV's calibration sample.

        OpenCV's own reader is not used: on a damaged file it can take the whole application down, and this is called
        in the GUI thread, where OpenCV must not be imported. What is read here is only ever taken for figures.

        :raises LiveHandError: ``calibrationMissing`` when the file cannot be read, ``notACalibration`` when it is
            something else or damaged, and those of the class for figures that cannot be.
        """
        try:
            with Path(path).open("rb") as file:
                text = file.read(_LARGEST_FILE).decode("utf-8", errors="replace")
        except (OSError, ValueError) as error:  # ValueError: a path with a null character
            raise LiveHandError("calibrationMissing", path=str(path)) from error
        try:
            entries = readEntries(text)
            matrix = numbersOf(entries["camera_matrix"]).reshape(3, 3)
            distortion = numbersOf(entries["distortion_coefficients"])
            imageSize = int(entries["image_width"]), int(entries["image_height"])
            rmsPx = float(entries["avg_reprojection_error"]) if "avg_reprojection_error" in entries else None
        except (KeyError, ValueError, OverflowError, ElementTree.ParseError) as error:
            raise LiveHandError("notACalibration", path=str(path), detail=str(error)) from error
        time = entries.get("calibration_time", "").strip("\" '\r\n")
        return cls(matrix, distortion, imageSize, rmsPx, calibrationTime=time)

    def save(self, path: str | Path) -> None:
        """Write a calibration file that OpenCV's ``FileStorage``, and so any other program, can read (YAML).

        :raises LiveHandError: ``calibrationNotSaved`` when it cannot be written.
        """
        time = re.sub(r'[^ -~]|["\\\\]', "", self.calibrationTime)  # nothing that would have to be escaped
        rms = "" if self.rmsPx is None else f"avg_reprojection_error: {self.rmsPx!r}\n"
        text = (
            "%YAML:1.0\n---\n"
            f'calibration_time: "{time}"\n'
            f"image_width: {self.imageSize[0]}\nimage_height: {self.imageSize[1]}\n"
            f"camera_matrix: {yamlOfMatrix(self.matrix)}"
            f"distortion_coefficients: {yamlOfMatrix(self.distortion[:, None])}" + rms
        )
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except (OSError, ValueError) as error:
            raise LiveHandError("calibrationNotSaved", path=str(path), detail=str(error)) from error


def choose(calibrations: Iterable[Intrinsics], imageSize: tuple[int, int]) -> Intrinsics:
    """Of a camera's calibrations the one for a resolution, or one that can be scaled to it, or else a guess.

    :param calibrations: those of one camera, for different resolutions.
    :param imageSize: the image's width and height, px.
    """
    for intrinsics in sorted(calibrations, key=lambda intrinsics: intrinsics.imageSize != tuple(imageSize)):
        try:
            return intrinsics.scaledTo(imageSize) if intrinsics.imageSize != tuple(imageSize) else intrinsics
        except LiveHandError:
            continue
    return Intrinsics.guessed(imageSize)


class CalibrationFolder:
    """A folder with the calibrations of all cameras, a file for each camera and resolution.

    :param path: the folder; it need not be there yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._read: dict[str, tuple[Intrinsics, ...]] = {}

    def load(self, camera: str) -> tuple[Intrinsics, ...]:
        """A camera's calibrations, the newest first. Files are read once.

        :param camera: its name.
        :raises LiveHandError: when a file cannot be read; see :meth:`Intrinsics.load`.
        """
        if camera not in self._read:
            paths = sorted(self._paths(camera), key=lambda path: path.stat().st_mtime, reverse=True)
            self._read[camera] = tuple(Intrinsics.load(path) for path in paths)
        return self._read[camera]

    def save(self, camera: str, intrinsics: Intrinsics) -> None:
        """Keep a calibration in place of the one that the camera has for the same resolution.

        :raises LiveHandError: ``calibrationNotSaved``.
        """
        width, height = intrinsics.imageSize
        intrinsics.save(self.path / f"{_fileName(camera)}-{width}x{height}.yml")
        self._read.pop(camera, None)

    def forget(self, camera: str) -> None:
        """Delete a camera's calibrations, readable or not.

        :raises LiveHandError: ``calibrationNotSaved`` when that is not possible.
        """
        self._read.pop(camera, None)
        for path in self._paths(camera):
            try:
                path.unlink()
            except OSError as error:
                raise LiveHandError("calibrationNotSaved", path=str(path), detail=str(error)) from error

    def _paths(self, camera: str) -> list[Path]:
        pattern = re.compile(re.escape(_fileName(camera)) + r"-\d+x\d+\.yml")
        return [path for path in self.path.glob("*.yml") if pattern.fullmatch(path.name)]


def _fileName(camera: str) -> str:
    """A camera's name as every file system takes it, different for different names."""
    return urllib.parse.quote(camera, safe=" ()")


def readEntries(text: str) -> dict[str, str]:
    """What stands under each key of the first level of a file of OpenCV's, YAML or XML.

    :raises ValueError: or ``ElementTree.ParseError`` for what is none.
    """
    return _entriesOfXml(text) if text.lstrip().startswith("<") else _entriesOfYaml(text)


def _entriesOfYaml(text: str) -> dict[str, str]:
    """What stands under each key of the first level; enough of YAML for what ``FileStorage`` writes."""
    return dict(re.findall(r"^(\w+):[ \t]*(.*(?:\n[ \t\r]+.*)*)", text, re.MULTILINE))


def _entriesOfXml(text: str) -> dict[str, str]:
    """The same for XML, with what a matrix is made of written as in YAML."""
    if "<!" in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL):
        raise ValueError("<!")  # OpenCV writes no declarations, and entities can grow without bounds
    return {
        entry.tag: "".join(f"{part.tag}: {part.text}\n" for part in entry) or (entry.text or "")
        for entry in ElementTree.fromstring(text)
    }


def numbersOf(text: str) -> np.ndarray:
    """The figures of a matrix as it stands under its key: ``rows: 3 cols: 3 dt: d data: [ 1., 0., ... ]``."""
    data = re.search(r"\bdata:\s*\[?([^\[\]]+)", text)
    # YAML writes .Nan and .Inf, and -.Inf.
    words = re.sub(r"\.(?=[NnIi])", "", data[1] if data else "").replace(",", " ").split()
    return np.array([float(word) for word in words])


def yamlOfMatrix(matrix: np.ndarray) -> str:
    rows, cols = matrix.shape
    data = ", ".join(repr(float(number)) for number in matrix.flat)
    return f"!!opencv-matrix\n   rows: {rows}\n   cols: {cols}\n   dt: d\n   data: [ {data} ]\n"
