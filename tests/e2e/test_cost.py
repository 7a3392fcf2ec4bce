"""A call's CPU time, against a fixed piece of work on the same machine: nobody makes calls twice as dear unnoticed."""

import pytest
from benchmarks.guard import Ratios, measure, read_record

_BOUND = 2.0


@pytest.fixture(scope="module")
def measured() -> Ratios:
    return measure()


@pytest.mark.parametrize("kind", Ratios.__struct_fields__)
def test_a_call_costs_no_more_than_twice_what_was_recorded(kind: str, measured: Ratios) -> None:
    now, recorded = getattr(measured, kind), getattr(read_record(), kind)
    assert now <= _BOUND * recorded, (
        f"{kind}: {now} times the fixed work, recorded {recorded}. If it must cost that, "
        "say why and renew the record: python -m benchmarks.guard --write"
    )
