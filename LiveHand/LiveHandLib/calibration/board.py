"""The calibration board: its corners, how they are found in an image, and its print. Knows OpenCV, nothing of Qt."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LiveHandError
from ..threads.schedule import GilSchedule

CHARUCO, CHESSBOARD = "charuco", "chessboard"

CURRENT, LEGACY = "current", "legacy"
"""The layouts of ChArUco boards with an even number of rows: the first square is black (OpenCV from 4.6), or white with
a marker (OpenCV before, and calib.io). The corners and their order are the same. See OpenCV's documentation of
``CharucoBoard.setLegacyPattern``; with an odd number of rows both are the same board."""

PAPERS_MM = {"A4": (210.0, 297.0), "Letter": (215.9, 279.4)}

_MODULES = 8
"""Into how many parts a square is divided across: a marker of 4 x 4 bits with its border takes 6, the margin 2."""

_MISFITS_NEEDED = 3
"""Of pairs of markers that are not beside each other as on the board, to say that it is another one."""

_LONGEST_SIDE_PX = 960
"""Boards are detected in images of at most this size, so that a frame takes about as long with any camera."""


@dataclass(frozen=True)
class Board:
    """A flat board of black and white squares, whose inner corners are the points to calibrate with.

    Its frame: mm, x to the right and y down from the outer corner of the first square, which is black in boards that
    are printed here.

    :ivar kind: ``"charuco"``, with a marker in each white square, so that parts of the board can be told apart, or
        ``"chessboard"``, which has to be seen as a whole. The markers are those of OpenCV's ``DICT_4X4_250`` (or
        ``DICT_4X4_50`` and ``_100``, where they reach), three quarters as wide as a square.
    :ivar columns: squares from left to right.
    :ivar rows: squares from top to bottom.
    :ivar squareMm: side of a square, mm.
    :raises LiveHandError: ``boardImpossible``.
    """

    kind: str = CHARUCO
    columns: int = 8
    rows: int = 6
    squareMm: float = 30.0

    def __post_init__(self) -> None:
        if not (
            self.kind in (CHARUCO, CHESSBOARD)
            and 4 <= self.columns <= 20
            and 4 <= self.rows <= 20
            and 1.0 <= self.squareMm <= 1000.0
        ):
            raise LiveHandError("boardImpossible")

    def cornersMm(self) -> np.ndarray:
        """The inner corners, row by row: (n, 3) mm in the board's coordinate system."""
        y, x = np.mgrid[1 : self.rows, 1 : self.columns]
        return self.squareMm * np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])

    def modules(self) -> np.ndarray:
        """The pattern of the board: (8 rows, 8 columns) bool, true where it is black."""
        if self.kind == CHESSBOARD:
            y, x = np.indices((self.rows, self.columns)).repeat(_MODULES, axis=1).repeat(_MODULES, axis=2)
            return (x + y) % 2 == 0
        return self._charuco().generateImage((self.columns * _MODULES, self.rows * _MODULES)) == 0

    def _charuco(self, layout: str = CURRENT) -> Any:
        import cv2

        every = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_250)
        # Those of the board only: comparing each candidate with all 250 takes most of the time of a search.
        count = self.columns * self.rows // 2
        markers = cv2.aruco.Dictionary(every.bytesList[:count], every.markerSize, every.maxCorrectionBits)
        board = cv2.aruco.CharucoBoard((self.columns, self.rows), self.squareMm, 0.75 * self.squareMm, markers)
        board.setLegacyPattern(layout == LEGACY)
        return board

    def pdf(self, paper: str) -> bytes:
        """The board as a PDF to be printed at its true size, with a line of 100 mm to check that it was.

        Black rectangles only, so it is sharp on every printer. Viewers are asked not to scale it.

        :param paper: one of :data:`PAPERS_MM`.
        :raises LiveHandError: ``boardTooLarge`` when it does not fit.
        """
        kind = {CHARUCO: "ChArUco board", CHESSBOARD: "Chessboard"}[self.kind]
        what = f"{kind}, {self.columns} x {self.rows} squares of {self.squareMm:g} mm."
        return printed(self.modules(), self.squareMm / _MODULES, paper, what)


def printed(black: np.ndarray, moduleMm: float, paper: str, what: str) -> bytes:
    """A pattern as a PDF of one page, with the line of 100 mm, see :meth:`Board.pdf`.

    :param black: (rows, columns) bool.
    :param moduleMm: side of each of its parts, mm.
    :param what: it is, for people.
    :raises LiveHandError: ``boardTooLarge`` when it does not fit.
    """
    height, width = moduleMm * np.array(black.shape)
    pageWidth, pageHeight = sorted(PAPERS_MM[paper], reverse=width > height)
    if width > pageWidth - 20.0 or height > pageHeight - 30.0:
        raise LiveHandError("boardTooLarge", width=f"{width:.0f}", height=f"{height:.0f}", paper=paper)
    left, bottom = (pageWidth - width) / 2.0, 5.0 + (pageHeight - height) / 2.0
    rectangles = [
        (left + x * moduleMm, bottom + height - (y + tall) * moduleMm, wide * moduleMm, tall * moduleMm)
        for x, y, wide, tall in _blackRectangles(black)
    ]
    ruler = (pageWidth - 100.0) / 2.0
    rectangles += [(ruler, 8.0, 100.0, 0.3), (ruler, 7.0, 0.3, 2.0), (ruler + 99.7, 7.0, 0.3, 2.0)]
    text = f"LiveHand: {what} Print at 100 %: this line is then 100 mm long. Glue it onto something flat."
    point = 25.4 / 72.0
    content = (
        f"{1 / point:.6f} 0 0 {1 / point:.6f} 0 0 cm\n"
        + "".join("{:.4f} {:.4f} {:.4f} {:.4f} re\n".format(*rectangle) for rectangle in rectangles)
        + f"f\nBT /F {8 * point:.4f} Tf {ruler - 20:.4f} 10.5 Td ({text}) Tj ET\n"
    )
    return _pdf(pageWidth / point, pageHeight / point, content)


class BoardFinder:
    """Finds a board's corners in the frames of a stream.

    A ChArUco board may have either of two layouts. The markers say which; until they do, no corners are found, for in
    the wrong layout some would be taken for their neighbours.

    :param schedule: where this thread registers its long calls; shared with the GUI thread, which lends it the GIL.
    :ivar layout: which layout the board has, :data:`CURRENT` or :data:`LEGACY`; empty if there is but one or nothing
        has shown it yet.
    :ivar isUndecided: whether the newest frame has markers, but too few to determine the layout.
    :ivar isOther: whether the markers in the newest frame are beside each other as they are not on this board: it has
        another number of squares from left to right.
    """

    def __init__(self, board: Board, schedule: GilSchedule | None = None) -> None:
        import cv2

        self.board = board
        self._schedule = schedule or GilSchedule()
        self.layout, self.isUndecided, self.isOther = "", False, False
        isCharuco, hasLayouts = board.kind == CHARUCO, board.rows % 2 == 0
        self._detector = cv2.aruco.CharucoDetector(board._charuco()) if isCharuco and not hasLayouts else None
        self._layouts = {}
        if isCharuco and hasLayouts:
            self._layouts = {layout: board._charuco(layout) for layout in (CURRENT, LEGACY)}
            self._markers = cv2.aruco.ArucoDetector(self._layouts[CURRENT].getDictionary())

    def find(self, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the board.

        :param grey: (height, width) uint8.
        :returns: (n,) which of the board's corners are seen, growing, and (n, 2) where, px in OpenCV's convention (the
            centre of the first pixel is at 0). For a chessboard all corners or none.
        """
        import cv2

        height, width = grey.shape
        scale = max(1.0, max(width, height) / _LONGEST_SIDE_PX)
        size = round(width / scale), round(height / scale)
        small = grey if scale == 1.0 else cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        isCharuco = self.board.kind == CHARUCO
        indices, cornersPx = self._findCharuco(small) if isCharuco else self._findChessboard(small)
        if not len(indices):
            return indices, cornersPx
        # Also where nothing was reduced: the corners of a ChArUco board are half a pixel off in OpenCV before 5. From
        # half a square's width on the window would take in the next corner; a marker begins at an eighth.
        spacing = self._spacingPx(indices, cornersPx) * scale
        window = int(np.clip(spacing * (0.11 if isCharuco else 0.3), 2, 12))
        cornersPx = (cornersPx + 0.5) * np.divide((width, height), size) - 0.5
        stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.01)
        with self._schedule.blockingCall("refine"):
            refined = cv2.cornerSubPix(
                grey, cornersPx.astype(np.float32).reshape(-1, 1, 2), (window, window), (-1, -1), stop
            )
        return indices, refined.reshape(-1, 2).astype(float)

    def _findCharuco(self, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        markers = () if self._detector else self._tellLayout(grey)
        if not self._detector:
            self.isOther = bool(markers) and self._isOther(_byNumber(*markers))
            return np.zeros(0, int), np.zeros((0, 2))
        with self._schedule.blockingCall("interpolate" if markers else "find"):
            cornersPx, indices, markersPx, numbers = self._detector.detectBoard(grey, None, None, *markers)
        self.isOther = indices is None and numbers is not None and self._isOther(_byNumber(markersPx, numbers))
        if indices is None:
            return np.zeros(0, int), np.zeros((0, 2))
        indices, cornersPx = indices.ravel(), cornersPx.reshape(-1, 2).astype(float)
        order = np.argsort(indices)
        return indices[order], cornersPx[order]

    def _tellLayout(self, grey: np.ndarray) -> tuple[Any, ...]:
        """Choose the detector for the layout that the markers have.

        :returns: the markers' corners and numbers, as OpenCV has them.
        """
        import cv2

        with self._schedule.blockingCall("find"):
            cornersPx, numbers, _rejected = self._markers.detectMarkers(grey)
        self.isUndecided = False
        if numbers is None:
            return ()
        markersPx = _byNumber(cornersPx, numbers)
        fits, misfits = zip(*(_neighbours(layout, markersPx) for layout in self._layouts.values()), strict=True)
        # Where the number of columns is odd, a part of the board is the same in the other layout, one
        # column on; but not all of the board.
        best = int(np.argmax(fits))
        if fits[best] > max(fits[1 - best], misfits[best]) and misfits[best] < misfits[1 - best]:
            self.layout = list(self._layouts)[best]
            self._detector = cv2.aruco.CharucoDetector(self._layouts[self.layout])
        else:
            self.isUndecided = True
        return cornersPx, numbers

    def _isOther(self, markersPx: dict[int, np.ndarray]) -> bool:
        """Whether pairs of neighbours are wrong in either layout: of a board that is this one, next to none are."""
        layouts = [self.board._charuco(layout) for layout in (CURRENT, LEGACY)]
        counts = [_neighbours(layout, markersPx) for layout in layouts]
        return all(misfits >= max(_MISFITS_NEEDED, fits / 2) for fits, misfits in counts)

    def _findChessboard(self, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import cv2

        flags = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_FAST_CHECK
        with self._schedule.blockingCall("find"):
            found, cornersPx = cv2.findChessboardCorners(
                grey, (self.board.columns - 1, self.board.rows - 1), None, flags
            )
        if not found:
            return np.zeros(0, int), np.zeros((0, 2))
        cornersPx = cornersPx.reshape(-1, 2).astype(float)
        # The board looks the same turned by half a turn; it is always taken to be the one that is more upright.
        if (cornersPx[-1] - cornersPx[0]).sum() < 0:
            cornersPx = cornersPx[::-1]
        return np.arange(len(cornersPx)), cornersPx

    def _spacingPx(self, indices: np.ndarray, cornersPx: np.ndarray) -> float:
        """The shortest distance between two neighbouring corners, px."""
        grid = np.full((self.board.rows - 1, self.board.columns - 1, 2), np.nan)
        grid.reshape(-1, 2)[indices] = cornersPx
        steps = np.concatenate([np.diff(grid, axis=axis).reshape(-1, 2) for axis in (0, 1)])
        lengths = np.hypot(*steps[np.isfinite(steps).all(axis=1)].T)
        return float(lengths.min()) if len(lengths) else 0.0


def _byNumber(cornersPx: Any, numbers: np.ndarray) -> dict[int, np.ndarray]:
    """Markers, as OpenCV has them, by their numbers: (4, 2) px of each."""
    return dict(zip(numbers.ravel().tolist(), np.reshape(cornersPx, (-1, 4, 2)), strict=True))


def _neighbours(charuco: Any, markersPx: dict[int, np.ndarray]) -> tuple[int, int]:
    """Compare markers with a layout: those of diagonal neighbours point at each other.

    From a marker's corner to the neighbour's next to it is a third of the marker's diagonal, for a marker takes three
    quarters of its square.

    :param charuco: OpenCV's board in that layout.
    :param markersPx: by their numbers, (4, 2) px, clockwise from the marker's top left corner.
    :returns: how many pairs of neighbours are as they have to be, and how many are not.
    """
    squares = np.array([corners[0] for corners in charuco.getObjPoints()])[:, :2] // charuco.getSquareLength()
    numbers = {tuple(square): number for number, square in enumerate(squares.astype(int).tolist())}
    errors = []
    for (column, row), number in numbers.items():
        for step, corner in ((1, 2), (-1, 3)):  # down to the right, and to the left
            other = numbers.get((column + step, row + 1))
            if number in markersPx and other in markersPx:
                (toPx, fromPx), (otherFromPx, otherToPx) = (
                    (markersPx[one][corner], markersPx[one][corner - 2]) for one in (number, other)
                )
                diagonal = (toPx - fromPx + otherFromPx - otherToPx) / 2.0
                errors.append(np.linalg.norm(otherToPx - toPx - diagonal / 3.0) / np.linalg.norm(diagonal))
    fits = int(np.count_nonzero(np.array(errors) < 1.0 / 3.0))
    return fits, len(errors) - fits


def _blackRectangles(black: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Cover what is true with few rectangles: runs of rows, put together with equal ones above them.

    :param black: (rows, columns) bool.
    :returns: left, top, width and height of each.
    """
    rectangles: dict[tuple[int, int], list[int]] = {}  # by left and right, those that reach down to this row
    done = []
    for y, row in enumerate(black):
        edges = np.flatnonzero(np.diff(row.astype(np.int8), prepend=0, append=0))
        runs = {(int(left), int(right)) for left, right in edges.reshape(-1, 2)}
        done += [rectangles.pop(run) for run in set(rectangles) - runs]
        for left, right in runs:
            rectangles.setdefault((left, right), [left, y, right - left, 0])[3] += 1
    return [(left, top, width, height) for left, top, width, height in [*done, *rectangles.values()]]


def _pdf(width: float, height: float, content: str) -> bytes:
    """A PDF file of one page; as small as ISO 32000-1 lets it be.

    :param width: the page's, in points, as the height.
    :param content: drawing operators. The font ``/F`` is Helvetica.
    """
    stream = content.encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:.3f} {height:.3f}] /Contents 4 0 R /Resources "
            "<< /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
        ).encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    file, offsets = b"%PDF-1.6\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n"
    end += f"<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(file)}\n%%EOF\n"
    return file + end.encode()


def savePdf(pattern: Any, paper: str, path: str | Path) -> None:
    """Write a PDF to be printed.

    :param pattern: a :class:`Board`, or something else with its method ``pdf``.
    :raises LiveHandError: ``boardTooLarge`` when it does not fit, ``boardNotSaved`` when it cannot be written.
    """
    content = pattern.pdf(paper)
    try:
        Path(path).write_bytes(content)
    except (OSError, ValueError) as error:
        raise LiveHandError("boardNotSaved", path=str(path), detail=str(error)) from error
