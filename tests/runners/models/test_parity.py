"""Logits equal those of the authors' code on the reference vectors, whatever form the checkpoint has.

With ``PARITY_TABLE=PATH`` the measured errors are written as a Markdown table, as docs/models.md shows it.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from robustness.runners.models.load import load_model

KIT = Path(__file__).parents[3].parent / "shared" / "checkpoints"
pytestmark = pytest.mark.skipif(not KIT.is_dir(), reason="the reference vectors do not lie beside the checkout")

slow = pytest.mark.slow
CASES = [
    *(("cris", "cris_tiny", form) for form in ("plain", "module", "safetensors")),
    *(("biomedclipseg", "biomedclipseg_tiny", form) for form in ("plain", "legacy", "safetensors")),
    ("biomedclipseg-d", "biomedclipseg_tiny", "plain"),
    *(("clipseg", "clipseg_tiny", form) for form in ("plain", "legacy", "safetensors")),
    ("clipseg", "clipseg_tiny_simple_head", "plain"),
    ("unet", "unet_resnet50", "plain"),
    *(
        pytest.param(*case, marks=slow)
        for case in (
            ("cris", "cris_tiny", "lightning"),
            ("biomedclipseg", "biomedclipseg_tiny", "lightning"),
            ("clipseg", "clipseg_tiny", "lightning"),
            ("unet", "unet_resnet50", "lightning"),
            ("unetplusplus", "unetplusplus_resnet50", "plain"),
            ("unetplusplus", "unetplusplus_resnet50", "lightning"),
            ("deeplabv3plus", "deeplabv3plus_resnet50", "plain"),
            ("deeplabv3plus", "deeplabv3plus_resnet50", "lightning"),
            ("biomedclipseg", "biomedclipseg", "lightning"),
            ("clipseg", "clipseg_rd64_refined", "legacy"),
        )
    ),
]


@pytest.fixture(scope="module")
def kit():
    sys.path.insert(0, str(KIT))
    try:
        import golden
        import make_checkpoint
    finally:
        sys.path.remove(str(KIT))
    return SimpleNamespace(golden=golden, make_checkpoint=make_checkpoint)


@pytest.fixture(scope="module")
def table():
    rows = []
    yield rows
    lines = ["| model | reference vectors | checkpoint form | case | max abs error | tolerance |", "| --- " * 6 + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    print("\n" + "\n".join(lines))
    target = os.environ.get("PARITY_TABLE")
    if target:
        Path(target).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write(kit, vectors, form, path):
    if form == "lightning":
        # The kit puts classes into foreign modules, which must not happen to those of this process.
        script = KIT / "make_checkpoint.py"
        subprocess.run([sys.executable, script, KIT / "golden" / f"{vectors}.json", form, path], check=True)
        return
    document = kit.golden.load(KIT / "golden" / f"{vectors}.json")[0]
    content = kit.make_checkpoint.build(document, "plain" if form == "safetensors" else form)
    if form == "safetensors":
        save_file(dict(content), path)
    else:
        torch.save(content, path)


@pytest.mark.parametrize(("model", "vectors", "form"), CASES)
def test_logits_equal_the_reference(kit, table, tmp_path, model, vectors, form):
    path = tmp_path / "checkpoint"
    write(kit, vectors, form, path)
    document, arrays = kit.golden.load(KIT / "golden" / f"{vectors}.json")
    loaded = load_model(model, checkpoint=path, config=document["config"], device="cpu")
    path.unlink()
    for case in document["cases"]:
        inputs = [None if array is None else torch.from_numpy(array) for array in kit.golden.inputs(document, case)]
        with torch.no_grad():
            logits = loaded.network(*inputs)
        error, tolerance = kit.golden.compare(document, arrays, case, logits.numpy())
        table.append((model, vectors, form, case["name"], f"{error:.1e}", f"{tolerance:.1e}"))
        assert error <= tolerance
