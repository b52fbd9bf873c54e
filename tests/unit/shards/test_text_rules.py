"""A mistake in a table of text rules is named with its file, its line and a fix; nothing in it is lost silently."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.errors import ShardsError
from shards.strict_yaml import StrictYamlError, line_of, load_strict
from shards.text_rules import SHIPPED, RuleOptions, load_rules


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("languages:\n  ro: {lower: false}", 2, r"language code 'ro' is not ISO 639-3"),
        ("languages:\n  no: {lower: false}", 2, r"language code 'no' is not ISO 639-3"),
        ("languages:\n  Romanian: {lower: false}", 2, r"language code 'Romanian' is not ISO 639-3"),
        ("languages:\n  ron_latin: {lower: false}", 2, r"'ron_latin' is not ISO 639-3"),
        ("languages:\n  123: {lower: false}", 2, r"'123' is not ISO 639-3"),
        ("languages:\n  ron:\n    replace: {'': x}", 3, r"ron.replace has an empty key.*remove it"),
        ("default:\n  replace:\n    '': x", 3, r"default.replace has an empty key"),
        (
            "languages:\n  ron: {lower: false}\n  ita: {}\n  ron: {hyphens: keep}",
            4,
            r"'ron' is given twice, in lines 2 and 4",
        ),
        ("languages: {}\nlanguages: {}", 2, r"'languages' is given twice, in lines 1 and 2"),
        ("default: {}\n'default': {}", 2, r"'default' is given twice"),
        ("languages:\n  ron:\n    replace:\n      a: b\n      'a': c", 5, r"'a' is given twice, in lines 4 and 5"),
        ("languages:\n  ron: {hyphens: keep, hyphens: drop}", 2, r"'hyphens' is given twice"),
        ("languages:\n  ron:\n    hyphen: keep", 3, r"has the unknown rule 'hyphen' \(did you mean 'hyphens'\?\)"),
        ("languages:\n  ron: {version: 1}", 2, r"has the unknown rule 'version'"),
        ("language: {ron: {}}", 1, r"found 'language' \(did you mean 'languages'\?\)"),
        ("languages:\n  ron: {lower: 1}", 2, r"ron.lower is 1, expected one of true, false"),
        ("languages:\n  ron: {lower: 'yes'}", 2, r"ron.lower is 'yes', expected one of true, false"),
        ("languages:\n  ron: {apostrophes: no}", 2, r"ron.apostrophes is False, expected one of inside"),
        ("languages:\n  ron: {numbers: [ro]}", 2, r"a language of num2words"),
        ("languages:\n  ron: {numbers_up_to: many}", 2, r"the largest number to spell out, such as 99"),
        ("languages:\n  ron: {numbers_up_to: true}", 2, r"the largest number"),
        ("languages:\n  ron: {numbers_unsure: 1}", 2, r"a list of numbers"),
        ("languages:\n  ron: {numbers_not_beside: may}", 2, r"a list of words"),
        ("languages:\n  ron: {marks: {'··': inside}}", 2, r"expected one character and one of inside, start, end"),
        ("languages:\n  ron: {marks: {'·': middle}}", 2, r"expected one character and one of inside, start, end"),
        ("languages:\n  ron: {letters: {ab: c}}", 2, r"expected one character and the letter it stands for"),
        ("languages:\n  ron:\n    replace:\n      a: no", 4, r"'a' is False; put it in quotes"),
        ("languages:\n  ron:\n    replace: [a]", 3, r"must map strings to strings"),
        ("languages:\n  ron:\n    replace:", 3, r"must map strings to strings"),
        ("languages:\n  ron:", 2, r"ron must hold rules"),
        ("languages:\n  ron: {? [a] : b}", 2, r"a key is not text"),
        ("languages:\n\tron: {}", 2, r"are not YAML"),
        ("languages:\n  ron: !!python/object:os.system {}", 2, r"are not YAML"),
        ("- a", None, r"only 'default' and 'languages'"),
        ("text", None, r"only 'default' and 'languages'"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_line(table, line, message, tmp_path):
    own = tmp_path / "rules.yaml"
    own.write_text(table, encoding="utf-8")
    with pytest.raises(ShardsError, match=message) as error:
        load_rules("ita", RuleOptions(own))
    assert f"{own}:{line}" in str(error.value) if line else str(own) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text_is_named(tmp_path):
    own = tmp_path / "rules.yaml"
    own.write_bytes(b"languages: {ron: {replace: {\xff: a}}}")
    with pytest.raises(ShardsError, match=r"rules.yaml are not UTF-8.*iconv"):
        load_rules("ron", RuleOptions(own))
    with pytest.raises(ShardsError, match=r"cannot be read.*--text-rules"):
        load_rules("ron", RuleOptions(tmp_path))
    with pytest.raises(ShardsError, match=r"cannot be read.*--text-rules"):
        load_rules("ron", RuleOptions(tmp_path / "none.yaml"))


def test_what_yaml_allows_is_understood(tmp_path):
    own = tmp_path / "rules.yaml"
    own.write_text(
        "\ufeffdefault:\nlanguages:\n  ron: &own {hyphens: keep}\n  ita: *own\n  spa: {<<: *own, lower: no}\n",
        encoding="utf-8",
    )
    assert (
        load_rules("ron", RuleOptions(own)).hyphens
        == load_rules("ita", RuleOptions(own)).hyphens
        == load_rules("spa", RuleOptions(own)).hyphens
        == "keep"
    )
    assert load_rules("spa", RuleOptions(own)).lower is False
    own = tmp_path / "empty.yaml"
    own.write_text("")
    assert load_rules("ron", RuleOptions(own)) == load_rules("ron")


def test_ones_own_lists_replace_and_tables_join_those_shipped(tmp_path):
    own = tmp_path / "rules.yaml"
    own.write_text("languages: {cat: {marks: {':': inside}, numbers_unsure: [3], numbers: ca}}")
    assert load_rules("cat", RuleOptions(own)).marks == {"·": "inside", ":": "inside"}
    assert load_rules("cat", RuleOptions(own)).numbers_unsure == (3,)


def test_every_entry_of_the_shipped_table_has_one_language_and_a_rule():
    table, lines = load_strict(SHIPPED.read_text(encoding="utf-8"))
    for code, entry in table["languages"].items():
        assert entry, code
        assert line_of(lines, ("languages", code))
        language, _, script = code.partition("-")
        default = load_rules(language if script else "und").as_dict()
        assert load_rules(code).as_dict() != default, f"{code} says what the default says"


@pytest.mark.parametrize(
    "relatives",
    [
        "ara arb acm acq acw acx adf aeb aec afb ajp apc apd arq ars ary arz ayl shu",
        "aze azj azj-script_latin azj-script_cyrillic",
        "ful fub fuc fue fuf fuh fui fuq fuv ffm",
        "hbs hrv bos srp cnr",
        "msa zlm zsm",
        "swa swh swc",
        "sqi als aln",
        "est ekk",
        "lav lvs",
        "nor nob nno",
        "ori ory",
        "nep npi dty",
        "orm gaz hae gax orc",
        "uzb uzn uzs uzb-script_latin uzb-script_cyrillic",
        "zho cmn yue wuu gan hsn cjy czh lzh cmn-script_simplified yue-script_traditional",
        "yid ydd yih",
        "hai hax hdn",
        "zza diq kiu",
        "fas pes prs",
        "quc quc-dialect_central quc-dialect_east tzo tzo-dialect_chenalho mam mam-dialect_central",
        "urd urd-script_arabic urd-script_devanagari",
    ],
)
def test_a_macrolanguage_and_its_members_have_the_same_rules(relatives):
    first, *others = relatives.split()
    assert {code for code in others if load_rules(code) != load_rules(first)} == set()


def test_lines_are_those_of_keys_and_items():
    content, lines = load_strict("a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n")
    assert content == {"a": {"b": 1, "c": ["x", {"d": 2}]}}
    assert [lines["a",], lines["a", "b"], lines["a", "c", 0], lines["a", "c", 1, "d"]] == [1, 2, 4, 5]
    assert line_of(lines, ("a", "b", "unheard")) == 2
    assert line_of(lines, ("unheard",)) is None


@pytest.mark.parametrize(
    "text", ["a: &x [*x]", "a: &x {b: *x}", "[" * 1500, "a: 2024-99-99", "a: \0", "a: 1\n---\nb: 2", "? a"]
)
def test_odd_yaml_is_read_or_refused(text):
    try:
        load_strict(text)
    except StrictYamlError as error:
        assert str(error)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:{}[]-&*<>!?|'\"#, \n\t01~", max_size=30))
def test_no_text_gives_another_error(text):
    try:
        load_strict(text)
    except StrictYamlError as error:
        assert str(error)
