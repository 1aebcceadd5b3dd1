"""Cameras and files: which there are, and their frames."""
