"""The preview in a slice view. Knows MRML and VTK, nothing of Qt, cameras or threads."""

from typing import Any

import numpy as np
import slicer
import vtk

VIEW = "Red"

AXIAL = np.diag([-1.0, 1.0, 1.0, 1.0])
"""From the slice view's coordinate system (x right, y up, mm) to RAS in the orientation that Slicer calls axial."""


class CameraSlice:
    """Shows the camera's image in the red slice view, upright and as in a mirror, and takes itself away again.

    The image is a vector volume node in the axial plane through the origin, a pixel for each mm, that can be
    shown in other views as well. It is in the scene for as long as it is shown and never saved with it: images
    of the user stay nowhere.
    """

    def __init__(self) -> None:
        self._volume: Any = None  # a slicer.vtkMRMLVectorVolumeNode
        self._size: tuple[int, ...] | None = None
        self._before: tuple[Any, ...] | None = None  # what the view showed, and how

    def update(self, image: np.ndarray) -> None:
        """Show an image, in place of the one before.

        :param image: (height, width, 3) uint8, RGB, its first row at the top.
        """
        voxels = image[np.newaxis]
        if self._volume and self._volume.GetScene() and self._size == image.shape:
            slicer.util.updateVolumeFromArray(self._volume, voxels)
        else:
            self.remove()
            self._volume, self._size = self._newVolume(voxels), image.shape
            self._show()

    def remove(self) -> None:
        """Take the image away, and let the view show what it showed before."""
        if not self._volume:
            return
        logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(VIEW)
        volume, before = self._volume, self._before
        self._volume = self._before = None
        if logic and before:
            compositeNode, sliceNode = logic.GetSliceCompositeNode(), logic.GetSliceNode()
            background, sliceToRAS, fieldOfView = before
            # Unless the user, or a scene that was loaded, has put something else there meanwhile.
            if compositeNode.GetBackgroundVolumeID() in (None, volume.GetID()):
                compositeNode.SetBackgroundVolumeID(background)
                self._turn(sliceNode, sliceToRAS)
                sliceNode.SetFieldOfView(*fieldOfView)
        if volume.GetScene():
            slicer.mrmlScene.RemoveNode(volume)

    @staticmethod
    def _newVolume(voxels: np.ndarray) -> "slicer.vtkMRMLVectorVolumeNode":
        # Columns go to the patient's left, which axial views have at their right, and rows to posterior, downwards.
        _slices, height, width, _components = voxels.shape
        ijkToRAS = np.diag([-1.0, -1.0, 1.0, 1.0])
        ijkToRAS[:2, 3] = (width - 1) / 2.0, (height - 1) / 2.0
        node = slicer.util.addVolumeFromArray(voxels, ijkToRAS, "LiveHand Camera", "vtkMRMLVectorVolumeNode")
        node.SetSaveWithScene(False)
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.AutoWindowLevelOff()  # of the first image, which may be dark
        display.SetWindowLevel(255.0, 127.5)
        return node

    def _show(self) -> None:
        logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(VIEW)
        if not logic:
            return
        compositeNode, sliceNode = logic.GetSliceCompositeNode(), logic.GetSliceNode()
        sliceToRAS = vtk.vtkMatrix4x4()
        sliceToRAS.DeepCopy(sliceNode.GetSliceToRAS())
        self._before = (compositeNode.GetBackgroundVolumeID(), sliceToRAS, sliceNode.GetFieldOfView())
        compositeNode.SetBackgroundVolumeID(self._volume.GetID())
        self._turn(sliceNode, slicer.util.vtkMatrixFromArray(AXIAL))
        logic.FitSliceToBackground()

    @staticmethod
    def _turn(sliceNode: "slicer.vtkMRMLSliceNode", sliceToRAS: vtk.vtkMatrix4x4) -> None:
        sliceNode.GetSliceToRAS().DeepCopy(sliceToRAS)
        sliceNode.UpdateMatrices()
