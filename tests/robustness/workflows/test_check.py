"""The check at the command line, as a page, and before every audit and finetuning."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import robustness as rb
from robustness.cli.main import app
from robustness.errors import CaseError, InputError
from robustness.plans.audit import parse_plan
from robustness.workflows.check import check_path

SIZE = 48


def disc(row: int, column: int, radius: int = 8) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.asarray(np.hypot(rows - row, columns - column) <= radius)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two splits of six patients each, with a column `scanner`."""
    root = tmp_path / "clinicdb_polyp"
    for name in ("images", "masks", "anns"):
        (root / name).mkdir(parents=True)
    for split in ("train", "test"):
        entries: list[dict[str, Any]] = []
        for number in range(6):
            name = f"{split}{number}.png"
            rng = np.random.default_rng(len(split) * 100 + number)
            Image.fromarray(rng.integers(0, 200, (SIZE, SIZE, 3), dtype=np.uint8)).save(root / "images" / name)
            Image.fromarray(disc(20 + number, 24).astype(np.uint8) * 255).save(root / "masks" / name)
            prompts = {"p0": "", "p1": "polyp", "p6": "one polyp"}
            entry = {"img_name": name, "mask_name": name, "prompts": prompts, "subject": f"{split}-{number}"}
            entries.append({**entry, "scanner": "AB"[number == 5]})
        write(root, split, entries)
    return root


def write(root: Path, split: str, entries: list[dict[str, Any]]) -> None:
    (root / "anns" / f"{split}.json").write_text(json.dumps(entries))


def leak(root: Path) -> None:
    entries = json.loads((root / "anns/test.json").read_text())
    entries[0]["subject"] = "train-0"
    write(root, "test", entries)


def model() -> Any:
    return rb.segmenter(lambda images, prompts: [disc(22, 24).astype(np.float32) for _ in prompts], name="disc")


def audited(folder: Path, out: Path, **options: Any) -> Any:
    data = rb.load_dataset(folder, groups=options.pop("groups", None))
    return rb.audit(model(), data, perturbations=["empty"], out=out, **options)


class TestCommand:
    def test_findings_and_exit_codes(self, folder: Path) -> None:
        sound = CliRunner().invoke(app, ["check", str(folder)])
        assert sound.exit_code == 0
        assert "few_subjects [test]: this split has 6 subjects" in sound.output
        (folder / "masks/test0.png").unlink()
        broken = CliRunner().invoke(app, ["check", str(folder)])
        assert broken.exit_code == 1
        assert "error   missing_mask [test test0 test0.png]" in broken.output

    def test_a_plan_says_how_its_data_are_read_and_what_its_verdicts_need(self, folder: Path) -> None:
        plan = folder.parent / "plan.toml"
        plan.write_text(
            '[model]\nname = "x"\n[data]\npath = "clinicdb_polyp"\ngroups = ["scanner"]\n'
            "[statistics]\nmin_subjects = 6\n"
        )
        found = check_path(plan)["clinicdb_polyp"]
        assert list(found[found.code == "few_subjects"].message) == [
            "scanner = A has 5 subjects: nothing is judged below 6",
            "scanner = B has 1 subject: nothing is judged below 6",
        ]
        assert found[found.code == "few_subjects_for_no_effect"].message.iloc[0].startswith("this split has 6")

    def test_a_finetune_plan_is_checked_too(self, folder: Path) -> None:
        leak(folder)
        plan = folder.parent / "train.toml"
        plan.write_text(
            '[model]\nname = "film-unet"\n[data]\npath = "clinicdb_polyp"\nprompt = ["p1", "p6"]\n[train]\n'
        )
        assert "subject_in_splits" in set(check_path(plan)["clinicdb_polyp"].code)

    def test_keys_of_the_data_can_be_set(self, folder: Path) -> None:
        masks = disc(20, 24).astype(np.uint8) + disc(20, 24, 4)
        Image.fromarray(masks).save(folder / "masks/test0.png")
        assert CliRunner().invoke(app, ["check", str(folder)]).exit_code == 1
        shown = CliRunner().invoke(app, ["check", str(folder), "--set", "groups=['scanner']", "--split", "test"])
        assert "scanner = B has 1 subject" in shown.output
        with pytest.raises(InputError, match="did you mean 'groups'"):
            check_path(folder, overrides=["group=['scanner']"])

    def test_so_can_those_of_a_plan_with_their_table_or_without(self, folder: Path) -> None:
        plan = folder.parent / "plan.toml"
        plan.write_text('[model]\nname = "x"\n[data]\npath = "clinicdb_polyp"\n')
        for key in ("groups", "data.groups"):
            assert "few_subjects" in set(check_path(plan, overrides=[f"{key}=['scanner']"])["clinicdb_polyp"].code)
        for key in ("group", "data.group"):
            with pytest.raises(InputError, match=r"plan\.toml: unknown key 'data.group'; did you mean 'groups'"):
                check_path(plan, overrides=[f"{key}=['scanner']"])

    def test_a_plan_without_data_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "plan.toml").write_text("[model]\nname = 'x'\n")
        with pytest.raises(InputError, match=r"a plan with \[data\]"):
            check_path(tmp_path / "plan.toml")


class TestPage:
    def test_it_holds_every_finding_escaped_and_loads_nothing(self, folder: Path) -> None:
        for split in ("train", "test"):
            entries = json.loads((folder / f"anns/{split}.json").read_text())
            entries[0]["subject"] = "<script>alert(1)</script>"
            write(folder, split, entries)
        page = folder.parent / "check.html"
        result = CliRunner().invoke(app, ["check", str(folder), "--html", str(page)])
        assert f"Page: {page}" in result.output
        text = page.read_text()
        assert "subject_in_splits" in text
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert "http" not in text.replace('lang="en"', "")

    def test_a_rule_that_speaks_often_is_folded_and_counted(self, tmp_path: Path) -> None:
        from robustness.reports.html.check_page import write_check_page

        columns = ["level", "code", "split", "case_id", "file", "message"]
        rows = [("warning", "image_in_splits", "", "", f"{i}.png", f"image {i}") for i in range(212)]
        table = pd.DataFrame(
            [*rows, ("error", "missing_mask", "test", "c1", "c1.png", "no such file")], columns=columns
        )
        text = write_check_page({"mine": table}, tmp_path / "check.html").read_text()
        assert "Image in splits <span>212, <code>image_in_splits</code></span>" in text
        shown, folded = text.split("<details>")
        assert (shown.count("<td>image "), folded.count("<td>image ")) == (5, 195)
        assert "<summary>195 more</summary>" in folded
        assert "<p>12 more are not shown" in folded
        assert shown.index("Missing mask") < shown.index("Image in splits")

    def test_a_sound_dataset_says_so(self, folder: Path, tmp_path: Path) -> None:
        from robustness.reports.html.check_page import write_check_page
        from robustness.runners.data.check.dataset import check_dataset

        page = write_check_page({"mine": check_dataset(folder)}, tmp_path / "check.html")
        assert "No finding." in page.read_text()


class TestBeforeAnAudit:
    @pytest.mark.slow
    def test_leakage_and_small_groups_reach_manifest_page_and_stderr(self, folder: Path, tmp_path: Path) -> None:
        leak(folder)
        run = audited(folder, tmp_path / "run", groups=["scanner"])
        (facts,) = run.manifest["datasets"]
        assert [row["code"] for row in facts["check"]] == ["subject_in_splits", "few_subjects"]
        page = (tmp_path / "run/report.html").read_text()
        assert "train-0" in page
        assert "scanner = A has 5 subjects" in page

    def test_a_sound_dataset_has_no_finding(self, folder: Path, tmp_path: Path) -> None:
        (facts,) = audited(folder, tmp_path / "run", report=False).manifest["datasets"]
        assert facts["check"] == []

    def test_an_error_stops_it_before_anything_is_written_unless_told(self, folder: Path, tmp_path: Path) -> None:
        (folder / "anns/val.json").write_bytes((folder / "anns/test.json").read_bytes())
        with pytest.raises(InputError, match=r"identical.*check = \"warn\" goes on"):
            audited(folder, tmp_path / "run")
        assert not (tmp_path / "run").exists()
        run = audited(folder, tmp_path / "run", check="warn", report=False)
        assert run.manifest["datasets"][0]["check"][0]["code"] == "identical_splits"
        assert audited(folder, tmp_path / "off", check="off", report=False).manifest["datasets"][0]["check"] == []

    def test_a_missing_file_fails_its_case_and_not_the_audit(self, folder: Path, tmp_path: Path) -> None:
        (folder / "masks/test0.png").unlink()
        run = audited(folder, tmp_path / "run", report=False)
        assert [row["code"] for row in run.manifest["datasets"][0]["check"]] == ["missing_mask"]
        assert run.manifest["counts"]["failed_cases"] == ["test0"]

    def test_the_choice_changes_no_hash(self) -> None:
        tree = {"model": {"name": "x"}, "data": {"path": "d"}}
        other = {"model": {"name": "x"}, "data": {"path": "d", "check": "warn"}}
        assert parse_plan(tree).sha256() == parse_plan(other).sha256()

    def test_the_command_says_it_on_stderr(self, folder: Path, tmp_path: Path) -> None:
        leak(folder)
        plan = tmp_path / "plan.toml"
        (tmp_path / "net.py").write_text(
            "import numpy as np\ndef make():\n"
            "    return lambda images, prompts: [np.ones(i.shape[:2], np.float32) for i in images]\n"
        )
        plan.write_text(
            f'[model]\nname = "python"\ncheckpoint = "net.py:make"\n[data]\npath = "{folder}"\n'
            '[perturbations]\nprompt = ["empty"]\nimage = []\n'
        )
        result = CliRunner().invoke(app, ["audit", str(plan), "--out", str(tmp_path / "run"), "--workers", "1"])
        assert "audit: check: clinicdb_polyp: warning: subject 'train-0' is in the splits" in result.stderr, (
            result.output
        )


def test_finetuning_checks_its_two_splits(folder: Path, tmp_path: Path) -> None:
    from robustness.plans.finetune import parse_train_plan
    from robustness.runners.training.setup import check_before_training, set_up

    leak(folder)
    (folder / "anns/val.json").write_bytes((folder / "anns/test.json").read_bytes())
    tree: dict[str, Any] = {"model": {"name": "film-unet"}, "data": {"path": str(folder)}}
    plan = parse_train_plan(tree)
    lines = check_before_training(plan, set_up(plan, None))
    warned = [line.partition("warning: ")[2] for line in lines if line.startswith("check")]
    assert [text[:30] for text in warned] == ["subject 'train-0' is in the sp"]
    (folder / "anns/val.json").write_bytes((folder / "anns/train.json").read_bytes())
    with pytest.raises(InputError, match="identical"):
        check_before_training(plan, set_up(plan, None))
    plan = parse_train_plan({**tree, "data": {**tree["data"], "check": "warn"}})
    assert any("identical" in line for line in check_before_training(plan, set_up(plan, None)))


class TestDecisionsAreStated:
    """How masks, windows and orientation were read: said on stderr, and in the page or card."""

    SAID = (
        "stored values 0 to 1000 become black to white (stated in the plan)",
        "axial, radiological: columns run to the patient's left, rows to the back",
        "label maps (heart = 1, left lung = 2)",
    )

    @pytest.fixture
    def plans(self, tmp_path: Path) -> Path:
        pytest.importorskip("nibabel")
        from tests.runners.data.volumes import phantom

        rows = ["image,mask,subject_id,split"]
        head = phantom.head_ras()
        for number, split in enumerate(("train", "val", "test")):
            phantom.write_nifti(tmp_path / f"{number}.nii", head + number, phantom.affine_ras())
            rows.append(f"{number}.nii,m.nii,p{number},{split}")
        phantom.write_nifti(
            tmp_path / "m.nii", ((head == 1000) * 1 + (head == 650) * 2).astype(np.uint8), phantom.affine_ras()
        )
        (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
        (tmp_path / "net.py").write_text(
            "import numpy as np\ndef make():\n"
            "    return lambda images, prompts: [(i[..., 0] > 200).astype(np.float32) for i in images]\n"
        )
        data = (
            '[data]\npath = "cases.csv"\nlabels = { heart = 1, "left lung" = 2 }\nmodality = "MRI"\n'
            'window = [0, 1000]\nslices = { plane = "axial", max_per_subject = 1 }\n'
        )
        (tmp_path / "audit.toml").write_text(
            f'[model]\nname = "python"\ncheckpoint = "net.py:make"\n{data}'
            '[perturbations]\nprompt = ["empty"]\nimage = []\n'
        )
        (tmp_path / "train.toml").write_text(
            f'[model]\nname = "film-unet"\noptions = {{ image_size = 32 }}\n{data}prompt = "p1"\n[train]\nsteps = 1\n'
        )
        return tmp_path

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("arguments", "page"),
        [
            (["audit", "audit.toml", "--out", "run", "--workers", "1"], "run/report.html"),
            (["finetune", "train.toml", "--out", "net"], "net/README.md"),
            (["check", "audit.toml", "--html", "check.html"], "check.html"),
        ],
        ids=["audit", "finetune", "check"],
    )
    def test_each_command_says_them(
        self, plans: Path, arguments: list[str], page: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(plans)
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        shown = " ".join((result.output if arguments[0] == "check" else result.stderr).split())
        written = " ".join(html.unescape((plans / page).read_text()).split())
        for sentence in self.SAID:
            assert sentence in shown
            assert sentence in written


def test_finetuning_refuses_label_maps_that_nobody_declares(folder: Path, tmp_path: Path) -> None:
    """It trained on empty references and reported a validation Dice of 1."""
    for file in sorted((folder / "masks").iterdir()):
        Image.fromarray(disc(20, 24).astype(np.uint8) + disc(20, 24, 4)).save(file)
    (folder / "anns/test.json").rename(folder / "anns/val.json")
    with pytest.raises(CaseError, match=r"got the values 0, 1, 2; a label map needs \[data\] labels") as caught:
        rb.finetune("film-unet", data=folder, out=tmp_path / "net", steps=1, device="cpu")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "net").glob("*.safetensors"))
