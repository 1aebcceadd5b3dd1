"""The rendered sequences of ``run.py evaluate`` are what their truth says."""

import cv2
import numpy as np
import pytest

from benchmark import navigation
from LiveHandLib.navigation.reference import ReferenceTracker
from support import navigationscene as scene
from support.handrender import RiggedHand, placement


def test_scene_of_navigation_is_where_its_truth_says(shared):
    hand = RiggedHand.load(shared / "hand-mesh" / "right.glb")
    renderer = scene.SceneRenderer()
    for way in (0.0, 1.0):
        truth = scene.boardToCamera(way)
        assert np.linalg.det(truth[:3, :3]) == pytest.approx(1.0)
        image = cv2.cvtColor(renderer.image(hand.pose(None, placement((150, 150, 500))), truth), cv2.COLOR_BGR2RGB)
        pose = ReferenceTracker(scene.BOARD).find(image, 0, scene.INTRINSICS)
        shift, angle = navigation.poseErrors(pose.matrix, truth, scene.BOARD)
        assert pose.corners >= 12 and shift < 1.0 and angle < 0.3
    rotation = scene.IMAGE_FROM_BOARD[:3, :3]
    assert rotation @ rotation.T == pytest.approx(np.eye(3)) and np.linalg.det(rotation) == pytest.approx(1.0)


def test_script_of_navigation_touches_every_point():
    steps = scene.script()
    assert len(steps.tips) == len(steps.camera) == len(steps.clock)
    still, moved = (steps.events[f"target 3 {when}"] for when in ("still", "moved"))
    clocks = [np.array(steps.clock)[frames.start : frames.stop] for frames in (still, moved)]
    assert clocks[0] == pytest.approx(clocks[1])
    assert len(steps.events) == 6 + 1 + 2 * 4
    for name, frames in steps.events.items():
        if name != "edge":
            at = np.array(steps.tips[frames.start : frames.stop])
            assert scene.apply(scene.IMAGE_FROM_BOARD, at) == pytest.approx(
                np.tile(navigation.planned(name), (len(at), 1))
            )
        way = set(steps.camera[frames.start : frames.stop])
        assert way == {1.0 if name.endswith("moved") else 0.0}
