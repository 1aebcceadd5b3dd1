"""Paired-point registration: the fit, its errors, and the error to be expected elsewhere. Knows numpy only.

The fit and its degenerate cases come out of one singular value decomposition, which ``vtkLandmarkTransform`` keeps to
itself: it returns some rotation for points on a line and for mirrored pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import LiveHandError

POINTS_NEEDED = 3

LEAST_SPREAD = 0.05
"""Points are on a line if they extend across it by less than this part of how far they extend along it (root mean
squares): the rotation about the line would be 20 times as uncertain as the others."""

MIRRORED_RATIO = 0.5
"""Pairs are mirrored if a mirror image fits with less than this part of the rotation's error."""
MIRRORED_LEAST_MM = 2.0
"""... and the rotation's error is larger than this, mm: points in one plane fit both ways, but for noise."""


@dataclass(frozen=True)
class ErrorStatistics:
    """What a list of errors or distances comes to, mm; NaN if the list is empty, as ``sd`` is of a single one."""

    count: int
    mean: float
    median: float
    sd: float
    min: float
    max: float
    rms: float

    @classmethod
    def of(cls, errorsMm: np.ndarray) -> "ErrorStatistics":
        """:param errorsMm: (n,), mm; those that are not finite do not count."""
        errors = np.asarray(errorsMm, float)
        errors = errors[np.isfinite(errors)]
        if not len(errors):
            return cls(0, *[float("nan")] * 6)
        sd = float(errors.std(ddof=1)) if len(errors) > 1 else float("nan")
        figures = (errors.mean(), np.median(errors), sd, errors.min(), errors.max(), np.sqrt((errors**2).mean()))
        return cls(len(errors), *map(float, figures))


@dataclass(frozen=True, eq=False)
class Registration:
    """A rigid or similarity transform between paired points.

    :ivar movingMm: (n, 3), mm.
    :ivar fixedMm: (n, 3), mm, in the other coordinate system.
    :ivar matrix: (4, 4) from the moving points' coordinate system to that of the fixed ones, mm.
    :ivar scale: the scale that would fit best. It is part of the matrix only if ``hasScale``. Far from 1 it says that a
        size is wrong: the palm width, or the board's print.
    :ivar hasScale: whether the transform is a similarity.
    """

    movingMm: np.ndarray
    fixedMm: np.ndarray
    matrix: np.ndarray
    scale: float
    hasScale: bool

    @cached_property
    def errorsMm(self) -> np.ndarray:
        """(n,) fiducial registration errors (FRE): how far each point is from its partner, mm."""
        return np.linalg.norm(apply(self.matrix, self.movingMm) - self.fixedMm, axis=1)

    @property
    def freMm(self) -> float:
        """Root mean square of the fiducial registration errors, mm."""
        return float(np.sqrt((self.errorsMm**2).mean()))

    @property
    def worst(self) -> int:
        """Which point has the largest error when it is left out, or in the fit where there are too few for that."""
        errors = self.leaveOneOutMm if np.isfinite(self.leaveOneOutMm).any() else self.errorsMm
        return int(np.nanargmax(errors))

    @cached_property
    def leaveOneOutMm(self) -> np.ndarray:
        """(n,) how far each point is from its partner after a registration by the others, mm.

        NaN where the others are fewer than three, or on a line.
        """
        errors = np.full(len(self.movingMm), np.nan)
        for left in range(len(errors)):
            others = np.arange(len(errors)) != left
            try:
                fit = register(self.movingMm[others], self.fixedMm[others], self.hasScale, refuseMirrored=False)
            except LiveHandError:
                continue
            errors[left] = np.linalg.norm(apply(fit.matrix, self.movingMm[[left]])[0] - self.fixedMm[left])
        return errors

    def expectedTreMm(self, targetMm: np.ndarray) -> Any:
        """The target registration error to be expected (root mean square), from the FRE, mm.

        Fitzpatrick, West, Maurer: Predicting Error in Rigid-Body Point-Based Registration (IEEE Transactions on Medical
        Imaging 17, 1998): FRE² = (1 - 2/n) FLE², and TRE² = FLE²/n (1 + the mean, over the three principal axes of the
        points, of the target's squared distance from the axis over the points' mean squared distance from it). It
        presumes errors that are the same in all directions and independent of each other; an offset that all points
        share is not seen. With a scale, 7 instead of 6 degrees of freedom are fitted, and its own error is added.

        :param targetMm: (..., 3) in the coordinate system of the fixed points, mm.
        :returns: (...), mm.
        """
        count = len(self.fixedMm)
        centre = self.fixedMm.mean(axis=0)
        _u, singular, axes = np.linalg.svd(self.fixedMm - centre, full_matrices=False)
        squares, target = singular**2 / count, ((np.asarray(targetMm, float) - centre) @ axes.T) ** 2
        fromCentre = target.sum(axis=-1)
        ratios = (fromCentre[..., None] - target) / (squares.sum() - squares)
        freedom = 1.0 - (7.0 / 3.0 if self.hasScale else 2.0) / count
        fleSquared = self.freMm**2 / freedom
        scaleError = fromCentre / squares.sum() / 3.0 if self.hasScale else 0.0
        return np.sqrt(fleSquared / count * (1.0 + ratios.mean(axis=-1) + scaleError))


def register(
    movingMm: np.ndarray, fixedMm: np.ndarray, hasScale: bool = False, refuseMirrored: bool = True
) -> Registration:
    """Fit a rigid or similarity transform to paired points, by least squares.

    Umeyama: Least-Squares Estimation of Transformation Parameters Between Two Point Patterns (IEEE Transactions on
    Pattern Analysis and Machine Intelligence 13, 1991).

    :param movingMm: (n, 3), mm.
    :param fixedMm: (n, 3) their partners in the other coordinate system, mm.
    :param hasScale: fit a similarity.
    :param refuseMirrored: raise ``registrationMirrored``.
    :raises LiveHandError: ``registrationPairs`` when the numbers differ, ``registrationNotFinite``,
        ``registrationTooFew``, ``registrationCollinear``, and ``registrationMirrored`` when the mirror image fits far
        better, as it does when left and right have been interchanged.
    """
    moving, fixed = (np.array(points, float).reshape(-1, 3) for points in (movingMm, fixedMm))
    if len(moving) != len(fixed):
        raise LiveHandError("registrationPairs", recorded=len(moving), planned=len(fixed))
    if not (np.isfinite(moving).all() and np.isfinite(fixed).all()):
        raise LiveHandError("registrationNotFinite")
    if len(moving) < POINTS_NEEDED:
        raise LiveHandError("registrationTooFew", count=len(moving), needed=POINTS_NEEDED)
    movingCentre, fixedCentre = moving.mean(axis=0), fixed.mean(axis=0)
    a, b = moving - movingCentre, fixed - fixedCentre
    for points in (a, b):
        extents = np.linalg.svd(points, compute_uv=False)
        if extents[1] <= LEAST_SPREAD * extents[0]:
            raise LiveHandError("registrationCollinear")
    u, singular, vt = np.linalg.svd(b.T @ a)
    handedness = np.sign(np.linalg.det(u @ vt))
    rotation = u @ np.diag([1.0, 1.0, handedness]) @ vt
    if refuseMirrored and handedness < 0:
        # What is left of the squares, for each of the two: all of them minus twice the sum of the singular values.
        squares = (a * a).sum() + (b * b).sum()
        rotated, mirrored = (
            np.sqrt(max(squares - 2.0 * (singular[:2].sum() + sign * singular[2]), 0.0) / len(a)) for sign in (-1, 1)
        )
        if mirrored < MIRRORED_RATIO * rotated and rotated > MIRRORED_LEAST_MM:
            raise LiveHandError("registrationMirrored")
    scale = float((singular[0] + singular[1] + handedness * singular[2]) / (a * a).sum())
    matrix = np.eye(4)
    matrix[:3, :3] = (scale if hasScale else 1.0) * rotation
    matrix[:3, 3] = fixedCentre - matrix[:3, :3] @ movingCentre
    return Registration(moving, fixed, matrix, scale, hasScale)


def apply(matrix: np.ndarray, pointsMm: np.ndarray) -> np.ndarray:
    """Transform points, (n, 3) mm, by a (4, 4) matrix."""
    return np.asarray(pointsMm, float) @ matrix[:3, :3].T + matrix[:3, 3]


def pairs(recorded: Sequence[str], planned: Sequence[str], byName: bool = False) -> list[tuple[int, int]]:
    """Which recorded point belongs to which planned one.

    :param recorded: names of the recorded points, in the order in which they were recorded.
    :param planned: names of the planned points.
    :param byName: by their names, without regard to case and spaces around them; points without a partner are left
        out. Otherwise in order, in which planned points at the end may be missing; but if all recorded points have
        names of planned ones, as where they were touched by a plan, by these: one may have been touched again.
    :returns: for each pair the index of the recorded and of the planned point, in the planned order.
    :raises LiveHandError: ``registrationPairs`` when there are more recorded than planned ones, in order;
        ``registrationNames`` when a name comes twice or no name in both.
    """
    hasPlannedNames = set(recorded) <= set(planned) and len(set(recorded)) == len(recorded)
    if not (byName or (hasPlannedNames and recorded and len(set(planned)) == len(planned))):
        if len(recorded) > len(planned):
            raise LiveHandError("registrationPairs", recorded=len(recorded), planned=len(planned))
        return [(index, index) for index in range(len(recorded))]
    keys = [[name.strip().casefold() for name in names] for names in (recorded, planned)]
    common = [name for name in keys[1] if name in keys[0]]
    if not common or any(names.count(name) > 1 for name in common for names in keys):
        raise LiveHandError("registrationNames")
    return [(keys[0].index(name), keys[1].index(name)) for name in common]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Recorded points beside their true places.

    :ivar registration: the registration that the fiducials give; None if the points were compared as they are.
    :ivar errorsMm: (n,) how far each point is from its true place after it, mm.
    :ivar fiducials: statistics of the errors of the points that were registered (FRE).
    :ivar targets: those of the others (TRE); of all points if there was no registration.
    """

    registration: Registration | None
    errorsMm: np.ndarray
    fiducials: ErrorStatistics
    targets: ErrorStatistics


def compare(
    recordedMm: np.ndarray, truthMm: np.ndarray, fiducials: Sequence[int] = (), hasScale: bool = False
) -> Comparison:
    """Compare recorded points with a list of their true places.

    :param recordedMm: (n, 3), mm; a NaN for a point that was not recorded.
    :param truthMm: (n, 3), mm.
    :param fiducials: which points to register by first; without any, both are in the same coordinate system.
    :raises LiveHandError: as :func:`register`.
    """
    recorded, truth = (np.array(points, float).reshape(-1, 3) for points in (recordedMm, truthMm))
    if len(recorded) != len(truth):
        raise LiveHandError("registrationPairs", recorded=len(recorded), planned=len(truth))
    isFiducial = np.zeros(len(recorded), bool)
    isFiducial[list(fiducials)] = True
    registration = register(recorded[isFiducial], truth[isFiducial], hasScale) if isFiducial.any() else None
    placed = apply(registration.matrix, recorded) if registration else recorded
    errors = np.linalg.norm(placed - truth, axis=1)
    return Comparison(
        registration, errors, ErrorStatistics.of(errors[isFiducial]), ErrorStatistics.of(errors[~isFiducial])
    )
