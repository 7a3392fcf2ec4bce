import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.config.places import Document, InvalidConfig, Place
from sekisho.config.yaml_reader import read_yaml
from sekisho.core.errors import ConfigError


def refuse(text: str) -> str:
    with pytest.raises(InvalidConfig) as caught:
        read_yaml(text, "f.yaml")
    return str(caught.value)


def read_or_refuse(text: str) -> Document | ConfigError:
    try:
        return read_yaml(text, "f.yaml")
    except ConfigError as error:
        return error


def test_places_count_from_one_and_name_key_and_value() -> None:
    document = read_yaml("a:\n  b: [x, {c: 1}]\n", "f.yaml")
    assert document.sections == {"a": {"b": ["x", {"c": 1}]}}
    assert document.key_place(("a", "b")) == Place("f.yaml", 2, 3)
    assert document.value_place(("a", "b", 1, "c")) == Place("f.yaml", 2, 14)
    assert document.key_place(("a", "b", 0)) == Place("f.yaml", 2, 7)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\n...\nb: 2\n",
        "a: 1\n---\nb: 2\n",
        "a: 1\n...\n---\nb: 2\n...\n",
        "--- # first\na: 1\n... # end\n\n\nb: 2",
        "a: 1\n...\n%YAML 1.1\n---\nb: 2\n",
    ],
)
def test_documents_of_one_file_are_one_configuration(text: str) -> None:
    document = read_yaml(text, "f.yaml")
    assert document.sections == {"a": 1, "b": 2}
    line = next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith("b"))
    assert document.key_place(("b",)).line == line


def test_dots_inside_text_do_not_split() -> None:
    assert read_yaml('a: "..."\nb: |\n  ...\n  x\n', "f.yaml").sections == {"a": "...", "b": "...\nx\n"}


@pytest.mark.parametrize(
    "value",
    [
        "yes",
        "Off",
        "0o7",
        "017",
        "0x1F",
        "1_000",
        "1:30",
        "1e3",
        "1.5e+3",
        ".5",
        "~",
        "''",
        "'1'",
        "-.INF",
        "null",
        "=",
        "",
    ],
)
def test_scalars_mean_what_they_mean_to_pyyaml(value: str) -> None:
    expected = yaml.safe_load(f"k: {value}\n")["k"] if value != "=" else "="  # PyYAML cannot construct a plain `=`
    found = read_yaml(f"k: {value}\n", "f.yaml").sections["k"]
    assert (type(found), found) == (type(expected), expected)


def test_nan_and_dates() -> None:
    sections = read_yaml("n: .nan\nd: 2024-02-01\nbad: 2024-99-99\n", "f.yaml").sections
    assert isinstance(sections["n"], float)
    assert math.isnan(sections["n"])
    assert (sections["d"], sections["bad"]) == ("2024-02-01", "2024-99-99")


def test_merge_keys_give_way_to_own_keys_and_to_earlier_sources() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 0}\n"
    assert read_yaml(text, "f.yaml").sections["c"] == yaml.safe_load(text)["c"] == {"x": 0, "y": 1, "z": 2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &a [*a]\n", "f.yaml:1:8: no complete anchor `&a`"),
        ("a: *b\n", "f.yaml:1:4: no complete anchor `&b`"),
        ("? [a]\n: 1\n", "f.yaml:1:3: expected a plain name as key"),
        ("a: {<<: 1}\n", "f.yaml:1:9: expected a mapping, or a list of mappings"),
        ("a: !!int x\n", "f.yaml:1:4: the value does not fit its tag `!!int`"),
        ("a: !!bool x\n", "f.yaml:1:4: the value does not fit its tag `!!bool`"),
        ("a: !!set {x, y}\n", "f.yaml:1:4: the YAML tag `!!set` is not supported"),
        ("a: !!binary eA==\n", "f.yaml:1:4: the YAML tag `!!binary` is not supported"),
        ("a: " + "9" * 30 + "\n", "f.yaml:1:4: the number is too large"),
        ("a: " + "9" * 5000 + "\n", "f.yaml:1:4: the value does not fit"),
        ("é: 1\nb: \x00\n", "f.yaml:2:4: the control character U+0000 is not allowed"),
        ("a\n", "f.yaml:1:1: expected sections such as `model_list:` at the top of the file, found text"),
        ("", "f.yaml:1:1: the file is empty"),
        ("a: [" + "[" * 100, "f.yaml:1:68: values are nested more than 64 deep"),
        ("a: " + "[" * 200_000, "values are nested more than 64 deep"),
    ],
)
def test_what_is_refused_and_where(text: str, expected: str) -> None:
    assert expected in refuse(text)


def test_aliases_and_merge_keys_cannot_explode() -> None:
    lists = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    assert "more than 100000 values" in refuse(lists)
    merges = "m0: &m0 {}\n" + "".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}\n" for n in range(1, 12))
    assert "more than 100000 values" in refuse(merges)
    deep = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100))
    assert "nested more than 64 deep" in refuse(deep)


_CHARACTERS = st.sampled_from(list("ab:-[]{}&*!<>|?%,'\"#.~=0179 \n\t\r\x00\x85\u2028é\ufeff\U0001f600"))


@settings(deadline=None)
@given(st.one_of(st.text(), st.text(_CHARACTERS, max_size=60), st.text(_CHARACTERS).map(lambda text: f"a:\n {text}")))
def test_any_text_is_read_or_refused(text: str) -> None:
    outcome = read_or_refuse(text)
    if isinstance(outcome, ConfigError):
        assert str(outcome).startswith("f.yaml:")
    else:
        assert outcome.sections


_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text())
_TREES = st.recursive(
    _SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4))
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), _TREES, min_size=1, max_size=4), st.booleans())
def test_what_pyyaml_writes_is_read_back(tree: dict[str, object], flow: bool) -> None:
    text = yaml.safe_dump(tree, default_flow_style=flow)
    assert read_yaml(text, "f.yaml").sections == yaml.safe_load(text) == tree
