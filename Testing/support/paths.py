"""Where the repository's files are that tests, measurements and tools read."""

from pathlib import Path

TESTING = Path(__file__).resolve().parent.parent
ROOT = TESTING.parent
SHARED = ROOT.parent / "shared"  # the material that may not go into the project, where there is some
MODULE = ROOT / "LiveHand" / "LiveHand.py"
RESOURCES = MODULE.parent / "Resources"
SAMPLE_CLIP = RESOURCES / "SampleHand.mp4"
MODEL = RESOURCES / "hand_landmarker.task"
MESH = RESOURCES / "HandMesh.npz"
REQUIREMENTS = RESOURCES / "requirements.txt"
IMAGES = ROOT / "Resources"  # the documentation's
