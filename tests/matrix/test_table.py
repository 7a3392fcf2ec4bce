"""The page in the documentation is the one that the expectations make."""

from sekisho.assembly import client_dialects, upstream_dialects
from tests.matrix.clients import CLIENTS
from tests.matrix.expectations import ABSENT, PASSED_ON, RULES, find_rule, list_cells
from tests.matrix.table import PAGE, write_page
from tests.matrix.upstreams import UPSTREAMS


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == write_page(), "run `make compatibility`"


def test_every_rule_is_about_cells_that_exist() -> None:
    used = {id(find_rule(*cell)) for cell in list_cells()}
    assert [rule for rule in RULES if id(rule) not in used] == []
    assert all(rule.words for rule in RULES if rule.kind == "refused")
    assert all(upstream in UPSTREAMS for family in PASSED_ON.values() for upstream in family)
    reasons = [*(absent.reason for absent in ABSENT), *(rule.reason for rule in RULES)]
    assert all(reason.endswith((".", ".)")) for reason in reasons)


def test_every_dialect_for_conversations_has_its_place() -> None:
    families = {dialect.family for dialect in client_dialects() if hasattr(dialect, "write_answer")}
    assert {name for name in CLIENTS if name != "bedrock_invoke"} == families  # it is of Anthropic's family
    spoken = {name for name, dialect in upstream_dialects().items() if hasattr(dialect, "stream_reader")}
    translated = {upstream.dialect for upstream in UPSTREAMS.values()}
    assert spoken - translated == {"openai_completions"}  # nothing is translated into it, but its clients are passed on
    assert translated <= spoken
