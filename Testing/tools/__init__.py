"""The demo, and the scripts that make the repository's images and the module's resources."""
