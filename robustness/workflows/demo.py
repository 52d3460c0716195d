"""The demo: the same audit on two small networks, one that reads its prompt and one that cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from robustness.errors import InputError, OtherRunError
from robustness.files import make_folder
from robustness.plans.audit import Plan, parse_plan
from robustness.plans.toml import read_toml
from robustness.run_folder import PLAN, RunFolder
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


def run_demo(out: Path, *, progress: Progress | None = None, say: Callable[[str], None] | None = None) -> Path:
    """Audit both networks on the embedded brain slices; return the page that compares them.

    The runs lie in ``out/text-conditioned`` and ``out/image-only``, the page is ``out/report.html``. One process makes
    all three: two would import the same libraries and read the same prompts twice. Runs of the demo that another
    version or machine made are made again, which `say` is told.
    """
    from robustness.reports.html.page import write_report

    make_folder(out, "out")
    folders = [out / which for which in RUNS]
    for done, (which, folder) in enumerate(zip(RUNS, folders, strict=True), start=1):
        _audit(which, folder, say)
        if progress:
            progress(done, len(folders))
    return write_report(folders, out / "report.html", title="Demo: does the network read its prompt?")


def _audit(which: str, folder: Path, say: Callable[[str], None] | None) -> None:
    plan = demo_plan(which)
    try:
        audit_plan(plan, out=folder)
    except OtherRunError:
        run = RunFolder(folder)
        # Whatever else lies in the folder is the user's, and the refusal says to choose another one.
        if not (_is_demo(run, plan) and run.renew()):
            raise
        if say:
            say(f"{folder} holds the demo of another version or machine; it is made again")
        audit_plan(plan, out=folder)


def _is_demo(run: RunFolder, plan: Plan) -> bool:
    """Tell whether a folder's run is one of the demo: its plan changes with versions, its title does not."""
    try:
        stored = read_toml(run.path / PLAN)
    except InputError:
        return False
    return stored.get("title") == plan.title
