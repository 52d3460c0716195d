#!/usr/bin/env bash
# MedPy 0.5.2 and surface-distance 0.1 (numpy 2.2.6, scipy 1.15.3): two libraries that medical papers cite for HD95 answer 0.0 and
# 20.5 for one pair of masks, though their HD is equal to all digits. MedPy puts the distances of both directions into one list
# and takes its 95th percentile; surface-distance takes the larger of the two directed percentiles, each weighted by the length of
# the outline. A false speck of 2 x 2 pixels far from the object is less than 5% of the joint list and vanishes, but it is more than
# 5% of its own direction. HD95 of two papers, or a limit in a gate, cannot be compared unless the definition is stated.
# Output seen:
#   speck of 2 x 2: HD95 MedPy 0.00, surface-distance 20.52; HD 22.63, 22.63
#   speck of 3 x 3: HD95 MedPy 0.99, surface-distance 21.26; HD 22.63, 22.63
#   speck of 4 x 4: HD95 MedPy 19.74, surface-distance 21.26; HD 22.63, 22.63
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check MedPy==0.5.2 surface-distance==0.1 numpy==2.2.6 scipy==1.15.3
"$folder/env/bin/python" - <<'PY' | tee "$folder/seen"
import numpy as np
import surface_distance
from medpy.metric import binary

reference = np.zeros((64, 64), bool)
reference[20:40, 20:40] = True


def speck(side):
    mask = reference.copy()
    mask[4 : 4 + side, 4 : 4 + side] = True
    return mask


for side in (2, 3, 4):
    prediction = speck(side)
    distances = surface_distance.compute_surface_distances(reference, prediction, (1.0, 1.0))
    both = [surface_distance.compute_robust_hausdorff(distances, percent) for percent in (95, 100)]
    print(f"speck of {side} x {side}: HD95 MedPy {binary.hd95(prediction, reference):.2f}, surface-distance {both[0]:.2f}; "
          f"HD {binary.hd(prediction, reference):.2f}, {both[1]:.2f}")
PY
diff - "$folder/seen" <<'EXPECTED'
speck of 2 x 2: HD95 MedPy 0.00, surface-distance 20.52; HD 22.63, 22.63
speck of 3 x 3: HD95 MedPy 0.99, surface-distance 21.26; HD 22.63, 22.63
speck of 4 x 4: HD95 MedPy 19.74, surface-distance 21.26; HD 22.63, 22.63
EXPECTED
