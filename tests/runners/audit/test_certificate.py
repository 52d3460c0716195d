"""The determinism certificate: noise that is there is measured, noise that is not is not claimed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import robustness as rb
from robustness.errors import InputError
from robustness.runners.audit.certificate import certify
from tests.synthetic import bright, write_dataset

CONFIG = {"image_size": 32, "widths": [8, 16], "token_width": 8, "text_width": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return rb.load_dataset(write_dataset(tmp_path_factory.mktemp("set") / "data", images=3))


def audit(model, data, out, **options):
    return rb.audit(
        model,
        data,
        perturbations=["empty"],
        out=out,
        report=False,
        statistics={"resamples": 99},
        **{"engine": {"threads": 1}, **options},
    )


def segments_bright(images, prompts):
    return [bright(image).astype(np.float32) for image in images]


class Noisy:
    """Paints another half of the bright pixels at each call."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __call__(self, images, prompts):
        return [(bright(image) & (self.rng.random(image.shape[:2]) > 0.5)).astype(np.float32) for image in images]


def by_knob(rows):
    return {row["knob"]: row for row in rows}


class TestWhatIsMeasured:
    def test_a_deterministic_function_gives_the_same_bits_under_every_knob(self, data, tmp_path):
        rows = audit(rb.segmenter(segments_bright, name="m"), data, tmp_path / "run", certify=True).manifest[
            "certificate"
        ]["rows"]
        assert {"rerun", "batch_size", "image_batch", "order"} == {row["knob"] for row in rows}
        assert all(row["identical"] and row["dice"] == 0 and row["n"] for row in rows)

    def test_noise_is_measured_against_the_reference_and_warned_about(self, data, tmp_path):
        run = audit(rb.segmenter(Noisy(), name="m"), data, tmp_path / "run", certify=True)
        again = by_knob(run.manifest["certificate"]["rows"])["rerun"]
        assert not again["identical"]
        assert again["probability"] == 1
        assert 0 < again["mask_change"] <= 1
        assert again["dice"] > 0

    def test_a_network_is_measured_over_threads_and_precisions_and_left_as_it_was(self, data, tmp_path):
        model = rb.load_model("film-unet", config=CONFIG, device="cpu")
        before = {key: value.clone() for key, value in model.network.state_dict().items()}
        threads = torch.get_num_threads()
        try:
            rows = by_knob(audit(model, data, tmp_path / "run", certify=True).manifest["certificate"]["rows"])
        finally:
            torch.set_num_threads(threads)
        assert rows["rerun"]["identical"]
        assert rows["order"]["identical"]
        # Eight bits of a mantissa cannot give the same as twenty-four.
        assert not rows["precision"]["identical"]
        assert rows["precision"]["setting"] == "bf16 instead of float32"
        assert model.precision == "float32"
        assert all(torch.equal(before[key], value) for key, value in model.network.state_dict().items())

    def test_predictions_that_fail_in_one_of_two_ways_are_counted(self, data):
        calls = []

        def fails_at_first(images, prompts):
            calls.append(len(images))
            if len(images) == 1 and len(calls) > 1:
                raise RuntimeError("no")
            return segments_bright(images, prompts)

        from robustness.plans.audit import parse_plan

        plan = parse_plan({"model": {"name": "python"}, "data": {"path": "."}}, source="test")
        measured = certify(plan, [rb.segmenter(fails_at_first, name="m")], [data], ["m"])
        single = next(r for r in measured["rows"] if r["knob"] == "batch_size" and r["setting"].startswith("1 "))
        assert single["n_unequal_failures"] > 0
        assert not single["identical"]

    def test_stored_predictions_are_not_computed_and_not_measured(self, data, tmp_path):
        run = audit(rb.segmenter(segments_bright, name="m"), data, tmp_path / "run", engine={"save_predictions": True})
        stored = rb.load_predictions(run.path / "predictions" / "m" / "data")
        certificate = audit(stored, data, tmp_path / "again", certify=True).manifest["certificate"]
        assert certificate["rows"] == []
        assert "looked up" in certificate["not_measured"]["all"]


class TestTheRunThatHoldsIt:
    @pytest.fixture
    def again(self, data, tmp_path):
        model = rb.segmenter(segments_bright, name="m")
        audit(model, data, tmp_path / "run")
        return lambda **options: audit(model, data, tmp_path / "run", **options)

    @pytest.mark.slow
    def test_a_finished_run_is_certified_without_predicting_its_rows_again(self, again, tmp_path):
        part = next((tmp_path / "run" / "results").iterdir())
        before, rows = part.stat().st_mtime_ns, rb.open_run(tmp_path / "run").results()
        run = again(certify=True)
        assert part.stat().st_mtime_ns == before
        assert len(run.results()) == len(rows)
        assert run.manifest["certificate"]["rows"]
        assert run.verify()["ok"].all()

    def test_it_is_measured_once_and_outlives_audits_that_do_not_ask(self, again, tmp_path):
        first = again(certify=True).manifest["certificate"]
        written = (tmp_path / "run" / "certificate.json").stat().st_mtime_ns
        assert again().manifest["certificate"] == first
        assert again(certify=True).manifest["certificate"] == first
        assert (tmp_path / "run" / "certificate.json").stat().st_mtime_ns == written

    @pytest.mark.slow
    def test_one_of_another_machine_is_measured_again(self, again, tmp_path):
        again(certify=True)
        path = tmp_path / "run" / "certificate.json"
        document = json.loads(path.read_text())
        path.write_text(json.dumps({**document, "machine": {**document["machine"], "threads": 96}}))
        assert again(certify=True).manifest["certificate"]["machine"]["threads"] == 1
        assert rb.open_run(tmp_path / "run").verify()["ok"].all()

    @pytest.mark.slow
    def test_an_audit_killed_before_its_manifest_takes_it_in_the_next_time(self, again, tmp_path):
        again(certify=True)
        written = (tmp_path / "run" / "certificate.json").read_bytes()
        (tmp_path / "run" / "certificate.json").unlink()
        (tmp_path / "run" / "manifest.json").unlink()
        again()
        (tmp_path / "run" / "certificate.json").write_bytes(written)
        assert again().manifest["certificate"]["rows"]

    def test_an_edited_one_is_refused_by_readers(self, again, tmp_path):
        run = again(certify=True)
        path = run.path / "certificate.json"
        path.write_text(path.read_text().replace("true", "false"))
        with pytest.raises(InputError, match=r"certificate.json is not what the audit wrote"):
            rb.open_run(run.path).verdicts()

    @pytest.mark.slow
    def test_the_page_shows_it(self, again):
        run = again(certify=True)
        page = run.report().read_text()
        assert "every bit was the same" in page
        assert "Noise of the computation" in page


def test_noise_beyond_the_margin_is_a_warning_of_the_run(data, tmp_path):
    def another_each_time(images, prompts, calls=[]):  # noqa: B006 - counts its calls
        calls.append(1)
        shift = len(calls) % 2
        return [np.roll(bright(image), 20 * shift, axis=0).astype(np.float32) for image in images]

    run = audit(rb.segmenter(another_each_time, name="m"), data, tmp_path / "run", certify=True)
    assert any("not less than the margin of 0.1" in text for text in run.manifest["warnings"])
