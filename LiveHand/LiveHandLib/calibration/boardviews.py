"""Calibrates a camera from views of a board, which are chosen by themselves. Knows OpenCV, nothing of Qt or MRML."""

import dataclasses
import time
from dataclasses import dataclass

import numpy as np

from ..errors import LiveHandError
from ..threads.schedule import GilSchedule
from .board import Board, BoardFinder
from .intrinsics import Intrinsics

VIEWS_WANTED = 12
"""How many views are taken at least before a calibration comes to its end by itself."""
VIEWS_NEEDED = 8
"""How few are enough where no more come, because the file is over or views were left out."""
VIEWS_AT_MOST = 40

CELLS = (3, 4)
"""Rows and columns into which the image is divided: corners have to have been seen in every cell."""
CORNERS_PER_CELL = 2

TILTS = ("top", "bottom", "left", "right")
"""Which side of the board is nearer to the camera, in the mirrored image. Without tilts the focal length cannot be
told from the distance (Zhang, A Flexible New Technique for Camera Calibration, 2000, section 4)."""
TILT_DEG = 17.0
VIEWS_PER_TILT = 2

CORNERS_NEEDED = 8
STILL_PER_S = 0.04
"""How fast the board may move, image widths a second: a pixel or two while a rolling shutter reads an image."""
NEW_DISTANCE = 0.15
"""How much a view has to differ from all that were taken: 0.15 image widths, a quarter of the distance, 12 degrees
of tilt, or 30 degrees in the board's plane; together, as a root of squares."""
LARGEST_FOCAL_ERROR = 0.02
"""Standard deviation of the focal length, as a part of it, from which on a calibration is refused."""

LARGEST_FOCAL_LENGTH = 4.0
"""In image widths; where views do not determine the focal length, it tends to grow without bounds."""

_PREVIEW_WIDTH_PX = 320


@dataclass(frozen=True)
class Progress:
    """What was found in a frame, and what the calibration still wants.

    :ivar preview: (height, width, 3) uint8 RGB, small and mirrored: the image, dark in the cells where corners are
        still wanted, with the corners found.
    :ivar views: how many views have been taken.
    :ivar rejection: why this frame's view was not taken: ``"noBoard"``, ``"fewCorners"``, ``"moved"``, ``"blurred"`` or
        ``"nothingNew"``; empty if it was.
    :ivar cellsWanted: how many cells of the image want corners.
    :ivar tiltsWanted: those of :data:`TILTS` of which more views are wanted.
    :ivar done: how much of what is wanted has been reached, 0 to 1.
    :ivar layout: which layout the board has, see :class:`BoardFinder`.
    """

    preview: np.ndarray
    views: int
    rejection: str
    cellsWanted: int
    tiltsWanted: tuple[str, ...]
    done: float
    layout: str = ""


@dataclass(frozen=True)
class Calibration:
    """The result of a calibration.

    :ivar intrinsics: the camera model, with its RMS reprojection error.
    :ivar views: how many views it rests on.
    :ivar outliersPx: RMS reprojection errors of the views that were left out because theirs was too large, px.
    :ivar focalErrorPx: standard deviation of the focal length, px.
    :ivar layout: which layout the board has, see :class:`BoardFinder`.
    """

    intrinsics: Intrinsics
    views: int
    outliersPx: tuple[float, ...]
    focalErrorPx: float
    layout: str = ""


@dataclass(frozen=True)
class View:
    """The board in one image.

    :ivar indices: (n,) which of the board's corners are seen.
    :ivar cornersPx: (n, 2) where, px in OpenCV's convention.
    """

    indices: np.ndarray
    cornersPx: np.ndarray


class ViewCollector:
    """Takes from a stream of frames the views of a board that add something to a calibration.

    To be used in one thread, after :func:`detector.importPackages`.

    :param board: the board that is held before the camera.
    :param schedule: where this thread registers its long calls; shared with the GUI thread, which lends it the GIL.
    """

    def __init__(self, board: Board, schedule: GilSchedule | None = None) -> None:
        self.views: list[View] = []
        self._board = board
        self._schedule = schedule or GilSchedule()
        self._finder = BoardFinder(board, self._schedule)
        self._cornersMm = board.cornersMm()
        self._imageSize = (0, 0)
        self._poses: list[np.ndarray] = []
        self._cells = np.zeros(CELLS, int)  # corners seen in each
        self._tilts = dict.fromkeys(TILTS, 0)  # views of each
        self._last = View(np.zeros(0, int), np.zeros((0, 2))), 0

    def add(self, image: np.ndarray, timestampMs: int) -> Progress:
        """Find the board in the next image, and keep the view if it adds something.

        :param image: (height, width, 3) uint8, RGB; of the same size each time.
        :param timestampMs: time in the stream, ms.
        """
        import cv2

        self._imageSize = image.shape[1::-1]
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        view = View(*self._finder.find(grey))
        rejection = self._take(view, grey, timestampMs)
        self._last = view, timestampMs
        tilts = np.minimum(np.array(list(self._tilts.values())) / VIEWS_PER_TILT, 1.0)
        parts = (min(len(self.views) / VIEWS_WANTED, 1.0), 1.0 - self._cellsWanted().mean(), tilts.mean())
        return Progress(
            preview=self._preview(image, view, isTaken=not rejection),
            views=len(self.views),
            rejection=rejection,
            cellsWanted=int(self._cellsWanted().sum()),
            tiltsWanted=tuple(side for side, count in self._tilts.items() if count < VIEWS_PER_TILT),
            done=1.0 if self.isComplete() else sum(parts) / len(parts),
            layout=self._finder.layout,
        )

    def isComplete(self) -> bool:
        """Whether enough views have been taken."""
        isCovered = not self._cellsWanted().any() and min(self._tilts.values()) >= VIEWS_PER_TILT
        return len(self.views) >= (VIEWS_WANTED if isCovered else VIEWS_AT_MOST)

    def calibrate(self) -> Calibration:
        """Calibrate from the views taken, see :func:`calibrate`."""
        result = calibrate(self._board, self.views, self._imageSize, self._schedule)
        return dataclasses.replace(result, layout=self._finder.layout)

    def _cellsWanted(self) -> np.ndarray:
        return self._cells < CORNERS_PER_CELL

    def _take(self, view: View, grey: np.ndarray, timestampMs: int) -> str:
        """Take a view if it adds something.

        :returns: why it was not taken; empty if it was.
        """
        if not len(view.indices):
            return "fewCorners" if self._finder.isUndecided else "noBoard"
        cornersMm = self._cornersMm[view.indices]
        spread = np.linalg.svd(cornersMm - cornersMm.mean(axis=0), compute_uv=False)
        if len(cornersMm) < CORNERS_NEEDED or spread[1] < self._board.squareMm:  # all in one line, for example
            return "fewCorners"
        if self._speed(view, timestampMs) > STILL_PER_S:
            return "moved"
        pose, tilts = self._pose(cornersMm, view.cornersPx)
        cells = (view.cornersPx * CELLS[::-1] // self._imageSize).astype(int)
        column, row = cells.clip(0, np.subtract(CELLS[::-1], 1)).T
        isNew = not self._poses or np.linalg.norm(np.array(self._poses) - pose, axis=1).min() >= NEW_DISTANCE
        if not isNew and not self._cellsWanted()[row, column].any():
            return "nothingNew"
        if edgeWidthPx(grey, view.cornersPx) > 3.0 + 0.004 * self._imageSize[0]:
            return "blurred"
        self.views.append(view)
        self._poses.append(pose)
        np.add.at(self._cells, (row, column), 1)
        for side in tilts:
            self._tilts[side] += 1
        return ""

    def _speed(self, view: View, timestampMs: int) -> float:
        """How fast the board has moved since the last frame, image widths a second; infinite if it was not there."""
        last, lastMs = self._last
        _common, now, then = np.intersect1d(view.indices, last.indices, assume_unique=True, return_indices=True)
        if not len(now) or timestampMs <= lastMs:
            return np.inf
        movedPx = np.median(np.hypot(*(view.cornersPx[now] - last.cornersPx[then]).T))
        return float(movedPx / self._imageSize[0] / (timestampMs - lastMs) * 1000.0)

    def _pose(self, cornersMm: np.ndarray, cornersPx: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Where and how the board is held, to compare views by, as far as it is known before the calibration.

        :returns: (7,) in steps that are about equally much, see :data:`NEW_DISTANCE`; and how the board is tilted.
        """
        import cv2

        matrix = Intrinsics.guessed(self._imageSize).matrix
        _ok, rotation, translation = cv2.solvePnP(cornersMm, cornersPx, matrix, None, flags=cv2.SOLVEPNP_IPPE)
        rotation = cv2.Rodrigues(rotation)[0]
        normal = rotation[:, 2] * -np.sign(rotation[2, 2])  # towards the camera
        # What is left in the image is right in its mirror image. A side that is nearer turns the normal away from it.
        leaning = {"top": normal[1], "bottom": -normal[1], "right": normal[0], "left": -normal[0]}
        tilts = [side for side, sine in leaning.items() if sine > np.sin(np.radians(TILT_DEG))]
        x, y = cornersPx.mean(axis=0) / self._imageSize[0]
        distance = 0.5 * np.log2(max(float(translation[2, 0]), 1.0))
        return np.array([x, y, distance, *(0.7 * normal[:2]), *(0.3 * rotation[:2, 0])]), tilts

    def _preview(self, image: np.ndarray, view: View, isTaken: bool) -> np.ndarray:
        import cv2

        width, height = self._imageSize
        scale = min(1.0, _PREVIEW_WIDTH_PX / width)
        size = round(width * scale), round(height * scale)
        preview = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        wanted = cv2.resize(self._cellsWanted().astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        preview[wanted > 0] //= 3
        color = (80, 255, 80) if isTaken else (255, 200, 0)
        for x, y in ((view.cornersPx + 0.5) * scale).astype(int).tolist():
            cv2.circle(preview, (x, y), 2, color, -1)
        return np.ascontiguousarray(preview[:, ::-1])


def edgeWidthPx(grey: np.ndarray, cornersPx: np.ndarray) -> float:
    """How wide the edges at the board's corners are, because the image is out of focus or the board moved.

    The contrast divided by the steepest slope, across the direction in which that is less steep: a moving board is
    blurred in one direction only. A blur with a standard deviation of s px makes it about 2.5 s.

    :param grey: (height, width) uint8.
    :param cornersPx: (n, 2) px.
    :returns: the median over the corners, px.
    """
    half = 6
    offsets = np.arange(-half, half + 1)
    x, y = np.rint(cornersPx).astype(int).T
    rows = np.clip(y[:, None] + offsets, 0, grey.shape[0] - 1)
    columns = np.clip(x[:, None] + offsets, 0, grey.shape[1] - 1)
    patches = grey[rows[:, :, None], columns[:, None, :]].astype(float)
    contrast = np.ptp(patches, axis=(1, 2))
    slopes = [np.abs(np.diff(patches, axis=axis)).max(axis=(1, 2)) for axis in (1, 2)]
    return float(np.median(contrast / np.maximum(np.minimum(*slopes), 1e-9)))


def calibrate(
    board: Board, views: list[View], imageSize: tuple[int, int], schedule: GilSchedule | None = None
) -> Calibration:
    """Calibrate a camera with OpenCV's ``calibrateCamera``, and leave out the views that do not fit the others.

    The distortion has the coefficients k1, k2, p1, p2 and k3. The last is what images wider than about 70 degrees
    need; for narrower ones it does no harm, for corners were seen all over the image.

    :param views: of the board, from one camera.
    :param imageSize: the images' width and height, px.
    :raises LiveHandError: ``calibrationTooFewViews``, ``calibrationUncertain`` when the views do not determine the
        camera.
    """
    import cv2

    schedule = schedule or GilSchedule()
    views = list(views)
    cornersMm = board.cornersMm().astype(np.float32)
    outliersPx: list[float] = []
    while True:
        if len(views) < VIEWS_NEEDED:
            raise LiveHandError("calibrationTooFewViews", views=len(views), needed=VIEWS_NEEDED)
        objectPoints = [cornersMm[view.indices] for view in views]
        imagePoints = [view.cornersPx.astype(np.float32) for view in views]
        with schedule.blockingCall("calibrate"):
            rms, matrix, distortion, _rvecs, _tvecs, deviations, _poseDeviations, errorsPx = (
                cv2.calibrateCameraExtended(objectPoints, imagePoints, imageSize, None, None)
            )
        # One at a time, the worst first: a bad view bends the model, and good ones fit it badly.
        errorsPx = errorsPx.ravel()
        worst = int(np.argmax(errorsPx))
        if errorsPx[worst] <= 3.0 * np.median(errorsPx):
            break
        outliersPx.append(float(errorsPx[worst]))
        del views[worst]
    focalErrorPx = float(np.max(deviations[:2]))
    try:
        intrinsics = Intrinsics(
            matrix, distortion, imageSize, float(rms), calibrationTime=time.strftime("%Y-%m-%d %H:%M")
        )
    except LiveHandError as error:
        raise LiveHandError("calibrationUncertain") from error
    largest = LARGEST_FOCAL_LENGTH * max(imageSize)
    if not (focalErrorPx < LARGEST_FOCAL_ERROR * matrix[0, 0] and matrix[0, 0] < largest):
        raise LiveHandError("calibrationUncertain")
    return Calibration(intrinsics, len(views), tuple(outliersPx), focalErrorPx)
