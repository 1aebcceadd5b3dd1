"""What holds after every fault, checked in one place: Slicer runs as before, and nothing is left behind.

A test of a case is marked ``@pytest.mark.fault("what happens")`` and uses the fixture ``unharmed``; the table at the
end of the tests counts it.
"""

from host.application import Heartbeat  # first: it makes what a module imports

# isort: split
import gc
import threading
from pathlib import Path

import numpy as np
import psutil
import qt
import slicer
import vtk

from LiveHandLib.threads import gil
from support.helpers import liveHandThreads, settled
from support.paths import SAMPLE_CLIP

RESPONSIVE_MS = 20.0
"""How late the event loop's beats may be."""


def status(widget) -> str:
    """What the panel's status line says."""
    return widget.ui.statusLabel.text


def assertReported(widget, words: str) -> None:
    """The panel reports the failure in one sentence that has these words, and Live is off."""
    text = status(widget)
    assert words in text
    assert text.startswith("⚠ ") and text.endswith(".") and "\n" not in text and "Traceback" not in text, text
    assert not widget.ui.liveCheckBox.checked


def panel():
    """The module's panel; another one after each reload."""
    return slicer.modules.LiveHandWidget


def isResponsive(app) -> bool:
    """Whether all of the event loop's beats come in time, for a while."""
    heartbeat = Heartbeat(5)
    heartbeat.start()
    app.spin(timeout=0.25)
    heartbeat.stop()
    return heartbeat.worst < RESPONSIVE_MS


def isActive(timer) -> bool:
    """Whether a timer runs; one that was deleted with its parent, and that Python still has, does not."""
    try:
        return timer.isActive()
    except RuntimeError:
        return False


class Unharmed:
    """Takes notice of how Slicer is, and checks that it is the same after a fault.

    :param app: the host's application, in which LiveHand's panel is open and Live is off.
    :param folder: where Python's and the libraries' temporary files go meanwhile.
    """

    def __init__(self, app, folder: Path) -> None:
        self._app = app
        self._folder = folder
        self._settingsFolder = Path(slicer.app.slicerUserSettingsFilePath).parent
        self.others = self._newNodes()
        self._state = self._stateOfOthers()
        self._wasClosed = False
        self._tag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartCloseEvent, self._onClose)
        self._before = self._leftovers()

    def check(self) -> None:
        """All that is promised; brings Live off before, if it is on."""
        panel().logic.stop()
        settled(self._app, panel().logic)
        # Generous, for other programs may load the computer: what matters is that it comes back.
        assert any(isResponsive(self._app) for _try in range(40)), "Slicer is responsive"
        if not self._wasClosed:
            assert self._stateOfOthers() == self._state, "the scene's other nodes are untouched"
        self._useLiveAgain()
        for _try in range(50):  # outside of the event loop, which has timers of the host's own
            if not self._leftOver():
                break
            self._app.spin(timeout=0.1)
        assert self._leftOver() == {}
        assert liveHandThreads() == [] and not gil.lender().isBusy()
        slicer.mrmlScene.RemoveObserver(self._tag)

    def _useLiveAgain(self) -> None:
        self._app.showModule(None)
        widget = self._app.showModule("LiveHand")
        logic = widget.logic
        logic.setModel("")
        logic.setSource(SAMPLE_CLIP)
        assert widget.ui.liveCheckBox.enabled
        widget.ui.liveCheckBox.setChecked(True)
        assert self._app.spin(lambda: logic.frame and logic.frame.hands, timeout=30), "Live can be used again"
        landmarks = logic.getParameterNode().rightLandmarks
        assert landmarks.GetDisplayNode().GetVisibility()
        assert np.isfinite(slicer.util.arrayFromMarkupsControlPoints(landmarks)).all()
        assert not status(widget).startswith("⚠")
        widget.ui.liveCheckBox.setChecked(False)
        settled(self._app, logic)
        assert not widget.ui.liveCheckBox.checked and status(widget) == ""
        assert not landmarks.GetDisplayNode().GetVisibility()

    # What could be left behind

    def _leftovers(self) -> dict[str, set | int]:
        return {
            "threads": {thread.ident for thread in threading.enumerate()},
            "timers": {id(one) for one in gc.get_objects() if isinstance(one, qt.QTimer) and isActive(one)},
            "observers": str(slicer.mrmlScene).count("vtkObserver ("),
            "open files": {file.path for file in psutil.Process().open_files()},
            "temporary files": set(self._folder.rglob("*")),
            "settings' files": {path.name for path in self._settingsFolder.rglob("*") if path.suffix != ".ini"},
        }

    def _leftOver(self) -> dict[str, set | int]:
        now = self._leftovers()
        more = {what: now[what] - self._before[what] for what in now}
        return {what: amount for what, amount in more.items() if (amount if isinstance(amount, set) else amount > 0)}

    # What belongs to somebody else

    def _onClose(self, caller, event) -> None:
        self._wasClosed = True

    @staticmethod
    def _newNodes() -> list:
        sphere = vtk.vtkSphereSource()
        sphere.Update()
        model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Somebody's model")
        model.SetAndObservePolyData(sphere.GetOutput())
        points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Somebody's points")
        points.AddControlPoint(vtk.vtkVector3d(1, 2, 3), "Here")
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Somebody's transform")
        points.SetAndObserveTransformNodeID(transform.GetID())
        volume = slicer.util.addVolumeFromArray(np.arange(8, dtype=np.int16).reshape(2, 2, 2), name="Somebody's volume")
        return [model, points, transform, volume]

    def _stateOfOthers(self) -> list[tuple]:
        """In words and in numbers; a node that is gone has no scene."""
        model, points, transform, volume = self.others
        return [
            *((node.GetScene() is not None, node.GetName(), node.GetTransformNodeID()) for node in self.others),
            (slicer.util.arrayFromModelPoints(model).tobytes(), model.GetDisplayNodeID()),
            slicer.util.arrayFromMarkupsControlPoints(points).tobytes(),
            slicer.util.arrayFromTransformMatrix(transform).tobytes(),
            slicer.util.arrayFromVolume(volume).tobytes(),
        ]
