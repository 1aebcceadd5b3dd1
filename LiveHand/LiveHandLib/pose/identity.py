"""Which hand is which from frame to frame. Knows numpy, nothing of Qt or MRML."""

import math
from dataclasses import dataclass

import numpy as np

from ..detection.detector import HANDEDNESSES, Hand
from ..landmarks import MCPS, Landmark

LOSS_MS = 500
"""A hand that is back within this time, ms, is still the same one."""

REACH_SIZES = 1.0
REACH_SIZES_PER_MS = 0.02
"""How far a hand may be from where it should be, in its sizes (its landmarks' root mean square distance from their
centre, about 60 mm for an open hand): that much at once, for it bends as well as moves, and that much more for each
ms, about 1.2 m/s. What is further away is not the hand that was there."""

LABEL_COST = 0.1
ABSENCE_COST = 1.2
"""The cost of taking a hand in the frame for one of the two sides, where being as far away as it may counts 1: that
MediaPipe is sure of the other side, and that this side's hand was not there before. So a hand in its place is not
renamed for one wrong label, and a hand that appears takes the side of its label."""

MEMORY_MS = 200.0
CHANGE_MS = 100.0
"""A hand's labels are summed up, each weighted by the time since the last frame in ms and by how sure MediaPipe is,
and forgotten with the first as time constant. The hands change sides when the sum over those seen speaks for that by
more than the second: 0.3 s after a hand that was always sure becomes the other, and never for one label alone,
because none counts more than that."""

SAME_SIZES, SAME_LABELLED_TWO_SIZES, IN_PLACE_SIZES = 0.6, 0.5, 1.2
LABELLED_TWO = 0.6
"""When two hands found in a frame are one hand found twice, distances in sizes of the larger.

MediaPipe itself leaves out a hand of which ten landmarks or more lie within a fifth of the palm's length from the same
ones of another (its ``hand_landmarks_deduplication_calculator.cc``); what is meant here passes that. Two hands are one

- if their landmarks' root mean square distance, each from the same one of the other, is less than the first, or, where
  they are labelled as a left and a right hand with scores of :data:`LABELLED_TWO` or more, the second;
- if just one hand was there before, they are not labelled so, and the distance of the palms' centres together with the
  mean distance of a landmark from the nearest one of the other hand is less than the third: a hand comes from
  somewhere, and not out of another.

Measured with MediaPipe 0.10.31. Frames of two hands, both found, that cross, touch, clap, pray and lie upon each other
(rendered), and of a real hand with its own image over it: in 3 of 3825 the two are taken for one, in none of them two
frames running; all were hands that pray, where one had been hidden for half a second and both were labelled right, or
one with a score below 0.6. For the least, the first distance was 0.54, and 0.7 for all but six. Frames in which one
hand was found twice: of 16 of the real clip and the sample clip, turned, scaled, blurred and with frames left out, 14
are put right; of 18 in those of two hands 11; of 91 of a rendered hand that moves and turns wildly 42. In most of the
others the second hand lies on the arm, or where the hand was before.
"""
_PALM = [int(landmark) for landmark in (Landmark.WRIST, *MCPS)]

FORESIGHT_MS = 200.0
"""For how long, ms, a hand that is lost is taken to move on as it did."""


@dataclass
class _Side:
    """A hand as it was last seen, and how the labels so far speak for its side."""

    imagePx: np.ndarray
    centre: tuple[float, float]  # px
    size: float  # px
    velocity: tuple[float, float]  # px per ms
    seenMs: int
    votes: float  # ms


class HandIdentity:
    """Assigns the hands of each frame to the user's left and right hand.

    MediaPipe labels every frame's hands anew. Its labels are wrong now and then, mostly where a hand is seen from
    its edge, is covered or enters the image, and sometimes the same for both. Here a hand keeps its side by being
    where it was, through a crossing and through a loss of up to :data:`LOSS_MS`; MediaPipe's labels decide when it
    appears, when two hands meet, and when they insist. And where it finds one hand twice, there is one.
    """

    def __init__(self) -> None:
        self._sides: dict[str, _Side] = {}
        self._new: set[str] = set()
        self._lastMs = 0

    def assign(self, hands: list[Hand], timestampMs: int) -> dict[str, Hand]:
        """Say which hand is which in the next frame.

        :param hands: the hands in the frame, the most certain first; those beyond the second are left out, and so is
            one of two that are one.
        :param timestampMs: time of the frame in its stream, ms; a clock that jumps back is taken to stand still.
        :returns: hand by ``"Left"`` and ``"Right"``, as the user has them, whatever the hand's own label says.
        """
        timestampMs = max(timestampMs, self._lastMs)
        step, self._lastMs = min(timestampMs - self._lastMs, CHANGE_MS), timestampMs
        self._sides = {side: was for side, was in self._sides.items() if timestampMs - was.seenMs <= LOSS_MS}
        self._new = set()
        hands = hands[:2]
        if len(hands) == 2 and _areOne(hands[0], hands[1], wasOneThere=len(self._sides) == 1):
            # The one nearer to where a hand was, unless the other is the more certain. Rendered, the landmarks kept are
            # off by 0.41 to 0.55 of the hand's size where it is slow, and by certainty alone by 0.6; where it moves as
            # fast as hands can, by 0.48 and 0.33.
            hands = [min(hands, key=lambda hand: self._nearest(hand, timestampMs) - _sureness(hand))]
        distances = {side: [self._distance(side, hand, timestampMs) for hand in hands] for side in HANDEDNESSES}

        def cost(way: tuple[str, ...]) -> float:
            total = 0.0
            for index, (side, hand) in enumerate(zip(way, hands, strict=False)):
                distance = distances[side][index]
                total += distance if distance < 1.0 else ABSENCE_COST
                total += 0.0 if hand.handedness == side else LABEL_COST * _sureness(hand)
            return total

        way = min(HANDEDNESSES, HANDEDNESSES[::-1], key=cost)
        given = dict(zip(way, hands, strict=False))
        for index, (side, hand) in enumerate(given.items()):
            if distances[side][index] >= 1.0:
                self._new.add(side)
                self._sides.pop(side, None)
            self._see(side, hand, timestampMs, step)
        if sum(self._sides[side].votes for side in given) < -CHANGE_MS:
            given = self._exchanged(given)
        return given

    def isNewTrack(self, side: str) -> bool:
        """Whether a side's hand was not the same one before: what is remembered of that side's hand is void.

        :param side: a side of the last frame's hands, ``"Left"`` or ``"Right"``.
        """
        return side in self._new

    def _nearest(self, hand: Hand, timestampMs: int) -> float:
        """The distance from the side that is nearest; the same for all hands if none was there."""
        return min(self._distance(side, hand, timestampMs) for side in HANDEDNESSES)

    def _distance(self, side: str, hand: Hand, timestampMs: int) -> float:
        """From where that side's hand should be, over how far it may be; infinite if it was nowhere."""
        was = self._sides.get(side)
        if was is None:
            return math.inf
        elapsed = timestampMs - was.seenMs
        ahead = min(elapsed, FORESIGHT_MS)
        way = (was.velocity[0] * ahead, was.velocity[1] * ahead)
        moved = (hand.imagePx - was.imagePx - way).ravel()
        reach = was.size * (REACH_SIZES + REACH_SIZES_PER_MS * elapsed)
        return math.sqrt(moved @ moved / len(hand.imagePx)) / reach

    def _see(self, side: str, hand: Hand, timestampMs: int, step: float) -> None:
        votes = _sureness(hand) * (step if hand.handedness == side else -step)
        centre = np.add.reduce(hand.imagePx) / len(hand.imagePx)
        size = _size(hand.imagePx, centre)
        x, y = centre.tolist()
        velocity = (0.0, 0.0)
        was = self._sides.get(side)
        if was:
            elapsed = max(timestampMs - was.seenMs, 1)
            votes += was.votes * math.exp(-elapsed / MEMORY_MS)
            velocity = (
                0.5 * (was.velocity[0] + (x - was.centre[0]) / elapsed),
                0.5 * (was.velocity[1] + (y - was.centre[1]) / elapsed),
            )
        self._sides[side] = _Side(hand.imagePx, (x, y), size, velocity, timestampMs, votes)

    def _exchanged(self, given: dict[str, Hand]) -> dict[str, Hand]:
        other = dict(zip(HANDEDNESSES, HANDEDNESSES[::-1], strict=True))
        self._sides = {other[side]: was for side, was in self._sides.items()}
        for was in self._sides.values():
            was.votes = -was.votes
        self._new = {other[side] for side in given}
        return {other[side]: hand for side, hand in given.items()}


def _areOne(hand: Hand, other: Hand, wasOneThere: bool) -> bool:
    """Whether two hands found in one frame are one hand found twice, see :data:`SAME_SIZES`.

    :param wasOneThere: whether just one hand was there before.
    """
    palms = [np.add.reduce(one.imagePx[_PALM]) / len(_PALM) for one in (hand, other)]
    size = max(_size(one.imagePx, palm) for one, palm in zip((hand, other), palms, strict=True))
    apart = math.dist(*palms)
    if apart > 2.0 * size:  # which is most often so, and saves the rest
        return False
    between = hand.imagePx[:, None] - other.imagePx
    distances = np.sqrt(np.add.reduce(between * between, axis=2))
    same = distances.diagonal()
    areLabelledTwo = hand.handedness != other.handedness and min(hand.score, other.score) >= LABELLED_TWO
    least = SAME_LABELLED_TWO_SIZES if areLabelledTwo else SAME_SIZES
    if same @ same < len(same) * (least * size) ** 2:
        return True
    nearest = max(np.add.reduce(np.minimum.reduce(distances, axis=axis)) for axis in (0, 1)) / len(distances)
    return wasOneThere and not areLabelledTwo and apart + nearest < IN_PLACE_SIZES * size


def _size(points: np.ndarray, centre: np.ndarray) -> float:
    """Root mean square distance of (n, 2) points from their centre, px, and 1 more: never nothing."""
    about = (points - centre).ravel()
    return math.sqrt(about @ about / len(points)) + 1.0


def _sureness(hand: Hand) -> float:
    """0 when MediaPipe's label is a guess, 1 when it is certain."""
    return max(2.0 * hand.score - 1.0, 0.0)
