"""Makes the images of the page on navigation: the preview, the registered phantom in the 3D view, and the panel.

The sequence of ``run.py evaluate navigation`` plays through the whole module.

    python3 Testing/run.py make navigation
"""

import json
import sys

import cv2
import numpy as np
import vtk

from benchmark.navigation import planned
from host.application import Application
from support.navigationscene import (
    BOARD,
    IMAGE_FROM_BOARD,
    INTRINSICS,
    PHANTOM_CENTRE,
    PHANTOM_HEIGHT,
    PHANTOM_RADIUS,
    RATE,
    SETTLE_S,
    clipFolder,
)
from support.paths import IMAGES, MODULE, SHARED

SIZE = (480, 360)
LAST_POINT = "fiducial 5"


def phantom():
    """The phantom's surface as a model in RAS."""
    import slicer

    dome = vtk.vtkSphereSource()
    dome.SetThetaResolution(90)
    dome.SetPhiResolution(90)
    dome.SetRadius(1.0)
    place = vtk.vtkTransform()
    place.SetMatrix(IMAGE_FROM_BOARD.ravel())
    place.Translate(PHANTOM_CENTRE)
    place.Scale(PHANTOM_RADIUS, PHANTOM_RADIUS, PHANTOM_HEIGHT)
    upper = vtk.vtkPlane()
    upper.SetNormal(0.0, 0.0, -1.0)
    half, placed = vtk.vtkClipPolyData(), vtk.vtkTransformPolyDataFilter()
    half.SetInputConnection(dome.GetOutputPort())
    half.SetClipFunction(upper)
    placed.SetInputConnection(half.GetOutputPort())
    placed.SetTransform(place)
    placed.Update()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Phantom")
    node.SetAndObservePolyData(placed.GetOutput())
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetColor(0.62, 0.70, 0.75)
    return node


def navigated(app, widget) -> np.ndarray:
    """Touch the points, trace the edge, register and fit; returns the preview at the last point, RGB."""
    import slicer

    from LiveHandLib.scene.reference import ReferenceKind

    folder = clipFolder()
    events = {name: range(*frames) for name, frames in json.loads((folder / "events.json").read_text()).items()}
    logic = widget.logic
    node, navigation = logic.getParameterNode(), logic.navigation
    node.everyFrame = True
    with np.load(folder / "truth.npz") as truth:
        node.palmWidthMm = float(truth["palmWidthMm"])
    node.referenceKind = ReferenceKind.BOARD
    node.referenceColumns, node.referenceRows, node.referenceSquareMm = BOARD.columns, BOARD.rows, BOARD.squareMm
    logic.setSource(folder / "clip.avi")
    logic.addCalibration(INTRINSICS)
    plan = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Image points")
    for name in (name for name in events if name.startswith("fiducial")):
        plan.AddControlPoint(vtk.vtkVector3d(planned(name)), name)
    node.plannedPoints, node.surface = plan, phantom()
    touches = [frames.start + round(SETTLE_S * RATE) for name, frames in events.items() if name != "edge"]
    seen: list[np.ndarray] = []
    shown = events[LAST_POINT].stop

    def onTracked(frame) -> None:
        logic.worker.previewSize = SIZE
        if frame.number == events["edge"].start:
            navigation.startTrace()
        elif frame.number == events["edge"].stop:
            logic.stop()
        elif frame.number in touches:
            navigation.recordPoint()

    def onPreview(image) -> None:
        if logic.frame.number <= shown:
            seen[:] = [image]

    logic.worker.PREVIEW_EVERY_S = 0.0
    logic.worker.failed.connect(lambda error: sys.exit(str(error)))
    logic.worker.tracked.connect(onTracked)
    logic.worker.previewImage.connect(onPreview)
    logic.start()
    app.spin(lambda: logic.worker.state == "off", timeout=500)
    return seen[0]


def inView(app) -> np.ndarray:
    """The 3D view, RGB."""
    view = app.view
    view.view.update_size(*SIZE)
    view.mrmlViewNode().SetBoxVisible(False)
    view.mrmlViewNode().SetAxisLabelsVisible(False)
    renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
    toImage = IMAGE_FROM_BOARD[:3, :3]
    centre = toImage @ PHANTOM_CENTRE + IMAGE_FROM_BOARD[:3, 3]
    camera = renderer.GetActiveCamera()
    camera.SetFocalPoint(centre)
    camera.SetPosition(centre + toImage @ (0.0, 300.0, -540.0))
    camera.SetViewUp(toImage @ (0.0, -1.0, -0.5))
    renderer.ResetCameraClippingRange()
    return view.image()


def main(_argv: list[str]) -> None:
    """Write ``Resources/Navigation*.png``."""
    if not SHARED.is_dir():
        sys.exit("The hand meshes are not beside the checkout.")
    with Application(headless=True) as app:
        widget = app.showModule(app.loadModule(MODULE))
        ui, node = widget.ui, widget.logic.getParameterNode()
        for name in vars(ui):
            if name.endswith("CollapsibleButton"):
                getattr(ui, name).setCollapsed(name != "navigationCollapsibleButton")
        camera = navigated(app, widget)
        ui.registerButton.click()
        registered = ui.navigationLabel.text
        widget.logic.navigation.registering.registerSurface()
        # They have the names of the image's points, beside which they lie now.
        node.points.GetDisplayNode().SetPointLabelsVisibility(False)
        node.points.GetDisplayNode().SetSelectedColor(1.0, 0.85, 0.1)
        print(registered)
        cv2.imwrite(str(IMAGES / "Navigation.png"), np.hstack([camera, inView(app)])[:, :, ::-1])
        app.spin(timeout=0.5)
        ui.navigationCollapsibleButton.grab().save(str(IMAGES / "NavigationPanel.png"))
