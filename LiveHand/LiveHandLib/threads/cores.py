"""On which cores threads run, and in whose favour. Knows only the operating system; on others than Linux, which do not
let a thread choose for those that it starts, nothing happens."""

import contextlib
import os
from collections.abc import Iterator


def reserveCoreForGui() -> None:
    """Keep the calling thread, and the threads that it starts from now on, off one of the computer's cores.

    For detection, which is passed from thread to thread: left to itself, Linux runs these and the GUI thread by
    turns on one core while another one is idle. On two cores LiveHand is a fifth faster without that, and holds up the
    GUI thread less.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(0)
        if len(cores) > 1:
            with contextlib.suppress(OSError):  # a container may forbid it
                os.sched_setaffinity(0, cores - {min(cores)})


@contextlib.contextmanager
def startingBatchThreads() -> Iterator[None]:
    """Threads that the calling thread starts meanwhile are for computing: they do not interrupt others.

    While a camera's hands are detected, another camera's thread may be running Python, for which the GUI thread waits.
    """
    if not hasattr(os, "SCHED_BATCH"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, policy, priority)
