"""Ways between frames. Knows numpy, nothing of Qt or MRML."""

import numpy as np

WORKING_DISTANCE_MM = 500.0
"""How far from the camera a hand is held as a rule, mm: there is the origin of RAS."""

CAMERA_TO_RAS = {
    "owner": np.array(
        [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, -WORKING_DISTANCE_MM],
            [0.0, -1.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    ),
    "camera": np.array(
        [
            [-1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, -1.0, WORKING_DISTANCE_MM],
            [0.0, -1.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    ),
}
"""(4, 4) matrices from the camera's frame (x right, y down, z forward, mm) to RAS (mm), by who sees the hand like that.

Slicer's 3D view looks by default from anterior, with superior up and the patient's left at its right.

``"owner"`` shows users their hand as they see it themselves, with right and left as in a mirror. A webcam faces the
user, so what the user calls right is left in its picture: -x becomes left, which the view has at its right. Up (-y)
becomes superior. Towards the camera (-z), away from the user, becomes posterior, away from the viewer.

``"camera"`` shows it as somebody sees it who stands where the camera is: x becomes right, which the view has at its
left; towards the camera becomes anterior, towards the viewer.

Both are rotations, so a right hand stays a right hand; a mirror image would make a left one of it.
"""
