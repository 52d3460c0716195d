"""Feeders: the rows of one process bit for bit under every family of changes; ends of one line that names the case."""

import multiprocessing
import os
import shutil
import signal
import threading
from functools import partial

import pandas as pd
import pytest
import torch

import robustness as rb
from robustness.errors import CaseError, InputError
from robustness.plans.audit import parse_plan
from robustness.registry import PERTURBATIONS
from robustness.run_folder import RunFolder
from robustness.runners.audit import feeders, worker_count
from robustness.runners.audit.feeder_messages import Link
from robustness.runners.audit.processes import process_context
from robustness.runners.audit.session import AuditSession
from robustness.runners.audit.worker_count import chosen_workers, processes_of, stated_feeders
from robustness.runners.data.load import load_dataset
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.runners.models.load import load_model
from robustness.workflows.audit import audit_plan
from robustness.workflows.loading import load_all
from tests.synthetic import reads_side, write_dataset

PROMPT = ["antonym", "other", "drop", "paraphrase", "absent", "worst_case"]
IMAGE = ["gaussian_noise", "horizontal_flip", "fgsm", "pgd", "query_attack", "universal", "joint_worst_case"]


def plan_of(data, *, perturbations=None, metrics=None, model=None, **engine):
    changes = perturbations or {
        "prompt": PROMPT,
        "image": {"kinds": IMAGE, "severities": [3]},
        "joint": ["image:gaussian_noise@3+antonym"],
        "attack": {"steps": 1, "restarts": 1, "budget": 4, "text_budget": 3, "universal_epochs": 1},
    }
    return parse_plan(
        {
            "seed": 3,
            "model": {"name": "film-unet", "config": {"image_size": 32}, "device": "cpu", **(model or {})},
            "data": {"path": str(data), "prompt": "p5"},
            "perturbations": changes,
            "metrics": {"names": ["dice", "iou", "hd95", "brier"], "thresholds": [0.3, 0.7], **(metrics or {})},
            "statistics": {"resamples": 99},
            "engine": {"images_per_part": 2, "threads": 1, "image_batch": 2, "batch_size": 4, **engine},
        },
        source="test",
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "set", images=5)


@pytest.fixture(scope="module")
def light(data):
    changes = {"prompt": ["antonym"], "image": {"kinds": ["gaussian_noise"], "severities": [3]}}
    return partial(plan_of, data, perturbations=changes)


@pytest.fixture(scope="module")
def lightly(light, tmp_path_factory):
    return audit_plan(light(), out=tmp_path_factory.mktemp("run") / "light", report=False)


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    return audit_plan(plan_of(data, save_predictions=True), out=tmp_path_factory.mktemp("run") / "plain", report=False)


def counts(run):
    """Counters of work but those of texts: whose call came before says whether a text is at hand."""
    timing = run.manifest["timing"]
    return {name: n for name, n in timing.items() if name.startswith("n_") and name != "n_text_encodes"}


class TestRows:
    @pytest.mark.slow
    @pytest.mark.parametrize("feeders", [1, 2])
    def test_rows_verdicts_gallery_masks_and_counts_are_those_of_one_process(self, data, plain, tmp_path, feeders):
        lines: list[str] = []
        plan = plan_of(data, feeders=feeders, save_predictions=True)
        fed = audit_plan(plan, out=tmp_path / "fed", report=False, say=lines.append)
        pd.testing.assert_frame_equal(fed.results(), plain.results(), check_exact=True)
        pd.testing.assert_frame_equal(fed.verdicts(), plain.verdicts(), check_exact=True)
        galleries = [pd.read_parquet(run.path / "gallery.parquet") for run in (fed, plain)]
        pd.testing.assert_frame_equal(*galleries, check_exact=True)
        masks = [{p.name: p.read_bytes() for p in run.path.rglob("predictions/**/*.png")} for run in (fed, plain)]
        assert masks[0] == masks[1]
        assert counts(fed) == counts(plain)
        assert set(fed.results()["error"]) == {""}
        assert lines[0] == fed.manifest["processes"]
        assert lines[0] == f"{feeders} feeder{'s' * (feeders > 1)}, 1 thread each: as stated"
        assert multiprocessing.active_children() == []

    @pytest.mark.slow
    def test_every_condition_of_the_plan_was_asked(self, plain):
        families = set(plain.results()["condition"].str.replace(r"[:@+].*", "", regex=True).str.replace("image:", ""))
        images = set(plain.results()["condition"].str.extract(r"^image:(\w+)@\d$")[0].dropna())
        assert {"clean", "rerun", *PROMPT} <= families
        assert set(IMAGE) - {"joint_worst_case"} == images
        assert "image:pgd@3+worst_case" in set(plain.results()["condition"])

    @pytest.mark.slow
    def test_at_the_networks_size_and_without_text(self, data, tmp_path):
        plans = [
            plan_of(
                data,
                feeders=feeders,
                model={"name": "unet", "config": {"image_size": 32}},
                metrics={"resolution": "network"},
                perturbations={"prompt": ["other"], "image": {"kinds": ["rotation"], "severities": [3]}},
            )
            for feeders in (0, 1)
        ]
        one, fed = (audit_plan(plan, out=tmp_path / str(n), report=False) for n, plan in enumerate(plans))
        pd.testing.assert_frame_equal(fed.results(), one.results(), check_exact=True)

    @pytest.mark.slow
    def test_features_on_disk_are_those_of_any_other_run(self, light, tmp_path):
        cached = partial(light, cache=str(tmp_path / "cache"))
        one = audit_plan(cached(), out=tmp_path / "one", report=False)
        fed = audit_plan(cached(feeders=1), out=tmp_path / "fed", report=False)
        pd.testing.assert_frame_equal(fed.results(), one.results(), check_exact=True)
        # The second clean run alone is encoded again.
        assert counts(fed)["n_image_codes_read"] == counts(one)["n_image_encodes"] - 5
        assert counts(fed)["n_image_encodes"] == 5

    @pytest.mark.slow
    def test_a_loaded_network_is_fed_as_well(self, data, tmp_path):
        model = load_model("film-unet", config={"image_size": 32}, device="cpu")
        changes = {"perturbations": ["antonym"], "metrics": {"names": ["dice"]}, "statistics": {"resamples": 99}}
        runs = [
            rb.audit(
                model,
                load_dataset(data, prompt="p5"),
                out=tmp_path / str(feeders),
                engine={"feeders": feeders, "threads": 1},
                report=False,
                **changes,
            )
            for feeders in (0, 1)
        ]
        pd.testing.assert_frame_equal(runs[1].results(), runs[0].results(), check_exact=True)


@pytest.mark.slow
def test_every_image_change_and_every_move_gives_the_rows_of_one_process(tmp_path):
    names = [n for n in PERTURBATIONS.names() if PERTURBATIONS.get(n).target != "prompt"]
    kinds = [name for name in names if not PERTURBATIONS.get(name).needs_model]
    data = write_dataset(tmp_path / "set", images=3)
    plan = partial(plan_of, data, perturbations={"prompt": [], "image": {"kinds": kinds, "severities": [3]}})
    one, fed = (audit_plan(plan(feeders=n), out=tmp_path / str(n), report=False) for n in (0, 2))
    pd.testing.assert_frame_equal(fed.results(), one.results(), check_exact=True)
    assert len(set(one.results()["condition"])) > len(kinds) / 2


class TestEnds:
    @pytest.mark.slow
    def test_a_run_that_one_process_began_goes_on_with_feeders(self, light, lightly, tmp_path):
        plan = light()
        shutil.copytree(lightly.path, tmp_path / "run")
        for part in (0, 2):
            (tmp_path / "run" / "results" / f"part-{part:05d}.parquet").unlink()
        again = audit_plan(plan, out=tmp_path / "run", report=False, feeders=2).results()
        pd.testing.assert_frame_equal(again, lightly.results(), check_exact=True)

    @pytest.mark.slow
    def test_a_case_that_cannot_be_read_is_a_row_and_under_strict_the_end(self, tmp_path):
        data = write_dataset(tmp_path / "set", images=4)
        broken = sorted((data / "images").iterdir())[1]
        broken.write_bytes(b"no image")
        plan = partial(plan_of, data, perturbations={"prompt": ["antonym"], "image": []})
        one, fed = (audit_plan(plan(feeders=n), out=tmp_path / str(n), report=False).results() for n in (0, 2))
        pd.testing.assert_frame_equal(fed, one, check_exact=True)
        assert (fed["error"] != "").sum() > 0
        with pytest.raises(CaseError, match=r"stopped: strict") as caught:
            audit_plan(plan(feeders=2), out=tmp_path / "strict", report=False, strict=True)
        assert "\n" not in str(caught.value)
        assert multiprocessing.active_children() == []

    def test_a_killed_feeder_is_one_line_that_names_its_case_and_a_resume_finishes(self, light, tmp_path, monkeypatch):
        servers: list[feeders._Server] = []
        start = feeders._Server.start
        monkeypatch.setattr(feeders._Server, "start", lambda self, count: (servers.append(self), start(self, count)))
        plan = light(feeders=2, images_per_part=1)
        whole = audit_plan(light(images_per_part=1), out=tmp_path / "whole", report=False).results()
        killed: list[int] = []

        def kill(done, total):
            if done and not killed:
                # The other one may still be importing, at no case.
                begun = next(one for one in servers[0]._feeders.values() if str(one.place))
                killed.append(begun.process.pid)
                os.kill(killed[0], signal.SIGKILL)

        line = r"^feeders: a process that prepares images was killed by signal 9 at case .+; the parts .* are kept\."
        with pytest.raises(InputError, match=line):
            audit_plan(plan, out=tmp_path / "run", report=False, progress=kill)
        assert multiprocessing.active_children() == []
        stored = len(list((tmp_path / "run" / "results").glob("part-*.parquet")))
        assert 0 < stored < 5
        again = audit_plan(plan, out=tmp_path / "run", report=False).results()
        pd.testing.assert_frame_equal(again, whole, check_exact=True)

    def test_what_cannot_be_sent_ends_the_feeder_instead_of_both_sides_waiting(self, tmp_path):
        context = process_context()
        here, there = context.Pipe()
        process = context.Process(target=_sends_a_lock, args=(there,), daemon=True)
        process.start()
        there.close()
        process.join(60)
        assert process.exitcode == 1
        with pytest.raises(EOFError):
            here.recv()

    def test_models_that_read_images_themselves_are_refused(self, data, tmp_path):
        model = rb.segmenter(reads_side, name="reader")
        with pytest.raises(InputError, match=r"feeders: expected networks, got 'reader' \(.*\), .*; use feeders = 0"):
            rb.audit(model, load_dataset(data, prompt="p5"), out=tmp_path / "run", engine={"feeders": 1})

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            ({"feeders": 2, "workers": 2}, "feeders: expected one worker beside 2 feeders, got 2"),
            ({"feeders": 2, "executor": "ray"}, "feeders: expected the executor 'local', got 'ray'"),
        ],
    )
    def test_two_ways_to_share_the_work_are_refused(self, data, tmp_path, options, line):
        with pytest.raises(InputError, match=line):
            audit_plan(plan_of(data), out=tmp_path / "run", report=False, **options)


def _sends_a_lock(connection):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    link = Link(connection)
    link.send(threading.Lock())
    link.reply(1)


class TestMemory:
    """A network that runs out of a device's memory above a number of images or pairs."""

    @pytest.fixture
    def small(self, monkeypatch):
        def limited(method, most):
            def checked(self, first, *more):
                if len(first) > most:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                return method(self, first, *more)

            return checked

        monkeypatch.setattr(NetworkSegmenter, "encode_image", limited(NetworkSegmenter.encode_image, 1))
        monkeypatch.setattr(NetworkSegmenter, "decode", limited(NetworkSegmenter.decode, 2))

    @pytest.mark.slow
    def test_batches_halve_and_rows_are_those_of_one_process(self, small, light, tmp_path):
        one, fed = (audit_plan(light(feeders=n), out=tmp_path / str(n), report=False) for n in (0, 1))
        # Once from 2 images to 1 and once from 4 pairs to 2.
        assert counts(fed)["n_out_of_memory"] == counts(one)["n_out_of_memory"] == 2
        pd.testing.assert_frame_equal(fed.results(), one.results(), check_exact=True)


class TestCount:
    """Which processes a machine with an accelerator gets; "meta" stands for one."""

    @pytest.fixture
    def loaded(self, data, monkeypatch):
        monkeypatch.setattr(worker_count, "cores", lambda: 16)
        monkeypatch.setattr(worker_count, "free_gib", lambda: 100.0)
        plan = plan_of(data, threads=None)
        models, datasets = load_all(plan)
        models[0].device = torch.device("meta")
        return plan, models, datasets

    def test_an_accelerator_is_fed_by_all_cores_but_one(self, loaded):
        count = chosen_workers(*loaded, [10_000])
        assert (count.workers, count.threads, count.feeders) == (1, 1, 15)
        assert str(count) == "15 feeders, 1 thread each: 16 cores, 100.0 GiB free, about 0.9 GiB for each"

    def test_memory_bounds_it(self, loaded, monkeypatch):
        monkeypatch.setattr(worker_count, "free_gib", lambda: 4.0)
        assert chosen_workers(*loaded, [10_000]).feeders == 3
        monkeypatch.setattr(worker_count, "free_gib", lambda: 0.5)
        assert str(chosen_workers(*loaded, [10_000])).startswith("1 worker: no core or memory is left for a feeder")

    def test_little_work_none_asked_for_and_a_processor_get_none(self, loaded):
        plan, models, datasets = loaded
        assert chosen_workers(plan, models, datasets, [3]).feeders == 0
        none = processes_of(plan, models, datasets, [10_000], workers="auto", feeders=0)
        assert (none.workers, none.feeders) == (1, 0)
        assert processes_of(plan, models, datasets, [10_000], workers="auto", feeders=None).feeders == 15
        assert processes_of(plan, models, datasets, [10_000], workers=None, feeders=None).feeders == 0
        models[0].device = torch.device("cpu")
        assert chosen_workers(plan, models, datasets, [10_000]).feeders == 0

    def test_threads_left_open_are_the_cores_divided(self, loaded):
        plan, models, _ = loaded
        assert stated_feeders(plan, models, 3)[:2] == (1, 4)

    def test_where_images_were_changed_is_state_where_it_was_no_processor(self, loaded, tmp_path):
        plan, models, datasets = loaded
        run = RunFolder.create(tmp_path / "run")
        session = partial(AuditSession, plan, models, datasets, run, strict=False)
        assert session().state()["environment"]["images_changed_on"] == ["meta"]
        assert "images_changed_on" not in session(changes_on_device=False).state()["environment"]
