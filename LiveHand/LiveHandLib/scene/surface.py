"""The skin of a hand that follows 21 landmarks. Knows numpy, nothing of Qt or MRML.

It moves once for each frame, between which other code fills the processor's caches. What a step takes then is to load
its code: so few kinds of steps, each used often, are faster than the fewest steps.
"""

import math
from pathlib import Path

import numpy as np

from ..errors import LiveHandError
from ..landmarks import FINGERS, Landmark

MESH_FILE_NAME = "HandMesh.npz"

_ELSEWHERE = [
    (Landmark.WRIST, Landmark.MIDDLE_FINGER_MCP, 0.08),
    (Landmark.THUMB_IP, Landmark.THUMB_MCP, 0.18),
    *((mcp, pip, 0.10) for mcp, pip, _dip, _tip in FINGERS),
    *((dip, pip, 0.18) for _mcp, pip, dip, _tip in FINGERS),
]
"""The landmarks that MediaPipe lays elsewhere than the mesh its joints: landmark, from there towards, how far of it.

The wrist lies nearer to the fingers, MCPs farther along them, DIPs and the thumb's IP less far. With these fractions
the distances between the landmarks of the mesh are those MediaPipe's have in ``handpose.py``, most within 5 %.
"""

_PALM_GIVES_MM = 3.0
_SHORTEST, _LONGEST = 0.8, 1.2
_LARGEST_BENDS = np.cos(np.radians([(45, 70, 90), *4 * [(90, 110, 90)]]))
"""How far a hand goes, whatever the landmarks are: in mm, as a ratio, and in degrees from the mesh's open hand.

The angles are those of the thumb's CMC, MCP and IP and of the fingers' MCP, PIP and DIP, about what the joints' usual
ranges of motion are, and kept as cosines.
"""

_EYE = np.eye(3)
_sum = np.add.reduce  # as numpy's sum(), but without the Python code that this goes through

_ROWS_AT_ONCE = 1000
"""The skin is a product of two matrices, done in parts of so many rows. OpenBLAS, which numpy brings along, shares a
product of more than 65536 * 4 multiplications (its ``interface/gemm.c``) among as many threads as there are cores, and
these then wait for the next one at full load for longer than a frame takes: cores that detection needs."""


class HandSurface:
    """A hand's skin, moved by linear blend skinning.

    The palm follows the landmarks as a whole and gives a little. From there on each bone is turned against the one
    before it by the smallest rotation that brings it into the landmarks' direction: so none is ever twisted against
    the next, whether a finger is straight, bent or seen edge-on. Bones are as long as the landmarks say and as thick
    as the hand is large. Where landmarks ask for what no hand does, it stays at the limit.

    :param path: the mesh, see ``Testing/tools/make_hand_mesh.py``.
    :param side: ``"Right"``, or ``"Left"`` for its mirror image.
    :raises LiveHandError: ``meshMissing`` when the mesh cannot be read.

    :ivar points: (n, 3) float32, mm, in the landmarks' frame; always the same array.
    :ivar normals: (n, 3) float32 unit vectors, outwards; always the same array.
    :ivar triangles: (m, 3) numbers of points, anticlockwise seen from outside.
    :ivar pinches: (n,) bool, the points of thumb and index finger.
    """

    def __init__(self, path: str | Path, side: str = "Right") -> None:
        try:
            with np.load(path) as mesh:
                points, triangles = mesh["points"], mesh["triangles"]
                weights, joints = mesh["weights"], mesh["joints"]
        except Exception as error:  # numpy's, zipfile's and the system's, whatever is wrong with the file
            raise LiveHandError("meshMissing", path=str(path)) from error
        if side == "Left":
            points, joints, triangles = points * (-1, 1, 1), joints * (-1, 1, 1), triangles[:, ::-1]
        self.triangles = triangles
        ofBones = weights.reshape(len(points), 5, 4)  # of wrist, metacarpal, ... of the thumb and the fingers
        self.pinches = ofBones[:, 0, 2:].sum(axis=1) + ofBones[:, 1, 1:].sum(axis=1) > 0.5

        self._toJoints = _jointsFromLandmarks(joints)
        landmarks = landmarksOfJoints(joints)
        joints = self._joints = (self._toJoints @ landmarks).reshape(5, 5, 3)
        bones = np.diff(joints, axis=1)
        self._lengths = np.linalg.norm(bones, axis=2)
        self._length = self._lengths.sum()
        self._directions = bones / self._lengths[..., None]
        # A bone without a length goes straight on, one that comes straight back bends to the palm's side.
        self._doubt = 1e-3 * (self._directions + np.array([0.0, 0.0, -0.1]))
        self._palm = joints[:, :2] - joints[:, :2].mean(axis=(0, 1))
        # The palm's own axes, the one across it last, and where its points are along the first two.
        self._palmAxes = np.linalg.svd(self._palm.reshape(10, 3))[2].T
        self._palmAxes[:, 2] *= np.linalg.det(self._palmAxes)
        self._palmPlane = self._palm.reshape(10, 3) @ self._palmAxes[:, :2]

        # Points and normals are sums of rows of the bones' motions, (4, 3) each with the displacement as last row.
        rows = np.insert(points, 3, 1.0, axis=1), np.insert(vertexNormals(points, triangles), 3, 0.0, axis=1)
        shares = np.concatenate([weights[:, :, None] * row[:, None, :] for row in rows])
        shares = shares.reshape(2 * len(points), -1).astype(np.float32)
        self._motions = np.zeros((5, 4, 4, 3), np.float32)
        self._turns = np.zeros((5, 4, 3, 3))
        self._skin = np.zeros((2 * len(points), 3), np.float32)
        self.points, self.normals = np.split(self._skin, 2)
        starts = range(0, len(shares), _ROWS_AT_ONCE)
        self._parts = [(shares[i : i + _ROWS_AT_ONCE], self._skin[i : i + _ROWS_AT_ONCE]) for i in starts]
        self.update(landmarks)

    def update(self, landmarks: np.ndarray) -> None:
        """Move the skin.

        :param landmarks: (21, 3) in MediaPipe's order, mm, finite; whatever they are, it stays a hand.
        """
        joints = (self._toJoints @ landmarks).reshape(5, 5, 3)
        size = _sum(_lengths(joints[:, 1:] - joints[:, :-1]), axis=None) / self._length

        palm = joints[:, :2]
        turn = _bestPlane(palm.reshape(10, 3).T @ self._palmPlane, self._palmAxes) @ self._palmAxes.T
        fitted = _sum(palm, axis=(0, 1)) / 10.0 + size * (self._palm @ turn.T)
        off = palm - fitted
        palm[:] = fitted + off * np.minimum(1.0, size * _PALM_GIVES_MM / (_lengths(off) + 1e-9))[..., None]

        bones = joints[:, 1:] - joints[:, :-1]
        stretches = _lengths(bones) / self._lengths
        stretches = np.minimum(np.maximum(stretches, size * _SHORTEST), size * _LONGEST)
        turns = self._turns
        turns[:, 0] = turn
        for bone in (1, 2, 3):
            before = turns[:, bone - 1]
            seen = (bones[:, bone, None] @ before)[:, 0] + self._doubt[:, bone]
            turns[:, bone] = before @ _smallestRotations(self._directions[:, bone], seen, _LARGEST_BENDS[:, bone - 1])

        along = (turns @ self._directions[..., None])[..., 0]
        reaches = stretches[..., None] * along
        reaches[:, 0] = bones[:, 0] / self._lengths[:, :1]  # wrist and metacarpals: where the palm is
        joints[:, 2:] = joints[:, 1:2] + (self._lengths[:, 1:, None] * reaches[:, 1:]).cumsum(axis=1)
        # Across a bone everything is as thick as the hand is large, along it as long as the bone.
        motions = size * turns.swapaxes(2, 3)
        motions += self._directions[..., None] * (reaches - size * along)[..., None, :]
        self._motions[:, :, :3] = motions
        self._motions[:, :, 3] = joints[:, :4] - (self._joints[:, :4, None] @ motions)[:, :, 0]
        for shares, skin in self._parts:
            np.matmul(shares, self._motions.reshape(-1, 3), out=skin)
        self.normals /= (_lengths(self.normals) + 1e-12)[:, None]


def landmarksOfJoints(joints: np.ndarray) -> np.ndarray:
    """Where MediaPipe lays its landmarks on a hand whose joints are known.

    :param joints: (5, 5, 3) joints of the mesh: for the thumb wrist, CMC, MCP, IP and tip, for the other fingers the
        base of the metacarpal, MCP, PIP, DIP and tip.
    :returns: (21, 3) in the same unit and frame.
    """
    return _landmarksFromJoints() @ np.concatenate([joints[0, :1], joints[:, 1:].reshape(20, 3)])


def vertexNormals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals of a surface at its points.

    :param points: (n, 3).
    :param triangles: (m, 3) numbers of points.
    :returns: (n, 3): the mean of the triangles' around each point, each counting by its area.
    """
    corners = points[triangles]
    areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros(points.shape)
    np.add.at(normals, triangles, areas[:, None])
    return normals / (_lengths(normals) + 1e-12)[:, None]


def _landmarksFromJoints() -> np.ndarray:
    """The (21, 21) matrix that takes the joints that have landmarks, in the landmarks' order, to these."""
    weights = np.eye(21)
    for landmark, towards, fraction in _ELSEWHERE:
        weights[landmark, [landmark, towards]] += -fraction, fraction
    return weights


def _jointsFromLandmarks(joints: np.ndarray) -> np.ndarray:
    """The (25, 21) matrix that takes landmarks to joints. The bases of metacarpals have no landmark: they keep
    their place between the wrist and the outer MCPs.

    :param joints: (5, 5, 3) at rest.
    """
    weights = np.zeros((5, 5, 21))
    weights[:, 1:, 1:] = np.eye(20).reshape(5, 4, 20)
    weights[0, 0, 0] = 1.0
    wrist, index, pinky = joints[0, 0], joints[1, 1], joints[4, 1]
    sides = np.stack([index - wrist, pinky - wrist], axis=1)
    for finger in range(1, 5):
        shares = np.linalg.pinv(sides) @ (joints[finger, 0] - wrist)
        weights[finger, 0, [Landmark.WRIST, Landmark.INDEX_FINGER_MCP, Landmark.PINKY_MCP]] = (
            1.0 - shares.sum(),
            *shares,
        )
    return weights.reshape(25, 21) @ np.linalg.inv(_landmarksFromJoints())


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(_sum(vectors * vectors, axis=-1))


def _bestPlane(covariance: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The axes of a flat shape after the rotation that brings it nearest to others (Kabsch, A solution for the best
    rotation to relate two sets of vectors, Acta Crystallographica A32, 1976; in a plane the square root that it takes
    is that of a 2 x 2 matrix, by Cayley and Hamilton's theorem).

    :param covariance: (3, 2) sum of the products of the others, as columns, with the shape's points in its plane.
    :param start: (3, 3) the axes before, as columns, the one across the plane last.
    :returns: (3, 3) likewise.
    """
    # Shapes without a plane of their own stay as they were, as far as they may.
    length = math.sqrt(_sum(covariance * covariance, axis=None))
    (ax, bx), (ay, by), (az, bz) = (covariance + (1e-6 * length + 1e-12) * start[:, :2]).tolist()
    aa, ab, bb = ax * ax + ay * ay + az * az, ax * bx + ay * by + az * bz, bx * bx + by * by + bz * bz
    area = math.sqrt(max(aa * bb - ab * ab, 0.0))
    ux, uy, uz = (ax * (bb + area) - bx * ab, ay * (bb + area) - by * ab, az * (bb + area) - bz * ab)
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    u, n = math.sqrt(ux * ux + uy * uy + uz * uz), math.sqrt(nx * nx + ny * ny + nz * nz)
    if u < 1e-9 * (aa + bb) ** 1.5 or n < 1e-9 * (aa + bb):
        return start
    ux, uy, uz, nx, ny, nz = ux / u, uy / u, uz / u, nx / n, ny / n, nz / n
    return np.array(
        [[ux, ny * uz - nz * uy, nx], [uy, nz * ux - nx * uz, ny], [uz, nx * uy - ny * ux, nz]],
    )


def _smallestRotations(start: np.ndarray, end: np.ndarray, leastCosines: np.ndarray) -> np.ndarray:
    """The rotations by the smallest angle that bring some vectors into the direction of others.

    :param start: (n, 3) unit vectors.
    :param end: (n, 3), of any length and not straight back.
    :param leastCosines: (n) of how far to turn at most.
    :returns: (n, 3, 3).
    """
    along = _sum(start * end, axis=1)
    across = end - along[:, None] * start
    sideways = _lengths(across)
    across /= (sideways + 1e-12)[:, None]
    cosines = np.maximum(along / np.sqrt(along * along + sideways * sideways), leastCosines)
    sines = np.sqrt(np.maximum(1.0 - cosines * cosines, 0.0))[:, None, None]
    # In the plane of the two directions the rotation is by the angle, at right angles to it nothing moves.
    start, across = start[:, :, None], across[:, :, None]
    startT, acrossT = start.swapaxes(1, 2), across.swapaxes(1, 2)
    rotations = (cosines - 1.0)[:, None, None] * (start * startT + across * acrossT)
    rotations += sines * (across * startT - start * acrossT)
    return rotations + _EYE
