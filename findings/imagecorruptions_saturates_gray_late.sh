#!/usr/bin/env bash
# imagecorruptions 1.1.2 (numpy 2.2.6, scikit-image 0.26.0, opencv-python 5.0.0.93): the corruption "saturate", one of the usual
# nineteen, changes no bit of a gray image at severities 1 to 3 and turns it red at 4 and 5: saturation is first multiplied, and a
# gray pixel has none, then from severity 4 on a constant is added, for which the missing hue counts as red. A benchmark of X-rays,
# CT or ultrasound therefore holds three levels on which every model is perfectly robust, whose mean hides the two others, and
# these two show a colour that no gray modality has. For a colour image severities 1 and 2 remove colour, 3 to 5 add it.
# Output seen (mean change of a byte at severities 1 to 5; red, green and blue of one pixel at severity 5):
#   gray: 0.00 0.00 0.00 6.43 12.51; 195 195 195 becomes 195 156 156
#   colour: 19.13 24.67 27.68 27.68 27.68; 195 117 97 becomes 195 39 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check \
  imagecorruptions==1.1.2 numpy==2.2.6 scikit-image==0.26.0 opencv-python==5.0.0.93
"$folder/env/bin/python" - <<'PY' | tee "$folder/seen"
import numpy as np
from imagecorruptions import corrupt

y, x = np.mgrid[:128, :128]
organ = np.clip(40 + 120 * np.exp(-((y - 60) ** 2 + (x - 70) ** 2) / 900) + x / 2, 0, 255).astype(np.uint8)
gray = np.stack([organ] * 3, axis=-1)
colour = np.stack([organ, (organ * 0.6).astype(np.uint8), (organ * 0.5).astype(np.uint8)], axis=-1)
for name, image in (("gray", gray), ("colour", colour)):
    changed = [corrupt(image, corruption_name="saturate", severity=severity) for severity in range(1, 6)]
    means = [np.abs(one.astype(int) - image).mean() for one in changed]
    print(f"{name}:", *(f"{mean:.2f}" for mean in means), end="; ")
    print(*image[60, 70], "becomes", *changed[-1][60, 70])
PY
diff - "$folder/seen" <<'EXPECTED'
gray: 0.00 0.00 0.00 6.43 12.51; 195 195 195 becomes 195 156 156
colour: 19.13 24.67 27.68 27.68 27.68; 195 117 97 becomes 195 39 0
EXPECTED
