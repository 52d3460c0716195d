#!/usr/bin/env bash
# SciPy 1.17.1 (numpy 2.2.6; pingouin 0.7.0 hands on what it says): the paired t test of areas that are stored as unsigned integers,
# as counts of pixels and grades often are, subtracts them in their own type. A loss of 12 pixels counts as a gain of 65,524, so
# the sign turns and p falls from 0.01 to 1e-16: "significantly larger" of areas that are all smaller. Nothing is raised or warned of.
# `wilcoxon` of the same two arrays answers rightly, and so does `ttest_rel` of signed ones. The line is the same in SciPy 1.18.1.
# Output seen (first array minus second; five pairs, the first smaller in each):
#   int64: t -4.46, p 1.1e-02, wilcoxon p of "first smaller" 0.031, interval of pingouin -29 to -7
#   uint16: t 16228.07, p 8.7e-17, wilcoxon p of "first smaller" 0.031, interval of pingouin 65507 to 65529
#   uint32: t 1063814871.55, p 4.7e-36, wilcoxon p of "first smaller" 0.031, interval of pingouin 4294967267 to 4294967289
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check scipy==1.17.1 numpy==2.2.6 pingouin==0.7.0
"$folder/env/bin/python" -W error - 2>"$folder/said" <<'PY' | tee "$folder/seen"
import numpy as np
import pingouin
from scipy.stats import ttest_rel, wilcoxon

before = np.array([412, 550, 619, 405, 464])
after = before - np.array([12, 30, 9, 25, 14])
for kind in (np.int64, np.uint16, np.uint32):
    first, second = after.astype(kind), before.astype(kind)
    test = ttest_rel(first, second)
    low, high = next(v for v in pingouin.ttest(first, second, paired=True).iloc[0] if isinstance(v, np.ndarray))
    print(f"{kind.__name__}: t {test.statistic:.2f}, p {test.pvalue:.1e}, "
          f'wilcoxon p of "first smaller" {wilcoxon(first, second, alternative="less").pvalue:.3f}, '
          f"interval of pingouin {low:.0f} to {high:.0f}")
PY
diff - "$folder/seen" <<'EXPECTED'
int64: t -4.46, p 1.1e-02, wilcoxon p of "first smaller" 0.031, interval of pingouin -29 to -7
uint16: t 16228.07, p 8.7e-17, wilcoxon p of "first smaller" 0.031, interval of pingouin 65507 to 65529
uint32: t 1063814871.55, p 4.7e-36, wilcoxon p of "first smaller" 0.031, interval of pingouin 4294967267 to 4294967289
EXPECTED
