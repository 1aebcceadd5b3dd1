"""Images for Qt's widgets. Knows Qt, nothing of MRML."""

import numpy as np
import qt


def pixmap(pixels: np.ndarray) -> "qt.QPixmap":
    """A picture as a label shows it.

    :param pixels: (height, width, 3) uint8, RGB.
    """
    height, width = pixels.shape[:2]
    # Of all ways of getting pixels into PythonQt's QImage the fastest, and the only one with rows of any length.
    image = qt.QImage(width, height, qt.QImage.Format_RGB888)
    rows = np.frombuffer(image.bits(), np.uint8).reshape(height, image.bytesPerLine())
    rows[:, : 3 * width] = pixels.reshape(height, 3 * width)
    return qt.QPixmap.fromImage(image)
