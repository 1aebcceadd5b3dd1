"""Takes what MediaPipe's library writes to the process's stderr. Knows nothing but Python.

Slicer's error log puts a pipe in place of the file descriptor 2 and takes each line for an error
(ctkErrorLogFDMessageHandler). MediaPipe writes information and warnings there, and leaves no choice: abseil writes
everything to stderr until ``absl::InitializeLog`` is called (its ``log/log_sink.h``), which MediaPipe's library neither
does nor exports, and TensorFlow Lite's ``MinimalLogger`` has no level that could be set from outside.
"""

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

_STDERR = 2
_HARMLESS = re.compile(rb"(INFO|WARNING): |[IW]\d{4} \d\d:\d\d:")
"""How lines of information and warnings begin: TensorFlow Lite's, and abseil's with severity, month and day, time."""

_lock = threading.Lock()  # there is one file descriptor 2 in a process


@contextlib.contextmanager
def taken() -> Iterator[list[str]]:
    """Keep lines of information and warnings from stderr meanwhile; all others arrive there afterwards.

    That holds for whatever thread writes them, in whatever language, so this is for short calls. Where there is no
    stderr, as in applications with windows on Windows, nothing is done.

    :returns: a list that has the lines when the context is left.
    """
    lines: list[str] = []
    with _lock, contextlib.ExitStack() as stack:
        file = None
        with contextlib.suppress(OSError):
            stderr = os.dup(_STDERR)
            stack.callback(os.close, stderr)
            file = stack.enter_context(_file())
            os.dup2(file.fileno(), _STDERR)
        try:
            yield lines
        finally:
            if file:
                os.dup2(stderr, _STDERR)
                file.seek(0)
                written = file.read().splitlines(keepends=True)
                lines += [line.decode(errors="replace").strip() for line in written if _HARMLESS.match(line)]
                _write(b"".join(line for line in written if not _HARMLESS.match(line)))


def _file() -> IO[bytes]:
    # Not a pipe: nobody would read it meanwhile, and who writes into a full one waits for ever.
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("LiveHand messages"), "w+b")
    return tempfile.TemporaryFile(prefix="LiveHand-messages-")


def _write(content: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody reads it any more
        while content:
            content = content[os.write(_STDERR, content) :]
