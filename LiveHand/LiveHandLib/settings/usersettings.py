"""What the user chose whatever the scene is, kept in Slicer's settings. Knows Qt and Slicer's settings."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import qt
import slicer

from ..camera.devices import Camera
from ..pose.proportions import DISTANCES


class UserSettings:
    """The user's settings of the module; each is read where Slicer keeps it, at every call.

    A scene that has no parameters yet begins with the user's. What is changed in the parameter node from then on is
    the user's choice; what a scene of somebody else brings is not.
    """

    PARAMETERS = (
        "palmWidthMm",
        "smoothingMs",
        "tipOffsetMm",
        "padOffsetMm",
        "referenceColumns",
        "referenceRows",
        "referenceSquareMm",
        "referenceMarker",
        "referenceMarkerMm",
        "printedLineMm",
    )
    """The parameters that belong to the user, by their names in the parameter node."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    # Parameters

    def recall(self, parameterNode: Any) -> None:
        """Set a new parameter node's parameters to what the user chose last."""
        for name in self.PARAMETERS:
            value = self._value(name)
            # What is stored may come from another version.
            with contextlib.suppress(ValueError, TypeError):
                if value is not None:
                    setattr(parameterNode, name, type(getattr(parameterNode, name))(value))

    def note(self, parameterNode: Any) -> None:
        """Take the values that a parameter node has now for the scene's, not for the user's choice."""
        self._known = {name: getattr(parameterNode, name) for name in self.PARAMETERS}

    def remember(self, parameterNode: Any) -> None:
        """Store what has changed in a parameter node since :meth:`note`."""
        for name, known in self._known.items():
            value = getattr(parameterNode, name)
            if value != known:
                self._known[name] = value
                self._setValue(name, value)

    # Cameras

    def lastCamera(self) -> str:
        """The name of the camera that was live last; empty if none was."""
        return str(self._value("camera", ""))

    def setLastCamera(self, camera: Camera) -> None:
        """Store the camera that goes live."""
        self._setValue("camera", camera.name)

    def resolution(self, camera: Camera) -> str | None:
        """The resolution chosen last for a camera, as the parameter node has it; None if none was."""
        value = self._value(self._resolutionKey(camera))
        return None if value is None else str(value)

    def setResolution(self, camera: Camera, resolution: str) -> None:
        """Store the resolution chosen for a camera."""
        self._setValue(self._resolutionKey(camera), resolution)

    @staticmethod
    def _resolutionKey(camera: Camera) -> str:
        return f"Resolution/{quote(camera.name, safe='')}"

    @staticmethod
    def calibrationFolder() -> Path:
        """Where the calibrations of the user's cameras are."""
        return Path(slicer.app.slicerUserSettingsFilePath).parent / "LiveHand" / "Calibrations"

    @staticmethod
    def pairFolder() -> Path:
        """Where it is kept where two of the user's cameras are to each other."""
        return Path(slicer.app.slicerUserSettingsFilePath).parent / "LiveHand" / "Pairs"

    # Hands

    def boneLengths(self, palmWidthMm: float) -> tuple[float, ...]:
        """What two cameras have learnt of the user's hands, see :class:`bones.BoneLengths`, mm; empty if nothing.

        :param palmWidthMm: what the user has entered; lengths learnt under another one are of another hand.
        """
        try:
            width, *lengths = (float(value) for value in str(self._value("BoneLengths", "")).split())
        except ValueError:  # nothing is stored, or not by this version
            return ()
        return tuple(lengths) if abs(width - palmWidthMm) < 0.01 and len(lengths) == len(DISTANCES) else ()

    def setBoneLengths(self, palmWidthMm: float, lengthsMm: Iterable[float]) -> None:
        """Store what two cameras have learnt."""
        self._setValue("BoneLengths", " ".join(f"{value:.2f}" for value in (palmWidthMm, *lengthsMm)))

    def forgetBoneLengths(self) -> None:
        """Have one camera's pose use the proportions of most hands again."""
        self._setValue("BoneLengths", "")

    def color(self, side: str) -> tuple[float, float, float] | None:
        """The colour that the user gave the skin of a hand, RGB from 0 to 1; None for the module's own.

        :param side: ``"Left"`` or ``"Right"``.
        """
        color = qt.QColor(str(self._value(f"{side}Color", "")))
        return (color.redF(), color.greenF(), color.blueF()) if color.isValid() else None

    def setColor(self, side: str, color: tuple[float, float, float]) -> None:
        """Store the colour of a hand's skin."""
        self._setValue(f"{side}Color", qt.QColor.fromRgbF(*color).name())

    # Consent

    def agreedMediapipe(self) -> str:
        """The version of MediaPipe of which the user knows what it sends, and agreed; empty if none."""
        return str(self._value("AgreedMediaPipe", ""))

    def setAgreedMediapipe(self, version: str) -> None:
        """Store that the user agreed to a version of MediaPipe."""
        self._setValue("AgreedMediaPipe", version)

    # Slicer's settings

    @staticmethod
    def _value(name: str, default: str | None = None) -> Any:
        return slicer.app.userSettings().value(f"LiveHand/{name}", default)

    @staticmethod
    def _setValue(name: str, value: object) -> None:
        slicer.app.userSettings().setValue(f"LiveHand/{name}", value)
