"""The calibrations of the user's cameras. Knows cameras and intrinsics, nothing of Qt or MRML."""

from pathlib import Path
from urllib.parse import quote

from ..calibration.intrinsics import CalibrationFolder, Intrinsics
from ..camera import devices
from ..camera.devices import Camera
from ..errors import LiveHandError
from ..stereo.pair import CameraPair


class CameraCalibrations:
    """Keeps and finds the calibrations of a source: a camera, or a file, which is kept by its name.

    A camera that mirrors is another one: its principal point lies on the other side.

    :param folder: where they are kept.

    :ivar folder: the :class:`CalibrationFolder`.
    :ivar failure: why those asked for last could not be read, a :class:`LiveHandError`, or None.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = CalibrationFolder(folder)
        self.failure: LiveHandError | None = None

    def of(self, source: Camera | str, isMirrored: bool) -> tuple[Intrinsics, ...]:
        """The source's calibrations, the newest first, one for each resolution; none where they cannot be read."""
        self.failure = None
        try:
            kept = (self.folder.load(name) for name in self._names(source, isMirrored))
            return next(filter(None, kept), ())
        except LiveHandError as error:
            self.failure = error
            return ()

    def keep(self, source: Camera | str, isMirrored: bool, calibration: Intrinsics) -> None:
        """Add one, in place of one for the same resolution.

        :raises LiveHandError: ``noSource``, or ``calibrationNotSaved``.
        """
        names = self._names(source, isMirrored)
        if not names:
            raise LiveHandError("noSource")
        self.folder.save(names[0], calibration)

    def forget(self, source: Camera | str, isMirrored: bool) -> None:
        """Delete all of a source.

        :raises LiveHandError: ``calibrationNotSaved`` when that is not possible.
        """
        for name in self._names(source, isMirrored):
            self.folder.forget(name)

    @staticmethod
    def _names(source: Camera | str, isMirrored: bool) -> tuple[str, ...]:
        names = devices.calibrationNames(source) if isinstance(source, Camera) else (Path(source).name,)
        return tuple(name + (" (mirrored)" if isMirrored else "") for name in names if name)


class CameraPairs:
    """Keeps where two cameras are to each other, for each two of them.

    :param folder: where that is kept; it need not be there yet.

    :ivar failure: why the pair asked for last could not be read, a :class:`LiveHandError`, or None.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.failure: LiveHandError | None = None

    def of(self, first: Camera | str, second: Camera | str) -> CameraPair | None:
        """The pair that is kept for two sources; None if there is none, or it cannot be read."""
        path, self.failure = self._path(first, second), None
        try:
            return CameraPair.load(path) if path.exists() else None
        except LiveHandError as error:
            self.failure = error
            return None

    def keep(self, first: Camera | str, second: Camera | str, pair: CameraPair) -> None:
        """Keep a pair in place of the one before.

        :raises LiveHandError: ``calibrationNotSaved``.
        """
        pair.save(self._path(first, second))

    def _path(self, first: Camera | str, second: Camera | str) -> Path:
        names = [CameraCalibrations._names(source, isMirrored=False)[0] for source in (first, second)]
        return self._folder / (" + ".join(quote(name, safe=" ()") for name in names) + ".yml")
