"""Words that no vocabulary knows: the sibling prompts and the frames teach them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.language.templates import build_prompts
from robustness.perturb.language.unread import unread_findings, unread_words
from robustness.perturb.preview import perturb_prompt
from tests.perturb.language.own_prompts import FIRST_READINGS, UNMENDED_READINGS, count, gold, items, swapped
from tests.perturb.prompt_cases import values

SHARED = Path(__file__).parents[3].parent / "shared"
UNKNOWN = [
    {"target": "polyp", "shape": "blorf", "colour": "cerise", "size": "smallish", "number": "two"},
    {"target": "foot ulcer", "shape": "zig zag", "colour": "puce", "size": "middling", "number": "one"},
    {"target": "quonk", "shape": "frob", "colour": "ochre", "size": "wee", "number": "three"},
]


@pytest.mark.parametrize("words", UNKNOWN, ids=lambda w: w["target"])
def test_a_case_of_words_never_seen_is_read_from_its_own_levels(words: dict[str, str]) -> None:
    prompts = build_prompts({**words, "location": "top left", "description": "which is a thing"})
    p6 = {a.kind: a.value for a in parse_prompt(prompts["p6"], siblings=prompts).attributes}
    assert {k: p6[k] for k in ("shape", "colour", "size", "number")} == {k: words[k] for k in words if k != "target"}
    assert p6["target"].rstrip("s") == words["target"]
    assert p6["location"] == "top left"
    for level in ("p7", "p8", "p9"):
        found = parse_prompt(prompts[level], siblings=prompts)
        assert found.get("description").value == "which is a thing", level  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Myocardium of blorf shape in two-chamber view of the heart.", "shape", "blorf"),
        ("Edema of shape blorf blob in the frontal view of a Chest Xray.", "shape", "blorf blob"),
        ("One small blorf-shaped benign tumor.", "shape", "blorf"),
        ("Left atrium cavity of a ninety-nine-year-old male.", "age", "ninety-nine-year-old"),
        ("Edema in a Chest Xray. Blorfia, Zorpitis are present. ", "pathology", "Blorfia, Zorpitis"),
    ],
)
def test_frames_hold_values_that_no_vocabulary_knows(text: str, kind: str, value: str) -> None:
    assert (kind, value) in values(text)


def real_entries() -> Iterator[dict[str, str]]:
    for name in ("kvasir_polyp", "clinicdb_polyp", "isic"):
        for path in sorted((SHARED / "medvlsm" / name / "anns").glob("val.json")):
            for entry in json.loads(path.read_text()):
                yield {k: v for k, v in entry["prompts"].items() if isinstance(v, str)}


@pytest.mark.skipif(not (SHARED / "medvlsm").is_dir(), reason="the benchmark's annotations are not beside the checkout")
def test_real_prompts_with_every_shape_colour_and_size_respelled_are_still_read() -> None:
    count = 0
    for levels in real_entries():
        p1, p2, p3, p4 = (levels[f"p{i}"] for i in range(1, 5))
        words = [p2.removesuffix(p1).strip(), p3.removesuffix(p2).strip(), p4.removesuffix(p3).strip()]
        if any(" " in w or "," in w or not w for w in words):
            continue
        shape, colour, size = (f"qu{w[::-1]}" for w in words)
        changed = {
            "p1": p1,
            "p2": f"{shape} {p1}",
            "p3": f"{colour} {shape} {p1}",
            "p4": f"{size} {colour} {shape} {p1}",
        }
        changed["p5"] = levels["p5"].removesuffix(p4) + changed["p4"]
        changed["p6"] = changed["p5"] + levels["p6"].removeprefix(levels["p5"])
        found = {a.kind: a.value for a in parse_prompt(changed["p6"], siblings=changed).attributes}
        assert (found["shape"], found["colour"], found["size"], found["target"]) == (shape, colour, size, p1)
        assert {"number", "location"} <= set(found)
        count += 1
    assert count > 150


def test_there_are_enough_prompts_of_every_construction_and_modality() -> None:
    rows = items()
    assert len(rows) >= 150
    assert len({row["text"] for row in rows}) == len(rows)
    assert min(Counter(row["construction"] for row in rows).values()) >= 12
    assert len({row["modality"] for row in rows}) >= 10
    assert all(gold(row) for row in rows)


@pytest.mark.parametrize("batch", sorted(FIRST_READINGS))
def test_every_batch_is_read_at_least_as_well_as_after_it_was_mended(batch: int) -> None:
    counts: Counter[str] = Counter()
    for row in items():
        if row["batch"] == batch:
            counts += count(row, parse_prompt(row["text"]).attributes)
    exact, total, _, targets, _ = FIRST_READINGS[batch]
    assert counts["exact"] + counts["missed"] == total
    assert counts["target exact"] + counts["target missed"] == targets
    # Mended: at least 98 in 100 exact where the first reading had fewer.
    assert counts["exact"] >= max(exact, 0.98 * total)
    assert counts["target exact"] >= 0.98 * targets
    assert counts["false"] <= 2
    assert counts["wrong"] == 0


@pytest.mark.parametrize("batch", sorted(UNMENDED_READINGS))
def test_the_last_batch_is_read_as_well_as_at_first_sight(batch: int) -> None:
    counts: Counter[str] = Counter()
    for row in items():
        if row["batch"] == batch:
            counts += count(row, parse_prompt(row["text"]).attributes)
    exact, total, targets, all_targets, false = UNMENDED_READINGS[batch]
    assert (counts["exact"] + counts["missed"], counts["target exact"] + counts["target missed"]) == (
        total,
        all_targets,
    )
    assert counts["exact"] >= exact
    assert counts["target exact"] >= targets
    assert counts["false"] <= false


@pytest.mark.slow
def test_the_modality_takes_nothing_away() -> None:
    without, informed = Counter[str](), Counter[str]()
    for row in items():
        without += count(row, parse_prompt(row["text"]).attributes)
        informed += count(row, parse_prompt(row["text"], modality=row["modality"]).attributes)
    assert informed["exact"] >= without["exact"] - 4


@pytest.mark.slow
def test_swaps_give_a_text_that_is_listed_as_right() -> None:
    counts: Counter[bool] = Counter()
    for row in items():
        labels = swapped(row)
        if not labels:
            continue
        table = perturb_prompt(row["text"], modality=row["modality"])
        new_texts = {r["perturbation"]: r["text"] for r in table[table["applicable"]].to_dict("records")}
        for kind, texts in labels:
            counts[new_texts.get(f"antonym:{kind}") in texts] += 1
    assert counts.total() >= 60
    assert counts[True] >= 0.9 * counts.total()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("halidom in three regions", "three"),
        ("large left halidom in one region in axial T1 brain MRI", "one"),
        ("xylo in 2 separate regions", "2"),
        ("a zorp, in several distinct parts of the image", "several"),
        ("zorp in a single region", "single"),
        ("quonks in at least four separate pieces", "at least four"),
        ("zorp in two parts of the liver", None),
        ("zorp in the separate regions", None),
        ("zorp in both regions", None),
    ],
)
def test_so_many_regions_are_a_number_whatever_word_stands_before_them(text: str, number: str | None) -> None:
    read = values(text)
    assert [value for kind, value in read if kind == "number"] == ([number] if number else [])
    assert "location" not in dict(read)


@pytest.mark.parametrize("side", ["left", "left and right", "both", "L/R"])
def test_the_side_before_a_name_that_the_data_state_is_read_behind_an_unknown_word(side: str) -> None:
    read = values(f"erumpent {side} white matter in axial T1 brain MRI", attributes={"structure": "white matter"})
    assert ("side", side) in read
    assert ("target", "white matter") in read


@pytest.mark.parametrize(
    "name",
    "long thoracic nerve;short head of the biceps;small saphenous vein;rhomboid major;small cell carcinoma;"
    "brown tumour;inferior olive;flail segment;deep sulcus sign;red wale sign;hot cross bun sign;cold sore;"
    "superficial spreading melanoma;semicircular canal;grey-white junction".split(";"),
)
def test_a_word_that_is_fixed_in_a_name_states_nothing(name: str) -> None:
    assert [(a.kind, a.value) for a in parse_prompt(f"Outline the {name}.").attributes] == [("target", name)]


@pytest.mark.parametrize(
    "made",
    "CT;photon-counting CT;CT perfusion;T2WI;black-blood MRI;gradient-echo MRI;double inversion recovery;"
    "adaptive optics imaging;arterial spin labelling;greyscale ultrasound;shear-wave elastography;retrograde pyelogram;"
    "SD-OCT;SPECT/CT;reflectance confocal microscopy;dark-field microscopy;cell block;upper GI series".split(";"),
)
def test_how_the_image_was_made_is_read_whole(made: str) -> None:
    found = [(a.kind, a.value) for a in parse_prompt(f"kidney on {made}.").attributes]
    assert found == [("target", "kidney"), ("modality", made)]


@pytest.mark.parametrize(
    "words",
    "scalloping;seeding;outlining;circled by;pinched between;astride;tangential to;upstream of;subjacent to;"
    "in proximity to;resting on;indistinguishable from".split(";"),
)
def test_relating_words_take_their_landmark(words: str) -> None:
    found = [(a.kind, a.value) for a in parse_prompt(f"mass {words} the aorta").attributes]
    assert found == [("target", "mass"), ("relation", f"{words} the aorta")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A participle before its noun relates nothing: nothing at all was read here.
        ("an infiltrating mass", "margin:infiltrating target:mass"),
        ("obstructing stone in the ureter", "pathology:obstructing target:stone place:ureter"),
        ("A bridging osteophyte at L3/4", "description:bridging target:osteophyte place:L3/4"),
        ("mass infiltrating muscle", "target:mass relation:infiltrating muscle"),
        ("Do you see a cyst in the liver? Mark it.", "target:cyst place:liver"),
        ("the plaque cut off by the right margin of the frame", "target:plaque location:right"),
        ("stricture, D2 to D3", "target:stricture place:D2 to D3"),
        ("staining for D2-40", "target:staining"),
        ("yellow crust over the philtrum", "colour:yellow target:crust place:philtrum"),
        ("second smallest nodule", "size:second smallest target:nodule"),
        ("tenth-largest polyp", "size:tenth-largest target:polyp"),
        ("a. liver b. spleen", "target:liver target:spleen"),
        ("Outline the streak artefact.", "target:streak artefact"),
        ("basal tip infarct", "place:basal tip target:infarct"),
        ("dark brown mass", "colour:dark brown target:mass"),
        ("strawberry-red macule", "colour:strawberry-red target:macule"),
        ("pigment clumping in the midperiphery", "target:pigment clumping place:midperiphery"),
        ("nodule, lower lobe, lingular segment", "target:nodule place:lower lobe place:lingular segment"),
        (
            "aorta on axial minimum intensity projection",
            "target:aorta view:axial modality:minimum intensity projection",
        ),
        ("opacity affecting half of the lung", "target:opacity measure:affecting half of the lung"),
        ("circle of Willis, time-of-flight, 3D", "target:circle of Willis modality:time-of-flight"),
        ("T2* image of the cord", "modality:T2* target:cord"),
        # A denied subject denies what it holds: the stone was asked for.
        ("Neither kidney contains a stone.", "negation:Neither target:stone"),
        ("No kidney contains a stone.", "negation:No target:stone"),
        ("There is no free fluid; the gallbladder contains a stone.", "negation:no target:stone"),
        ("No polyp was seen before; this frame shows a small polyp.", "negation:No size:small target:polyp"),
        ("We did not see any effusion.", "negation:did not see target:effusion"),
        ("I cannot see the left amygdala.", "negation:cannot see side:left target:amygdala"),
        ("Either hippocampus", "target:hippocampus"),
        ("Pt with a red mole", "colour:red target:mole"),
    ],
)
def test_kinds_of_fault_that_fresh_batches_showed(text: str, expected: str) -> None:
    assert " ".join(f"{a.kind}:{a.value}" for a in parse_prompt(text).attributes) == expected


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("Gauze and a clamp, behind them a tiny whitish polyp", ("tiny", "whitish", "polyp")),
        # What is denied, a companion, a landmark and a scan's name need no reading.
        ("Outline the kidney without the cyst.", ()),
        ("atypical naevus, melanoma cannot be excluded", ()),
        ("an infected wound with surrounding cellulitis", ()),
        ("mitral annular calcification (MAC)", ()),
        ("breast lesion at 10 o'clock, 3 cm from the nipple", ()),
        ("hippocampus in a sagittal brain MRI", ()),
        ("Two small benign tumors at the top left, center in the breast ultrasound image.", ()),
        ("", ()),
        ("left", ()),
    ],
)
def test_words_that_could_matter_and_were_not_read_are_found(text: str, unread: tuple[str, ...]) -> None:
    assert unread_words(parse_prompt(text)) == unread


def test_few_of_the_own_prompts_hold_findings_that_were_not_read() -> None:
    texts = [(item["text"], item["modality"]) for item in items()]
    found = [text for text, modality in texts if unread_findings(parse_prompt(text, modality=modality))]
    assert 0 < len(found) < 0.03 * len(texts)
