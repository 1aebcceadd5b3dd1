"""The module's parameters, kept with the scene. Knows MRML and Slicer's parameter nodes, nothing of Qt."""

from collections.abc import Callable
from typing import Annotated

import slicer
import vtk
from slicer import (
    vtkMRMLDisplayableNode,
    vtkMRMLLinearTransformNode,
    vtkMRMLMarkupsCurveNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLModelNode,
    vtkMRMLPlotChartNode,
    vtkMRMLSequenceBrowserNode,
    vtkMRMLTableNode,
    vtkMRMLTransformableNode,
)
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from ..errors import LiveHandError
from ..navigation.points import COUNT, COUNT_NEEDED, DURATION_MS
from ..navigation.reference import LOST_AFTER_MS, MARKER_SIDES_MM, PRINTED_LINE_MM, PRINTED_LINES_MM
from ..navigation.traces import SMOOTHING_MS, SPACING_MM
from ..pose import coordinates, proportions, smoothing
from ..scene import gestures, handnodes
from ..scene.cameraview import HandOverImage
from ..scene.navigation import Finger, Side
from ..scene.reference import ReferenceKind
from .usersettings import UserSettings


@parameterNodeWrapper
class LiveHandParameterNode:
    """
    What the user chose and the nodes that show it, kept with the scene.

    source - Where the frames come from: a camera (see devices.sourceOf), the path of a video or image file, or nothing.
    resolution - Size that a camera's frames shall have, such as "1280x720"; as the camera has it if empty.
    secondSource - A second camera that sees the same hands, written like source; nothing for none.
    secondMirrored - It shows what is before it as a mirror does.
    numberOfHands - How many hands to look for.
    mirrored - The source shows what is before it as a mirror does.
    showInSliceView - Show the preview in the red slice view.
    everyFrame - Process every frame of a file instead of playing it at its own pace.
    modelPath - The hand landmarker bundle; the one that comes with LiveHand if empty.
    modelSha256 - SHA-256 of the bundle at modelPath, in hexadecimal.
    palmWidthMm - From the index finger's to the little finger's knuckle of the user, mm.
    smoothingMs - How far a slow hand may stay behind, ms.
    pointer - Whether the index fingers point.
    tipOffsetMm - From MediaPipe's landmark to the end of the finger, mm.
    padOffsetMm - From the finger's middle towards its pad, mm.
    display - Which models show the hands.
    cameraToRAS - Takes the hands from the camera's coordinate system to RAS.
    leftLandmarks, rightLandmarks - The hands' 21 landmarks.
    leftSurface, rightSurface - The hands' skin.
    leftSkeleton, rightSkeleton - Spheres at the landmarks and tubes along the bones.
    measureAngles - Measure the joint angles while live.
    plottedMeasures - Which of them the chart shows; names out of angles.MEASURES.
    leftAngles, rightAngles - The hands' joint angles over the last time.
    anglesChart - Shows them.
    recording - The newest recording.
    leftPointer, rightPointer - Their origins are the tips of the index fingers.
    handsActOn - What pinching hands act on.
    gestureView - The 3D view that they act on, by its layout name; the first one that is shown if empty.
    gestureSlice - The slice view that they act on, by its layout name; the one that the pinch is on if empty.
    scrollFactor - The slice's way for the hand's way.
    snapToSlices - Scroll from slice to slice of the volume.
    heldNode - The transform, or what gets one, that the hands carry.
    lockTranslation, lockRotation - It is not moved, or not turned.
    scaleWithHands - Two hands that go apart enlarge it.
    referenceKind - What is fixed to the patient or phantom for the camera to see, if anything.
    referenceColumns, referenceRows - Its squares, if it is a board.
    referenceSquareMm - Their side, mm.
    referenceMarker - Its number, if it is a marker.
    referenceMarkerMm - The side of its black square, mm.
    printedLineMm - How long the line printed below it is, which should be 100 mm long.
    referenceKeptMs - For how long its last pose is kept when it is out of sight, ms.
    cameraToReference - Takes the hands from the camera's coordinate system to the reference's.
    referenceToRAS - Takes what is under it from the reference's coordinate system to RAS.
    pointingSide, pointingFinger - The fingertip that points and traces.
    points - The list that recorded points are added to.
    pointsTable - What they were made of.
    plannedPoints - Their places on the image, in RAS.
    pointPositions, pointMs - How many positions a point is made of at least, and over how long, ms.
    dwellRecords - Record a point where the fingertip stays.
    dwellRadiusMm, dwellMs - Within how much, mm, and for how long, ms.
    pinchRecords - Record a point when the other hand pinches.
    pinchTraces - Trace while the other hand pinches.
    targetPoints - Places in RAS where the expected error of a registration is wanted.
    matchByName - Recorded and planned points belong together by their names, not by their order.
    registrationScales - Registration may scale.
    registrationTable - The errors of the points that were registered by, mm.
    surface - The model that a trace is fitted to.
    truePoints - The true places of recorded points, in RAS.
    comparisonTable - The recorded points' errors, mm.
    comparisonStatistics - What they come to.
    comparisonChart - Shows them.
    slicesFollow - Slices jump to the fingertip.
    followingViews - Names of the slice views that do; all if there are none.
    distanceTo - The model or point list to which the fingertip's distance is measured.
    trace - The newest trace, as a curve, when it has ended.
    traceModel - The same as a model, which grows with it.
    traceClosed - Its end is joined to its beginning.
    traceSpacingMm - How far its points are from each other at least, mm.
    traceSmoothingMs - How far it may stay behind the finger, ms.
    cameraView - Show the scene over the camera's image, in a 3D view, as the camera sees it.
    cameraViewName - Which view, by its layout name; the last one that is shown if empty.
    cameraViewHand - What is seen of the tracked hand there.
    cameraViewOpacity - How opaque all is that is shown over the image, 0 to 1.
    """

    source: str = ""
    resolution: str = ""
    secondSource: str = ""
    secondMirrored: bool = False
    numberOfHands: Annotated[int, WithinRange(1, 2)] = 1
    mirrored: bool = False
    showInSliceView: bool = False
    everyFrame: bool = False
    modelPath: str = ""
    modelSha256: str = ""
    palmWidthMm: Annotated[float, WithinRange(proportions.LEAST_PALM_WIDTH_MM, proportions.GREATEST_PALM_WIDTH_MM)] = (
        proportions.DEFAULT_PALM_WIDTH_MM
    )
    smoothingMs: Annotated[float, WithinRange(0.0, 500.0)] = smoothing.DEFAULT_DELAY_MS
    pointer: bool = False
    tipOffsetMm: Annotated[float, WithinRange(-20.0, 30.0)] = coordinates.TIP_OFFSET_MM
    padOffsetMm: Annotated[float, WithinRange(-10.0, 15.0)] = coordinates.PAD_OFFSET_MM
    display: handnodes.Display = handnodes.Display.SURFACE
    cameraToRAS: vtkMRMLLinearTransformNode
    leftLandmarks: vtkMRMLMarkupsFiducialNode
    leftSurface: vtkMRMLModelNode
    leftSkeleton: vtkMRMLModelNode
    rightLandmarks: vtkMRMLMarkupsFiducialNode
    rightSurface: vtkMRMLModelNode
    rightSkeleton: vtkMRMLModelNode
    measureAngles: bool = False
    plottedMeasures: list[str] = ["Index MCP flexion", "Index PIP flexion", "Index DIP flexion"]
    leftAngles: vtkMRMLTableNode
    rightAngles: vtkMRMLTableNode
    anglesChart: vtkMRMLPlotChartNode
    recording: vtkMRMLSequenceBrowserNode
    leftPointer: vtkMRMLLinearTransformNode
    rightPointer: vtkMRMLLinearTransformNode
    handsActOn: gestures.HandsActOn = gestures.HandsActOn.NOTHING
    gestureView: str = ""
    gestureSlice: str = ""
    scrollFactor: Annotated[float, WithinRange(0.1, 20.0)] = 1.0
    snapToSlices: bool = True
    heldNode: vtkMRMLTransformableNode
    lockTranslation: bool = False
    lockRotation: bool = False
    scaleWithHands: bool = False
    referenceKind: ReferenceKind = ReferenceKind.NONE
    referenceColumns: Annotated[int, WithinRange(4, 20)] = 8
    referenceRows: Annotated[int, WithinRange(4, 20)] = 6
    referenceSquareMm: Annotated[float, WithinRange(1.0, 1000.0)] = 30.0
    referenceMarker: Annotated[int, WithinRange(0, 249)] = 0
    referenceMarkerMm: Annotated[float, WithinRange(*MARKER_SIDES_MM)] = 50.0
    printedLineMm: Annotated[float, WithinRange(*PRINTED_LINES_MM)] = PRINTED_LINE_MM
    referenceKeptMs: Annotated[float, WithinRange(0.0, 10_000.0)] = LOST_AFTER_MS
    cameraToReference: vtkMRMLLinearTransformNode
    referenceToRAS: vtkMRMLLinearTransformNode
    pointingSide: Side = Side.RIGHT
    pointingFinger: Finger = Finger.INDEX
    points: vtkMRMLMarkupsFiducialNode
    pointsTable: vtkMRMLTableNode
    plannedPoints: vtkMRMLMarkupsFiducialNode
    pointPositions: Annotated[int, WithinRange(COUNT_NEEDED, 300)] = COUNT
    pointMs: Annotated[float, WithinRange(0.0, 10_000.0)] = DURATION_MS
    dwellRecords: bool = False
    dwellRadiusMm: Annotated[float, WithinRange(0.5, 50.0)] = 5.0
    dwellMs: Annotated[float, WithinRange(100.0, 10_000.0)] = 1000.0
    pinchRecords: bool = False
    pinchTraces: bool = False
    targetPoints: vtkMRMLMarkupsFiducialNode
    matchByName: bool = False
    registrationScales: bool = False
    registrationTable: vtkMRMLTableNode
    surface: vtkMRMLModelNode
    truePoints: vtkMRMLMarkupsFiducialNode
    comparisonTable: vtkMRMLTableNode
    comparisonStatistics: vtkMRMLTableNode
    comparisonChart: vtkMRMLPlotChartNode
    slicesFollow: bool = False
    followingViews: list[str] = []
    distanceTo: vtkMRMLDisplayableNode
    trace: vtkMRMLMarkupsCurveNode
    traceModel: vtkMRMLModelNode
    traceClosed: bool = False
    traceSpacingMm: Annotated[float, WithinRange(0.1, 50.0)] = SPACING_MM
    traceSmoothingMs: Annotated[float, WithinRange(0.0, 500.0)] = SMOOTHING_MS
    cameraView: bool = False
    cameraViewName: str = ""
    cameraViewHand: HandOverImage = HandOverImage.DRAWN
    cameraViewOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 1.0


class SceneParameters:
    """Reads the scene's parameter node and observes it, while scenes are closed and loaded.

    :param userSettings: what a node without parameters begins with.
    :param onModified: called after the node was modified.
    :param onUnreadable: called with a :class:`LiveHandError` when a node's parameters cannot be read and are reset.

    :ivar node: the wrapper of the node in use, or None.
    """

    def __init__(
        self,
        userSettings: UserSettings,
        onModified: Callable[..., None],
        onUnreadable: Callable[[LiveHandError], None],
    ) -> None:
        self.node: LiveHandParameterNode | None = None
        self._userSettings = userSettings
        self._onModified: Callable[..., None] | None = onModified
        self._onUnreadable = onUnreadable
        self._tag: int | None = None

    def isInScene(self) -> bool:
        """Whether there is a node in use, and nobody has removed it."""
        return self.node is not None and self.node.parameterNode.GetScene() is not None

    def use(self, node: "slicer.vtkMRMLScriptedModuleNode | None", isNew: bool = False) -> None:
        """Read and observe this node from now on; or none, while a scene comes or goes.

        :param isNew: nothing was ever chosen in it.
        """
        if self.node and self._tag is not None:
            self.node.RemoveObserver(self._tag)
        self.node = self._tag = None  # first, for it would read what cannot be read
        if node:
            isNew = isNew or not node.GetParameterCount()
            self.node = self._validated(node)
            if isNew:
                self._userSettings.recall(self.node)
            self._userSettings.note(self.node)
            if self._onModified:
                # After the parameter node's own observers, which read the values anew.
                self._tag = self.node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onModified)

    def close(self) -> None:
        """Observe no node any more."""
        self._onModified = None
        self.use(None)

    def _validated(self, node: "slicer.vtkMRMLScriptedModuleNode") -> LiveHandParameterNode:
        """The node's parameters, with their defaults if any of them cannot be read or is out of its range."""
        try:
            # Before a wrapper is made: it checks no ranges, and one that fails half-way cannot be deleted in peace.
            for name, parameter in LiveHandParameterNode.allParameters.items():
                if parameter.serializer.isIn(node, name):
                    parameter.serializer.validate(parameter.serializer.read(node, name))
        except (ValueError, TypeError):
            self._setBack(node)
            self._onUnreadable(LiveHandError("settingsUnreadable"))
        return LiveHandParameterNode(node)

    @staticmethod
    def _setBack(node: "slicer.vtkMRMLScriptedModuleNode") -> None:
        """Unset the parameters, but for the nodes: they are the user's, and others would be made in their place."""
        with slicer.util.NodeModify(node):
            node.UnsetAllParameters()
            for name, kind in LiveHandParameterNode.__annotations__.items():
                if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
                    if isinstance(node.GetNodeReference(name), kind):
                        node.SetParameter(name, "")  # as the wrapper notes that it is set
                    else:
                        node.RemoveNodeReferenceIDs(name)
