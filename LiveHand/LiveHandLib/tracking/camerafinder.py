"""Finds the cameras of the computer without holding up the GUI thread. Knows Qt, nothing of MRML."""

import qt

from ..camera import devicequery
from ..detection import detector
from ..errors import LiveHandError
from ..threads.gil import lender


class CameraFinder(qt.QObject):
    """Searches for the computer's cameras in a thread, because asking for them needs OpenCV and may take a while.

    On Linux, where plugging one in changes a folder, it searches again by itself.

    Signals:

    - ``found(tuple[Camera])``: the cameras, none if the packages are missing or broken.
    """

    found = qt.Signal(object)

    SETTLING_MS = 1000  # from a device file's creation until the system has set who may open it

    def __init__(self) -> None:
        qt.QObject.__init__(self)
        self._thread: object = None
        self._failure: LiveHandError | None = None
        self._nodes = devicequery.nodes()
        self._timer = qt.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(self.SETTLING_MS)
        self._timer.timeout.connect(self.find)
        self._watcher = qt.QFileSystemWatcher(self)
        if self._nodes is not None:
            self._watcher.addPath(devicequery.NODES_FOLDER)
            self._watcher.directoryChanged.connect(self._onDirectoryChanged)

    def _onDirectoryChanged(self, _folder: str) -> None:
        before, self._nodes = self._nodes, devicequery.nodes()
        if self._nodes != before:
            self._timer.start()

    def find(self) -> None:
        """Search for them; nothing happens while a search is under way."""
        if self._thread is None:
            self._thread = lender().start(self._run, lambda: None, self._onFinished)

    def close(self, timeout: float = 10.0) -> None:
        """Wait for a search under way and delete this object; see :meth:`TrackingWorker.close`."""
        self._timer.stop()
        if self._thread is not None:
            lender().wait(self._thread, timeout)
        self.delete()

    def _onFinished(self) -> None:
        self._thread = None
        failure, self._failure = self._failure, None
        if failure:
            failure.log()

    def _run(self) -> None:
        try:
            detector.importPackages("opencv-python")
            cameras = devicequery.listCameras()
        except Exception as error:
            # The error is reported when Live is ticked; a list that is empty does no harm until then.
            self._failure = LiveHandError.of(error)
            cameras = ()
        self.found.emit(cameras)
