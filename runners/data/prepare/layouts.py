"""All layouts by name."""

from __future__ import annotations

from robustness.errors import UnknownNameError, suggest
from robustness.runners.data.prepare import chest, decathlon, generic, polyps, skin, ultrasound
from robustness.runners.data.prepare.base import Layout

LAYOUTS: dict[str, Layout] = {
    layout.name: layout for module in (polyps, skin, ultrasound, chest, decathlon, generic) for layout in module.LAYOUTS
}


def layout_named(name: str) -> Layout:
    """Return the layout called `name`.

    Raises:
        UnknownNameError: there is none; near names are suggested.
    """
    if name not in LAYOUTS:
        raise UnknownNameError(f"name: expected one of {', '.join(LAYOUTS)}, got {name!r}{suggest(name, LAYOUTS)}")
    return LAYOUTS[name]


def explained(layout: Layout) -> str:
    """Return what a layout reads, where it comes from and what is easily read wrongly, as text."""
    lines = [
        f"{layout.name}: {layout.title}",
        f"  files     {layout.tree}",
        f"  subjects  {layout.subjects}",
        f"  licence   {layout.licence}",
        f"  source    {layout.source}",
        *(f"  note      {trap}" for trap in layout.traps),
        *([f"  options   {', '.join(layout.options)}"] if layout.options else []),
    ]
    return "\n".join(lines)
