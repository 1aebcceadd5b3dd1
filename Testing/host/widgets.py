"""The widgets of the application: the main window, the 3D view and the ones that .ui files may name."""

import ctk
import numpy as np
import qt
from trame_slicer.views import ScheduledRenderStrategy, ThreeDView, abstract_view
from trame_slicer.views.render_scheduler import NoScheduleRendering
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkCommand, vtkUnsignedCharArray
from vtkmodules.vtkIOImage import vtkPNGWriter
from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter
from vtkmodules.vtkRenderingUI import vtkGenericRenderWindowInteractor

from host.eventloop import PYTHONQT

# The events come from Qt, as in Slicer: VTK's own interactor would open a connection to the display.
abstract_view.vtkRenderWindowInteractor = vtkGenericRenderWindowInteractor


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
    if PYTHONQT:  # which can't pass an array: as the simplest of picture files
        image = qt.QImage()
        image.loadFromData(qt.QByteArray(b"P6 %d %d 255\n" % (width, height) + pixels[:, :, :3].tobytes()), "PPM")
        return image
    return qt.QImage(np.ascontiguousarray(pixels).data, width, height, width * 4, qt.QImage.Format_RGBX8888).copy()


class _TimedRendering(ScheduledRenderStrategy):
    """Renders requested at short intervals become one, as in Slicer's views."""

    def __init__(self, view, rate):
        super().__init__()
        self._timer = qt.QTimer(view)
        self._timer.setSingleShot(True)
        self._timer.setInterval(int(1000 / rate))
        self._timer.timeout.connect(view.forceRender)

    def schedule_render(self):
        if not self._timer.isActive():
            self._timer.start()

    def did_render(self):
        self._timer.stop()


class qMRMLThreeDView(qt.QWidget):
    """Slicer's 3D view. VTK renders it off screen, Qt paints the image, the mouse events go to VTK."""

    MAXIMUM_UPDATE_RATE = 30.0  # renders per second

    _BUTTONS = {qt.Qt.LeftButton: "Left", qt.Qt.RightButton: "Right", qt.Qt.MiddleButton: "Middle"}

    def __init__(self, slicerApp, parent=None):
        super().__init__(parent)
        self._image = None
        self._pixels = vtkUnsignedCharArray()
        self.renderCount = 0
        self.view = ThreeDView(
            slicerApp.scene,
            slicerApp.app_logic,
            "1",
            scheduled_render_strategy=_TimedRendering(self, self.MAXIMUM_UPDATE_RATE),
        )
        self.view.render_window().SetMultiSamples(0)  # software rendering, where multisampling is expensive
        self.view.render_window().AddObserver(vtkCommand.EndEvent, self._onRendered)
        self.setObjectName("View1")
        self.setMinimumSize(160, 120)
        self.setMouseTracking(True)
        self.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Expanding)
        self.view.update_size(640, 480)
        self.view.reset_view()

    # What modules ask of a qMRMLThreeDView

    def mrmlViewNode(self):
        return self.view.get_view_node()

    def cameraNode(self):
        return self.view.get_camera_node()

    def renderWindow(self):
        return self.view.render_window()

    def interactor(self):
        return self.view.interactor()

    def interactorStyle(self):
        return self.view.interactor_style()

    def resetFocalPoint(self):
        self.view.reset_focal_point()

    def resetCamera(self):
        self.view.reset_camera()

    def scheduleRender(self):
        """Render soon."""
        self.view.schedule_render()

    def forceRender(self):
        """Render now."""
        self.view.render()

    def setRenderPaused(self, paused):
        self.view.set_render_blocked(paused)

    def finalize(self):
        """Let go of the graphics resources while there still is a view to do it."""
        self.view.set_scheduled_render(NoScheduleRendering())
        self.view.finalize()

    def image(self):
        """The view as it is now: a numpy array (rows, columns, RGB)."""
        self.view.render()
        return self._readPixels()[:, :, :3].copy()

    def savePng(self, path):
        """Render the view and write it into a file."""
        self.view.render()
        source = vtkWindowToImageFilter()
        source.SetInput(self.renderWindow())
        source.ReadFrontBufferOff()
        source.ShouldRerenderOff()
        writer = vtkPNGWriter()
        writer.SetInputConnection(source.GetOutputPort())
        writer.SetFileName(str(path))
        writer.Write()

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
        position, modifiers = event.pos(), event.modifiers()
        self.interactor().SetEventInformation(
            position.x(),
            self.height - position.y() - 1,
            int(bool(modifiers & qt.Qt.ControlModifier)),
            int(bool(modifiers & qt.Qt.ShiftModifier)),
        )
        self.interactor().InvokeEvent(name)


class MainWindow(qt.QMainWindow):
    """The module's panel at the left, the 3D view at the right."""

    closed = qt.Signal()

    def __init__(self, view):
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._panel = qt.QScrollArea()
        self._panel.setObjectName("ModulePanel")
        self._panel.setWidgetResizable(True)
        splitter = qt.QSplitter()
        splitter.addWidget(self._panel)
        splitter.addWidget(view)
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
