"""Joint angles and recordings."""
