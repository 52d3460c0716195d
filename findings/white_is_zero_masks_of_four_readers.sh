#!/usr/bin/env bash
# Pillow 13.0.0, tifffile 2026.3.3, opencv-python-headless 5.0.0.93, SimpleITK 2.5.7 (numpy 2.2.6): one TIFF mask, read as itself or as its
# complement. Where a TIFF says that 0 is white (PhotometricInterpretation 0, as ImageJ writes masks with an inverting table), Pillow
# and OpenCV turn values of 1 and 8 bits but not those of 16, tifffile and SimpleITK none, and nobody warns. Reference and prediction of
# two readers are then complements: Dice 0 for equal masks. SimpleITK gives a mask of 1 bit four channels, of which the last
# (opacity) is 255 everywhere, so that `mask > 0` holds in every pixel, also where black is zero. ITK's pull request 6636 of
# July 2026 turns white that is zero; version 2.5.7 of SimpleITK does not have it.
# Output seen (pixels above 0 of a mask in which 24 of 384 are stored as not 0; in brackets, how many channels):
#   white is zero, 1 bit: Pillow 360, tifffile 24, OpenCV 360, SimpleITK 384 (4)
#   white is zero, 8 bits: Pillow 360, tifffile 24, OpenCV 360, SimpleITK 24 (1)
#   white is zero, 16 bits: Pillow 24, tifffile 24, OpenCV 24, SimpleITK 24 (1)
#   black is zero, 1 bit: Pillow 24, tifffile 24, OpenCV 24, SimpleITK 384 (4)
#   black is zero, 8 bits: Pillow 24, tifffile 24, OpenCV 24, SimpleITK 24 (1)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check Pillow==13.0.0 tifffile==2026.3.3 opencv-python-headless==5.0.0.93 \
  SimpleITK==2.5.7 numpy==2.2.6
"$folder/env/bin/python" - "$folder/a.tif" <<'PY' | tee "$folder/seen"
import sys

import cv2
import numpy as np
import SimpleITK as sitk
import tifffile
from PIL import Image

path = sys.argv[1]
inside = np.zeros((16, 24), bool)
inside[4:8, 6:12] = True
stored = {"1 bit": inside, "8 bits": inside * np.uint8(255), "16 bits": inside * np.uint16(65535)}
for zero, bits in (("white", "1 bit"), ("white", "8 bits"), ("white", "16 bits"), ("black", "1 bit"), ("black", "8 bits")):
    tifffile.imwrite(path, stored[bits], photometric=f"minis{zero}")
    read = sitk.GetArrayFromImage(sitk.ReadImage(path)).reshape(16, 24, -1)
    seen = {"Pillow": np.asarray(Image.open(path)), "tifffile": tifffile.imread(path), "OpenCV": cv2.imread(path, cv2.IMREAD_UNCHANGED)}
    counts = ", ".join(f"{name} {(pixels > 0).sum()}" for name, pixels in seen.items())
    print(f"{zero} is zero, {bits}: {counts}, SimpleITK {(read > 0).any(axis=-1).sum()} ({read.shape[-1]})")
PY
diff - "$folder/seen" <<'EXPECTED'
white is zero, 1 bit: Pillow 360, tifffile 24, OpenCV 360, SimpleITK 384 (4)
white is zero, 8 bits: Pillow 360, tifffile 24, OpenCV 360, SimpleITK 24 (1)
white is zero, 16 bits: Pillow 24, tifffile 24, OpenCV 24, SimpleITK 24 (1)
black is zero, 1 bit: Pillow 24, tifffile 24, OpenCV 24, SimpleITK 384 (4)
black is zero, 8 bits: Pillow 24, tifffile 24, OpenCV 24, SimpleITK 24 (1)
EXPECTED
