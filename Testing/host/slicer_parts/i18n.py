"""Translations: the host has none, every text stays as it is, but goes the way that it goes in Slicer."""

import sys
from pathlib import Path

import slicer


def translate(context, text):
    """The text in the application's language."""
    return slicer.app.translate(context, text) if hasattr(slicer, "app") else text


def getContext(sourceFile):
    """The context of the texts of a file: its name, after that of its package if it is in one."""
    path = Path(sourceFile)
    return f"{path.parent.name}.{path.stem}" if (path.parent / "__init__.py").is_file() else path.stem


def tr(text):
    """The text in the application's language, with the calling file as the context."""
    if not isinstance(text, str):
        raise TypeError(f"expected str, got {type(text).__name__}")
    return translate(getContext(sys._getframe(1).f_code.co_filename), text)
