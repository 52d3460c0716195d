"""A token never stands in a message, whatever is wrong with it."""

from __future__ import annotations

import pytest

import robustness as rb
from robustness.errors import InputError

SECRET = "s3cret"


@pytest.mark.parametrize(
    "token", [f"{SECRET}\n", f"{SECRET}\r\nX-Other: 1", f" {SECRET}", f"{SECRET}\u00e9", f"{SECRET}\x7f"]
)
def test_a_token_that_no_header_can_hold_is_refused_without_a_word_of_it(token, monkeypatch):
    monkeypatch.setenv("ROBUSTNESS_TEST_TOKEN", token)
    with pytest.raises(InputError, match=r"token_env: the value of 'ROBUSTNESS_TEST_TOKEN' cannot be sent") as error:
        rb.load_model("http", url="http://127.0.0.1:9/", token_env="ROBUSTNESS_TEST_TOKEN")
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("name", [7, "a\0b", "", ["x"]])
def test_a_name_of_no_variable_is_refused(name):
    with pytest.raises(InputError, match="token_env: "):
        rb.load_model("http", url="http://127.0.0.1:9/", token_env=name)
