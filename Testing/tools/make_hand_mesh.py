"""Makes the mesh of LiveHand's surface hand from the rigged right hand of the WebXR input profiles.

For the mesh's licence see LiveHand/Resources/HandMesh.LICENSE.md.

    python3 Testing/run.py make hand_mesh [right.glb] [HandMesh.npz]

The file has, in the hand frame (see support/handrender.py):

    points     (n, 3) float32, mm, at rest; each place once, so that the surface is closed
    triangles  (m, 3) int16, numbers of points, anticlockwise seen from outside
    weights    (n, 20) float32, share of each bone in moving each point: four bones of each finger, thumb first;
               the thumb's first is the wrist
    joints     (5, 5, 3) float32, mm, where these bones begin and end
"""

import argparse

import numpy as np

from support.handrender import FINGERS, RiggedHand, fingerJoints
from support.paths import MESH, SHARED

DOME_MM = 10.0
"""How far the end of the arm is rounded outwards."""
SOFTENED_MM = 9.0
"""Over which distance the weights are evened out.

As they come, the skin between two fingers grows to four times its area in a fist. This is about the least with which
no triangle grows to twice its size in any frame of the clips.
"""


def handMesh(hand: RiggedHand) -> dict[str, np.ndarray]:
    """The arrays of the file."""
    # Along the seams of its texture the mesh has points twice.
    points, first, numbers = np.unique(hand.vertices, axis=0, return_index=True, return_inverse=True)
    triangles = numbers.ravel()[hand.triangles]
    weights = np.zeros((len(points), len(hand.joints)))
    np.add.at(weights, (np.arange(len(points))[:, None], hand.boneIndices[first]), hand.boneWeights[first])
    # The only part whose normals point down the arm.
    isCut = (hand.normals[hand.triangles] @ (0, 1, 0) > 0.9).all(axis=1)
    points, triangles, weights = rounded(points, triangles, weights, isCut)
    chains = [["wrist" if f == "thumb" else f"{f}-finger-metacarpal", *fingerJoints(f)] for f in FINGERS]
    chains = np.array([[hand.jointIndex[name] for name in chain] for chain in chains])
    joints = hand.joints[chains, :3, 3]
    return {
        "points": points.astype(np.float32),
        "triangles": triangles.astype(np.int16),
        "weights": softened(points, triangles, weights[:, chains[:, :4].ravel()]).astype(np.float32),
        "joints": joints.astype(np.float32),
    }


def rounded(points: np.ndarray, triangles: np.ndarray, weights: np.ndarray, isCut: np.ndarray) -> tuple:
    """Points, triangles and weights of a surface with a dome in place of the flat cut through the arm.

    :param isCut: (m) whether a triangle belongs to the cut.
    """
    edges = {(a, b) for triangle in triangles[isCut] for a, b in zip(triangle, np.roll(triangle, -1), strict=True)}
    following = {a: b for a, b in edges if (b, a) not in edges}
    rim = [min(following)]
    while following[rim[-1]] != rim[0]:
        rim.append(following[rim[-1]])
    centre = points[rim].mean(axis=0)
    outwards = np.cross(points[rim] - centre, np.roll(points[rim], -1, axis=0) - centre).sum(axis=0)
    outwards /= np.linalg.norm(outwards)

    pieces, last = [triangles[~isCut]], np.array(rim)
    for angle in np.radians([22.5, 45, 67.5]):
        ring = centre + np.cos(angle) * (points[rim] - centre) + np.sin(angle) * DOME_MM * outwards
        new = len(points) + np.arange(len(rim))
        points, weights = np.concatenate([points, ring]), np.concatenate([weights, weights[rim]])
        pieces += [np.stack([last, np.roll(last, -1), np.roll(new, -1)], 1), np.stack([last, np.roll(new, -1), new], 1)]
        last = new
    pieces.append(np.stack([last, np.roll(last, -1), np.full(len(rim), len(points))], 1))
    points = np.concatenate([points, [centre + DOME_MM * outwards]])
    weights = np.concatenate([weights, weights[rim].mean(axis=0, keepdims=True)])
    return points, np.concatenate(pieces), weights


def softened(points: np.ndarray, triangles: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values at a surface's points, spread along it as heat would be.

    The Laplacian is the cotangent one (Meyer et al., Discrete Differential-Geometry Operators for Triangulated
    2-Manifolds, 2003), with angles over 90 degrees taken for right ones, so that no value becomes negative.
    """
    n = len(points)
    laplacian, areas = np.zeros((n, n)), np.zeros(n)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        a, b, opposite = triangles[:, i], triangles[:, j], triangles[:, k]
        left, right = points[a] - points[opposite], points[b] - points[opposite]
        doubleArea = np.linalg.norm(np.cross(left, right), axis=1)
        halfCotangent = np.maximum(np.einsum("ij,ij->i", left, right), 0.0) / doubleArea / 2
        np.add.at(areas, a, doubleArea / 6)
        for row, column, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
            np.add.at(laplacian, (row, column), sign * halfCotangent)
    steps = 3
    step = np.diag(areas) + SOFTENED_MM**2 / 2 / steps * laplacian
    for _step in range(steps):
        values = np.linalg.solve(step, areas[:, None] * values)
    return values


def main(argv: list[str]) -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="run.py make hand_mesh", description=__doc__.split("\n")[0])
    parser.add_argument("rig", nargs="?", default=SHARED / "hand-mesh" / "right.glb")
    parser.add_argument("mesh", nargs="?", default=MESH)
    arguments = parser.parse_args(argv)
    np.savez_compressed(arguments.mesh, **handMesh(RiggedHand.load(arguments.rig)))
