"""The widgets of the application: the main window, the views and the ones that .ui files may name."""

import time
import types

import ctk
import numpy as np
import qt
from trame_slicer.views import ScheduledRenderStrategy, SliceView, ThreeDView, abstract_view, slice_view
from trame_slicer.views.render_scheduler import NoScheduleRendering
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkCommand, vtkUnsignedCharArray
from vtkmodules.vtkIOImage import vtkPNGWriter
from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter
from vtkmodules.vtkRenderingUI import vtkGenericRenderWindowInteractor

from host.eventloop import PYTHONQT

# The events come from Qt, as in Slicer: VTK's own interactor would open a connection to the display.
abstract_view.vtkRenderWindowInteractor = vtkGenericRenderWindowInteractor
# trame-slicer observes an event that VTK warns of, and that has this name now.
slice_view.vtkCommand = types.SimpleNamespace(WindowResizeEvent=vtkCommand.ConfigureEvent)


class qMRMLWidget(qt.QWidget):
    """A widget that knows the scene."""

    mrmlSceneChanged = qt.Signal("vtkMRMLScene*")

    def __init__(self, *args):
        super().__init__(*args)
        self._scene = None

    def setMRMLScene(self, scene):
        self._scene = scene

    def mrmlScene(self):
        return self._scene


_QtUiLoader = qt.QUiLoader  # the application puts the one below in its place


class UiLoader(_QtUiLoader):
    """QUiLoader that also makes the host's widgets."""

    def __init__(self, *args):
        super().__init__(*args)
        self._made = []  # C++ doesn't keep a Python widget that has no parent

    def createWidget(self, className, parent=None, name=""):
        kind = {"qMRMLWidget": qMRMLWidget, "qSlicerWidget": qMRMLWidget}.get(className, getattr(ctk, className, None))
        if kind is None:
            return _QtUiLoader.createWidget(self, className, parent, name)
        widget = kind(parent) if parent else kind()
        widget.setObjectName(name)
        self._made.append(widget)
        return widget


def _qtImage(pixels):
    height, width = pixels.shape[:2]
    if PYTHONQT:  # which can't pass an array: as the simplest of image files
        image = qt.QImage()
        image.loadFromData(qt.QByteArray(b"P6 %d %d 255\n" % (width, height) + pixels[:, :, :3].tobytes()), "PPM")
        return image
    return qt.QImage(np.ascontiguousarray(pixels).data, width, height, width * 4, qt.QImage.Format_RGBX8888).copy()


class _ScheduledByWidget(ScheduledRenderStrategy):
    """Leaves it to the view's widget when to render."""

    def __init__(self, widget):
        super().__init__()
        self._widget = widget

    def schedule_render(self):
        self._widget.scheduleRender()


class ctkVTKAbstractView(qt.QWidget):
    """A view that renders when CTK's does: what asks for it within 1/60 s becomes one render at the end of that time.

    VTK renders off screen, Qt paints the image, the mouse events go to VTK.

    :param view: makes trame-slicer's view, given when to render.
    """

    MAXIMUM_UPDATE_RATE = 60.0  # renders per second
    KEEPS_GIL = True  # while it renders, as in Slicer

    _BUTTONS = {qt.Qt.LeftButton: "Left", qt.Qt.RightButton: "Right", qt.Qt.MiddleButton: "Middle"}

    def __init__(self, view, parent=None):
        super().__init__(parent)
        self._image = None
        self._pixels = vtkUnsignedCharArray()
        self.renderCount = 0
        self._pauses = 0
        self._requestedAt = None  # since when a render is asked for, s
        self._isRendering = False
        self._requestTimer = qt.QTimer(self)
        self._requestTimer.setSingleShot(True)
        self._requestTimer.timeout.connect(self._onRequestTimeout)
        self.view = view(_ScheduledByWidget(self))
        self.renderWindow().SetMultiSamples(0)  # software rendering, where multisampling is expensive
        self.renderWindow().AddObserver(vtkCommand.EndEvent, self._onRendered)
        # The interactor styles ask for a render, and leave it to the view.
        self.interactor().SetEnableRender(False)
        self.interactor().AddObserver(vtkCommand.RenderEvent, self._onRenderEvent)
        self.setMinimumSize(160, 120)
        self.setMouseTracking(True)
        self.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Expanding)
        self.view.update_size(640, 480)

    # What modules ask of a view

    def renderWindow(self):
        return self.view.render_window()

    def interactor(self):
        return self.view.interactor()

    def interactorStyle(self):
        return self.view.interactor_style()

    def scheduleRender(self):
        """Render within 1/60 s."""
        now = time.perf_counter()
        if self._requestedAt is None:
            self._requestedAt = now
            self._requestTimer.start(int(1000 / self.MAXIMUM_UPDATE_RATE))
        elif now - self._requestedAt > 1 / self.MAXIMUM_UPDATE_RATE:
            self._requestRender()  # the timer is over, and the event loop has not come to it yet

    def forceRender(self):
        """Render now, if the view is visible; what was scheduled is done with it."""
        self._requestTimer.stop()
        self._requestedAt = None
        if not self.isVisible():
            return
        if self.KEEPS_GIL:
            # VTK's wrapper of the window's Render releases the GIL in the builds on PyPI, that of the interactor's does
            # not.
            self._isRendering = True
            self.interactor().SetEnableRender(True)
            self.interactor().Render()
            self.interactor().SetEnableRender(False)
            self._isRendering = False
        else:
            self.renderWindow().Render()

    def pauseRender(self):
        """Keep what is scheduled back until resumeRender was called as often."""
        self._pauses += 1
        return self._pauses

    def resumeRender(self):
        self._pauses = max(0, self._pauses - 1)
        if not self._pauses and self._requestedAt is not None:
            self.scheduleRender()
        return self._pauses

    def isRenderPaused(self):
        return self._pauses > 0

    def setRenderPaused(self, paused):
        return self.pauseRender() if paused else self.resumeRender()

    def finalize(self):
        """Let go of the graphics resources while there still is a view to do it."""
        self._requestTimer.stop()
        self.view.set_scheduled_render(NoScheduleRendering())
        self.view.finalize()

    def image(self):
        """The view as it is now: a numpy array (rows, columns, RGB)."""
        self.renderWindow().Render()
        return self._readPixels()[:, :, :3].copy()

    def savePng(self, path):
        """Render the view and write it into a file."""
        self.renderWindow().Render()
        source = vtkWindowToImageFilter()
        source.SetInput(self.renderWindow())
        source.ReadFrontBufferOff()
        source.ShouldRerenderOff()
        writer = vtkPNGWriter()
        writer.SetInputConnection(source.GetOutputPort())
        writer.SetFileName(str(path))
        writer.Write()

    # Inside

    def _onRequestTimeout(self):
        if self._requestedAt is not None:
            self._requestRender()

    def _requestRender(self):
        if not self.isRenderPaused():
            self.forceRender()

    def _onRenderEvent(self, *_):
        if not self._isRendering:
            self.scheduleRender()

    def _readPixels(self):
        width, height = self.renderWindow().GetSize()
        self.renderWindow().GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, self._pixels)
        return vtk_to_numpy(self._pixels).reshape(height, width, 4)[::-1]  # VTK counts the rows from below

    def _onRendered(self, *_):
        self.renderCount += 1
        if self.isVisible():
            self._image = _qtImage(self._readPixels())
            self.update()

    # Qt's events

    def paintEvent(self, event):
        painter = qt.QPainter(self)
        if self._image is not None:
            painter.drawImage(self.rect, self._image)
        painter.end()

    def showEvent(self, event):
        self.scheduleRender()

    def resizeEvent(self, event):
        self.view.update_size(max(1, self.width), max(1, self.height))
        self.scheduleRender()

    def mousePressEvent(self, event):
        self._toVtk(event, self._BUTTONS.get(event.button(), "Left") + "ButtonPressEvent")

    def mouseReleaseEvent(self, event):
        self._toVtk(event, self._BUTTONS.get(event.button(), "Left") + "ButtonReleaseEvent")

    def mouseMoveEvent(self, event):
        self._toVtk(event, "MouseMoveEvent")

    def wheelEvent(self, event):
        self.interactor().InvokeEvent("MouseWheel%sEvent" % ("Forward" if event.angleDelta().y() > 0 else "Backward"))

    def leaveEvent(self, event):
        self.interactor().InvokeEvent("LeaveEvent")

    def _toVtk(self, event, name):
        position, modifiers = event.pos() if PYTHONQT else event.position().toPoint(), event.modifiers()
        self.interactor().SetEventInformation(
            position.x(),
            self.height - position.y() - 1,
            int(bool(modifiers & qt.Qt.ControlModifier)),
            int(bool(modifiers & qt.Qt.ShiftModifier)),
        )
        self.interactor().InvokeEvent(name)


class qMRMLThreeDView(ctkVTKAbstractView):
    """One of Slicer's 3D views, by its layout name."""

    def __init__(self, slicerApp, name="1", parent=None):
        super().__init__(
            lambda rendering: ThreeDView(
                slicerApp.scene, slicerApp.app_logic, name, scheduled_render_strategy=rendering
            ),
            parent,
        )
        self.setObjectName(f"View{name}")
        self.view.reset_view()

    def mrmlViewNode(self):
        return self.view.get_view_node()

    def cameraNode(self):
        return self.view.get_camera_node()

    def resetFocalPoint(self):
        self.view.reset_focal_point()

    def resetCamera(self):
        self.view.reset_camera()


class qMRMLSliceView(ctkVTKAbstractView):
    """One of Slicer's slice views, by its name; shows where its plane cuts the models."""

    _ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}

    def __init__(self, slicerApp, name, parent=None):
        super().__init__(
            lambda rendering: SliceView(
                slicerApp.scene, slicerApp.app_logic, name, scheduled_render_strategy=rendering
            ),
            parent,
        )
        self.setObjectName(name)
        self.view.set_orientation(self._ORIENTATIONS[name])

    def mrmlSliceNode(self):
        return self.view.get_view_node()


class MainWindow(qt.QMainWindow):
    """The module's panel at the left, the views at the right."""

    closed = qt.Signal()

    def __init__(self, views):
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._panel = qt.QScrollArea()
        self._panel.setObjectName("ModulePanel")
        self._panel.setWidgetResizable(True)
        splitter = qt.QSplitter()
        splitter.addWidget(self._panel)
        splitter.addWidget(views)
        splitter.setStretchFactor(1, 1)
        self.setCentralWidget(splitter)
        self.statusBar()
        self.resize(1040, 640)

    def closeEvent(self, event):
        self.closed.emit()

    def setPanel(self, widget):
        """Show a module's widget, or nothing."""
        if self._panel.widget():
            self._panel.takeWidget().hide()
        if widget:
            self._panel.setWidget(widget)
            self._panel.setMinimumWidth(max(360, widget.minimumSizeHint.width() + 24))  # room for the scroll bar
            widget.show()
