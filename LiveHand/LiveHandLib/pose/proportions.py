"""What hands are like, and what MediaPipe makes of their depth. Knows numpy, nothing of Qt or MRML."""

import numpy as np

from ..landmarks import Landmark as L

DEFAULT_PALM_WIDTH_MM = 62.0
"""From the index finger's to the little finger's knuckle in an adult hand, mm, when it has not been measured.

Breadth of the hand over the knuckles is 74 to 91 mm in adults (5th percentile of women to 95th of men, ISO/TR
7250-2); the centres of the outer two joints lie about 10 mm inside on either side.
"""

LEAST_PALM_WIDTH_MM, GREATEST_PALM_WIDTH_MM = 30.0, 110.0  # from a small child's to more than any adult's

# Distances between landmarks, over the palm width, and how far one frame's are from them (standard deviation).
# They are what MediaPipe's landmarks have, which lie on the backs of bent knuckles and not in the joints: medians over
# images of hands of known shape, four rendered sequences of two rigged hands and one real hand seen by two cameras.
# Over the palm the two differ by less than 5 %. The wrist is the landmark that is laid least surely.
DISTANCES = {
    (L.WRIST, L.THUMB_CMC): (0.70, 0.08),
    (L.THUMB_CMC, L.THUMB_MCP): (0.57, 0.05),
    (L.THUMB_MCP, L.THUMB_IP): (0.44, 0.05),
    (L.THUMB_IP, L.THUMB_TIP): (0.33, 0.04),
    (L.WRIST, L.INDEX_FINGER_MCP): (1.475, 0.10),
    (L.WRIST, L.MIDDLE_FINGER_MCP): (1.41, 0.12),
    (L.WRIST, L.RING_FINGER_MCP): (1.31, 0.12),
    (L.WRIST, L.PINKY_MCP): (1.25, 0.12),
    (L.INDEX_FINGER_MCP, L.MIDDLE_FINGER_MCP): (0.36, 0.03),
    (L.MIDDLE_FINGER_MCP, L.RING_FINGER_MCP): (0.34, 0.025),
    (L.RING_FINGER_MCP, L.PINKY_MCP): (0.33, 0.03),
    (L.INDEX_FINGER_MCP, L.RING_FINGER_MCP): (0.69, 0.04),
    (L.MIDDLE_FINGER_MCP, L.PINKY_MCP): (0.67, 0.03),
    (L.INDEX_FINGER_MCP, L.PINKY_MCP): (1.00, 0.03),
    (L.THUMB_CMC, L.INDEX_FINGER_MCP): (1.00, 0.08),
    (L.THUMB_CMC, L.PINKY_MCP): (1.25, 0.08),
    (L.INDEX_FINGER_MCP, L.INDEX_FINGER_PIP): (0.64, 0.08),
    (L.INDEX_FINGER_PIP, L.INDEX_FINGER_DIP): (0.38, 0.04),
    (L.INDEX_FINGER_DIP, L.INDEX_FINGER_TIP): (0.28, 0.05),
    (L.MIDDLE_FINGER_MCP, L.MIDDLE_FINGER_PIP): (0.72, 0.10),
    (L.MIDDLE_FINGER_PIP, L.MIDDLE_FINGER_DIP): (0.38, 0.08),
    (L.MIDDLE_FINGER_DIP, L.MIDDLE_FINGER_TIP): (0.27, 0.05),
    (L.RING_FINGER_MCP, L.RING_FINGER_PIP): (0.65, 0.09),
    (L.RING_FINGER_PIP, L.RING_FINGER_DIP): (0.33, 0.09),
    (L.RING_FINGER_DIP, L.RING_FINGER_TIP): (0.265, 0.05),
    (L.PINKY_MCP, L.PINKY_PIP): (0.51, 0.07),
    (L.PINKY_PIP, L.PINKY_DIP): (0.26, 0.07),
    (L.PINKY_DIP, L.PINKY_TIP): (0.235, 0.05),
}

# Along the bones from the wrist outwards: what to multiply the differences in depth with that MediaPipe gives in the
# image and, in a hand of the default palm width, in its world landmarks; and how far their sum is from the truth
# (standard deviation, over the palm width). The world landmarks' depths have errors of their own, so that both together
# say more, except of the outer bones of a finger.
#
# Both differences are regressed on the true one, over images of hands of known shape: a real hand seen by two cameras,
# and rendered hands of 13 proportions, from all sides, in 25 sets of sequences that count alike. Their sum is the best
# linear unbiased estimate. (A regression of the truth on the differences would have the smaller errors for each bone
# alone, but flatten the hand, and a hand that is taken to be flatter than it is comes out too far away.)
_PALM, _THUMB, _PROXIMAL = (0.98, 0.37, 0.094), (1.24, 0.25, 0.163), (0.95, 0.77, 0.187)
_MIDDLE, _DISTAL = (1.15, 0.0, 0.12), (0.6, 0.0, 0.075)
DEPTHS = {
    (L.WRIST, L.MIDDLE_FINGER_MCP): (0.82, 0.34, 0.33),
    (L.MIDDLE_FINGER_MCP, L.INDEX_FINGER_MCP): _PALM,
    (L.MIDDLE_FINGER_MCP, L.RING_FINGER_MCP): _PALM,
    (L.RING_FINGER_MCP, L.PINKY_MCP): _PALM,
    (L.WRIST, L.THUMB_CMC): (0.82, 0.53, 0.16),
    (L.THUMB_CMC, L.THUMB_MCP): _THUMB,
    (L.THUMB_MCP, L.THUMB_IP): _THUMB,
    (L.THUMB_IP, L.THUMB_TIP): _THUMB,
    (L.INDEX_FINGER_MCP, L.INDEX_FINGER_PIP): _PROXIMAL,
    (L.INDEX_FINGER_PIP, L.INDEX_FINGER_DIP): _MIDDLE,
    (L.INDEX_FINGER_DIP, L.INDEX_FINGER_TIP): _DISTAL,
    (L.MIDDLE_FINGER_MCP, L.MIDDLE_FINGER_PIP): _PROXIMAL,
    (L.MIDDLE_FINGER_PIP, L.MIDDLE_FINGER_DIP): _MIDDLE,
    (L.MIDDLE_FINGER_DIP, L.MIDDLE_FINGER_TIP): _DISTAL,
    (L.RING_FINGER_MCP, L.RING_FINGER_PIP): _PROXIMAL,
    (L.RING_FINGER_PIP, L.RING_FINGER_DIP): _MIDDLE,
    (L.RING_FINGER_DIP, L.RING_FINGER_TIP): _DISTAL,
    (L.PINKY_MCP, L.PINKY_PIP): _PROXIMAL,
    (L.PINKY_PIP, L.PINKY_DIP): _MIDDLE,
    (L.PINKY_DIP, L.PINKY_TIP): _DISTAL,
}

# The same as arrays: (n,) landmarks and values, in the order of the tables.
FROM, TO = np.array(list(DISTANCES)).T
RATIOS, RATIO_SDS = np.array(list(DISTANCES.values())).T
PARENT, CHILD = np.array(list(DEPTHS)).T
IMAGE_FACTORS, WORLD_FACTORS, DEPTH_SDS = np.array(list(DEPTHS.values())).T
