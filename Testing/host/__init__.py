"""A small host that runs unchanged 3D Slicer scripted modules outside of Slicer, for tests, demo and benchmarks.

The scene, the displayable managers and ``slicer.util`` are Slicer's own (PyPI: slicer-core), put together by
trame-slicer; Qt is PySide6 under PythonQt's rules, or a real PythonQt if the process has one. Start with
``host.application.Application``.
"""

import os
import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent

# A module says "import ctk, qt, slicer, vtk": the first two are files of this folder ...
sys.path.insert(0, str(_FOLDER))

if sys.platform.startswith("linux"):
    # Rendering is off screen always, for which EGL needs no X server; VTK reads this when it is loaded.
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import slicer  # noqa: E402

# ... and these are the parts of the slicer package that slicer-core doesn't have.
slicer.__path__.append(str(_FOLDER / "slicer_parts"))
