"""What ties a call to a session, an agent and tags; the headers are those that the agents were seen to send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.exchange import make_scope

from sekisho.core.beginnings import Beginning
from sekisho.core.caller import Caller
from sekisho.core.chat import ChatRequest, ClientCall, Opening
from sekisho.core.errors import InvalidRequest
from sekisho.gateway.attribution import fingerprint, read_wishes
from sekisho.gateway.exchange import Exchange

CALLER = Caller(role="internal_user", key_hash="ab" * 32)
UUID = "01a2086d-086d-77f0-80d7-4961b37f4f96"
BUN = "ai-sdk/openai-compatible/3.0.37 ai-sdk/provider-utils/5.0.1 runtime/bun/1.3.13"


def attributed(
    headers: dict[str, str] | None = None,
    *,
    system: str = "",
    user: str = "",
    session: str | None = None,
    tags: list[str] | None = None,
    beginning: Beginning | None = None,
    caller: Caller = CALLER,
) -> ClientCall:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    scope = make_scope(headers=pairs)
    call = ClientCall(
        model="m",
        body=b"{}",
        family="openai_chat",
        path="/",
        read=lambda: ChatRequest(system=[], messages=[]),
        opening=Opening(system, user),
        session_id=session,
        tags=tags or [],
        beginning=beginning,
    )
    read_wishes(Exchange(scope), call, caller)
    return call


@pytest.mark.parametrize(
    ("headers", "system", "agent", "version"),
    [
        ({"user-agent": BUN}, "You are Cline, a software engineering agent", "cline", None),
        ({"user-agent": "Cline/3.82.0"}, "", "cline", "3.82.0"),
        ({"user-agent": "aws-sdk-js/3.922.0 ua/2.1 md/nodejs#20.20.2 app/cline#3.82.0"}, "", "cline", "3.82.0"),
        (
            {"user-agent": "claude-cli/2.1.330 (external, sdk-cli)"},
            "You are Claude Code, Anthropic's official CLI for Claude.",
            "claude-code",
            "2.1.330",
        ),
        ({"x-claude-code-session-id": UUID}, "Summarize this conversation", "claude-code", None),
        (
            {"user-agent": "claude-cli/0.24.4 (external, cli)", "x-app": "cli"},
            "You are Qwen Code, an interactive CLI agent",
            "qwen-code",
            "0.24.4",
        ),
        ({"user-agent": "QwenCode/0.24.4 (linux; x64)"}, "", "qwen-code", "0.24.4"),
        (
            {"user-agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm (codex_exec; 0.169.0)"},
            "You are a coding agent running in the Codex CLI, a terminal-based coding assistant.",
            "codex",
            "0.169.0",
        ),
        ({"originator": "codex_exec"}, "", "codex", None),
        ({"user-agent": "opencode/1.18.33 ai-sdk/openai/4"}, "You are a title generator", "opencode", "1.18.33"),
        ({"x-title": "Kilo Code", "user-agent": BUN}, "", "kilo", None),
        ({"user-agent": "OpenAI/JS 5.0.0"}, "\n\nYou are an agent in the Continue CLI.", "continue", None),
        ({"user-agent": "litellm/1.81.10"}, "Act as an expert software developer.\nAlways use", "aider", None),
        ({"user-agent": "OpenAI/Python 3.54.0"}, "You are a helpful assistant.", None, None),
        ({"user-agent": "claude-cli/2.1.330"}, "You are Cline,", "cline", None),
        ({"x-sekisho-agent": "ours/7"}, "You are Cline,", "ours", "7"),
        ({"x-sekisho-agent": "ours", "user-agent": "Cline/3.82.0"}, "", "ours", None),
    ],
)
def test_an_agent_is_known_by_its_prompt_before_its_headers(
    headers: dict[str, str], system: str, agent: str | None, version: str | None
) -> None:
    call = attributed(headers, system=system)
    assert (call.agent, call.agent_version) == (agent, version)


@pytest.mark.parametrize(
    ("headers", "session", "agent_id", "parent"),
    [
        ({"x-claude-code-session-id": UUID}, UUID, None, None),
        (
            {
                "x-claude-code-session-id": UUID,
                "x-claude-code-agent-id": "a2",
                "x-claude-code-parent-agent-id": "a1",
            },
            UUID,
            "a2",
            "a1",
        ),
        ({"session-id": UUID, "thread-id": UUID, "x-client-request-id": UUID}, UUID, None, None),
        ({"session-id": UUID, "thread-id": "t2", "x-codex-parent-thread-id": UUID}, UUID, "t2", UUID),
        ({"x-session-id": "ses_1", "x-session-affinity": "ses_1"}, "ses_1", None, None),
        ({"x-session-affinity": "ses_2", "x-parent-session-id": "ses_1"}, "ses_2", None, "ses_1"),
        ({"x-litellm-trace-id": "t"}, "t", None, None),
        ({"x-somebody-session-id": "s"}, "s", None, None),
        ({"x-parent-session-id": "ses_1"}, "in the body", None, "ses_1"),
        ({"x-session-id": "theirs", "x-sekisho-session-id": "ours"}, "ours", None, None),
        ({"x-sekisho-task-id": "task", "x-sekisho-agent-id": "a", "x-sekisho-parent-id": "p"}, "task", "a", "p"),
    ],
)
def test_a_session_is_known_by_what_each_agent_sends(
    headers: dict[str, str], session: str, agent_id: str | None, parent: str | None
) -> None:
    call = attributed(headers, session="in the body", user="Hello")
    assert (call.session_id, call.agent_id, call.parent_id) == (session, agent_id, parent)


def test_where_no_session_is_named_the_opening_ties_the_turns_of_a_task() -> None:
    first = attributed({"user-agent": BUN}, system="You are Cline,", user="Write a file").session_id
    assert first is not None
    assert first.startswith("fp-")
    assert len(first) == 35
    assert attributed(system="You are Cline,", user="Write a file").session_id == first
    assert attributed(system="You are Cline,", user="Write another").session_id != first
    assert attributed(system="You are Cline,W", user="rite a file").session_id != first
    assert fingerprint("someone else", Opening("You are Cline,", "Write a file")) != first


def test_what_is_known_of_a_beginning_does_not_blur_who_calls_and_how_it_began() -> None:
    beginning = Beginning(b"[1]", 3, "messages", 0, {})
    other = Caller(role="internal_user", key_hash="cd" * 32)
    for system, user, caller in [("a", "b", CALLER), ("a", "b", CALLER), ("a", "c", CALLER), ("a", "c", other)] * 2:
        call = attributed(system=system, user=user, beginning=beginning, caller=caller)
        assert call.session_id == fingerprint(caller.owner, Opening(system, user))


def test_what_is_no_conversation_has_no_fingerprint() -> None:
    assert attributed().session_id is None
    assert attributed(system="only a system prompt").session_id is None


def test_tags_of_headers_and_body_are_joined() -> None:
    call = attributed({"x-sekisho-tags": " a, b ,,a"}, tags=["b", "c\x00"])
    assert call.tags == ["b", "c", "a"]
    assert attributed({"x-litellm-tags": "x"}, tags=["y"]).tags == ["y", "x"]


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=600))
def test_names_are_bounded_and_printable(text: str) -> None:
    names = ("x-sekisho-session-id", "x-sekisho-end-user", "x-sekisho-agent", "x-sekisho-agent-id", "x-sekisho-tags")
    call = attributed(dict.fromkeys(names, text), session=text)
    for name in (call.session_id, call.end_user, call.agent, call.agent_version, call.agent_id, *call.tags):
        assert name is None or (name.isprintable() and 0 < len(name) <= 250)


def test_wishes_in_headers_win_and_are_checked() -> None:
    call = attributed({"x-litellm-num-retries": "2", "x-litellm-timeout": "1.5", "x-litellm-end-user-id": "e"})
    assert (call.num_retries, call.timeout, call.end_user) == (2, 1.5, "e")
    for wrong in ("many", "-1", "nan", "1e9"):
        with pytest.raises(InvalidRequest) as refused:
            attributed({"x-litellm-timeout": wrong})
        assert refused.value.param == "x-litellm-timeout"
