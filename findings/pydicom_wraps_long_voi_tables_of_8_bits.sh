#!/usr/bin/env bash
# pydicom 3.0.2 (numpy 2.2.6): `apply_voi` (so `apply_voi_lut`) counts the place of a value in a table for display (VOI LUT
# Sequence) in the type of the table's entries. A table with entries of 8 bits is therefore entered at the place modulo 256:
# values past its end, which DICOM (PS3.3, C.11.2.1.1) maps to its last entry, begin again at its first, and of a table with more
# than 256 entries only the first 256 are ever used. Bright tissue is shown black, in bands, without a word. The same table with
# entries of 16 bits is applied as the standard says.
# Below, a table of straight lines over 12-bit values: `standard` is computed value by value as the standard words it.
# Output seen:
#   256 entries, 8 bits: pydicom 0 100 255 0 76 160, standard 0 100 255 255 255 255
#   4096 entries, 8 bits: pydicom 0 6 15 0 4 9, standard 0 6 15 15 68 249
#   4096 entries, 16 bits: pydicom 0 1600 4080 4096 17604 64014, standard 0 1600 4080 4096 17604 64014
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check pydicom==3.0.2 numpy==2.2.6
"$folder/env/bin/python" - <<'PY' | tee "$folder/seen"
import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_voi


def by_the_standard(value, first, entries):
    if value <= first:
        return entries[0]
    return entries[min(value - first, len(entries) - 1)]


values = [0, 100, 255, 256, 1100, 4000]
for count, bits in ((256, 8), (4096, 8), (4096, 16)):
    entries = [number * (2**bits - 1) // (count - 1) for number in range(count)]
    table, image = Dataset(), Dataset()
    table.add_new("LUTDescriptor", "US", [count, 0, bits])
    table.add_new("LUTData", "US", entries)
    image.VOILUTSequence = [table]
    seen = apply_voi(np.array(values, dtype=np.uint16), image)
    wanted = [by_the_standard(value, 0, entries) for value in values]
    print(f"{count} entries, {bits} bits: pydicom {' '.join(map(str, seen))}, standard {' '.join(map(str, wanted))}")
PY
diff - "$folder/seen" <<'EXPECTED'
256 entries, 8 bits: pydicom 0 100 255 0 76 160, standard 0 100 255 255 255 255
4096 entries, 8 bits: pydicom 0 6 15 0 4 9, standard 0 6 15 15 68 249
4096 entries, 16 bits: pydicom 0 1600 4080 4096 17604 64014, standard 0 1600 4080 4096 17604 64014
EXPECTED
