"""The panel's parts, and what it says."""
