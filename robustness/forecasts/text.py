"""A forecast as lines for people and as JSON for machines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from robustness.errors import counted
from robustness.forecasts.claims import ClaimForecast
from robustness.forecasts.forecast import Forecast
from robustness.forecasts.gates import GateForecast
from robustness.forecasts.spread import ASSUMPTIONS

# So many kinds of change are named in one line of a table; the JSON names all.
_MOST_NAMES = 3


def lines(forecast: Forecast) -> Iterator[str]:
    """Yield the forecast as text."""
    yield from _work(forecast)
    yield from _time(forecast)
    yield from _spread(forecast)
    yield from _claims(forecast)
    yield from _gates(forecast)


def as_json(forecast: Forecast) -> dict[str, Any]:
    """Return the forecast as JSON values; what is not estimable is None."""
    works = [{k: v for k, v in work._asdict().items() if k != "rows"} for work in forecast.works]
    seconds = dict(zip(("estimate", "low", "high"), forecast.seconds, strict=True)) if forecast.seconds else None
    return _plain(
        {
            "unit": forecast.unit,
            "data": works,
            "seconds": seconds,
            "measured": [p._asdict() for p in forecast.pilots],
            "spread": {
                "from": forecast.spread.name or "assumptions",
                "cases_per_subject": forecast.spread.per_subject,
                "assumptions": [one._asdict() for one in ASSUMPTIONS],
            },
            "claims": [claim._asdict() for claim in forecast.claims],
            "gates": [gate._asdict() for gate in forecast.gates],
            "undecidable": [gate.name for gate in forecast.undecidable],
        }
    )


def _work(forecast: Forecast) -> Iterator[str]:
    for work in forecast.works:
        unit = "image (no patient known)" if work.subject_is_image else "patient"
        yield (
            f"DATA    {work.dataset}: {counted(work.n_cases, 'case')} on {counted(work.n_images, 'image')} of "
            f"{counted(work.n_subjects, 'subject')}; "
            f"the unit of inference is the {unit}"
        )
        rest = (
            f", image changes counted on {work.sampled} of {counted(work.n_images, 'image')}" if work.n_images else ""
        )
        yield (
            f"WORK    {counted(work.n_rows, 'row')} a model: about {counted(work.n_image_encodes, 'image encode')}, "
            f"{counted(work.n_text_encodes, 'text encode')}, {counted(work.n_decodes, 'decode')}{rest}"
        )
        if work.by_model:
            yield f"        more for what is searched with the model, not counted: {', '.join(work.by_model)}"


def _time(forecast: Forecast) -> Iterator[str]:
    if forecast.seconds is None:
        yield "TIME    not measured; --measure audits a few batches"
        return
    middle, low, high = (_duration(seconds) for seconds in forecast.seconds)
    yield f"TIME    about {middle} on this machine ({low} to {high}), statistics and page on top"
    for p in forecast.pilots:
        each = f"{1000 * p.mean:.1f} ms a row ({1000 * p.low:.1f} to {1000 * p.high:.1f})"
        yield (
            f"        {p.model} on {p.dataset}: {each}, "
            f"measured on {p.batches} batch{'' if p.batches == 1 else 'es'} "
            f"({counted(p.images, 'image')}, {counted(p.rows, 'row')}) after one to warm up; "
            f"{p.start:.1f} s to start"
        )


def _spread(forecast: Forecast) -> Iterator[str]:
    spread = forecast.spread
    if spread.earlier:
        yield f"SPREAD  of subjects: as in the run {spread.name}; where it has none, assumed:"
    else:
        yield "SPREAD  of subjects: ASSUMED, not measured (--like RUN takes an earlier run's):"
    for one in ASSUMPTIONS:
        yield f"        sd {one.sd:g} of an image's difference, ICC {one.icc:g}: {one.what}"
    yield f"        cases per {forecast.unit}: {spread.per_subject:.3g}"


def _claims(forecast: Forecast) -> Iterator[str]:
    prompt = [claim for claim in forecast.claims if claim.claim == "prompt"]
    if prompt:
        yield f"CLAIMS  about the prompt (power 80%, margin {prompt[0].margin:g} of the mask's change)"
        yield from _table(
            ("condition", f"{forecast.unit}s", "REACTS from", "IGNORES needs", "never"),
            _folded(
                [
                    (c.condition, str(c.n_subjects), _percent(c.found_from), str(c.needed), _never(c))
                    for c in _once(prompt)
                ]
            ),
        )
        yield from _reasons(_once(prompt))
    robust = [claim for claim in forecast.claims if claim.claim == "robustness"]
    if robust:
        yield "CLAIMS  about robustness (power 80%; unmoved: how often ROBUST is shown for an invariant model)"
        yield from _table(
            ("condition", "metric", f"{forecast.unit}s", "ROBUST up to", "FRAGILE from", "unmoved", "never"),
            _folded(
                [
                    (
                        c.condition,
                        c.metric,
                        str(c.n_subjects),
                        _number(c.shown_up_to, floor=True),
                        _number(c.found_from),
                        _share(c.unmoved),
                        _never(c),
                    )
                    for c in _once(robust)
                ]
            ),
        )
        yield from _reasons(_once(robust))


def _gates(forecast: Forecast) -> Iterator[str]:
    if not forecast.gates:
        return
    yield "GATES   (unchanged: how often it passes where nothing changed; fails from: true change that fails with 80%)"
    yield from _table(
        ("gate", "test", "cells", f"{forecast.unit}s", "unchanged", "fails from", "note"),
        [_gate(g) for g in forecast.gates],
    )
    for gate in forecast.undecidable:
        yield f"NEVER   {gate.name} cannot pass: {gate.never}"


def _gate(gate: GateForecast) -> tuple[str, ...]:
    note = "can never pass, see below" if gate.never else gate.note
    return (
        gate.name,
        gate.test,
        str(len(gate.conditions)),
        str(gate.n_subjects),
        _share(gate.passes),
        _number(gate.fails_from),
        note,
    )


def _once(claims: Sequence[ClaimForecast]) -> list[ClaimForecast]:
    """Return the claims of the first model: what can be found does not depend on which model it is."""
    return [c for c in claims if c.model == claims[0].model]


def _never(claim: ClaimForecast) -> str:
    return ", ".join(claim.never)


def _reasons(claims: Sequence[ClaimForecast]) -> Iterator[str]:
    """Yield why verdicts cannot be reached, each reason once."""
    reasons = dict.fromkeys(item for claim in claims for item in claim.never.items())
    yield from (f"        never {what}: {why}" for what, why in reasons)


def _folded(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Fold rows that differ in their condition alone: ``image:blur@1,3,5`` and how many more there are."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for condition, *cells in rows:
        groups.setdefault(tuple(cells), []).append(condition)
    return [(conditions_in_short(conditions), *cells) for cells, conditions in groups.items()]


def conditions_in_short(conditions: Sequence[str]) -> str:
    """Return conditions with their severities together, the first ones where there are many.

    Example:
        >>> conditions_in_short(["image:blur@1", "image:blur@3", "antonym:side"])
        'image:blur@1,3, antonym:side'
    """
    severities: dict[str, list[str]] = {}
    for condition in conditions:
        kind, _, severity = condition.partition("@")
        severities.setdefault(kind, []).append(severity)
    names = [f"{kind}@{','.join(levels)}" if levels != [""] else kind for kind, levels in severities.items()]
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more like them"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        yield ("        " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f}%" if value < 1 else "not found"


def _number(value: float, *, floor: bool = False) -> str:
    if math.isnan(value):
        return "-"
    return "never at 80%" if floor and value < 0 else f"{value:.3f}"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f}%"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
