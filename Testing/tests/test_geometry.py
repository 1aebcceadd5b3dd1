"""The ways from the camera's frame to RAS."""

import numpy as np
import pytest

from LiveHandLib.pose.coordinates import CAMERA_TO_RAS, WORKING_DISTANCE_MM

VIEW_RIGHT = np.array([-1.0, 0.0, 0.0])  # Slicer's default 3D view has the patient's left at its right
TOWARDS_VIEWER = np.array([0.0, 1.0, 0.0])
SUPERIOR = np.array([0.0, 0.0, 1.0])


@pytest.mark.parametrize("view", CAMERA_TO_RAS)
def test_up_is_up_and_a_right_hand_stays_one(view):
    rotation = CAMERA_TO_RAS[view][:3, :3]
    assert np.isclose(np.linalg.det(rotation), 1.0), "no mirror image"
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.allclose(rotation @ [0.0, -1.0, 0.0], SUPERIOR)


def test_owner_sees_right_at_the_right_and_forward_away():
    rotation = CAMERA_TO_RAS["owner"][:3, :3]
    usersRight, towardsCamera = [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]  # a webcam has the user's right at its left
    assert np.allclose(rotation @ usersRight, VIEW_RIGHT)
    assert np.allclose(rotation @ towardsCamera, -TOWARDS_VIEWER)


def test_camera_sees_what_is_right_in_its_image_at_the_right():
    rotation = CAMERA_TO_RAS["camera"][:3, :3]
    assert np.allclose(rotation @ [1.0, 0.0, 0.0], VIEW_RIGHT)
    assert np.allclose(rotation @ [0.0, 0.0, -1.0], TOWARDS_VIEWER)


@pytest.mark.parametrize("view", CAMERA_TO_RAS)
def test_hand_at_the_working_distance_is_at_the_origin(view):
    assert np.allclose(CAMERA_TO_RAS[view] @ [0.0, 0.0, WORKING_DISTANCE_MM, 1.0], [0.0, 0.0, 0.0, 1.0])
