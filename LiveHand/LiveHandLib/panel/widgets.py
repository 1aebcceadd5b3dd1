"""Filling Qt's widgets. Knows Qt, nothing of MRML."""

import numpy as np
import qt


def fillComboBox(box, entries: list[tuple[str, str | None]], chosen: str) -> None:
    """Offer entries in a drop-down and choose one of them.

    :param box: the ``qt.QComboBox``.
    :param entries: text and data of each.
    :param chosen: the data of the one to be chosen.
    """
    # Only when they change: a list that the user has just opened would close.
    if entries != [(box.itemText(i), box.itemData(i)) for i in range(box.count)]:
        box.clear()
        for text, data in entries:
            box.addItem(text, data)
    box.setCurrentIndex([data for _text, data in entries].index(chosen))


def pixmap(image: np.ndarray) -> "qt.QPixmap":
    """An image as a label shows it.

    :param image: (height, width, 3) uint8, RGB.
    """
    height, width = image.shape[:2]
    # Of all ways of getting pixels into PythonQt's QImage the fastest, and the only one with rows of any length.
    qImage = qt.QImage(width, height, qt.QImage.Format_RGB888)
    rows = np.frombuffer(qImage.bits(), np.uint8).reshape(height, qImage.bytesPerLine())
    rows[:, : 3 * width] = image.reshape(height, 3 * width)
    return qt.QPixmap.fromImage(qImage)
