#!/usr/bin/env bash
# MedPy 0.5.2 (numpy 2.2.6, scipy 1.15.3): for two empty masks dc and jc answer 1.0 while precision and recall of the same pair
# answer 0.0. Dice is the harmonic mean of the two everywhere else, so a table with all four contradicts itself on exactly
# the images on which model and reference agree that there is nothing; a mean of recall is pulled down by correct answers.
# Output seen:
#   both empty: dc 1.0 jc 1.0 precision 0.0 recall 0.0
#   half: dc 0.667 from precision and recall 0.667
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check MedPy==0.5.2 numpy==2.2.6 scipy==1.15.3
"$folder/env/bin/python" - <<'PY' | tee "$folder/seen"
import numpy as np
from medpy.metric import binary

empty = np.zeros((16, 16), bool)
print("both empty:", *(f"{name} {getattr(binary, name)(empty, empty):.1f}" for name in ("dc", "jc", "precision", "recall")))
reference, prediction = empty.copy(), empty.copy()
reference[:8], prediction[:4] = True, True
precision, recall = binary.precision(prediction, reference), binary.recall(prediction, reference)
both = 2 * precision * recall / (precision + recall)
print(f"half: dc {binary.dc(prediction, reference):.3f} from precision and recall {both:.3f}")
PY
diff - "$folder/seen" <<'EXPECTED'
both empty: dc 1.0 jc 1.0 precision 0.0 recall 0.0
half: dc 0.667 from precision and recall 0.667
EXPECTED
