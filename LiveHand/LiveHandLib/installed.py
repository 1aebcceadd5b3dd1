"""Which Python packages are installed, as their files on disk say; none of them is imported. Knows nothing of Slicer.

What ``importlib.metadata.version`` says is not enough: an interrupted installation, or one over another, leaves folders
``*.dist-info`` without metadata, without a version, or of a package that is no longer there. See the Python packaging
specification "Recording installed projects".
"""

import base64
import csv
import functools
import hashlib
import importlib.machinery
import importlib.metadata
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

OPENCV_DISTRIBUTIONS = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
"""All of them are ``cv2``; two of them overwrite each other's files, so a second one is never installed."""


@dataclass(frozen=True)
class Installed:
    """A folder ``*.dist-info``, which says what was installed.

    :ivar name: the package's, normalized: ``"opencv-python"``.
    :ivar folder: the folder itself.
    """

    name: str
    folder: Path

    @functools.cached_property
    def version(self) -> Version | None:
        """The package's; None where the folder has none, or one that is no version."""
        try:
            return Version(importlib.metadata.Distribution.at(self.folder).metadata.get("Version", ""))
        except (ValueError, TypeError, LookupError, OSError):  # no file, no text, no version, or none that is one
            return None

    def requirement(self) -> str:
        """The very version, as pip takes it."""
        return f"{self.name}=={self.version}"

    def dependencies(self) -> list[Requirement]:
        """What the package needs here, without its extras."""
        needed = []
        for text in importlib.metadata.Distribution.at(self.folder).requires or []:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
                needed.append(requirement)
        return needed

    def hasFile(self, name: str) -> bool:
        """Whether the package has brought a file of that name, in whatever folder."""
        return any(path.rpartition("/")[2] == name for path, _hash in self._files)

    def hiddenBy(self) -> Path | None:
        """The folder or file that Python imports in place of the package, or None."""
        found = self._importedFrom()
        path = self._keyFile()
        return found if found and path and path[0].exists() and not _isIn(path[0], found) else None

    def isThere(self) -> bool:
        """Whether the package has a version, and Python would import it from where it was installed."""
        path = self._keyFile()
        if not self.version or not path:
            return bool(self.version)  # what is not recorded speaks for nothing
        found = self._importedFrom()
        return bool(found and path[0].exists() and _isIn(path[0], found))

    def isIntact(self) -> bool:
        """Whether the file that changes from version to version is the one that was installed."""
        path = self._keyFile()
        if not path or not path[1].startswith("sha256="):
            return False
        try:
            digest = hashlib.sha256(path[0].read_bytes()).digest()
        except OSError:
            return False
        return path[1] == "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    @functools.cached_property
    def _files(self) -> list[tuple[str, str]]:
        try:
            with open(self.folder / "RECORD", newline="", encoding="utf-8") as file:
                return [(row[0], row[1]) for row in csv.reader(file) if len(row) > 1]
        except (OSError, ValueError, csv.Error):
            return []

    def _keyFile(self) -> tuple[Path, str] | None:
        """The file that says most of the version, and its hash."""
        for pattern in (r"[^/]+/version\.py", r"[^/]+/__init__\.py", r"[^/]+\.py"):
            for path, digest in self._files:
                if re.fullmatch(pattern, path):
                    return self.folder.parent / path, digest
        return None

    def _importedFrom(self) -> Path | None:
        keyFile = self._keyFile()
        if not keyFile:
            return None
        module = keyFile[0].relative_to(self.folder.parent).parts[0].removesuffix(".py")
        # While it is being imported, cv2 has its own folder on the path, where its library has the package's name.
        own = self.folder.parent / module
        path = [entry for entry in sys.path if not Path(entry).is_relative_to(own)]
        # Not importlib.util.find_spec: what is imported already would be asked where it was.
        spec = importlib.machinery.PathFinder.find_spec(module, path)
        if not spec or not spec.origin:  # nothing, or a folder without a package's files
            return None
        origin = Path(spec.origin)
        return origin.parent if origin.name == "__init__.py" else origin


def _isIn(path: Path, folder: Path) -> bool:
    return folder.exists() and (path.samefile(folder) or path.parent.samefile(folder))


def _all() -> list[Installed]:
    importlib.machinery.PathFinder.invalidate_caches()
    folders = (folder for entry in dict.fromkeys(sys.path) for folder in _distInfos(entry))
    return [Installed(canonicalize_name(folder.name.partition("-")[0]), folder) for folder in folders]


def find(*names: str) -> list[Installed]:
    """Every folder ``*.dist-info`` of packages of these names, in the order in which Python finds them."""
    wanted = {canonicalize_name(name) for name in names}
    return [one for one in _all() if one.name in wanted]


def invalid() -> list[Installed]:
    """The folders ``*.dist-info`` of any package that have no version, at which pip may stop."""
    return [one for one in _all() if not one.version]


def split(found: Iterable[Installed]) -> tuple[Installed | None, list[Installed]]:
    """Find the installation that is there among those that are left over.

    :param found: of one package, or of packages that overwrite each other.
    """
    found = list(found)
    there = [one for one in found if one.isThere()]
    if len(there) > 1:
        there = [one for one in there if one.isIntact()] or there
    return (there[0] if there else None), [one for one in found if one not in there[:1]]


def of(*names: str) -> Installed | None:
    """The package of these names that is there."""
    return split(find(*names))[0]


def _distInfos(entry: str) -> list[Path]:
    try:
        return sorted(Path(entry or ".").glob("*.dist-info"))
    except OSError:
        return []
