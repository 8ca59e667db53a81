"""What a generated video says of itself: metadata, a standard term, a signature on request."""
