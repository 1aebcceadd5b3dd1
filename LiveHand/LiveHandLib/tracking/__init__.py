"""The worker: a thread that detects, and its signals. Knows Qt, nothing of MRML."""
