"""Points, dwelling, traces and registration against exact truth."""

import numpy as np
import pytest
import vtk
from hypothesis import given, settings
from hypothesis import strategies as st

from LiveHandLib.errors import LiveHandError
from LiveHandLib.navigation.points import COUNT_NEEDED, Dwell, PointCollector, RecordedPoint, outliers
from LiveHandLib.navigation.registration import ErrorStatistics, apply, compare, pairs, register
from LiveHandLib.navigation.surface import distancesToSurface, registerToSurface
from LiveHandLib.navigation.traces import Trace
from support.boardrender import turned

STEP_MS = 1000.0 / 30.0
NAN = np.full(3, np.nan)


# A point


def collected(positions, stepMs: float = STEP_MS, startMs: float = 0.0, **parameters):
    """The point that a collector makes of positions, and the progress on the way."""
    collector, progress = PointCollector(**parameters), []
    for number, position in enumerate(positions):
        point = collector.add(position, startMs + stepMs * number)
        progress.append(collector.progress)
        if point:
            return point, progress
    return None, progress


def test_point_is_the_mean_without_outliers():
    random = np.random.default_rng(0)
    truth = np.array([10.0, -20.0, 500.0])
    positions = truth + random.normal(0, [0.5, 0.5, 4.0], (31, 3))
    positions[[4, 9, 20]] += [[30, 0, 0], [0, 0, -60], [8, 8, 0]]
    point, progress = collected(positions)
    kept = np.delete(positions, [4, 9, 20], axis=0)
    assert point.outliers == 3 and point.count == 28
    assert point.meanMm == pytest.approx(kept.mean(axis=0))
    assert point.sdMm == pytest.approx(np.sqrt(kept.var(axis=0, ddof=1).sum()))
    assert progress == sorted(progress) and progress[0] < 0.1 and progress[-1] == 1.0


def test_few_of_many_positions_are_outliers_where_there_are_none():
    random = np.random.default_rng(1)
    share = np.mean([outliers(random.normal(0, [1, 1, 8], (30, 3))).mean() for _point in range(200)])
    assert share < 0.02


@given(
    st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 3), min_size=1, max_size=40),
    st.tuples(*[st.floats(-1e4, 1e4)] * 3),
)
@settings(max_examples=100, deadline=None)
def test_point_lies_among_its_positions(positions, shift):
    positions, shift = np.array(positions), np.array(shift)
    point = RecordedPoint.of(positions)
    assert point.count + point.outliers == len(positions) and point.count >= len(positions) / 2
    assert (point.meanMm >= positions.min(axis=0) - 1e-6).all() and (point.meanMm <= positions.max(axis=0) + 1e-6).all()
    assert point.sdMm >= 0
    same = RecordedPoint.of(np.repeat(positions[:1] + shift, 7, axis=0))
    assert same.sdMm == pytest.approx(0, abs=1e-6) and same.outliers == 0


def test_hand_that_is_gone_shortly_does_not_end_a_point():
    positions = [np.ones(3)] * 10 + [None] * 5 + [NAN] * 2 + [np.ones(3)] * 40
    point, _progress = collected(positions)
    assert point.count == 30 and point.meanMm == pytest.approx(np.ones(3))


@pytest.mark.parametrize("start", [0.0, 1e9])
def test_lost_hand_ends_a_point(start):
    with pytest.raises(LiveHandError, match="pointHandLost"):
        collected([np.ones(3)] * 10 + [None] * 20, startMs=start)
    with pytest.raises(LiveHandError, match="pointHandLost"):
        collected([None] * 20, startMs=start)


def test_lost_reference_ends_a_point():
    collector = PointCollector()
    collector.add(np.ones(3), 0.0)
    with pytest.raises(LiveHandError, match="pointReferenceLost"):
        collector.add(np.ones(3), 33.0, hasReference=False)


def test_slow_camera_gives_fewer_positions():
    point, progress = collected([np.ones(3)] * 40, stepMs=250.0)
    assert point.count == 13 and len(progress) == 13
    with pytest.raises(LiveHandError, match="pointTooFew"):
        collected([np.ones(3)] * 40, stepMs=2900.0)
    with pytest.raises(LiveHandError, match="pointTooFew"):
        RecordedPoint.of(np.full((5, 3), np.nan))
    assert COUNT_NEEDED > 1


# Dwelling


def test_dwelling_counts_up_once():
    random, dwell = np.random.default_rng(2), Dwell(5.0, 1000.0)
    progress = [dwell.update(random.normal(0, 1.0, 3), STEP_MS * n) for n in range(120)]
    done = progress.index(1.0)
    assert done * STEP_MS == pytest.approx(1000.0, abs=STEP_MS)
    assert progress[: done + 1] == sorted(progress[: done + 1])
    assert set(progress[done + 1 :]) == {0.0}
    away = [dwell.update(np.array([40.0, 0, 0]), STEP_MS * (120 + n)) for n in range(40)]
    assert 1.0 in away


def test_moving_finger_does_not_dwell():
    dwell = Dwell(5.0, 1000.0)
    progress = [dwell.update(np.array([30.0 * STEP_MS / 1000.0 * n, 0, 0]), STEP_MS * n) for n in range(200)]
    assert max(progress) < 0.6


def test_dwelling_begins_anew_after_the_hand_was_lost():
    dwell = Dwell(5.0, 1000.0)
    for n in range(25):
        before = dwell.update(np.zeros(3), STEP_MS * n)
    assert before == pytest.approx(0.8, abs=0.05)
    assert dwell.update(None, STEP_MS * 27) == before
    assert dwell.update(NAN, STEP_MS * 27 + 400) == 0.0
    assert dwell.update(np.zeros(3), STEP_MS * 27 + 433) == 0.0


# Traces


def test_trace_of_a_circle():
    angles = np.linspace(0, 2 * np.pi, 900, endpoint=False)
    trace = Trace(spacingMm=1.0, smoothingMs=0.0, isClosed=True)
    appended = [trace.add(50.0 * np.array([np.cos(a), np.sin(a), 0.0]), STEP_MS * n) for n, a in enumerate(angles)]
    assert trace.lengthMm == pytest.approx(2 * np.pi * 50, rel=0.001)
    assert np.array_equal(trace.pointsMm, [point for point in appended if point is not None])
    steps = np.linalg.norm(np.diff(trace.pointsMm, axis=0), axis=1)
    assert steps.min() >= 1.0 and len(trace) < 320
    trace.isClosed = False
    assert trace.lengthMm == pytest.approx(steps.sum())


def test_smoothing_takes_tremble_out_of_a_trace():
    random = np.random.default_rng(4)
    path = np.column_stack([np.arange(300) * 1.0, np.zeros((300, 2))])
    trembling = path + random.normal(0, 0.8, path.shape)
    lengths = []
    for smoothingMs in (0.0, 100.0):
        trace = Trace(1.0, smoothingMs)
        for n, position in enumerate(trembling):
            trace.add(position, STEP_MS * n)
        lengths.append(trace.lengthMm)
    assert lengths[0] > 1.25 * 299 and lengths[1] < lengths[0] - 20


def test_points_are_appended_and_never_moved():
    random, trace = np.random.default_rng(5), Trace(0.0, 0.0)
    path = np.cumsum(random.normal(0, 1, (5000, 3)), axis=0)
    for n, position in enumerate(path):
        assert trace.add(position, STEP_MS * n) is not None
        if n in (10, 255, 256, 4000):
            assert np.array_equal(trace.pointsMm, path[: n + 1])
    assert trace.lengthMm == pytest.approx(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    trace.removeLast(4000)
    assert np.array_equal(trace.pointsMm, path[:1000])
    trace.removeLast(2000)
    assert len(trace) == 0 and trace.lengthMm == 0.0
    trace.add(np.ones(3), 1e6)
    assert len(trace) == 1 and trace.lengthMm == 0.0


def test_interrupted_trace():
    trace = Trace()
    assert not trace.isInterrupted(5000.0)
    trace.add(np.zeros(3), 0.0)
    for nothing in (None, NAN, [np.inf, 0, 0]):
        assert trace.add(nothing, 50.0) is None
    assert not trace.isInterrupted(200.0) and trace.isInterrupted(400.0) and trace.isInterrupted(-10.0)


# Registration

POINTS = np.array([[0, 0, 0], [80, 5, 10], [10, 60, -5], [70, 65, 20], [35, 30, 45], [-20, 30, 15]], float)


def moved(points, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Points somewhere else, and the matrix that brings them back."""
    there = np.eye(4)
    there[:3, :3], there[:3, 3] = scale * turned(25, -40, 70), (12.0, -300.0, 45.0)
    return apply(there, points), np.linalg.inv(there)


@pytest.mark.parametrize("scale", [1.0, 1.08])
def test_registration_of_exact_points(scale):
    moving, matrix = moved(POINTS, scale)
    fit = register(moving, POINTS, hasScale=True)
    assert fit.matrix == pytest.approx(matrix) and fit.scale == pytest.approx(1 / scale)
    assert fit.freMm == pytest.approx(0, abs=1e-9) and fit.errorsMm.shape == fit.leaveOneOutMm.shape == (6,)
    rigid = register(moving, POINTS)
    assert rigid.scale == pytest.approx(1 / scale)
    assert np.linalg.det(rigid.matrix[:3, :3]) == pytest.approx(1.0)
    assert (rigid.freMm < 1e-9) == (scale == 1.0)


def test_registration_is_vtks():
    moving = moved(POINTS)[0] + np.random.default_rng(6).normal(0, 3, POINTS.shape)
    landmarks = vtk.vtkLandmarkTransform()
    for points, use in ((moving, landmarks.SetSourceLandmarks), (POINTS, landmarks.SetTargetLandmarks)):
        array = vtk.vtkPoints()
        for point in points:
            array.InsertNextPoint(point)
        use(array)
    landmarks.SetModeToRigidBody()
    landmarks.Update()
    expected = [[landmarks.GetMatrix().GetElement(row, column) for column in range(4)] for row in range(4)]
    assert register(moving, POINTS).matrix == pytest.approx(np.array(expected), abs=1e-3)  # VTK's are float32


@given(st.integers(3, 12), st.integers(0, 10_000), st.floats(0.0, 5.0), st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_small_change_of_a_registration_is_better(count, seed, noise, hasScale):
    random = np.random.default_rng(seed)
    fixed = random.uniform(-60, 60, (count, 3))
    moving = moved(fixed)[0] + random.normal(0, noise, fixed.shape)
    try:
        fit = register(moving, fixed, hasScale)
    except LiveHandError as error:
        assert error.reason in ("registrationCollinear", "registrationMirrored")
        return
    for _change in range(20):
        change = np.eye(4)
        change[:3, :3] = turned(*random.normal(0, 0.3, 3)) * (1 + hasScale * random.normal(0, 0.005))
        change[:3, 3] = random.normal(0, 0.3, 3)
        changed = np.linalg.norm(apply(change @ fit.matrix, moving) - fixed, axis=1)
        assert np.sqrt((changed**2).mean()) >= fit.freMm - 1e-9


@pytest.mark.parametrize("hasScale", [False, True])
def test_expected_tre_is_what_comes_out_on_average(hasScale):
    """Over many registrations with errors of 1 mm along each axis."""
    random, target = np.random.default_rng(7), np.array([60.0, -80.0, 120.0])
    expected, found = [], []
    for _registration in range(1500):
        moving, matrix = moved(POINTS)
        fit = register(moving + random.normal(0, 1.0, POINTS.shape), POINTS, hasScale)
        expected.append(fit.expectedTreMm(target) ** 2)
        moving_target = apply(np.linalg.inv(matrix), target[None])
        found.append(np.square(apply(fit.matrix, moving_target) - target).sum())
    assert np.sqrt(np.mean(expected)) == pytest.approx(np.sqrt(np.mean(found)), rel=0.06)


def test_worst_point_is_named():
    moving = moved(POINTS)[0]
    moving[3] += [0, 12, 0]
    fit = register(moving, POINTS)
    assert fit.worst == 3 and fit.leaveOneOutMm[3] == pytest.approx(12.0)
    three = register(moving[:3], POINTS[:3])
    assert np.isnan(three.leaveOneOutMm).all() and 0 <= three.worst < 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda points: points[:2], "registrationTooFew"),
        (lambda points: points[:0], "registrationTooFew"),
        (lambda points: np.outer(np.arange(5.0), [1, 2, 3]), "registrationCollinear"),
        (lambda points: np.outer(10 * np.arange(5.0), [1, 2, 3]) + 0.01 * points[:5], "registrationCollinear"),
        (lambda points: np.ones((4, 3)), "registrationCollinear"),
        (lambda points: np.where(points == 80, np.nan, points), "registrationNotFinite"),
        (lambda points: np.where(points == 80, np.inf, points), "registrationNotFinite"),
    ],
)
def test_points_that_cannot_be_registered(change, reason):
    points = change(POINTS)
    with pytest.raises(LiveHandError, match=reason):
        register(points, points)
    if reason == "registrationCollinear":
        with pytest.raises(LiveHandError, match=reason):
            register(points, POINTS[: len(points)])


def test_mirrored_pairs_are_noticed():
    moving = moved(POINTS * (-1, 1, 1))[0] + np.random.default_rng(8).normal(0, 1, POINTS.shape)
    with pytest.raises(LiveHandError, match="registrationMirrored"):
        register(moving, POINTS)
    with pytest.raises(LiveHandError, match="registrationMirrored"):
        compare(moving, POINTS, range(6))


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_points_in_a_plane_are_not_taken_for_mirrored(seed):
    random = np.random.default_rng(seed)
    flat = POINTS * (1, 1, 0)
    assert register(moved(flat)[0] + random.normal(0, 2, flat.shape), flat).freMm < 8.0


def test_different_numbers_of_points():
    with pytest.raises(LiveHandError, match="registrationPairs"):
        register(POINTS, POINTS[:4])


def test_pairs_in_order_and_by_name():
    planned = ["Nasion", "Left", "Right", "Chin"]
    assert pairs(["a", "b", "c"], planned) == [(0, 0), (1, 1), (2, 2)]
    assert pairs(["right ", "NASION", "left", "other"], planned, byName=True) == [(1, 0), (2, 1), (0, 2)]
    assert pairs(["Right", "Nasion", "Chin"], planned) == [(1, 0), (0, 2), (2, 3)], "touched in another order"
    assert pairs(["1", "2"], ["2", "1", "2"]) == [(0, 0), (1, 1)], "names that say nothing"
    with pytest.raises(LiveHandError, match="registrationPairs"):
        pairs([*planned, "more"], planned)
    for recorded in (["x", "y", "z"], ["Left", "left", "Right"], []):
        with pytest.raises(LiveHandError, match="registrationNames"):
            pairs(recorded, planned, byName=True)


def test_comparison_with_the_truth():
    moving, _matrix = moved(POINTS)
    moving[4] += [0, 0, 3.0]
    found = compare(moving, POINTS, [0, 1, 2, 3])
    assert found.fiducials.max == pytest.approx(0, abs=1e-9) and found.targets.count == 2
    assert found.targets.max == pytest.approx(3.0) and found.targets.mean == pytest.approx(1.5)
    assert found.errorsMm[4] == pytest.approx(3.0)
    assert found.registration.freMm == pytest.approx(0, abs=1e-9)
    same = compare(POINTS + np.array([3.0, 4.0, 0.0]), POINTS)
    assert same.registration is None and same.fiducials.count == 0
    assert same.targets.mean == same.targets.rms == pytest.approx(5.0) and same.targets.sd == pytest.approx(0, abs=1e-9)


def test_statistics_of_nothing_and_of_one():
    assert ErrorStatistics.of([]).count == 0 and np.isnan(ErrorStatistics.of([np.nan]).mean)
    one = ErrorStatistics.of([2.0])
    assert (one.count, one.mean, one.median, one.min, one.max) == (1, 2, 2, 2, 2) and np.isnan(one.sd)


# Surfaces


@pytest.fixture(scope="module")
def surface():
    """An ellipsoid that is no surface of revolution."""
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(1.0)
    sphere.SetThetaResolution(80)
    sphere.SetPhiResolution(80)
    transform = vtk.vtkTransform()
    transform.Scale(90, 70, 50)
    stretched = vtk.vtkTransformPolyDataFilter()
    stretched.SetInputConnection(sphere.GetOutputPort())
    stretched.SetTransform(transform)
    stretched.Update()
    return stretched.GetOutput()


def traceOn(seed: int = 0, noise: float = 0.0) -> np.ndarray:
    """A path over the ellipsoid, (n, 3) mm."""
    t = np.linspace(0, 1, 400)
    theta, phi = 0.3 + 1.9 * t, 2.5 * np.pi * t
    unit = np.column_stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    return unit * (90, 70, 50) + np.random.default_rng(seed).normal(0, noise, unit.shape)


def test_trace_is_laid_onto_the_surface(surface):
    there = np.eye(4)
    there[:3, :3], there[:3, 3] = turned(30, 50, -20), (100.0, 50.0, -300.0)
    off = np.eye(4)
    off[:3, :3], off[:3, 3] = turned(4, -3, 3), (4.0, -3.0, 5.0)
    trace = apply(there, traceOn(noise=0.3))
    found = registerToSurface(trace, surface, off @ np.linalg.inv(there))
    assert found.statistics.rms < 0.5 < found.initialDistancesMm.mean()
    assert np.abs(apply(found.matrix, trace) - traceOn(noise=0.3)).max() < 2.0
    assert np.linalg.det(found.matrix[:3, :3]) == pytest.approx(1.0)


def test_distances_to_a_surface(surface):
    points = np.array([[190.0, 0, 0], [0, 0, 60.0], [0, 71.0, 0]])
    assert distancesToSurface(points, surface) == pytest.approx([100, 10, 1], abs=0.1)


def test_traces_and_surfaces_that_do_not_do(surface):
    for points, model, initial, reason in (
        (traceOn()[:5], surface, np.eye(4), "surfaceTooFew"),
        (traceOn(), vtk.vtkPolyData(), np.eye(4), "surfaceEmpty"),
        (traceOn(), None, np.eye(4), "surfaceEmpty"),
        (np.full((30, 3), np.nan), surface, np.eye(4), "registrationNotFinite"),
        (traceOn(), surface, np.full((4, 4), np.nan), "registrationNotFinite"),
    ):
        with pytest.raises(LiveHandError, match=reason):
            registerToSurface(points, model, initial)
