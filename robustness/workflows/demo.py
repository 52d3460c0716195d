"""The demo: the same audit on two small networks, one that reads its prompt and one that cannot."""

from __future__ import annotations

from pathlib import Path

from robustness.files import make_folder
from robustness.plans.audit import Plan, parse_plan
from robustness.types import Progress
from robustness.workflows.audit import audit_plan
from robustness.workflows.demo_files import demo_checkpoint, demo_data

RUNS = {"text-conditioned": "film-unet", "image-only": "film-unet"}
# Strong enough that the difference between two small networks shows on a page; noise and JPEG are near MedMNIST-C's.
PARAMETERS = {
    "gaussian_noise": [0.04, 0.08, 0.12, 0.18, 0.26],
    "gamma_up": [1.25, 1.5, 1.9, 2.4, 3.0],
    "jpeg": [50, 30, 17, 10, 7],
}
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
            # Noise gives every prompt an image of its own: whole batches of images give whole batches of pairs.
            "engine": {"threads": 1, "image_batch": 16, "images_per_part": 8},
            "perturbations": {
                "prompt": ["antonym", "rare", "drop", "paraphrase", "other", "empty", "wrong_class"],
                "image": {"kinds": list(PARAMETERS), "severities": [1, 3, 5], "parameters": PARAMETERS},
            },
            "metrics": {"names": ["dice", "iou"]},
        },
        source="demo",
    )


def run_demo(out: Path, *, progress: Progress | None = None) -> Path:
    """Audit both networks on the embedded brain slices; return the page that compares them.

    The runs lie in ``out/text-conditioned`` and ``out/image-only``, the page is ``out/report.html``. One process makes
    all three: two would import the same libraries and read the same prompts twice.
    """
    from robustness.reports.html.page import write_report

    make_folder(out, "out")
    folders = [out / which for which in RUNS]
    for done, (which, folder) in enumerate(zip(RUNS, folders, strict=True), start=1):
        audit_plan(demo_plan(which), out=folder)
        if progress:
            progress(done, len(folders))
    return write_report(folders, out / "report.html", title="Demo: does the network read its prompt?")
