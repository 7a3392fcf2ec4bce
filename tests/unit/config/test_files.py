from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekisho.config import keys, load
from sekisho.config.files import read_files
from sekisho.config.places import InvalidConfig
from sekisho.config.snapshot import Loaded
from sekisho.core.errors import ConfigError


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / "main.yaml"


def refuse(file: Path) -> str:
    with pytest.raises(InvalidConfig) as caught:
        read_files(file)
    return str(caught.value)


def test_included_sections_are_joined_and_keep_their_places(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main="include: [models.yaml]\nmodel_list: [one]\nrouter_settings: {failover: true}\n",
        models="include: more.yaml\nmodel_list:\n  - two\nrouter_settings: {timeout: 5}\n",
        more="# nothing above\nmodel_list: [three]\ngeneral_settings: {master_key: x}\n",
    )
    document = read_files(main)
    assert document.sections["model_list"] == ["one", "two", "three"]
    assert document.sections["router_settings"] == {"failover": True, "timeout": 5}
    assert document.sections["general_settings"] == {"master_key": "x"}
    assert str(document.value_place(("model_list", 1))) == f"{tmp_path / 'models.yaml'}:3:5"
    assert str(document.value_place(("model_list", 2))) == f"{tmp_path / 'more.yaml'}:2:14"
    assert str(document.key_place(("router_settings", "timeout"))) == f"{tmp_path / 'models.yaml'}:4:19"


def test_includes_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "teams").mkdir()
    write(tmp_path / "teams", models="include: [rest.yaml]\n", rest="model_list: [a]\n")
    assert read_files(write(tmp_path, main="include: teams/models.yaml\n")).sections["model_list"] == ["a"]


def load_or_refuse(file: Path) -> Loaded | ConfigError:
    try:
        return load(file, {"X": "1"})
    except ConfigError as error:
        return error


@pytest.mark.parametrize(
    ("main", "other", "expected"),
    [
        (
            "include: [main.yaml]",
            "",
            "main.yaml:1:11: the file `{folder}/main.yaml` is included twice, or",
        ),
        (
            "include: [other.yaml]",
            "include: main.yaml",
            "other.yaml:1:10: the file `{folder}/main.yaml` is included twice",
        ),
        (
            "include: [other.yaml, other.yaml]",
            "a: 1",
            "main.yaml:1:23: the file `{folder}/other.yaml` is included twice",
        ),
        ("include: [none.yaml]", "", "main.yaml:1:11: cannot read the file `{folder}/none.yaml`: No such file"),
        ("include: [1]", "", "main.yaml:1:11: `include`: expected the name of a file"),
        ("include: {}", "", "main.yaml:1:10: `include`: expected the name of a file"),
        ("a: {x: 1}\ninclude: other.yaml", "a: {x: 2}", "`a.x` is given twice: first at {folder}/main.yaml:1:5"),
        ("a: 1\ninclude: other.yaml", "a: 2", "`a` is given twice"),
        ("a: []\ninclude: other.yaml", "a: {}", "`a` is given twice"),
        ("include: other.yaml", "a: [", "other.yaml:2:1: this is not valid YAML"),
    ],
)
def test_includes_that_are_refused(tmp_path: Path, main: str, other: str, expected: str) -> None:
    message = refuse(write(tmp_path, main=main + "\n", other=other + "\n"))
    assert expected.format(folder=tmp_path) in message


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1\nb: \xc3\xa9\xff\n", "main.yaml:2:5: expected text in UTF-8, found the byte 0xff"),
        ("a: 1\n".encode("utf-16"), "main.yaml:1:1: expected text in UTF-8, found UTF-16"),
        (b"#" * 2**20 + b"\n", "main.yaml:1:1: the file is larger than 1048576 bytes"),
    ],
)
def test_bytes_that_are_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    (tmp_path / "main.yaml").write_bytes(data)
    assert expected in refuse(tmp_path / "main.yaml")


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "main.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    document = read_files(tmp_path / "main.yaml")
    assert (document.sections, document.key_place(("a",)).column) == ({"a": 1}, 1)


def test_a_folder_or_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot read the file" in refuse(tmp_path)
    assert "cannot read the file" in refuse(tmp_path / "none.yaml")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.text().map(lambda text: f"model_list:\n  - {text}".encode("utf-8", "replace")))
def test_any_file_is_loaded_or_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "any.yaml"
    file.write_bytes(data)
    outcome = load_or_refuse(file)
    if isinstance(outcome, ConfigError):
        assert str(outcome).startswith(str(file))
    else:
        assert all(finding.level == "warning" for finding in outcome.findings)


_NAMES = st.sampled_from(
    [*keys.TOP.active, *keys.MODEL.active, *keys.ROUTER_SETTINGS.active, *keys.GENERAL_SETTINGS.active]
)
_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 9), st.floats(), st.sampled_from(["a", "9", "os.environ/X", "*", ""])
)
_TREES = st.recursive(
    _VALUES, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_NAMES, inner, max_size=4))
)
_PARAMS = st.fixed_dictionaries({"model": _VALUES, "rpm": _VALUES})
_TWINS = st.fixed_dictionaries({"model_name": _VALUES, "litellm_params": _PARAMS}).map(lambda entry: [entry, entry])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(_NAMES, _TREES | _TWINS, max_size=6))
def test_any_shape_of_known_keys_is_loaded_or_refused(tmp_path: Path, tree: dict[str, object]) -> None:
    file = tmp_path / "any.yaml"
    file.write_text(yaml.safe_dump(tree))
    outcome = load_or_refuse(file)
    if isinstance(outcome, ConfigError):
        assert outcome.where is not None
    else:
        deployments = outcome.snapshot.deployments
        assert len({deployment.id for deployment in deployments}) == len(deployments)
