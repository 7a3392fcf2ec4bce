"""Configuration files, with what they include, to one document."""

import codecs
from pathlib import Path as FilePath

from sekisho.config.places import Document, Path, Place, invalid, show_file, show_path
from sekisho.config.yaml_reader import read_yaml

_MAX_BYTES = 1024 * 1024


def read_files(file: FilePath) -> Document:
    """Reads a file and, depth first, every file its `include` names, relative to the file that names it.

    Sections that are mappings are joined key by key, lists are appended in the order of the includes. Raises
    InvalidConfig for a file that cannot be read, is included twice, or gives what another gave already.
    """
    return _read(file, Place(str(file), 1, 1), {})


def _read(file: FilePath, asked_at: Place, seen: dict[FilePath, Place]) -> Document:
    real = file.resolve()
    if real in seen:
        raise invalid(asked_at, f"the file `{show_file(str(file))}` is included twice, or includes itself")
    seen[real] = asked_at
    document = read_yaml(_read_text(file, asked_at), str(file))
    for path, name in _included(document):
        place = document.value_place(path)
        _join(document, _read(file.parent / name, place, seen))
    return document


def _included(document: Document) -> list[tuple[Path, str]]:
    """The files that a document includes, each with the path of its name."""
    include = document.sections.get("include")
    if include is None:
        return []
    names: list[tuple[Path, object]] = [(("include",), include)]
    if isinstance(include, list):
        names = [(("include", index), item) for index, item in enumerate(include)]
    for path, name in names:
        if not isinstance(name, str) or not name or "\0" in name:
            raise invalid(document.value_place(path), "`include`: expected the name of a file, or a list of them")
    return [(path, str(name)) for path, name in names]


def _read_text(file: FilePath, asked_at: Place) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a usable file name"
        raise invalid(asked_at, f"cannot read the file `{show_file(str(file))}`: {reason}") from None
    if len(data) > _MAX_BYTES:
        raise invalid(Place(str(file), 1, 1), f"the file is larger than {_MAX_BYTES} bytes")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise invalid(Place(str(file), 1, 1), "expected text in UTF-8, found UTF-16: save the file as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        place = Place(str(file), line, column)
        raise invalid(place, f"expected text in UTF-8, found the byte 0x{error.object[error.start]:02x}") from None


def _join(document: Document, other: Document) -> None:
    """Lays an included document's sections beside those of `document`."""
    for name, value in other.sections.items():
        if name == "include":
            continue
        mine = document.sections.get(name)
        shift = 0
        if mine is None:
            document.sections[name] = value
        elif isinstance(mine, list) and isinstance(value, list):
            shift = len(mine)
            mine.extend(value)
        elif isinstance(mine, dict) and isinstance(value, dict):
            _join_mapping(document, other, name, mine, value)
        elif value is not None:
            raise _given_twice(document, other, (name,))
        _take_places(document, other, name, shift)


def _join_mapping(
    document: Document, other: Document, name: str, mine: dict[str, object], value: dict[str, object]
) -> None:
    for key, item in value.items():
        if key in mine:
            raise _given_twice(document, other, (name, key))
        mine[key] = item


def _take_places(document: Document, other: Document, name: str, shift: int) -> None:
    """Takes over the places within one section; the items of an appended list have moved by `shift`."""
    for source, target in ((other.keys, document.keys), (other.values, document.values)):
        for path, place in source.items():
            if path[0] == name:
                moved = (name, path[1] + shift, *path[2:]) if len(path) > 1 and isinstance(path[1], int) else path
                target.setdefault(moved, place)


def _given_twice(document: Document, other: Document, path: Path) -> Exception:
    first, again = document.key_place(path), other.key_place(path)
    return invalid(again, f"`{show_path(path)}` is given twice: first at {first}, again at {again}")
