"""Where the repository's files are that tests, measurements and tools read."""

from pathlib import Path

TESTING = Path(__file__).resolve().parent.parent
ROOT = TESTING.parent
SHARED = ROOT.parent / "shared"  # the material that may not go into the project, where there is some
MODULE = ROOT / "LiveHand" / "LiveHand.py"
SAMPLE_CLIP = ROOT / "Resources" / "SampleHand.mp4"
MODEL = ROOT / "Resources" / "hand_landmarker.task"
MESH = ROOT / "Resources" / "HandMesh.npz"
