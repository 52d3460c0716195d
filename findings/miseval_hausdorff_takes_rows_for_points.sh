#!/usr/bin/env bash
# MISeval 1.3.0 (hausdorff 0.2.6, numpy 2.2.6, scipy 1.15.3): the metric "HD" hands the two masks to a function that expects lists
# of points, so each row of an image counts as one point. What comes back is the square root of a number of pixels and no distance in
# the image: a square that lost 2, 6 or 10 of its 12 columns is 1.41, 2.45, 3.16 away instead of 2, 6, 10; moved by 12 or by 16 columns
# it answers the same; and both masks turned by 90 degrees answer 0.00, the perfect score, for an object that lies elsewhere, since
# the same rows occur in both. Nothing is raised or warned of.
# Output seen:
#   2 of 12 columns lost: HD 1.41, distance 2.00
#   6 of 12 columns lost: HD 2.45, distance 6.00
#   10 of 12 columns lost: HD 3.16, distance 10.00
#   moved by 12 columns: HD 3.46, turned 0.00, distance 12.00
#   moved by 16 columns: HD 3.46, turned 0.00, distance 16.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check miseval==1.3.0 hausdorff==0.2.6 numpy==2.2.6 scipy==1.15.3
"$folder/env/bin/python" -W ignore - <<'PY' | tee "$folder/seen"
import numpy as np
from miseval import evaluate
from scipy.spatial.distance import directed_hausdorff

square = np.zeros((48, 48), int)
square[8:20, 8:20] = 1


def true_distance(a, b):
    a, b = np.argwhere(a), np.argwhere(b)
    return max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0])


for lost in (2, 6, 10):
    part = square.copy()
    part[:, 20 - lost : 20] = 0
    print(f"{lost} of 12 columns lost: HD {evaluate(square, part, metric='HD'):.2f}, distance {true_distance(square, part):.2f}")
for step in (12, 16):
    moved = np.roll(square, step, axis=1)
    turned = evaluate(np.rot90(square).copy(), np.rot90(moved).copy(), metric="HD")
    print(f"moved by {step} columns: HD {evaluate(square, moved, metric='HD'):.2f}, turned {turned:.2f}, "
          f"distance {true_distance(square, moved):.2f}")
PY
diff - "$folder/seen" <<'EXPECTED'
2 of 12 columns lost: HD 1.41, distance 2.00
6 of 12 columns lost: HD 2.45, distance 6.00
10 of 12 columns lost: HD 3.16, distance 10.00
moved by 12 columns: HD 3.46, turned 0.00, distance 12.00
moved by 16 columns: HD 3.46, turned 0.00, distance 16.00
EXPECTED
