"""Tells in seconds whether a video will train well: measures, a verdict with reasons, a picture."""
