#!/usr/bin/env bash
# MONAI 1.6.1 (torch 2.13.0, pydicom 3.0.2, numpy 2.2.6): `PydicomReader` stacks the slices of a series by Instance Number and never by
# their place, then writes an affine of equal steps from the first slice to the last. Instance Number only tells images apart
# (PS3.3, C.7.6.1): scanners count slices as they acquire them, every second one first, and archives renumber. Such a series is
# shuffled, its affine still says that slice k lies at k mm, and a mask of the same grid is laid over other anatomy; no warning
# speaks of it. Slices of one number come in the order of their files. The documentation names no order.
# Below, each slice holds its own place in mm; what stands at each place of the affine is printed.
# Output seen:
#   by place: 1 2 3 4 5 6 at 1 2 3 4 5 6 mm
#   every second slice first: 1 3 5 2 4 6 at 1 2 3 4 5 6 mm
#   every second slice first, downwards: 6 4 2 5 3 1 at 6 5 4 3 2 1 mm
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check monai==1.6.1 torch==2.13.0 pydicom==3.0.2 numpy==2.2.6
mkdir "$folder/series"
"$folder/env/bin/python" - "$folder/series" 2>"$folder/said" <<'PY' | tee "$folder/seen"
import sys

import numpy as np
from monai.transforms import LoadImage
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

study, series, frame = (uid.generate_uid() for _ in range(3))


def write(place, number):
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = uid.CTImageStorage, uid.generate_uid(), "CT"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
    one.Rows, one.Columns, one.SamplesPerPixel, one.InstanceNumber = 4, 4, 1, number
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    one.PhotometricInterpretation, one.RescaleSlope, one.RescaleIntercept = "MONOCHROME2", 1, 0
    one.PixelSpacing, one.SliceThickness = [1, 1], 1
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, place], [1, 0, 0, 0, 1, 0]
    one.PixelData = np.full((4, 4), place, "<u2").tobytes()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    one.save_as(f"{sys.argv[1]}/{place}.dcm", enforce_file_format=True)


for name, numbers in (
    ("by place", (1, 2, 3, 4, 5, 6)),
    ("every second slice first", (1, 4, 2, 5, 3, 6)),
    ("every second slice first, downwards", (6, 3, 5, 2, 4, 1)),
):
    for place, number in enumerate(numbers, start=1):
        write(place, number)
    read = LoadImage(reader="PydicomReader", image_only=True)(sys.argv[1])
    places = [float((read.affine.numpy() @ np.array([0, 0, index, 1.0]))[2]) for index in range(6)]
    print(f"{name}:", *(f"{float(value):g}" for value in read[0, 0]), "at", *(f"{place:g}" for place in places), "mm")
PY
diff - "$folder/seen" <<'EXPECTED'
by place: 1 2 3 4 5 6 at 1 2 3 4 5 6 mm
every second slice first: 1 3 5 2 4 6 at 1 2 3 4 5 6 mm
every second slice first, downwards: 6 4 2 5 3 1 at 6 5 4 3 2 1 mm
EXPECTED
