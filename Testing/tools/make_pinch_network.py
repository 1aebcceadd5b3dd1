"""Trains the small network that tells from MediaPipe's landmarks whether thumb and index finger touch.

Both hands of the rigs move at random before cameras of all kinds: they pinch in many ways, nearly pinch, make fists,
point, and bend their fingers by any angles. In each frame MediaPipe finds its landmarks, and the rig says whether the
fingertips touch. None of it is what ``evaluate gestures`` plays. The frames are rendered once and kept in the cache.
Needs scikit-learn.

    python3 Testing/run.py make pinch_network [--sequences N] [--processes N] [PinchNetwork.npz]

The file has, for each layer, ``weights`` (networks, inputs, outputs) and ``biases`` (networks, outputs), float32.
"""

import argparse
import hashlib
import importlib.util
import inspect
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import cv2
import numpy as np

from benchmark.gestures import CURLED, SIDES, SIZE, SKINS, TOUCHING, Motion, PlainRenderer, bendsOf
from LiveHandLib.detection import detector
from LiveHandLib.gestures.pinchnetwork import FILE_NAME, features
from run import cacheFolder
from support.handrender import FINGERS, HandCamera, RiggedHand, pinched, placement
from support.paths import MODEL, RESOURCES, SHARED

RATE = 30
FRAMES = 300
APART = 0.4
"""The tips' distance over the palm width from which on they are apart; between :data:`TOUCHING` and this, they may be
called either."""
LARGEST_BENDS = np.array([(30, 30, 40, 15), *4 * [(90, 105, 70, 12)]])
EXACT_HANDS = 40000
"""Hands whose landmarks are where the rig's joints are, but for some mm, as they would be without MediaPipe's errors:
the network shall not rely on these."""
NOISE = 0.06
"""Standard deviation of what the distances are multiplied with in a copy of all hands, for hands have other proportions
than the rigs."""
HIDDEN = (32, 16)
NETWORKS = 4
EPOCHS = 30


def randomBends(random: np.random.Generator) -> np.ndarray:
    """(5, 4) bends in degrees of some pose of a hand, see RiggedHand.pose()."""
    kind, others = random.uniform(), random.uniform() ** 1.5
    if kind < 0.4:
        bends = bendsOf(pinched(random.uniform(0.98, 1.07), random.integers(4), others))
    elif kind < 0.55:
        bends = bendsOf(pinched(random.uniform(0.4, 0.95), random.integers(4), others))
    elif kind < 0.7:  # a fist, or pointing
        bends = np.array([(18, 20, 15, 10), *4 * [CURLED]]) * random.uniform(0.4, 1.15, (5, 1))
        bends[1] *= random.uniform() < 0.6
    elif kind < 0.78:  # a pinch with the middle finger
        bends = bendsOf(pinched(random.uniform(0.9, 1.15), random.integers(4), others))
        bends[1], bends[2] = random.uniform(0.0, 0.5) * bends[1], bends[1]
    else:
        bends = LARGEST_BENDS * random.uniform(0, 1, (5, 1)) * random.uniform(0.4, 1, (5, 4))
        bends[:, 3] *= random.choice([-1, 1], 5)
    return bends + random.normal(0, 2.5, (5, 4)) * (1, 1, 1, 0.5)


def motionOf(random: np.random.Generator) -> Motion:
    """What the fingers of one hand do."""
    motion = Motion(np.zeros((5, 4)))
    while motion.times[-1] < FRAMES / RATE:
        motion.go(randomBends(random), *random.uniform((0.12, 0.05), (0.5, 0.6)))
        if random.uniform() < 0.6:
            motion.go(random.normal(0, 5, (5, 4)) * (1, 1, 1, 0.4), *random.uniform((0.12, 0.05), (0.5, 0.4)))
    return motion


def sequence(number: int) -> dict[str, np.ndarray]:
    """What MediaPipe finds in a sequence: (n, 21, 3) ``image`` in px, ``world`` in mm, (n,) ``isRight``,
    and the true (n,) ``ratio`` of the tips' distance over the palm width."""
    random = np.random.default_rng([20, number])
    focal = random.uniform(0.75, 1.1) * SIZE[0]
    camera = HandCamera(np.array([[focal, 0, 319.5], [0, focal, 239.5], [0, 0, 1]]), SIZE)
    skin = np.clip(np.array(SKINS[random.integers(len(SKINS))]) * random.uniform(0.93, 1.05), 0, 1)
    renderer = PlainRenderer(
        camera, skin=skin, sleeve=random.uniform(0, 0.6, 3), background=random.uniform(0.1, 0.95, 2)
    )
    lights = renderer.scene.GetLights()
    lights.InitTraversal()
    while light := lights.GetNextItem():
        light.SetIntensity(light.GetIntensity() * random.uniform(0.5, 1.3))
    rigs = {side: RiggedHand.load(SHARED / "hand-mesh" / f"{side.lower()}.glb") for side in SIDES}
    motions = {side: motionOf(random) for side in SIDES}
    turned = {}
    for side in SIDES:
        turned[side] = random.uniform((-42, -50, -35), (42, 50, 35))
        turned[side][1] += 180.0 * (random.uniform() < 0.15)  # the back of the hand
    sizes = random.uniform(0.85, 1.12) * random.uniform(0.94, 1.06, 3)
    distance, speed, blur = random.uniform(350, 850), random.uniform(0.5, 4.0), random.uniform(0.4, 1.0)
    phases = random.uniform(0, 2 * np.pi, (2, 6))
    grain = random.normal(0, random.uniform(1, 7), (SIZE[1] + 100, SIZE[0] + 100, 3)).astype(np.int16)
    rows: list[tuple] = []
    with detector.HandDetector(detector.loadModel(MODEL), 2) as found:
        for frame in range(FRAMES):
            time, posed = frame / RATE, []
            for index, side in enumerate(SIDES):
                wave = np.sin(speed * time * np.array([1, 0.7, 0.5, 0.8, 0.6, 0.9]) + phases[index])
                across = (1 if side == "Left" else -1) * min(0.27 * distance, 160) + 30 * wave[0]
                pitch, yaw, roll = turned[side] + 7 * wave[3:]
                place = placement((across, 20 + 25 * wave[1], distance + 40 * wave[2]), pitch, yaw, roll)
                bends = dict(zip(FINGERS, motions[side].at(time), strict=True))
                one = rigs[side].pose(bends, place @ np.diag([*sizes, 1.0]))
                one.normals /= np.linalg.norm(one.normals, axis=1, keepdims=True)
                posed.append(one)
            image = cv2.GaussianBlur(renderer.render(*posed), (0, 0), blur)
            left, top = random.integers(0, 100, 2)
            image = cv2.add(image, grain[top : top + SIZE[1], left : left + SIZE[0]], dtype=cv2.CV_8U)
            rows += _matched(found.detect(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), round(1000 * time)), posed, camera)
    return _columns(rows)


def _matched(hands, posed, camera) -> list[tuple]:
    """Of each hand that is found, where the rigs' nearest one is."""
    rows = []
    for hand in hands:
        away = [np.linalg.norm(camera.project(one.landmarks) - hand.imagePx, axis=1).mean() for one in posed]
        nearest = int(np.argmin(away))
        truth = posed[nearest].landmarks
        width = np.linalg.norm(truth[5] - truth[17])
        if min(away) < 0.6 * camera.matrix[0, 0] * width / truth[:, 2].mean():
            image = np.concatenate([hand.imagePx, hand.depthPx[:, None]], axis=1)
            rows.append((image, hand.worldMm, SIDES[nearest] == "Right", np.linalg.norm(truth[4] - truth[8]) / width))
    return rows


def exactHands(count: int) -> dict[str, np.ndarray]:
    """The same as :func:`sequence` for hands whose landmarks are nearly where the rig's joints are."""
    random = np.random.default_rng(21)
    rigs = [RiggedHand.load(SHARED / "hand-mesh" / f"{side.lower()}.glb") for side in SIDES]
    rows: list[tuple] = []
    for number in range(count):
        bends = randomBends(random) * min(random.uniform(0, 2) ** 0.3, 1.0)
        sizes = random.uniform(0.85, 1.12) * random.uniform(0.94, 1.06, 3)
        turned = random.uniform((-42, -50, -35), (42, 50, 35))
        place = placement(random.uniform((-150, -50, 350), (150, 80, 850)), *turned) @ np.diag([*sizes, 1.0])
        truth = rigs[number % 2].pose(dict(zip(FINGERS, bends, strict=True)), place).landmarks
        seen = truth + random.normal(0, random.uniform(0.5, 4.0), (21, 3))
        focal, depth = 0.87 * SIZE[0], seen[:, 2:]
        image = np.concatenate([seen[:, :2] / depth, (depth - depth[0]) / depth.mean()], axis=1) * focal
        ratio = np.linalg.norm(truth[4] - truth[8]) / np.linalg.norm(truth[5] - truth[17])
        rows.append((image, seen - seen.mean(axis=0), number % 2 == 1, ratio))
    return _columns(rows)


def _columns(rows: list[tuple]) -> dict[str, np.ndarray]:
    names = "image", "world", "isRight", "ratio"
    return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def kept(number: int) -> dict[str, np.ndarray]:
    """:func:`sequence`, from the cache if it is there."""
    parts = (randomBends, motionOf, sequence, _matched, pinched, placement, Motion, RiggedHand, PlainRenderer)
    digest = hashlib.sha256(repr([inspect.getsource(part) for part in parts]).encode()).hexdigest()[:12]
    path = cacheFolder() / "pinches" / f"{digest}-{number}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        detector.importPackages()
        np.savez_compressed(path, **sequence(number))
    with np.load(path) as file:
        return dict(file)


def trained(number: int, inputs: np.ndarray, touching: np.ndarray) -> list[np.ndarray]:
    """One network: the weights (inputs, outputs) of each layer, then their biases."""
    from sklearn.neural_network import MLPClassifier

    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0)
    network = MLPClassifier(HIDDEN, alpha=0.01, batch_size=512, max_iter=EPOCHS, random_state=number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it might be trained for longer
        network.fit((inputs - mean) / deviation, touching)
    weights, biases = list(network.coefs_), list(network.intercepts_)
    biases[0] = biases[0] - (mean / deviation) @ weights[0]  # so that the inputs go in as they are
    weights[0] = weights[0] / deviation[:, None]
    return [*weights, *biases]


def main(arguments: list[str]) -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="run.py make pinch_network", description=__doc__.partition("\n\n")[0])
    parser.add_argument("network", nargs="?", default=RESOURCES / FILE_NAME)
    parser.add_argument("--sequences", type=int, default=300, help="to render, of ten seconds each (300)")
    parser.add_argument("--processes", type=int, default=2, help="that render (2)")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("sklearn") is None:  # not after half an hour of rendering
        sys.exit(f"scikit-learn is needed: {sys.executable} -m pip install scikit-learn")
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        sequences = [*pool.map(kept, range(options.sequences)), exactHands(EXACT_HANDS)]
        image, world, isRight, ratio = (np.concatenate([one[key] for one in sequences]) for key in sequences[0])
        isClear = (ratio < TOUCHING) | (ratio > APART)
        inputs = features(image[isClear], world[isClear], isRight[isClear])
        touching = ratio[isClear] < TOUCHING
        print(f"{len(inputs)} hands, {100 * touching.mean():.0f} % of which pinch")
        noise = np.random.default_rng(22).normal(1.0, NOISE, inputs.shape)
        inputs, touching = np.concatenate([inputs, inputs * noise]), np.concatenate([touching, touching])
        networks = list(
            pool.map(partial(trained, inputs=inputs.astype(np.float32), touching=touching), range(NETWORKS))
        )
    layers = [np.array(layer, np.float32) for layer in zip(*networks, strict=True)]
    names = [f"{kind}{layer}" for kind in ("weights", "biases") for layer in range(len(layers) // 2)]
    np.savez(options.network, **dict(zip(names, layers, strict=True)))
