"""What hands do (pinches) and what that moves: views, slices, transforms."""
