import pytest
from benchmarks import routing


def test_the_benchmark_of_routing_prints_its_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["routing", "--calls", "4"])
    routing.main()
    rows = capsys.readouterr().out.strip().splitlines()[2:]
    assert len(rows) == 14
    assert all(float(row.split("|")[2]) > 0 for row in rows)
