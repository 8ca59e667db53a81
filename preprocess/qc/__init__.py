"""What each stage saw, as pictures and short videos for people to look at.

A command for each picture, `python -m preprocess.qc.landmarks --help`; the workflow calls them all.
"""
