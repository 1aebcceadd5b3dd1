"""What one camera has seen of the hands lately, at any time in between. Knows numpy, nothing of Qt or MRML."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from ..calibration.intrinsics import Intrinsics, choose
from ..detection.detector import Hand
from ..pose.identity import HandIdentity
from .triangulation import View

APART_MS = 150.0
"""Two frames that are further apart say nothing about the time between them; 7 frames a second are too few."""
AHEAD_MS = 45.0
"""How far a view is extrapolated at most: a frame of a slow camera."""
SEEN_MS = 300.0
"""For how long a hand that isn't found any more counts as one that the camera sees."""


@dataclass(frozen=True)
class SeenHand:
    """A hand in one frame of one camera: as it was detected, and its rays."""

    hand: Hand
    view: View
    isNew: bool


@dataclass(frozen=True)
class SeenFrame:
    """The hands in one frame of one camera, by the sides that its own labels have.

    :ivar timeMs: when the frame was taken, on the clock of both cameras.
    """

    timeMs: float
    hands: dict[str, SeenHand]
    imageSize: tuple[int, int]


class CameraViews:
    """Keeps the last frames of one camera.

    :param calibrations: the camera's, see :func:`intrinsics.choose`.
    """

    KEPT = 200  # frames: of two files one may be processed some seconds ahead of the other

    def __init__(self, calibrations: tuple[Intrinsics, ...] = ()) -> None:
        self._identity = HandIdentity()
        self._frames: deque[SeenFrame] = deque(maxlen=self.KEPT)
        self.intrinsics: Intrinsics | None = None
        self.use(calibrations)

    def use(self, calibrations: tuple[Intrinsics, ...]) -> None:
        """Use other calibrations from now on."""
        self._calibrations = calibrations
        self.intrinsics = None

    @property
    def newestMs(self) -> float:
        """The time of the newest frame; minus infinity before there is one."""
        return self._frames[-1].timeMs if self._frames else -np.inf

    def add(self, hands: list[Hand], imageSize: tuple[int, int], timeMs: float) -> SeenFrame:
        """Take the next frame.

        :param hands: as :meth:`detector.HandDetector.detect` gives them.
        :param imageSize: the image's width and height, px.
        :param timeMs: when it was taken.
        """
        if self.intrinsics is None or self.intrinsics.imageSize != imageSize:
            self.intrinsics = choose(self._calibrations, imageSize)
        focal = self.intrinsics.matrix[0, 0]
        seen = {
            side: SeenHand(
                hand,
                View(self.intrinsics.normalized(hand.imagePx), hand.depthPx / focal, worldDepthsMm=hand.worldMm[:, 2]),
                self._identity.isNewTrack(side),
            )
            for side, hand in self._identity.assign(hands, round(timeMs)).items()
        }
        frame = SeenFrame(timeMs, seen, imageSize)
        self._frames.append(frame)
        return frame

    def at(self, timeMs: float) -> dict[str, SeenHand]:
        """The hands at a time: interpolated between the frames before and after it, or extrapolated by a little.

        :returns: by side; none that is not in both frames.
        """
        later = next((i for i, frame in enumerate(self._frames) if frame.timeMs >= timeMs), len(self._frames) - 1)
        if later >= 0 and self._frames[later].timeMs == timeMs:
            return self._frames[later].hands
        if later < 1:
            return {}
        before, after = self._frames[later - 1], self._frames[later]
        apart = after.timeMs - before.timeMs
        if not 0.0 < apart <= APART_MS or timeMs - after.timeMs > AHEAD_MS:
            return {}
        share = (timeMs - before.timeMs) / apart
        inflation = float(np.sqrt(share**2 + (1.0 - share) ** 2)) if share > 1.0 else 1.0
        between = {}
        for side, seen in after.hands.items():
            if side in before.hands and not seen.isNew:
                views = before.hands[side].view, seen.view
                directions, depths, worldMm = (
                    (1.0 - share) * getattr(views[0], name) + share * getattr(views[1], name)
                    for name in ("directions", "relativeDepths", "worldDepthsMm")
                )
                between[side] = SeenHand(seen.hand, View(directions, depths, inflation, worldMm), False)
        return between

    def forgetBefore(self, timeMs: float) -> None:
        """Keep no more than is needed for this time and later ones."""
        while len(self._frames) > 2 and self._frames[1].timeMs <= timeMs:
            self._frames.popleft()
