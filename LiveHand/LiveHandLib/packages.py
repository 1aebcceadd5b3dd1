"""The Python packages LiveHand needs: which are missing, and installing them. Knows Slicer's pip, nothing of Qt."""

import importlib
import importlib.metadata
import subprocess
import tempfile
from pathlib import Path

import slicer
from packaging.requirements import Requirement
from packaging.version import Version
from slicer.i18n import tr as _

from .errors import LiveHandError

OPENCV_DISTRIBUTIONS = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
"""All of them are ``cv2``; two of them overwrite each other's files, so a second one is never installed."""

QUIET_MEDIAPIPE = Version("0.10.31")
"""The MediaPipe that LiveHand requires: it was seen to open no connection while it tracks."""


def _version(distribution: str) -> Version | None:
    try:
        return Version(importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return None


def _isSatisfied(requirement: Requirement) -> bool:
    if requirement.marker and not requirement.marker.evaluate():
        return True
    version = _version(requirement.name)
    if requirement.name == "opencv-python" and version is None:
        return any(_version(distribution) for distribution in OPENCV_DISTRIBUTIONS)
    if version is None:
        return False
    if requirement.name == "mediapipe" and version > QUIET_MEDIAPIPE:
        return True  # another extension's; see unquietMediapipe
    return version in requirement.specifier


def missing(requirementsFile: str | Path) -> list[str]:
    """The requirements that are not met, as pip takes them. Imports none of the packages."""
    lines = [line.strip() for line in Path(requirementsFile).read_text(encoding="utf-8").splitlines()]
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    importlib.invalidate_caches()
    return [str(requirement) for requirement in requirements if not _isSatisfied(requirement)]


def unquietMediapipe() -> str:
    """The version of an installed MediaPipe that may report to Google, or an empty string."""
    version = _version("mediapipe")
    return str(version) if version and version > QUIET_MEDIAPIPE else ""


def install(requirementsFile: str | Path) -> None:
    """Ask the user, then install what is missing, and leave numpy at the version Slicer has.

    :raises LiveHandError: ``installDeclined`` or ``installFailed``.
    """
    requirements = missing(requirementsFile)
    if not requirements:
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            constraints = Path(folder, "constraints.txt")
            numpyVersion = _version("numpy")
            constraints.write_text(f"numpy=={numpyVersion}\n" if numpyVersion else "", encoding="utf-8")
            if _hasPackaging():
                _installWithPackaging(requirements, constraints)
            else:
                _installWithPip(requirements, constraints)
    except (subprocess.CalledProcessError, OSError) as error:
        raise LiveHandError("installFailed", packages=", ".join(requirements)) from error
    if missing(requirementsFile):
        raise LiveHandError("installFailed", packages=", ".join(missing(requirementsFile)))


def _hasPackaging() -> bool:
    try:
        importlib.import_module("slicer.packaging")  # Slicer 5.12 and later
    except ImportError:
        return False
    return True


def _installWithPackaging(requirements: list[str], constraints: Path) -> None:
    try:
        slicer.packaging.pip_ensure(requirements, constraints=constraints, requester="LiveHand")
    except RuntimeError as error:
        raise LiveHandError("installDeclined") from error


def _installWithPip(requirements: list[str], constraints: Path) -> None:
    question = _("LiveHand needs these Python packages:\n\n{packages}\n\nInstall them in Slicer's Python now?")
    if not slicer.util.confirmOkCancelDisplay(question.format(packages="\n".join(requirements)), "LiveHand"):
        raise LiveHandError("installDeclined")
    slicer.util.pip_install([*requirements, "-c", str(constraints)])
