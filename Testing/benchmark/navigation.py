"""How well LiveHand navigates: points touched with a finger, registration and targets, the camera still and moved.

A rendered sequence (see :mod:`support.navigationscene`) is played: points, a trace, registration and targets, with the
camera still and moved. It is rendered once, into a clip in the cache folder with the truth beside it.

    python3 Testing/run.py evaluate navigation [--json FILE] [--clip FOLDER] [--render-only]
"""

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import vtk

from benchmark import accuracy
from host.application import Application
from LiveHandLib.calibration.board import Board
from LiveHandLib.calibration.intrinsics import Intrinsics
from LiveHandLib.detection import detector
from LiveHandLib.navigation.reference import Marker, ReferencePose, ReferenceTracker
from LiveHandLib.navigation.registration import apply
from LiveHandLib.navigation.traces import SMOOTHING_MS
from support.boardrender import BoardRenderer, turned
from support.navigationscene import (
    BOARD,
    CAMERA,
    EDGE,
    FIDUCIALS,
    IMAGE_FROM_BOARD,
    INTRINSICS,
    RATE,
    SETTLE_S,
    TARGETS,
    clipFolder,
)
from support.paths import MODEL, MODULE, SHARED

# Recording


@dataclass
class Recording:
    """What a navigation with the clip as its source came to.

    :ivar pointsMm: by name, the recorded points: in the board's coordinate system, mm.
    :ivar sdMm: their spreads, mm.
    :ivar traceMm: (n, 3) the trace of the edge, in the board's coordinate system, mm.
    :ivar freMm: the FRE that was reported, mm.
    :ivar treMm: by name, the TRE that was reported for each target, mm.
    :ivar poses: of the board, by the number of the frame.
    :ivar tipsMm: the fingertip in the board's coordinate system, by the number of the frame.
    """

    pointsMm: dict[str, np.ndarray] = field(default_factory=dict)
    sdMm: dict[str, float] = field(default_factory=dict)
    traceMm: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    freMm: float = float("nan")
    treMm: dict[str, float] = field(default_factory=dict)
    poses: dict[int, ReferencePose] = field(default_factory=dict)
    tipsMm: dict[int, np.ndarray] = field(default_factory=dict)


def record(clip: Path, palmWidthMm: float, events: dict[str, range]) -> Recording:
    """Navigate through the whole module: record a point in each event, trace the edge, register by the fiducials,
    compare the targets with the plan."""
    with Application(headless=True) as app:
        import slicer

        from LiveHandLib.scene.reference import ReferenceKind

        logic, result = app.showModule(app.loadModule(MODULE)).logic, Recording()
        node, navigation = logic.getParameterNode(), logic.navigation
        node.everyFrame, node.palmWidthMm, node.traceSmoothingMs = True, palmWidthMm, SMOOTHING_MS
        node.referenceKind = ReferenceKind.BOARD
        node.referenceColumns, node.referenceRows, node.referenceSquareMm = BOARD.columns, BOARD.rows, BOARD.squareMm
        logic.setSource(clip)
        logic.addCalibration(INTRINSICS)
        lists = {}
        for kind in ("fiducial", "target"):
            names = [name for name in events if name.startswith(kind)]
            lists[kind] = tuple(_newList(f"{what} {kind}s") for what in ("Touched", "Planned"))
            for name in names:
                lists[kind][1].AddControlPoint(vtk.vtkVector3d(planned(name)), name)

        def onTracked(frame) -> None:
            if frame.reference is not None:
                result.poses[frame.number] = frame.reference
                tip = navigation.tip()
                if tip is not None:
                    toReference = np.linalg.inv(slicer.util.arrayFromTransformMatrix(node.referenceToRAS))
                    result.tipsMm[frame.number] = apply(toReference, tip[None])[0]
            for name, frames in events.items():
                if name == "edge":
                    if frame.number == frames.start:
                        navigation.startTrace()
                    elif frame.number == frames.stop:
                        navigation.stopTrace()
                elif frame.number == frames.start + round(SETTLE_S * RATE):
                    node.points, node.plannedPoints = lists[name.split()[0]]
                    navigation.recordPoint()

        logic.worker.tracked.connect(onTracked)
        logic.start()
        app.spin(lambda: logic.worker.state == "off", timeout=1200)
        table = node.pointsTable.GetTable()
        for row in range(table.GetNumberOfRows()):
            name, *values = (table.GetColumnByName(column).GetValue(row) for column in ("Point", "x", "y", "z", "SD"))
            result.pointsMm[name], result.sdMm[name] = np.array(values[:3]), values[3]
        if node.traceModel:
            result.traceMm = np.array(slicer.util.arrayFromModelPoints(node.traceModel), float)
        node.points, node.plannedPoints = lists["fiducial"]
        node.matchByName = True
        result.freMm = navigation.registering.register().freMm
        node.points, node.truePoints = lists["target"]
        errors = navigation.registering.compare().errorsMm
        names = [name for name in events if name.startswith("target") and name in result.pointsMm]
        result.treMm = {name: float(error) for name, error in zip(names, errors, strict=True)}
        return result


def _newList(name: str):
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)


def planned(name: str) -> np.ndarray:
    """Where an event's point is in the image, (3,) mm."""
    kind, number, *_when = name.split()
    return apply(IMAGE_FROM_BOARD, (FIDUCIALS if kind == "fiducial" else TARGETS)[[int(number)]])[0]


# Figures


def figures(recording: Recording, truth, events: dict[str, range]) -> dict[str, float]:
    """What the recording is worth, under the names of the JSON file."""
    points = recording.pointsMm
    fiducials = [name for name in events if name.startswith("fiducial") and name in points]
    plan = np.array([planned(name) for name in fiducials])
    rotation, shift = accuracy.rigid(np.array([points[name] for name in fiducials]), plan)
    residuals = np.array([rotation @ points[name] + shift for name in fiducials]) - plan
    fre = float(np.sqrt((residuals**2).sum(axis=1).mean()))
    targets = [name for name in events if name.startswith("target") and name in points]
    tre = {name: float(np.linalg.norm(rotation @ points[name] + shift - planned(name))) for name in targets}
    half = {when: [tre[name] for name in targets if name.endswith(when)] for when in ("still", "moved")}
    boards = np.array(
        [poseErrors(pose.matrix, truth["boardToCamera"][n], BOARD) for n, pose in recording.poses.items()]
    )
    tips = np.array([np.linalg.norm(tip - truth["tipsMm"][n]) for n, tip in recording.tipsMm.items()])
    traced = [np.linalg.norm(EDGE - point, axis=1).min() for point in recording.traceMm]
    placed = apply(np.block([[rotation, shift[:, None]], [np.zeros((1, 3)), 1.0]]), recording.traceMm)
    inImage = apply(IMAGE_FROM_BOARD, EDGE)
    registered = [np.linalg.norm(inImage - point, axis=1).min() for point in placed]
    return {
        "points_recorded": len(points),
        "points_wanted": sum(name != "edge" for name in events),
        "fre_mm": recording.freMm,
        "fre_difference_mm": abs(recording.freMm - fre),
        "tre_difference_mm": max(abs(recording.treMm.get(name, np.inf) - tre[name]) for name in targets),
        "tre_still_mm_median": float(np.median(half["still"])),
        "tre_moved_mm_median": float(np.median(half["moved"])),
        "point_sd_mm_median": float(np.median(list(recording.sdMm.values()))),
        "sequence_board_mm_median": float(np.median(boards[:, 0])),
        "sequence_board_deg_median": float(np.median(boards[:, 1])),
        "frames_with_board": len(recording.poses),
        "frames_with_fingertip": len(tips),
        "frames": len(truth["tipsMm"]),
        "tip_mm_median": float(np.median(tips)),
        "trace_points": len(traced),
        "trace_mm_median": float(np.median(traced)),
        "trace_registered_mm_median": float(np.median(registered)),
    }


def poseErrors(matrix: np.ndarray, truth: np.ndarray, reference) -> tuple[float, float]:
    """How far a reference's middle is off, mm, and by how much it is turned, degrees."""
    middle = middleMm(reference)[None]
    angle = np.linalg.norm(cv2.Rodrigues(matrix[:3, :3].T @ truth[:3, :3])[0])
    shift = np.linalg.norm(apply(matrix, middle) - apply(truth, middle))
    return float(shift), float(np.degrees(angle))


def middleMm(reference) -> np.ndarray:
    if isinstance(reference, Marker):
        return reference.sideMm * np.array([0.5, 0.5, 0.0])
    return reference.squareMm * np.array([reference.columns, reference.rows, 0.0]) / 2.0


def boardFigures(board: Board, poses: int = 40) -> tuple[float, float, float]:
    """Of a board held still at 600 mm, in many tilts and places: the median errors, mm and degrees, and how often it is
    found, 0 to 1. By another renderer, with lens distortion, blur, noise and uneven light."""
    distortion = np.array([-0.1, 0.05, 0.001, -0.001, 0.0])
    renderer = BoardRenderer(board, CAMERA.matrix, distortion, CAMERA.size)
    intrinsics, random, errors = Intrinsics(CAMERA.matrix, distortion, CAMERA.size), np.random.default_rng(600), []
    for _pose in range(poses):
        truth = np.eye(4)
        truth[:3, :3] = turned(*random.uniform(-40, 40, 2), random.uniform(-180, 180))
        truth[:3, 3] = np.array([*random.uniform(-80, 80, 2), 600.0]) - truth[:3, :3] @ middleMm(board)
        tracker, centre = ReferenceTracker(board), apply(truth, middleMm(board)[None])[0]
        for number in range(10):
            image = renderer.render(truth[:3, :3], centre, seed=100 * _pose + number)
            pose = tracker.find(image, 33 * number, intrinsics)
        errors.append(poseErrors(pose.matrix, truth, board) if pose else (np.nan, np.nan))
    shifts, angles = np.array(errors).T
    return float(np.nanmedian(shifts)), float(np.nanmedian(angles)), float(np.isfinite(shifts).mean())


def clipFigures() -> dict[str, float]:
    """The fingertip's path on the real clip, against its truth."""
    paths = str(SHARED / "clips" / "hand_desk.mp4"), str(SHARED / "clips" / "hand_desk_truth.npz")
    track = accuracy.track(accuracy.clip(*paths, range(200), 52.6), detector.loadModel(MODEL))
    row = accuracy.figures(track, "livehand")
    return {f"clip_{name}": float(row[name]) for name in ("tip_mm_median", "tip_mm_p90", "tip_registered_mm_median")}


BARS = {
    "fre_difference_mm": 0.1,
    "tre_difference_mm": 0.1,
    "tre_moved_over_still": 1.2,
    "board_mm_median": 1.0,
    "board_deg_median": 0.3,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="evaluate navigation", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    parser.add_argument("--clip", metavar="FOLDER", help="the folder of a rendered clip; its own is rendered otherwise")
    parser.add_argument("--render-only", action="store_true", help="render the clip, and say where it is")
    options = parser.parse_args(arguments)
    if not SHARED.is_dir():
        sys.exit("The hand meshes and the clip are not beside the checkout.")
    folder = Path(options.clip) if options.clip else clipFolder()
    if options.render_only:
        print(folder)
        return 0
    with np.load(folder / "truth.npz") as file:
        truth = dict(file)
    events = {name: range(*frames) for name, frames in json.loads((folder / "events.json").read_text()).items()}
    result = figures(record(folder / "clip.avi", float(truth["palmWidthMm"]), events), truth, events)
    result["tre_moved_over_still"] = result["tre_moved_mm_median"] / result["tre_still_mm_median"]
    for name, board in (("board", Board()), ("small_board", Board("charuco", 5, 4, 25.0))):
        keys = f"{name}_mm_median", f"{name}_deg_median", f"{name}_found"
        result |= dict(zip(keys, boardFigures(board), strict=True))
    result |= clipFigures()
    for name, value in result.items():
        bar = f"   (at most {BARS[name]:g}: {'met' if value <= BARS[name] else 'MISSED'})" if name in BARS else ""
        print(f"{name:28} {value:10.3f}{bar}")
    print(f"{'every point recorded':28} {'yes' if result['points_recorded'] == result['points_wanted'] else 'NO'}")
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1, default=float))
    return 0
