"""What the tests share: the module's folder on the path, the material they read, and one host application."""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
SAMPLE_CLIP = ROOT / "Resources" / "SampleHand.mp4"
MODEL = ROOT / "Resources" / "hand_landmarker.task"

sys.path[:0] = [str(ROOT / "LiveHand"), str(ROOT / "Testing")]


@pytest.fixture
def shared() -> Path:
    """The material that may not go into the project."""
    if not SHARED.is_dir():
        pytest.skip("the shared material is not beside the checkout; only these tests read it")
    return SHARED


@pytest.fixture(scope="session")
def model() -> bytes:
    """The hand model, after the packages have been imported."""
    from LiveHandLib import tracking

    tracking.importPackages()
    return tracking.loadModel(MODEL)


@pytest.fixture
def writeClip(tmp_path):
    """Writes a clip of plain pictures whose grey tells their number, at a rate in pictures a second."""
    import cv2

    def write(frames: int, rate: float, name: str = "clip.avi") -> str:
        path = str(tmp_path / name)
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), rate, (64, 48))
        for number in range(frames):
            writer.write(np.full((48, 64, 3), 2 * number, np.uint8))
        writer.release()
        return path

    return write


def liveHandThreads() -> list[str]:
    """Names of the threads that LiveHand has running."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("LiveHand")]
