"""The page of a training's curves: its points are the log's, and it loads nothing from elsewhere."""

import pandas as pd
import pytest

from robustness.reports.figures.training_curves import training_figure, write_training_page
from robustness.workflows.finetune import write_curves


@pytest.fixture
def log():
    columns = {
        "epoch": [1, 2, 3],
        "step": [4, 8, 12],
        "loss": [1.0, 0.7, 0.6],
        "dice_loss": [0.6, 0.5, 0.4],
        "ce_loss": [0.4, 0.2, 0.2],
        "val_loss": [1.1, 0.8, 0.9],
        "val_dice": [0.2, 0.7, 0.6],
        "lr": [1e-3, 1e-3, 3e-4],
        "seconds": [1.0, 2.0, 3.0],
    }
    return pd.DataFrame(columns)


class TestFigure:
    def test_every_curve_holds_the_values_of_its_column(self, log):
        traces = {trace.name: trace for trace in training_figure(log).data}
        names = {"training loss": "loss", "validation loss": "val_loss", "Dice term": "dice_loss"}
        names |= {"cross entropy term": "ce_loss", "validation Dice": "val_dice", "learning rate": "lr"}
        for name, column in names.items():
            assert list(traces[name].x) == [4, 8, 12]
            assert list(traces[name].y) == list(log[column])

    def test_the_best_epoch_is_marked(self, log):
        best = next(trace for trace in training_figure(log).data if trace.name == "best")
        assert (list(best.x), list(best.y), list(best.text)) == ([8], [0.7], ["best: 0.700 in epoch 2"])

    def test_a_log_without_rows_is_an_empty_figure(self, log):
        assert not any(len(trace.x) for trace in training_figure(log.iloc[:0]).data)


class TestPage:
    def test_stands_alone_and_escapes_its_title(self, log, tmp_path):
        text = write_training_page(log, tmp_path / "curves.html", title="a <b>").read_text()
        assert "<h1>a &lt;b&gt;</h1>" in text
        assert "Best validation Dice 0.7000 in epoch 2" in text
        assert "<script src=" not in text
        assert "<link" not in text

    def test_is_written_from_the_folder_and_left_out_without_a_validation(self, log, tmp_path):
        assert write_curves(tmp_path) is None
        log.to_csv(tmp_path / "metrics.csv", index=False)
        assert write_curves(tmp_path).read_text().count("plotly-graph-div") >= 1
