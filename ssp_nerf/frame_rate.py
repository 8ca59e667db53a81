"""The frame rate, for those that must not need HDF5 to know it: Snakemake's own environment."""

FPS = 25.0
"""Frames per second of everything after `crop_video` (paper, section 4.1)."""
