"""Where a printed board or marker is before the camera: the reference that patient or phantom carries.

Knows OpenCV, nothing of Qt. Runs in the worker's thread.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..calibration.board import CHARUCO, LEGACY, Board, BoardFinder, printed
from ..calibration.intrinsics import Intrinsics
from ..errors import LiveHandError
from ..pose.estimator import ReferencePose
from ..threads.schedule import GilSchedule
from .registration import apply

LOST_AFTER_MS = 500.0
"""For how long the last pose is kept by default: a hand that passes before the board hides it about as long."""

SEARCH_EVERY_MS = 100.0
"""How often a whole frame is searched for a board that is not in sight."""
SEARCH_MARGIN = 0.75
"""How far around its last place a reference is searched, as a part of its size: how far it can move from one frame to
the next. In tighter regions than half its size, OpenCV's detector misses single markers."""
CONFIRM_EVERY_MS = 1000.0
"""How often the markers of a board that is in sight are read again, which also finds corners that had been covered."""

AVERAGED = 30
"""How many frames of a still board are averaged at most, with exponential weights from there on."""
SOLVE_EVERY_MS = 100.0
"""How often the pose of a still board is computed from the averages; that of a moving one is for every frame."""
STILL_RATIO = 1.6
"""A board is still if its corners are from their averages, as a root mean square, by less than so many times what
their reprojection error gives reason to expect."""
STILL_AT_MOST_PX = 0.5
"""... and by less than this, at 640 px of image width, for an error may also be the calibration's."""

LARGEST_ERROR_PX = 1.5
"""Reprojection error, at 640 px of image width, from which on corners are not taken for those of the board."""

SURE = 30.0
UNSURE = 3.0
SWITCH = -10.0
"""Logarithms of the likelihood ratio of the two poses that a flat board in a frame leaves open: what is remembered at
most, below what the choice is uncertain, and from where on the other pose is the better one."""

LEAST_CONTRAST = 5.0  # grey levels between the dark and the bright side of a corner; noise has less

MARKER_SIDES_MM = (10.0, 500.0)
_MARKER_MODULES = 6  # across: four bits and the border

PRINTED_LINE_MM = 100.0  # of the line that is printed below a board
PRINTED_LINES_MM = (0.5 * PRINTED_LINE_MM, 2.0 * PRINTED_LINE_MM)  # what a printer may make of it


@dataclass(frozen=True)
class Marker:
    """A single ArUco marker as a reference, of OpenCV's ``DICT_4X4_250`` (or ``DICT_4X4_50`` and ``_100``).

    It needs a white margin as wide as one of its modules, a sixth of its side. Its coordinate system: mm, x to the
    right and y down from its top left corner, z into the paper.

    :ivar number: which one, 0 to 249.
    :ivar sideMm: the black square's side, mm. 30 to 80 mm suit a webcam.
    :raises LiveHandError: ``referenceImpossible``.
    """

    number: int = 0
    sideMm: float = 50.0

    def __post_init__(self) -> None:
        if not (0 <= self.number < 250 and MARKER_SIDES_MM[0] <= self.sideMm <= MARKER_SIDES_MM[1]):
            raise LiveHandError("referenceImpossible")

    def cornersMm(self) -> np.ndarray:
        """(4, 3) mm, clockwise from the top left one."""
        return self.sideMm * np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])

    def pdf(self, paper: str) -> bytes:
        """The marker as a PDF, see :meth:`Board.pdf`.

        :raises LiveHandError: ``boardTooLarge`` when it does not fit.
        """
        import cv2

        every = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_250)
        black = cv2.aruco.generateImageMarker(every, self.number, _MARKER_MODULES) == 0
        return printed(black, self.sideMm / _MARKER_MODULES, paper, f"marker {self.number}, {self.sideMm:g} mm wide.")


class ReferenceTracker:
    """Follows a reference through a stream.

    Its markers are read only where that is needed: at first, once a second, and when it has moved by more than its
    corners can be followed. From frame to frame the corners are followed by themselves, which takes a tenth of a
    millisecond, and each has to have its dark and bright neighbourhood. Where nothing is found, whole frames are
    searched ten times a second.

    A flat board leaves two poses open, with its tilt to one side or the other (Schweighofer, Pinz: Robust Pose
    Estimation from a Planar Target, 2006). OpenCV's IPPE gives both (Collins, Bartoli: Infinitesimal Plane-Based Pose
    Estimation, 2014); their reprojection errors are compared over all frames since it was found, and between two that
    are about equal the one stays that is nearer to the last pose.

    The corners of a still board are averaged in the image, so that the pose becomes steadier without being late; as
    soon as they move, the pose is that of the newest frame alone.

    To be used in one thread, after :func:`detector.importPackages`.

    :param reference: a ChArUco board or a marker.
    :param lostAfterMs: for how long the last pose is kept, ms.
    :param schedule: where this thread registers its long calls; shared with the GUI thread, which lends it the GIL.
    :raises LiveHandError: ``referenceImpossible`` for a chessboard, which looks the same after half a turn.

    :ivar hasOtherBoard: whether a board is in sight, but one with another number of squares.
    """

    def __init__(
        self, reference: Board | Marker, lostAfterMs: float = LOST_AFTER_MS, schedule: GilSchedule | None = None
    ) -> None:
        self.reference, self.lostAfterMs = reference, lostAfterMs
        if isinstance(reference, Board) and reference.kind != CHARUCO:
            raise LiveHandError("referenceImpossible")
        isBoard = isinstance(reference, Board)
        self._finder: _CornerFinder | _MarkerFinder
        if isinstance(reference, Board):
            self._finder = _CornerFinder(reference, schedule or GilSchedule())
        else:
            self._finder = _MarkerFinder(reference, schedule or GilSchedule())
        self._cornersMm = reference.cornersMm()
        unit, width, height = _extent(reference)
        self._outlineMm = np.array([[0, 0, 0], [width, 0, 0], [width, height, 0], [0, height, 0]], float)
        self._needed = 6 if isBoard else 4
        self._darkMm, self._brightMm = self._neighbourhoods(unit)
        self._windowMm = 0.11 * unit  # half the side of where a corner is searched: less than to the next edge
        self.detections = 0
        self.hasOtherBoard = False
        self._forget()

    def _forget(self) -> None:
        """Begin anew, as with another stream."""
        count = len(self._cornersMm)
        self._intrinsics: Intrinsics | None = None
        self._pose: ReferencePose | None = None
        self._seenMs = self._detectedMs = self._searchedMs = self._solvedMs = -np.inf
        self._isFollowed = False
        self._indices, self._cornersPx = np.zeros(0, int), np.zeros((0, 2))
        self._contrast = 0.0
        self._meansPx, self._weights = np.zeros((count, 2)), np.zeros(count)
        self._noisePx = 0.0  # of a corner's coordinate, in one frame
        self._evidence = 0.0

    def find(self, image: np.ndarray, timestampMs: float, intrinsics: Intrinsics) -> ReferencePose | None:
        """Find the reference in the next frame.

        :param image: (height, width, 3) uint8, RGB.
        :param timestampMs: time in the stream, ms.
        :param intrinsics: the camera model for this size of images. Other ones begin anew.
        :returns: the pose, or None if it has never been seen.
        """
        if timestampMs < self._seenMs or (self._intrinsics is not None and self._intrinsics != intrinsics):
            self._forget()
        self._intrinsics = intrinsics
        isDue = timestampMs - self._detectedMs >= CONFIRM_EVERY_MS
        found = None
        if self._isFollowed and not isDue:
            found = self._placed(*self._follow(image), timestampMs)
        if found is None:
            found = self._placed(*self._detect(image, timestampMs), timestampMs)
        self._isFollowed = found is not None
        if found is not None:
            self._pose, self._seenMs = found, timestampMs
        elif self._pose is not None:
            age = timestampMs - self._seenMs
            self._pose = replace(self._pose, ageMs=age, isLost=age > self.lostAfterMs)
        return self._pose

    # The corners

    def _detect(self, image: np.ndarray, timestampMs: float) -> tuple[np.ndarray, np.ndarray]:
        """Read the markers: around where the reference was in the last frame, or in the whole frame."""
        region = None
        if self._isFollowed and self._pose is not None:
            region = _region(image, self._outlinePx, SEARCH_MARGIN * np.ptp(self._outlinePx, axis=0).max())
        elif timestampMs - self._searchedMs < SEARCH_EVERY_MS:
            return np.zeros(0, int), np.zeros((0, 2))
        else:
            self._searchedMs = timestampMs
        rows, columns = region or (slice(None), slice(None))
        self.detections += 1
        indices, cornersPx = self._finder.find(_grey(image[rows, columns]))
        self.hasOtherBoard = self._finder.isOther
        if region:
            cornersPx = cornersPx + np.array([columns.start, rows.start])
        if len(indices) < self._needed:
            return np.zeros(0, int), np.zeros((0, 2))
        self._detectedMs = timestampMs
        self._contrast = 0.0
        return indices, cornersPx

    def _follow(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the corners again that were there in the last frame."""
        region = _region(image, self._cornersPx, 2.0 * self._windowPx + 4.0)
        if region is None:
            return np.zeros(0, int), np.zeros((0, 2))
        rows, columns = region
        grey, offset = _grey(image[rows, columns]), np.array([columns.start, rows.start], float)
        cornersPx = self._finder.refine(grey, self._cornersPx - offset, self._windowPx)
        if not np.isfinite(cornersPx).all():
            return np.zeros(0, int), np.zeros((0, 2))
        contrasts = self._contrasts(grey, cornersPx)
        seen = contrasts > max(0.4 * self._contrast, LEAST_CONTRAST)
        if seen.any():
            self._contrast = float(np.median(contrasts[seen]))
        return self._indices[seen], cornersPx[seen] + offset

    def _aim(self, matrix: np.ndarray) -> None:
        """Note where things are in the image, by a pose: it holds until the next one."""
        parts = [self._outlineMm, self._cornersMm, self._darkMm.reshape(-1, 3), self._brightMm.reshape(-1, 3)]
        px = self._projected(matrix, np.concatenate(parts))
        self._outlinePx, cornersPx, *beside = np.split(px, np.cumsum([len(part) for part in parts[:-1]]))
        self._besidePx = [places.reshape(len(cornersPx), -1, 2) - cornersPx[:, None] for places in beside]
        lengths = [
            np.linalg.norm(np.roll(corners, 1, axis=0) - corners, axis=1)
            for corners in (self._outlinePx, self._outlineMm)
        ]
        self._windowPx = int(np.clip((lengths[0] / lengths[1]).min() * self._windowMm, 2, 12))

    def _neighbourhoods(self, unit: float) -> tuple[np.ndarray, np.ndarray]:
        """Places beside each corner that are dark, and some that are bright: (n, 1 to 3, 3) mm.

        Within the margins of the markers, an eighth of a square wide on a board.
        """
        if isinstance(self.reference, Marker):
            inwards = 0.08 * unit * np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]], float)
            beside = [(-1, -1, 1), (1, -1, 1), (-1, 1, 1)]
            bright = np.stack([inwards * signs for signs in beside], axis=1)
            return (self._cornersMm + inwards)[:, None], self._cornersMm[:, None] + bright
        step = 0.08 * unit
        square = np.round(self._cornersMm[:, :2] / unit).astype(int)
        # Down to the right of the corner (x, y) is the square (x, y), which is black where x + y is even.
        sign = np.where(square.sum(axis=1) % 2 == 0, 1.0, -1.0)[:, None]
        along = step * np.array([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]])
        across = step * np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])
        flip = np.column_stack([sign[:, 0], np.ones(len(sign)), np.ones(len(sign))])[:, None]
        return self._cornersMm[:, None] + along * flip, self._cornersMm[:, None] + across * flip

    def _contrasts(self, grey: np.ndarray, cornersPx: np.ndarray) -> np.ndarray:
        """Of each followed corner how much darker its dark neighbourhood is than the bright one, grey levels: (n,)."""
        levels = []
        for beside in self._besidePx:
            column, row = np.moveaxis(np.round(beside[self._indices] + cornersPx[:, None]).astype(int), -1, 0)
            row, column = np.clip(row, 0, grey.shape[0] - 1), np.clip(column, 0, grey.shape[1] - 1)
            levels.append(grey[row, column].astype(float))
        dark, bright = levels[::-1] if self._finder.layout == LEGACY else levels
        return bright.min(axis=1) - dark.max(axis=1)

    def _projected(self, matrix: np.ndarray, pointsMm: np.ndarray) -> np.ndarray:
        assert self._intrinsics is not None
        return self._intrinsics.project(apply(matrix, pointsMm)) - 0.5

    # The pose

    def _placed(self, indices: np.ndarray, cornersPx: np.ndarray, timestampMs: float) -> ReferencePose | None:
        """The pose from the corners of a frame; None where they give none."""
        assert self._intrinsics is not None
        scale = self._intrinsics.imageSize[0] / 640.0
        for _round in range(2):
            if len(indices) < self._needed or not self._isSpread(indices):
                return None
            averagedPx, isStill = self._averaged(indices, cornersPx, scale)
            if isStill and self._pose is not None and timestampMs - self._solvedMs < SOLVE_EVERY_MS:
                self._indices, self._cornersPx = indices, cornersPx
                return replace(self._pose, corners=len(indices), ageMs=0.0, isLost=False, isStill=True)
            chosen = self._chosen(indices, averagedPx)
            if chosen is None:
                return None
            matrix, isAmbiguous = chosen
            errors = np.linalg.norm(self._projected(matrix, self._cornersMm[indices]) - cornersPx, axis=1)
            wrong = errors > max(3.0 * np.median(errors), scale)
            if not wrong.any():
                break
            indices, cornersPx = indices[~wrong], cornersPx[~wrong]
        rmsPx = float(np.sqrt((errors**2).mean()))
        if wrong.any() or rmsPx > LARGEST_ERROR_PX * scale:
            return None
        self._indices, self._cornersPx, self._solvedMs = indices, cornersPx, timestampMs
        self._aim(matrix)
        # Six of the 2 n coordinates' degrees of freedom went into the pose.
        noise = max(rmsPx / np.sqrt(2.0) * np.sqrt(2 * len(indices) / (2 * len(indices) - 6)), 0.02)
        self._noisePx += (0.1 if self._noisePx else 1.0) * (noise - self._noisePx)
        return ReferencePose(matrix, rmsPx, len(indices), isStill=isStill, isAmbiguous=isAmbiguous)

    def _isSpread(self, indices: np.ndarray) -> bool:
        """Whether corners are not all on a line."""
        points = self._cornersMm[indices, :2]
        extents = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
        return bool(extents[1] > 0.1 * extents[0])

    def _averaged(self, indices: np.ndarray, cornersPx: np.ndarray, scale: float) -> tuple[np.ndarray, bool]:
        """The corners' average places while the reference does not move: (n, 2) px; and whether it does not."""
        known = self._weights[indices] > 0
        isStill = False
        if self._noisePx and known.any():
            shifts = cornersPx[known] - self._meansPx[indices[known]]
            expected = self._noisePx * np.sqrt(1.0 + (1.0 / self._weights[indices[known]]).mean())
            limit = min(STILL_RATIO * expected, STILL_AT_MOST_PX * scale)
            isStill = bool(np.sqrt((shifts**2).mean()) < limit)
        if not isStill:
            self._weights[:] = 0.0
        self._weights[indices] = np.minimum(self._weights[indices] + 1.0, AVERAGED)
        self._meansPx[indices] += (cornersPx - self._meansPx[indices]) / self._weights[indices, None]
        return self._meansPx[indices], isStill

    def _chosen(self, indices: np.ndarray, cornersPx: np.ndarray) -> tuple[np.ndarray, bool] | None:
        """Of the poses that a flat reference leaves open the likely one, and whether the other is likely as well."""
        poses = self._solved(self._cornersMm[indices], cornersPx)
        if not poses:
            return None
        squares = [
            np.square(self._projected(pose, self._cornersMm[indices]) - cornersPx).sum(axis=1).mean() + 4e-4
            for pose in poses
        ]
        near = int(np.argmin(squares))
        if len(poses) == 1:
            return poses[0], False
        if self._pose is None or self._pose.isLost:
            self._evidence = 0.0
        else:
            near = int(np.argmin([_angleDeg(pose, self._pose.matrix) for pose in poses]))
        # With normal errors of unknown size, the likelihood goes with the sum of squares to the power of -n.
        self._evidence += len(indices) * np.log(squares[1 - near] / squares[near])
        self._evidence = float(np.clip(self._evidence, -SURE, SURE))
        if self._evidence < SWITCH:
            near, self._evidence = 1 - near, -self._evidence
        isAmbiguous = self._evidence < UNSURE and _angleDeg(*poses) > 2.0
        return poses[near], isAmbiguous

    def _solved(self, pointsMm: np.ndarray, cornersPx: np.ndarray) -> list[np.ndarray]:
        """The two poses of a flat reference, or one: (4, 4) to the camera's coordinate system, mm."""
        import cv2

        assert self._intrinsics is not None
        directions = self._intrinsics.normalized(cornersPx + 0.5)[:, None]
        camera, none = np.eye(3), np.zeros(4)
        try:
            _count, rotations, shifts, _errors = cv2.solvePnPGeneric(
                pointsMm, directions, camera, none, flags=cv2.SOLVEPNP_IPPE
            )
            refined = [
                cv2.solvePnPRefineLM(pointsMm, directions, camera, none, rotation, shift)
                for rotation, shift in zip(rotations, shifts, strict=True)
            ]
        except cv2.error:
            return []
        poses = []
        for rotation, shift in refined:
            matrix = np.eye(4)
            matrix[:3, :3], matrix[:3, 3] = cv2.Rodrigues(rotation)[0], shift.ravel()
            if np.isfinite(matrix).all() and (apply(matrix, pointsMm)[:, 2] > 1.0).all():
                poses.append(matrix)
        return poses


class _CornerFinder:
    """Finds a board's corners in an image, or follows them."""

    def __init__(self, board: Board, schedule: GilSchedule) -> None:
        self._finder = BoardFinder(board, schedule)
        self.find = self._finder.find

    @property
    def layout(self) -> str:
        return self._finder.layout

    @property
    def isOther(self) -> bool:
        return self._finder.isOther

    def refine(self, grey: np.ndarray, cornersPx: np.ndarray, window: int) -> np.ndarray:
        """Find corners near to where they were."""
        import cv2

        stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.01)
        start = cornersPx.astype(np.float32).reshape(-1, 1, 2)
        return cv2.cornerSubPix(grey, start, (window, window), (-1, -1), stop).reshape(-1, 2).astype(float)


class _MarkerFinder:
    """Finds a marker's corners in an image, or follows them, where the lines through its sides meet.

    Blur rounds a corner off, so that ``cornerSubPix`` finds it too far inside: by 0.6 % of the distance for a marker of
    50 mm. A straight side stays where it is.
    """

    layout, isOther = "", False
    _ALONG = np.linspace(0.12, 0.88, 24)  # of a side, where it is measured

    def __init__(self, marker: Marker, schedule: GilSchedule) -> None:
        import cv2

        self._schedule = schedule
        every = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_250)
        only = cv2.aruco.Dictionary(
            every.bytesList[marker.number : marker.number + 1], every.markerSize, every.maxCorrectionBits
        )
        self._detector = cv2.aruco.ArucoDetector(only)

    def find(self, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`BoardFinder.find`: the four corners, or none; of the largest marker where there are more."""
        with self._schedule.blockingCall("find"):
            found, _numbers, _rejected = self._detector.detectMarkers(grey)
        if not len(found):
            return np.zeros(0, int), np.zeros((0, 2))
        cornersPx = max((np.reshape(corners, (4, 2)).astype(float) for corners in found), key=_areaPx)
        shortest = np.linalg.norm(np.roll(cornersPx, 1, axis=0) - cornersPx, axis=1).min()
        refined = self.refine(grey, cornersPx, int(np.clip(0.11 * shortest, 2, 12)))
        isNear = bool((np.abs(refined - cornersPx) < 4.0).all())  # nor NaN
        return (np.arange(4), refined) if isNear else (np.zeros(0, int), np.zeros((0, 2)))

    def refine(self, grey: np.ndarray, cornersPx: np.ndarray, window: int) -> np.ndarray:
        """Find corners near to where they were; NaN where there is no marker.

        A side that was not near the middle of where it was measured is measured again there, for it was cut off.
        """
        for _round in range(4):
            refined = self._measured(grey, cornersPx, window)
            movedPx = np.abs(refined - cornersPx).max()
            if not movedPx > 0.5:  # also if it is NaN
                return refined
            cornersPx = refined
        return np.full_like(cornersPx, np.nan)

    def _measured(self, grey: np.ndarray, cornersPx: np.ndarray, window: int) -> np.ndarray:
        """Where the lines through the sides meet, with the sides as far as a window from where they were."""
        sides = np.roll(cornersPx, -1, axis=0) - cornersPx
        lengths = np.linalg.norm(sides, axis=1)
        normals = np.column_stack([sides[:, 1], -sides[:, 0]]) / lengths[:, None]  # outwards, for they go clockwise
        offsets = np.arange(-window, window + 0.25, 0.5)
        along = cornersPx[:, None] + self._ALONG[None, :, None] * sides[:, None]
        places = along[:, :, None] + offsets[None, None, :, None] * normals[:, None, None]
        rises = np.maximum(np.diff(_sampled(grey, places), axis=2), 0.0)  # from the dark inside to the bright outside
        with np.errstate(all="ignore"):
            found = (rises * (offsets[1:] - 0.25)).sum(axis=2) / rises.sum(axis=2)
            design = np.column_stack([np.ones_like(self._ALONG), self._ALONG])
            intercepts, slopes = np.linalg.pinv(design) @ found.T
            one, other = (cornersPx + intercepts[:, None] * normals, sides + slopes[:, None] * normals)
            before, beforeSide = np.roll(one, 1, axis=0), np.roll(other, 1, axis=0)
            cross = beforeSide[:, 0] * other[:, 1] - beforeSide[:, 1] * other[:, 0]
            gap = one - before
            share = (gap[:, 0] * other[:, 1] - gap[:, 1] * other[:, 0]) / cross
            return before + share[:, None] * beforeSide


def _sampled(grey: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Grey levels at (..., 2) px, between the pixels' centres."""
    column, row = np.moveaxis(places, -1, 0)
    column, row = np.clip(column, 0, grey.shape[1] - 1.001), np.clip(row, 0, grey.shape[0] - 1.001)
    left, top = column.astype(int), row.astype(int)
    x, y = column - left, row - top
    levels = grey.astype(float)
    upper = (1 - x) * levels[top, left] + x * levels[top, left + 1]
    return (1 - y) * upper + y * ((1 - x) * levels[top + 1, left] + x * levels[top + 1, left + 1])


def _areaPx(cornersPx: np.ndarray) -> float:
    """Of a quadrilateral, px²."""
    across, other = cornersPx[2] - cornersPx[0], cornersPx[3] - cornersPx[1]
    return float(abs(across[0] * other[1] - across[1] * other[0]) / 2.0)


def printedScale(lineMm: float) -> float:
    """By how much a board was printed too large (above 1) or too small, which its pose cannot show.

    :param lineMm: how long the line below the board is, measured, that should be 100 mm long.
    :returns: what the sizes of the board's squares have to be multiplied with.
    :raises LiveHandError: ``printedLine`` when no printer scales like that.
    """
    if not PRINTED_LINES_MM[0] <= lineMm <= PRINTED_LINES_MM[1]:
        raise LiveHandError("printedLine", length=f"{lineMm:g}")
    return lineMm / PRINTED_LINE_MM


def _extent(reference: Board | Marker) -> tuple[float, float, float]:
    """A square's side, and the reference's width and height, mm."""
    if isinstance(reference, Marker):
        return reference.sideMm, reference.sideMm, reference.sideMm
    unit = reference.squareMm
    return unit, unit * reference.columns, unit * reference.rows


def _grey(image: np.ndarray) -> np.ndarray:
    """Grey levels for finding black and white: the green channel, without another call of OpenCV's."""
    return np.ascontiguousarray(image[:, :, 1])


def _region(image: np.ndarray, pointsPx: np.ndarray, margin: float) -> tuple[slice, slice] | None:
    """Rows and columns around points; None where they are not in the image."""
    height, width = image.shape[:2]
    (left, top), (right, bottom) = pointsPx.min(axis=0) - margin, pointsPx.max(axis=0) + margin
    if not (right > 0 and bottom > 0 and left < width and top < height):  # nor if they are NaN
        return None
    rows = slice(int(max(top, 0)), int(min(np.ceil(bottom), height - 1)) + 1)
    return rows, slice(int(max(left, 0)), int(min(np.ceil(right), width - 1)) + 1)


def _angleDeg(one: np.ndarray, other: np.ndarray) -> float:
    """Angle between two poses' rotations, degrees."""
    cosine = (np.trace(one[:3, :3].T @ other[:3, :3]) - 1.0) / 2.0
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
