from sekisho.core.chat import ChatRequest, Message, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.clock import ManualClock
from sekisho.gateway.thinking import ThinkingKeeper

SIGNED = Thinking(text="I should look.", signature="c2lnbmVk")
HIDDEN = RedactedThinking(data="aGlkZGVu")
CALL = ToolCall(id="tooluse_1", name="read", arguments="{}")


def returning(*parts: Text | Thinking | ToolCall) -> ChatRequest:
    return ChatRequest(system=[], messages=[Message(role="assistant", parts=list(parts))])


def test_reasoning_comes_back_in_front_of_the_call_it_led_to() -> None:
    keeper = ThinkingKeeper(ManualClock())
    keeper.remember("alice", [SIGNED, HIDDEN, Text(text="Looking."), CALL])
    chat = returning(Thinking(text="I should look."), Text(text="Looking."), CALL)
    keeper.restore("alice", chat)
    assert chat.messages[0].parts == [SIGNED, HIDDEN, Text(text="Looking."), CALL]


def test_reasoning_the_client_returned_itself_is_left_alone() -> None:
    keeper = ThinkingKeeper(ManualClock())
    keeper.remember("alice", [SIGNED, CALL])
    own = Thinking(text="other", signature="b3RoZXI=")
    chat = returning(own, CALL)
    keeper.restore("alice", chat)
    assert chat.messages[0].parts == [own, CALL]


def test_nobody_gets_the_reasoning_of_another() -> None:
    keeper = ThinkingKeeper(ManualClock())
    keeper.remember("alice", [SIGNED, CALL])
    chat = returning(CALL)
    keeper.restore("mallory", chat)
    assert chat.messages[0].parts == [CALL]


def test_it_is_kept_for_a_bounded_time() -> None:
    clock = ManualClock()
    keeper = ThinkingKeeper(clock)
    keeper.remember("alice", [SIGNED, CALL])
    clock.advance(6 * 3600 + 1)
    keeper.remember("alice", [SIGNED, ToolCall(id="tooluse_2", name="read", arguments="{}")])
    chat = returning(CALL)
    keeper.restore("alice", chat)
    assert chat.messages[0].parts == [CALL]


def test_it_is_kept_in_a_bounded_size_and_the_oldest_goes_first() -> None:
    keeper = ThinkingKeeper(ManualClock())
    large = Thinking(text="x" * (1 << 20), signature="cw==")
    for number in range(100):
        keeper.remember("alice", [large, ToolCall(id=f"tooluse_{number}", name="read", arguments="{}")])
    old, new = (
        returning(ToolCall(id="tooluse_0", name="read", arguments="{}")),
        returning(ToolCall(id="tooluse_99", name="read", arguments="{}")),
    )
    keeper.restore("alice", old)
    keeper.restore("alice", new)
    assert len(old.messages[0].parts) == 1
    assert new.messages[0].parts[0] == large
