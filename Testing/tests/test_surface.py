"""The skin: it is the rig's where the rig's joints are known, a hand in every frame of the clips, and never worse."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from LiveHandLib.landmarks import MCPS, Landmark
from LiveHandLib.scene.surface import HandSurface, landmarksOfJoints
from support.helpers import play
from support.paths import MESH, ROOT, SAMPLE_CLIP


def restLandmarks() -> np.ndarray:
    with np.load(MESH) as mesh:
        return landmarksOfJoints(mesh["joints"])


@pytest.fixture(scope="module")
def skin() -> HandSurface:
    return HandSurface(MESH)


def doubleAreas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Vectors across the triangles, twice as long as these are large."""
    a, b, c = points.astype(float)[triangles].swapaxes(0, 1)
    return np.cross(b - a, c - a)


def edges(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    corners = points.astype(float)[triangles]
    return np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)


def volume(points: np.ndarray, triangles: np.ndarray) -> float:
    return np.einsum("ij,ij->i", points.astype(float)[triangles[:, 0]], doubleAreas(points, triangles)).sum() / 6


class Inspection:
    """How the triangles of a skin compare with those at rest of a hand of its size, the worst of all it was shown.

    :ivar area: the largest growth of a triangle's area; :ivar edge: of an edge's length.
    :ivar inverted: the largest share of triangles that face inwards.
    """

    def __init__(self) -> None:
        self.rest = HandSurface(MESH)
        self.triangles = self.rest.triangles
        self.restAreas = np.linalg.norm(doubleAreas(self.rest.points, self.triangles), axis=1)
        self.restEdges = edges(self.rest.points, self.triangles)
        self.count, self.area, self.edge, self.inverted = 0, 0.0, 0.0, 0.0

    def inspect(self, skin: HandSurface) -> None:
        across = doubleAreas(skin.points, self.triangles)
        areas = np.linalg.norm(across, axis=1)
        size = np.sqrt(areas.sum() / self.restAreas.sum())
        self.count += 1
        self.area = max(self.area, (areas / self.restAreas).max() / size**2)
        self.edge = max(self.edge, (edges(skin.points, self.triangles) / self.restEdges).max() / size)
        facing = np.einsum("ij,ij->i", across, skin.normals[self.triangles].sum(axis=1))
        self.inverted = max(self.inverted, (facing < 0).mean())


def test_the_mesh_is_closed_and_right_side_out(skin):
    edgesOf = [(a, b) for t in skin.triangles.tolist() for a, b in zip(t, [*t[1:], t[0]], strict=True)]
    assert len(edgesOf) == len(set(edgesOf)), "no edge twice in the same direction"
    assert {(b, a) for a, b in edgesOf} == set(edgesOf), "each edge between two triangles"
    assert 200_000 < volume(skin.points, skin.triangles) < 500_000, "a hand's volume in mm³, and not inside out"


def test_the_mesh_is_the_one_that_its_script_makes(shared):
    from support.handrender import RiggedHand
    from tools.make_hand_mesh import handMesh

    made = handMesh(RiggedHand.load(shared / "hand-mesh" / "right.glb"))
    with np.load(MESH) as mesh:
        assert set(mesh) == set(made)
        for name, values in made.items():
            assert mesh[name].dtype == values.dtype
            assert np.allclose(mesh[name], values, atol=1e-4), name


def test_at_rest_it_is_the_mesh(skin):
    skin.update(restLandmarks())
    with np.load(MESH) as mesh:
        assert np.abs(skin.points - mesh["points"]).max() < 1e-3
    assert np.allclose(np.linalg.norm(skin.normals, axis=1), 1, atol=1e-5)


def test_its_landmarks_have_the_proportions_of_mediapipes():
    from LiveHandLib.pose.proportions import DISTANCES

    landmarks = restLandmarks()
    palmWidth = np.linalg.norm(landmarks[Landmark.INDEX_FINGER_MCP] - landmarks[Landmark.PINKY_MCP])
    off = [
        (np.linalg.norm(landmarks[a] - landmarks[b]) / palmWidth - ratio) / deviation
        for (a, b), (ratio, deviation) in DISTANCES.items()
    ]
    assert np.sqrt(np.mean(np.square(off))) < 0.6, "standard deviations; 1.1 if they were the joints"


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", ["SPREAD", "FIST", "POINT", "PINCH"])
def test_it_goes_where_the_rigs_own_skeleton_takes_the_rigs_skin(shared, shape, side):
    """Both sides: the left rig is a mesh of its own, which the mirrored right one has to fit."""
    from support.handrender import FINGERS, RiggedHand, fingerJoints, placement
    from tools import make_sample_clip

    rig = RiggedHand.load(shared / "hand-mesh" / f"{side}.glb")
    posed = rig.pose(getattr(make_sample_clip, shape), placement((20, -10, 400), pitch=20, yaw=-40, roll=70))
    assert [len(fingerJoints(finger)) for finger in FINGERS] == [4] * 5
    joints = np.zeros((5, 5, 3))
    joints[:, 1:], joints[0, 0] = posed.landmarks[1:].reshape(5, 4, 3), posed.landmarks[0]
    skin = HandSurface(MESH, side.capitalize())
    skin.update(landmarksOfJoints(joints))
    # The rounded end of the arm is not the rig's, and the weights near the joints were evened out.
    distances = np.linalg.norm(posed.vertices[:, None] - skin.points[None], axis=2).min(axis=1)
    assert np.median(distances) < 1.0 and np.percentile(distances, 95) < 3.0 and distances.max() < 5.0, "mm"


def test_a_left_hand_is_the_mirror_image_of_a_right_one(skin):
    mirror = np.array([-1.0, 1.0, 1.0])
    left = HandSurface(MESH, "Left")
    landmarks = restLandmarks() + np.random.default_rng(0).normal(scale=5.0, size=(21, 3))
    skin.update(landmarks)
    left.update(landmarks * mirror)
    assert np.allclose(left.points, skin.points * mirror, atol=1e-3)
    assert np.allclose(left.normals, skin.normals * mirror, atol=1e-3)
    assert volume(left.points, left.triangles) > 0


bends = arrays(float, (21, 3), elements=st.floats(-12, 12))
turns = st.tuples(*3 * [st.floats(-np.pi, np.pi)])


def rotation(angles: tuple) -> np.ndarray:
    import cv2

    return cv2.Rodrigues(np.array(angles))[0]


@given(bends, turns, st.floats(0.3, 3.0))
def test_it_is_the_same_hand_from_every_side_and_in_every_size(skin, noise, angles, size):
    """Edge-on or not: nothing in it depends on the camera's axes."""
    landmarks = restLandmarks() + noise
    skin.update(landmarks)
    points, normals = skin.points.copy(), skin.normals.copy()
    turn, offset = rotation(angles), np.array([30.0, -20.0, 400.0])
    skin.update(size * landmarks @ turn.T + offset)
    assert np.allclose(skin.points, size * points @ turn.T + offset, atol=0.05)
    assert np.allclose(skin.normals, normals @ turn.T, atol=0.01)


@given(bends, bends)
def test_what_moves_little_stays_near(skin, noise, jitter):
    landmarks = restLandmarks() + noise
    skin.update(landmarks)
    points = skin.points.copy()
    skin.update(landmarks + jitter / 120)  # at most 0.1 mm each way
    assert np.linalg.norm(skin.points - points, axis=1).max() < 2.0


def test_a_finger_that_straightens_and_bends_back_never_flips(skin):
    """Through the straight finger, where its joints lie in no plane, in steps of a quarter of a degree."""
    landmarks = restLandmarks()
    axis = landmarks[Landmark.PINKY_MCP] - landmarks[Landmark.INDEX_FINGER_MCP]
    axis /= np.linalg.norm(axis)
    last, largest = None, 0.0
    for degrees in np.arange(-20, 20, 0.25):
        bent = landmarks.copy()
        for joint in (6, 7):
            turn = rotation(tuple(np.radians(degrees) * axis))
            bent[joint + 1 : 9] = bent[joint] + (bent[joint + 1 : 9] - bent[joint]) @ turn.T
        skin.update(bent)
        if last is not None:
            largest = max(largest, np.linalg.norm(skin.points - last, axis=1).max())
        last = skin.points.copy()
    assert largest < 0.6, "mm; a finger is about 8 mm thick each way, half a turn of it would be 16"


@given(arrays(float, (21, 3), elements=st.floats(-300, 300)))
def test_whatever_the_landmarks_are_it_is_a_hand(skin, landmarks):
    inspection = Inspection()
    skin.update(landmarks)
    assert np.isfinite(skin.points).all() and np.isfinite(skin.normals).all()
    distances = np.linalg.norm(skin.points - landmarks[[Landmark.WRIST, *MCPS]].mean(axis=0), axis=1)
    spread = np.linalg.norm(landmarks[:, None] - landmarks[None], axis=2).max()
    assert distances.max() < 2 * spread + 1, "mm: nothing flies away"
    if spread > 10:
        inspection.inspect(skin)
        # Fingers that point in all directions tear at the skin between them, and that is all.
        assert inspection.area < 6 and inspection.edge < 6 and inspection.inverted < 0.06


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_landmarks_that_fall_together(skin, value):
    skin.update(np.full((21, 3), value))
    assert np.allclose(skin.points, value, atol=1e-3)
    assert np.isfinite(skin.normals).all()


def test_bones_without_length_and_bones_that_come_straight_back(skin):
    together, back = restLandmarks(), restLandmarks()
    together[7:9] = together[6]
    back[8] = back[6]
    inspection = Inspection()
    for landmarks in (together, back):
        skin.update(landmarks)
        inspection.inspect(skin)
    assert inspection.area < 2 and inspection.edge < 2 and inspection.inverted < 0.02


THREADS_AT_WORK = """
import sys, threading, time
import numpy as np, psutil
from LiveHandLib.detection import detector
from LiveHandLib.pose import estimator
from LiveHandLib.scene import surface
skin = surface.HandSurface(sys.argv[1])
poseEstimator = estimator.HandPoseEstimator(estimator.PoseParameters())
points = np.random.default_rng(0).uniform(100, 400, (21, 3))

def othersS():
    return sum(t.user_time + t.system_time for t in psutil.Process().threads() if t.id != threading.get_native_id())

time.sleep(0.5)  # those that numpy has made have come to rest
before = othersS()
for number in range(300):
    seen = points + number
    hand = detector.Hand("Right", 1.0, imagePx=seen[:, :2], worldMm=seen, depthPx=seen[:, 2] - 200)
    for placed in poseEstimator.estimate([hand], (640, 480), 33 * number).values():
        skin.update(placed.cameraMm)
print(psutil.Process().num_threads(), othersS() - before)
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or (os.cpu_count() or 1) < 2, reason="numpy has no OpenBLAS here, or one core"
)
def test_no_other_cores_are_kept_busy_for_the_sake_of_a_hand():
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment["PYTHONPATH"] = str(ROOT / "LiveHand")
    words = [sys.executable, "-c", THREADS_AT_WORK, str(MESH)]
    printed = subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout.split()
    assert int(printed[0]) > 1, "numpy has threads that could work"
    assert float(printed[1]) == 0.0, "and none of them did"


@pytest.mark.parametrize("content", [None, b"", b"no mesh", b"PK\x03\x04cut off"])
def test_mesh_that_cannot_be_read(tmp_path, content):
    from LiveHandLib.errors import LiveHandError

    path = tmp_path / "mesh.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LiveHandError, match="meshMissing"):
        HandSurface(path)


@pytest.mark.parametrize("clip", ["bundled", "hand_desk.mp4"])
def test_every_frame_of_a_clip_shows_a_hand(app, logic, tracked, model, request, clip):
    path = SAMPLE_CLIP if clip == "bundled" else request.getfixturevalue("shared") / "clips" / clip
    play(app, logic, path, everyFrame=True)
    skin, inspection = HandSurface(MESH), Inspection()
    for frame in tracked:
        if "Right" in frame.hands:
            skin.update(frame.hands["Right"].cameraMm)
            inspection.inspect(skin)
    assert inspection.count > 0.9 * len(tracked) > 100
    assert inspection.area < 2 and inspection.edge < 2, "no spikes"
    assert inspection.inverted < 0.02
