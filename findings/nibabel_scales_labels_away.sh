#!/usr/bin/env bash
# nibabel 5.4.2 (numpy 2.2.6): a map of labels computed in floats and saved with the header of its image, the usual three arguments
# `Nifti1Image(labels, scan.affine, scan.header)`, holds no label any more when it is read again. The integer type of the header
# stays, so the values are stored as steps of the largest label / 255 (or / 65535) and come back beside the whole numbers:
# `labels == 1` finds nothing, and `astype(int)` makes label 1 or 3 a 0 or 2, so that structures vanish or become their
# neighbours. Nothing is warned of. The same call with integers, or with a header of floats, keeps every label.
# Output seen (values read back; voxels that equal each label, of one each; labels after astype(int)):
#   float64 labels, uint8 header: 0 0.9961 2; equal 0 0; as int 0 0 2
#   float64 labels, uint8 header: 0 1.0039 1.9922 2.9961 4; equal 0 0 0 0; as int 0 1 1 2 4
#   float64 labels, int16 header: 0 1 2 3 4; equal 0 0 0 0; as int 0 1 2 2 3
#   int64 labels, uint8 header: 0 1 2 3 4; equal 1 1 1 1; as int 0 1 2 3 4
#   float64 labels, float32 header: 0 1 2 3 4; equal 1 1 1 1; as int 0 1 2 3 4
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check nibabel==5.4.2 numpy==2.2.6
"$folder/env/bin/python" - "$folder/labels.nii.gz" <<'PY' | tee "$folder/seen"
import sys

import nibabel
import numpy as np

path = sys.argv[1]
cases = (
    ("float64", "uint8", 2),
    ("float64", "uint8", 4),
    ("float64", "int16", 4),
    ("int64", "uint8", 4),
    ("float64", "float32", 4),
)
for kind, stored, largest in cases:
    scan = nibabel.Nifti1Image(np.zeros((5, 1, 1), stored), np.eye(4))
    labels = np.arange(largest + 1, dtype=kind).reshape(-1, 1, 1)
    nibabel.save(nibabel.Nifti1Image(labels, scan.affine, scan.header), path)
    read = nibabel.load(path).get_fdata().ravel()
    equal = [int((read == label).sum()) for label in range(1, largest + 1)]
    print(f"{kind} labels, {stored} header:", *(f"{value:.4f}".rstrip("0").rstrip(".") for value in read), end="; equal ")
    print(*equal, end="; as int ")
    print(*read.astype(int))
PY
diff - "$folder/seen" <<'EXPECTED'
float64 labels, uint8 header: 0 0.9961 2; equal 0 0; as int 0 0 2
float64 labels, uint8 header: 0 1.0039 1.9922 2.9961 4; equal 0 0 0 0; as int 0 1 1 2 4
float64 labels, int16 header: 0 1 2 3 4; equal 0 0 0 0; as int 0 1 2 2 3
int64 labels, uint8 header: 0 1 2 3 4; equal 1 1 1 1; as int 0 1 2 3 4
float64 labels, float32 header: 0 1 2 3 4; equal 1 1 1 1; as int 0 1 2 3 4
EXPECTED
