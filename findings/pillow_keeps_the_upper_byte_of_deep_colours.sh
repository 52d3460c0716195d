#!/usr/bin/env bash
# Pillow 12.0.0 (numpy 2.2.6, tifffile 2025.10.16): a TIFF with 16 bits for each of red, green and blue is opened as mode RGB
# with 8 bits: the upper byte of every value is kept. Endoscopes and microscopes of 12 bits store values up to 4095, of which
# 15 levels are left: the image is nearly black, nothing is said, and a gray TIFF of the same values keeps all 16 bits (mode
# I;16), so that the two halves of one data set differ by a factor of 257.
# Output seen:
#   colour: mode RGB, largest value 15, levels 16
#   gray: mode I;16, largest value 4095, levels 4096
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check Pillow==12.0.0 numpy==2.2.6 tifffile==2025.10.16
"$folder/env/bin/python" - "$folder" <<'PY' | tee "$folder/seen"
import sys

import numpy as np
import tifffile
from PIL import Image

values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
for name, pixels, kind in (("colour", np.stack([values] * 3, axis=-1), "rgb"), ("gray", values, "minisblack")):
    path = f"{sys.argv[1]}/{name}.tif"
    tifffile.imwrite(path, pixels, photometric=kind)
    with Image.open(path) as image:
        read = np.asarray(image)
        print(f"{name}: mode {image.mode}, largest value {read.max()}, levels {len(np.unique(read))}")
PY
diff - "$folder/seen" <<'EXPECTED'
colour: mode RGB, largest value 15, levels 16
gray: mode I;16, largest value 4095, levels 4096
EXPECTED
