"""What is kept: with the scene, and with the user."""
