"""Reports pinches to other modules by Qt signals. Knows Qt, nothing of MRML."""

import qt


class PinchSignals(qt.QObject):
    """What pinching hands do, for whom it may concern.

    Signals:

    - ``pinchStarted(Pinch)``: a hand has closed thumb and index finger; see :class:`scene.gestures.Pinch`.
    - ``pinchMoved(Pinch)``: the same in each frame while it holds and is seen surely.
    - ``pinchEnded(Pinch)``: it has opened its fingers, or was lost, or was told to let go.
    - ``changed()``: what the hands hold, or why they hold nothing, is something else than before.
    """

    pinchStarted = qt.Signal(object)
    pinchMoved = qt.Signal(object)
    pinchEnded = qt.Signal(object)
    changed = qt.Signal()

    def __init__(self) -> None:
        qt.QObject.__init__(self)

    def report(self, name: str, pinch: object) -> None:
        """Emit a signal.

        :param name: the signal's.
        :param pinch: its argument.
        """
        getattr(self, name).emit(pinch)

    def close(self) -> None:
        """Delete this object: PythonQt crashes at exit on an object with Python signals that is still there."""
        self.delete()
