"""The camera model, and finding it with a board."""
