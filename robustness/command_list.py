"""``robustness list``: what is registered."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from robustness.errors import InputError, suggest


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(name="list")(list_)


def list_(what: Annotated[str, typer.Argument(help="models, perturbations or metrics.")]) -> None:
    """List what is registered, one line each, and how each model's images and texts are prepared."""
    from robustness.model_view import preparation
    from robustness.registry import METRICS, MODELS, PERTURBATIONS

    registries = {"models": MODELS, "perturbations": PERTURBATIONS, "metrics": METRICS}
    if what not in registries:
        raise InputError(f"what: expected one of {', '.join(registries)}, got {what!r}{suggest(what, registries)}")
    registry = registries[what]
    for name in registry.names():
        typer.echo(f"{name:24}{_first_line(registry.get(name))}")
        if what == "models" and (line := preparation(registry.get(name))):
            typer.echo(f"{'':24}{line}")


def _first_line(entry: Any) -> str:
    text = (getattr(entry, "__doc__", None) or "").strip()
    return text.splitlines()[0] if text else ""
