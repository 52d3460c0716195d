"""``robustness prompts``: what is read in a prompt, what can be changed in it, and prompts for new data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from robustness.errors import InputError, counted


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(prompts)


def prompts(
    text: Annotated[Optional[str], typer.Argument(help="A prompt.")] = None,  # noqa: UP045 - typer reads this form
    modality: Annotated[str, typer.Option("--modality", help="endoscopy, ultrasound, MRI, ...")] = "",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the rare words.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    model: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--model", help="Token counts in this model: a plan, a registered name or a checkpoint folder."),
    ] = None,
    data: Annotated[Optional[Path], typer.Option("--from", help="Write prompts for this folder of images.")] = None,  # noqa: UP045
    out: Annotated[Optional[Path], typer.Option("--out", help="With --from: the annotation file.")] = None,  # noqa: UP045
    split: Annotated[Optional[str], typer.Option("--split", help="With --from: which split.")] = None,  # noqa: UP045
    target: Annotated[str, typer.Option("--target", help="With --from: the class, where none is stated.")] = "",
    family: Annotated[str, typer.Option("--family", help="With --from: photograph, breast, echo, chest or scan.")] = "",
    template: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--template", metavar="KEY=TEXT", help='With --from: "p1=[{size} ]{target}". May repeat.'),
    ] = None,
    vqa: Annotated[Optional[str], typer.Option("--vqa", help="With --from: a model for shape and colour.")] = None,  # noqa: UP045
) -> None:
    """Show what is read in a prompt and every change that applies to it; with --from write prompts for data."""
    from robustness.cli.prompt_view import prompt_json, show_prompt, split_templates
    from robustness.perturb.modality import known_modality

    if text is None and data is None:
        raise InputError('text: expected a prompt, got none; for example robustness prompts "one small polyp"')
    text = text or ""
    if modality:
        known_modality(modality, option="--modality")
    if data is None and model is not None:
        from robustness.cli.token_view import show_tokens

        typer.echo(show_tokens(text, model, modality=modality, seed=seed, as_json=as_json))
    elif data is None and as_json:
        typer.echo(prompt_json(text, modality=modality, seed=seed))
    elif data is None:
        show_prompt(text, modality=modality, seed=seed)
    else:
        from robustness.runners.data.annotate import annotate

        if out is None:
            raise InputError("--out: expected the annotation file to write, got none; give --out FILE")
        count = annotate(
            data,
            out,
            split=split,
            target=target,
            modality=modality,
            family=family,
            templates=split_templates(template),
            vqa=vqa,
        )
        typer.echo(f"Prompts: {counted(count, 'entry')} in {out.resolve()}")
