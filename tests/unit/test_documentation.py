"""The READMEs agree with each other, and what the documentation links to exists."""

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", _ROOT / "README.ja.md", _ROOT / "CHANGELOG.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read_blocks(name: str) -> list[tuple[str, str]]:
    """Language and text of every code block."""
    return _BLOCK.findall((_ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


def test_both_readmes_show_the_same_code() -> None:
    english = read_blocks("README.md")
    assert {"sh", "python", "yaml", "text"} <= {language for language, _ in english}
    assert read_blocks("README.ja.md") == english


def test_both_readmes_link_to_the_same_pages() -> None:
    english, japanese = (
        set(_LINK.findall((_ROOT / name).read_text(encoding="utf-8"))) - {"README.md", "README.ja.md"}
        for name in ("README.md", "README.ja.md")
    )
    assert english == japanese
