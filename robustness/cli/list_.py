"""``robustness list``: what is registered, and contact sheets of the image changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from robustness.errors import InputError, suggest


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(name="list")(list_)


def list_(
    what: Annotated[str, typer.Argument(help="models, perturbations or metrics.")],
    sheet: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--sheet", help="With perturbations: draw every image change into this .png or .jpg."),
    ] = None,
    modality: Annotated[str, typer.Option("--modality", help="With --sheet: whose list; default: each one.")] = "",
    data: Annotated[Path | None, typer.Option("--from", help="With --sheet: a dataset or an image to show.")] = None,
    split: Annotated[str, typer.Option("--split", help="With --from: which split; default: test.")] = "",
    prompt: Annotated[str, typer.Option("--prompt", help="With --from: the prompt key; default: p6.")] = "",
    tile: Annotated[int, typer.Option("--tile", help="With --sheet: height of an image, in pixels.")] = 160,
) -> None:
    """List what is registered, models with how they prepare images and texts; --sheet draws the image changes."""
    from robustness.registry import METRICS, MODELS, PERTURBATIONS, Registry

    registries: dict[str, Registry[Any]] = {"models": MODELS, "perturbations": PERTURBATIONS, "metrics": METRICS}
    if what not in registries:
        raise InputError(f"what: expected one of {', '.join(registries)}, got {what!r}{suggest(what, registries)}")
    if sheet is not None:
        _draw(what, sheet, modality=modality, data=data, tile=tile, split=split, prompt=prompt)
        return
    if modality or data is not None:
        raise InputError("--sheet: expected the image to write, got none; --modality and --from need --sheet OUT.png")
    registry = registries[what]
    for name in registry.names():
        typer.echo(f"{name:24}{_first_line(registry.get(name))}")
        if what == "models" and (line := preparation(registry.get(name))):
            typer.echo(f"{'':24}{line}")


def _draw(what: str, sheet: Path, **options: Any) -> None:
    from robustness.workflows.contact_sheets import write_sheets

    if what != "perturbations":
        raise InputError(f"--sheet: expected perturbations, got {what}")
    for path in write_sheets(sheet, **options):
        typer.echo(f"Sheet: {path.resolve()}")


def _first_line(entry: Any) -> str:
    text = (getattr(entry, "__doc__", None) or "").strip()
    return text.splitlines()[0] if text else ""


def preparation(entry: Any) -> str:
    """Return one line about the preparation of images and texts of a registered network, "" for a black box.

    The values are those of the published configuration; a checkpoint may state its own, which the manifest records.
    """
    if not hasattr(entry, "preprocess"):
        return ""
    model = entry()
    steps = model.preprocess(getattr(model, "shapes", None) or model.default_config())
    parts = [
        f"input {steps.image_size} x {steps.image_size}, {steps.interpolation}",
        f"mean {_numbers(steps.mean)}",
        f"std {_numbers(steps.std)}",
        f"text {steps.tokenizer}, {steps.context_length} ids" if steps.tokenizer else "no text",
        f"threshold {steps.threshold:g}",
    ]
    return "; ".join(parts)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in dict.fromkeys(values))
