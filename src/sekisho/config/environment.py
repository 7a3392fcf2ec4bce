"""`os.environ/NAME` values, LiteLLM's way to keep secrets out of the file."""

from collections.abc import Mapping

from sekisho.config.places import Document, Path, Report, show_name, show_path

PREFIX = "os.environ/"


def read_variables(document: Document, environment: Mapping[str, str], report: Report) -> dict[str, str]:
    """The `environment_variables` block, as text; its values may themselves name variables of `environment`.

    A block that is no mapping gives none: that error is the table's to report.
    """
    block = document.sections.get("environment_variables")
    if not isinstance(block, dict):
        return {}
    variables: dict[str, str] = {}
    for name, value in block.items():
        path: Path = ("environment_variables", name)
        value = resolve_values(document, value, path, environment, report)
        if isinstance(value, list | dict):
            report.error(document.value_place(path), f"`{show_path(path)}`: expected text, found a list or mapping")
        elif value is not None:
            variables[name] = str(value)
    return variables


def resolve_values(
    document: Document, value: object, path: Path, environment: Mapping[str, str], report: Report
) -> object:
    """`value` with each `os.environ/NAME` in it replaced; a variable that is not set gives None, and a warning."""
    if isinstance(value, str) and value.startswith(PREFIX):
        return _look_up(document, value.removeprefix(PREFIX), path, environment, report)
    if isinstance(value, list):
        return [resolve_values(document, item, (*path, index), environment, report) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {
            name: resolve_values(document, item, (*path, name), environment, report) for name, item in value.items()
        }
    return value


def _look_up(document: Document, name: str, path: Path, environment: Mapping[str, str], report: Report) -> str | None:
    """The variable's value. An empty one counts as not set: that is how a shell script passes on what it has not."""
    value = environment.get(name)
    said = f"`{show_path(path)}`: the environment variable `{show_name(name)}`"
    if not value:
        report.warn(document.value_place(path), f"{said} is not set; left out")
        return None
    try:
        value.encode()  # bytes that are not UTF-8 reach Python as surrogates, which nothing can send on
    except UnicodeEncodeError:
        report.error(document.value_place(path), f"{said} is not text in UTF-8")
        return None
    return value
