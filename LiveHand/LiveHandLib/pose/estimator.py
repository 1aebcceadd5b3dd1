"""From the hands found in each frame to hands with a side and a pose. Knows numpy, nothing of Qt or MRML."""

from dataclasses import dataclass, field

import numpy as np

from ..calibration.intrinsics import Intrinsics, choose
from ..detection.detector import HANDEDNESSES, Hand
from .handpose import HandPose
from .identity import HandIdentity
from .proportions import DEFAULT_PALM_WIDTH_MM
from .smoothing import DEFAULT_DELAY_MS, OneEuro


@dataclass(frozen=True)
class TrackedHand(Hand):
    """A hand and its pose.

    :ivar cameraMm: (21, 3) landmarks in the camera's coordinate system, mm: x right, y down, z forward.
    :ivar landmarkStdMm: (21,) standard deviation of each one's distance from where it truly is, mm.
    :ivar isNewTrack: this side's hand was not the same one before, see :meth:`identity.HandIdentity.isNewTrack`.
    :ivar cameras: how many cameras saw it, 1 or 2.
    """

    cameraMm: np.ndarray
    landmarkStdMm: np.ndarray
    isNewTrack: bool = False
    cameras: int = 1

    @property
    def deviationsMm(self) -> np.ndarray:
        """The name of ``landmarkStdMm`` in the first release; to be removed after the next one."""
        return self.landmarkStdMm


@dataclass(frozen=True, eq=False)
class ReferencePose:
    """Where the reference is, as far as is known at a frame.

    :ivar matrix: (4, 4) from the reference's coordinate system (of a board or marker: mm, x right and y down on it, z
        into the paper) to the camera's, mm. The newest that is known.
    :ivar reprojectionPx: root mean square distance of the corners from where the pose puts them, px.
    :ivar corners: how many corners were seen.
    :ivar ageMs: how long ago it was seen, ms; 0 if it is seen in this frame.
    :ivar isLost: whether that is longer than the pose is to be kept.
    :ivar isStill: whether the pose is an average over several frames.
    :ivar isAmbiguous: whether another tilt would explain what is seen nearly as well.
    """

    matrix: np.ndarray
    reprojectionPx: float
    corners: int
    ageMs: float = 0.0
    isLost: bool = False
    isStill: bool = False
    isAmbiguous: bool = False


@dataclass(frozen=True)
class TrackedFrame:
    """The hands in one frame and their poses.

    :ivar number: how many frames the source had before this one, dropped ones included.
    :ivar timestampMs: time in the stream, ms.
    :ivar captureTime: when the frame was available, s on ``time.perf_counter``'s clock.
    :ivar imageSize: the image's width and height, px.
    :ivar hands: the hands by ``"Left"`` and ``"Right"``; empty when none is seen.
    :ivar reference: where the reference is; None if there is none, or it has not been seen yet.
    :ivar image: (height, width, 3) uint8, RGB, not to be changed; None unless a 3D view shows it.
    """

    number: int
    timestampMs: int
    captureTime: float
    imageSize: tuple[int, int]
    hands: dict[str, TrackedHand]
    reference: ReferencePose | None = None
    image: np.ndarray | None = field(default=None, repr=False, compare=False)

    @property
    def availableAt(self) -> float:
        """The name of ``captureTime`` in the first release; to be removed after the next one."""
        return self.captureTime


@dataclass(frozen=True)
class PoseParameters:
    """What has to be known for millimetres, and how smooth they shall be.

    :ivar palmWidthMm: see :class:`pose.HandPose`, mm.
    :ivar smoothingMs: see :class:`smoothing.OneEuro`, ms.
    :ivar calibrations: the camera's, see :func:`intrinsics.choose`.
    :ivar lengthsMm: the distances that were learnt of the user's hands, see :meth:`pose.HandPose.setLengths`.
    """

    palmWidthMm: float = DEFAULT_PALM_WIDTH_MM
    smoothingMs: float = DEFAULT_DELAY_MS
    calibrations: tuple[Intrinsics, ...] = ()
    lengthsMm: tuple[float, ...] = ()


class HandPoseEstimator:
    """Estimates the poses of the hands of one stream of frames.

    :raises LiveHandError: ``palmWidth`` when no hand is of that size.
    """

    def __init__(self, poseParameters: PoseParameters) -> None:
        self._identity = HandIdentity()
        self.use(poseParameters)

    def use(self, poseParameters: PoseParameters) -> None:
        """Use other pose parameters from now on.

        :raises LiveHandError: ``palmWidth`` when no hand is of that size.
        """
        self._poses = {side: HandPose(poseParameters.palmWidthMm, poseParameters.lengthsMm) for side in HANDEDNESSES}
        self._filters = {side: OneEuro(poseParameters.smoothingMs) for side in HANDEDNESSES}
        self._intrinsics: Intrinsics | None = None
        self.poseParameters = poseParameters

    def estimate(self, hands: list[Hand], imageSize: tuple[int, int], timestampMs: int) -> dict[str, TrackedHand]:
        """Estimate the poses of the hands of the next frame.

        :param hands: as :meth:`detector.HandDetector.detect` gives them.
        :param imageSize: the image's width and height, px.
        :param timestampMs: time of the frame in its stream, ms.
        :returns: the hands by ``"Left"`` and ``"Right"``.
        """
        if not self._intrinsics or self._intrinsics.imageSize != imageSize:
            self._intrinsics = choose(self.poseParameters.calibrations, imageSize)
        return {
            side: self._estimated(side, hand, timestampMs)
            for side, hand in self._identity.assign(hands, timestampMs).items()
        }

    def _estimated(self, side: str, hand: Hand, timestampMs: int) -> TrackedHand:
        pose, smoothing = self._poses[side], self._filters[side]
        isNewTrack = self._identity.isNewTrack(side)
        if isNewTrack:
            pose.reset()
            smoothing.reset()
        assert self._intrinsics, "estimate has chosen them"
        directions = self._intrinsics.normalized(hand.imagePx)
        relativeDepth = hand.depthPx / self._intrinsics.matrix[0, 0]
        cameraMm, landmarkStdMm = pose.update(directions, relativeDepth, timestampMs, hand.worldMm[:, 2])
        cameraMm = smoothing.update(cameraMm, timestampMs)
        return TrackedHand(**vars(hand), cameraMm=cameraMm, landmarkStdMm=landmarkStdMm, isNewTrack=isNewTrack)
