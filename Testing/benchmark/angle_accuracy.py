"""How far the joint angles that LiveHand measures are from those of a rigged hand in the same pose.

Hands of both sides are bent in many ways, rendered from many directions and found by MediaPipe. Prints for
each angle the error in degrees: of the angles from the image's landmarks with their depths, which LiveHand takes, and
of those from the world landmarks.

    python3 Testing/run.py angles [folder of left.glb and right.glb]
"""

import argparse
from pathlib import Path

import numpy as np

from support.handrender import FINGERS, HandCamera, HandRenderer, RiggedHand, placement
from support.paths import MODEL, SHARED

SIDES = ("Left", "Right")
VIEWS = [
    {},
    *({"yaw": yaw} for yaw in (25, -25, 45, -45)),
    *({"pitch": pitch} for pitch in (25, -25)),
    *({"yaw": yaw} for yaw in (150, 180)),
]
FRAME_MS = 33


class PlainRenderer(HandRenderer):
    """Its images' edges are not smoothed: a small part of the time for as good a detection."""

    OVERSAMPLING = 1


def poses(random) -> list[dict]:
    """Bends in degrees, see RiggedHand.pose(): each joint on its own, the hand closing, and 10 at random."""
    long = FINGERS[1:]
    alone = [(30, 0, 0, 0), (60, 0, 0, 0), (85, 0, 0, 0), (85, 60, 30, 0), (20, 90, 40, 0), (0, 50, 20, 0)]
    alone += [(0, 0, 0, 12), (0, 0, 0, -12)]
    thumb = [(20, 0, 0, 0), (0, 40, 0, 0), (0, 0, 50, 0), (0, 0, 0, 25), (20, 30, 40, 20), (-12, 0, -15, 0)]
    result = [{}, *({finger: bend} for finger in long for bend in alone), *({"thumb": bend} for bend in thumb)]
    result += [dict.fromkeys(long, (bend, 1.1 * bend, 0.6 * bend, 0)) for bend in (20, 40, 60, 80)]
    result += [dict.fromkeys(long, (bend, 0, 0, 0)) for bend in (30, 60, 90)]
    result.append({"index": (0, 0, 0, 12), "ring": (0, 0, 0, -8), "pinky": (0, 0, 0, -16)})
    result.append({"thumb": (27, 15, 25, 27), "index": (58, 40, 16, 0)})
    for _random in range(10):
        pose = {"thumb": tuple(random.uniform((-10, -10, -10, 0), (20, 35, 50, 25)))}
        for finger in long:
            mcp, pip, abduction = random.uniform((0, 0, -8), (80, 90, 8))
            pose[finger] = (mcp, pip, 0.6 * pip, abduction)
        result.append(pose)
    return result


def measure(model: bytes, meshes: Path, poses: list[dict], views: list[dict], sides=SIDES):
    """Photograph and track hands that move from each pose to the next.

    :param meshes: the folder of left.glb and right.glb.
    :returns: the true angles, those from the image's landmarks, those from the world landmarks: each
        (images, 20) in degrees, NaN where no hand is found.
    """
    from LiveHandLib.detection import detector
    from LiveHandLib.motion.joints import ANGLES, jointAngles

    renderer = PlainRenderer(HandCamera.typical())
    results = []
    for side in sides:
        hand = RiggedHand.load(meshes / f"{side.lower()}.glb")
        for view in views:
            before, time = np.zeros((5, 4)), 0
            with detector.HandDetector(model) as handDetector:
                for pose in poses:
                    bends = np.array([pose.get(finger, (0, 0, 0, 0)) for finger in FINGERS], float)
                    for progress in (0.33, 0.67, 1, 1):  # in steps, for MediaPipe follows the hand
                        now = dict(zip(FINGERS, before + progress * (bends - before), strict=True))
                        posed = hand.pose(now, placement((0, 0, 420), **view))
                        time += FRAME_MS
                        found = handDetector.detect(renderer.render(posed)[:, :, ::-1], time)
                    before = bends
                    measured = np.full((2, len(ANGLES)), np.nan)
                    if found:
                        shape = np.column_stack([found[0].imagePx, found[0].depthPx])
                        measured = [jointAngles(landmarks, side) for landmarks in (shape, found[0].worldMm)]
                    results.append([jointAngles(posed.landmarks, side), *measured])
    return np.moveaxis(np.array(results), 1, 0)


def main(argv: list[str]) -> int:
    """Measure, and print a table."""
    from LiveHandLib.detection import detector
    from LiveHandLib.motion.joints import ANGLES

    parser = argparse.ArgumentParser(prog="run.py angles", description=__doc__.split("\n")[0])
    parser.add_argument("meshes", nargs="?", type=Path, default=SHARED / "hand-mesh")
    arguments = parser.parse_args(argv)
    detector.importPackages()
    model = detector.loadModel(MODEL)
    truth, imageBased, world = measure(model, arguments.meshes, poses(np.random.default_rng(1)), VIEWS)
    seen = np.isfinite(imageBased).all(axis=1)
    print(
        f"{len(truth)} images, a hand found in {seen.mean():.1%}; absolute error in degrees, median (90th percentile)"
    )
    print(f"{'':30}{'true range':>14}{'image':>14}{'world':>14}")
    for index, name in [*enumerate(ANGLES), (slice(None), "all")]:
        true = truth[seen][:, index]
        errors = [np.abs(measured[seen][:, index] - true) for measured in (imageBased, world)]
        words = [f"{np.median(error):.1f} ({np.quantile(error, 0.9):.1f})" for error in errors]
        print(f"{name:30}{f'{true.min():.0f} to {true.max():.0f}':>14}{words[0]:>14}{words[1]:>14}")
    return 0
