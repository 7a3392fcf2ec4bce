from pathlib import Path

import pytest

from sekisho.cli.check import check

_CASES = Path(__file__).parents[2] / "cases"


@pytest.mark.parametrize(
    ("name", "strict", "status", "last_line"),
    [
        ("accepted-forms", False, 0, "3 deployments of 3 models; 0 errors, 0 warnings"),
        ("accepted-forms", True, 0, "3 deployments of 3 models; 0 errors, 0 warnings"),
        ("same-id", False, 0, "2 deployments of 1 model; 0 errors, 1 warning"),
        ("same-id", True, 1, "2 deployments of 1 model; 1 error, 0 warnings"),
        ("tab", False, 1, "1 error, 0 warnings"),
    ],
)
def test_status_and_summary(
    name: str, strict: bool, status: int, last_line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _CASES / "config" / f"{name}.yaml"
    assert check(file, strict) == status
    assert capsys.readouterr().out == f"{file}: {last_line}\n"


def test_variables_come_from_the_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    file = _CASES / "article.yaml"
    monkeypatch.delenv("AWS_REGION_NAME", raising=False)
    assert check(file, strict=True) == 1
    assert f"{file}:6:24: error: `model_list[0].litellm_params.aws_region_name`" in capsys.readouterr().err
    monkeypatch.setenv("AWS_REGION_NAME", "us-east-1")
    assert check(file, strict=True) == 0
    assert capsys.readouterr().err == ""
