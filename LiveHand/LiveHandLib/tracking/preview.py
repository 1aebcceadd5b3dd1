"""The camera's image, small and with the hands drawn over it. Knows OpenCV and numpy, nothing of Qt or MRML.

Importing OpenCV is left to :func:`detector.importPackages`, which the worker calls first.
"""

from collections.abc import Mapping

import numpy as np

from ..detection.detector import Hand
from ..landmarks import BONE_COLORS, BONES

PANEL_SIZE = (320, 240)
SLICE_SIZE = (640, 480)
"""Width and height into which the preview has to fit, px: in the panel, and in a slice view."""

COLORS = {side: tuple(round(255 * value) for value in color) for side, color in BONE_COLORS.items()}
"""RGB of a hand's bones, 0 to 255."""

_JOINTS = (255, 255, 255)
_OUTLINE = (40, 40, 40)  # of the bones, whose colour can be too much like the skin's
_BONES = np.array(BONES)
_LARGE = 70  # px; smaller hands are drawn in thinner lines
_SHIFT = 4  # OpenCV draws at whole numbers of 2**-_SHIFT px


def mirrored(image: np.ndarray, hands: Mapping[str, Hand], size: tuple[int, int]) -> np.ndarray:
    """The preview: as large as fits, mirrored, with the hands' bones and joints.

    It is mirrored because people expect that of an image of themselves: what they move to their right moves to the
    right.

    :param image: (height, width, 3) uint8, RGB.
    :param hands: hand by ``"Left"`` and ``"Right"``, as :class:`identity.HandIdentity` gives them.
    :param size: width and height that it has to fit into, px; it is never enlarged.
    :returns: (height, width, 3) uint8, RGB.
    """
    import cv2

    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height, 1.0)
    small = (max(round(scale * width), 1), max(round(scale * height), 1))
    # Each pixel from four of its middle, not from all that it covers (INTER_AREA): up to ten times as fast.
    drawn = cv2.resize(image, small, interpolation=cv2.INTER_LINEAR)
    for side, hand in hands.items():
        # MediaPipe counts from the corner of the first pixel, OpenCV from its centre.
        joints = np.rint((scale * hand.imagePx - 0.5) * 2**_SHIFT).astype(np.int32)
        thickness = 2 if np.ptp(joints, axis=0).max() > _LARGE * 2**_SHIFT else 1
        cv2.polylines(drawn, joints[_BONES], False, _OUTLINE, 2 * thickness, cv2.LINE_AA, _SHIFT)
        cv2.polylines(drawn, joints[_BONES], False, COLORS[side], thickness, cv2.LINE_AA, _SHIFT)
        dots = joints[:, None]  # lines without length
        cv2.polylines(drawn, dots, True, _JOINTS, 2 * thickness, cv2.LINE_AA, _SHIFT)
    return cv2.flip(drawn, 1, drawn)
