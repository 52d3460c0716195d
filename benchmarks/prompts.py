"""Reading and changing real prompts: coverage by dataset, kind and level, the swap table, and the speed.

Reads the reference benchmark's annotation files where they lie beside the checkout (../shared/medvlsm), else the
demo's embedded ones. Run: python benchmarks/prompts.py
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# The checkout goes before an installed copy.
from robustness.perturb.language import parse, parts  # noqa: E402
from robustness.perturb.language.parse import parse_prompt  # noqa: E402
from robustness.registry import PERTURBATIONS  # noqa: E402
from robustness.seeds import generator  # noqa: E402
from robustness.types import Case, CaseInfo, DataContext, Prompt  # noqa: E402

PHOTOGRAPH = {
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
LEVELS: dict[str, dict[str, str]] = {
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
    # This set says either benign/malignant or regular/irregular.
    "busi": {
        "p1": "target",
        "p2": "kind target",
        "p3": "number kind target",
        "p4": "number size kind target",
        "p5": "number size kind target location",
        "p6": "number size shape kind target location",
    },
    # "side" and "number" where the attributes state them.
    "demo": {
        "p1": "target",
        "p2": "target side",
        "p3": "target side view",
        "p4": "target side view size",
        "p5": "target side view size number",
        "p6": "target side view size number location",
    },
}
LIMIT_COVERED, LIMIT_PARSED, LIMIT_SWAPS = 0.995, 20_000, 5_000
SWAPS = ("antonym", "rare", "drop", "neutral", "synonym", "paraphrase", "order", "negation", "wrong_class", "absent")
SURFACE = ("typo", "case", "punctuation", "homoglyph")
AT_MOST = 300


class Text(NamedTuple):
    """One prompt of an entry."""

    dataset: str
    level: str
    text: str
    entry: Mapping[str, Any]


def main() -> None:
    """Print the tables and, as the last line, the figures as JSON."""
    texts = list(read_texts())
    print(
        f"{len(texts)} prompts, {len({t.text for t in texts})} distinct, {len({t.dataset for t in texts})} datasets\n"
    )
    covered, missed = coverage(texts)
    contexts = {
        name: context_of([t for t in texts if t.dataset == name]) for name in dict.fromkeys(t.dataset for t in texts)
    }
    swaps = swap_table(contexts)
    speed = parse_speed(texts)
    print_speed(speed, swaps)
    detail = {
        "prompts": len(texts),
        "covered": covered,
        "false_laterality": false_sides(texts),
        "missed": missed,
        "parsed_per_second": speed,
        "parsed_limit": LIMIT_PARSED,
        "swaps_per_second": swaps,
        "swaps_limit": LIMIT_SWAPS,
    }
    print(json.dumps({"name": "prompts", "ratio": covered, "limit": LIMIT_COVERED, "target": 1.0, "detail": detail}))


def read_texts() -> Iterator[Text]:
    """Yield the prompts of the real annotations, or of the demo's."""
    real = ROOT.parent / "shared" / "medvlsm"
    folders = sorted(p.parent for p in real.glob("*/anns")) or [ROOT / "robustness" / "demo_data"]
    for folder in folders:
        name = folder.name if folder.parent == real else "demo"
        for path in sorted(folder.glob("**/anns/*.json")):
            for entry in json.loads(path.read_text(encoding="utf-8")):
                for level, listed in entry["prompts"].items():
                    for text in [listed] if isinstance(listed, str) else listed:
                        yield Text(name, level, text, entry)


def stated_kinds(t: Text) -> set[str]:
    """Return the kinds that the level of a prompt states."""
    if t.text.lower().startswith("no "):
        return {"number", "target"}
    table = LEVELS.get(t.dataset, PHOTOGRAPH)
    kinds = set(table.get(t.level, "target" if t.level != "p0" else "").split())
    if "kind" in kinds:
        kinds = kinds - {"kind"} | {"shape" if "regular" in t.text.lower() else "pathology"}
    if t.dataset == "demo" and (t.entry.get("attributes") or {}).get("side") in (None, "none"):
        kinds.discard("side")
    return kinds


def read(t: Text) -> Prompt:
    """Parse a prompt with what its entry says."""
    return parse_prompt(t.text, siblings=t.entry["prompts"], attributes=t.entry.get("attributes"))


def coverage(texts: Sequence[Text]) -> tuple[float, int]:
    """Print the share of prompts with every stated attribute recovered, by dataset and level and by kind."""
    whole: dict[tuple[str, str], list[bool]] = {}
    by_kind: dict[tuple[str, str], list[bool]] = {}
    for t in texts:
        wanted = stated_kinds(t)
        if not wanted:
            continue
        found = {a.kind for a in read(t).attributes}
        whole.setdefault((t.dataset, t.level), []).append(wanted <= found)
        for kind in wanted:
            by_kind.setdefault((t.dataset, kind), []).append(kind in found)
    print_shares("every attribute of the level recovered, by dataset and level", whole)
    print_shares("recovered by dataset and kind", by_kind)
    flat = [hit for hits in whole.values() for hit in hits]
    return sum(flat) / len(flat), len(flat) - sum(flat)


def print_shares(title: str, table: Mapping[tuple[str, str], list[bool]]) -> None:
    """Print a table of shares, datasets as rows."""
    columns = sorted({column for _, column in table})
    print(title)
    print(f"{'':18}" + "".join(f"{c:>13}" for c in columns))
    for row in dict.fromkeys(name for name, _ in table):
        cells = (table.get((row, c)) for c in columns)
        print(f"{row:18}" + "".join(f"{f'{sum(c) / len(c):.4f}' if c else '-':>13}" for c in cells))
    print()


def false_sides(texts: Sequence[Text]) -> int:
    """Return how many prompts of sets without paired organs are read as naming a side."""
    return sum(t.dataset != "demo" and read(t).get("side") is not None for t in texts)


def context_of(texts: Sequence[Text]) -> tuple[DataContext, list[Case]]:
    """Return up to 300 cases of a dataset, each with its richest level, and their context."""
    richest = max({t.level for t in texts if t.level <= "p6"})
    mask = np.zeros((64, 64), dtype=bool)
    mask[8:20, 8:20] = True
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    cases = []
    for t in {t.entry["mask_name"]: t for t in texts if t.level == richest}.values():
        prompt = read(t)
        target = prompt.get("target")
        metadata = {"image_id": t.entry["img_name"], "siblings": t.entry["prompts"]}
        name = target.value if target else ""
        cases.append(Case(t.entry["mask_name"], "", image, mask, prompt, name, metadata))
        if len(cases) == AT_MOST:
            break
    infos = tuple(
        CaseInfo(c.case_id, str(c.metadata["image_id"]), "", c.target, (c.prompt,), c.metadata) for c in cases
    )
    return DataContext(name=texts[0].dataset, infos=infos), cases


def swap_table(contexts: Mapping[str, tuple[DataContext, list[Case]]]) -> dict[str, float]:
    """Print, for each change, on how many cases it applies, with an example; return the changes made per second."""
    print(f"changes on up to {AT_MOST} cases per dataset (a small square as mask)")
    print(f"{'change':22}{'applies':>9}{'of':>8}   example")
    rates = {}
    for name in (*SWAPS, *SURFACE):
        counts: Counter[str] = Counter()
        applied: Counter[str] = Counter()
        examples: dict[str, str] = {}
        made, seconds = 0, 0.0
        for context, cases in contexts.values():
            for change in PERTURBATIONS.get(name).expand(context):
                severity = change.severities[len(change.severities) // 2]
                # The first look-up of a word reads its source.
                for case in cases:
                    change.propose(case, severity, generator(0))
                started = time.process_time()
                found = [change.propose(c, severity, generator(0, c.case_id, change.name, severity)) for c in cases]
                seconds += time.process_time() - started
                made += len(found)
                counts[change.condition(severity)] += len(found)
                for params in found:
                    if isinstance(params, dict):
                        applied[change.condition(severity)] += 1
                        examples.setdefault(change.condition(severity), f"{params['old']} -> {params['new']}")
        rates[name] = made / seconds if seconds else 0.0
        for condition in counts:
            example = examples.get(condition, "")
            print(f"{condition:22}{applied[condition]:9}{counts[condition]:8}   {example[:70]}")
    print()
    return {name: round(rate) for name, rate in rates.items()}


def parse_speed(texts: Sequence[Text]) -> dict[str, int]:
    """Return prompts per second of processor time, caches emptied before: all in file order, each distinct one once."""
    first = {t.text: t for t in texts}

    def measured(work: Callable[[], object], count: int) -> int:
        best = 0.0
        for _ in range(3):
            for cached in (parse._parse, parts._main, parts._tail):
                cached.cache_clear()
            started = time.process_time()
            work()
            best = max(best, count / (time.process_time() - started))
        return round(best)

    return {
        "all": measured(lambda: [parse_prompt(t.text, siblings=t.entry["prompts"]) for t in texts], len(texts)),
        "distinct": measured(lambda: [parse_prompt(text) for text in first], len(first)),
        "distinct_with_siblings": measured(
            lambda: [parse_prompt(t.text, siblings=t.entry["prompts"]) for t in first.values()], len(first)
        ),
    }


def print_speed(parsed: Mapping[str, int], swaps: Mapping[str, float]) -> None:
    """Print the rates on one core."""
    print("per second of processor time, one core")
    for name, rate in parsed.items():
        print(f"  parsed, {name:24}{rate:9}   limit {LIMIT_PARSED}")
    for name, rate in swaps.items():
        print(f"  {name:32}{rate:9}   limit {LIMIT_SWAPS}")
    print()


if __name__ == "__main__":
    main()
