"""One file per case in `tests/cases/config`, with the findings it must give beside it."""

from pathlib import Path

import pytest

from sekisho.config import examine

_CASES = Path(__file__).parents[2] / "cases" / "config"


@pytest.mark.parametrize("name", sorted(path.stem for path in _CASES.glob("*.yaml")))
def test_findings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_CASES)
    examination = examine(Path(f"{name}.yaml"), {})
    found = [f"{finding.where}: {finding.level}: {finding.message}" for finding in examination.findings]
    assert found == Path(f"{name}.txt").read_text(encoding="utf-8").splitlines()
    assert (examination.loaded is None) == any(": error: " in line for line in found)
