#!/usr/bin/env bash
# statsmodels 0.15.0 (numpy 2.2.6, scipy 1.17.1): McNemar's test of two models, in the form for many cases (`exact=False`), answers
# p = 0.0 where the models agree on every case: the continuity correction turns the difference of 0 into -1, whose square is divided by the
# number of cases on which they differ, 0. A gate that asks for p < 0.05 calls two equal models different beyond any doubt. With one or
# five cases lost on each side, which is no difference at all, p is 0.48 and 0.75 instead of 1, as the exact form and `SquareTable.symmetry`
# of the same package say. All that is said is numpy's warning of a division by zero. The documentation names no such case.
# Output seen (lost on either side; p):
#   0 and 0: exact 1.00, exact=False 0.00, symmetry 1.00
#   1 and 1: exact 1.00, exact=False 0.48, symmetry 1.00
#   5 and 5: exact 1.00, exact=False 0.75, symmetry 1.00
#   9 and 1: exact 0.02, exact=False 0.03, symmetry 0.01
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check statsmodels==0.15.0 scipy==1.17.1 numpy==2.2.6
"$folder/env/bin/python" - 2>"$folder/said" <<'PY' | tee "$folder/seen"
import numpy as np
from statsmodels.stats.contingency_tables import SquareTable, mcnemar

for first, second in ((0, 0), (1, 1), (5, 5), (9, 1)):
    table = np.array([[800, first], [second, 200]])
    symmetry = SquareTable(table, shift_zeros=False).symmetry().pvalue
    print(f"{first} and {second}: exact {mcnemar(table).pvalue:.2f}, exact=False {mcnemar(table, exact=False).pvalue:.2f}, "
          f"symmetry {symmetry:.2f}")
PY
diff - "$folder/seen" <<'EXPECTED'
0 and 0: exact 1.00, exact=False 0.00, symmetry 1.00
1 and 1: exact 1.00, exact=False 0.48, symmetry 1.00
5 and 5: exact 1.00, exact=False 0.75, symmetry 1.00
9 and 1: exact 0.02, exact=False 0.03, symmetry 0.01
EXPECTED
