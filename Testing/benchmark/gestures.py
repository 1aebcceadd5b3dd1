"""How well LiveHand recognizes pinches and how exactly what is held follows the hand, by rendered hands whose truth is
known.

Both hands of a rig pinch, slowly and fast, and do other things, seen from nine directions at 400 to 800 mm; skin,
light, background, size, noise and focal length vary. A pinch is true while the rig's fingertips touch. Then hands that
pinch rotate a view, zoom, scroll, set window and level, carry a transform and hold still. All of it goes through the
whole module in the host, and what is measured is the scene's: the view's camera, the slice's offset, the transform.
Clips and truth are rendered once and kept in the cache.
"""

import argparse
import hashlib
import inspect
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import vtk

from host.application import Application
from LiveHandLib.calibration.intrinsics import Intrinsics
from LiveHandLib.gestures import moves
from LiveHandLib.gestures.hold import FOLLOWED
from LiveHandLib.gestures.pinch import ENDED, MOVED, STARTED
from LiveHandLib.pose.coordinates import CAMERA_TO_RAS
from run import cacheFolder
from support.handrender import FINGERS, HandCamera, HandRenderer, RiggedHand, pinched, placement
from support.paths import MODULE, SAMPLE_CLIP, SHARED

RATE = 30.0
SIZE = (640, 480)
SIDES = ("Left", "Right")
DIRECTIONS = [(yaw, pitch) for yaw in (-35, 0, 35) for pitch in (-25, 0, 25)]
SKINS = ((0.93, 0.71, 0.60), (0.80, 0.58, 0.45), (0.62, 0.42, 0.31), (0.42, 0.28, 0.20), (0.96, 0.78, 0.70))
TOUCHING = 0.31
"""The tips' distance over the palm width at which the rigs' fingers touch: the right one's at 0.2 to 0.25, the left
one's, whose thumb is bent by the same angles, at 0.25 to 0.31."""
EARLY_S, LATE_S = 0.2, 0.07  # how far a recognized pinch may begin before, or end after, the true one
CURLED = (62, 75, 45, 0)
OTHERS = (  # what hands do beside pinching, see RiggedHand.pose()
    {"thumb": (18, 20, 15, 10)} | dict.fromkeys(FINGERS[1:], CURLED),
    {"thumb": (18, 20, 15, 10)} | dict.fromkeys(FINGERS[2:], CURLED),
    {"thumb": (10, 10, 10, 5)} | dict.fromkeys(FINGERS[1:], (25, 30, 15, 0)),
    {"thumb": (-8, 0, 0, 0), "index": (0, 0, 0, 10), "ring": (0, 0, 0, -8), "pinky": (0, 0, 0, -16)},
    {"thumb": (10, 20, 20, 0)},
    dict.fromkeys(FINGERS[1:], (60, 10, 5, 0)),
    pinched(0.5),
)


class PlainRenderer(HandRenderer):
    OVERSAMPLING = 1  # a third of the time, for as good a detection


class Motion:
    """Values at times, between which they go smoothly."""

    def __init__(self, value):
        self.times, self.values = [0.0], [np.array(value, float)]

    def go(self, value, seconds: float, hold: float = 0.0) -> None:
        for duration in (seconds, hold):
            if duration > 0.0:
                self.times.append(self.times[-1] + duration)
                self.values.append(np.array(value, float))

    def at(self, time: float) -> np.ndarray:
        index = min(max(int(np.searchsorted(self.times, time, "right")) - 1, 0), len(self.times) - 2)
        start, end = self.times[index : index + 2]
        part = min(max((time - start) / (end - start), 0.0), 1.0)
        eased = part**3 * (part * (6 * part - 15) + 10)
        return self.values[index] + eased * (self.values[index + 1] - self.values[index])


def bendsOf(pose: dict) -> np.ndarray:
    return np.array([pose.get(finger, (0, 0, 0, 0)) for finger in FINGERS], float)


# Clips


@dataclass
class Clip:
    """A rendered clip.

    :ivar landmarks: (frames, hands, 21, 3), mm, in the camera's coordinate system; NaN where there is no hand.
    """

    path: Path
    intrinsics: Intrinsics
    palmWidthMm: float
    landmarks: np.ndarray


def rendered(name: str, key: tuple, hands, seconds: float, scale=1.0, focal=0.87, noise=3.0, plain=True) -> Clip:
    """A clip from the cache; it is rendered if it is not there.

    :param key: all numbers that the clip depends on.
    :param hands: gives, at a time in s, the bends and the placement of each side's hand.
    :param plain: light, skin and background as they are by default.
    """
    digest = hashlib.sha256(repr((SOURCES, name, key, seconds)).encode()).hexdigest()[:12]
    path = cacheFolder() / "gestures" / f"{name}-{digest}.mp4"
    random = np.random.default_rng(int(digest, 16))
    camera = HandCamera(np.array([[focal * 640, 0, 319.5], [0, focal * 640, 239.5], [0, 0, 1]]), SIZE)
    rigs = {side: RiggedHand.load(SHARED / "hand-mesh" / f"{side.lower()}.glb") for side in SIDES}
    rest = rigs["Right"].pose().landmarks
    palmWidthMm = scale * float(np.linalg.norm(rest[5] - rest[17]))
    truthPath = path.with_suffix(".npy")
    if not truthPath.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        landmarks = _render(path, rigs, hands, seconds, scale, camera, noise, random, plain)
        np.save(truthPath, landmarks)
    return Clip(path, Intrinsics(camera.matrix, np.zeros(5), SIZE), palmWidthMm, np.load(truthPath))


def _render(path, rigs, hands, seconds, scale, camera, noise, random, plain) -> np.ndarray:
    look = {}
    if not plain:
        skin = np.clip(np.array(SKINS[random.integers(len(SKINS))]) * random.uniform(0.93, 1.04), 0, 1)
        look = {"skin": skin, "sleeve": random.uniform(0, 0.6, 3), "background": random.uniform(0.15, 0.95, 2)}
    renderer = PlainRenderer(camera, **look)
    if not plain:
        lights = renderer.scene.GetLights()
        lights.InitTraversal()
        while light := lights.GetNextItem():
            light.SetIntensity(light.GetIntensity() * random.uniform(0.6, 1.25))
    grain = random.normal(0, noise, (SIZE[1] + 100, SIZE[0] + 100, 3)).astype(np.int16)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE, SIZE)
    truth = np.full((round(seconds * RATE), 2, 21, 3), np.nan)
    for number in range(len(truth)):
        posed = []
        for side, (bends, place) in hands(number / RATE).items():
            place = place @ np.diag([scale, scale, scale, 1.0])
            one = rigs[side].pose(dict(zip(FINGERS, bends, strict=True)), place)
            one.normals /= np.linalg.norm(one.normals, axis=1, keepdims=True)
            truth[number, SIDES.index(side)] = one.landmarks
            posed.append(one)
        image = cv2.GaussianBlur(renderer.render(*posed), (0, 0), 0.6)
        left, top = random.integers(0, 100, 2)
        part = grain[top : top + SIZE[1], left : left + SIZE[0]]
        writer.write(cv2.add(image, part, dtype=cv2.CV_8U))
    writer.release()
    return truth


# Through the module


class Session:
    """Plays clips through the module, with views, a volume and a transform for the hands to act on.

    :param app: the host.
    :param logic: the module's.

    :ivar states: what :meth:`state` was at each frame of the newest clip, from the first pinch to the last one's end.
    """

    FOCUS = np.zeros(3)
    AWAY_MM = 500.0  # the view's camera, anterior

    def __init__(self, app, logic) -> None:
        import slicer

        self._app, self._logic = app, logic
        self._node = logic.getParameterNode()
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        voxels = (np.arange(301 * 40 * 40) % 1000).astype(np.int16).reshape(301, 40, 40)
        volume = slicer.util.addVolumeFromArray(voxels, name="Volume")
        volume.SetSpacing(5, 5, 1)
        volume.SetOrigin(-100, -100, -150)
        volume.CreateDefaultDisplayNodes()
        self._windowLevel = volume.GetDisplayNode()
        self._windowLevel.SetAutoWindowLevel(False)
        self._slice = slicer.app.applicationLogic().GetSliceLogicByLayoutName("Red")
        self._slice.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        (self._camera,) = slicer.util.getNodesByClass("vtkMRMLCameraNode")
        ball = vtk.vtkSphereSource()  # the first hand in a view that shows nothing else would be centered
        ball.Update()
        model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Ball")
        model.SetAndObservePolyData(ball.GetOutput())
        model.CreateDefaultDisplayNodes()
        self._transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Held")
        self._node.heldNode, self._node.gestureSlice = self._transform, "Red"
        self._node.numberOfHands, self._node.everyFrame = 2, True
        self._events: list[tuple[str, Any]] = []
        self.states: list[np.ndarray] = []
        for name in (STARTED, MOVED, ENDED):
            signal = getattr(logic.pinches, name)
            signal.connect(lambda pinch, name=name: self._events.append((name, pinch)))
        logic.worker.tracked.connect(self._onTracked)

    def _onTracked(self, _frame) -> None:
        if self._logic.gestures.text:
            self.states.append(self.state())

    def play(self, clip: "Clip | Path", actsOn: str = "NOTHING") -> list[tuple[str, Any]]:
        """Play a clip to its end, and return what pinches do: the names of the signals and the :class:`Pinch` of each.

        :param actsOn: the name of what the hands act on, which is as at the beginning.
        """
        from LiveHandLib.scene.gestures import HandsActOn

        path = clip.path if isinstance(clip, Clip) else clip
        self._windowLevel.SetWindowLevel(WINDOW, LEVEL)
        self._slice.SetSliceOffset(0.0)
        self._camera.SetPosition(0.0, self.AWAY_MM, 0.0)
        self._camera.SetFocalPoint(*self.FOCUS)
        self._camera.SetViewUp(0.0, 0.0, 1.0)
        self._transform.SetMatrixTransformToParent(vtk.vtkMatrix4x4())
        self._node.handsActOn, self._logic.gestures.isReporting = HandsActOn[actsOn], True
        self._logic.setSource(path)
        if isinstance(clip, Clip):
            self._node.palmWidthMm = clip.palmWidthMm
            self._logic.addCalibration(clip.intrinsics)
        self._events, self.states = [], []
        try:
            self._logic.start()
            self._app.spin(lambda: self._logic.worker.state == "off", timeout=1200)
        finally:
            if isinstance(clip, Clip):
                self._logic.forgetCalibrations()
            self._node.handsActOn, self._logic.gestures.isReporting = HandsActOn.NOTHING, False
        return self._events

    def focus(self) -> np.ndarray:
        """(3,) the view's focal point, mm."""
        return np.array(self._camera.GetFocalPoint())

    def state(self) -> np.ndarray:
        """(25,): the view's camera (position, mm, and view up), window, level, offset (mm), and the transform."""
        import slicer

        camera, display = self._camera, self._windowLevel
        scene = [*camera.GetPosition(), *camera.GetViewUp(), display.GetWindow(), display.GetLevel()]
        matrix = slicer.util.arrayFromTransformMatrix(self._transform)
        return np.array([*scene, self._slice.GetSliceOffset(), *matrix.ravel()], float)


@dataclass
class State:
    """The parts of :meth:`Session.state`."""

    positionMm: np.ndarray
    viewUp: np.ndarray
    windowLevel: np.ndarray
    offsetMm: float
    matrix: np.ndarray

    @classmethod
    def of(cls, state: np.ndarray) -> "State":
        return cls(state[:3], state[3:6], state[6:8], float(state[8]), state[9:].reshape(4, 4))


def degrees(matrix: np.ndarray) -> float:
    """The angle of a rotation."""
    return float(np.degrees(np.linalg.norm(cv2.Rodrigues(np.asarray(matrix, float)[:3, :3])[0])))


def between(one: np.ndarray, other: np.ndarray) -> float:
    """The angle between two directions, degrees."""
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other)), one @ other)))


# Pinches against truth


def acting(random: np.random.Generator, seconds: float, canPinch: bool) -> Motion:
    """What the fingers of one hand do: (5, 4) bends in degrees."""
    motion = Motion(np.zeros((5, 4)))
    motion.go(np.zeros((5, 4)), 0.8)
    while motion.times[-1] < seconds - 3.5:
        fast, slow = 0.12 * 6 ** random.uniform(0, 1, 2)
        if canPinch and random.uniform() < 0.6:
            pose = bendsOf(pinched(random.uniform(1.0, 1.06), random.integers(4), random.uniform() ** 2))
            motion.go(pose, fast, random.uniform(0.3, 1.2))
        else:
            motion.go(bendsOf(OTHERS[random.integers(len(OTHERS))]), 0.2 + fast, random.uniform(0.1, 0.8))
        rest = random.normal(0, 4, (5, 4)) * (1, 1, 1, 0.4)
        motion.go(rest, slow, random.uniform(0.3, 0.9))
    motion.go(np.zeros((5, 4)), 0.4, 4.0)
    return motion


def pinchClip(number: int, canPinch: bool, seconds: float, seed: int) -> Clip:
    """Both hands from one of the nine directions."""
    yaw, pitch = DIRECTIONS[number]
    random = np.random.default_rng([seed, number, canPinch])
    motions = {side: acting(random, seconds, canPinch) for side in SIDES}
    distance = 400 + 400 * ((number * 4) % 9) / 8
    phases, speed = random.uniform(0, 2 * np.pi, (2, 6)), random.uniform(0.6, 3.0)
    scale, focal, noise = random.uniform(0.88, 1.1), random.uniform(0.78, 1.0), random.uniform(1, 6)

    def hands(time):
        result = {}
        for index, side in enumerate(SIDES):
            wave = np.sin(speed * time * np.array([1, 0.7, 0.5, 0.8, 0.6, 0.9]) + phases[index])
            across = (1 if side == "Left" else -1) * min(0.27 * distance, 150) + 25 * wave[0]
            place = placement(
                (across, 15 + 20 * wave[1], distance + 30 * wave[2]),
                pitch=pitch + 5 * wave[3],
                yaw=yaw + 5 * wave[4],
                roll=8 * wave[5],
            )
            result[side] = motions[side].at(time), place
        return result

    name = f"pinches{number}" if canPinch else f"others{number}"
    return rendered(name, (seed, number), hands, seconds, scale, focal, noise, plain=False)


def touching(landmarks: np.ndarray) -> list[tuple[float, float]]:
    """When a hand truly pinches: start and end of each pinch, s."""
    tips = np.linalg.norm(landmarks[:, 4] - landmarks[:, 8], axis=1)
    ratio = tips / np.linalg.norm(landmarks[:, 5] - landmarks[:, 17], axis=1)
    closed = np.concatenate([[False], ratio < TOUCHING, [False]])
    starts, ends = np.flatnonzero(~closed[:-1] & closed[1:]), np.flatnonzero(closed[:-1] & ~closed[1:])
    between = [(ratio[i] - TOUCHING) / (ratio[i] - ratio[i - 1]) if i else 0.0 for i in starts]
    return [((i - part) / RATE, (j - 1) / RATE) for i, part, j in zip(starts, between, ends, strict=True)]


def matched(starts: list[float], truth: list[tuple[float, float]]) -> tuple[list[float], int]:
    """The delays of the true pinches that were recognized, s, and how many others were."""
    left, delays = list(starts), []
    for start, end in truth:
        found = [time for time in left if start - EARLY_S <= time <= end + LATE_S]
        if found:
            left.remove(found[0])
            delays.append(found[0] - start)
    return delays, len(left)


def pinches(session: Session, seconds: float, seed: int, isQuick: bool = False) -> dict[str, float]:
    """Recall, false pinches and delays of all rendered sequences."""
    delays: list[float] = []
    count = false = 0
    minutes = 0.0
    print(f"\n{'yaw, pitch':14}{'pinches':>9}{'found':>7}{'false':>7}{'without':>9}{'false':>7}")
    for number, direction in list(enumerate(DIRECTIONS))[:: 4 if isQuick else 1]:
        row = []
        for canPinch in (True, False):
            clip = pinchClip(number, canPinch, seconds, seed)
            events = session.play(clip)
            truths = found = others = 0
            for index, side in enumerate(SIDES):
                truth = touching(clip.landmarks[:, index])
                starts = [pinch.timestampMs / 1000.0 for name, pinch in events if (name, pinch.hand) == (STARTED, side)]
                those, rest = matched(starts, truth)
                delays += those
                truths, found, others = truths + len(truth), found + len(those), others + rest
                minutes += len(clip.landmarks) / RATE / 60.0
            row += [truths, found, others] if canPinch else [f"{seconds:.0f} s", others]
            count, false = count + truths, false + others
        print(f"{direction!s:14}{row[0]:9}{row[1]:7}{row[2]:7}{row[3]:>9}{row[4]:7}", flush=True)
    return {
        "recall": len(delays) / count,
        "false_per_minute": false / minutes,
        "onset_ms_median": 1000.0 * float(np.median(delays)),
        "onset_ms_p90": 1000.0 * float(np.percentile(delays, 90)),
    }


def onRealFrames(session: Session) -> int:
    """Pinches where there is none: a pointing hand, photographs, and the sample clip apart from its pinch."""
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in [
            *sorted((SHARED / "clips").glob("*.mp4")),
            *sorted((SHARED / "photos").glob("*.jpg")),
            SAMPLE_CLIP,
        ]:
            clip = still(path, Path(folder) / f"{path.stem}.avi") if path.suffix == ".jpg" else path
            starts = [pinch.timestampMs / 1000.0 for name, pinch in session.play(clip) if name == STARTED]
            if path == SAMPLE_CLIP:  # it pinches at 4.5 s, see make_sample_clip.py
                starts = matched(starts, [(4.2, 5.0)])[1] * [0.0]
            total += len(starts)
            if starts:
                print(f"{path.name}: {len(starts)} pinches where there is none")
    return total


def still(photograph: Path, path: Path) -> Path:
    """A clip of half a second in which nothing moves."""
    image = cv2.imread(str(photograph))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), RATE, image.shape[1::-1])
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 95)
    for _frame in range(15):
        writer.write(image)
    writer.release()
    return path


# What is held against truth


HOLD_S = 0.6


def holding(name: str, distance: float, seconds: float, travel, sides=("Right",)) -> Clip:
    """Hands that open, pinch, move while they pinch, stop, and open.

    :param travel: by side, the way in mm and the turn about the camera's axis in degrees.
    """
    fingers, ways = Motion(np.zeros((5, 4))), Motion(0.0)
    pinch = bendsOf(pinched(1.02))
    fingers.go(np.zeros((5, 4)), 0.7)
    fingers.go(pinch, 0.25, 2 * HOLD_S + seconds)
    fingers.go(np.zeros((5, 4)), 0.25, 0.4)
    ways.go(0.0, 0.95 + HOLD_S)
    ways.go(1.0, seconds, HOLD_S + 0.65)

    def hands(time):
        result = {}
        for side in sides:
            way, roll = travel[side]
            across = (110 if side == "Left" else -110) if len(sides) == 2 else -40
            part = float(ways.at(time))
            place = placement(np.array([across, 20.0, distance]) + part * np.array(way), yaw=10, roll=part * roll)
            result[side] = fingers.at(time), place
        return result

    return rendered(name, (distance, seconds, travel), hands, fingers.times[-1])


TO_RAS = CAMERA_TO_RAS["owner"][:3, :3]


def heldAndTrue(session: Session, clip: Clip, actsOn: str, sides=("Right",)):
    """Where what was held ended, how each side's pinch began, and by side the true (2, 21, 3) landmarks in the frames
    in which it began, and before the fingers opened, mm; None if a side was not held just once."""
    events = [(name, pinch) for name, pinch in session.play(clip, actsOn) if pinch.hand in sides]
    starts = {pinch.hand: pinch for name, pinch in events if name == STARTED}
    ends = [pinch.reason for name, pinch in events if name == ENDED]
    if starts.keys() != set(sides) or ends != len(sides) * ["opened"] or not session.states:
        return None
    last = len(clip.landmarks) - round(0.8 * RATE)
    frames = {side: [round(starts[side].timestampMs * RATE / 1000.0), last] for side in sides}
    true = {side: clip.landmarks[frames[side], SIDES.index(side)] for side in sides}
    return State.of(session.state()), starts, true


def directions(landmarks: np.ndarray) -> np.ndarray:
    """In which a camera sees the middle of hands: (n, 2) of (n, 21, 3) mm."""
    followed = landmarks[:, FOLLOWED]
    return (followed[..., :2] / followed[..., 2:]).mean(axis=1)


def fingertips(landmarks: np.ndarray) -> np.ndarray:
    """The middle between the two that pinch, (n, 3) of (n, 21, 3) mm."""
    return landmarks[:, [4, 8]].mean(axis=1)


WINDOW, LEVEL, RANGE = 600.0, 500.0, 999.0  # of the volume that :class:`Session` shows


def held(session: Session, isQuick: bool = False) -> dict[str, float]:
    """Errors of what is done with what is held: the largest of each kind."""
    from LiveHandLib.scene.gestureactions import VIEW_TANGENTS, MoveSlices

    keys = "rotation_deg", "zoom_percent", "scroll_slices", "window_percent", "grab_mm", "drift_deg", "drift_mm"
    errors: dict[str, list[float]] = {key: [] for key in keys}

    def note(key: str, name: str, error: float, of: str) -> None:
        errors[key].append(error)
        print(f"{name:26}{key:15}{error:8.2f}   {of}", flush=True)

    print()
    for distance in (450,) if isQuick else (450, 600):
        drags = ("right", (70, 0, 0)), ("up", (0, -60, 0)), ("slant", (-50, 40, 0))
        for label, way in drags[: 2 if isQuick else 3]:
            clip = holding(f"drag-{label}-{distance}", distance, 1.2, {"Right": (way, 0)})
            name = f"drag {label}, {distance} mm"
            found = heldAndTrue(session, clip, "VIEW")
            if found:
                state, _starts, true = found
                angles = moves.dragAngles(*directions(true["Right"]))
                wanted, _up = moves.orbit(np.array([0.0, 500.0, 0.0]), np.zeros(3), np.array([0.0, 0.0, 1.0]), *angles)
                note("rotation_deg", name, between(state.positionMm, wanted), f"{np.abs(angles).max():.0f} degrees")
            else:
                note("rotation_deg", name, np.nan, "not held")
            if label == "up":
                found = heldAndTrue(session, clip, "SLICES")
                if found:
                    state, _starts, true = found
                    wanted = moves.scrolled(0.0, *fingertips(true["Right"]))
                    slices = abs(round(state.offsetMm) - round(wanted))
                    note("scroll_slices", name, slices, f"{wanted:.0f} slices of 1 mm")
                else:
                    note("scroll_slices", name, np.nan, "not held")
        zooms = (
            ("apart", ((35, 0, 0), 0), ((-35, 0, 0), 0)),
            ("together, rolled", ((-30, 25, 0), 0), ((30, -25, 0), 0)),
        )
        for label, left, right in zooms[: 1 if isQuick else 2]:
            clip = holding(f"zoom-{label[:5]}-{distance}", distance, 1.2, {"Left": left, "Right": right}, SIDES)
            name = f"two hands {label[:8]}, {distance} mm"
            found = heldAndTrue(session, clip, "VIEW", SIDES)
            if not found:
                note("zoom_percent", name, np.nan, "not held")
                continue
            state, _starts, true = found
            ends = [directions(true[side]) for side in SIDES]
            trueZoom, pan, trueRoll = moves.twoHands(*zip(*ends, strict=True))
            height = 2.0 * 500.0 * np.tan(np.radians(30.0) / 2.0) / trueZoom
            roll = between(state.viewUp, np.array([0.0, 0.0, 1.0]))
            focus = session.focus()
            zoom = 500.0 / float(np.linalg.norm(state.positionMm - focus))
            note("zoom_percent", name, 100.0 * abs(zoom / trueZoom - 1.0), f"{100 * trueZoom:.0f} %")
            note("rotation_deg", name, abs(roll - abs(trueRoll)), f"rolled by {trueRoll:.0f} degrees")
            panned = np.linalg.norm(focus) - np.linalg.norm(pan) * height / VIEW_TANGENTS
            print(f"{'':26}{'  panned':15}{abs(panned):8.2f}   mm off, at 500 mm")
        clip = holding(f"window-{distance}", distance, 1.2, {"Left": ((0, 0, 0), 0), "Right": ((50, -30, 0), 0)}, SIDES)
        found = heldAndTrue(session, clip, "SLICES", SIDES)
        name = f"window and level, {distance} mm"
        if found:
            state, _starts, true = found
            start, end = directions(true["Right"])
            way = end - start
            start = start + way * (MoveSlices.DECIDING_TANGENTS / np.linalg.norm(way))  # from where on it counts
            wanted = moves.windowLevel(WINDOW, LEVEL, (0.0, RANGE), start, end)
            off = np.abs(state.windowLevel - wanted).max()
            note("window_percent", name, 100.0 * off / RANGE, f"to {wanted[0]:.0f}, {wanted[1]:.0f}; of the range")
        else:
            note("window_percent", name, np.nan, "not held")
        grabs = ("across", (60, -40, 0), 0), ("nearer, turned", (20, 0, -40), 20)
        for label, path, turn in grabs[: 1 if isQuick else 2]:
            clip = holding(f"grab-{label[:6]}-{distance}", distance, 1.2, {"Right": (path, turn)})
            name = f"grab {label[:6]}, {distance} mm"
            found = heldAndTrue(session, clip, "TRANSFORM")
            if not found:
                note("grab_mm", name, np.nan, "not held")
                continue
            state, starts, true = found
            way = TO_RAS @ np.diff(fingertips(true["Right"]), axis=0)[0]
            point = starts["Right"].positionMm
            moved = state.matrix[:3, :3] @ point + state.matrix[:3, 3] - point
            note("grab_mm", name, float(np.linalg.norm(moved - way)), f"{np.round(way)} in RAS")
            trueTurn = cv2.Rodrigues(np.radians([0.0, 0.0, turn]))[0]
            off = degrees(state.matrix[:3, :3] @ (TO_RAS @ trueTurn @ TO_RAS.T).T)
            print(f"{'':26}{'  turned':15}{off:8.2f}   degrees off {turn}")
        clip = holding(f"still-{distance}", distance, 10.0, {"Right": ((0, 0, 0), 0)})
        name = f"still, {distance} mm"
        found = heldAndTrue(session, clip, "TRANSFORM")
        if not found:
            note("drift_mm", name, np.nan, "not held")
            continue
        point, matrices = found[1]["Right"].positionMm, [State.of(state).matrix for state in session.states]
        drift = max(float(np.linalg.norm(matrix[:3, :3] @ point + matrix[:3, 3] - point)) for matrix in matrices)
        note("drift_mm", name, drift, "of what is carried, in 10 s")
        note("drift_deg", name, max(map(degrees, matrices)), "of what is carried, in 10 s")
        heldAndTrue(session, clip, "VIEW")
        drift = max((between(state[:3], np.array([0.0, 1.0, 0.0])) for state in session.states), default=np.nan)
        note("drift_deg", name, drift, "of the view, in 10 s")
    return {key: float(np.max(values)) for key, values in errors.items()}


_PARTS = (RiggedHand, HandRenderer, pinched, placement, Motion, acting, pinchClip, holding, _render)
SOURCES = [inspect.getsource(part) for part in _PARTS]
SOURCES.append(repr((SKINS, OTHERS, DIRECTIONS, HOLD_S)))  # a clip in the cache is of these


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="evaluate gestures", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    parser.add_argument("--clip", metavar="FILE", help="count the pinches of a clip instead")
    parser.add_argument("--quick", action="store_true", help="a part of it, in two minutes")
    parser.add_argument("--seconds", metavar="S", type=float, default=20.0, help="of each rendered sequence (20)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="of the rendered sequences (1)")
    options = parser.parse_args(arguments)
    with Application(headless=True) as app:
        result = evaluate(Session(app, app.showModule(app.loadModule(MODULE)).logic), options)
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def evaluate(session: Session, options: argparse.Namespace) -> dict[str, float]:
    """What the options ask for, printed and returned."""
    if options.clip:
        events = session.play(Path(options.clip))
        ends = [pinch for name, pinch in events if name == ENDED]
        starts = [pinch for name, pinch in events if name == STARTED]
        for start in starts:
            end = next((e for e in ends if e.hand == start.hand and e.timestampMs > start.timestampMs), None)
            until = f"{end.timestampMs / 1000:.2f} s ({end.reason})" if end else "the end"
            print(f"{start.hand}: {start.timestampMs / 1000:.2f} s to {until}")
        print(f"{len(starts)} pinches")
        return {"pinches": len(starts)}
    if not SHARED.is_dir():
        sys.exit("The hand meshes are not beside the checkout: give a clip with --clip.")
    result: dict[str, float] = {} if options.quick else {"false_on_real_frames": onRealFrames(session)}
    result |= held(session, options.quick)
    result |= pinches(session, 8.0 if options.quick else options.seconds, options.seed, options.quick)
    print()
    for key, value in result.items():
        bar = f"   (at most {BARS[key]:g}: {'met' if value <= BARS[key] else 'MISSED'})" if key in BARS else ""
        print(f"{key:22}{value:10.3f}{bar}")
    return result


BARS = {
    "false_on_real_frames": 0,
    "rotation_deg": 2.0,
    "zoom_percent": 2.0,
    "scroll_slices": 1.0,
    "grab_mm": 3.0,
    "drift_deg": 1.0,
    "drift_mm": 1.0,
    "false_per_minute": 0.1,
    "onset_ms_median": 100.0,
}
"""What is asked of hands that act."""
