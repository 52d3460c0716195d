#!/usr/bin/env bash
# SimpleITK 2.5.7 (numpy 2.2.6): an NRRD file without the field "space" (or with a space of the scanner) says nothing about
# where its axes lead in the patient. SimpleITK reads it with an identity direction, which in its convention means that the
# first axis runs to the patient's left and the second to the back, and gives no warning. What is left and what is right is
# then a guess that looks like a fact: the same voxels written with "space: right-anterior-superior" have the opposite
# direction. The only trace is the absence of NRRD_space among the metadata.
# Output seen:
#   no space: direction 1 0 0 0 1 0 0 0 1, NRRD_space absent
#   scanner-xyz: direction 1 0 0 0 1 0 0 0 1, NRRD_space scanner-xyz
#   right-anterior-superior: direction -1 0 0 0 -1 0 0 0 1, NRRD_space left-posterior-superior
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check SimpleITK==2.5.7 numpy==2.2.6
"$folder/env/bin/python" - "$folder/a.nrrd" <<'PY' | tee "$folder/seen"
import sys

import numpy as np
import SimpleITK as sitk

path = sys.argv[1]
voxels = np.arange(24, dtype=np.uint8).tobytes()
placed = "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)"
for name, fields in (
    ("no space", "spacings: 1 1 1"),
    ("scanner-xyz", f"space: scanner-xyz\n{placed}"),
    ("right-anterior-superior", f"space: right-anterior-superior\n{placed}"),
):
    head = f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 4\n{fields}\nencoding: raw\n\n"
    with open(path, "wb") as file:
        file.write(head.encode() + voxels)
    image = sitk.ReadImage(path)
    space = image.GetMetaData("NRRD_space") if "NRRD_space" in image.GetMetaDataKeys() else "absent"
    print(f"{name}: direction {' '.join(f'{value + 0.0:g}' for value in image.GetDirection())}, NRRD_space {space}")
PY
diff - "$folder/seen" <<'EXPECTED'
no space: direction 1 0 0 0 1 0 0 0 1, NRRD_space absent
scanner-xyz: direction 1 0 0 0 1 0 0 0 1, NRRD_space scanner-xyz
right-anterior-superior: direction -1 0 0 0 -1 0 0 0 1, NRRD_space left-posterior-superior
EXPECTED
