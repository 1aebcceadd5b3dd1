"""Finding hands in images with MediaPipe."""
