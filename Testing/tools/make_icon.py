"""Draw the icons of the module and the extension: a raised right hand with the landmarks that are tracked.

python3 Testing/run.py make icon
"""

import cv2
import numpy as np

from support.handrender import CONNECTIONS
from support.paths import IMAGES, RESOURCES

ICONS = (RESOURCES / "Icons" / "LiveHand.png", IMAGES / "LiveHand.png")
SIZE = 128
OVERSAMPLING = 8  # OpenCV's own anti-aliasing knows nothing of transparency

# In px of the icon. Each finger from its knuckle to its tip; four landmarks are spread along it.
WRIST = (61, 110)
HEEL = ((49, 112), (73, 112))  # the palm's lower corners
THUMB = ((82, 102), (96, 86), (105, 73), (114, 60))
FINGERS = (((81, 69), (95, 21)), ((66, 63), (68, 12)), ((51, 66), (42, 17)), ((38, 74), (17, 38)))
FINGER_WIDTH = 17
OUTLINE = 3

# BGR: a light hand shows on dark, its dark outline on light.
HAND = (150, 193, 248)
INK = (92, 52, 22)
BONE = (190, 95, 20)
JOINT = (255, 255, 255)


def landmarks():
    """The (21, 2) landmarks in MediaPipe's order, in px of the icon."""
    fingers = [np.linspace(knuckle, tip, 4) for knuckle, tip in FINGERS]
    return np.vstack([WRIST, THUMB, *fingers])


def drawLines(image, points, connections, colour, width):
    corners = np.round(np.multiply(points, OVERSAMPLING)).astype(int).tolist()
    for start, end in connections:
        cv2.line(image, corners[start], corners[end], colour, round(width * OVERSAMPLING))


def drawDots(image, points, colour, radius):
    for corner in np.round(np.multiply(points, OVERSAMPLING)).astype(int).tolist():
        cv2.circle(image, corner, round(radius * OVERSAMPLING), colour, -1)


def drawHand(image, colour, grow):
    """Fill the hand's shape, `grow` px larger all round."""
    points = landmarks()
    width = FINGER_WIDTH + 2 * grow
    drawLines(image, points, [line for line in CONNECTIONS if 0 not in line], colour, width)
    palm = np.vstack([points[[1, 2, 5, 9, 13, 17]], HEEL])
    cv2.fillPoly(image, [np.round(palm * OVERSAMPLING).astype(np.int32)], colour)
    drawLines(image, palm, [(i - 1, i) for i in range(len(palm))], colour, width)


def drawIcon():
    """Return the icon as a BGRA image."""
    canvas = np.zeros((SIZE * OVERSAMPLING, SIZE * OVERSAMPLING, 3), np.uint8)
    alpha = canvas[:, :, 0].copy()
    drawHand(alpha, 255, OUTLINE)
    drawHand(canvas, INK, OUTLINE)
    drawHand(canvas, HAND, 0)
    drawLines(canvas, landmarks(), CONNECTIONS, BONE, 3.5)
    drawDots(canvas, landmarks(), BONE, 4.8)
    drawDots(canvas, landmarks(), JOINT, 3)
    # Average colours weighted by their opacity, or the edge would darken.
    opacity = alpha[:, :, None] / 255.0
    small = cv2.resize(np.dstack([canvas * opacity, opacity]), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    colours = small[:, :, :3] / np.maximum(small[:, :, 3:], 1e-6)
    return np.round(np.dstack([colours, 255 * small[:, :, 3]])).astype(np.uint8)


def main(_argv: list[str]) -> None:
    """Write the icons."""
    icon = drawIcon()
    for path in ICONS:
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), icon, [cv2.IMWRITE_PNG_COMPRESSION, 9])
