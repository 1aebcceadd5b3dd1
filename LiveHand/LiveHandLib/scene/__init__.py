"""The nodes in the MRML scene."""
