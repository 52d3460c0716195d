"""WordPiece ids from vocabularies on disk, or one clear error."""

import json

import huggingface_hub
import pytest
import torch
from transformers import BertTokenizer

from robustness.errors import InputError
from robustness.runners.models.tokenizers.wordpiece import (
    PUBMEDBERT,
    PUBMEDBERT_SIZE,
    WordPieceTokenizer,
    vocabulary_file,
    vocabulary_source,
)

PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] one small pol ##yp ##s round , - cafe lung in the left".split()
TEXTS = ["One small POLYPS, round", "café-lung", "", "polyp xyzzy in the left lung " * 3]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("text", TEXTS)
def test_ids_equal_those_of_transformers(folder, text):
    reference = BertTokenizer(vocab={piece: i for i, piece in enumerate(PIECES)}, do_lower_case=True)
    expected = reference([text], padding="max_length", truncation=True, max_length=12, return_tensors="pt")
    found = WordPieceTokenizer(folder, context_length=12)([text])
    assert torch.equal(found.input_ids, expected["input_ids"])
    assert torch.equal(found.attention_mask, expected["attention_mask"])


def test_words_become_the_longest_pieces(folder):
    ids, mask = WordPieceTokenizer(folder, context_length=8)(["Small polyps"])
    assert [PIECES[i] for i in ids[0, : mask.sum()]] == ["[CLS]", "small", "pol", "##yp", "##s", "[SEP]"]


def test_a_long_text_is_cut_before_its_end_token_and_counted_whole(folder):
    tokenizer = WordPieceTokenizer(folder, context_length=4)
    ids, mask = tokenizer(["small round small round"])
    assert ids.tolist() == [[2, 6, 10, 3]]
    assert mask.sum() == 4
    assert tokenizer.count("small round small round") == 6


def test_an_empty_text_and_no_text(folder):
    tokenizer = WordPieceTokenizer(folder, context_length=4)
    assert tokenizer([""]).input_ids.tolist() == [[2, 3, 0, 0]]
    assert tokenizer([]).input_ids.shape == (0, 4)


def test_what_was_saved_gives_the_same_ids(folder, tmp_path):
    first = WordPieceTokenizer(folder, context_length=12)
    target = tmp_path / "copy"
    target.mkdir()
    first.save(target)
    assert vocabulary_file(target) == target / "tokenizer.json"
    again = WordPieceTokenizer(target, context_length=12)
    assert torch.equal(again(TEXTS).input_ids, first(TEXTS).input_ids)


def test_a_vocabulary_with_capitals_says_so_beside_itself(folder):
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    assert WordPieceTokenizer(folder, context_length=3)(["Small"]).input_ids.tolist() == [[2, 1, 3]]


def test_the_file_itself_is_a_source_too(folder):
    assert WordPieceTokenizer(folder / "vocab.txt", context_length=3)(["small"]).input_ids.tolist() == [[2, 6, 3]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", "small\nround\n", r"missing \[PAD\], \[UNK\], \[CLS\], \[SEP\]"),
        ("tokenizer.json", "{", "no WordPiece vocabulary"),
        ("vocab.txt", b"\xff\xfe\x00", "no WordPiece vocabulary"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_told(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        WordPieceTokenizer(tmp_path)(["a polyp"])
    assert "\n" not in str(caught.value)


def test_a_context_of_one_is_refused(folder):
    with pytest.raises(InputError, match="context_length: expected at least 2"):
        WordPieceTokenizer(folder, context_length=1)


class TestSource:
    def test_a_folder_with_a_vocabulary_wins(self, folder):
        assert vocabulary_source(folder, vocab_size=PUBMEDBERT_SIZE) == folder

    def test_a_network_of_pubmedberts_size_takes_its_vocabulary_from_the_hub(self, tmp_path):
        assert vocabulary_source(tmp_path, vocab_size=PUBMEDBERT_SIZE) == PUBMEDBERT
        assert vocabulary_source(None, vocab_size=PUBMEDBERT_SIZE) == PUBMEDBERT

    def test_a_network_of_another_size_has_none(self, tmp_path):
        assert vocabulary_source(tmp_path, vocab_size=500) is None

    def test_a_hub_name_is_kept_and_a_wrong_path_is_told(self, tmp_path):
        from pathlib import Path

        assert vocabulary_source(Path("some/name"), vocab_size=500) == "some/name"
        with pytest.raises(InputError, match="tokenizer: expected a folder, a vocabulary file or a hub name"):
            vocabulary_source(tmp_path / "absent" / "vocab.txt", vocab_size=500)

    def test_a_hub_that_does_not_answer_is_one_line(self, monkeypatch):
        def refuse(*_, **__):
            raise OSError("no route to host\nsecond line")

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
        with pytest.raises(InputError, match=r"tokenizer: .*no route to host\); give tokenizer=PATH") as caught:
            WordPieceTokenizer("no/such-vocabulary")(["a polyp"])
        assert "\n" not in str(caught.value)

    def test_what_the_hub_once_gave_is_read_from_the_cache(self, folder, monkeypatch):
        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", pytest.fail)
        cached = {"vocab.txt": str(folder / "vocab.txt")}
        monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda name, file: cached.get(file))
        assert WordPieceTokenizer(PUBMEDBERT, context_length=3)(["small"]).input_ids.tolist() == [[2, 6, 3]]

    def test_a_vocabulary_that_was_never_needed_is_not_fetched_for_saving(self, monkeypatch, tmp_path):
        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", pytest.fail)
        WordPieceTokenizer(PUBMEDBERT).save(tmp_path)
        assert not list(tmp_path.iterdir())
