#!/usr/bin/env bash
# SimpleITK 2.5.7 (pydicom 3.0.2, numpy 2.2.6): of an enhanced multi-frame CT, whose frames have a rescale slope and intercept
# of their own (Pixel Value Transformation Sequence per frame, PS3.3, C.7.6.16.2.9) and lie in any order (Plane Position
# Sequence per frame), `ReadImage` gives every frame the first one's slope and intercept and leaves frames in the file's order.
# Values and places are wrong, without a word.
# Below, all stored values are 100; `standard` is slope * 100 + intercept of each frame, in the order of the file.
# Output seen:
#   standard: 100 200 300 at 9 3 6 mm
#   SimpleITK: 100 100 100 at 9 10 11 mm
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check pydicom==3.0.2 numpy==2.2.6 SimpleITK==2.5.7
"$folder/env/bin/python" - "$folder/a.dcm" <<'PY' | tee "$folder/seen"
import sys

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

slopes, places = (1, 2, 3), (9, 3, 6)


def item(**fields):
    dataset = Dataset()
    for name, value in fields.items():
        setattr(dataset, name, value)
    return dataset


image = item(SOPClassUID=EnhancedCTImageStorage, SOPInstanceUID=generate_uid(), StudyInstanceUID=generate_uid())
image.SeriesInstanceUID, image.FrameOfReferenceUID, image.Modality = generate_uid(), generate_uid(), "CT"
image.file_meta = FileMetaDataset()
image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
image.Rows, image.Columns, image.NumberOfFrames, image.SamplesPerPixel = 4, 4, 3, 1
image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
image.PhotometricInterpretation = "MONOCHROME2"
shared = item(PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])])
shared.PixelMeasuresSequence = [item(PixelSpacing=[1, 1], SliceThickness=3)]
image.SharedFunctionalGroupsSequence = [shared]
image.PerFrameFunctionalGroupsSequence = [
    item(
        PlanePositionSequence=[item(ImagePositionPatient=[0, 0, place])],
        PixelValueTransformationSequence=[item(RescaleSlope=slope, RescaleIntercept=0, RescaleType="HU")],
    )
    for slope, place in zip(slopes, places)
]
image.PixelData = np.full((3, 4, 4), 100, "<u2").tobytes()
image.save_as(sys.argv[1], enforce_file_format=True)

read = sitk.ReadImage(sys.argv[1])
values = sitk.GetArrayFromImage(read)[:, 0, 0]
seen = [read.TransformIndexToPhysicalPoint((0, 0, number))[2] for number in range(3)]
print("standard:", *(100 * slope for slope in slopes), "at", *places, "mm")
print("SimpleITK:", *(f"{value:g}" for value in values), "at", *(f"{place:g}" for place in seen), "mm")
PY
diff - "$folder/seen" <<'EXPECTED'
standard: 100 200 300 at 9 3 6 mm
SimpleITK: 100 100 100 at 9 10 11 mm
EXPECTED
