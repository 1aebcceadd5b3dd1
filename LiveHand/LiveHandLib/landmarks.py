"""The landmarks of a hand, by name, and the bones between them. Knows nothing of MediaPipe, Qt or MRML."""

from enum import IntEnum
from itertools import pairwise


class Landmark(IntEnum):
    """The 21 landmarks in MediaPipe's order and under its names (``mediapipe.tasks.python.vision.HandLandmark``).

    A member indexes the rows of an array of landmarks: ``hand.cameraMm[Landmark.INDEX_FINGER_TIP]``. Where that is done
    for every frame, convert it to ``int`` once: numpy takes longer for a member.
    """

    WRIST = 0
    THUMB_CMC = 1
    THUMB_MCP = 2
    THUMB_IP = 3
    THUMB_TIP = 4
    INDEX_FINGER_MCP = 5
    INDEX_FINGER_PIP = 6
    INDEX_FINGER_DIP = 7
    INDEX_FINGER_TIP = 8
    MIDDLE_FINGER_MCP = 9
    MIDDLE_FINGER_PIP = 10
    MIDDLE_FINGER_DIP = 11
    MIDDLE_FINGER_TIP = 12
    RING_FINGER_MCP = 13
    RING_FINGER_PIP = 14
    RING_FINGER_DIP = 15
    RING_FINGER_TIP = 16
    PINKY_MCP = 17
    PINKY_PIP = 18
    PINKY_DIP = 19
    PINKY_TIP = 20


LANDMARK_NAMES = tuple(landmark.name for landmark in Landmark)

MCPS = (Landmark.INDEX_FINGER_MCP, Landmark.MIDDLE_FINGER_MCP, Landmark.RING_FINGER_MCP, Landmark.PINKY_MCP)
"""The knuckles of the four fingers."""

THUMB = tuple(Landmark(number) for number in range(1, 5))
FINGERS = tuple(tuple(Landmark(mcp + number) for number in range(4)) for mcp in MCPS)
"""The landmarks of each digit, from the palm to the tip."""

BONES = (
    (Landmark.WRIST, Landmark.THUMB_CMC),
    (Landmark.WRIST, Landmark.INDEX_FINGER_MCP),
    *pairwise(MCPS),
    (Landmark.WRIST, Landmark.PINKY_MCP),
    *(bone for digit in (THUMB, *FINGERS) for bone in pairwise(digit)),
)
"""Pairs of landmarks between which the skeleton has a bone: the outline of the palm and five fingers."""

BONE_COLORS = {"Left": (0.35, 0.65, 0.95), "Right": (0.95, 0.70, 0.45)}
"""RGB from 0 to 1 of the bones of each hand, in the scene and in the preview."""
