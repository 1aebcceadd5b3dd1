"""Finds out when a hand pinches. Knows numpy, nothing of Qt or MRML."""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from ..detection.detector import HANDEDNESSES
from ..pose.estimator import TrackedHand
from .hold import Hold
from .pinchnetwork import PALM, PinchNetwork, palmSize

DWELL_MS = 85.0
"""How long the fingertips must have been together before it is a pinch, ms: in a hand that closes to a fist, they are
for 84 ms in the real clip."""

SETTLE_MS = 100.0
"""How long nothing moves after a pinch has begun, ms: the closing fingers move the hand."""

GRACE_MS = 100.0
"""For how long a hand that is lost or doubtful still holds, ms: three frames of a webcam."""

ARM_MS = 60.0
RELEASE_MS = 60.0
"""How long a hand must have been open to be able to pinch, and to let go, ms: two frames at least, never one alone."""

LONGEST_GAP_MS = 300.0
"""Between frames, ms; after more of it, or if the clock goes back, nothing is held any more."""

TOUCHING, LOOSE, APART = 0.45, 0.2, 0.05
"""Probability that the fingertips touch (see :class:`PinchNetwork`) above which they do, below which those that hold
may be about to open, and below which they are apart."""

FIST = 2.6
"""Distance of the middle fingertip from the wrist over :func:`palmSize`, both of MediaPipe's world landmarks, below
which that finger is bent into the palm. Of rendered hands, fists have 2.0 to 2.4; 3 pinches of 100 have less than 3.2
and none less than 2.8."""

CROSSING = 1.0
"""Distance of the two palms' centres in the image, over their mean width, below which neither hand is to be trusted."""

FASTEST = 6.0
"""Of the pinch's direction, in tangents a second (at half a metre: 3 m/s): what is faster is a wrong detection."""

_THUMB_TIP, _INDEX_TIP, _MIDDLE_TIP, _WRIST, _INDEX_MCP, _PINKY_MCP = 4, 8, 12, 0, 5, 17
_TIPS = [_THUMB_TIP, _INDEX_TIP]

STARTED, MOVED, ENDED = "pinchStarted", "pinchMoved", "pinchEnded"


@dataclass(frozen=True)
class PinchEvent:
    """What a pinch does in one frame.

    :ivar name: ``"pinchStarted"``, ``"pinchMoved"`` or ``"pinchEnded"``.
    :ivar hand: ``"Left"`` or ``"Right"``.
    :ivar direction: (2,) where the hand's middle is seen, x/z and y/z in the camera's coordinate system; steadied, and
        the same until the pinch has lasted :data:`SETTLE_MS`. This is measured best.
    :ivar positionMm: (3,) the middle between the two fingertips when the pinch began, moved as the hand has been since,
        in the camera's coordinate system, mm.
    :ivar centreMm: (3,) the middle of the hand, moved by as much, mm: about this it turns.
    :ivar rotation: (3, 3) how the hand has turned since the pinch began, in the camera's coordinate system.
    :ivar timestampMs: time of the frame, ms.
    :ivar reason: why the pinch ended: ``"opened"``, ``"lost"`` (the hand is not seen, or not surely) or ``"stopped"``
        (by :meth:`PinchRecognizer.stop`); empty otherwise.
    """

    name: str
    hand: str
    direction: np.ndarray
    positionMm: np.ndarray
    centreMm: np.ndarray
    rotation: np.ndarray
    timestampMs: float
    reason: str = ""


def isFist(hand: TrackedHand) -> bool:
    """Whether the middle finger is bent into the palm: in a fist, thumb and index finger may touch as well."""
    reach = hand.worldMm[_MIDDLE_TIP] - hand.worldMm[_WRIST]
    return bool(math.sqrt(reach @ reach) < FIST * palmSize(hand.worldMm))


@dataclass
class _State:
    """What is known of one hand.

    :ivar isArmed: the hand has been seen open since it appeared or last held something.
    :ivar since: since when it has been going over into the next state, ms.
    :ivar before: time of the frame before, and the probability that the fingertips touched.
    """

    isArmed: bool = False
    since: float | None = None
    before: tuple[float, float] | None = None
    hold: Hold | None = None
    startedMs: float = 0.0
    seenMs: float = -math.inf
    direction: np.ndarray = field(default_factory=lambda: np.zeros(2))


class PinchRecognizer:
    """Follows the hands of one stream and reports their pinches.

    A hand pinches when it has been seen open and then its fingertips are together for :data:`DWELL_MS`. It lets go when
    they are apart again, and when it is lost or not to be trusted: renamed, over the other hand, out of the image, or
    faster than hands are.

    :param network: says whether the fingertips touch.

    :ivar started: the first event of each pinch that lasts, by hand.
    :ivar held: the last event of each.
    """

    def __init__(self, network: PinchNetwork) -> None:
        self._network = network
        self.started: dict[str, PinchEvent] = {}
        self.held: dict[str, PinchEvent] = {}
        self._states = {side: _State() for side in HANDEDNESSES}
        self._lastMs = -math.inf

    def update(self, hands: dict[str, TrackedHand], imageSize: tuple[int, int], timestampMs: float) -> list[PinchEvent]:
        """Take the next frame's hands.

        :param hands: the hands by ``"Left"`` and ``"Right"``, as :meth:`HandPoseEstimator.estimate` gives them.
        :param imageSize: the image's width and height, px.
        :param timestampMs: time of the frame, ms.
        :returns: what the pinches do.
        :raises LiveHandError: ``networkMissing``.
        """
        events: list[PinchEvent] = []
        if not 0.0 < timestampMs - self._lastMs < LONGEST_GAP_MS:
            events += self._forget(timestampMs)
        elapsedMs, self._lastMs = timestampMs - self._lastMs, timestampMs
        areCrossing = len(hands) == 2 and _areCrossing(*hands.values())
        for side, state in self._states.items():
            hand = hands.get(side)
            if hand and hand.isNewTrack:
                events += self._end(side, timestampMs, "lost")
            touching = self._trusted(side, hand, imageSize, timestampMs) if hand and not areCrossing else math.nan
            if math.isnan(touching):
                if timestampMs - state.seenMs > GRACE_MS:
                    events += self._end(side, timestampMs, "lost")
                continue
            assert hand
            state.seenMs = timestampMs
            events += self._step(side, hand, touching, timestampMs, elapsedMs)
            state.before = timestampMs, touching
        return events

    def stop(self, timestampMs: float) -> list[PinchEvent]:
        """Let go of everything; a hand has to be seen open before it pinches again."""
        return [event for side in self._states for event in self._end(side, timestampMs, "stopped")]

    def _forget(self, timestampMs: float) -> list[PinchEvent]:
        return [event for side in self._states for event in self._end(side, timestampMs, "lost")]

    def _end(self, side: str, timestampMs: float, reason: str) -> list[PinchEvent]:
        self._states[side] = _State()
        self.started.pop(side, None)
        last = self.held.pop(side, None)
        return [replace(last, name=ENDED, timestampMs=timestampMs, reason=reason)] if last else []

    def _trusted(self, side: str, hand: TrackedHand, imageSize: tuple[int, int], timestampMs: float) -> float:
        """How likely the fingertips touch; NaN where the hand is not to be trusted."""
        state = self._states[side]
        width, height = imageSize
        (x, y), (otherX, otherY) = hand.imagePx[_TIPS].tolist()
        point = hand.cameraMm[_THUMB_TIP] + hand.cameraMm[_INDEX_TIP]
        direction = point[:2] / point[2]
        elapsed, moved = timestampMs - state.seenMs, direction - state.direction
        isInside = 0.0 < x < width and 0.0 < otherX < width and 0.0 < y < height and 0.0 < otherY < height
        if not isInside or not moved @ moved <= (FASTEST * elapsed / 1000.0) ** 2:  # nor where there is a NaN
            return math.nan
        state.direction = direction
        return self._network.probability(hand, side)

    def _step(
        self, side: str, hand: TrackedHand, touching: float, timestampMs: float, elapsedMs: float
    ) -> list[PinchEvent]:
        state = self._states[side]
        if state.hold:
            if touching < APART:
                state.since = timestampMs if state.since is None else state.since
                if timestampMs - state.since >= RELEASE_MS:
                    events = self._end(side, timestampMs, "opened")
                    self._states[side].isArmed = True
                    self._states[side].seenMs, self._states[side].direction = timestampMs, state.direction
                    return events
                return []
            state.since = None
            if touching < LOOSE:  # which moves their tips
                return []
            if timestampMs - state.startedMs < SETTLE_MS:
                state.hold.take(hand.cameraMm)
                return []
            state.hold.follow(hand.cameraMm, elapsedMs)
            return [self._carried(side, state.hold, timestampMs)]
        if not state.isArmed:
            if touching >= APART:
                state.since = None
                return []
            state.since = timestampMs if state.since is None else state.since
            if timestampMs - state.since >= ARM_MS:
                state.isArmed, state.since = True, None
            return []
        if touching <= TOUCHING or isFist(hand):
            state.since = None
            return []
        if state.since is None:
            state.since = timestampMs
            if state.before and state.before[1] < TOUCHING:  # when between the frames it was
                share = (touching - TOUCHING) / (touching - state.before[1])
                state.since -= share * (timestampMs - state.before[0])
        if timestampMs - state.since < DWELL_MS:
            return []
        state.since, state.startedMs = None, timestampMs
        state.hold = hold = Hold(hand.cameraMm)
        tips = np.add.reduce(hand.cameraMm[_TIPS]) / 2.0
        event = PinchEvent(STARTED, side, hold.direction, tips, hold.centreMm, hold.rotation, timestampMs)
        self.started[side] = self.held[side] = event
        return [event]

    def _carried(self, side: str, hold: Hold, timestampMs: float) -> PinchEvent:
        start = self.started[side]
        event = replace(
            start,
            name=MOVED,
            direction=hold.direction,
            positionMm=start.positionMm + hold.wayMm,
            centreMm=start.centreMm + hold.wayMm,
            rotation=hold.rotation,
            timestampMs=timestampMs,
        )
        self.held[side] = event
        return event


def _areCrossing(hand: TrackedHand, other: TrackedHand) -> bool:
    between = np.add.reduce(hand.imagePx[PALM] - other.imagePx[PALM]) / len(PALM)
    widths = [one.imagePx[_INDEX_MCP] - one.imagePx[_PINKY_MCP] for one in (hand, other)]
    width = sum(math.sqrt(across @ across) for across in widths) / 2.0
    return bool(math.sqrt(between @ between) < CROSSING * width)
