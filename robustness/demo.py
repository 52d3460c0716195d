"""The demo: the same audit on two small networks, one that reads its prompt and one that cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from robustness.api import audit_plan
from robustness.demo_files import demo_checkpoint, demo_data
from robustness.files import make_folder
from robustness.plan import Plan, parse_plan

RUNS = {"text-conditioned": "film-unet", "image-only": "film-unet"}
TITLES = {
    "text-conditioned": "Demo: a network whose decoder reads the prompt",
    "image-only": "Demo: the same network without the prompt",
}


def demo_plan(which: str) -> Plan:
    """Return the plan of one of the two demo audits."""
    return parse_plan(
        {
            "seed": 0,
            "title": TITLES[which],
            "model": {"name": RUNS[which], "checkpoint": str(demo_checkpoint(which)), "label": which, "device": "cpu"},
            "data": {"path": str(demo_data("brain")), "split": "test", "prompt": "p5", "subject": "image"},
            "perturbations": {
                "prompt": ["antonym", "rare", "drop", "paraphrase", "other", "empty", "wrong_class"],
                "image": {"kinds": "modality", "severities": [1, 3, 5]},
            },
        },
        source="demo",
    )


def run_demo(out: Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Audit both networks on the embedded brain slices; return the page that compares them.

    The runs lie in ``out/text-conditioned`` and ``out/image-only``, the page is ``out/report.html``.
    """
    from robustness.reports.page import write_report

    make_folder(out, "out")
    folders = []
    for which in RUNS:
        audit_plan(demo_plan(which), out=out / which, progress=progress)
        folders.append(out / which)
    return write_report(folders, out / "report.html", title="Demo: does the network read its prompt?")
