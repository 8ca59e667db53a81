"""Metrics of talking portraits, one a file, each with its reference, protocol and pitfalls.

Pictures are (H, W, 3) uint8 RGB, masks (H, W) bool, landmarks (..., P, 2) pixels, speech 16 kHz
mono. A figure that is not defined (no pixel in the mask, no face in the frame) is nan.
"""
