"""Starts the host application as Slicer is started: with Slicer's options, and the script in its event loop."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import qt

from host.application import Application


def main():
    """Returns the exit code that the script has asked for, or 1 if something has left a slot as an exception."""
    parser = argparse.ArgumentParser()
    for option in ("--no-splash", "--disable-settings", "--ignore-slicerrc"):
        parser.add_argument(option, action="store_true")  # as the host is anyway
    parser.add_argument("--additional-module-path", type=Path, required=True)
    parser.add_argument("--python-script", required=True)
    options, arguments = parser.parse_known_args()

    application = Application(testing=True)
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
