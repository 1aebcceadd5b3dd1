"""The motion of the hands, kept: as sequences of the MRML scene and as a text file. Knows MRML, nothing of Qt.

While it is recorded, motion is a list of arrays, which costs next to nothing. Slicer's sequences hold a node for each
frame and hand, which takes a quarter of a millisecond or more to make. So they are made afterwards, by generators
that do a little each time they are asked for the next step: a panel can stay alive meanwhile and show how far they are.
"""

import contextlib
import itertools
import os
from collections.abc import Generator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..detection import detector
from ..errors import LiveHandError
from ..landmarks import LANDMARK_NAMES
from ..pose.estimator import TrackedFrame, TrackedHand
from ..scene import handnodes
from . import angles
from .streamclock import StreamClock

Steps = Generator[float, None, Any]
"""Does a little work at each step and yields how much of all is done, 0 to 1; returns the result."""

CSV_HEADER = "time_s,hand,landmark,R_mm,A_mm,S_mm\n"

_ROLE = "LiveHand.Recorded"  # attribute of a sequence node: which hand's landmarks it has, or
_CAMERA = "Camera"  # that it has the transforms


def finish(steps: Steps) -> Any:
    """Do all the steps at once, and return their result."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


class _Frame(NamedTuple):
    seconds: float
    hands: dict[str, TrackedHand]
    cameraToRas: np.ndarray


class Recording:
    """Notes what the hands do, frame by frame.

    :ivar frames: what was noted.
    :ivar isStopped: whether it has been stopped.
    """

    MAX_POSES = 36_000
    """Two hands for ten minutes at 30 frames a second; as sequences, a hand's pose takes about 46 kB of memory."""

    def __init__(self) -> None:
        self.frames: list[_Frame] = []
        self.isStopped = False
        self._poses = 0
        self._clock = StreamClock()
        self._matrix = vtk.vtkMatrix4x4()

    @property
    def seconds(self) -> float:
        """How long it is, s."""
        return self.frames[-1].seconds if self.frames else 0.0

    @property
    def isFull(self) -> bool:
        """Whether it has as many poses as it can take."""
        return self._poses >= self.MAX_POSES

    def stop(self) -> None:
        """Note no more."""
        self.isStopped = True

    def add(self, frame: TrackedFrame, cameraToRas: "slicer.vtkMRMLTransformNode | None") -> None:
        """Note a frame, unless the recording was stopped or is full.

        :param cameraToRas: the transform node that the hands are under, if there is one yet.
        :raises LiveHandError: ``transformNotLinear``.
        """
        if self.isStopped or self.isFull:
            return
        if cameraToRas:
            if not cameraToRas.IsTransformToWorldLinear():
                raise LiveHandError("transformNotLinear", name=cameraToRas.GetName())
            cameraToRas.GetMatrixTransformToWorld(self._matrix)
        matrix = np.array(self._matrix.GetData()).reshape(4, 4)
        self.frames.append(_Frame(self._clock.at(frame), frame.hands, matrix))
        self._poses += len(frame.hands)


def makeNodes(recording: Recording) -> Steps:
    """Put a recording with at least one frame into the scene, to be replayed with Slicer's own means.

    The scene changes in the last step only: whoever stops before that leaves nothing behind.

    :returns: a vtkMRMLSequenceBrowserNode. It browses a sequence of linear transforms, from the camera's coordinate
        system to RAS, with an item for each frame, and for each hand a sequence of point lists with an item for each
        frame in which the hand was seen. Their index is the time in s from the first frame. The browser's proxy nodes
        are the recording's own, so the live hands go on beside it. A table for each hand has the joint angles.
    """
    frames = recording.frames
    sides = [side for side in detector.HANDEDNESSES if any(side in frame.hands for frame in frames)]
    name = _freeName("LiveHand Recording")
    transform, transforms = slicer.vtkMRMLLinearTransformNode(), _newSequence(f"{name} Camera to RAS", _CAMERA)
    transform.SetName(transforms.GetName())
    hands = {}
    for side in sides:
        landmarks, poses = slicer.vtkMRMLMarkupsFiducialNode(), _newSequence(f"{name} {side} Landmarks", side)
        landmarks.SetName(poses.GetName())
        handnodes.fillLandmarks(landmarks)
        hands[side] = landmarks, poses
    points = vtk.vtkPoints()
    for number, frame in enumerate(frames):
        yield number / len(frames)
        index = f"{frame.seconds:.3f}"
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(frame.cameraToRas))
        transforms.SetDataNodeAtValue(transform, index)
        for side, hand in frame.hands.items():
            landmarks, poses = hands[side]
            points.SetData(numpy_to_vtk(hand.cameraMm))
            landmarks.SetControlPointPositionsWorld(points)
            poses.SetDataNodeAtValue(landmarks, index)

    measured = {}
    for side in sides:
        seen = [frame for frame in frames if side in frame.hands]
        values = []
        for start in range(0, len(seen), 100):
            yield 1.0
            values.append(angles.measure([frame.hands[side] for frame in seen[start : start + 100]], side))
        measured[side] = np.array([frame.seconds for frame in seen]), np.concatenate(values)

    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", name)
    with slicer.util.NodeModify(browser):  # or it would make proxy nodes of its own, for one half and then the other
        browser.SetIndexDisplayFormat("%.2f")
        browser.SetPlaybackRateFps(_rate(frames))
        transformProxy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", transforms.GetName())
        _browse(browser, transforms, transformProxy)
        for side, (_landmarks, poses) in hands.items():
            proxy = handnodes.newLandmarks(poses.GetName(), side)
            proxy.SetAndObserveTransformNodeID(transformProxy.GetID())
            _browse(browser, poses, proxy)
            # Where the hand was not seen, there are no points.
            browser.SetMissingItemMode(poses, browser.MissingItemSetToDefault)
        browser.SetSelectedItemNumber(0)
    for side in sides:
        angles.fillTable(angles.newTable(f"{name} {side} Joint Angles"), *measured[side])
    return browser


def _freeName(base: str) -> str:
    """A name that no recording has, not even one of which only some nodes are left."""
    taken = [node.GetName() or "" for node in slicer.util.getNodesByClass("vtkMRMLNode")]
    names = (f"{base}_{number}" if number else base for number in itertools.count())
    return next(name for name in names if not any(f"{other} ".startswith(f"{name} ") for other in taken))


def _newSequence(name: str, role: str) -> "slicer.vtkMRMLSequenceNode":
    sequence = slicer.vtkMRMLSequenceNode()
    sequence.SetName(name)
    sequence.SetAttribute(_ROLE, role)
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    return sequence


def _rate(frames: list[_Frame]) -> float:
    """Frames a second, for Slicer to play them back at."""
    steps = [following.seconds - frame.seconds for frame, following in itertools.pairwise(frames)]
    return 1.0 / median(steps) if steps else 1.0


def _browse(
    browser: "slicer.vtkMRMLSequenceBrowserNode", sequence: "slicer.vtkMRMLSequenceNode", proxy: "slicer.vtkMRMLNode"
) -> None:
    slicer.mrmlScene.AddNode(sequence)
    browser.AddSynchronizedSequenceNode(sequence)
    browser.AddProxyNode(proxy, sequence, False)
    # What the user does to the proxy node does not change what was recorded.
    browser.SetSaveChanges(sequence, False)


def writeCsv(browser: "slicer.vtkMRMLSequenceBrowserNode", path: str | Path) -> Steps:
    """Write the landmarks of a recording into a text file: after :data:`CSV_HEADER` a line for each landmark of each
    hand that was seen, frame by frame, in RAS.

    The file appears, or takes the place of another, in the last step only: whoever stops before that, and every
    failure, leaves no half of it behind.

    :param browser: what :func:`makeNodes` returned, perhaps loaded with a scene.
    :raises LiveHandError: ``noRecording`` when the node is none of those, ``exportFailed``.
    """
    sequences = _sequencesOf(browser) if browser else {}
    transforms = sequences.pop(_CAMERA, None)
    if not transforms or not sequences:
        raise LiveHandError("noRecording")
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "w", encoding="utf-8", newline="") as file:
            file.write(CSV_HEADER)
            for item in range(transforms.GetNumberOfDataNodes()):
                yield item / transforms.GetNumberOfDataNodes()
                index = transforms.GetNthIndexValue(item)
                for side, poses in sequences.items():
                    landmarks = poses.GetDataNodeAtValue(index)
                    if landmarks:
                        ras = _positions(landmarks, transforms.GetNthDataNode(item))
                        file.writelines(
                            f"{index},{side},{name},{r:.4f},{a:.4f},{s:.4f}\n"
                            for name, (r, a, s) in zip(LANDMARK_NAMES, ras.tolist(), strict=True)
                        )
        os.replace(part, path)
    except OSError as error:
        raise LiveHandError("exportFailed", path=str(path), detail=error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _sequencesOf(browser: "slicer.vtkMRMLSequenceBrowserNode") -> dict[str, "slicer.vtkMRMLSequenceNode"]:
    """The sequences of a recording by their role; of another browser, none."""
    sequences = vtk.vtkCollection()
    browser.GetSynchronizedSequenceNodes(sequences, True)
    return {sequence.GetAttribute(_ROLE): sequence for sequence in sequences if sequence.GetAttribute(_ROLE)}


def _positions(landmarks: "slicer.vtkMRMLMarkupsNode", transform: "slicer.vtkMRMLTransformNode") -> np.ndarray:
    """(21, 3) in RAS of a recorded point list and the transform recorded with it."""
    points = vtk.vtkPoints()
    landmarks.GetControlPointPositionsWorld(points)  # in the camera's: recorded nodes are under no transform
    matrix = slicer.util.arrayFromTransformMatrix(transform)
    return vtk_to_numpy(points.GetData()) @ matrix[:3, :3].T + matrix[:3, 3]
