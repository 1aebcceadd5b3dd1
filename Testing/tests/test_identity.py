"""Which hand is which: made-up sequences with wrong labels, gaps and crossings, and MediaPipe's own on images."""

from dataclasses import replace

import numpy as np
import pytest

from LiveHandLib.detection import detector
from LiveHandLib.pose.identity import LOSS_MS, HandIdentity
from support.paths import SAMPLE_CLIP

STEP_MS = 33
OTHER = {"Left": "Right", "Right": "Left"}

# A hand that shows its palm, about 180 px long; x to the right, y down, its thumb at the image's left.
SHAPE = np.array(
    [(0, 80), (-30, 65), (-55, 40), (-70, 15), (-80, -5)]
    + [(x, y) for x, top in ((-28, -85), (-5, -95), (15, -88), (35, -65)) for y in np.linspace(0, top, 4)]
)


def detection(side: str, at, label: str | None = None, score: float = 0.97) -> detector.Hand:
    """A hand of one side with its centre at a place in the image, px; labelled right if nothing else is given."""
    shape = SHAPE * ((-1, 1) if side == "Left" else (1, 1))
    return detector.Hand(label or side, score, shape + np.asarray(at, float), np.zeros((21, 3)), np.zeros(21))


class Stream:
    """Frames of an identity's stream, one after the other; ``sides`` are those of the last one."""

    def __init__(self) -> None:
        self.identity = HandIdentity()
        self.time = 0
        self.sides: dict[str, detector.Hand] = {}

    def show(self, *hands: detector.Hand, after: int = STEP_MS, areOne: bool = False) -> dict[str, detector.Hand]:
        self.time += after
        self.sides = self.identity.assign(list(hands), self.time)
        number = 1 if areOne else len(hands[:2])
        assert len({id(hand) for hand in self.sides.values()}) == len(self.sides) == number
        return self.sides

    def new(self) -> set[str]:
        return {side for side in self.sides if self.identity.isNewTrack(side)}


def test_hands_that_appear_are_named_by_their_labels_and_new_once():
    stream = Stream()
    right, left = detection("Right", (150, 240)), detection("Left", (450, 240))
    assert stream.show(right, left) == {"Right": right, "Left": left}
    assert stream.new() == {"Right", "Left"}
    stream.show(left, right)  # in any order
    assert stream.sides == {"Right": right, "Left": left}
    assert stream.new() == set()
    assert stream.show() == {}


def test_two_hands_of_one_label_are_told_apart_by_its_certainty():
    sure, unsure = detection("Right", (150, 240), score=0.9), detection("Left", (450, 240), "Right", 0.6)
    assert Stream().show(sure, unsure) == {"Right": sure, "Left": unsure}
    assert Stream().show(unsure, sure) == {"Right": sure, "Left": unsure}


@pytest.mark.parametrize("step", [12, 33, 100, 200])
def test_one_wrong_label_changes_nothing(step):
    stream = Stream()
    for number in range(20):
        wrong = number in (1, 9)
        right = detection("Right", (150 + 5 * number, 240), "Left" if wrong else None)
        assert stream.show(right, after=step) == {"Right": right}, number
        assert stream.new() == ({"Right"} if number == 0 else set())


def test_both_labelled_right_for_long_stay_where_they_are():
    stream = Stream()
    stream.show(detection("Right", (150, 240)), detection("Left", (450, 240)))
    for number in range(60):
        right, left = detection("Right", (150 + number, 240)), detection("Left", (450 - number, 240), "Right")
        assert stream.show(left, right) == {"Right": right, "Left": left}
        assert stream.new() == set()


def test_first_label_wrong_is_put_right_soon():
    stream = Stream()
    stream.show(detection("Right", (150, 240), "Left"))
    assert stream.sides.keys() == {"Left"}
    sides = [next(iter(stream.show(detection("Right", (150, 240))))) for _frame in range(6)]
    assert sides[-1] == "Right"
    assert sides == sorted(sides), "once, and not to and fro"


@pytest.mark.parametrize("gapMs", [STEP_MS, 300, 2 * LOSS_MS])
def test_users_other_hand_is_accepted_after_a_few_frames(gapMs):
    stream = Stream()
    for _frame in range(100):
        stream.show(detection("Right", (300, 240)))
    changes = []
    for number in range(12):
        stream.show(detection("Left", (300, 240)), after=STEP_MS if number else gapMs)
        changes.append((*stream.sides, *stream.new()))
    assert changes[-1] == ("Left",)
    change = changes.index(("Left", "Left"))
    assert change == 0 if gapMs > LOSS_MS else 0 < change < 10, "what was known of the right hand is void"
    assert changes == [("Right",)] * change + [("Left", "Left")] + [("Left",)] * (11 - change)


def test_hand_back_after_a_short_loss_is_the_same_and_after_a_long_one_a_new_one():
    stream = Stream()
    for _frame in range(10):
        stream.show(detection("Right", (200, 240)))
    stream.show(after=LOSS_MS // 2)
    stream.show(detection("Right", (230, 240), "Left"), after=LOSS_MS // 2)
    assert stream.sides.keys() == {"Right"} and stream.new() == set()
    stream.show(after=LOSS_MS)
    stream.show(detection("Right", (230, 240), "Left"), after=STEP_MS)
    assert stream.sides.keys() == {"Left"} and stream.new() == {"Left"}


def test_hand_that_is_suddenly_elsewhere_is_another_one():
    stream = Stream()
    for _frame in range(10):
        stream.show(detection("Right", (100, 240)))
    stream.show(detection("Right", (500, 240)))
    assert stream.sides.keys() == {"Right"} and stream.new() == {"Right"}
    stream.show(detection("Left", (100, 240)))
    assert stream.sides.keys() == {"Left"} and stream.new() == {"Left"}


def test_fast_hand_is_the_same():
    stream = Stream()
    for number in range(10):
        right = detection("Right", (60 * number, 240), "Left" if number == 5 else None)  # 1.8 m/s, from a stand
        stream.show(right)
        assert stream.sides.keys() == {"Right"} and stream.new() == ({"Right"} if number == 0 else set())


def test_hands_go_on_as_they_went():
    """Nothing else distinguishes these two: their shapes are the same and their labels say nothing."""
    stream = Stream()
    stream.show(detection("Right", (100, 240)), detection("Right", (500, 240), "Left"))
    for number, x in enumerate(range(100, 500, 25)):
        right, left = (detection("Right", (at, 240), score=0.5) for at in (x, 600 - x))
        if 290 < x < 330:
            stream.show(left)  # the other is behind it
            continue
        stream.show(*((right, left) if number % 2 else (left, right)))
        assert stream.sides == {"Right": right, "Left": left}, x


def test_time_that_stands_still_or_jumps_back_does_no_harm():
    stream = Stream()
    for after in (33, 0, -1000, 33, 33):
        assert stream.show(detection("Right", (300, 240)), after=after).keys() == {"Right"}


WAYS_TO_SEE_IT = {
    "as the hand that it is": lambda shape: np.add(shape, (10, -5)),
    "smaller and lower": lambda shape: 0.7 * shape + (4, 30),
    "as the other hand": lambda shape: shape * (-1, 1),
    "turned": lambda shape: shape @ [(0.8, 0.6), (-0.6, 0.8)],
    "with each finger for the next": lambda shape: shape[[*range(5), *range(9, 21), *range(17, 21)]],
}


@pytest.mark.fault("Field: one hand found twice")
@pytest.mark.parametrize(
    "way, label, score",
    [
        *((way, *label) for way in WAYS_TO_SEE_IT for label in (("Left", 0.507), ("Right", 0.95))),
        ("as the hand that it is", "Left", 0.98),
        ("with each finger for the next", "Left", 0.98),
    ],
)
def test_one_hand_found_twice_is_one(way, label, score):
    stream = Stream()
    for number in range(30):
        right = detection("Right", (150 + 5 * number, 240))
        seen = np.add(WAYS_TO_SEE_IT[way](SHAPE), (150 + 5 * number, 240))
        ghost = replace(right, handedness=label, score=score, imagePx=seen)
        hands = [right, ghost] if number % 4 == 2 else [right]
        hands.sort(key=lambda hand: hand.score, reverse=True)
        assert stream.show(*hands, areOne=True).keys() == {"Right"}, number
        assert stream.new() == ({"Right"} if number == 0 else set())


@pytest.mark.fault("Field: one hand found twice, as it appears")
def test_one_hand_found_twice_as_it_appears_is_the_more_certain():
    right, ghost = detection("Right", (300, 240), score=0.9), detection("Right", (310, 260), "Left", score=0.7)
    assert Stream().show(right, ghost, areOne=True) == {"Right": right}


WAYS_TOGETHER = {
    "side by side": lambda shape: shape + np.array([80, 0]),
    "fingers over fingers": lambda shape: np.add(shape @ [(0, 1), (-1, 0)], (60, -60)),
    "one upon the other": lambda shape: shape @ [(0, 1), (-1, 0)],
    "one upon the other, opposite": lambda shape: -shape + np.array([20, 10]),
    "palms together": lambda shape: shape + np.array([15, 0]),
}


@pytest.mark.parametrize("way", WAYS_TOGETHER)
def test_two_hands_that_come_together_are_two(way):
    stream = Stream()
    together = WAYS_TOGETHER[way](SHAPE * (-1, 1))
    for number in range(40):
        right = detection("Right", (200, 240))
        left = replace(detection("Left", (0, 0)), imagePx=np.add(together, (200 + max(300 - 15 * number, 0), 240)))
        assert stream.show(right, left) == {"Right": right, "Left": left}, number


def test_hand_that_comes_out_from_behind_another_is_there_when_it_is_beside_it_or_known_by_its_label():
    stream = Stream()
    right = detection("Right", (200, 240))
    stream.show(right)
    for way in (0, 10, 20, 30, 80, 100, 120):
        stream.show(right, detection("Left", (200 + way, 240), "Right"), areOne=way < 80)
    stream = Stream()
    stream.show(right)
    left = detection("Left", (210, 240))
    assert stream.show(right, left) == {"Right": right, "Left": left}


def wrongAfterCrossing(frames, flip: float, drop: float, runs: int) -> tuple[float, float]:
    """Give frames of two hands that cross to the identity, with labels exchanged and hands lost at random.

    :param frames: for each the hands and their true sides.
    :returns: how many of the hands were taken for the wrong one, and how many of the runs ended with that.
    """
    random = np.random.default_rng(0)
    wrong = []
    for _run in range(runs):
        stream = Stream()
        wrong.append([])
        for hands in frames:
            shown = []
            for side, hand in hands:
                if random.random() >= drop:
                    label = OTHER[hand.handedness] if random.random() < flip else hand.handedness
                    shown.append((side, replace(hand, handedness=label)))
            given = stream.show(*(hand for _side, hand in shown))
            wrong[-1].append([given.get(side) is not hand for side, hand in shown])
    rate = np.mean([one for run in wrong for frame in run for one in frame])
    return float(rate), float(np.mean([any(any(frame) for frame in run[-5:]) for run in wrong]))


@pytest.mark.parametrize("flip, drop, allowed", [(0.0, 0.0, 0.0), (0.0, 0.2, 0.01), (0.1, 0.0, 0.04), (0.2, 0.1, 0.1)])
def test_crossing(flip, drop, allowed):
    """The right hand goes from left to right before the left one, which cannot be seen for ten frames."""
    frames = []
    for number, x in enumerate(np.linspace(-150, 150, 50)):
        right, left = ("Right", detection("Right", (300 + x, 240))), ("Left", detection("Left", (300 - x, 250)))
        frames.append([right] if 20 <= number < 30 else [right, left])
    rate, ended = wrongAfterCrossing(frames, flip, drop, runs=1 if flip == drop == 0 else 40)
    assert rate <= allowed and ended <= allowed


# MediaPipe's own


def rendered(shared, frontSide: str, count: int):
    """Frames of a right hand that crosses a left one, RGB, and the landmarks of both in px."""
    from support.handrender import HandCamera, HandRenderer, RiggedHand, placement

    class QuickRenderer(HandRenderer):
        OVERSAMPLING = 1

    hands = {side: RiggedHand.load(shared / "hand-mesh" / f"{side.lower()}.glb") for side in OTHER}
    camera = HandCamera.typical((640, 480))
    renderer = QuickRenderer(camera)
    for x in np.linspace(-130, 130, count):
        posed = {
            side: hand.pose({}, placement((x if side == "Right" else -x, 0, 520 if side == frontSide else 630)))
            for side, hand in hands.items()
        }
        truth = {side: camera.project(hand.landmarks) for side, hand in posed.items()}
        yield renderer.render(*posed.values())[:, :, ::-1], truth


@pytest.mark.parametrize("frontSide", ["Right", "Left"])
def test_crossing_as_mediapipe_sees_it(shared, model, frontSide):
    frames = []
    with detector.HandDetector(model, numberOfHands=2) as handDetector:
        for number, (image, truth) in enumerate(rendered(shared, frontSide, count=36)):
            hands = handDetector.detect(image, number * STEP_MS)
            nearest = [min(truth, key=lambda side: np.abs(hand.imagePx - truth[side]).mean()) for hand in hands]
            frames.append(list(zip(nearest, hands, strict=True)))
    counts = [len(hands) for hands in frames]
    assert counts[:6] == counts[-6:] == [2] * 6, "both are seen before and after"
    assert 1 in counts, "and one of them is hidden meanwhile"
    assert wrongAfterCrossing(frames, 0.0, 0.0, runs=1) == (0.0, 0.0)
    rate, ended = wrongAfterCrossing(frames, 0.1, 0.1, runs=40)
    assert rate < 0.05 and ended < 0.05


@pytest.mark.fault("Field: one hand found twice, by MediaPipe in the sample clip")
def test_the_hand_of_the_sample_clip_is_one(model):
    """In the ninetieth frame MediaPipe finds a left hand over the right one."""
    import cv2

    capture, identity = cv2.VideoCapture(str(SAMPLE_CLIP)), HandIdentity()
    with detector.HandDetector(model, numberOfHands=2) as handDetector:
        for number in range(100):
            hands = handDetector.detect(capture.read()[1][:, :, ::-1], number * STEP_MS)
            assert identity.assign(hands, number * STEP_MS).keys() <= {"Right"}, number
    capture.release()


def test_both_hands_of_a_photograph(shared, model):
    import cv2

    image = cv2.cvtColor(cv2.imread(str(shared / "photos" / "two_hands_1.jpg")), cv2.COLOR_BGR2RGB)
    with detector.HandDetector(model, numberOfHands=2) as handDetector:
        sides = HandIdentity().assign(handDetector.detect(image, 0), 0)
    assert sides.keys() == {"Left", "Right"}
    # She faces the camera, her arms are not crossed.
    assert sides["Right"].imagePx[:, 0].mean() < sides["Left"].imagePx[:, 0].mean()
