"""Starts the host application as Slicer is started: with Slicer's options, and the script in its event loop."""

import argparse
import os
import stat
import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import qt
import slicer

from host.application import Application


class ErrorLog:
    """``slicer.app.errorLogModel()`` of what is written to stderr; each line is an error, as in Slicer.

    It is read from the file that stderr is; empty where it is none.
    """

    def _lines(self):
        isFile = hasattr(os, "pread") and stat.S_ISREG(os.fstat(2).st_mode)
        return os.pread(2, 1 << 24, 0).decode(errors="replace").splitlines() if isFile else []

    def logEntryCount(self):
        return len(self._lines())

    def logEntryDescription(self, row):
        return self._lines()[row]

    def index(self, row, column):
        return types.SimpleNamespace(data=lambda: "Error")


def main():
    """Returns the exit code that the script has asked for, or 1 if something has left a slot as an exception."""
    parser = argparse.ArgumentParser()
    for option in ("--no-splash", "--disable-settings", "--ignore-slicerrc"):
        parser.add_argument(option, action="store_true")  # as the host is anyway
    parser.add_argument("--additional-module-path", type=Path, required=True)
    parser.add_argument("--python-script", required=True)
    options, arguments = parser.parse_known_args()

    application = Application(testing=True)
    slicer.app.errorLogModel = ErrorLog
    for path in sorted(options.additional_module_path.glob("*.py")):
        application.loadModule(path)

    def runScript():  # in the main namespace, as Slicer does
        sys.argv = [options.python_script, *arguments]
        names = vars(sys.modules["__main__"])
        names["__file__"] = options.python_script
        exec(compile(Path(options.python_script).read_text(), options.python_script, "exec"), names)

    qt.QTimer.singleShot(0, runScript)
    code = application.exec("kept")
    application.close()
    return code or (1 if application.errors else 0)


if __name__ == "__main__":
    sys.exit(main())
