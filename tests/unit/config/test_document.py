"""A setting's text is what was written, a place is where the shell would put it, and nothing said twice is lost."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mms_dist.config import Config, load_config, parse_config
from mms_dist.config.document import read_document
from mms_dist.config.load import validate_all
from mms_dist.errors import ConfigError

AS_IT_STANDS = [
    "/data/my #1 corpus",
    *("2024-01-01", "12:30:45", "42", "0x10", "010", "1e3", "1_000", ".5", ".inf"),
    *("null", "Null", "on", "no", "yes", "true", "None"),
    *("a: b", "[x]", "{a}", "- a", '"q"', "'q'", "%x", "@x", "`x`", "&a", "*a", "!x", "|", "a\\b", "a\tb", "  a "),
    *("s3://bucket/$X/~", "pipe:cat $HOME/{} # all", "http://host/a?b=c&d"),
    *("привет", "\u05d0", "a$", "a/~/b"),
]


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    return written(tmp_path, "")


@pytest.mark.parametrize("equals", [True, False])
@pytest.mark.parametrize("text", AS_IT_STANDS)
def test_text_on_the_command_line_is_taken_as_it_stands(empty: Path, text: str, equals: bool) -> None:
    flags = [f"--data.shards={text}"] if equals else ["--data.shards", text]
    config = load_config(empty, flags)
    assert config.data.shards == text
    assert load_config(written(empty.parent, config.to_yaml())) == config


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_any_text_survives_a_flag_and_the_file_of_a_run(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    if not text.startswith("~") and "$" not in text:
        config = parse_config({}, [f"--run.device={text}", f"--run.directory={text}"])
        assert (config.run.device, config.run.directory) == (text, text)
    config = parse_config({"run": {"directory": text, "device": text}})
    path = tmp_path_factory.getbasetemp() / "survives.yaml"
    path.write_text(config.to_yaml(), encoding="utf-8")
    found = load_config(path).run
    assert (found.directory.removeprefix("./"), found.device) == (text.removeprefix("./"), text)


@pytest.mark.parametrize(
    "text", ["2024-01-01", "12:30:45", "42", "0x10", "010", "1e3", "on", "no", "true", "1.10", "1_0"]
)
@pytest.mark.parametrize(
    "setting", ["run: {directory: %s}", "run: {device: %s}", "data: {shards: %s}", "adapter: {init: %s}"]
)
def test_a_bare_date_number_or_truth_in_a_file_is_the_text_it_is(tmp_path: Path, text: str, setting: str) -> None:
    config = load_config(written(tmp_path, setting % text))
    assert text in (config.run.directory, config.run.device, config.data.shards, config.adapter.init)


PLACES = ["run.directory", "model.base", "data.shards", "data.cache_directory", "adapter.init", "comm.deepspeed"]


@pytest.mark.parametrize("name", [*PLACES, "languages.ron.adapter.init"])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("~", "/users/me"),
        ("~/x", "/users/me/x"),
        ("$S/x", "/scratch/x"),
        ("a/${S}b", "a//scratchb"),
        ("$$S", "$S"),
        ("./~x", "./~x"),
        ("x$", "x$"),
    ],
)
def test_home_and_variables_are_filled_in_wherever_a_place_is_given(
    empty: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, place: str
) -> None:
    monkeypatch.setenv("HOME", "/users/me")
    monkeypatch.setenv("S", "/scratch")
    parts = name.split(".")
    if not (name in ("data.cache_directory", "comm.deepspeed") and text == "~"):  # which is YAML's null there
        config = load_config(empty, [f"--{name}", text])
        lines = [f"{'  ' * depth}{part}:" for depth, part in enumerate(parts)]
        in_file = load_config(written(empty.parent, "\n".join(lines) + f" '{text}'\n"))
        assert in_file == config
        value = config.to_dict()
        for part in parts:
            value = value[part]
        assert value == place
        assert load_config(written(empty.parent, config.to_yaml())) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$NOT_SET/x", "the variable NOT_SET is not set; export it"),
        ("${NOT_SET}", "the variable NOT_SET is not set"),
        ("$BLANK/x", "the variable BLANK is empty"),
        ("${A:-b}", "only \\$NAME and \\$\\{NAME\\} are supported"),
        ("$(pwd)/x", "only \\$NAME"),
        ("~nobody-of-that-name/x", "no user '~nobody-of-that-name'"),
        ("a\0b", "without control characters"),
        ("a\nb", "without control characters"),
        ("\udcff", "not UTF-8"),
        (" ", "not an empty value"),
        ("", "has no value"),
    ],
)
def test_a_place_that_cannot_be_is_refused_with_its_setting(
    empty: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setenv("BLANK", "")
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(ConfigError, match=f"data.shards.*{message}"):
        load_config(empty, ["--data.shards", text])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("ron", "ron"),
        *(
            (text, "ron eng")
            for text in ("ron,eng", "ron eng", "[ron, eng]", "ron, eng", "['ron', \"eng\"]", "[ron,eng,ron]")
        ),
        ("[yes, nan]", "yes nan"),  # languages of Papua New Guinea and China, and no values of YAML
        ("srp-script_latin", "srp-script_latin"),
    ],
)
def test_languages_are_written_as_codes_apart_by_anything(empty: Path, text: str, codes: str) -> None:
    assert load_config(empty, ["--data.languages", text]).data.languages == tuple(codes.split())
    assert load_config(written(empty.parent, f"data:\n  languages: {text}\n")).data.languages == tuple(codes.split())


def test_a_flag_of_languages_that_is_repeated_adds_to_the_first(empty: Path) -> None:
    assert load_config(empty, ["--data.languages", "ron", "--data.languages=eng,ron"]).data.languages == ("ron", "eng")
    assert load_config(empty, ["--data.languages", "null"]).data.languages is None


@pytest.mark.parametrize(
    ("code", "candidates"),
    [
        ("no", ["nob", "nno"]),
        ("zh", ["cmn-script_simplified", "yue-script_traditional"]),
        ("sr", ["srp-script_latin", "srp-script_cyrillic"]),
        ("sh", ["hrv", "bos"]),
        ("ku", ["kmr-script_latin", "ckb"]),
        ("ms", ["zlm", "zsm"]),
        ("ro", ["ron"]),
        ("zh-CN", ["cmn-script_simplified"]),
        ("pt_BR", ["por"]),
        ("NO", ["nob"]),
    ],
)
@pytest.mark.parametrize(
    "text", ["data: {languages: [%s]}", "data: {languages: %s}", "languages: {%s: {optim: {lr: 1}}}"]
)
def test_a_code_of_two_letters_lists_what_it_may_be(
    tmp_path: Path, code: str, candidates: list[str], text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text % code))
    assert all(f"'{candidate}'" in str(caught.value) for candidate in candidates)
    assert f"'{code}'" in str(caught.value) and "False" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optim: {lr: 1}\noptim: {steps: 5}\n", "optim is given twice, in lines 1 and 2"),
        ("optim:\n  lr: 1\n\n  lr: 1\n", "optim.lr is given twice, in lines 2 and 4"),
        ('"run": {}\nrun: {}\n', "run is given twice, in lines 1 and 2"),
        ("languages:\n  ron: {}\n  ron: {}\n", "languages.ron is given twice, in lines 2 and 3"),
        (
            "languages:\n  ron: {optim: {lr: 1}, optim: {steps: 2}}\n",
            "languages.ron.optim is given twice, in lines 2 and 2",
        ),
        ("nonsense: {a: {b: 1, b: 2}}\n", "nonsense.a.b is given twice"),
        ("optim: {<<: {lr: 1}, <<: {lr: 2}}\n", "<< is given twice"),
    ],
)
def test_what_a_file_gives_twice_is_named_with_both_lines(tmp_path: Path, text: str, message: str) -> None:
    for read in (load_config, validate_all, read_document):
        with pytest.raises(ConfigError, match=message):
            read(written(tmp_path, text))


def test_a_flag_that_is_given_twice_is_an_error_unless_it_says_the_same(empty: Path) -> None:
    assert load_config(empty, ["--optim.lr", "2", "--optim.lr=2"]).optim.lr == 2
    with pytest.raises(ConfigError, match=r"--optim\.lr is given twice, with '1' and with '2'"):
        load_config(empty, ["--optim.lr", "1", "--optim.lr=2"])
    with pytest.raises(ConfigError, match=r"--data\.shards has no value, found '--run\.directory' after it"):
        load_config(empty, ["--data.shards", "--run.directory", "x"])
    with pytest.raises(ConfigError, match="lr is given twice"):
        load_config(empty, ["--languages.ron.optim", "{lr: 1, lr: 2}"])


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        ("optim.steps", "1e3", 1000),
        ("optim.steps", "4_000", 4000),
        ("optim.steps", " 300 ", 300),
        ("optim.steps", '"300"', 300),
        ("optim.lr", "1e-3", 1e-3),
        ("optim.lr", ".5", 0.5),
        ("optim.lr", "+2.", 2.0),
        ("run.threads", "null", None),
        ("run.threads", "~", None),
        ("model.activation_checkpointing", "on", True),
        ("model.activation_checkpointing", "False", False),
        ("optim.betas", "[0.5, 0.75]", (0.5, 0.75)),
    ],
)
def test_numbers_and_flags_are_read_alike_in_files_and_flags(
    tmp_path: Path, setting: str, text: str, value: object
) -> None:
    section, name = setting.split(".")
    from_file = load_config(written(tmp_path, f"{section}:\n  {name}: {text}\n"))
    from_flag = load_config(written(tmp_path, ""), [f"--{setting}", text.strip('"')])
    assert getattr(getattr(from_file, section), name) == getattr(getattr(from_flag, section), name) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(
            (text, "expected a number")
            for text in ("true", "yes", "fast", "", "1e", "5h", "--1", "٣", "1 2", "[1]", "1:30")
        ),
        ("nan", "finite"),
        (".inf", "finite"),
        ("1e400", "finite"),
        ("010", "may mean base 8; write 10"),
        ("0x1F", "write it in decimal: 31"),
        ("12,5", "write 12.5"),
        ("1,000", "write 1000 or 1.000"),
        ("none", "for no value, write null"),
        ("1e300", "less than or equal to"),
        ("-1", "greater than"),
    ],
)
@pytest.mark.parametrize("setting", ["optim.lr", "run.threads", "comm.timeout_seconds"])
def test_what_is_no_number_is_refused_with_what_to_write(empty: Path, setting: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(empty, [f"--{setting}={text}"])
    assert setting in str(caught.value)
    told = str(caught.value)
    expected = ("has no value", "valid number", "maximum size", "fractional", message)
    assert message in told or (text in ("", "[1]", "1e300", "12,5", "1e400") and any(part in told for part in expected))


@pytest.mark.parametrize(
    "name", ["adapter.dim", "checkpoint.keep", "run.seed", "data.workers", "optim.betas", "evaluation.every_steps"]
)
@pytest.mark.parametrize("value", [True, False, [True, True]])
def test_a_truth_value_is_no_number_in_any_section(name: str, value: object) -> None:
    section, field = name.split(".")
    with pytest.raises(ConfigError, match=name):
        parse_config({section: {field: value}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a\n", "found a list, expected sections"),
        ("text\n", "found a single value, expected sections"),
        ("optim:\n\tlr: 1\n", "line 2.*indent with spaces"),
        ("a: [", "line 1: is not YAML"),
        ("---\na: 1\n---\nb: 2\n", "single document"),
        ("run: !!python/object/apply:os.system [true]\n", "line 1: found the tag"),
        ("run: !x {}\n", "found the tag !x"),
        ("? [a]\n: 1\n", "expected the name of a setting"),
        ("a: &a [*a]\n", "too many values or levels"),
        ("optim: &o {<<: *o}\n", "too many values or levels"),
        ("a: " + "[" * 5000, "nested too deeply"),
        (b"run: {directory: \xe9}\n", "not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8 text"),
        (b"a\x00b: 1\n", "not YAML"),
        ("optim.lr: 1\n", "write it as sections: `optim: {lr"),
    ],
)
def test_a_file_that_is_no_configuration_says_why(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(written(tmp_path, content))


def test_a_short_file_that_says_billions_of_values_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    with pytest.raises(ConfigError, match="aliases"):
        load_config(written(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize("path", ["/", "/dev/null", "/nowhere.yaml", "a\0b", "x" * 300])
def test_what_is_no_file_is_no_configuration(path: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load_config(path)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "optim:\n  # all as it is\n", "languages:\n"])
def test_an_empty_file_or_section_is_all_defaults(tmp_path: Path, text: str) -> None:
    assert load_config(written(tmp_path, text)) == Config()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, encoding: str) -> None:
    assert load_config(written(tmp_path, "run: {device: привет}\n".encode(encoding))).run.device == "привет"


def test_anchors_and_merges_say_what_they_share(tmp_path: Path) -> None:
    text = "languages:\n  ron: {optim: &slow {lr: 2e-4, steps: 900}}\n  ita: {optim: {<<: *slow, steps: 800}}\n"
    config = load_config(written(tmp_path, text))
    assert (config.for_language("ita").optim.lr, config.for_language("ita").optim.steps) == (2e-4, 800)


_WORDS = "optim : lr steps { } [ ] , ' \" &a *a << !! # - 1e3 run directory languages no ron ~ $HOME $X null | > ? % 0x"
_FRAGMENTS = st.sampled_from([*_WORDS.split(), " ", "  ", "\n", "\t", "\u2028"])


@given(
    st.one_of(st.lists(_FRAGMENTS, max_size=14).map("".join), st.text(max_size=30)), st.lists(_FRAGMENTS, max_size=3)
)
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
def test_any_text_is_a_configuration_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, flag: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    for flags in (
        [],
        [f"--run.directory={''.join(flag)}"],
        [f"--languages.ron={''.join(flag)}"],
        [f"--{''.join(flag)}=1"],
    ):
        for read in (load_config, validate_all):
            try:
                read(path, flags)
            except ConfigError:
                continue


@pytest.mark.parametrize("place", ["s3://b/run", "http://x/y", "file:///run", "pipe:cat"])
@pytest.mark.parametrize("setting", ["run.directory", "data.cache_directory"])
def test_what_is_written_goes_to_no_url(setting: str, place: str) -> None:
    section, name = setting.split(".")
    with pytest.raises(ConfigError, match=f"{setting}: found '{place}'; expected a folder on this machine"):
        parse_config({section: {name: place}})
