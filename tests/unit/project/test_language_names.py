"""Languages are named for people and for browsers."""

import pytest

from mms_dist.language_names import language_name, language_tag


@pytest.mark.parametrize(
    ("code", "name", "tag"),
    [
        ("ron", "Romanian", "ro"),
        ("srp-script_latin", "Serbian (Latin)", "sr"),
        ("taa", "Lower Tanana", "taa"),
        ("xqz", "", "und"),
    ],
)
def test_codes_have_names_and_tags(code: str, name: str, tag: str) -> None:
    assert (language_name(code), language_tag(code)) == (name, tag)
