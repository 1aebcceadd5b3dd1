"""Points, traces and registration with a fingertip, and the reference that they are in."""
