"""The hand's place, and the way from the camera's frame to RAS."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from LiveHandLib.geometry import CAMERA_TO_RAS, placeInCameraFrame

SIZE = (640, 480)


def hand(seed: int = 0) -> np.ndarray:
    """Something of a hand's size, mm."""
    return np.random.default_rng(seed).normal(scale=40.0, size=(21, 3))


def test_placed_where_it_is_in_the_picture():
    world = hand()
    world -= world.mean(axis=0)
    scale, offset = 1.5, np.array([120.0, -40.0])  # px per mm; px from the picture's centre
    imagePx = scale * world[:, :2] + np.array(SIZE) / 2 + offset
    placed = placeInCameraFrame(imagePx, world, SIZE)
    assert np.allclose(placed - world, [*(offset / scale), 0.0])


def test_shape_is_neither_turned_nor_scaled():
    world = hand(1)
    placed = placeInCameraFrame(np.random.default_rng(2).uniform(0, 480, (21, 2)), world, SIZE)
    assert np.allclose(placed - placed.mean(axis=0), world - world.mean(axis=0))


def test_users_right_is_right_up_is_up_and_a_right_hand_stays_one():
    rotation = CAMERA_TO_RAS[:3, :3]
    assert np.isclose(np.linalg.det(rotation), 1.0), "no mirror image"
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    viewRight = np.array([-1.0, 0.0, 0.0])  # Slicer's default 3D view has the patient's left at its right
    superior = np.array([0.0, 0.0, 1.0])
    usersRight = np.array([-1.0, 0.0, 0.0])  # a webcam has the user's right at its left
    assert np.allclose(rotation @ usersRight, viewRight)
    assert np.allclose(rotation @ [0.0, -1.0, 0.0], superior)


finite = st.floats(-1e4, 1e4)


@given(arrays(float, (21, 2), elements=finite), arrays(float, (21, 3), elements=st.floats(-300, 300)))
def test_no_landmarks_make_the_hand_fly_away(imagePx, worldMm):
    placed = placeInCameraFrame(imagePx, worldMm, SIZE)
    assert np.isfinite(placed).all()
    # The picture is at most 2 m wide, so what is this far out of it is this far away.
    assert np.abs(placed).max() <= 2000.0 * (1e4 + 640) / 640 + 1000
