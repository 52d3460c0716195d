#!/usr/bin/env bash
# segmentation-models-pytorch 0.6.0 (torch 2.13.0, numpy 2.2.6): with `reduction="weighted-imagewise"` every score (Dice, IoU, recall, ...)
# is divided by the number of classes. The weights are first brought to a sum of one and the weighted scores then averaged instead
# of added, so perfect masks of three classes score 0.33, of ten classes 0.10. The reduction "weighted" of the same counts
# adds them: 1.00. "macro" and "macro-imagewise" with weights, which are said to serve `weighted*` alone, divide too. The documentation
# calls all of them averages. A half right model of two classes so beats a perfect one of five, and no gate at 0.8 is ever passed.
# Output seen (Dice of two images, classes of equal size):
#   2 classes, perfect: weighted 1.00, weighted-imagewise 0.50, macro-imagewise 0.50
#   3 classes, perfect: weighted 1.00, weighted-imagewise 0.33, macro-imagewise 0.33
#   10 classes, perfect: weighted 1.00, weighted-imagewise 0.10, macro-imagewise 0.10
#   3 classes, a third wrong: weighted 0.67, weighted-imagewise 0.22, macro-imagewise 0.22
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.2.6
# Its metrics need torch alone; the networks beside them would need torchvision, timm and more.
"$folder/env/bin/pip" install -q --disable-pip-version-check --no-deps segmentation-models-pytorch==0.6.0
packages=$("$folder/env/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
cd "$folder"
PYTHONPATH="$packages/segmentation_models_pytorch" "$folder/env/bin/python" - <<'PY' | tee "$folder/seen"
import torch
from metrics import f1_score, get_stats

NAMES = ("weighted", "weighted-imagewise", "macro-imagewise")


def scores(classes, predicted, reference):
    counts = get_stats(predicted, reference, mode="multiclass", num_classes=classes)
    return [f1_score(*counts, reduction=name, class_weights=[1.0] * classes) for name in NAMES]


for classes, wrong in ((2, 0), (3, 0), (10, 0), (3, 20)):
    # Bands of equal height, one for each class; a wrong mask calls the right end of each band its neighbour.
    reference = torch.arange(classes).repeat_interleave(6).view(1, -1, 1).expand(2, -1, 60).contiguous()
    predicted = reference.clone()
    predicted[:, :, 60 - wrong :] = (predicted[:, :, 60 - wrong :] + 1) % classes
    seen = zip(NAMES, scores(classes, predicted, reference))
    what = "a third wrong" if wrong else "perfect"
    print(f"{classes} classes, {what}:", ", ".join(f"{name} {score:.2f}" for name, score in seen))
PY
diff - "$folder/seen" <<'EXPECTED'
2 classes, perfect: weighted 1.00, weighted-imagewise 0.50, macro-imagewise 0.50
3 classes, perfect: weighted 1.00, weighted-imagewise 0.33, macro-imagewise 0.33
10 classes, perfect: weighted 1.00, weighted-imagewise 0.10, macro-imagewise 0.10
3 classes, a third wrong: weighted 0.67, weighted-imagewise 0.22, macro-imagewise 0.22
EXPECTED
