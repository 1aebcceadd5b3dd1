"""How far LiveHand's landmarks are from the truth, in millimetres, beside other ways to get them from one camera.

Sequences rendered from a rigged hand, whose truth is exact, and a real clip whose truth was triangulated from a second
view. Each is tracked as a stream, without using later frames, by three ways:

- ``livehand``: as LiveHand does it, with the smoothing that it has by default;
- ``sqpnp``: OpenCV's ``solvePnP`` (SQPNP) from MediaPipe's world landmarks to those in the image;
- ``shape``: MediaPipe's world landmarks laid upon the truth by the best rigid transform of each frame: what is left
  is the error of the hand's shape alone, and no distance is measured.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from LiveHandLib.calibration.intrinsics import Intrinsics
from LiveHandLib.detection import detector
from LiveHandLib.landmarks import BONES, Landmark
from LiveHandLib.pose.estimator import HandPoseEstimator, PoseParameters
from LiveHandLib.pose.proportions import DEFAULT_PALM_WIDTH_MM
from LiveHandLib.pose.smoothing import DEFAULT_DELAY_MS
from support.handrender import FINGERS, HandCamera, HandRenderer, RiggedHand, placement
from support.paths import MODEL, SHARED

METHODS = ("livehand", "sqpnp", "shape")
TIP, INDEX_MCP, PINKY_MCP = Landmark.INDEX_FINGER_TIP, Landmark.INDEX_FINGER_MCP, Landmark.PINKY_MCP
BLOCK = 20  # frames; the registration is estimated on every other block and tested on the rest


@dataclass
class Sequence:
    """A stream of frames of one hand.

    :ivar frames: gives, for each frame, its number, its time in ms, the image (BGR), and the (21, 3) true landmarks
        in the camera's coordinate system in mm, or None where they are not known.
    """

    name: str
    intrinsics: Intrinsics
    palmWidthMm: float
    frames: Iterator[tuple[int, int, np.ndarray, "np.ndarray | None"]]


@dataclass
class Track:
    """The result of a sequence: rows are the frames with a truth in which the hand was found.

    :ivar points: by method, (n, 21, 3) landmarks, mm.
    """

    frames: list[int] = field(default_factory=list)
    truth: list[np.ndarray] = field(default_factory=list)
    points: dict[str, list[np.ndarray]] = field(default_factory=lambda: {method: [] for method in METHODS})
    deviations: list[np.ndarray] = field(default_factory=list)
    ms: dict[str, list[float]] = field(default_factory=lambda: {method: [] for method in METHODS})
    missed: int = 0


# The sequences


def clip(path: str, truthPath: str, frames: range, palmWidthMm: float) -> Sequence:
    """A real clip.

    :param truthPath: an .npz with ``frames`` (n,), ``landmarks_mm`` (n, 21, 3), ``camera_matrix`` (3, 3) in px and
        ``distortion``.
    :param frames: the frames that count; those before them are tracked as well.
    """
    with np.load(truthPath) as file:
        matrix, distortion = file["camera_matrix"], file["distortion"]
        truth = {int(n): mm for n, mm in zip(file["frames"], file["landmarks_mm"], strict=True) if int(n) in frames}
    capture = cv2.VideoCapture(path)
    if not capture.isOpened():
        sys.exit(f"{path} cannot be read as a video.")
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    rate = capture.get(cv2.CAP_PROP_FPS) or 30.0

    def read():
        for number in range(frames.stop):
            ok, image = capture.read()
            if not ok:
                return
            yield number, round(number * 1000 / rate), image, truth.get(number)

    return Sequence(Path(path).stem, Intrinsics(matrix, distortion, size), palmWidthMm, read())


def motion(name: str, phase: float, waves) -> tuple[dict, np.ndarray]:
    """A rigged hand's pose at a phase of one of four motions, see RiggedHand.pose() and placement().

    :param phase: from 0 to 1, where the motion begins again.
    :param waves: from a number and a frequency (full waves in the motion) to a value from -1 to 1.
    """

    def bent(number: int, frequency: int, degrees: float) -> float:
        return degrees * (0.5 + 0.5 * waves(number, frequency))

    bends = {}
    turn = {"pitch": 15 * waves(20, 2), "yaw": 18 * waves(21, 1), "roll": 15 * waves(22, 1)}
    across = 50 * waves(23, 1), 30 * waves(24, 2)
    distance = 430 + 50 * waves(25, 1)
    for number, finger in enumerate(FINGERS[1:]):
        bend = bent(number, 2, 15)
        bends[finger] = (bend, bend, 0.5 * bend, 0)
    if name == "fingers":
        for number, finger in enumerate(FINGERS[1:]):
            bend = bent(number, 1 + number % 3, 65)
            bends[finger] = (bend, bend, 0.5 * bend, 6 * waves(10 + number, 1))
        bends["thumb"] = (bent(5, 2, 15), bent(6, 1, 25), bent(7, 2, 30), 8 * waves(14, 1))
    elif name == "turning":
        turn = {"pitch": 40 * waves(20, 1), "yaw": 50 * waves(21, 1), "roll": 40 * waves(22, 1)}
    elif name == "near and far":
        distance = 550 - 250 * np.cos(2 * np.pi * phase)
    elif name == "pointing":
        bends |= dict.fromkeys(("middle", "ring", "pinky"), (65, 75, 40, 0))
        bends["thumb"] = (12, 20, 25, 0)
        across = 80 * waves(23, 2), 50 * waves(24, 1)
    return bends, placement((*across, distance), **turn)


MOTIONS = ("fingers", "turning", "near and far", "pointing")


def rendered(side: str, name: str, count: int = 90) -> Sequence:
    """A rigged hand before a camera of known intrinsics, at 30 frames a second.

    :param side: ``"left"`` or ``"right"``.
    :param name: one of :data:`MOTIONS`.
    """
    hand = RiggedHand.load(SHARED / "hand-mesh" / f"{side}.glb")
    rest = hand.pose().landmarks
    camera = HandCamera.typical((640, 480))
    random = np.random.default_rng([MOTIONS.index(name), side == "left"])
    phases = random.uniform(0, 1, 30)

    def render():
        renderer = HandRenderer(camera)
        for number in range(count):
            phase = number / count
            bends, place = motion(name, phase, lambda wave, f, at=phase: np.sin(2 * np.pi * (f * at + phases[wave])))
            posed = hand.pose(bends, place)
            noise = random.normal(0, 3, (480, 640, 3))
            image = np.clip(cv2.GaussianBlur(renderer.render(posed), (0, 0), 0.6) + noise, 0, 255).astype(np.uint8)
            yield number, number * 1000 // 30, image, posed.landmarks

    intrinsics = Intrinsics(camera.matrix, np.zeros(5), camera.size)
    return Sequence(f"{side}, {name}", intrinsics, float(np.linalg.norm(rest[INDEX_MCP] - rest[PINKY_MCP])), render())


# Tracking


def track(sequence: Sequence, model: bytes, smoothingMs: float = DEFAULT_DELAY_MS) -> Track:
    """Track a sequence by all methods."""
    result = Track()
    poseEstimator = HandPoseEstimator(PoseParameters(sequence.palmWidthMm, smoothingMs, (sequence.intrinsics,)))
    with detector.HandDetector(model) as handDetector:
        for number, timestampMs, image, truth in sequence.frames:
            hands = handDetector.detect(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), timestampMs)
            start = time.perf_counter()
            placed = poseEstimator.estimate(hands, sequence.intrinsics.imageSize, timestampMs)
            elapsed = 1000.0 * (time.perf_counter() - start)
            if truth is None:
                continue
            if not placed:
                result.missed += 1
                continue
            hand = next(iter(placed.values()))
            result.frames.append(number)
            result.truth.append(truth)
            result.deviations.append(hand.landmarkStdMm)
            result.points["livehand"].append(hand.cameraMm)
            result.ms["livehand"].append(elapsed)
            for method, place in (("sqpnp", _sqpnp), ("shape", _shape)):
                start = time.perf_counter()
                result.points[method].append(place(hand, truth, sequence.intrinsics))
                result.ms[method].append(1000.0 * (time.perf_counter() - start))
    return result


def _sqpnp(hand: detector.Hand, truth: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    imagePx = hand.imagePx - 0.5  # OpenCV's pixels begin half a pixel later
    _ok, rotation, shift = cv2.solvePnP(
        np.ascontiguousarray(hand.worldMm), imagePx, intrinsics.matrix, intrinsics.distortion, flags=cv2.SOLVEPNP_SQPNP
    )
    return hand.worldMm @ cv2.Rodrigues(rotation)[0].T + shift.ravel()


def _shape(hand: detector.Hand, truth: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    rotation, shift = rigid(hand.worldMm, truth)
    return hand.worldMm @ rotation.T + shift


def rigid(moving: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and shift (3,) that lay (n, 3) points upon others best (Arun et al., 1987)."""
    movingCentre, fixedCentre = moving.mean(axis=0), fixed.mean(axis=0)
    u, _s, vt = np.linalg.svd((moving - movingCentre).T @ (fixed - fixedCentre))
    rotation = (u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt).T
    return rotation, fixedCentre - rotation @ movingCentre


# Figures


def figures(result: Track, method: str) -> dict[str, float]:
    """The errors of one method in one sequence, mm, under the names of the JSON file."""
    truth, points, frames = np.array(result.truth), np.array(result.points[method]), np.array(result.frames)
    errors = np.linalg.norm(points - truth, axis=2)
    even = (frames // BLOCK) % 2 == 0
    if 3 <= even.sum() < len(frames):
        rotation, shift = rigid(points[even, TIP], truth[even, TIP])
        registered = np.linalg.norm(points[~even, TIP] @ rotation.T + shift - truth[~even, TIP], axis=1)
    else:
        registered = np.array([np.nan])
    depth = (points - truth)[:, :, 2].mean(axis=1)
    bones = np.array(BONES)
    lengths = np.linalg.norm(points[:, bones[:, 0]] - points[:, bones[:, 1]], axis=2)
    return {
        "tip_registered_mm_median": np.median(registered),
        "tip_mm_median": np.median(errors[:, TIP]),
        "tip_mm_p90": np.percentile(errors[:, TIP], 90),
        "all_mm_median": np.median(errors),
        "all_mm_p90": np.percentile(errors, 90),
        "depth_bias_mm": depth.mean(),
        "depth_jitter_mm": depth.std(),
        "bone_spread_mm": np.median(lengths.std(axis=0)),
        "ms_per_frame": np.median(result.ms[method]),
    }


def within(result: Track) -> dict[str, float]:
    """How often LiveHand's landmarks are within one and two of the standard deviations that it states."""
    errors = np.linalg.norm(np.array(result.points["livehand"]) - np.array(result.truth), axis=2)
    ratios = errors / np.array(result.deviations)
    return {"within_1_deviation": float((ratios < 1).mean()), "within_2_deviations": float((ratios < 2).mean())}


def printTable(name: str, rows: dict[str, dict[str, float]]) -> None:
    titles = ("tip registered", "tip", "p90", "all", "p90", "depth bias", "jitter", "bones", "ms")
    print(f"\n{name}\n{'mm':10}" + "".join(f"{title:>15}" for title in titles))
    for method, row in rows.items():
        print(f"{method:10}" + "".join(f"{value:15.1f}" for value in row.values()), flush=True)


def plot(tracks: dict[str, Track], path: str) -> None:
    """Draw the fingertip's error over time, and over the hand's distance."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (overTime, overDistance) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained", sharey=True)
    for name, result in tracks.items():
        truth = np.array(result.truth)
        errors = np.linalg.norm(np.array(result.points["livehand"]) - truth, axis=2)[:, TIP]
        isReal = "," not in name
        style = {"color": "black", "linewidth": 1.8, "zorder": 3} if isReal else {"linewidth": 0.9}
        overTime.plot(np.array(result.frames) / 30.0, errors, label=name, **style)
        overDistance.scatter(
            truth[:, :, 2].mean(axis=1), errors, s=6, color="black" if isReal else None, zorder=3 if isReal else 2
        )
    overTime.set(xlabel="time, s", ylabel="error of the index fingertip, mm", ylim=(0, 100))
    overDistance.set(xlabel="distance of the hand, mm")
    for axes in (overTime, overDistance):
        axes.grid(alpha=0.3)
    overTime.legend(fontsize=7, ncols=2)
    figure.savefig(path, dpi=110)
    print(f"\n{path} is written.")


def main(argv: list[str]) -> int:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(prog="run.py accuracy", description=__doc__.partition("\n")[0])
    parser.add_argument("--clip", metavar="FILE", help="a clip to measure on instead of the rendered sequences")
    parser.add_argument("--truth", metavar="NPZ", help="its true landmarks")
    parser.add_argument("--frames", metavar="A:B", default="0:200", help="the clip's frames that count (0:200)")
    parser.add_argument("--palm-width", metavar="MM", type=float, help="of the clip's hand (52.6 for the shared clip)")
    parser.add_argument("--smoothing", metavar="MS", type=float, default=DEFAULT_DELAY_MS, help="LiveHand's, ms")
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    parser.add_argument("--plot", metavar="PNG", help="draw the error over time and distance")
    options = parser.parse_args(argv)
    if bool(options.clip) != bool(options.truth):
        parser.error("--clip and --truth go together")
    try:
        first, _colon, last = options.frames.partition(":")
        frames = range(int(first or 0), int(last or 1_000_000))
    except ValueError:
        parser.error("--frames is two numbers, as in 0:200")

    detector.importPackages()
    model = detector.loadModel(MODEL)
    sequences = []
    if options.clip:
        sequences.append(clip(options.clip, options.truth, frames, options.palm_width or DEFAULT_PALM_WIDTH_MM))
    elif not SHARED.is_dir():
        sys.exit("The hand meshes and the clip are not beside the checkout: give a clip with --clip and --truth.")
    else:
        clips = SHARED / "clips"
        paths = str(clips / "hand_desk.mp4"), str(clips / "hand_desk_truth.npz")
        sequences.append(clip(*paths, frames, options.palm_width or 52.6))
        sequences += [rendered(side, name) for name in MOTIONS for side in ("left", "right")]

    tracks, tables = {}, {}
    for sequence in sequences:
        result = track(sequence, model, options.smoothing)
        if not result.frames:
            sys.exit(f"{sequence.name}: no hand was found in any frame that has a truth.")
        tracks[sequence.name] = result
        tables[sequence.name] = {method: figures(result, method) for method in METHODS}
        printTable(
            f"{sequence.name} ({len(result.frames)} frames, {result.missed} without a hand)", tables[sequence.name]
        )
    synthetic = [name for name in tables if "," in name]
    if synthetic:
        mean = {}
        for method in METHODS:
            rows = [tables[name][method] for name in synthetic]
            mean[method] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        printTable("mean of the rendered sequences", mean)
    honesty = {name: within(result) for name, result in tracks.items()}
    print("\nlandmarks within 1 and 2 stated standard deviations:")
    for name, row in honesty.items():
        print(f"  {name:24}" + "".join(f"{value:7.0%}" for value in row.values()))
    if options.plot:
        plot(tracks, options.plot)
    if options.json:
        content = {"clip": sequences[0].name, **tables[sequences[0].name], "sequences": tables, "honesty": honesty}
        Path(options.json).write_text(json.dumps(content, indent=1, default=float))
    return 0
