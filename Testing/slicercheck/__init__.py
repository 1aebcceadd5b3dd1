"""Checks the module in a real Slicer: :mod:`command` starts it, :mod:`steps` runs inside."""
