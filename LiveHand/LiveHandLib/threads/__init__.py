"""Threads under Slicer: who has the GIL, and when it is lent."""
