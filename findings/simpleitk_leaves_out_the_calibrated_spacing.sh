#!/usr/bin/env bash
# SimpleITK 2.5.7 (pydicom 3.0.2, numpy 2.2.6): of a projection X-ray (CR, DX, MG, XA) that states the pixel size in the patient,
# Pixel Spacing (0028,0030), `GetSpacing` gives the size at the detector, Imager Pixel Spacing (0018,1164); where only the size in the
# patient is stated, it gives 1 mm. Where the two differ, Pixel Spacing is the one that was corrected for magnification or
# calibrated with an object of known size (PS3.3, 10.7.1.1). Of an ultrasound image the scale of its region (Physical Delta X and Y, in
# cm; PS3.3, C.8.5.5) is left out too: 1 mm. Nothing is warned of. Distances in "mm" are too long by the magnification, or wrong by any
# factor; areas by its square. The same number in a CT or a secondary capture is read. pydicom shows all fields.
# Output seen (stated in the patient and at the detector; spacing of SimpleITK):
#   CR: stated 0.14 and nothing, SimpleITK 1
#   CR: stated 0.14 and 0.2, SimpleITK 0.2
#   DX: stated 0.14 and 0.2, SimpleITK 0.2
#   MG: stated 0.14 and 0.2, SimpleITK 0.2
#   XA: stated 0.14 and nothing, SimpleITK 1
#   XA: stated 0.14 and 0.2, SimpleITK 0.2
#   US: stated 0.14 and nothing, SimpleITK 1
#   CT: stated 0.14 and nothing, SimpleITK 0.14
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.2.6
"$folder/env/bin/python" - "$folder/a.dcm" <<'PY' | tee "$folder/seen"
import sys

import numpy as np
import SimpleITK as sitk
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset


def item(**fields):
    dataset = Dataset()
    for name, value in fields.items():
        setattr(dataset, name, value)
    return dataset


def image(kind, modality, in_patient, at_detector):
    one = item(SOPClassUID=kind, SOPInstanceUID=uid.generate_uid(), Modality=modality, Rows=8, Columns=8, SamplesPerPixel=1)
    one.StudyInstanceUID, one.SeriesInstanceUID = uid.generate_uid(), uid.generate_uid()
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 8, 8, 7, 0
    one.PhotometricInterpretation, one.PixelData = "MONOCHROME2", np.zeros((8, 8), np.uint8).tobytes()
    if modality == "US":
        area = item(RegionSpatialFormat=1, RegionDataType=1, RegionFlags=0, PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3)
        area.RegionLocationMinX0, area.RegionLocationMinY0, area.RegionLocationMaxX1, area.RegionLocationMaxY1 = 0, 0, 7, 7
        area.PhysicalDeltaX = area.PhysicalDeltaY = in_patient / 10
        one.SequenceOfUltrasoundRegions = [area]
    else:
        one.PixelSpacing = [in_patient] * 2
    if at_detector:
        one.ImagerPixelSpacing = [at_detector] * 2
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return one


for kind, modality, at_detector in (
    (uid.ComputedRadiographyImageStorage, "CR", None),
    (uid.ComputedRadiographyImageStorage, "CR", 0.2),
    (uid.DigitalXRayImageStorageForPresentation, "DX", 0.2),
    (uid.DigitalMammographyXRayImageStorageForPresentation, "MG", 0.2),
    (uid.XRayAngiographicImageStorage, "XA", None),
    (uid.XRayAngiographicImageStorage, "XA", 0.2),
    (uid.UltrasoundImageStorage, "US", None),
    (uid.CTImageStorage, "CT", None),
):
    image(kind, modality, 0.14, at_detector).save_as(sys.argv[1], enforce_file_format=True)
    seen = sitk.ReadImage(sys.argv[1]).GetSpacing()[0]
    print(f"{modality}: stated 0.14 and {at_detector or 'nothing'}, SimpleITK {seen:g}")
PY
diff - "$folder/seen" <<'EXPECTED'
CR: stated 0.14 and nothing, SimpleITK 1
CR: stated 0.14 and 0.2, SimpleITK 0.2
DX: stated 0.14 and 0.2, SimpleITK 0.2
MG: stated 0.14 and 0.2, SimpleITK 0.2
XA: stated 0.14 and nothing, SimpleITK 1
XA: stated 0.14 and 0.2, SimpleITK 0.2
US: stated 0.14 and nothing, SimpleITK 1
CT: stated 0.14 and nothing, SimpleITK 0.14
EXPECTED
