"""Blocks of code of the documents: each is run, read by the product, or says beside it why it is only shown.

The blocks of a page are run in order, in one namespace and one folder. A block whose first line is a comment with a
file's name (`# plan.toml`) becomes that file; lines of a shell block are run as they stand. What a page takes for
granted (a plan, data, finished runs) is laid out beforehand, on the embedded slices.
"""

from __future__ import annotations

import json
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PilImage
from typer.testing import CliRunner

import robustness as rb
from tests.runners.data.prepare import downloads

ROOT = Path(__file__).resolve().parents[2]
site_check = SimpleNamespace(**runpy.run_path(str(ROOT / ".ci" / "site_check.py"), run_name="site_check"))


def typed(page: Path) -> list[Any]:
    """Return the blocks that this test runs: not those that another test does."""
    blocks = [block for block in site_check.blocks_of(page) if not block.reason]
    return [block for block in blocks if block.treatment == "run" or block.file]


PAGES = [page for page in site_check.documents() if typed(page)]
# Commands that judge: exit code 1 is an answer.
JUDGES = ("check", "gate", "verify")
PLAN = """
model = { name = "film-unet", checkpoint = "weights" }
data = { path = "data/ours", prompt = "p5", subject = "regex:^(patient[0-9]+)_" }
perturbations = { prompt = ["antonym:size", "antonym:side", "paraphrase"], image = ["gaussian_noise@1"] }
statistics = { resamples = 199 }
"""
TRAIN = """
model = { name = "film-unet", config = { image_size = 32 } }
data = { path = "data/ours" }
train = { steps = 2, batch_size = 2 }
"""
STUDY = """
model = [{ name = "film-unet", config = { image_size = 32 } }]
data = [{ path = "data/ours" }]
train = { steps = 2, batch_size = 2 }
audit = { perturbations = { prompt = ["paraphrase"], image = [] } }
"""
GATES = """
gate = [{ test = "minimum", at_least = 0.2 }, { test = "invariant", condition = "paraphrase", margin = 0.05 }]
"""


@pytest.mark.parametrize("page", site_check.documents(), ids=lambda path: path.name)
def test_a_block_is_run_or_read_or_says_why_it_is_only_shown(page: Path) -> None:
    for block in site_check.blocks_of(page):
        assert site_check.checked(block) in site_check.TREATMENTS


def test_a_block_without_a_fit_treatment_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```text\nbare\n```\n\n<!-- not run: an installation -->\n```bash\npip install x\n```\n", "utf-8")
    bare, reasoned = site_check.blocks_of(page)
    assert (bare.treatment, reasoned.treatment, reasoned.reason) == ("", "shown", "an installation")
    with pytest.raises(ValueError, match="say why"):
        site_check.checked(bare)
    page.write_text("<!-- not run: -->\n```bash\npip install x\n```\n", "utf-8")
    with pytest.raises(ValueError, match="say why"):
        site_check.checked(next(site_check.blocks_of(page)))
    page.write_text('```toml\n[data]\npath = "x"\nsubjct = "y"\n```\n', "utf-8")
    with pytest.raises(ValueError, match="subjct"):
        site_check.checked(next(site_check.blocks_of(page)))
    page.write_text("<!-- not run: a cluster -->\n```bash\nrobustness audit plan.toml --outt x\n```\n", "utf-8")
    with pytest.raises(Exception, match="outt"):
        site_check.checked(next(site_check.blocks_of(page)))


def lay_data(folder: Path) -> None:
    """Write patients with two cases each, 14 to test, one to validate and two to train, from the embedded slices."""
    source = rb.demo_data("brain")
    entries = json.loads((source / "anns" / "test.json").read_text("utf-8"))
    by_image: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        by_image.setdefault(entry["img_name"], []).append(entry)
    for part in ("images", "masks", "anns"):
        (folder / part).mkdir(parents=True)
    shutil.copy(source / "dataset_card.json", folder)
    splits: dict[str, list[dict[str, Any]]] = {"test": [], "val": [], "train": []}
    for number, (name, group) in enumerate(list(by_image.items())[:17]):
        patient = f"patient{number:03d}"
        for part, file in (("images", name), ("masks", group[0]["mask_name"])):
            shutil.copy(source / part / file, folder / part / f"{patient}_{file}")
        for entry in group[:2]:
            files = {key: f"{patient}_{entry[key]}" for key in ("img_name", "mask_name")}
            split = "test" if number < 14 else "val" if number == 14 else "train"
            splits[split].append({**entry, **files, "subject": patient})
    for split, cases in splits.items():
        (folder / "anns" / f"{split}.json").write_text(json.dumps(cases), "utf-8")


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reader who has data, weights, a plan, two finished runs, a baseline and gates."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("data/ours", "data/kvasir_polyp", "data/brain", "brain_mni_aal", "DATA"):
        lay_data(folder / name)
    shutil.copytree(rb.demo_checkpoint(), folder / "weights")
    (folder / "plan.toml").write_text(PLAN, "utf-8")
    (folder / "gates.toml").write_text(GATES, "utf-8")
    (folder / "PLAN.toml").write_text(STUDY, "utf-8")
    data = rb.load_dataset(folder / "data/ours")
    rows = []
    for case in list(data)[::2]:
        for part, pixels in (("image", case.image), ("mask", np.uint8(255 * case.mask))):
            PilImage.fromarray(pixels).save(folder / f"{part}_{case.case_id}.png")
        files = {part: f"{part}_{case.case_id}.png" for part in ("image", "mask")}
        rows.append(
            {**files, "prompt": case.prompt.text, "subject_id": case.subject_id, "scanner": "AB"[len(rows) % 2]}
        )
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    shutil.copy(folder / rows[0]["image"], folder / "scan.png")
    command(folder, "audit plan.toml --out runs/new")
    for name in ("old", "previous", "model"):
        shutil.copytree(folder / "runs/new", folder / "runs" / name)
    (folder / "baselines").mkdir()
    rb.open_run(folder / "runs/new").save_baseline(folder / "baselines/release")
    return folder


def command(folder: Path, line: str) -> str:
    """Run a command of the product in a folder; return what it prints."""
    from robustness.cli.main import app

    before = Path.cwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(app, shlex.split(line, comments=True))
    finally:
        os.chdir(before)
    assert done.exit_code == 0 or (done.exit_code == 1 and line.split()[0] in JUDGES), f"{line}\n{done.output}"
    assert done.exception is None or isinstance(done.exception, SystemExit), f"{line}\n{done.output}"
    return done.output


class Reader:
    """One who types a page's blocks, in a folder."""

    def __init__(self, folder: Path, names: dict[str, Any]) -> None:
        self.folder, self.names = folder, {"rb": rb, "Path": Path, **names}
        self.started: list[subprocess.Popen[bytes]] = []
        self.after: dict[str, Callable[[], object]] = {}

    def type(self, block: Any) -> None:
        """Write a block to its file, or run it."""
        if block.file:
            (self.folder / block.file).write_text(block.body, "utf-8")
        elif block.language == "python":
            before = Path.cwd()
            os.chdir(self.folder)
            try:
                exec(compile(block.body, f"{block.page.name}:{block.line}", "exec"), self.names)
            finally:
                os.chdir(before)
        else:
            for line in block.commands:
                self.shell(line)

    def shell(self, line: str) -> None:
        """Run one line of a shell."""
        program, *arguments = shlex.split(line, comments=True)
        if program == "robustness":
            command(self.folder, shlex.join(arguments))
            self.after.get(arguments[0], lambda: None)()
        elif program == "pytest":
            call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(call, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode in (0, 1), done.stdout
            assert " error" not in done.stdout.splitlines()[-1], done.stdout
        else:
            assert (program, arguments[-1]) == ("python", "&"), f"expected a command that a test can run, got {line!r}"
            self.started.append(subprocess.Popen([sys.executable, *arguments[:-1]], cwd=self.folder))

    def stop(self) -> None:
        """End the servers that the page started."""
        for process in self.started:
            process.kill()
            process.wait()


def _attacks(reader: Reader) -> None:
    model = rb.load_model("film-unet", checkpoint=reader.folder / "weights")
    data = rb.load_dataset(reader.folder / "brain_mni_aal", limit=2)
    run = rb.audit(model, data, perturbations=["image:fgsm@1"], out=reader.folder / "runs/fgsm")
    reader.names |= {"model": model, "run": run}


def _prompts(reader: Reader) -> None:
    from robustness.perturb.select import select_names

    model = rb.load_model("film-unet", checkpoint=reader.folder / "weights")
    data = rb.load_dataset(reader.folder / "data/ours", prompt="p5", limit=2)
    selected = select_names(["paraphrase"], data.context())
    reader.names |= {"model": model, "case": data[0], "cases": list(data), "selected": selected}


def _vendor(reader: Reader) -> None:
    """Answer an export as a vendor does: a square for every request, in a zip and in a folder."""
    public, answers = reader.folder / "out/public", reader.folder / "vendor_b"
    answers.mkdir(exist_ok=True)
    with zipfile.ZipFile(reader.folder / "vendor_a.zip", "w") as archive:
        for row in pd.read_csv(public / "manifest.csv").itertuples():
            mask = np.zeros((row.height, row.width), np.uint8)
            mask[20:60, 20:60] = 255
            PilImage.fromarray(mask).save(answers / f"{row.id}.png")
            archive.write(answers / f"{row.id}.png", f"{row.id}.png")


def _export(reader: Reader) -> None:
    reader.after["export"] = lambda: _vendor(reader)
    reader.after["gate"] = lambda: [shutil.rmtree(reader.folder / name) for name in ("out", "runs/vendor_a")]
    exported = rb.export
    reader.names["rb"] = type("Answered", (), {"__getattr__": lambda _, name: getattr(rb, name)})()

    def export(*arguments: Any, **options: Any) -> Any:
        made = exported(*arguments, **options)
        _vendor(reader)
        return made

    reader.names["rb"].export = export


def _finetuning(reader: Reader) -> None:
    (reader.folder / "plan.toml").write_text(TRAIN, "utf-8")


def _datasets(reader: Reader) -> None:
    folder = reader.folder / "downloads"
    downloads.busi(folder / "Dataset_BUSI_with_GT")
    names = downloads.kvasir(folder / "kvasir")
    published = reader.folder / "medvlsm/data/kvasir_polyp/anns"
    published.mkdir(parents=True)
    for split, name in zip(("train", "val", "test", "test"), names, strict=True):
        file = published / f"{split}.json"
        entries = json.loads(file.read_text("utf-8")) if file.exists() else []
        entries.append({"img_name": f"{name}.jpg", "mask_name": f"{name}.jpg", "prompts": {"p0": "", "p1": "polyp"}})
        file.write_text(json.dumps(entries), "utf-8")
    downloads.decathlon(folder)
    downloads.generic(folder / "mine")


LAID: dict[str, Callable[[Reader], None]] = {
    "attacks.md": _attacks,
    "datasets.md": _datasets,
    "export.md": _export,
    "finetuning.md": _finetuning,
    "prompts.md": _prompts,
}


@pytest.fixture
def reader(laid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    # As in an environment that is activated: `python` is the one that runs this.
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    typist = Reader(tmp_path / "reader", {})
    yield typist
    typist.stop()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_blocks_of_a_page_run_in_order(page: Path, laid: Path, reader: Reader) -> None:
    if page.parent.name == "tutorials":
        reader.folder.mkdir()
    else:
        shutil.copytree(laid, reader.folder)
    LAID.get(page.name, lambda _: None)(reader)
    for block in typed(page):
        reader.type(block)
