"""What a training writes besides its log: TensorBoard, Weights & Biases, MLflow; and its model card."""

import importlib.util
import json
from types import SimpleNamespace

import pytest

from robustness.errors import InputError
from robustness.plans.finetune import load_train_plan, parse_train_plan
from robustness.runners.training import loggers as loggers_module
from robustness.runners.training.finetune import finetune
from robustness.runners.training.loggers import LoggingObserver, training_loggers
from tests.runners.small_models import FAST, rows
from tests.synthetic import write_dataset


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    data = write_dataset(folder / "data", images=4)
    settings = {**FAST, "loggers": "tensorboard", "freeze": "image", "epochs": 3}
    return finetune("film-unet", data=data, out=folder / "out", **settings)


def plan(**train):
    return parse_train_plan({"model": {"name": "film-unet"}, "data": {"path": "brain"}, "train": train})


class TestTensorBoard:
    def test_holds_every_row_of_the_log_at_its_step(self, done):
        events = pytest.importorskip(
            "tensorboard.backend.event_processing.event_accumulator", reason="TensorBoard's reader is not installed"
        )
        held = events.EventAccumulator(str(done.folder / "tensorboard"))
        held.Reload()
        for name in ("loss", "val_dice", "lr"):
            found = [(event.step, event.value) for event in held.Scalars(name)]
            expected = [(int(row["step"]), float(row[name])) for row in rows(done.folder)]
            assert [step for step, _ in found] == [step for step, _ in expected]
            assert [value for _, value in found] == pytest.approx([value for _, value in expected], rel=1e-4)

    def test_its_files_lie_in_the_folder(self, done):
        assert list((done.folder / "tensorboard").glob("events.*"))


class TestExtras:
    @pytest.mark.parametrize("name", ["wandb", "mlflow"])
    def test_a_missing_package_is_named_with_its_extra(self, name, tmp_path, monkeypatch):
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == name else find(n, *a))
        expected = rf"train\.loggers: {name} is not installed; pip install 'vlsm-robustness\[{name}\]'"
        with pytest.raises(InputError, match=expected), training_loggers(plan(loggers=[name]), tmp_path):
            pass

    @pytest.mark.parametrize("name", ["wandb", "mlflow"])
    def test_an_installed_one_writes_into_the_folder_without_a_server(self, name, tmp_path, monkeypatch):
        pytest.importorskip(name, reason=f"the extra `{name}` is not installed")
        monkeypatch.setenv("WANDB_MODE", "offline")
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with training_loggers(plan(loggers=[name]), tmp_path) as (observer,):
            observer.logger.log_metrics({"loss": 0.5}, step=3)
        assert any(file.is_file() for file in tmp_path.rglob("*"))

    def test_one_that_cannot_be_opened_is_an_input_error(self, tmp_path, monkeypatch):
        def fails(folder, title):
            raise RuntimeError("no login\nat all")

        monkeypatch.setitem(loggers_module._OPEN, "tensorboard", fails)
        with (
            pytest.raises(InputError, match=r"tensorboard could not be opened \(no login at all\)"),
            training_loggers(plan(), tmp_path),
        ):
            pass

    def test_an_unknown_logger_is_an_input_error(self):
        with pytest.raises(InputError, match=r"train\.loggers.*'tensorboard', 'wandb' or 'mlflow'"):
            plan(loggers=["tensorbord"])

    def test_another_process_than_the_first_logs_nothing(self, tmp_path):
        with training_loggers(plan(), tmp_path, rank=1) as loggers:
            assert loggers == []
        assert list(tmp_path.iterdir()) == []

    def test_any_logger_gets_numbers_and_the_step(self):
        sent = []
        logger = SimpleNamespace(log_metrics=lambda metrics, step: sent.append((metrics, step)), save=lambda: None)
        log = SimpleNamespace(rows=[{"epoch": 1, "step": 7, "loss": 0.5}])
        LoggingObserver(logger).epoch_end(SimpleNamespace(validated=True, training_log=log))
        LoggingObserver(logger).epoch_end(SimpleNamespace(validated=False, training_log=log))
        assert sent == [({"epoch": 1.0, "loss": 0.5}, 7)]


class TestModelCard:
    def test_states_data_protocol_results_and_limits(self, done):
        text = (done.folder / "README.md").read_text()
        facts = json.loads((done.folder / "training.json").read_text())
        assert f"sha256 of all its files' hashes `{facts['data_sha256']}`" in text
        assert f"Plan sha256 `{load_train_plan(done.folder / 'plan.toml').sha256()}`" in text
        assert f"Best validation Dice **{done.val_dice:.4f}**" in text
        assert f"{done.parameters:,}, of which {done.trainable:,} learned (image 0, " in text
        assert "- frozen: image" in text
        assert "| train | 8 |" in text
        assert "| `lr` | 0.005 |" in text
        assert "The smallest split has 8 cases: its Dice is uncertain." in text
        assert "Not a medical device" in text

    def test_begins_with_the_front_matter_of_a_hub(self, done):
        text = (done.folder / "README.md").read_text()
        assert text.startswith("---\nlibrary_name: vlsm-robustness\n")
        assert text.count("\n# ") == 1
