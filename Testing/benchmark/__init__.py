"""What is measured rather than tested: speed, accuracy, and an hour of being live."""
