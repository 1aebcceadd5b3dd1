"""Takes the documentation's image of the view from the camera: a phantom with a model over it and a pointing hand.

Nobody's hand and nobody's anatomy: phantom, board and hand are rendered as for ``run.py evaluate navigation``.

    python3 Testing/run.py make camera_view
"""

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import vtk

from host.application import Application
from support import navigationscene as scene
from support.handrender import RiggedHand, placement
from support.overlayscene import writeClip
from support.paths import IMAGES, MODULE, SHARED

SIZE = 640, 480
TIP_MM = scene.PHANTOM_CENTRE + np.array([12.0, -12.0, -scene.PHANTOM_HEIGHT - 25.0])
SHOWN = slice(50, 410), slice(70, 550)  # rows and columns of the view


def frame() -> tuple[np.ndarray, float]:
    """What the camera sees, RGB, and the hand's palm width, mm."""
    hand = RiggedHand.load(SHARED / "hand-mesh" / "right.glb")
    toCamera = scene.boardToCamera(0.0)
    pose = placement((0, 0, 0), pitch=-22, yaw=180, roll=-12)
    bends = scene.bends(np.zeros(11))
    pose[:3, 3] = scene.apply(toCamera, TIP_MM[None])[0] - scene.fingerEnd(hand.pose(bends, pose))
    rest = hand.pose().landmarks
    image = scene.SceneRenderer().image(hand.pose(bends, pose), toCamera)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), float(np.linalg.norm(rest[5] - rest[17]))


def addModel(source, color, transform) -> None:
    import slicer

    source.Update()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    node.SetAndObservePolyData(source.GetOutput())
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetColor(color)
    node.SetAndObserveTransformNodeID(transform.GetID())


def addAnatomy(transform) -> None:
    """An organ and a vessel in the phantom."""
    organ = vtk.vtkParametricEllipsoid()
    organ.SetXRadius(46)
    organ.SetYRadius(30)
    organ.SetZRadius(20)
    surface = vtk.vtkParametricFunctionSource()
    surface.SetParametricFunction(organ)
    placed = vtk.vtkTransformFilter()
    placed.SetInputConnection(surface.GetOutputPort())
    inside = vtk.vtkTransform()
    inside.Translate(*(scene.PHANTOM_CENTRE + np.array([0.0, -5.0, -18.0])))
    inside.RotateZ(25)
    placed.SetTransform(inside)
    addModel(placed, (0.75, 0.2, 0.15), transform)
    points = vtk.vtkPoints()
    for x, y, z in ((-70, 30, -5), (-40, 22, -24), (0, 0, -42), (35, -20, -30), (68, -25, -8)):
        points.InsertNextPoint(*(scene.PHANTOM_CENTRE + np.array([x, y, z])))
    spline = vtk.vtkParametricSpline()
    spline.SetPoints(points)
    line = vtk.vtkParametricFunctionSource()
    line.SetParametricFunction(spline)
    tube = vtk.vtkTubeFilter()
    tube.SetInputConnection(line.GetOutputPort())
    tube.SetRadius(4.0)
    tube.SetNumberOfSides(24)
    addModel(tube, (0.2, 0.35, 0.9), transform)


def main(_arguments: list[str] | None = None) -> int:
    if not SHARED.is_dir():
        sys.exit("The hand meshes are not beside the checkout.")
    image, palmWidthMm = frame()
    with Application(headless=True) as app, tempfile.TemporaryDirectory() as folder:
        logic, view = app.showModule(app.loadModule(MODULE)).logic, app.view
        from LiveHandLib.scene.cameraview import HandOverImage
        from LiveHandLib.scene.reference import ReferenceKind

        app.spin(timeout=0.2)
        view.mrmlViewNode().SetBoxVisible(False)
        view.mrmlViewNode().SetAxisLabelsVisible(False)
        node = logic.getParameterNode()
        node.everyFrame = node.cameraView = True
        node.palmWidthMm, node.referenceKind = palmWidthMm, ReferenceKind.BOARD
        board = scene.BOARD
        node.referenceColumns, node.referenceRows, node.referenceSquareMm = board.columns, board.rows, board.squareMm
        clip = Path(folder) / "phantom.avi"
        writeClip(clip, [image] * 6)
        logic.setSource(clip)
        logic.addCalibration(scene.INTRINSICS)
        logic.start()
        app.spin(lambda: logic.worker.state == "off", timeout=60)
        addAnatomy(node.referenceToRAS)
        view.view.update_size(*SIZE)
        images = [image]
        occludes = HandOverImage.OCCLUDES
        for hand, opacity in ((HandOverImage.HIDDEN, 1.0), (occludes, 1.0), (occludes, 0.5)):
            node.cameraViewHand, node.cameraViewOpacity = hand, opacity
            images.append(view.image())
    rows = [np.hstack([image[SHOWN] for image in images[start : start + 2]]) for start in (0, 2)]
    cv2.imwrite(str(Path(IMAGES) / "CameraView.png"), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    return 0
