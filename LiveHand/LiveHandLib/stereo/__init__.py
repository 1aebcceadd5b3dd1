"""One hand seen by two cameras: where they are, and where its landmarks are."""
