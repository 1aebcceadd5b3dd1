"""From the hands that two cameras find to hands with a side and a pose. Knows numpy, nothing of Qt or MRML."""

import math
import statistics
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..calibration.intrinsics import Intrinsics
from ..detection.detector import HANDEDNESSES, Hand
from ..pose.estimator import PoseParameters, TrackedHand
from ..pose.handpose import HandPose
from ..pose.smoothing import OneEuro
from .bones import BoneLengths, HandSize
from .latency import LatencyDifference
from .pair import CameraPair
from .triangulation import StereoPose, View, triangulated
from .views import CameraViews, SeenFrame, SeenHand

SAME_HAND = 0.06
"""Epipolar error, median of the landmarks and over the focal length, up to which the views may see the same hand."""
MOVED = 0.025
"""Epipolar error, median over :data:`MOVED_FRAMES`, from which on the cameras are not where they were.

On rendered hands it is 0.0015 to 0.005 in each sequence, whose landmarks are some millimetres off; a camera that is
turned by 2 degrees adds 0.025 where that is across the lines."""
RESIZED = 0.1
"""By how much of its size a hand seems to have become larger or smaller, see :class:`bones.HandSize`, from which on a
camera was turned along the lines, which the epipolar error does not show. In the rendered sequences it is 0.06 at
most."""
MOVED_FRAMES = 30
STEREO_DELAY = 0.25
"""Of the smoothing's delay: landmarks that both cameras see jitter by 0.7 mm where one camera's do by 2.3 (rendered
hands, from frame to frame)."""
SHORT_MS = 10.0
"""How far the second view is extrapolated at once. On rendered hands that makes the fingertip's median error 0.03 mm
larger than waiting for the next frame does, which takes most of a frame's time then."""
AGAIN_MS = 300.0
"""After how long a hand that was not seen begins anew."""

_SAME = dict(zip(HANDEDNESSES, HANDEDNESSES, strict=True))
_OTHER = dict(zip(HANDEDNESSES, HANDEDNESSES[::-1], strict=True))


@dataclass(frozen=True)
class StereoFrame:
    """The hands at the time of a frame of the first camera.

    :ivar key: what came with that frame.
    :ivar hands: by ``"Left"`` and ``"Right"``, in the first camera's coordinate system.
    """

    key: Any
    hands: dict[str, TrackedHand]


class StereoEstimator:
    """Estimates the poses of the hands that two cameras see, at the times of the first one's frames.

    A frame of the first camera waits for one of the second that is not older by more than :data:`SHORT_MS`, so that the
    second view can be interpolated, or nearly so; at most until the first camera's next frame. From then on, the second
    view is extrapolated by :data:`views.AHEAD_MS` at most, and without one there is one camera's pose.

    :param poseParameters: as for one camera; the calibrations are the first camera's.
    :param secondCalibrations: the second camera's.
    :param pair: where the cameras are.
    :param isWaiting: a frame waits as long as it takes: for files, whose frames must not be lost.
    :raises LiveHandError: ``palmWidth`` when no hand is of that size.
    """

    def __init__(
        self,
        poseParameters: PoseParameters,
        secondCalibrations: tuple[Intrinsics, ...] = (),
        pair: CameraPair | None = None,
        isWaiting: bool = False,
    ) -> None:
        self.bones = BoneLengths()
        self._views = CameraViews(poseParameters.calibrations), CameraViews(secondCalibrations)
        self._pending: deque[tuple[SeenFrame, Any]] = deque()
        self._isExchanged = [False, False]  # the view's sides go by each other's name
        self._seenMs = dict.fromkeys(HANDEDNESSES, -np.inf)
        self._isWaiting = isWaiting
        self.latency = LatencyDifference()
        """Estimated for cameras; files have times of their own."""
        self.isSecondGone = False
        """Whether the second camera is off: no frame waits for it any more."""
        self.pair: CameraPair | None = None
        self.use(poseParameters, secondCalibrations, pair)

    def use(
        self, poseParameters: PoseParameters, secondCalibrations: tuple[Intrinsics, ...], pair: CameraPair | None
    ) -> None:
        """Use other parameters from now on.

        :raises LiveHandError: ``palmWidth`` when no hand is of that size.
        """
        if pair is not self.pair:
            self.latency.forget()  # what is always off is something else now
        self.poseParameters, self.pair = poseParameters, pair
        self._views[0].use(poseParameters.calibrations)
        self._views[1].use(secondCalibrations)
        width, lengths = poseParameters.palmWidthMm, poseParameters.lengthsMm
        self._single = [{side: HandPose(width, lengths) for side in HANDEDNESSES} for _view in self._views]
        self._stereo = {side: StereoPose(pair) for side in HANDEDNESSES} if pair else {}
        for pose in self._stereo.values():
            pose.setLengths(self.bones.lengthsMm if len(self.bones.lengthsMm) else np.array(lengths))
        self._filters = {side: OneEuro(poseParameters.smoothingMs) for side in HANDEDNESSES}
        self._sizes = {side: HandSize() for side in HANDEDNESSES}
        self._errors: deque[float] = deque(maxlen=MOVED_FRAMES)
        self._areLabelledOtherwise: deque[bool] = deque(maxlen=MOVED_FRAMES)

    def add(
        self, camera: int, hands: list[Hand], imageSize: tuple[int, int], timeMs: float, key: Any = None
    ) -> list[StereoFrame]:
        """Take the next frame of a camera.

        :param camera: 0 for the first, 1 for the second.
        :param hands: as :meth:`detector.HandDetector.detect` gives them.
        :param imageSize: the image's width and height, px.
        :param timeMs: when the frame was taken, on a clock that both cameras have.
        :param key: given back with the frame's hands.
        :returns: the frames of the first camera that are ready, the oldest first.
        """
        frame = self._views[camera].add(hands, imageSize, timeMs - (self.latency.ms if camera else 0.0))
        if camera == 0:
            self._pending.append((frame, key))
        ready = []
        while self._pending and self._isReady(self._pending[0][0]):
            ready.append(self._placed(*self._pending.popleft()))
        return ready

    def finish(self) -> list[StereoFrame]:
        """The frames that still wait, when no more come."""
        ready = [self._placed(*pending) for pending in self._pending]
        self._pending.clear()
        return ready

    def isCalibrated(self) -> bool:
        """Whether both cameras' intrinsics are known rather than guessed: only then are lengths the hand's."""
        return all(views.intrinsics is not None and views.intrinsics.isCalibrated for views in self._views)

    def epipolarError(self) -> float:
        """Median over the last frames of how far the views' landmarks are from where they could be: times the focal
        length it is px. NaN before there are any."""
        # In a tenth of the time that np.median takes.
        return statistics.median(self._errors) if self._errors else math.nan

    def isMoved(self) -> bool:
        """Whether the views don't fit together: the cameras are not where :attr:`pair` says, or one mirrors."""
        if len(self._errors) < MOVED_FRAMES:
            return False
        isResized = any(abs(size.change()) > RESIZED for size in self._sizes.values())
        return self.epipolarError() > MOVED or isResized or self._isLabelledOtherwise()

    def _isLabelledOtherwise(self) -> bool:
        """Whether what is a left hand to one view has mostly been a right one to the other, as in a mirror.

        The epipolar error does not show that: beside each other, the cameras see a mirrored hand at the same height.
        """
        labels = self._areLabelledOtherwise
        return bool(labels) and sum(labels) > 0.5 * len(labels)

    def _isReady(self, frame: SeenFrame) -> bool:
        if self.isSecondGone or self.pair is None or self._views[1].newestMs >= frame.timeMs:
            return True
        if self._isWaiting:
            return False
        return len(self._pending) > 1 or self._views[1].newestMs >= frame.timeMs - SHORT_MS

    # The hands at one time

    def _placed(self, frame: SeenFrame, key: Any) -> StereoFrame:
        seconds = self._views[1].at(frame.timeMs) if self.pair else {}
        self._views[0].forgetBefore(frame.timeMs)
        self._views[1].forgetBefore(frame.timeMs)
        seen = self._joined(frame.hands, seconds, frame.timeMs)
        hands = {side: self._estimated(side, *views, frame.timeMs) for side, views in seen.items()}
        return StereoFrame(key, hands)

    def _joined(
        self, firsts: dict[str, SeenHand], seconds: dict[str, SeenHand], timeMs: float
    ) -> dict[str, tuple[SeenHand | None, SeenHand | None]]:
        """Which hand of the one view is which of the other's, by the side that both agree on."""
        hands = self._named(0, firsts), self._named(1, seconds)
        if firsts and seconds and self.pair:
            same, crossed = (self._misfit(*hands, partners) for partners in (_SAME, _OTHER))
            if crossed < min(same, SAME_HAND):
                # The view whose hand has just come takes the other's name, which is known for longer.
                isNew = [all(seen.isNew for seen in view.values()) for view in (firsts, seconds)]
                view = 0 if isNew[0] and not isNew[1] else 1
                self._isExchanged[view] = not self._isExchanged[view]
                hands = self._named(0, firsts), self._named(1, seconds)
            misfit = min(same, crossed)
            if np.isfinite(misfit):
                if not self._isWaiting and misfit < SAME_HAND and len(firsts) == len(seconds) == 1:
                    views = [next(iter(view.values())).view for view in (firsts, seconds)]
                    self.latency.add(self.pair, timeMs, *(view.directions for view in views))
                self._errors.append(misfit)
                if len(firsts) == len(seconds) == 1:
                    labels = [seen.hand.handedness for seen in (*firsts.values(), *seconds.values())]
                    self._areLabelledOtherwise.append(labels[0] != labels[1])
                if misfit > SAME_HAND or self._isLabelledOtherwise():
                    hands = hands[0], {}  # another hand, or not where it should be: one camera is safe
        for side, first in hands[0].items():
            if first.isNew:
                self._sizes[side] = HandSize()  # another one's, perhaps
            if self.pair and side in hands[1] and self._sizes[side].isDue():
                second = hands[1][side]
                self._sizes[side].add(triangulated(self.pair, first.view.directions, second.view.directions))
        if self.isMoved():
            hands = hands[0], {}
        return {side: (hands[0].get(side), hands[1].get(side)) for side in sorted(hands[0].keys() | hands[1].keys())}

    def _named(self, view: int, seen: dict[str, SeenHand]) -> dict[str, SeenHand]:
        return {_OTHER[side]: hand for side, hand in seen.items()} if self._isExchanged[view] else seen

    def _misfit(self, firsts: dict[str, SeenHand], seconds: dict[str, SeenHand], partners: dict[str, str]) -> float:
        """The epipolar error of the hands that would be the same; infinite if none would be."""
        assert self.pair
        errors = [
            _median(self.pair.epipolarErrors(firsts[side].view.directions, seconds[other].view.directions))
            for side, other in partners.items()
            if side in firsts and other in seconds
        ]
        return float(max(errors, default=np.inf))

    def _estimated(self, side: str, first: SeenHand | None, second: SeenHand | None, timeMs: float) -> TrackedHand:
        isNew = timeMs - self._seenMs[side] > AGAIN_MS
        self._seenMs[side] = timeMs
        if isNew:
            self._filters[side].reset()
            self._sizes[side] = HandSize()
            for single in self._single:
                single[side].reset()
            if self._stereo:
                self._stereo[side].reset()
        seen = first or second
        assert seen, "by one camera at least"
        if first and second:
            pointsMm, stdMm = self._both(side, first.view, second.view, timeMs)
        else:
            pointsMm, stdMm = self._one(side, 0 if first else 1, seen.view, timeMs)
        delayMs = self.poseParameters.smoothingMs * (STEREO_DELAY if first and second else 1.0)
        self._filters[side].setDelay(delayMs)
        pointsMm = self._filters[side].update(pointsMm, timeMs)
        cameras = (first is not None) + (second is not None)
        hand = seen.hand if first else self._asFirstSees(seen.hand, pointsMm)
        return TrackedHand(**vars(hand), cameraMm=pointsMm, landmarkStdMm=stdMm, isNewTrack=isNew, cameras=cameras)

    def _both(self, side: str, first: View, second: View, timeMs: float) -> tuple[np.ndarray, np.ndarray]:
        assert self.pair, "or nothing would be seen by both"
        pointsMm, stdMm = self._stereo[side].update(first, second, timeMs)
        # What doesn't fit together is said to be uncertain at once, before it is known whether a camera was moved.
        stdMm = np.hypot(stdMm, self._errors[-1] * pointsMm[:, 2])
        for single, inCamera in zip(self._single, (pointsMm, self.pair.toSecond(pointsMm)), strict=True):
            single[side].continueFrom(inCamera[:, 2], stdMm, timeMs)
        if self.bones.add(pointsMm):
            lengths = self.bones.lengthsMm
            for each in HANDEDNESSES:
                self._stereo[each].setLengths(lengths)
                for single in self._single:
                    single[each].setLengths(lengths)
        return pointsMm, stdMm

    def _one(self, side: str, camera: int, view: View, timeMs: float) -> tuple[np.ndarray, np.ndarray]:
        if side in self._stereo:
            self._stereo[side].reset()
        pose = self._single[camera][side]
        pointsMm, stdMm = pose.update(view.directions, view.relativeDepths, timeMs, view.worldDepthsMm)
        return (self.pair.toFirst(pointsMm) if camera and self.pair else pointsMm), stdMm

    def _asFirstSees(self, hand: Hand, pointsMm: np.ndarray) -> Hand:
        """A hand that only the second camera has found, as it would be in the first one's image."""
        intrinsics = self._views[0].intrinsics
        assert intrinsics and self.pair
        depths = np.maximum(pointsMm[:, 2:], 1.0)
        imagePx = intrinsics.project(np.hstack([pointsMm[:, :2], depths]))
        middle = float(depths.mean())
        depthPx = (depths[:, 0] - middle) * intrinsics.matrix[0, 0] / middle
        return replace(hand, imagePx=imagePx, depthPx=depthPx, worldMm=hand.worldMm @ self.pair.rotation)


def _median(values: np.ndarray) -> float:
    """Of an odd number of values; in a fifth of the time that ``np.median`` takes."""
    return float(np.sort(values)[len(values) // 2])
