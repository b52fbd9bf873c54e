"""Numbers of a table are the ones that were meant, or are asked for."""

import pytest

from mms_dist.planning.decimals import decimal_mark, parse_decimal


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("12.5", 12.5), ("12,5", 12.5), ("12", 12), (" 12 ", 12), ("0,125", 0.125), ("0.125", 0.125), (",5", 0.5)),
        *(("1.234,5", 1234.5), ("1,234.5", 1234.5), ("1,234,567", 1_234_567), ("1.234.567", 1_234_567)),
        *(
            ("1.234.567,8", 1_234_567.8),
            ("1,234,567.8", 1_234_567.8),
            ("1e3", 1000),
            ("1,5e2", 150),
            ("12,3456", 12.3456),
        ),
        ("1.234", 1.234),
    ],
)
def test_a_decimal_comma_and_thousands_are_understood(text: str, number: float) -> None:
    assert parse_decimal(text, None) == number


@pytest.mark.parametrize(
    ("text", "mark", "message"),
    [
        *(("1,234", mark, "it may mean 1234 or 1.234") for mark in (None, ".", ",")),
        ("1.234", ",", "it may mean 1234 or 1.234"),
        ("3:30", None, "write 3.5$"),
        ("90 min", None, "without a unit: 1.5$"),
        ("12,5 h", None, "without a unit: 12.5$"),
        ("5400s", None, "without a unit: 1.5$"),
        *(
            (text, None, "write a number with a decimal point")
            for text in ("", "nan", "inf", "-3", "1_000", "1 234", "1'234", "٣", "1,2,3", "1,234,5")
        ),
        *(
            (text, None, "write a number with a decimal point")
            for text in ("1.234.56", "0x10", ".", ",", "h", "12.5.", "1e", "12,5 Std.")
        ),
    ],
)
def test_what_may_be_two_numbers_or_is_none_is_refused_with_what_to_write(
    text: str, mark: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        parse_decimal(text, mark)  # type: ignore[arg-type]


def test_a_table_uses_one_decimal_mark() -> None:
    assert decimal_mark([("a", "1"), ("b", "1.234"), ("c", "12,5")]) == ","
    assert decimal_mark([("a", "1,234"), ("b", "1.234")]) is None
    with pytest.raises(ValueError, match=r"found '1.5' in b and '12,5' in a"):
        decimal_mark([("a", "12,5"), ("b", "1.5")])
