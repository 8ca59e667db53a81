"""A video file in, one `dataset.h5` out; one module for each stage, each of them also a command."""
