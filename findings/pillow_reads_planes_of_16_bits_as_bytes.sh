#!/usr/bin/env bash
# Pillow 12.0.0 (numpy 2.2.6, tifffile 2025.10.16): an uncompressed TIFF with 16 bits for each of red, green and blue, whose
# channels lie one after the other (PlanarConfiguration 2), opens as mode RGB without a word, but each byte of a row counts as a
# pixel: low and high bytes of the left half take turns, the right half is missing. With 8 bits, or with the channels of a
# pixel together, the same colours are read rightly (to their upper byte).
# Below, the red values of one row are 5, 21, 37, ... in their upper byte and 7 in their lower one.
# Output seen:
#   planes: mode RGB, red 7 5 7 21 7 37 7 53
#   together: mode RGB, red 5 21 37 53 69 85 101 117
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

upper = np.tile(np.arange(8, dtype=np.uint16) * 16 + 5, (4, 1))
planes = np.stack([upper * 256 + 7] * 3)
for name, pixels, kind in (("planes", planes, "separate"), ("together", np.moveaxis(planes, 0, -1), "contig")):
    path = f"{sys.argv[1]}/{name}.tif"
    tifffile.imwrite(path, np.ascontiguousarray(pixels), photometric="rgb", planarconfig=kind)
    with Image.open(path) as image:
        print(f"{name}: mode {image.mode}, red {' '.join(map(str, np.asarray(image)[0, :, 0]))}")
PY
diff - "$folder/seen" <<'EXPECTED'
planes: mode RGB, red 7 5 7 21 7 37 7 53
together: mode RGB, red 5 21 37 53 69 85 101 117
EXPECTED
