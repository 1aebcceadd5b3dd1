"""Render the bundled sample clip: a right hand that waves, grasps, points, pinches before a webcam.

The same mesh gives the same clip; its last frame leads smoothly into the first. For the mesh's licence see
LiveHand/Resources/SampleHand.LICENSE.md.

    python3 Testing/run.py make sample_clip [right.glb] [SampleHand.mp4]
"""

import argparse

import cv2
import numpy as np

from support.handrender import FINGERS, HandCamera, HandRenderer, RiggedHand, placement
from support.paths import SAMPLE_CLIP, SHARED

FRAME_RATE = 30
FRAME_COUNT = 180
SIZE = (640, 480)
LENS_BLUR = 0.6  # px, standard deviation; as soft as a webcam's image, and a quarter less to store

# Bends in degrees, see RiggedHand.pose(); a finger that is not named stays open.
OPEN = {}
SPREAD = {"thumb": (-8, 0, 0, 0), "index": (0, 0, 0, 10), "ring": (0, 0, 0, -8), "pinky": (0, 0, 0, -16)}
CURLED = (62, 75, 45, 0)
FIST = {"thumb": (18, 20, 15, 10), "index": CURLED, "middle": CURLED, "ring": CURLED, "pinky": CURLED}
POINT = FIST | {"index": (0, 0, 0, 0)}
PINCH = {"thumb": (27, 15, 25, 27), "index": (58, 40, 16, 0), "middle": (12, 14, 8, 0), "ring": (5, 8, 5, 0)}
# Evenly spaced over the clip; the hand rests shortly in each.
SHAPES = (OPEN, SPREAD, OPEN, FIST, POINT, OPEN, PINCH, SPREAD)


def bendsAt(phase):
    """The fingers' bends at a phase of the loop, from 0 to 1: eased from each shape to the next."""
    shape, progress = divmod(phase * len(SHAPES), 1)
    before, after = SHAPES[int(shape)], SHAPES[(int(shape) + 1) % len(SHAPES)]
    eased = progress**3 * (progress * (6 * progress - 15) + 10)  # no jump in speed nor in acceleration
    ends = [np.array([shape.get(finger, (0, 0, 0, 0)) for finger in FINGERS]) for shape in (before, after)]
    return dict(zip(FINGERS, ends[0] + eased * (ends[1] - ends[0]), strict=True))


def placementAt(phase):
    """The hand's pose in the camera frame at a phase of the loop, from 0 to 1.

    It sways from the elbow, in the half of the image where a user who faces the camera has the right hand.
    """
    turn = 2 * np.pi * phase
    sway = np.sin(2 * turn)
    position = (-55 + 55 * sway, 15 - 12 * np.cos(turn), 440 + 30 * np.sin(turn))
    return placement(position, pitch=6 * np.sin(turn), yaw=14 * np.sin(turn + 1), roll=9 * sway)


def main(argv: list[str]) -> None:
    """Write the clip."""
    parser = argparse.ArgumentParser(prog="run.py make sample_clip", description=__doc__.split("\n")[0])
    parser.add_argument("mesh", nargs="?", default=SHARED / "hand-mesh" / "right.glb")
    parser.add_argument("clip", nargs="?", default=SAMPLE_CLIP)
    arguments = parser.parse_args(argv)

    hand = RiggedHand.load(arguments.mesh)
    renderer = HandRenderer(HandCamera.typical(SIZE))
    # Every FFmpeg that OpenCV comes with reads and writes MPEG-4 part 2, unlike H.264.
    writer = cv2.VideoWriter(str(arguments.clip), cv2.VideoWriter_fourcc(*"mp4v"), FRAME_RATE, SIZE)
    for phase in np.arange(FRAME_COUNT) / FRAME_COUNT:
        image = renderer.render(hand.pose(bendsAt(phase), placementAt(phase)))
        writer.write(cv2.GaussianBlur(image, (0, 0), LENS_BLUR))
    writer.release()
