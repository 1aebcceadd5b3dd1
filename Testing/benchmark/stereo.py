"""How far the landmarks of a hand that two cameras see are from the truth, beside one camera's.

Without clips, rendered hands before two known cameras (see :mod:`support.stereoscene`). Each clip goes through
MediaPipe as a stream. *One camera* is the first clip alone, as LiveHand tracks it by default; *learnt* is the same with
the lengths of the bones that two cameras have learnt: of the same hand in the other sequences, or of the two clips.

    python3 Testing/run.py evaluate stereo [--clips A B --truths A B --pair FILE --palm-width MM] [--json FILE]
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmark.accuracy import BLOCK, rigid
from LiveHandLib.calibration.intrinsics import Intrinsics
from LiveHandLib.detection import detector
from LiveHandLib.errors import LiveHandError
from LiveHandLib.landmarks import BONES, LANDMARK_NAMES, Landmark
from LiveHandLib.pose.estimator import HandPoseEstimator, PoseParameters
from LiveHandLib.pose.proportions import DEFAULT_PALM_WIDTH_MM
from LiveHandLib.stereo.estimator import StereoEstimator
from LiveHandLib.stereo.pair import CameraPair
from support.paths import MODEL, SHARED
from support.stereoscene import TAKES, clipFolder, palmWidthMm

TIP = Landmark.INDEX_FINGER_TIP


@dataclass
class Clip:
    """One camera's clip and what was detected in it.

    :ivar frames: of each its time, ms, and the hands.
    :ivar truth: by the frame's number, (21, 3) mm in this camera's coordinate system.
    """

    intrinsics: Intrinsics
    frames: list[tuple[float, list[detector.Hand]]]
    truth: dict[int, np.ndarray]


def detected(path: str, truthPath: str, model: bytes) -> Clip:
    """Run a clip through MediaPipe.

    :param truthPath: an .npz with ``frames``, ``landmarks_mm``, ``camera_matrix`` and ``distortion``.
    """
    with np.load(truthPath) as file:
        matrix, distortion = file["camera_matrix"], file["distortion"]
        truth = {int(n): mm for n, mm in zip(file["frames"], file["landmarks_mm"], strict=True)}
    capture = cv2.VideoCapture(path)
    if not capture.isOpened():
        sys.exit(f"{path} cannot be read as a video.")
    rate = capture.get(cv2.CAP_PROP_FPS) or 30.0
    frames, size = [], (0, 0)
    with detector.HandDetector(model) as handDetector:
        while (read := capture.read())[0]:
            timeMs = 1000.0 * len(frames) / rate
            size = read[1].shape[1], read[1].shape[0]
            frames.append((timeMs, handDetector.detect(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB), round(timeMs))))
    return Clip(Intrinsics(matrix, distortion, size), frames, truth)


@dataclass
class Result:
    """Rows are the frames with a truth in which a hand was placed."""

    frames: np.ndarray
    truth: np.ndarray
    points: np.ndarray
    deviations: np.ndarray
    missed: int
    epipolar: float = 0.0
    withOne: int = 0

    @property
    def errors(self) -> np.ndarray:
        return np.linalg.norm(self.points - self.truth, axis=2)

    def registered(self) -> float:
        """The fingertip's median error after a rigid registration by every other block of frames, mm."""
        even = (self.frames // BLOCK) % 2 == 0
        if not 3 <= even.sum() < len(even):
            return float("nan")
        rotation, shift = rigid(self.points[even, TIP], self.truth[even, TIP])
        placed = self.points[~even, TIP] @ rotation.T + shift
        return float(np.median(np.linalg.norm(placed - self.truth[~even, TIP], axis=1)))

    def boneSpread(self) -> float:
        bones = np.array(BONES)
        lengths = np.linalg.norm(self.points[:, bones[:, 0]] - self.points[:, bones[:, 1]], axis=2)
        return float(np.median(lengths.std(axis=0)))


def _result(rows: list[tuple[int, object]], truth: dict[int, np.ndarray]) -> Result:
    kept = [(number, hand) for number, hand in rows if number in truth and hand is not None]
    if not kept:
        sys.exit("No hand was found in any frame that has a truth.")
    numbers, hands = zip(*kept, strict=True)
    missed = sum(number in truth for number, _hand in rows) - len(kept)
    points, deviations = (np.array([getattr(hand, name) for hand in hands]) for name in ("cameraMm", "landmarkStdMm"))
    return Result(np.array(numbers), np.array([truth[n] for n in numbers]), points, deviations, missed)


def oneCamera(clip: Clip, width: float, lengths: tuple[float, ...] = ()) -> Result:
    """Track the hand with one camera, as LiveHand does it."""
    poses = HandPoseEstimator(PoseParameters(width, calibrations=(clip.intrinsics,), lengthsMm=lengths))
    rows = []
    for number, (timeMs, hands) in enumerate(clip.frames):
        placed = poses.estimate(hands, clip.intrinsics.imageSize, round(timeMs))
        rows.append((number, next(iter(placed.values()), None)))
    return _result(rows, clip.truth)


def twoCameras(clips: tuple[Clip, Clip], pair: CameraPair, width: float) -> tuple[Result, tuple[float, ...]]:
    """Track the hand with both; and the lengths that were learnt."""
    poses = StereoEstimator(
        PoseParameters(width, calibrations=(clips[0].intrinsics,)), (clips[1].intrinsics,), pair, isWaiting=True
    )
    arrivals = []
    for camera, clip in enumerate(clips):
        arrivals += [
            (timeMs + camera * pair.offsetMs, camera, n, hands) for n, (timeMs, hands) in enumerate(clip.frames)
        ]
    done = []
    for timeMs, camera, number, hands in sorted(arrivals, key=lambda arrival: arrival[:2]):
        done += poses.add(camera, hands, clips[camera].intrinsics.imageSize, timeMs, number)
    done += poses.finish()
    rows = [(frame.key, next(iter(frame.hands.values()), None)) for frame in done]
    result = _result(rows, clips[0].truth)
    result.epipolar = poses.epipolarError()
    result.withOne = sum(hand.cameras == 1 for frame in done for hand in frame.hands.values())
    return result, tuple(poses.bones.lengthsMm)


def offsets(results: list[Result]) -> tuple[np.ndarray, np.ndarray]:
    """MediaPipe's landmarks against the rig's joints: (21, 3) mm, the mean in the hand's own coordinate system, and
    (21,) what is left of the error, median, when that is taken off."""
    inHand = []
    for result in results:
        middle, wrist, across = (result.truth[:, i] for i in (Landmark.MIDDLE_FINGER_MCP, 0, Landmark.INDEX_FINGER_MCP))
        along = middle - wrist
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        normal = np.cross(along, across - wrist)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        axes = np.stack([np.cross(along, normal), along, normal], axis=1)
        inHand.append(np.einsum("nij,nlj->nli", axes, result.points - result.truth))
    mean = np.median(np.concatenate(inHand), axis=0)
    left = np.median(np.linalg.norm(np.concatenate(inHand) - mean, axis=2), axis=0)
    return mean, left


BARS = {
    "tip_mm_median": 5.0,
    "tip_mm_p90": 12.0,
    "all_mm_median": 6.0,
    "tip_registered_mm_median": 4.0,
    "one_camera_learnt_tip_mm_median": 12.0,
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="run.py evaluate stereo", description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", metavar="FILE", nargs=2, help="the first and the second camera's clip")
    parser.add_argument("--truths", metavar="NPZ", nargs=2, help="their true landmarks, each in its camera's system")
    parser.add_argument("--pair", metavar="FILE", help="rotation and translation from the first to the second camera")
    parser.add_argument("--palm-width", metavar="MM", type=float, default=DEFAULT_PALM_WIDTH_MM, help="one camera's")
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    options = parser.parse_args(arguments)
    given = [bool(value) for value in (options.clips, options.truths, options.pair)]
    if any(given) and not all(given):
        parser.error("--clips, --truths and --pair go together")
    detector.importPackages()
    model = detector.loadModel(MODEL)
    if options.clips:
        sources = [("", Path(options.clips[0]).stem, options.clips, options.truths, options.pair, options.palm_width)]
    elif not SHARED.is_dir():
        sys.exit("The hand meshes are not beside the checkout: give clips.")
    else:
        sources = []
        for take in TAKES:
            folder = clipFolder(take)
            clips, truths = (
                [str(folder / f"{name}{end}") for name in ("first", "second")] for end in (".avi", "_truth.npz")
            )
            sources.append((take.side, take.name, clips, truths, str(folder / "pair.npz"), palmWidthMm(take.side)))
    before, both, seen = [], [], []
    print(f"{'mm':34}{'tip':>7}{'p90':>7}{'all':>7}{'registered':>12}{'bones':>7}{'one camera':>12}{'epipolar':>10}")
    for hand, name, clips, truths, pairPath, width in sources:
        try:
            pair = CameraPair.load(pairPath)
        except LiveHandError as error:
            sys.exit(f"{pairPath}: {error}")
        views = tuple(detected(clip, truth, model) for clip, truth in zip(clips, truths, strict=True))
        result, learnt = twoCameras(views, pair, width)
        both.append(result)
        before.append(oneCamera(views[0], width))
        seen.append((hand, views[0], width, learnt))
        tip = result.errors[:, TIP]
        print(
            f"{name:34}{np.median(tip):7.1f}{np.percentile(tip, 90):7.1f}{np.median(result.errors):7.1f}"
            f"{result.registered():12.1f}{result.boneSpread():7.1f}{np.median(before[-1].errors[:, TIP]):12.1f}"
            f"{result.epipolar:10.4f}",
            flush=True,
        )
    after = []
    for index, (hand, view, width, _learnt) in enumerate(seen):
        others = [learnt for other, (side, *_rest, learnt) in enumerate(seen) if side == hand and other != index]
        lengths = np.median(others or [seen[index][-1]], axis=0)
        after.append(oneCamera(view, width, tuple(lengths)))
    errors = np.concatenate([result.errors for result in both])
    ratios = np.concatenate([result.errors / result.deviations for result in both])
    mean, left = offsets(both)
    figures = {
        "tip_mm_median": np.median(errors[:, TIP]),
        "tip_mm_p90": np.percentile(errors[:, TIP], 90),
        "all_mm_median": np.median(errors),
        "tip_registered_mm_median": np.median([result.registered() for result in both]),
        "bone_spread_mm": np.median([result.boneSpread() for result in both]),
        "one_camera_tip_mm_median": np.median(np.concatenate([result.errors[:, TIP] for result in before])),
        "one_camera_learnt_tip_mm_median": np.median(np.concatenate([result.errors[:, TIP] for result in after])),
        "frames": len(errors),
        "frames_missed": sum(result.missed for result in both),
        "frames_with_one_camera": sum(result.withOne for result in both),
        "within_1_deviation": (ratios < 1).mean(),
        "within_2_deviations": (ratios < 2).mean(),
        "epipolar_error_median": np.median([result.epipolar for result in both]),
        "offset_mm_median": np.median(np.linalg.norm(mean, axis=1)),
        "tip_offset_mm": np.linalg.norm(mean[TIP]),
        "tip_without_offset_mm_median": left[TIP],
        "all_without_offset_mm_median": np.median(left),
    }
    print()
    for name, value in figures.items():
        bar = f"   (at most {BARS[name]:g}: {'met' if value <= BARS[name] else 'MISSED'})" if name in BARS else ""
        print(f"{name:34}{value:9.3f}{'' if options.clips else bar}")
    print("\nconstant offset of MediaPipe's landmarks against the truth, mm, in the hand's own coordinate system")
    for name, offset, rest in zip(LANDMARK_NAMES, mean, left, strict=True):
        print(f"{name:20}" + "".join(f"{value:7.1f}" for value in offset) + f"   left {rest:5.1f}")
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1, default=float))
    return 0
