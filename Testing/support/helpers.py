"""What the tests call, beside the fixtures in :mod:`tests.conftest`: what a person does in the panel."""

import threading

import numpy as np

from support.paths import SAMPLE_CLIP


def liveHandThreads() -> list[str]:
    """Names of the threads that LiveHand has running."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("LiveHand")]


def settled(app, logic) -> None:
    """Run the event loop until nothing of LiveHand is at work."""
    from LiveHandLib.threads import gil

    assert app.spin(lambda: logic.worker.state == "off" and not gil.lender().isBusy(), timeout=120)


def play(app, logic, source, **parameters) -> None:
    """Play a file to its end."""
    logic.setSource(source)
    for name, value in parameters.items():
        setattr(logic.getParameterNode(), name, value)
    logic.start()
    settled(app, logic)


def goLive(app, widget, source=SAMPLE_CLIP) -> None:
    """Tick Live and wait for the hand."""
    widget.logic.setSource(source)
    widget.ui.liveCheckBox.setChecked(True)
    assert app.spin(lambda: widget.logic.frame and widget.logic.frame.hands, timeout=30)


def nodesOfLiveHand() -> list:
    """The scene's nodes whose names begin with the module's."""
    import slicer

    return [node for node in slicer.util.getNodesByClass("vtkMRMLNode") if node.GetName().startswith("LiveHand")]


def labelPixels(label) -> np.ndarray | None:
    """What the panel's label shows; RGB."""
    import qt

    if label.pixmap is None or label.pixmap.isNull():
        return None
    image = label.pixmap.toImage().convertToFormat(qt.QImage.Format_RGB888)
    rows = np.frombuffer(image.bits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


def cameraVolumes() -> list:
    """The scene's volumes of colours, as the camera's image in a slice view is one."""
    import slicer

    return list(slicer.util.getNodesByClass("vtkMRMLVectorVolumeNode"))


def entries(widget) -> list[str]:
    """What the drop-down of sources offers."""
    box = widget.ui.sourceComboBox
    return [box.itemText(index) for index in range(box.count)]


def refreshed(app, widget, *names: str) -> bool:
    """Whether a search for cameras finds these, in this order."""
    widget.ui.refreshButton.click()
    return app.spin(lambda: entries(widget)[: len(names)] == list(names), timeout=10)


def choose(widget, name: str) -> None:
    """Choose an entry of the drop-down as the mouse does."""
    index = entries(widget).index(name)
    widget.ui.sourceComboBox.setCurrentIndex(index)
    widget.sourcePanel.onSourceActivated(index)
