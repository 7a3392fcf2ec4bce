"""The READMEs agree with each other, and what the documentation links to exists."""

import json
import re
from pathlib import Path

import pytest

from sekisho.cli.check import check

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


def test_what_the_page_on_accounts_shows_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = read_blocks("docs/accounts.md")
    (config,) = (text for language, text in blocks if language == "yaml")
    monkeypatch.setenv("EXTERNAL_ID", "a-word-of-your-own")
    monkeypatch.setenv("SEKISHO_MASTER_KEY", "sk-long-enough-for-a-master-key")
    (tmp_path / "config.yaml").write_text(config)
    assert check(tmp_path / "config.yaml", strict=True) == 0, capsys.readouterr().err
    policies = [json.loads(text) for language, text in blocks if language == "json"]
    assert len(policies) == 3
    actions = {action for policy in policies for statement in policy["Statement"] for action in statement["Action"]}
    assert {"sts:AssumeRole", "bedrock:InvokeModel", "servicequotas:ListServiceQuotas"} <= actions
