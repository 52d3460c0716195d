"""A model that nobody here may hold: what goes out, what comes back, and scores that are those of a direct audit."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PilImage
from typer.testing import CliRunner

import robustness as rb
from robustness.cli.main import app
from robustness.errors import CaseError, InputError
from robustness.plans.audit import parse_plan
from robustness.runs.conclude import derive
from robustness.workflows.audit import run_plan
from robustness.workflows.demo_files import demo_checkpoint, demo_data
from robustness.workflows.exchange import export, score
from tests.synthetic import bright, reads_side, write_dataset

SEARCHED = ["worst_case", "image:query_attack@3"]
METRICS = ["dice", "iou", "hd95", "nsd", "ece", "brier"]


def _soft_reader(images, prompts):
    """Return probabilities that are neither 0, 1 nor representable in 8 bits, some of them close to the threshold."""
    masks = reads_side(images, prompts)
    lightness = [image[:, :, 0].astype(np.float32) / 257.3 for image in images]
    return [np.where(m > 0, 0.5 + light / 2.1, light / 2.003) for m, light in zip(masks, lightness, strict=True)]


def _plan(path, **more):
    tree = {
        "model": {"name": "vendor"},
        "data": {"path": str(path), "prompt": "p5"},
        "perturbations": {
            "prompt": ["antonym", "drop", "paraphrase", "other", "empty", "wrong_class", "worst_case"],
            "image": {"kinds": ["gaussian_noise", "horizontal_flip", "query_attack"], "severities": [3]},
            "joint": [{"image": ["gaussian_noise@3"], "prompt": ["antonym:side", "empty"]}],
            "attack": {"budget": 4, "text_budget": 4},
        },
        "metrics": {"names": METRICS, "thresholds": [0.3]},
        "statistics": {"resamples": 199},
    }
    return parse_plan({**tree, **more})


def _requests(public):
    with (public / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _vendor(public, out, model, write):
    """Do what the vendor does: nothing but the public folder, the model and numpy; in another order."""
    out.mkdir()
    for row in reversed(_requests(public)):
        image = np.asarray(PilImage.open(public / row["image"]))
        (found,) = model([image], [row["prompt"]])
        assert found.shape == (int(row["height"]), int(row["width"]))
        write(out / row["id"], found)
    return out


def _npy(path, found):
    np.save(path.with_suffix(".npy"), found)


def _mask(path, found):
    PilImage.fromarray((found > 0.5).astype(np.uint8) * 255).save(path.with_suffix(".png"))


def _same(scored, direct, *, without=()):
    left, right = (
        table.drop(columns=["model", *[c for c in without if c in table]]).reset_index(drop=True)
        for table in (scored, direct)
    )
    pd.testing.assert_frame_equal(left[sorted(left)], right[sorted(right)], check_exact=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "patients", images=5)


@pytest.fixture(scope="module")
def exported(data, tmp_path_factory):
    return export(_plan(data), tmp_path_factory.mktemp("export") / "out")


@pytest.fixture(scope="module")
def direct(data, tmp_path_factory):
    plan = _plan(data)
    return run_plan(
        plan,
        models=[rb.segmenter(_soft_reader, name="direct")],
        datasets=[rb.load_dataset(data, prompt="p5")],
        out=tmp_path_factory.mktemp("runs") / "direct",
        strict=False,
        allow_drift=False,
        report=False,
        progress=None,
    )


def _askable(table):
    """Return the rows that need no model while the inputs are made."""
    return table[~table["condition"].isin(SEARCHED)]


@pytest.fixture(scope="module")
def probabilities(exported, tmp_path_factory):
    return _vendor(exported.path / "public", tmp_path_factory.mktemp("vendor") / "maps", _soft_reader, _npy)


class TestPublicFolder:
    def test_it_says_nothing_about_cases_conditions_references_or_the_data(self, exported, data):
        public = exported.path / "public"
        names = [p.relative_to(public).as_posix() for p in public.rglob("*")]
        texts = [p.read_text("utf-8") for p in public.iterdir() if p.is_file()]
        said = "\n".join([*names, *texts])
        prompts = {row["prompt"] for row in _requests(public)}
        for word in ("s00", "s01", "subject", "patients", str(data), "clean", "antonym", "gaussian", "flip", "wrong"):
            assert word not in said, word
        assert any("left" in prompt for prompt in prompts)
        masks = {np.asarray(PilImage.open(p)).tobytes() for p in (data / "masks").iterdir()}
        assert all(np.asarray(PilImage.open(p)).tobytes() not in masks for p in (public / "images").iterdir())

    def test_pictures_carry_no_metadata_and_files_no_time(self, exported):
        public = exported.path / "public"
        assert {p.stat().st_mtime for p in public.rglob("*")} == {315_532_800.0}
        for picture in (public / "images").iterdir():
            with PilImage.open(picture) as opened:
                assert (opened.mode, opened.info) == ("RGB", {})

    def test_requests_come_in_the_order_of_ids_that_hash_what_the_vendor_sees(self, exported):
        rows = _requests(exported.path / "public")
        ids = [row["id"] for row in rows]
        assert ids == sorted(ids)
        assert len(set(ids)) == len(ids) == exported.n_requests
        assert len({(row["image"], row["prompt"]) for row in rows}) == len(rows)

    def test_every_file_has_its_hash(self, exported):
        public = exported.path / "public"
        sums = dict(reversed(line.split("  ")) for line in (public / "SHA256SUMS").read_text().splitlines())
        files = {p.relative_to(public).as_posix() for p in public.rglob("*") if p.is_file()}
        assert set(sums) == files - {"SHA256SUMS"}
        for name, sha256 in sums.items():
            assert hashlib.sha256((public / name).read_bytes()).hexdigest() == sha256
        assert all(row["image_sha256"] == sums[row["image"]] for row in _requests(public))

    def test_both_lists_say_the_same(self, exported):
        public = exported.path / "public"
        listed = json.loads((public / "manifest.json").read_text())["requests"]
        assert [{k: str(v) for k, v in row.items()} for row in listed] == _requests(public)

    def test_the_letters_python_runs_as_written(self, exported, probabilities, tmp_path, monkeypatch):
        public = shutil.copytree(exported.path / "public", tmp_path / "public")
        code = textwrap.dedent((public / "README.txt").read_text("utf-8").partition("In Python:\n")[2])
        monkeypatch.chdir(public)
        exec(code, {"your_model": lambda image, prompt: _soft_reader([image], [prompt])[0]})
        made = {p.name: p.read_bytes() for p in (public / "predictions").iterdir()}
        assert made == {p.name: p.read_bytes() for p in probabilities.iterdir()}

    def test_the_same_plan_gives_the_same_folder(self, exported, data, tmp_path):
        again = export(_plan(data), tmp_path / "again")
        name = "public/SHA256SUMS"
        assert (again.path / name).read_bytes() == (exported.path / name).read_bytes()

    def test_the_search_that_needs_a_model_is_left_out_by_name(self, exported):
        assert "needs a model" in exported.left_out["worst_case"]
        assert "image:query_attack@3" in exported.left_out
        key = pd.read_parquet(exported.path / "key" / "requests.parquet")
        assert set(key["condition"]) >= {"clean", "rerun", "antonym:side", "image:gaussian_noise@3"}
        assert "worst_case" not in set(key["condition"])

    def test_bounds_are_errors_and_leave_nothing_behind(self, data, tmp_path):
        with pytest.raises(InputError, match="max_requests: the export would hold more than 3 requests"):
            export(_plan(data), tmp_path / "out", max_requests=3)
        with pytest.raises(InputError, match=r"max_bytes: .*fewer severities"):
            export(_plan(data), tmp_path / "out", max_bytes=20_000)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_holds_something_is_refused(self, exported, data):
        with pytest.raises(InputError, match="choose another"):
            export(_plan(data), exported.path)

    def test_scores_at_network_resolution_cannot_be_exported(self, data, tmp_path):
        with pytest.raises(InputError, match="images' own size"):
            export(_plan(data, metrics={"resolution": "network"}), tmp_path / "out")


class TestSameAsTheDirectAudit:
    @pytest.mark.slow
    def test_with_probabilities_every_column_is_the_same(self, exported, direct, probabilities, tmp_path):
        run = score(exported.path, probabilities, out=tmp_path / "run", label="vendor", report=False)
        rows = run.results()
        assert not rows.loc[rows.condition.isin(SEARCHED), "applicable"].any()
        assert set(rows["model"]) == {"vendor"}
        assert {"ece", "brier", "dice_at_0.30"} <= set(rows)
        assert "joint" in set(rows["family"])
        _same(_askable(rows), _askable(direct.results()))
        # What was not asked is no member of any family of tests: the same conclusions follow from the rows that were.
        effects, verdicts = derive(_askable(direct.results()), run.plan, unit="patient")
        _same(_askable(run.effects()), effects)
        _same(_askable(run.verdicts()), verdicts, without=["sentence"])

    @pytest.mark.slow
    def test_with_masks_in_an_archive_too_but_for_metrics_of_probabilities(self, exported, direct, tmp_path):
        masks = _vendor(exported.path / "public", tmp_path / "masks", _soft_reader, _mask)
        archive = shutil.make_archive(str(tmp_path / "returned"), "zip", masks.parent, masks.name)
        run = score(exported.path, archive, out=tmp_path / "run", report=False)
        rows = run.results()
        assert set(rows["model"]) == {"returned"}
        _same(_askable(rows), _askable(direct.results()), without=["ece", "brier", "dice_at_0.30"])
        assert run.manifest["model"]["kind"] == "masks"

    @pytest.mark.slow
    def test_sixteen_bits_are_close(self, exported, direct, tmp_path):
        def write(path, found):
            PilImage.fromarray(np.round(found * 65535).astype(np.uint16)).save(path.with_suffix(".png"))

        returned = _vendor(exported.path / "public", tmp_path / "deep", _soft_reader, write)
        run = score(exported.path, returned, out=tmp_path / "run", report=False)
        rows = run.results()
        left, right = _askable(rows)["brier"], _askable(direct.results())["brier"]
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-4)

    def test_the_run_is_an_ordinary_one(self, exported, probabilities, tmp_path):
        run = score(exported.path, probabilities, out=tmp_path / "run", label="vendor")
        assert run.verify()["ok"].all()
        assert "vendor" in (run.path / "report.html").read_text("utf-8")
        (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "drop_below"\ncondition = "paraphrase"\nmargin = 0.5\n')
        (judged,) = run.gate(tmp_path / "gates.toml").to_dict("records")
        assert judged["outcome"] == "inconclusive"
        assert "a decision takes 10 patients, these are 5" in judged["message"]


class TestWhatIsWrong:
    @pytest.fixture
    def spoiled(self, probabilities, tmp_path):
        folder = shutil.copytree(probabilities, tmp_path / "spoiled")
        files = sorted(folder.iterdir())
        files[0].unlink()
        np.save(files[1], np.zeros((3, 4), np.float32))
        files[2].write_bytes(b"no array")
        np.save(files[3], np.full((48, 48), 7.5, np.float32))
        np.save(files[4], np.full((48, 48), np.nan, np.float32))
        files[5].unlink()
        PilImage.fromarray(np.arange(48 * 48, dtype=np.uint8).reshape(48, 48)).save(files[5].with_suffix(".png"))
        shutil.copy(files[6], folder / f"{files[6].stem}.png")
        (folder / "notes.txt").write_text("we had a good time")
        np.save(folder / "0123456789abcdef0123.npy", np.zeros((48, 48)))
        return folder, [file.stem for file in files[:7]]

    @pytest.mark.slow
    def test_it_is_listed_counted_and_flagged_and_nothing_is_lost(self, exported, direct, spoiled, tmp_path):
        folder, bad = spoiled
        run = score(exported.path, folder, out=tmp_path / "run", label="vendor", report=False)
        problems = pd.read_csv(run.path / "problems.csv")
        counts = {"extra": 2, "missing": 1, "wrong size": 1, "unreadable": 4, "more than one file": 1}
        assert problems["problem"].value_counts().to_dict() == counts == run.manifest["model"]["problems"]
        rows, whole = run.results(), direct.results()
        assert len(rows) == len(whole)
        key = pd.read_parquet(exported.path / "key" / "requests.parquet")
        asked = key[key["id"].isin(bad)].groupby("condition").size()
        failed = rows[rows["error"] != ""].groupby("condition").size()
        # A clean row stands once for each kind of second object, so it can fill more rows than it has requests.
        assert asked.drop("clean", errors="ignore").to_dict() == failed.drop("clean", errors="ignore").to_dict()
        assert run.manifest["counts"]["errors"] == int((rows["error"] != "").sum()) >= 7

    def test_strict_stops_before_anything_is_scored(self, exported, spoiled, tmp_path):
        with pytest.raises(CaseError, match=r"9 problems .*stopped: strict"):
            score(exported.path, spoiled[0], out=tmp_path / "run", strict=True)
        assert not (tmp_path / "run").exists()

    def test_nothing_usable_is_an_error(self, exported, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=r"none of .* the first: missing"):
            score(exported.path, tmp_path / "empty", out=tmp_path / "run")
        with pytest.raises(InputError, match="a folder or a zip archive"):
            score(exported.path, tmp_path / "absent.zip", out=tmp_path / "run")
        with pytest.raises(InputError, match="threshold: expected a probability between 0 and 1"):
            score(exported.path, tmp_path / "empty", out=tmp_path / "run", threshold=1.0)

    @pytest.mark.slow
    def test_an_archive_that_says_it_is_small_is_not_unpacked_beyond_that(self, exported, probabilities, tmp_path):
        name = sorted(probabilities.iterdir())[0].name
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, bytes(50_000_000))
            for file in sorted(probabilities.iterdir())[1:]:
                archive.write(file, f"predictions/{file.name}")
        run = score(exported.path, tmp_path / "bomb.zip", out=tmp_path / "run", report=False)
        assert run.manifest["model"]["problems"] == {"wrong size": 1}


class TestTampering:
    @pytest.fixture
    def copy(self, exported, tmp_path):
        return shutil.copytree(exported.path, tmp_path / "copy")

    @pytest.mark.parametrize("name", ["key/plan.toml", "key/requests.parquet", "public/manifest.csv"])
    def test_a_changed_file_is_refused(self, copy, probabilities, tmp_path, name):
        (copy / name).write_bytes((copy / name).read_bytes() + b"\n")
        with pytest.raises(InputError, match=f"other hashes.*{name}"):
            score(copy, probabilities, out=tmp_path / "run")

    def test_a_changed_picture_is_refused(self, copy, probabilities, tmp_path):
        picture = sorted((copy / "public" / "images").iterdir())[0]
        PilImage.fromarray(np.zeros((48, 48, 3), np.uint8)).save(picture)
        with pytest.raises(InputError, match=rf"1 file is .*{picture.name}"):
            score(copy, probabilities, out=tmp_path / "run")

    @pytest.mark.slow
    def test_the_public_folder_may_have_moved_away(self, copy, probabilities, tmp_path):
        shutil.rmtree(copy / "public")
        assert score(copy, probabilities, out=tmp_path / "run", report=False).manifest["counts"]["errors"] == 0

    def test_changed_data_are_refused(self, tmp_path, probabilities):
        data = write_dataset(tmp_path / "patients", images=5)
        made = export(_plan(data), tmp_path / "out")
        mask = sorted((data / "masks").iterdir())[0]
        PilImage.fromarray(~np.asarray(PilImage.open(mask))).save(mask)
        with pytest.raises(InputError, match="'patients' changed since the export"):
            score(made.path, probabilities, out=tmp_path / "run")

    @pytest.mark.slow
    def test_a_prediction_other_than_its_senders_hash_is_flagged(self, exported, probabilities, tmp_path):
        folder = shutil.copytree(probabilities, tmp_path / "summed")
        files = sorted(folder.iterdir())
        lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files]
        (folder / "SHA256SUMS").write_text("".join(lines))
        np.save(files[0], np.ones((48, 48), np.float32))
        run = score(exported.path, folder, out=tmp_path / "run", report=False)
        assert run.manifest["model"]["problems"] == {"changed": 1}

    def test_a_list_of_hashes_beyond_all_measure_is_refused(self, exported, probabilities, tmp_path):
        folder = shutil.copytree(probabilities, tmp_path / "summed")
        with (folder / "SHA256SUMS").open("wb") as handle:
            # Nothing of it is read; on most disks it takes no room.
            handle.truncate(70_000_000)
        with pytest.raises(InputError, match=r"predictions: SHA256SUMS cannot be read or is larger than \d+ bytes"):
            score(exported.path, folder, out=tmp_path / "run", report=False)

    def test_no_export_there(self, tmp_path):
        with pytest.raises(InputError, match="expected a folder made by `robustness export`"):
            score(tmp_path, tmp_path, out=tmp_path / "run")


def _network():
    """Return the embedded network as a function of one pair: batches round the last digit of a probability."""
    model = rb.load_model("film-unet", checkpoint=demo_checkpoint("text-conditioned"), device="cpu")

    def predict(images, prompts):
        codes = model.encode_image(images), model.encode_text(prompts)
        return model.probabilities(*codes, [image.shape[:2] for image in images])

    return predict


def _both_ways(data, tmp_path, *, limit):
    network, names = _network(), ["antonym", "paraphrase", "other", "empty", "gaussian_noise", "horizontal_flip"]
    spec = {"path": str(data), "prompt": "p5", "subject": "image", "limit": limit}
    direct = rb.audit(
        rb.segmenter(network, name="network", batch_size=1),
        rb.load_dataset(data, prompt="p5", subject="image", limit=limit),
        perturbations=names,
        severities=[3],
        metrics={"names": METRICS},
        out=tmp_path / "direct",
        report=False,
    )
    image = {"kinds": names[4:], "severities": [3]}
    plan = _plan(data, data=spec, metrics={"names": METRICS}, perturbations={"prompt": names[:4], "image": image})
    made = export(plan, tmp_path / "out")
    returned = _vendor(made.path / "public", tmp_path / "maps", network, _npy)
    scored = score(made.path, returned, out=tmp_path / "scored", report=False)
    _same(scored.results(), direct.results())
    return scored


@pytest.mark.slow
def test_an_embedded_network_gets_exactly_the_scores_of_its_direct_audit(tmp_path):
    run = _both_ways(demo_data("brain"), tmp_path, limit=3)
    assert run.manifest["counts"]["errors"] == 0


@pytest.mark.slow
def test_real_slices_give_exactly_the_scores_of_the_direct_audit(shared, tmp_path):
    run = _both_ways(shared / "data" / "brain_mni_aal", tmp_path, limit=60)
    assert run.results()["case_id"].nunique() == 60


@pytest.mark.slow
def test_the_commands_lead_from_a_plan_to_a_comparison_of_two_vendors(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("plan.toml").write_text(_plan(data, metrics={"names": ["dice"]}).to_toml())
    call = CliRunner().invoke
    made = call(app, ["export", "plan.toml", "out", "--set", "data.limit=4"], catch_exceptions=False)
    assert made.exit_code == 0
    assert "no request for worst_case" in made.stderr
    public = Path("out/public")
    for name, model in (("reader", reads_side), ("blind", lambda images, _: [bright(i) * 1.0 for i in images])):
        _vendor(public, Path(name), model, _mask)
        if name == "blind":
            sorted(Path(name).iterdir())[0].unlink()
        done = call(app, ["score", "out", name, "--label", name], catch_exceptions=False)
        assert done.exit_code == 0
        assert ("missing: " in done.stderr) is (name == "blind")
        assert "predictions can be used" in done.stderr
    assert call(app, ["compare", "runs/reader", "runs/blind"], catch_exceptions=False).exit_code == 0
    with pytest.raises(CaseError, match="stopped: strict"):
        call(app, ["score", "out", "blind", "--strict", "--out", "runs/strict"], catch_exceptions=False)
