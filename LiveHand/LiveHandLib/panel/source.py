"""The panel's choice of a camera or file and of its resolution. Knows Qt and the module's logic, nothing of MRML."""

import contextlib
from pathlib import Path

import qt
from slicer.i18n import tr as _

from ..camera import devices
from ..camera.devices import Camera
from ..errors import LiveHandError
from ..resources import resourcePath
from ..sampledata import SAMPLE_CLIP
from ..tracking.camerafinder import CameraFinder
from .widgets import fillComboBox


class SourcePanel:
    """Joins the drop-downs to the logic, and looks for cameras when the user may want to choose one.

    :param ui: the panel's widgets.
    :param logic: the :class:`LiveHandLogic`.
    """

    def __init__(self, ui, logic) -> None:
        self._ui, self._logic = ui, logic
        self._cameras: tuple[Camera, ...] = ()
        self._isShown = False
        self._cameraFinder = CameraFinder()
        self._cameraFinder.found.connect(self.onCamerasFound)
        self._pointerFilter = _PointerFilter(self.findCameras)
        ui.sourceComboBox.installEventFilter(self._pointerFilter)
        ui.refreshButton.connect("clicked(bool)", self.onRefreshButton)
        ui.sourceComboBox.connect("activated(int)", self.onSourceActivated)
        ui.resolutionComboBox.connect("activated(int)", self.onResolutionActivated)

    def close(self) -> None:
        """Wait for a search under way, and look for cameras no more."""
        self._ui.sourceComboBox.removeEventFilter(self._pointerFilter)
        self._cameraFinder.close()

    def findCameras(self) -> None:
        """Look for cameras, which takes OpenCV, in a thread."""
        if self._ui.liveCheckBox.enabled:  # all packages are there
            self._cameraFinder.find()

    def onRefreshButton(self) -> None:
        """Look for cameras again."""
        self.findCameras()

    def onCamerasFound(self, cameras: tuple[Camera, ...]) -> None:
        """Offer them, and choose the one that was used last, or the first, if nothing is chosen yet."""
        self._cameras = cameras
        if not self._isShown:
            return
        if cameras and not self._logic.getParameterNode().source:
            last = self._logic.userSettings.lastCamera()
            self._logic.setSource(next((camera for camera in cameras if camera.name == last), cameras[0]))
        self.update()

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """Those that were found last."""
        return self._cameras

    def hide(self) -> None:
        """The panel is not shown, or the scene has no parameters at the moment: choose nothing."""
        self._isShown = False

    def update(self) -> None:
        """Fill the drop-downs: cameras, the chosen file or absent camera, the sample clip, and opening a file."""
        self._isShown = True
        chosen = self._logic.getParameterNode().source
        sought, connected = devices.cameraOf(chosen), None
        if sought and not devices.isNumber(sought):
            with contextlib.suppress(LiveHandError):
                connected = devices.find(sought, self._cameras)
        # The chosen one keeps what it was chosen by: its calibrations are kept under that.
        entries: list[tuple[str, str | None]] = [
            (camera.name, chosen if camera == connected else devices.sourceOf(camera)) for camera in self._cameras
        ]
        entries.append((_("Sample clip"), str(resourcePath(SAMPLE_CLIP))))
        if not chosen:
            entries.insert(0, (_("Choose a camera"), ""))
        elif chosen not in [source for _name, source in entries]:
            entries.append((_("{name} (not found)").format(name=sought.name) if sought else Path(chosen).name, chosen))
        entries.append((_("Open a video or image file..."), None))
        fillComboBox(self._ui.sourceComboBox, entries, chosen)
        self._updateResolutions(sought, connected)

    def _updateResolutions(self, sought: Camera | None, connected: Camera | None) -> None:
        """Offer what the chosen camera has, and what was chosen if it does not list that."""
        resolution = devices.resolutionOf(devices.sizeOf(self._logic.getParameterNode().resolution))
        sizes = devices.sizesOf(connected.modes if connected else ())
        entries: list[tuple[str, str | None]] = [(_("As the camera has it"), "")]
        entries += [("{} × {}".format(*size), devices.resolutionOf(size)) for size in sizes]
        if resolution not in [data for _text, data in entries]:
            entries.append((resolution.replace("x", " × "), resolution))
        fillComboBox(self._ui.resolutionComboBox, entries, resolution)
        self._ui.resolutionComboBox.enabled = sought is not None

    def onResolutionActivated(self, index: int) -> None:
        """Called when the user chooses the size of the camera's frames."""
        self._logic.setResolution(devices.sizeOf(self._ui.resolutionComboBox.itemData(index)))

    def onSourceActivated(self, index: int) -> None:
        """Called when the user chooses an entry of the drop-down."""
        source = self._ui.sourceComboBox.itemData(index)
        if source is None:
            source = qt.QFileDialog.getOpenFileName(self._ui.sourceComboBox, _("Open a video or image file"))
        if source:
            self._logic.setSource(source)
        self.update()


class _PointerFilter(qt.QObject):
    """Calls back when the pointer comes to a widget or the keyboard does, so shortly before its list is opened."""

    def __init__(self, callback) -> None:
        qt.QObject.__init__(self)
        self._callback = callback

    def eventFilter(self, _watched, event) -> bool:
        """See Qt."""
        if event.type() in (qt.QEvent.Enter, qt.QEvent.FocusIn):
            self._callback()
        return False
