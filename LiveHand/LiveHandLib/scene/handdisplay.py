"""Shows the tracked hands in the scene. Knows MRML, nothing of Qt, cameras or threads."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..detection import detector
from ..pose import coordinates, handpose
from ..pose.estimator import TrackedFrame, TrackedHand
from . import handnodes, reference


class HandDisplay:
    """The nodes of both hands and of their pointers, shown as the parameter node says.

    :param getParameterNode: returns the scene's parameter node for the module, which says how to show the hands and
        keeps their nodes.
    :param meshPath: the mesh of the surface.
    :param color: returns the colour that a side's skin gets when it is made, RGB from 0 to 1, or None.

    :ivar meshPath: as the parameter.
    """

    FRAMES_UNTIL_CENTERED = 5
    """After so many frames with a hand the 3D views have rendered it, and it can be centered."""

    def __init__(
        self,
        getParameterNode: Callable[[], Any],
        meshPath: Path,
        color: Callable[[str], tuple[float, float, float] | None],
    ) -> None:
        self._getParameterNode = getParameterNode
        self.meshPath = meshPath
        self._color = color
        self._hands: dict[str, handnodes.HandNodes] = {}
        self._pointers: dict[str, handnodes.PointerNodes] = {}
        self._shown: Mapping[str, TrackedHand] = {}
        self._shownAs: tuple[Any, ...] = ()  # the parameters that say how
        self._lastSeen: dict[str, tuple[np.ndarray, float]] = {}
        self._isFaded = False  # for the reference is lost
        self._framesUntilCentered = self.FRAMES_UNTIL_CENTERED
        self._nodesBeforeImport: list[slicer.vtkMRMLDisplayableNode] = []

    def startLive(self) -> None:
        """Live goes on: no hand has been seen yet, and those that a saved scene shows are hidden."""
        self._lastSeen.clear()
        parameterNode = self._getParameterNode()
        for side in detector.HANDEDNESSES:
            if getattr(parameterNode, f"{side.lower()}Landmarks"):
                self._handNodes(side, parameterNode)

    def showFrame(self, frame: TrackedFrame) -> None:
        """Move the hands to where they are in a frame, and hide those that are not in it.

        :raises LiveHandError: ``meshMissing``.
        """
        parameterNode = self._getParameterNode()
        reference.show(parameterNode, frame.reference)
        self._isFaded = reference.isLost(parameterNode, frame)
        self.show(frame.hands)
        if frame.hands and self._framesUntilCentered:
            # Once: later the user has chosen what to see.
            self._framesUntilCentered -= 1
            layoutManager = slicer.app.layoutManager()  # None in a Slicer without a main window, as for tests
            isOver = not self._framesUntilCentered
            if isOver and layoutManager and not handnodes.isAnythingElseVisible(self.nodes()):
                layoutManager.resetThreeDViews()

    def noteSeen(self, frame: TrackedFrame) -> None:
        """Note when each hand was seen last."""
        for side, hand in frame.hands.items():
            self._lastSeen[side] = hand.landmarkStdMm, frame.captureTime

    def show(self, hands: Mapping[str, TrackedHand]) -> None:
        """Move these hands' nodes, and hide the others.

        :raises LiveHandError: ``meshMissing``.
        """
        parameterNode = self._getParameterNode()
        self._shown = hands
        for side in detector.HANDEDNESSES:
            if side in hands or side in self._hands:
                landmarks = hands[side].cameraMm if side in hands else None
                nodes = self._handNodes(side, parameterNode)
                nodes.update(landmarks, parameterNode.display, reference.handsTransform(parameterNode))
                nodes.fade(self._isFaded and landmarks is not None)
                self._showPointer(side, landmarks, parameterNode)

    def applyParameters(self) -> None:
        """Show the same hands as the parameter node asks for now, as far as that has changed."""
        node = self._getParameterNode()
        shownAs = node.display, node.pointer, node.tipOffsetMm, node.padOffsetMm
        if self._shownAs != shownAs:
            self._shownAs = shownAs
            self.show(self._shown)

    def _handNodes(self, side: str, parameterNode: Any) -> handnodes.HandNodes:
        if side not in self._hands:
            self._hands[side] = handnodes.HandNodes(side, parameterNode, self.meshPath, self._color(side))
        self._hands[side].nodes = parameterNode
        return self._hands[side]

    def _showPointer(self, side: str, landmarks: np.ndarray | None, parameterNode: Any) -> None:
        if landmarks is not None and parameterNode.pointer:
            if side not in self._pointers:
                self._pointers[side] = handnodes.PointerNodes(side, parameterNode)
            self._pointers[side].nodes = parameterNode
            offsets = parameterNode.tipOffsetMm, parameterNode.padOffsetMm
            matrix = coordinates.pointer(landmarks, side, *offsets)
            self._pointers[side].update(matrix, reference.handsTransform(parameterNode))
        elif side in self._pointers:
            self._pointers[side].nodes = parameterNode
            self._pointers[side].update(None)

    def showPinch(self, side: str, isPinching: bool) -> None:
        """Show by their colour that a hand's thumb and index finger pinch, or that they do not any more."""
        if side in self._hands:
            self._hands[side].showPinch(isPinching)

    def landmarkStdMm(self, side: str) -> np.ndarray | None:
        """How far a hand's landmarks may be from where they are shown, by now: it grows while the hand is hidden.

        :param side: ``"Left"`` or ``"Right"``.
        :returns: (21,) standard deviations, mm; None if the hand has not been seen since Live went on.
        """
        if side not in self._lastSeen:
            return None
        landmarkStdMm, seenAt = self._lastSeen[side]
        return handpose.deviationsAfter(landmarkStdMm, 1000.0 * (time.perf_counter() - seenAt))

    def colors(self) -> dict[str, tuple[float, float, float]]:
        """The skin's colour of each hand that has a surface, RGB from 0 to 1."""
        colors = {side: hand.surfaceColor() for side, hand in self._hands.items()}
        return {side: color for side, color in colors.items() if color}

    # The view

    def setView(self, view: str) -> None:
        """Show the hands as somebody sees them, from the next frame on.

        :param view: a key of :data:`coordinates.CAMERA_TO_RAS`, ``"owner"`` or ``"camera"``.
        """
        parameterNode = self._getParameterNode()
        if not parameterNode.cameraToRAS:
            parameterNode.cameraToRAS = handnodes.newTransform()
        matrix = slicer.util.vtkMatrixFromArray(coordinates.CAMERA_TO_RAS[view])
        parameterNode.cameraToRAS.SetMatrixTransformToParent(matrix)
        transform = reference.handsTransform(parameterNode)
        if transform is not parameterNode.cameraToRAS:
            # The reference is laid to where the camera shows it now.
            placed = coordinates.CAMERA_TO_RAS[view] @ np.linalg.inv(slicer.util.arrayFromTransformMatrix(transform))
            reference.toRas(parameterNode).SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(placed))

    def view(self) -> str:
        """As whom the hands are shown, see :meth:`setView`; empty when the transform node says something else, as it
        does with a reference."""
        node = self._getParameterNode().cameraToRAS
        if node and reference.handsTransform(self._getParameterNode()) is not node:
            return ""
        matrix = slicer.util.arrayFromTransformMatrix(node) if node else coordinates.CAMERA_TO_RAS["owner"]
        return next((view for view, known in coordinates.CAMERA_TO_RAS.items() if np.allclose(matrix, known)), "")

    # Scenes come and go

    def hide(self) -> None:
        """Hide the hands, whatever scene's parameter node their nodes belong to."""
        for hand in self._hands.values():
            hand.update(None)

    def forget(self) -> None:
        """Leave the nodes alone from now on: the parameter node that keeps them is going or gone."""
        for hand in self._hands.values():
            hand.fade(False)
        self._hands.clear()
        self._pointers.clear()

    def onSceneClose(self) -> None:
        """The scene is being closed, and the next one may show nothing else than the hand again."""
        self._framesUntilCentered = self.FRAMES_UNTIL_CENTERED
        self._shown = {}
        self.forget()

    def onImportStart(self) -> None:
        """A scene is going to be read, into the parameter node in use: note which nodes the hands have."""
        self._nodesBeforeImport = self.nodes()
        # A wrapper that is kept would read what a scene brings before it is checked.
        for hand in self._hands.values():
            hand.nodes = None
        for pointer in self._pointers.values():
            pointer.update(None)
            pointer.nodes = None

    def onImportEnd(self) -> None:
        """A scene has been read: its nodes of the hands are moved from now on, and those before are hidden."""
        before, now = set(self._nodesBeforeImport), set(self.nodes())
        self._nodesBeforeImport = []
        if before != now:
            for node in before - now:
                if node.GetDisplayNode():
                    node.GetDisplayNode().SetVisibility(False)
            self._shown = {}
            self.forget()

    def nodes(self) -> list["slicer.vtkMRMLDisplayableNode"]:
        """The hands' nodes that the parameter node has."""
        parameterNode = self._getParameterNode()
        names = (side.lower() + kind for side in detector.HANDEDNESSES for kind in handnodes.HandNodes.KINDS)
        return [node for node in (getattr(parameterNode, name) for name in names) if node]
