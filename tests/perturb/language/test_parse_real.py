"""Coverage of the parser on the reference benchmark's real annotations (beside the checkout; absent: skipped)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from robustness.perturb.language.parse import parse_prompt

SHARED = Path(__file__).parents[3].parent / "shared"
POLYP = {
    "p1": "target",
    "p2": "shape target",
    "p3": "colour shape target",
    "p4": "size colour shape target",
    "p5": "number size colour shape target",
    "p6": "number size colour shape target location",
    "p7": "target description",
    "p8": "number size colour shape target description",
    "p9": "number size colour shape target description location",
}
STATED = {
    "kvasir_polyp": POLYP,
    "clinicdb_polyp": POLYP,
    "isic": POLYP,
    "camus": {
        "p1": "target",
        "p2": "target view",
        "p3": "target view phase",
        "p4": "target view phase sex",
        "p5": "target view phase age sex",
        "p6": "target view phase age sex quality",
        "p7": "target shape view phase age sex quality",
    },
    "chexlocalize": {
        "p1": "target",
        "p2": "target view",
        "p3": "target shape view",
        "p4": "target shape location view",
        "p5": "target shape location view pathology",
        "p6": "target pathology",
    },
    "busi": {
        "p1": "target",
        "p2": "kind target",
        "p3": "number kind target",
        "p4": "number size kind target",
        "p5": "number size kind target location",
        "p6": "number size shape kind target location",
    },
}


@cache
def annotated(name: str) -> list[dict[str, Any]]:
    return [
        e for path in sorted((SHARED / "medvlsm" / name / "anns").glob("*.json")) for e in json.loads(path.read_text())
    ]


def texts(name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for entry in annotated(name):
        for level, listed in entry["prompts"].items():
            for text in [listed] if isinstance(listed, str) else listed:
                yield level, text, entry["prompts"]


def expected(name: str, level: str, text: str) -> str:
    """Return the kinds that a level states, by the table; the breast set says either benign or regular."""
    if text.startswith("No "):
        return "number target"
    kinds = STATED[name][level]
    return kinds.replace("kind", "shape" if re.search("regular", text, re.IGNORECASE) else "pathology")


@pytest.mark.skipif(not (SHARED / "medvlsm").is_dir(), reason="the benchmark's annotations are not beside the checkout")
@pytest.mark.parametrize("name", STATED)
class TestRealAnnotations:
    def test_every_stated_attribute_is_recovered_in_order(self, name: str) -> None:
        count, missed = 0, Counter()
        for level, text, siblings in texts(name):
            count += 1
            found = " ".join(a.kind for a in parse_prompt(text, siblings=siblings).attributes)
            if level != "p0" and found != expected(name, level, text):
                missed[level, found, text] += 1
        assert count > 3000
        assert sum(missed.values()) <= 0.005 * count, missed.most_common(5)

    @pytest.mark.slow
    def test_no_laterality_is_read_where_there_is_none(self, name: str) -> None:
        distinct = {text: siblings for _, text, siblings in texts(name)}
        wrong = [
            t for t, s in distinct.items() if parse_prompt(t, siblings=s).get("side") or parse_prompt(t).get("side")
        ]
        assert wrong == []


@pytest.mark.skipif(not (SHARED / "medvlsm").is_dir(), reason="the benchmark's annotations are not beside the checkout")
@pytest.mark.parametrize("name", ["kvasir_polyp", "clinicdb_polyp", "isic"])
def test_values_are_what_the_siblings_differ_by(name: str) -> None:
    for entry in annotated(name):
        p = entry["prompts"]
        prompt = parse_prompt(p["p6"], siblings=p)
        stated = {a.kind: a.value for a in prompt.attributes}
        assert stated["target"] == p["p1"]
        assert stated["colour"] == p["p3"].removesuffix(p["p2"]).strip()
        assert stated["size"] == p["p4"].removesuffix(p["p3"]).strip()
        assert stated["number"] == p["p5"].removesuffix(p["p4"]).strip()
        assert stated["location"] == p["p6"].removeprefix(p["p5"] + ", located in ").removesuffix(" of the image")
        added = p["p2"].removesuffix(p["p1"]).strip()
        bare = re.sub(r"^(?:it is )?(?:a )?|(?:[ -]shaped?)?$", "", added)
        assert stated["shape"] == bare, added


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the real images are not beside the checkout")
@pytest.mark.parametrize("name", ["brain_mni_aal", "brain_colin", "head_ct"])
def test_the_words_agree_with_the_attributes_that_the_data_state(name: str) -> None:
    sides = {"left": "left", "right": "right", "left and right": "both"}
    for path in sorted((SHARED / "data" / name / "anns").glob("*.json")):
        for entry in json.loads(path.read_text()):
            stated = entry["attributes"]
            prompt = parse_prompt(entry["prompts"]["p6"], siblings=entry["prompts"], attributes=stated)
            found = {a.kind: a.value for a in prompt.attributes}
            for kind in ("size", "location", "view", "number"):
                assert found[kind] == stated[kind], (kind, prompt.text)
            assert sides.get(found.get("side", ""), "none") == stated["side"], prompt.text
            assert "target" in found
