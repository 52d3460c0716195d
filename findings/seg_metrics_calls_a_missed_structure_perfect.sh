#!/usr/bin/env bash
# seg-metrics 1.2.8 (numpy 2.2.6, SimpleITK 2.5.7): where a model paints nothing of a structure, or paints one that is not there, every
# distance is 0.0, the value of perfect masks: HD, HD95 and the mean, median and spread of surface distances. So a mean HD95 gets
# better with each structure that a model misses, and HD95 alone cannot tell a miss from a perfect mask; the warning that is
# logged speaks of precision and recall only. Volume similarity says 0 for equal masks, but 1 where both are empty, so that two kinds
# of agreement lie as far apart as a volume that is half as large again.
# Output seen:
#   moved by 2: dice 0.80, hd 2.00, hd95 2.00, msd 1.00, vs 0.00
#   missed: dice 0.00, hd 0.00, hd95 0.00, msd 0.00, vs -2.00
#   invented: dice 0.00, hd 0.00, hd95 0.00, msd 0.00, vs 2.00
#   equal: dice 1.00, hd 0.00, hd95 0.00, msd 0.00, vs 0.00
#   both empty: dice 1.00, hd 0.00, hd95 0.00, msd 0.00, vs 1.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check seg-metrics==1.2.8 numpy==2.2.6 SimpleITK==2.5.7
"$folder/env/bin/python" - 2>"$folder/warnings" <<'PY' | tee "$folder/seen"
import numpy as np
from seg_metrics.seg_metrics import write_metrics

empty = np.zeros((1, 64, 64), np.uint8)
square, moved = empty.copy(), empty.copy()
square[0, 10:20, 10:20] = 1
moved[0, 12:22, 10:20] = 1
cases = {
    "moved by 2": (square, moved),
    "missed": (square, empty),
    "invented": (empty, square),
    "equal": (square, square),
    "both empty": (empty, empty),
}
for name, (reference, predicted) in cases.items():
    (scores,) = write_metrics(labels=[1], gdth_img=reference, pred_img=predicted, spacing=np.ones(3))
    print(f"{name}:", ", ".join(f"{metric} {scores[metric][0]:.2f}" for metric in ("dice", "hd", "hd95", "msd", "vs")))
PY
diff - "$folder/seen" <<'EXPECTED'
moved by 2: dice 0.80, hd 2.00, hd95 2.00, msd 1.00, vs 0.00
missed: dice 0.00, hd 0.00, hd95 0.00, msd 0.00, vs -2.00
invented: dice 0.00, hd 0.00, hd95 0.00, msd 0.00, vs 2.00
equal: dice 1.00, hd 0.00, hd95 0.00, msd 0.00, vs 0.00
both empty: dice 1.00, hd 0.00, hd95 0.00, msd 0.00, vs 1.00
EXPECTED
