"""Language codes are those that MMS uses, and others are told what to write."""

import pytest

from shards.errors import ShardsError
from shards.languages import CANDIDATES, parse_language


@pytest.mark.parametrize("code", ["ron", "srp-script_latin", "azj-script_cyrillic", "poh-dialect_eastern"])
def test_codes_that_mms_uses_are_languages(code):
    assert parse_language(code) == code


@pytest.mark.parametrize("code", ["ro", "RON", "Romanian", "ron_RO", "", "../ron", "ron-script_", "ron\n"])
def test_a_bad_language_code_is_named_with_an_example_of_a_good_one(code):
    with pytest.raises(ShardsError, match="expected three lower-case letters"):
        parse_language(code)


def test_a_code_of_two_letters_lists_what_it_may_stand_for():
    for code, candidates in CANDIDATES.items():
        assert len(code) == 2
        with pytest.raises(ShardsError, match="not ISO 639-3") as caught:
            parse_language(code)
        for candidate in candidates:
            assert parse_language(candidate) == candidate
            assert f"'{candidate}'" in str(caught.value)
    assert {"no", "zh", "sr", "sh", "ku", "ms"} <= {code for code, several in CANDIDATES.items() if len(several) > 1}
