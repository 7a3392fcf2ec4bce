import uuid

from sekisho.core.ids import new_id


def test_ids_sort_by_time_and_are_version_7() -> None:
    ids = [new_id(1_700_000_000 + second / 100) for second in range(200)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 200
    parsed = uuid.UUID(ids[0])
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == 1_700_000_000_000
