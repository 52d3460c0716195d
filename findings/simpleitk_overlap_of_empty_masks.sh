#!/usr/bin/env bash
# SimpleITK 2.5.7 (numpy 2.2.6): LabelOverlapMeasuresImageFilter of two empty masks answers Dice = inf and
# Jaccard = 1.7976931348623157e+308, the largest double, without an error or a warning. Neither is NaN, so nanmean keeps
# them: one image on which model and reference agree that there is nothing makes the mean of a whole set infinite.
# With a painted first image and an empty second one Dice is 0.0, but the false negative error is the largest double too;
# the other way round it is 1.0.
# HausdorffDistanceImageFilter raises for the same masks, so only the overlaps go wrong in silence.
# Output seen:
#   both empty: inf 1.7976931348623157e+308 1.7976931348623157e+308
#   second empty: 0.0 0.0 1.7976931348623157e+308
#   first empty: 0.0 0.0 1.0
#   nanmean of three Dice: inf
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check SimpleITK==2.5.7 numpy==2.2.6
"$folder/env/bin/python" - <<'PY' | tee "$folder/seen"
import numpy as np
import SimpleITK as sitk

empty = np.zeros((32, 32), np.uint8)
mask = empty.copy()
mask[8:20, 8:20] = 1


def overlap(first, second):
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(sitk.GetImageFromArray(first), sitk.GetImageFromArray(second))
    return measures.GetDiceCoefficient(), measures.GetJaccardCoefficient(), measures.GetFalseNegativeError()


print("both empty:", *overlap(empty, empty))
print("second empty:", *overlap(mask, empty))
print("first empty:", *overlap(empty, mask))
print("nanmean of three Dice:", np.nanmean([overlap(mask, mask)[0], overlap(mask, empty)[0], overlap(empty, empty)[0]]))
PY
diff - "$folder/seen" <<'EXPECTED'
both empty: inf 1.7976931348623157e+308 1.7976931348623157e+308
second empty: 0.0 0.0 1.7976931348623157e+308
first empty: 0.0 0.0 1.0
nanmean of three Dice: inf
EXPECTED
