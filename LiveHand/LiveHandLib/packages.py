"""The Python packages LiveHand needs: which are missing, and installing them. Knows Slicer's pip, nothing of Qt."""

import importlib
import importlib.util
import platform
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import slicer
from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version
from slicer.i18n import tr as _

from . import installed
from .errors import LiveHandError
from .installed import OPENCV_DISTRIBUTIONS, Installed

QUIET_MEDIAPIPE = Version("0.10.31")
"""The MediaPipe that LiveHand requires: it was seen to open no connection while it tracks."""

PLATFORMS = (("win32", "amd64"), ("linux", "x86_64"), ("darwin", "arm64"))
"""What that MediaPipe has wheels for: ``sys.platform`` and ``platform.machine()``, in lower case."""

_IMPORTED_AS = {"opencv-python": "cv2", "mediapipe": "mediapipe"}


def _read(requirementsFile: str | Path) -> list[Requirement]:
    lines = [line.strip() for line in Path(requirementsFile).read_text(encoding="utf-8").splitlines()]
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [requirement for requirement in requirements if not requirement.marker or requirement.marker.evaluate()]


def _distributions(requirement: Requirement) -> tuple[str, ...]:
    """The packages any of which meets a requirement."""
    return OPENCV_DISTRIBUTIONS if requirement.name in OPENCV_DISTRIBUTIONS else (requirement.name,)


def _accepts(requirement: Requirement, version: Version) -> bool:
    if requirement.name == "mediapipe" and version > QUIET_MEDIAPIPE:
        return True  # another extension's; see mediapipeWithTelemetry
    return requirement.specifier.contains(version, prereleases=True)


def _missing(requirementsFile: str | Path) -> Iterator[Requirement]:
    importlib.invalidate_caches()
    for requirement in _read(requirementsFile):
        if requirement.name == "numpy":
            continue  # Slicer's, and left at the version it has; what goes with it is for pip to say
        there, others = installed.split(installed.find(*_distributions(requirement)))
        if there and _accepts(requirement, there.version):
            if there.version in requirement.specifier:
                yield from _missingDependencies(there)
        else:
            # Of the packages that are all cv2, the one that was chosen once is to stay the only one.
            requirement.name = next((one.name for one in (there, *others) if one), requirement.name)
            yield requirement


def _missingDependencies(package: Installed) -> Iterator[Requirement]:
    for requirement in package.dependencies():
        if requirement.name != "numpy" and not installed.of(*_distributions(requirement)):
            requirement.marker = None
            yield requirement


def missing(requirementsFile: str | Path) -> list[str]:
    """The requirements that are not met, as pip takes them. Imports none of the packages.

    Any version of numpy will do: it is Slicer's own, or was put in its place by another extension, which needs it.
    """
    return [str(requirement) for requirement in _missing(requirementsFile)]


def obstacle(requirementsFile: str | Path) -> LiveHandError | None:
    """What about the packages keeps Live from going on, and what helps: ``packageMissing``, ``packageHidden`` where
    another one of the same name comes first on Python's path, or ``restartNeeded`` where an older one has been
    imported already; None if all is well."""
    for requirement in _missing(requirementsFile):
        for one in installed.find(*_distributions(requirement)):
            if one.version and _accepts(requirement, one.version) and (folder := one.hiddenBy()):
                return LiveHandError("packageHidden", package=one.name, folder=str(folder))
        return LiveHandError("packageMissing", package=str(requirement))
    for requirement in _read(requirementsFile):
        version = getattr(sys.modules.get(_IMPORTED_AS.get(requirement.name, "")), "__version__", None)
        try:
            if version and not _accepts(requirement, Version(version)):
                return LiveHandError("restartNeeded", package=requirement.name, version=version)
        except InvalidVersion:
            continue  # somebody's own build
    return None


def mediapipeWithTelemetry() -> str:
    """The version of an installed MediaPipe that may report to Google, or an empty string."""
    mediapipe = installed.of("mediapipe")
    return str(mediapipe.version) if mediapipe and mediapipe.version > QUIET_MEDIAPIPE else ""


def install(requirementsFile: str | Path) -> None:
    """Ask the user, then install what is missing, and leave numpy at the version it has.

    What earlier installations of the same packages left over is removed first, for pip would take it for the package.

    :raises LiveHandError: ``installDeclined``, why it failed, see :func:`_prepare` and :func:`_explain`, or what is in
        the way afterwards, see :func:`obstacle`.
    """
    requirements = list(_missing(requirementsFile))
    if not requirements:
        return
    _raiseIf(obstacle(requirementsFile), "packageHidden")
    there, leftOver = {}, []
    for name in [*(requirement.name for requirement in requirements), "numpy"]:
        there[name], others = installed.split(installed.find(name))
        leftOver += [one for one in others if not one.hiddenBy()]  # which is whole, in another folder
    _prepare(requirements)
    _ask(requirements, there, leftOver)
    words = [str(requirement) for requirement in requirements]
    try:
        for one in leftOver:
            shutil.rmtree(one.folder)
        with tempfile.TemporaryDirectory() as folder:
            constraints, log = Path(folder, "constraints.txt"), Path(folder, "pip.log")
            version = there["numpy"].version if there["numpy"] else np.__version__
            constraints.write_text(f"numpy=={version}\n", encoding="utf-8")
            try:
                slicer.util.pip_install([*words, "-c", str(constraints), "--log", str(log)])
            except (subprocess.CalledProcessError, OSError, RuntimeError) as error:
                text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
                raise _explain(text, words, str(version), str(error)) from error
    except OSError as error:
        raise LiveHandError("installFailed", packages=", ".join(words), detail=str(error)) from error
    if missing(requirementsFile) == words:
        _raiseIf(obstacle(requirementsFile), "packageHidden")
        raise LiveHandError("installElsewhere", packages=", ".join(words))
    _raiseIf(obstacle(requirementsFile))


def _raiseIf(error: LiveHandError | None, *reasons: str) -> None:
    if error and (not reasons or error.reason in reasons):
        raise error


def _prepare(requirements: list[Requirement]) -> None:
    """Find out what would make pip fail before anything is changed.

    :raises LiveHandError: ``installPlatform``, ``pipMissing`` or ``installNotWritable``.
    """
    machine = platform.machine()
    isSupported = (sys.platform, machine.lower()) in PLATFORMS
    if not isSupported and any(requirement.name == "mediapipe" for requirement in requirements):
        raise LiveHandError("installPlatform", platform=f"{platform.system()} {machine}")
    if not importlib.util.find_spec("pip"):
        raise LiveHandError("pipMissing")
    folder = sysconfig.get_path("purelib")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if not site.ENABLE_USER_SITE:  # where pip would put them otherwise
            raise LiveHandError("installNotWritable", folder=folder) from error


def _ask(requirements: list[Requirement], there: dict[str, Installed | None], leftOver: list[Installed]) -> None:
    lines = [
        _("{package} (in place of {version})").format(package=requirement, version=before.version)
        if (before := there[requirement.name])
        else str(requirement)
        for requirement in requirements
    ]
    question = _("LiveHand needs these Python packages:\n\n{packages}\n\nInstall them in Slicer's Python now?").format(
        packages="\n".join(lines)
    )
    if leftOver:
        question += "\n\n" + _("What earlier installations left over will be removed:\n\n{folders}").format(
            folders="\n".join(str(one.folder) for one in leftOver)
        )
    if not slicer.util.confirmOkCancelDisplay(question, "LiveHand"):
        raise LiveHandError("installDeclined")


def _explain(log: str, words: list[str], numpy: str, error: str) -> LiveHandError:
    """Why pip failed.

    Slicer's ``pip_install`` only prints what pip says, so pip writes it into a file as well, in English.

    :param log: what pip wrote with its option ``--log``.
    :param error: what there is to be said without it.
    """
    packages = ", ".join(words)
    errors = [line.partition("ERROR: ")[2] for line in log.splitlines() if "ERROR: " in line]
    leftOver = installed.invalid()
    if leftOver and re.search("invalid-installed-package|uninstall-no-record-file", log):
        return LiveHandError("installLeftOver", folders=", ".join(str(one.folder) for one in leftOver))
    unavailable = re.search(r"No matching distribution found for (\S+)", log)
    if re.search(r"No space left on device|\[Errno 28\]|\[WinError 112\]", log):
        return LiveHandError("installDiskFull", packages=packages)
    if re.search(r"Permission ?denied|\[Errno 13\]|\[WinError (5|32)\]", "\n".join(errors), re.IGNORECASE):
        return LiveHandError("installInUse", packages=packages)
    if "ResolutionImpossible" in log and "(constraint) numpy" in log:
        return LiveHandError("installConflict", packages=packages, version=numpy)
    if re.search(r"Could not fetch URL \S+: (connection error|There was a problem confirming the ssl)", log) or (
        not unavailable and re.search(r"Max retries exceeded|ReadTimeout|IncompleteRead|ConnectionReset", log)
    ):
        return LiveHandError("installOffline", packages=packages)
    if unavailable:
        return LiveHandError("installUnavailable", package=unavailable[1])
    said = re.findall(r"^\S+,\d{3} (?!WARNING)[\w.]+: (.+)$", log, re.MULTILINE)  # "ERROR: ..." or an exception
    return LiveHandError("installFailed", packages=packages, detail=said[-1] if said else error)
