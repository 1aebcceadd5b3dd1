"""Joins what the workers of two cameras find. Runs in the GUI thread; knows nothing of Qt or MRML."""

import threading
from collections.abc import Callable

from ..calibration.intrinsics import Intrinsics
from ..camera.framereader import Frame
from ..detection.detector import Hand
from ..errors import LiveHandError
from ..pose.estimator import PoseParameters, ReferencePose, TrackedHand
from ..stereo.estimator import StereoEstimator
from ..stereo.pair import CameraPair, PairCollector

TOGETHER_MS = 50.0
"""By how much both cameras may miss each other when they see a board that lies still."""

AHEAD_MS = 200.0
"""How far one of two files may be ahead of the other when every frame is processed: then it waits."""


class Pairing:
    """Takes the frames of two workers, and gives those of the first one with the hands as both see them.

    :param poseParameters: as for one camera.
    :param secondCalibrations: the second camera's.
    :param pair: where the cameras are; None if that is not known yet.
    :param areFiles: the frames' times are those in their files.
    :param everyFrame: of the files is processed, as fast as that goes.
    :param report: called with a frame of the first worker, its hands and its reference.
    :param onPair: called with a :class:`CameraPair` that a board has shown, each time it is better known.
    :raises LiveHandError: ``palmWidth`` when no hand is of that size.

    :cvar BOARDS_NEEDED: how many times both cameras have to see a board, see :class:`PairCollector`.
    :ivar failure: why the second camera gives no frames, or None.
    :ivar gate: passed by both workers' threads before their first frame if they play files; else None.
    """

    BOARDS_NEEDED = PairCollector.NEEDED

    def __init__(
        self,
        poseParameters: PoseParameters,
        secondCalibrations: tuple[Intrinsics, ...],
        pair: CameraPair | None,
        areFiles: bool,
        everyFrame: bool,
        report: Callable[[Frame, dict[str, TrackedHand], ReferencePose | None], None],
        onPair: Callable[[CameraPair], None],
    ) -> None:
        self.estimator = StereoEstimator(poseParameters, secondCalibrations, pair, isWaiting=areFiles)
        self.failure: LiveHandError | None = None
        self._areFiles, self._everyFrame = areFiles, areFiles and everyFrame
        self._report, self._onPair = report, onPair
        self.gate = threading.Barrier(2) if areFiles else None
        self._newestMs = [0.0, 0.0]
        self._held: dict[int, Callable[[], None]] = {}
        self._secondCalibrations = secondCalibrations
        self._collector = PairCollector()
        # Since when the board lies still as each camera sees it, when that saw it last, and its pose.
        self._boards: list[tuple[float, float, ReferencePose] | None] = [None, None]

    @property
    def pair(self) -> CameraPair | None:
        """Where the cameras are, as far as it is known."""
        return self.estimator.pair

    @property
    def boardsSeen(self) -> int:
        """How many times both cameras have seen a board that lay still."""
        return self._collector.count

    @property
    def problem(self) -> LiveHandError | None:
        """Why the hands come from one camera only, or None."""
        if self.failure:
            return self.failure
        if self.pair is None:
            return LiveHandError("pairUnknown")
        return LiveHandError("pairMoved") if self.estimator.isMoved() else None

    def use(self, poseParameters: PoseParameters, pair: CameraPair | None = None) -> None:
        """Go on with other parameters, and with another pair if one is given."""
        self.estimator.use(poseParameters, self._secondCalibrations, pair or self.pair)

    def add(self, camera: int, frame: Frame, hands: list[Hand], reference: ReferencePose | None) -> None:
        """Take the next frame of the first (0) or the second (1) camera, and report what is ready."""
        height, width = frame.image.shape[:2]
        timeMs = 1000.0 * frame.captureTime
        if self._areFiles:
            timeMs = frame.timestampMs + (self.pair.offsetMs if camera and self.pair else 0.0)
        self._newestMs[camera] = timeMs
        if reference is not None:
            self._addBoard(camera, timeMs, reference)
        for ready in self.estimator.add(camera, hands, (width, height), timeMs, (frame, reference)):
            self._report(ready.key[0], ready.hands, ready.key[1])

    def pace(self, camera: int, release: Callable[[], None]) -> None:
        """Have a camera's worker go on with the next frame; a file that is ahead of the other one, when that follows.

        :param release: has it go on.
        """
        self._held[camera] = release
        for held in list(self._held):
            isAhead = self._newestMs[held] - self._newestMs[1 - held] > AHEAD_MS
            if not (self._everyFrame and isAhead and not self.estimator.isSecondGone):
                self._held.pop(held)()

    def endSecond(self, failure: LiveHandError | None = None) -> None:
        """The second camera gives no frames any more."""
        self.failure = failure
        self.estimator.isSecondGone = True
        if self.gate:
            self.gate.abort()
        self.finish()
        while self._held:
            self._held.popitem()[1]()

    def finish(self) -> None:
        """Report the frames that still wait for the second camera."""
        for ready in self.estimator.finish():
            self._report(ready.key[0], ready.hands, ready.key[1])

    def _addBoard(self, camera: int, timeMs: float, reference: ReferencePose) -> None:
        if reference.ageMs > 0 or reference.isAmbiguous or not reference.isStill:
            self._boards[camera] = None
            return
        before = self._boards[camera]
        self._boards[camera] = before[0] if before else timeMs, timeMs, reference
        first, second = self._boards
        if camera == 0 or first is None or second is None:
            return
        # One of two files is ahead of the other one, so it is not the newest frames that have to be of one time.
        if max(first[0], second[0]) - min(first[1], second[1]) > TOGETHER_MS:
            return
        self._collector.add(first[2].matrix, second[2].matrix)
        # Often while it is new, and then seldom, for each begins the pose anew.
        if self._collector.count in (PairCollector.NEEDED, 60, PairCollector.KEPT - 1):
            try:
                pair = self._collector.pair()
            except LiveHandError:
                return
            if pair is not None:
                self.estimator.use(self.estimator.poseParameters, self._secondCalibrations, pair)
                self._onPair(pair)
