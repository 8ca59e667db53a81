"""SSP-NeRF: a talking portrait as one semantic-aware neural radiance field."""

__version__ = "0.1.0"
