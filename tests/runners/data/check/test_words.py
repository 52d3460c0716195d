"""Rules of `check` for words: texts that cannot be read, sides and targets that disagree with the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robustness.runners.data.check.dataset import check_dataset


def codes(folder: Path, prompts: list[str], **columns: list[str]) -> dict[str, str]:
    """Return code -> message of the findings of a manifest with these prompts, those on words only."""
    lines = [",".join(["image", "mask", "p6", "split", "modality", *columns])]
    for n, prompt in enumerate(prompts):
        pixels = np.random.default_rng(n).integers(0, 200, (32, 32, 3), dtype=np.uint8)
        mask = np.zeros((32, 32), dtype=np.uint8)
        mask[8:20, 8:20] = 255
        Image.fromarray(pixels).save(folder / f"i{n}.png")
        Image.fromarray(mask).save(folder / f"m{n}.png")
        lines.append(
            ",".join([f"i{n}.png", f"m{n}.png", f'"{prompt}"', "test", "CT", *(c[n] for c in columns.values())])
        )
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    found = check_dataset(folder / "data.csv", prompt="p6")
    words = found[found.code.isin(["unread_prompt", "side_disagrees", "target_disagrees"])]
    assert set(words.level) <= {"warning"}
    return dict(zip(words.code, words.message, strict=True))


def test_texts_without_a_target_are_counted_with_examples(tmp_path: Path) -> None:
    found = codes(tmp_path, ["left", "round and red", "a cyst in the left kidney"])
    assert list(found) == ["unread_prompt"]
    assert found["unread_prompt"].startswith("2 of the prompts name no target that can be read")
    assert "'left'; 'round and red'" in found["unread_prompt"]


@pytest.mark.parametrize(
    ("prompt", "target", "disagrees"),
    [
        ("left kidney", "spleen", True),
        ("left kidney", "kidney", False),
        ("a glioma", "brain tumor", False),
        ("upper left lung", "pulmonary infection", True),
        ("Unilateral pulmonary infection, upper left lung.", "pulmonary infection", False),
    ],
)
def test_a_target_that_the_text_does_not_ask_for_is_said(
    tmp_path: Path, prompt: str, target: str, disagrees: bool
) -> None:
    found = codes(tmp_path, [prompt], target=[target])
    assert ("target_disagrees" in found) is disagrees
    if disagrees:
        assert found["target_disagrees"].startswith("1 prompt disagrees with the target of the data")
        assert repr(prompt) in found["target_disagrees"]
        assert repr(target) in found["target_disagrees"]


@pytest.mark.parametrize(
    ("prompt", "side", "disagrees"),
    [
        ("the left kidney", "right", True),
        ("the left kidney", "left", False),
        ("both kidneys", "left", False),
        ("cyst in the left kidney", "right", False),
    ],
)
def test_a_side_that_the_data_deny_is_said(tmp_path: Path, prompt: str, side: str, disagrees: bool) -> None:
    assert ("side_disagrees" in codes(tmp_path, [prompt], **{"attributes.side": [side]})) is disagrees
