"""A camera's image as a mesh without distortion, and what a renderer's camera needs to see it. Knows numpy, nothing of
Qt or VTK.
"""

import math
from dataclasses import dataclass

import numpy as np

from .intrinsics import Intrinsics

CELLS = 64
"""Cells along the image's longer side. Within a cell the distortion is taken for linear, which is at most 0.2 px off
for the strongest distortion that the tests have (k1 = -0.35)."""


@dataclass(frozen=True, eq=False)
class ImageMesh:
    """Where the parts of an image lie on the plane 1 in front of the camera, without distortion.

    :ivar points: (n, 2) x/z and y/z in the camera's coordinate system.
    :ivar textureCoordinates: (n, 2) of the same points in the image, 0 to 1 from its first column and row.
    :ivar quads: (m, 4) numbers of points. Where the distortion is not one-to-one there are none: what is seen there
        can be seen elsewhere in the image as well.
    :ivar box: ((left, top), (right, bottom)) of the points that the quads have.
    """

    points: np.ndarray
    textureCoordinates: np.ndarray
    quads: np.ndarray
    box: np.ndarray

    @classmethod
    def of(cls, intrinsics: Intrinsics) -> "ImageMesh":
        """The mesh of a camera's images."""
        size = np.array(intrinsics.imageSize)
        columns, rows = np.ceil(CELLS * size / size.max()).astype(int)
        x, y = np.meshgrid(np.linspace(0.0, 1.0, columns + 1), np.linspace(0.0, 1.0, rows + 1))
        coordinates = np.column_stack([x.ravel(), y.ravel()])
        points = intrinsics.normalized(coordinates * size)
        numbers = np.arange(len(points)).reshape(rows + 1, columns + 1)
        corners = numbers[:-1, :-1], numbers[:-1, 1:], numbers[1:, 1:], numbers[1:, :-1]
        quads = np.stack(corners, axis=-1).reshape(-1, 4)
        quads = quads[intrinsics.isOneToOne(coordinates * size)[quads].all(axis=1)]
        used = points[np.unique(quads)]
        return cls(points, coordinates, quads, np.array([used.min(axis=0), used.max(axis=0)]))


def frustum(box: np.ndarray, aspect: float) -> tuple[float, tuple[float, float]]:
    """The smallest viewing frustum that has all of a box, with the box in the middle of the window.

    :param box: ((left, top), (right, bottom)) on the plane 1 in front of the camera, y down.
    :param aspect: the window's width over its height.
    :returns: the vertical view angle in degrees, and the window's centre, as ``vtkCamera`` has them: where the optical
        axis is from the window's middle, in halves of its width and height, to the left and downwards.
    """
    width, height = box[1] - box[0]
    half = max(height, width / aspect) / 2.0
    x, y = (box[0] + box[1]) / 2.0
    return math.degrees(2.0 * math.atan(half)), (float(x / (half * aspect)), float(-y / half))
