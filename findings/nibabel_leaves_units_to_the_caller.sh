#!/usr/bin/env bash
# nibabel 5.4.2 (numpy 2.2.6): the unit of length that a NIfTI header states (xyzt_units: metre, millimetre, micron) changes neither
# the affine nor the zooms. A mask in microns over an image in millimetres, both of the same place, are a factor of 1000 apart, and
# a spacing in "mm" taken from the affine of a file in metres makes every distance a thousandth. SimpleITK 2.5.7 converts the same
# files to millimetres, so that the two readers of one file disagree.
# Output seen:
#   meter: nibabel 0.0005, SimpleITK 0.5
#   micron: nibabel 500, SimpleITK 0.5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.2.6
"$folder/env/bin/python" - "$folder/a.nii" <<'PY' | tee "$folder/seen"
import sys

import nibabel
import numpy as np
import SimpleITK as sitk

path = sys.argv[1]
for unit, size in (("meter", 0.0005), ("micron", 500.0)):
    image = nibabel.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.diag([size, size, size, 1]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    read = nibabel.affines.voxel_sizes(nibabel.load(path).affine)[0]
    print(f"{unit}: nibabel {read:.4g}, SimpleITK {sitk.ReadImage(path).GetSpacing()[0]:.4g}")
PY
diff - "$folder/seen" <<'EXPECTED'
meter: nibabel 0.0005, SimpleITK 0.5
micron: nibabel 500, SimpleITK 0.5
EXPECTED
