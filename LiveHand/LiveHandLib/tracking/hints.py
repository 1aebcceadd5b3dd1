"""What the user could do for better tracking, from what the image is like. Knows numpy, nothing of Qt or MRML."""

from collections.abc import Iterable

import numpy as np

from ..detection.detector import Hand

DARK_LUMINANCE = 55
"""Mean luminance, 0 to 255, below which an image counts as dark. Webcams expose for a mean of about 118; at less than
half of it they can do no more, and noise and long exposures set in. MediaPipe finds the hands of photographs that are
darkened without adding noise down to 20 to 30, and none in a real webcam image with 50."""

SMALL_EXTENT = 0.07
"""The hand's larger side over the image's, below which the hand counts as small. MediaPipe's palm detector sees the
whole image in 192 px; it was seen to miss hands now and then from 0.08 down, and most of them from 0.05 down."""

EDGE_EXTENT = 0.03
"""How near the image's edge a landmark may come, over the hand's larger side. MediaPipe guesses landmarks that are
out of view, and rightly puts most of them there; a fingertip ends this much beyond its landmark."""

LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of R, G and B (ITU-R BT.601)."""


def hint(image: np.ndarray, hands: Iterable[Hand]) -> str:
    """The one thing to be improved first.

    :param image: (height, width, 3) uint8, RGB.
    :param hands: the hands found in it.
    :returns: ``"dark"``, ``"outside"`` (a hand is partly out of view), ``"small"`` (a hand is), or nothing.
    """
    if (image[::16, ::16] @ LUMINANCE).mean() < DARK_LUMINANCE:
        return "dark"
    height, width = image.shape[:2]
    hints = set()
    for hand in hands:
        low, high = hand.imagePx.min(axis=0), hand.imagePx.max(axis=0)
        extent = (high - low).max()
        if min(*low, width - high[0], height - high[1]) < EDGE_EXTENT * extent:
            hints.add("outside")
        if extent < SMALL_EXTENT * max(width, height):
            hints.add("small")
    return next((one for one in ("outside", "small") if one in hints), "")
