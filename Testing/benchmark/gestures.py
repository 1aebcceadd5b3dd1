"""How well LiveHand recognizes pinches and how exactly what is held follows the hand, by rendered hands whose truth is
known.

Both hands of a rig pinch, slowly and fast, and do other things, seen from nine directions at 400 to 800 mm; skin,
light, background, size, noise and focal length vary. A pinch is true while the rig's fingertips touch. Then hands that
pinch turn a view, zoom, scroll, carry something and hold still. Clips and truth are rendered once and kept in the
cache.
"""

import argparse
import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from LiveHandLib.calibration.intrinsics import Intrinsics
from LiveHandLib.detection import detector
from LiveHandLib.gestures import moves
from LiveHandLib.gestures.hold import FOLLOWED
from LiveHandLib.gestures.pinch import ENDED, MOVED, STARTED, PinchEvent, PinchRecognizer
from LiveHandLib.pose.estimator import HandPoseEstimator, PoseParameters
from run import cacheFolder
from support.handrender import FINGERS, HandCamera, HandRenderer, RiggedHand, pinched, placement
from support.paths import MODEL, SAMPLE_CLIP, SHARED

RATE = 30.0
SIZE = (640, 480)
SIDES = ("Left", "Right")
DIRECTIONS = [(yaw, pitch) for yaw in (-35, 0, 35) for pitch in (-25, 0, 25)]
SKINS = ((0.93, 0.71, 0.60), (0.80, 0.58, 0.45), (0.62, 0.42, 0.31), (0.42, 0.28, 0.20), (0.96, 0.78, 0.70))
TOUCHING = 0.31
"""The tips' distance over the palm width at which the rigs' fingers touch: the right one's at 0.2 to 0.25, the left
one's, whose thumb is bent by the same angles, at 0.25 to 0.31."""
EARLY_S, LATE_S = 0.2, 0.07  # how far a recognized pinch may begin before, or end after, the true one
CURLED = (62, 75, 45, 0)
OTHERS = (  # what hands do beside pinching, see RiggedHand.pose()
    {"thumb": (18, 20, 15, 10)} | dict.fromkeys(FINGERS[1:], CURLED),
    {"thumb": (18, 20, 15, 10)} | dict.fromkeys(FINGERS[2:], CURLED),
    {"thumb": (10, 10, 10, 5)} | dict.fromkeys(FINGERS[1:], (25, 30, 15, 0)),
    {"thumb": (-8, 0, 0, 0), "index": (0, 0, 0, 10), "ring": (0, 0, 0, -8), "pinky": (0, 0, 0, -16)},
    {"thumb": (10, 20, 20, 0)},
    dict.fromkeys(FINGERS[1:], (60, 10, 5, 0)),
    pinched(0.5),
)


class PlainRenderer(HandRenderer):
    OVERSAMPLING = 1  # a third of the time, for as good a detection


class Motion:
    """Values at times, between which they go smoothly."""

    def __init__(self, value):
        self.times, self.values = [0.0], [np.array(value, float)]

    def go(self, value, seconds: float, hold: float = 0.0) -> None:
        for duration in (seconds, hold):
            if duration > 0.0:
                self.times.append(self.times[-1] + duration)
                self.values.append(np.array(value, float))

    def at(self, time: float) -> np.ndarray:
        index = min(max(int(np.searchsorted(self.times, time, "right")) - 1, 0), len(self.times) - 2)
        start, end = self.times[index : index + 2]
        part = min(max((time - start) / (end - start), 0.0), 1.0)
        eased = part**3 * (part * (6 * part - 15) + 10)
        return self.values[index] + eased * (self.values[index + 1] - self.values[index])


def bendsOf(pose: dict) -> np.ndarray:
    return np.array([pose.get(finger, (0, 0, 0, 0)) for finger in FINGERS], float)


# Clips


@dataclass
class Clip:
    """A rendered clip.

    :ivar landmarks: (frames, hands, 21, 3), mm, in the camera's coordinate system; NaN where there is no hand.
    """

    path: Path
    intrinsics: Intrinsics
    palmWidthMm: float
    landmarks: np.ndarray


def rendered(name: str, key: tuple, hands, seconds: float, scale=1.0, focal=0.87, noise=3.0, plain=True) -> Clip:
    """A clip from the cache; it is rendered if it is not there.

    :param key: all numbers that the clip depends on.
    :param hands: gives, at a time in s, the bends and the placement of each side's hand.
    :param plain: light, skin and background as they are by default.
    """
    digest = hashlib.sha256(repr((SOURCES, name, key, seconds)).encode()).hexdigest()[:12]
    path = cacheFolder() / "gestures" / f"{name}-{digest}.mp4"
    random = np.random.default_rng(int(digest, 16))
    camera = HandCamera(np.array([[focal * 640, 0, 319.5], [0, focal * 640, 239.5], [0, 0, 1]]), SIZE)
    rigs = {side: RiggedHand.load(SHARED / "hand-mesh" / f"{side.lower()}.glb") for side in SIDES}
    rest = rigs["Right"].pose().landmarks
    palmWidthMm = scale * float(np.linalg.norm(rest[5] - rest[17]))
    truthPath = path.with_suffix(".npy")
    if not truthPath.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        landmarks = _render(path, rigs, hands, seconds, scale, camera, noise, random, plain)
        np.save(truthPath, landmarks)
    return Clip(path, Intrinsics(camera.matrix, np.zeros(5), SIZE), palmWidthMm, np.load(truthPath))


def _render(path, rigs, hands, seconds, scale, camera, noise, random, plain) -> np.ndarray:
    look = {}
    if not plain:
        skin = np.clip(np.array(SKINS[random.integers(len(SKINS))]) * random.uniform(0.93, 1.04), 0, 1)
        look = {"skin": skin, "sleeve": random.uniform(0, 0.6, 3), "background": random.uniform(0.15, 0.95, 2)}
    renderer = PlainRenderer(camera, **look)
    if not plain:
        lights = renderer.scene.GetLights()
        lights.InitTraversal()
        while light := lights.GetNextItem():
            light.SetIntensity(light.GetIntensity() * random.uniform(0.6, 1.25))
    grain = random.normal(0, noise, (SIZE[1] + 100, SIZE[0] + 100, 3)).astype(np.int16)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE, SIZE)
    truth = np.full((round(seconds * RATE), 2, 21, 3), np.nan)
    for number in range(len(truth)):
        posed = []
        for side, (bends, place) in hands(number / RATE).items():
            place = place @ np.diag([scale, scale, scale, 1.0])
            one = rigs[side].pose(dict(zip(FINGERS, bends, strict=True)), place)
            one.normals /= np.linalg.norm(one.normals, axis=1, keepdims=True)
            truth[number, SIDES.index(side)] = one.landmarks
            posed.append(one)
        image = cv2.GaussianBlur(renderer.render(*posed), (0, 0), 0.6)
        left, top = random.integers(0, 100, 2)
        part = grain[top : top + SIZE[1], left : left + SIZE[0]]
        writer.write(cv2.add(image, part, dtype=cv2.CV_8U))
    writer.release()
    return truth


def frames(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of a clip or an image: time in ms and (height, width, 3) uint8, RGB."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        sys.exit(f"{path} cannot be read.")
    rate = capture.get(cv2.CAP_PROP_FPS) or RATE
    number = 0
    while True:
        ok, image = capture.read()
        if not ok:
            return
        yield round(number * 1000 / rate), cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        number += 1


def play(frames: Iterable[tuple[int, np.ndarray]], parameters: PoseParameters) -> list[PinchEvent]:
    """What the pinches of a stream do. To be replaced by a run of the whole module."""
    estimator, recognizer = HandPoseEstimator(parameters), PinchRecognizer()
    events = []
    with detector.HandDetector(detector.loadModel(MODEL), 2) as hands:
        for timestampMs, image in frames:
            size = image.shape[1], image.shape[0]
            placed = estimator.estimate(hands.detect(image, timestampMs), size, timestampMs)
            events += recognizer.update(placed, size, timestampMs)
    return events


def played(clip: Clip) -> list[PinchEvent]:
    return play(frames(clip.path), PoseParameters(clip.palmWidthMm, calibrations=(clip.intrinsics,)))


# Pinches against truth


def acting(random: np.random.Generator, seconds: float, canPinch: bool) -> Motion:
    """What the fingers of one hand do: (5, 4) bends in degrees."""
    motion = Motion(np.zeros((5, 4)))
    motion.go(np.zeros((5, 4)), 0.8)
    while motion.times[-1] < seconds - 3.5:
        fast, slow = 0.12 * 6 ** random.uniform(0, 1, 2)
        if canPinch and random.uniform() < 0.6:
            pose = bendsOf(pinched(random.uniform(1.0, 1.06), random.integers(4), random.uniform() ** 2))
            motion.go(pose, fast, random.uniform(0.3, 1.2))
        else:
            motion.go(bendsOf(OTHERS[random.integers(len(OTHERS))]), 0.2 + fast, random.uniform(0.1, 0.8))
        rest = random.normal(0, 4, (5, 4)) * (1, 1, 1, 0.4)
        motion.go(rest, slow, random.uniform(0.3, 0.9))
    motion.go(np.zeros((5, 4)), 0.4, 4.0)
    return motion


def pinchClip(number: int, canPinch: bool, seconds: float, seed: int) -> Clip:
    """Both hands from one of the nine directions."""
    yaw, pitch = DIRECTIONS[number]
    random = np.random.default_rng([seed, number, canPinch])
    motions = {side: acting(random, seconds, canPinch) for side in SIDES}
    distance = 400 + 400 * ((number * 4) % 9) / 8
    phases, speed = random.uniform(0, 2 * np.pi, (2, 6)), random.uniform(0.6, 3.0)
    scale, focal, noise = random.uniform(0.88, 1.1), random.uniform(0.78, 1.0), random.uniform(1, 6)

    def hands(time):
        result = {}
        for index, side in enumerate(SIDES):
            wave = np.sin(speed * time * np.array([1, 0.7, 0.5, 0.8, 0.6, 0.9]) + phases[index])
            across = (1 if side == "Left" else -1) * min(0.27 * distance, 150) + 25 * wave[0]
            place = placement(
                (across, 15 + 20 * wave[1], distance + 30 * wave[2]),
                pitch=pitch + 5 * wave[3],
                yaw=yaw + 5 * wave[4],
                roll=8 * wave[5],
            )
            result[side] = motions[side].at(time), place
        return result

    name = f"pinches{number}" if canPinch else f"others{number}"
    return rendered(name, (seed, number), hands, seconds, scale, focal, noise, plain=False)


def touching(landmarks: np.ndarray) -> list[tuple[float, float]]:
    """When a hand truly pinches: start and end of each pinch, s."""
    tips = np.linalg.norm(landmarks[:, 4] - landmarks[:, 8], axis=1)
    ratio = tips / np.linalg.norm(landmarks[:, 5] - landmarks[:, 17], axis=1)
    closed = np.concatenate([[False], ratio < TOUCHING, [False]])
    starts, ends = np.flatnonzero(~closed[:-1] & closed[1:]), np.flatnonzero(closed[:-1] & ~closed[1:])
    between = [(ratio[i] - TOUCHING) / (ratio[i] - ratio[i - 1]) if i else 0.0 for i in starts]
    return [((i - part) / RATE, (j - 1) / RATE) for i, part, j in zip(starts, between, ends, strict=True)]


def matched(starts: list[float], truth: list[tuple[float, float]]) -> tuple[list[float], int]:
    """The delays of the true pinches that were recognized, s, and how many others were."""
    left, delays = list(starts), []
    for start, end in truth:
        found = [time for time in left if start - EARLY_S <= time <= end + LATE_S]
        if found:
            left.remove(found[0])
            delays.append(found[0] - start)
    return delays, len(left)


def pinches(seconds: float, seed: int) -> dict[str, float]:
    """Recall, false pinches and delays of all rendered sequences."""
    delays: list[float] = []
    count = false = 0
    minutes = 0.0
    print(f"\n{'yaw, pitch':14}{'pinches':>9}{'found':>7}{'false':>7}{'without':>9}{'false':>7}")
    for number, direction in enumerate(DIRECTIONS):
        row = []
        for canPinch in (True, False):
            clip = pinchClip(number, canPinch, seconds, seed)
            events = played(clip)
            truths = found = others = 0
            for index, side in enumerate(SIDES):
                truth = touching(clip.landmarks[:, index])
                starts = [e.timestampMs / 1000.0 for e in events if (e.name, e.hand) == (STARTED, side)]
                those, rest = matched(starts, truth)
                delays += those
                truths, found, others = truths + len(truth), found + len(those), others + rest
                minutes += len(clip.landmarks) / RATE / 60.0
            row += [truths, found, others] if canPinch else [f"{seconds:.0f} s", others]
            count, false = count + truths, false + others
        print(f"{direction!s:14}{row[0]:9}{row[1]:7}{row[2]:7}{row[3]:>9}{row[4]:7}", flush=True)
    return {
        "recall": len(delays) / count,
        "false_per_minute": false / minutes,
        "onset_ms_median": 1000.0 * float(np.median(delays)),
        "onset_ms_p90": 1000.0 * float(np.percentile(delays, 90)),
    }


def onRealFrames() -> int:
    """Pinches where there is none: a pointing hand, photographs, and the sample clip apart from its pinch."""
    streams = [(path.name, frames(path)) for path in sorted((SHARED / "clips").glob("*.mp4"))]
    for path in sorted((SHARED / "photos").glob("*.jpg")):
        ((_time, image),) = frames(path)
        streams.append((path.name, [(round(n * 1000 / RATE), image) for n in range(15)]))
    streams.append((SAMPLE_CLIP.name, frames(SAMPLE_CLIP)))
    total = 0
    for name, stream in streams:
        starts = [event.timestampMs / 1000.0 for event in play(stream, PoseParameters()) if event.name == STARTED]
        if name == SAMPLE_CLIP.name:  # it pinches at 4.5 s, see make_sample_clip.py
            starts = matched(starts, [(4.2, 5.0)])[1] * [0.0]
        total += len(starts)
        if starts:
            print(f"{name}: {len(starts)} pinches where there is none")
    return total


# What is held against truth


HOLD_S = 0.6


def holding(name: str, distance: float, seconds: float, travel, sides=("Right",)) -> Clip:
    """Hands that open, pinch, move while they pinch, stop, and open.

    :param travel: by side, the way in mm and the turn about the camera's axis in degrees.
    """
    fingers, ways = Motion(np.zeros((5, 4))), Motion(0.0)
    pinch = bendsOf(pinched(1.02))
    fingers.go(np.zeros((5, 4)), 0.7)
    fingers.go(pinch, 0.25, 2 * HOLD_S + seconds)
    fingers.go(np.zeros((5, 4)), 0.25, 0.4)
    ways.go(0.0, 0.95 + HOLD_S)
    ways.go(1.0, seconds, HOLD_S + 0.65)

    def hands(time):
        result = {}
        for side in sides:
            way, roll = travel[side]
            across = (110 if side == "Left" else -110) if len(sides) == 2 else -40
            part = float(ways.at(time))
            place = placement(np.array([across, 20.0, distance]) + part * np.array(way), yaw=10, roll=part * roll)
            result[side] = fingers.at(time), place
        return result

    return rendered(name, (distance, seconds, travel), hands, fingers.times[-1])


def heldAndTrue(clip: Clip, sides=("Right",)):
    """By side, the events with which a pinch began and ended, the true (2, 21, 3) landmarks in these frames, mm, and
    the events between; None if a side was not held just once."""
    events = [event for event in played(clip) if event.hand in sides]
    result = {}
    for side in sides:
        own = [event for event in events if event.hand == side]
        starts = [event for event in own if event.name == STARTED]
        ends = [event for event in own if event.name == ENDED]
        if len(starts) != 1 or len(ends) != 1:
            return None
        first = round(starts[0].timestampMs * RATE / 1000.0)
        last = round(ends[0].timestampMs * RATE / 1000.0) - round(0.4 * RATE)  # before the fingers open
        true = clip.landmarks[[first, last], SIDES.index(side)]
        result[side] = starts[0], ends[0], true, [event for event in own if event.name == MOVED]
    return result


def directions(landmarks: np.ndarray) -> np.ndarray:
    """In which a camera sees the middle of hands: (n, 2) of (n, 21, 3) mm."""
    followed = landmarks[:, FOLLOWED]
    return (followed[..., :2] / followed[..., 2:]).mean(axis=1)


def fingertips(landmarks: np.ndarray) -> np.ndarray:
    """The middle between the two that pinch, (n, 3) of (n, 21, 3) mm."""
    return landmarks[:, [4, 8]].mean(axis=1)


def held() -> dict[str, float]:
    """Errors of what is done with what is held: the largest of each kind."""
    errors: dict[str, list[float]] = {
        key: [] for key in ("rotation_deg", "zoom_percent", "scroll_slices", "grab_mm", "drift_deg", "drift_mm")
    }

    def note(key: str, name: str, error: float, of: str) -> None:
        errors[key].append(error)
        print(f"{name:22}{key:15}{error:8.2f}   {of}", flush=True)

    print()
    for distance in (450, 600):
        for label, way in (("right", (70, 0, 0)), ("up", (0, -60, 0)), ("slant", (-50, 40, 0))):
            found = heldAndTrue(holding(f"drag-{label}-{distance}", distance, 1.2, {"Right": (way, 0)}))
            name = f"drag {label}, {distance} mm"
            if not found:
                note("rotation_deg", name, np.nan, "not held")
                continue
            start, end, true, _moves = found["Right"]
            angles = np.array(moves.dragAngles(start.direction, end.direction))
            expected = np.array(moves.dragAngles(*directions(true)))
            note("rotation_deg", name, float(np.abs(angles - expected).max()), f"{np.abs(expected).max():.0f} degrees")
            offset, wanted = (
                moves.scrolled(0.0, *ends) for ends in ((start.positionMm, end.positionMm), fingertips(true))
            )
            if label == "up":
                note("scroll_slices", name, abs(round(offset) - round(wanted)), f"{wanted:.0f} slices of 1 mm")
        for label, left, right in (
            ("apart", ((35, 0, 0), 0), ((-35, 0, 0), 0)),
            ("together, rolled", ((-30, 25, 0), 0), ((30, -25, 0), 0)),
        ):
            clip = holding(f"zoom-{label[:5]}-{distance}", distance, 1.2, {"Left": left, "Right": right}, SIDES)
            found = heldAndTrue(clip, SIDES)
            name = f"two hands {label[:8]}, {distance} mm"
            if not found:
                note("zoom_percent", name, np.nan, "not held")
                continue
            starts, ends = ([found[side][index].direction for side in SIDES] for index in (0, 1))
            zoom, _pan, roll = moves.twoHands(tuple(starts), tuple(ends))
            trueStarts, trueEnds = ([directions(found[side][2])[index] for side in SIDES] for index in (0, 1))
            trueZoom, _pan, trueRoll = moves.twoHands(tuple(trueStarts), tuple(trueEnds))
            note("zoom_percent", name, 100.0 * abs(zoom / trueZoom - 1.0), f"{100 * trueZoom:.0f} %")
            note("rotation_deg", name, abs(roll - trueRoll), f"rolled by {trueRoll:.0f} degrees")
        for label, path, turn in (("across", (60, -40, 0), 0), ("nearer, turned", (20, 0, -40), 20)):
            found = heldAndTrue(holding(f"grab-{label[:6]}-{distance}", distance, 1.2, {"Right": (path, turn)}))
            name = f"grab {label[:6]}, {distance} mm"
            if not found:
                note("grab_mm", name, np.nan, "not held")
                continue
            start, end, true, _moves = found["Right"]
            way = np.diff(fingertips(true), axis=0)[0]
            matrix = moves.carried(start, end)
            moved = matrix[:3, :3] @ start.positionMm + matrix[:3, 3] - start.positionMm
            note("grab_mm", name, float(np.linalg.norm(moved - way)), f"{np.round(way)}")
            angle = np.degrees(np.linalg.norm(cv2.Rodrigues(end.rotation)[0] - [[0], [0], [np.radians(turn)]]))
            print(f"{'':22}{'  turned':15}{angle:8.2f}   degrees off {turn}")
        still = heldAndTrue(holding(f"still-{distance}", distance, 10.0, {"Right": ((0, 0, 0), 0)}))
        name = f"still, {distance} mm"
        if not still:
            note("drift_mm", name, np.nan, "not held")
            continue
        start, _end, _true, moved = still["Right"]
        drift = max(float(np.linalg.norm(event.positionMm - start.positionMm)) for event in moved)
        turned = max(float(np.degrees(np.linalg.norm(cv2.Rodrigues(event.rotation)[0]))) for event in moved)
        dragged = max(float(np.abs(moves.dragAngles(start.direction, e.direction)).max()) for e in moved)
        note("drift_mm", name, drift, "in 10 s")
        note("drift_deg", name, max(turned, dragged), "in 10 s: the larger of the palm's and of a view's")
    return {key: float(np.max(values)) for key, values in errors.items()}


_PARTS = (RiggedHand, HandRenderer, pinched, placement, Motion, acting, pinchClip, holding, _render)
SOURCES = [inspect.getsource(part) for part in _PARTS]
SOURCES.append(repr((SKINS, OTHERS, DIRECTIONS, HOLD_S)))  # a clip in the cache is of these


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="evaluate gestures", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    parser.add_argument("--clip", metavar="FILE", help="count the pinches of a clip instead")
    parser.add_argument("--seconds", metavar="S", type=float, default=20.0, help="of each rendered sequence (20)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="of the rendered sequences (1)")
    options = parser.parse_args(arguments)
    detector.importPackages()
    if options.clip:
        events = play(frames(Path(options.clip)), PoseParameters())
        ends = [event for event in events if event.name == ENDED]
        starts = [event for event in events if event.name == STARTED]
        for start in starts:
            end = next((e for e in ends if e.hand == start.hand and e.timestampMs > start.timestampMs), None)
            until = f"{end.timestampMs / 1000:.2f} s ({end.reason})" if end else "the end"
            print(f"{start.hand}: {start.timestampMs / 1000:.2f} s to {until}")
        print(f"{len(starts)} pinches")
        result: dict[str, float] = {"pinches": len(starts)}
    else:
        if not SHARED.is_dir():
            sys.exit("The hand meshes are not beside the checkout: give a clip with --clip.")
        result = {"false_on_real_frames": onRealFrames()}
        result |= held()
        result |= pinches(options.seconds, options.seed)
        print()
        for key, value in result.items():
            print(f"{key:22}{value:10.3f}")
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0
