"""Paraphrases, negations and drops of 160 clinical prompts, written out so that a person can judge their English.

Run: python benchmarks/grammar.py [FILE]; without FILE the page goes to the screen. A reader marks every text that no
careful writer of English would let stand; more than 3 in 100 is too many.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# The checkout goes before an installed copy.
from robustness.perturb.preview import perturb_prompt  # noqa: E402

PROMPTS = ROOT / "tests" / "perturb" / "language" / "own_prompts.jsonl"
COUNT = 160


def changes(text: str, modality: str) -> Iterator[tuple[str, str]]:
    """Yield (perturbation, new text) for every paraphrase, both forms of the negation, and every drop of `text`."""
    listed: set[tuple[str, str]] = set()
    for seed in (0, 1, 2, 3):
        for row in perturb_prompt(text, modality=modality, seed=seed).to_dict("records"):
            name = str(row["perturbation"])
            if not row["applicable"] or name.partition(":")[0] not in ("paraphrase", "negation", "drop"):
                continue
            if (name, row["text"]) not in listed:
                listed.add((name, row["text"]))
                yield name, str(row["text"])


def page() -> str:
    """Return the prompts, numbered, each with its changes."""
    rows = [json.loads(line) for line in PROMPTS.read_text(encoding="utf8").splitlines()][:COUNT]
    lines = []
    for number, row in enumerate(rows, 1):
        lines.append(f"\n## {number}. {row['text']}  [{row['modality']}]")
        lines += [f"- {name}: {new}" for name, new in changes(row["text"], row["modality"])]
    count = sum(line.startswith("- ") for line in lines)
    return f"# {count} changed texts of {len(rows)} prompts\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(), encoding="utf8")
    else:
        print(page())
