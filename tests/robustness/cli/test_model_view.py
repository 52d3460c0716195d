"""``robustness list models`` tells how images and texts are prepared for each network."""

import pytest

from robustness.cli.model_view import preparation
from robustness.registry import MODELS
from robustness.runners.models.black_box.entry import BlackBoxEntry

# Long lines: what stands here is what is printed.
# ruff: noqa: E501
EXPECTED = {
    "clipseg": "input 352 x 352, bilinear; mean 0.485 0.456 0.406; std 0.229 0.224 0.225; text clip-bpe, 77 ids; threshold 0.5",
    "cris": "input 416 x 416, bilinear; mean 0.4815 0.4578 0.4082; std 0.2686 0.2613 0.2758; text clip-bpe, 77 ids; threshold 0.35",
    "biomedclipseg": "input 224 x 224, bilinear; mean 0.4815 0.4578 0.4082; std 0.2686 0.2613 0.2758; text wordpiece, 256 ids; threshold 0.5",
    "sam3": "input 1008 x 1008, bilinear; mean 0.5; std 0.5; text clip-bpe, 32 ids; threshold 0.5",
    "unet": "input 256 x 256, bilinear; mean 0.485 0.456 0.406; std 0.229 0.224 0.225; no text; threshold 0.5",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_values_are_those_of_the_published_models(name):
    assert preparation(MODELS.get(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", MODELS.names())
def test_every_network_has_a_line_and_no_black_box_has(name):
    entry = MODELS.get(name)
    assert bool(preparation(entry)) != issubclass(entry, BlackBoxEntry)


def test_the_command_shows_them(monkeypatch, capsys):
    from robustness.cli import main as cli

    monkeypatch.setattr("sys.argv", ["robustness", "list", "models"])
    with pytest.raises(SystemExit):
        cli.main()
    lines = capsys.readouterr().out.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("cris "))
    assert lines[place + 1].strip() == EXPECTED["cris"]
