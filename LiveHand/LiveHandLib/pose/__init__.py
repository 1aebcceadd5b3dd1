"""From landmarks in the image to a hand with a side and a place in millimetres."""
