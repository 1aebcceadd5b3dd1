"""Photographs of a rigged hand with exactly known landmarks, to test hand tracking against.

A glTF-binary hand mesh (its skin has the 25 WebXR joint names) is bent at its joints, placed in front of a
pinhole camera and rendered off screen. Needs numpy, OpenCV and VTK only.

    hand = RiggedHand.load("right.glb")
    posed = hand.pose({"index": (60, 40, 20, 0)}, placement(position=(0, 0, 450), yaw=20))
    camera = HandCamera.typical((640, 480))
    image = HandRenderer(camera).render(posed)        # BGR
    posed.landmarks, camera.project(posed.landmarks)  # the truth, in mm and px

Frames
  camera frame  mm; x right, y down, z forward; origin in the centre of projection (as OpenCV's).
  hand frame    mm; the camera frame's axes for an open hand that shows its palm to the camera, fingers up:
                y from the fingers to the wrist, z from the palm to the back of the hand; origin in the middle
                between the wrist and the middle finger's knuckle.
  image         px; the centre of the first pixel is (0, 0) (as OpenCV's; MediaPipe's normalised x is
                (u + 0.5) / width).
"""

import argparse
import json
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
# The lines between MediaPipe's landmarks in their usual drawing: around the palm, then along each finger.
CONNECTIONS = [(0, 1), (0, 5), (5, 9), (9, 13), (13, 17), (0, 17)]
CONNECTIONS += [(start + i, start + i + 1) for start in (1, 5, 9, 13, 17) for i in range(3)]
_MM_PER_METRE = 1000.0


def fingerJoints(finger):
    """Names of a finger's four WebXR joints that are MediaPipe landmarks, from the palm to the tip.

    Both lay a joint in the centre of the articulation that it is named after, so they pair one to one:

        MediaPipe            WebXR
        WRIST                wrist
        THUMB_CMC, MCP, IP   thumb-metacarpal, -phalanx-proximal, -phalanx-distal (a bone stands for its base)
        *_MCP, PIP, DIP      *-finger-phalanx-proximal, -intermediate, -distal
        *_TIP                thumb-tip, *-finger-tip

    The bases of the fingers' metacarpals have no MediaPipe landmark. In these images, of palms and of backs
    of hands alike, MediaPipe lays some landmarks further towards the fingertips than the rig: the wrist by
    about 15 mm, the fingers' MCPs by 8, the tips by 4 (the rig's lie in the pads); the others agree within 5.
    That is a difference in convention and left as it is: the truth here is the rig's joints.
    """
    if finger == "thumb":
        return ["thumb-metacarpal", "thumb-phalanx-proximal", "thumb-phalanx-distal", "thumb-tip"]
    phalanges = [f"{finger}-finger-phalanx-{bone}" for bone in ("proximal", "intermediate", "distal")]
    return [*phalanges, f"{finger}-finger-tip"]


# Four ways to pinch, by the bends of the index finger (see RiggedHand.pose()) and those of the thumb that meets it: the
# landmarks of the tips are 12 to 13 mm apart then, and the skins touch.
_PINCHES = (
    ((58, 40, 16, 0), (27, 15, 25, 27)),
    ((45, 60, 35, 0), (28, 15, 25, 24)),
    ((75, 20, 5, 0), (24, 13, 25, 26)),
    ((35, 75, 40, 0), (29, 15, 25, 19)),
)


def pinched(closing, style=0, others=0.2):
    """Bends of a hand that pinches with thumb and index finger.

    `closing`: 0 for an open hand, 1 where the fingertips touch; in between, both fingers bend evenly.
    `style`: which of four ways, from a flat index finger to a round one. `others`: how far the other three fingers
    bend, from 0, open, to 1.
    """
    index, thumb = (closing * np.array(bends) for bends in _PINCHES[style])
    bends = {"index": tuple(index), "thumb": tuple(thumb)}
    for number, finger in enumerate(FINGERS[2:]):
        bends[finger] = tuple(others * np.array((45 - 5 * number, 55 - 5 * number, 30, 0)))
    return bends


def rotation(axis, degrees):
    """4x4 right-handed rotation about the "x", "y" or "z" axis."""
    vector = np.zeros(3)
    vector["xyz".index(axis)] = np.radians(degrees)
    matrix = np.eye(4)
    matrix[:3, :3] = cv2.Rodrigues(vector)[0]
    return matrix


def placement(position=(0, 0, 450), pitch=0, yaw=0, roll=0):
    """4x4 pose of the hand frame in the camera frame: `position` in mm, the angles in degrees.

    The hand is turned about its own long axis (yaw), then nods (pitch: the fingertips go towards the camera),
    then turns in the image (roll: clockwise).
    """
    matrix = rotation("z", roll) @ rotation("x", pitch) @ rotation("y", yaw)
    matrix[:3, 3] = position
    return matrix


def _transform(matrix, points):
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _readGlb(path):
    """Return a .glb file's JSON header and a function: accessor index -> (n, components) values."""
    data = Path(path).read_bytes()
    magic, _version, _length, headerSize = struct.unpack_from("<4sIII", data)
    if magic != b"glTF":
        raise ValueError(f"{path} is not a glTF-binary file")
    header = json.loads(data[20 : 20 + headerSize])
    binaryStart = 20 + headerSize + 8

    def accessor(index):
        entry = header["accessors"][index]
        view = header["bufferViews"][entry["bufferView"]]
        if "sparse" in entry or "byteStride" in view:
            raise ValueError(f"{path}: sparse and interleaved accessors are not supported")
        dtype = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}[entry["componentType"]]
        components = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}[entry["type"]]
        offset = binaryStart + view.get("byteOffset", 0) + entry.get("byteOffset", 0)
        return np.frombuffer(data, dtype, entry["count"] * components, offset).reshape(-1, components)

    return header, accessor


@dataclass
class PosedHand:
    """A hand in the camera frame, in mm: `landmarks` (21, 3) in MediaPipe's order, and the surface.

    `handToCamera` (4, 4) and `wristInHand` (3) say where the arm goes.
    """

    landmarks: np.ndarray
    vertices: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    handToCamera: np.ndarray
    wristInHand: np.ndarray


class RiggedHand:
    """A hand mesh with its skeleton. Everything is kept in the hand frame, in mm, in the mesh's rest pose."""

    def __init__(self, vertices, normals, triangles, boneIndices, boneWeights, jointNames, joints):
        """All in mm in one frame. `joints` (n, 4, 4): WebXR's, -z to the tip, y to the back of the hand."""
        self.jointIndex = {name: index for index, name in enumerate(jointNames)}
        wrist = joints[self.jointIndex["wrist"]]
        knuckle = joints[self.jointIndex[fingerJoints("middle")[0]]]
        handFrame = wrist @ rotation("x", -90) @ rotation("z", 180)
        handFrame[:3, 3] = (wrist[:3, 3] + knuckle[:3, 3]) / 2
        toHand = np.linalg.inv(handFrame)
        self.vertices = _transform(toHand, vertices)
        self.normals = normals @ toHand[:3, :3].T
        self.triangles = triangles
        self.boneIndices = boneIndices
        self.boneWeights = boneWeights
        self.joints = toHand @ joints

    @classmethod
    def load(cls, path):
        """Read the first skinned mesh of a .glb file (glTF is in metres)."""
        header, accessor = _readGlb(path)
        primitive = header["meshes"][0]["primitives"][0]
        skin = header["skins"][0]
        attributes = {name: accessor(index) for name, index in primitive["attributes"].items()}
        # Stored by column; unlike the nodes, the same for a flat and a nested skeleton.
        inverseBind = accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = np.linalg.inv(inverseBind.astype(float))
        joints[:, :3, 3] *= _MM_PER_METRE
        return cls(
            attributes["POSITION"] * _MM_PER_METRE,
            attributes["NORMAL"],
            accessor(primitive["indices"]).reshape(-1, 3),
            attributes["JOINTS_0"],
            attributes["WEIGHTS_0"],
            [header["nodes"][node]["name"] for node in skin["joints"]],
            joints,
        )

    @property
    def isRight(self):
        """An open hand that shows its palm has the thumb on the image's right if it is a right one."""
        index, pinky = (self.joints[self.jointIndex[fingerJoints(f)[0]], 0, 3] for f in ("index", "pinky"))
        return index > pinky

    def pose(self, bends=None, handToCamera=None):
        """Bend the fingers and place the hand.

        `bends`: finger name -> (flexion of the first, second, third joint, abduction of the first) in degrees
        from the mesh's rest pose, an open hand. A finger's joints are MCP, PIP, DIP, the thumb's CMC, MCP,
        IP. Abduction moves a finger towards the thumb's side, the thumb out of the palm's plane.
        `handToCamera`: 4x4 in mm, see placement().
        """
        handToCamera = placement() if handToCamera is None else handToCamera
        posed = np.array(self.joints)
        for finger, (*flexions, abduction) in (bends or {}).items():
            motion = np.eye(4)  # of everything beyond the joint, in the hand frame
            names = fingerJoints(finger)
            turns = [rotation("x", -flexion) for flexion in flexions]
            turns[0] = rotation("y", abduction if self.isRight else -abduction) @ turns[0]
            for name, turn in zip(names, [*turns, np.eye(4)], strict=False):
                rest = self.joints[self.jointIndex[name]]
                motion = motion @ rest @ turn @ np.linalg.inv(rest)
                posed[self.jointIndex[name]] = motion @ rest

        # Linear blend skinning: each vertex follows the weighted mean of its joints' motions.
        motions = handToCamera @ posed @ np.linalg.inv(self.joints)
        blended = np.einsum("vj,vjrc->vrc", self.boneWeights, motions[self.boneIndices])
        vertices = np.einsum("vrc,vc->vr", blended[:, :3, :3], self.vertices) + blended[:, :3, 3]
        normals = np.einsum("vrc,vc->vr", blended[:, :3, :3], self.normals)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        order = ["wrist"] + [name for finger in FINGERS for name in fingerJoints(finger)]
        landmarks = _transform(handToCamera, posed[[self.jointIndex[name] for name in order], :3, 3])
        wristInHand = self.joints[self.jointIndex["wrist"], :3, 3]
        return PosedHand(landmarks, vertices, normals, self.triangles, handToCamera, wristInHand)


@dataclass
class HandCamera:
    """A pinhole camera without distortion: `matrix` (3, 3) in px, `size` (width, height) in px."""

    matrix: np.ndarray
    size: tuple

    @classmethod
    def typical(cls, size=(640, 480)):
        """A webcam of about 60 degrees across."""
        width, height = size
        focal = 0.87 * width
        return cls(np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]), size)

    def project(self, points):
        """(n, 2) px of (n, 3) points in mm in the camera frame."""
        projected = points @ np.asarray(self.matrix).T
        return projected[:, :2] / projected[:, 2:]

    def clipMatrix(self, near=10.0, far=3000.0):
        """4x4 from VTK's view frame (y up, z backward; mm) to normalised device coordinates."""
        (fx, skew, cx), (_, fy, cy) = np.asarray(self.matrix)[:2]
        width, height = self.size
        depth = far - near
        return np.array(
            [
                [2 * fx / width, -2 * skew / width, 1 - 2 * (cx + 0.5) / width, 0],
                [0, 2 * fy / height, 2 * (cy + 0.5) / height - 1, 0],
                [0, 0, -(far + near) / depth, -2 * far * near / depth],
                [0, 0, -1, 0],
            ]
        )


class HandRenderer:
    """Renders posed hands as a given camera sees them. Keeps its window: make one for many images."""

    OVERSAMPLING = 3  # anti-aliasing that does not depend on the graphics driver

    def __init__(self, camera, skin=(0.93, 0.71, 0.60), sleeve=(0.24, 0.33, 0.45), background=(0.66, 0.82)):
        """`skin`, `sleeve`: RGB from 0 to 1; without a sleeve (None) the arm ends a little beyond the wrist.

        `background`: the grey at the bottom and at the top, from 0 to 1.
        """
        self.camera = camera
        self.skin = skin
        self.sleeve = sleeve
        self.scene = vtk.vtkRenderer()
        self.scene.GradientBackgroundOn()
        bottom, top = background
        self.scene.SetBackground(bottom, bottom, bottom)
        self.scene.SetBackground2(top, top, top)

        self.scene.AutomaticLightCreationOff()
        # Positions in the camera frame.
        window, ceiling, screen = (-600, -500, -400), (500, -900, 200), (100, 200, -500)
        for position, intensity in ((window, 0.65), (ceiling, 0.35), (screen, 0.3)):
            light = vtk.vtkLight()
            light.SetLightTypeToSceneLight()
            light.SetPosition(position)
            light.SetFocalPoint(0, 0, 450)
            light.SetIntensity(intensity)
            self.scene.AddLight(light)

        viewpoint = self.scene.GetActiveCamera()
        viewpoint.SetPosition(0, 0, 0)
        viewpoint.SetFocalPoint(0, 0, 1)
        viewpoint.SetViewUp(0, -1, 0)
        viewpoint.SetExplicitProjectionTransformMatrix(_vtkMatrix(camera.clipMatrix()))
        viewpoint.UseExplicitProjectionTransformMatrixOn()

        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(True)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*(self.OVERSAMPLING * side for side in camera.size))
        self.window.AddRenderer(self.scene)

    def render(self, *hands, props=()):
        """Return the BGR image of the hands (PosedHand), with other VTK props."""
        self.scene.RemoveAllViewProps()
        for prop in props:
            self.scene.AddViewProp(prop)
        for hand in hands:
            self.scene.AddActor(self._skinActor(hand))
            if self.sleeve is not None:
                self.scene.AddActor(self._sleeveActor(hand))
        self.window.Render()

        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.ShouldRerenderOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        rgb = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)
        bgr = np.ascontiguousarray(rgb[::-1, :, ::-1])  # VTK's first row is the lowest
        return cv2.resize(bgr, tuple(self.camera.size), interpolation=cv2.INTER_AREA)

    def _skinActor(self, hand):
        points = vtk.vtkPoints()
        points.SetData(numpy_to_vtk(hand.vertices, deep=True))
        cells = vtk.vtkCellArray()
        cells.SetData(3, numpy_to_vtkIdTypeArray(hand.triangles.astype(np.int64).ravel(), deep=True))
        surface = vtk.vtkPolyData()
        surface.SetPoints(points)
        surface.SetPolys(cells)
        surface.GetPointData().SetNormals(numpy_to_vtk(hand.normals, deep=True))
        mapper = vtk.vtkPolyDataMapper()
        mapper.SetInputData(surface)
        return self._actor(mapper, self.skin)

    def _sleeveActor(self, hand):
        """A round tube from beyond the wrist to the elbow, made flatter to suit the arm."""
        length = 300
        tube = vtk.vtkCylinderSource()  # along y, as the arm in the hand frame
        tube.SetRadius(34)
        tube.SetHeight(length)
        tube.SetCenter(0, hand.wristInHand[1] + 14 + length / 2, 0)
        tube.SetResolution(60)
        mapper = vtk.vtkPolyDataMapper()
        mapper.SetInputConnection(tube.GetOutputPort())
        actor = self._actor(mapper, self.sleeve)
        actor.SetUserMatrix(_vtkMatrix(hand.handToCamera @ np.diag([1, 1, 0.75, 1])))
        return actor

    @staticmethod
    def _actor(mapper, colour):
        actor = vtk.vtkActor()
        actor.SetMapper(mapper)
        surface = actor.GetProperty()
        surface.SetColor(colour)
        surface.SetInterpolationToPhong()
        surface.SetAmbient(0.25)
        surface.SetDiffuse(0.85)
        surface.SetSpecular(0.08)
        surface.SetSpecularPower(12)
        return actor


def _vtkMatrix(matrix):
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix).ravel())
    return result


def drawLandmarks(image, pixels, colour=(0, 200, 0)):
    """Draw (21, 2) landmarks in px and their connections into a BGR image."""
    corners = np.round(pixels).astype(int).tolist()
    for start, end in CONNECTIONS:
        cv2.line(image, corners[start], corners[end], colour, 1, cv2.LINE_AA)
    for corner in corners:
        cv2.circle(image, corner, 3, colour, -1, cv2.LINE_AA)


def main():
    parser = argparse.ArgumentParser(description="Render a hand mesh (.glb) with its landmarks.")
    parser.add_argument("mesh")
    parser.add_argument("image", help="the file to write")
    parser.add_argument("--position", type=float, nargs=3, default=(0, 0, 450), help="mm in the camera frame")
    parser.add_argument("--angles", type=float, nargs=3, default=(0, 0, 0), help="pitch, yaw, roll, degrees")
    arguments = parser.parse_args()
    camera = HandCamera.typical()
    posed = RiggedHand.load(arguments.mesh).pose({}, placement(arguments.position, *arguments.angles))
    image = HandRenderer(camera).render(posed)
    drawLandmarks(image, camera.project(posed.landmarks))
    cv2.imwrite(arguments.image, image)


if __name__ == "__main__":
    main()
