"""Parts on a Ray cluster: the same table, the same one-line errors, and a clear word where Ray is absent."""

import sys

import pandas as pd
import pytest

from robustness.errors import CaseError, InputError
from robustness.plans.audit import parse_plan
from robustness.runners.audit.executors import run_local, run_on_ray
from robustness.workflows.audit import audit_plan
from tests.synthetic import write_dataset


class Recorder:
    """A runner that notes what it was asked for."""

    def __init__(self):
        self.done = []

    def run_part(self, index):
        self.done.append(index)


def test_parts_run_in_order_and_progress_counts_those_that_were_there():
    runner, told = Recorder(), []
    run_local(runner, [2, 5], total=6, progress=lambda done, total: told.append((done, total)))
    assert runner.done == [2, 5]
    assert told == [(4, 6), (5, 6)]


def test_without_ray_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'vlsm-robustness\[ray\]'"):
        run_on_ray(Recorder, [0], total=1, progress=None)


# Warnings of Ray and of what it imports are not ours to fix.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
class TestRay:
    """Needs Ray, which is an extra."""

    @pytest.fixture(scope="class", autouse=True)
    def cluster(self):
        ray = pytest.importorskip("ray")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()

    @pytest.fixture
    def plan(self, tmp_path):
        data = write_dataset(tmp_path / "set", images=6)
        return parse_plan(
            {
                "seed": 3,
                "model": {"name": "film-unet", "config": {"image_size": 32}, "device": "cpu"},
                "data": {"path": str(data), "prompt": "p5"},
                "perturbations": {"prompt": ["antonym", "other"], "image": ["gaussian_noise"]},
                "metrics": {"names": ["dice"]},
                "statistics": {"resamples": 99},
                "engine": {"images_per_part": 2, "threads": 1},
            }
        )

    def test_the_table_is_that_of_one_process(self, plan, tmp_path):
        local = audit_plan(plan, out=tmp_path / "local", report=False)
        many = audit_plan(plan, out=tmp_path / "ray", report=False, executor="ray")
        pd.testing.assert_frame_equal(many.results(), local.results())
        pd.testing.assert_frame_equal(many.verdicts(), local.verdicts())
        assert many.manifest["timing"]["n_decodes"] == local.manifest["timing"]["n_decodes"]

    def test_a_killed_run_goes_on_on_the_cluster(self, plan, tmp_path):
        whole = audit_plan(plan, out=tmp_path / "run", report=False).results()
        (tmp_path / "run" / "results" / "part-00001.parquet").unlink()
        again = audit_plan(plan, out=tmp_path / "run", report=False, executor="ray").results()
        pd.testing.assert_frame_equal(again, whole)

    def test_a_strict_run_stops_with_the_line_of_its_case(self, plan, tmp_path):
        broken = next((tmp_path / "set" / "images").iterdir())
        broken.write_bytes(b"no image")
        with pytest.raises(CaseError, match="stopped: strict") as caught:
            audit_plan(plan, out=tmp_path / "run", report=False, executor="ray", strict=True)
        assert "Traceback" not in str(caught.value)
