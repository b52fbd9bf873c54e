"""Which texts have no spaces between words."""

import pytest

from shards.language_table import language_table
from shards.text.unspaced import UNSPACED, is_unspaced


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("tha", "สวัสดี", True),
        ("cmn-script_simplified", "你好世界 ok", True),
        ("jpn", "こんにちは世界", True),
        ("mya", "မင်္ဂလာပါ", True),
        ("khm", "សួស្តី", True),
        ("lao", "ສະບາຍດີ", True),
        ("bod", "བཀྲ་ཤིས་བདེ་ལེགས", True),
        ("hak", "ngài hó", False),
        ("nan", "食飯", True),
        ("kor", "안녕 하세요", False),
        ("ron", "你好", False),
        ("tha", "", False),
    ],
)
def test_a_language_is_unspaced_in_its_own_script(language: str, text: str, expected: bool) -> None:
    assert is_unspaced(language, [text]) is expected


def test_the_table_names_languages_of_iso_639_3() -> None:
    known = {code.partition("-")[0] for code in language_table().by_code}
    assert set(UNSPACED) - {"zho"} <= known
