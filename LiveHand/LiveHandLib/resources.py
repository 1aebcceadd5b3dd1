"""The files that come with the module. Knows where they are, nothing else."""

from pathlib import Path


def resourcePath(name: str) -> Path:
    """A file of ``Resources``: beside ``LiveHand.py`` as installed, a folder above it in the sources."""
    here = Path(__file__).resolve().parent.parent
    installed = here / "Resources" / name
    return installed if installed.exists() else here.parent / "Resources" / name
