"""Transcripts for TensorBoard: what differs stands out, and nothing in them is taken for Markdown."""

import pytest

from mms_dist.monitor.marked_transcripts import markdown_table


@pytest.mark.parametrize(
    ("reference", "hypothesis", "row"),
    [
        ("bună ziua", "bună ziua", "| bună ziua | bună ziua |"),
        ("bună ziua", "buna ziua", "| bun**ă** ziua | bun**a** ziua |"),
        ("bun\u0103 e\u0301", "bun\u0103 e", "| bună **e\u0301** | bună **e** |"),
        ("unu doi trei", "unu trei", "| unu **doi** trei | unu trei |"),
        ("unu trei", "unu doi și trei", "| unu trei | unu **doi** **și** trei |"),
        ("unu", "", "| **unu** | (nothing) |"),
        ("a*b <i> & c|d", "a*b <i> & c|d", r"| a\*b &lt;i> &amp; c\|d | a\*b &lt;i> &amp; c\|d |"),
    ],
)
def test_characters_that_differ_are_bold(reference: str, hypothesis: str, row: str) -> None:
    assert markdown_table([(reference, hypothesis)]).splitlines()[2:] == [row]
