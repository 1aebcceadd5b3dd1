"""The files that come with the module. Knows where they are, nothing else."""

from pathlib import Path


def resourcePath(name: str) -> Path:
    """A file of the folder ``Resources`` beside ``LiveHand.py``."""
    return Path(__file__).resolve().parent.parent / "Resources" / name
