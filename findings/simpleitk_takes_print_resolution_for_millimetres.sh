#!/usr/bin/env bash
# SimpleITK 2.5.7 (Pillow 13.0.0, numpy 2.2.6): the resolution for printing in a JPEG or TIFF (dots per inch, which cameras and editors
# write as 72, 96 or 300 whatever is shown) becomes the spacing in mm, but that of a PNG or BMP does not: 1. So an image as JPEG and
# its mask as PNG, of the same size and with the same resolution, lie in two spaces. `Resample(mask, image)`, the usual call for
# bringing a mask onto its image, gives an empty mask or a part of it, enlarged, without a word, and areas and distances "in mm"
# depend on the format of the file. TorchIO 1.2.1 reads these formats through SimpleITK and states the same spacings. One challenge's
# organisers found the number in their results (rse-grand-challenge, issue 774); the formats in SimpleITK's documentation come without it.
# Output seen (spacing of each format; pixels of a mask of 100 at rows and columns 20 to 29, resampled onto its image):
#   72 dpi: JPEG 0.3528, TIFF 0.3528, PNG 1, BMP 1
#   300 dpi: JPEG 0.08467, TIFF 0.08467, PNG 1, BMP 1
#   mask 100 pixels, on the JPEG of no dpi 100, of 72 dpi 64, of 300 dpi 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check SimpleITK==2.5.7 Pillow==13.0.0 numpy==2.2.6
"$folder/env/bin/python" - "$folder" <<'PY' | tee "$folder/seen"
import sys

import numpy as np
import SimpleITK as sitk
from PIL import Image

pixels = np.zeros((64, 64), np.uint8)
pixels[20:30, 20:30] = 1


def saved(name, dpi):
    path = f"{sys.argv[1]}/{name}"
    Image.fromarray(pixels).save(path, **({"dpi": (dpi, dpi)} if dpi else {}))
    return sitk.ReadImage(path)


for dpi in (72, 300):
    names = {"JPEG": "a.jpg", "TIFF": "a.tif", "PNG": "a.png", "BMP": "a.bmp"}
    print(f"{dpi} dpi:", ", ".join(f"{kind} {saved(name, dpi).GetSpacing()[0]:.4g}" for kind, name in names.items()))
seen = []
for dpi in (None, 72, 300):
    mask, image = saved("mask.png", dpi), saved("image.jpg", dpi)
    resampled = sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor)
    seen.append(int(sitk.GetArrayFromImage(resampled).sum()))
print(f"mask {pixels.sum()} pixels, on the JPEG of no dpi {seen[0]}, of 72 dpi {seen[1]}, of 300 dpi {seen[2]}")
PY
diff - "$folder/seen" <<'EXPECTED'
72 dpi: JPEG 0.3528, TIFF 0.3528, PNG 1, BMP 1
300 dpi: JPEG 0.08467, TIFF 0.08467, PNG 1, BMP 1
mask 100 pixels, on the JPEG of no dpi 100, of 72 dpi 64, of 300 dpi 0
EXPECTED
