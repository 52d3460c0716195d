"""View of `robustness prompts`: a prompt with coloured spans, its attributes, and every change that applies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError, counted, verb

if TYPE_CHECKING:
    from rich.text import Text

    from robustness.types import Prompt

# One colour per kind, and a sign of its own through the underlining for readers who see no colours.
STYLES = {
    "target": "bold underline green",
    "side": "bold magenta",
    "location": "magenta",
    "number": "cyan",
    "size": "yellow",
    "shape": "blue",
    "colour": "red",
    "description": "italic green",
    "view": "bright_blue",
    "phase": "bright_cyan",
    "pathology": "bright_red",
    "sex": "bright_magenta",
    "age": "bright_yellow",
    "quality": "bright_green",
    "place": "underline magenta",
    "direction": "italic magenta",
    "relation": "underline cyan",
    "texture": "italic yellow",
    "margin": "underline yellow",
    "signal": "italic blue",
    "modality": "underline bright_blue",
    "measure": "italic cyan",
    "certainty": "italic bright_red",
    "negation": "bold red",
}


def show_prompt(text: str, *, modality: str = "", seed: int = 0) -> None:
    """Print a prompt with its attributes coloured, a table of them, what was not read, and the changes that apply."""
    from rich.console import Console

    from robustness.perturb.language.parse import parse_prompt
    from robustness.perturb.language.unread import unread_words
    from robustness.perturb.preview import perturb_prompt

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        # A file or a pipe has no edge to fold at.
        console = Console(highlight=False, soft_wrap=True, width=2000)
    prompt = parse_prompt(text, modality=modality)
    console.print(coloured(prompt))
    for a in prompt.attributes:
        console.print(f"{a.kind:12}{a.value}  [{a.start}:{a.stop}]", style=STYLES.get(a.kind), markup=False)
    if unread := unread_words(prompt):
        console.print(f"{'not read':12}{', '.join(unread)}", style="reverse", markup=False)
    table = perturb_prompt(text, modality=modality, seed=seed)
    rows = table[table["applicable"]]
    if len(rows):
        console.print()
        console.print(_table(rows.to_dict("records"), ("perturbation", "old", "new", "text", "expectation")))
    left_out = table[~table["applicable"]]
    if len(left_out):
        console.print(
            f"{counted(len(left_out), 'further change')} {verb(len(left_out), 'do')} not apply; "
            "--json gives the reasons"
        )


def prompt_json(text: str, *, modality: str = "", seed: int = 0) -> str:
    """Return attributes, words that were not read, and changes (with the reason where one does not apply) as JSON."""
    from robustness.perturb.language.parse import parse_prompt
    from robustness.perturb.language.unread import unread_words
    from robustness.perturb.preview import perturb_prompt

    prompt = parse_prompt(text, modality=modality)
    attributes = [{"kind": a.kind, "value": a.value, "start": a.start, "stop": a.stop} for a in prompt.attributes]
    changes = json.loads(perturb_prompt(text, modality=modality, seed=seed).to_json(orient="records"))
    shown = {"text": text, "attributes": attributes, "not_read": unread_words(prompt), "changes": changes}
    return json.dumps(shown, indent=1, ensure_ascii=False)


def split_templates(written: Sequence[str] | None) -> dict[str, str] | None:
    """Return KEY=TEXT templates by key, or None where none is given.

    Raises:
        InputError: no "=" in one.
    """
    named = {}
    for item in written or ():
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise InputError(f'--template: expected KEY=TEXT such as "p1=[{{size}} ]{{target}}", got {item!r}')
        named[key.strip()] = text
    return named or None


def coloured(prompt: Prompt) -> Text:
    """Return the prompt's text with one style per attribute; no character is added or lost."""
    from rich.text import Text

    shown = Text(prompt.text)
    for a in prompt.attributes:
        shown.stylize(STYLES.get(a.kind, "bold"), a.start, a.stop)
    return shown


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column in ("perturbation", "expectation"), overflow="fold")
    for row in rows:
        # The old and new of a whole text would only repeat it.
        whole = row["new"] == row["text"]
        shown = {**row, "old": "" if whole else row["old"], "new": "" if whole else row["new"]}
        table.add_row(*(Text(str(shown[column])) for column in columns))
    return table
