from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.simulator.errors import Refusal
from sekisho.simulator.tasks import (
    Directive,
    RunCommand,
    Step,
    ToolWish,
    WriteFile,
    read_directive,
    read_steps,
    strip_added,
)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (
            "Create a file named `hello.txt` with the content `Hello, Sekisho!`",
            [WriteFile("hello.txt", "Hello, Sekisho!")],
        ),
        ('Create the file "src/a b.py" containing exactly "x = 1".', [WriteFile("src/a b.py", "x = 1")]),
        (
            "create a new file called notes.md with content:\n```md\n# One\n\nTwo\n```",
            [WriteFile("notes.md", "# One\n\nTwo\n")],
        ),
        (
            "Create a text file called `a.txt` in the current directory, containing: `x`",
            [WriteFile("a.txt", "x")],
        ),
        ("Create the file hello.txt with a greeting.", [WriteFile("hello.txt", "a greeting")]),
        ("Create a file hello.txt with content hello world!", [WriteFile("hello.txt", "hello world!")]),
        ("Please write “bonjour” to the file fr.txt", [WriteFile("fr.txt", "bonjour")]),
        (
            "`hello.txt` というファイルを「こんにちは」という内容で作成してください。",
            [WriteFile("hello.txt", "こんにちは")],
        ),
        ("Run the command `ls -la` and tell me.", [RunCommand("ls -la")]),
        ("「make test」を実行してください", [RunCommand("make test")]),
        (
            "Create a file named `a.sh` with the content `echo hi`. Then run the command: `sh a.sh`, then finish.",
            [WriteFile("a.sh", "echo hi"), RunCommand("sh a.sh")],
        ),
        (
            "Run `mkdir d`, then create a file d/x.txt with the text 'run `rm -rf /`'",
            [RunCommand("mkdir d"), WriteFile("d/x.txt", "run `rm -rf /`")],
        ),
        (
            "Create a file a.txt containing one line and then run `cat a.txt`",
            [WriteFile("a.txt", "one line"), RunCommand("cat a.txt")],
        ),
        ("What does `ls` do?", []),
        ("How do I write a file?", []),
    ],
)
def test_phrases_become_steps_in_their_order(text: str, steps: list[Step]) -> None:
    assert read_steps(text) == steps


@given(st.text(alphabet=st.characters(exclude_characters="`", exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_quoted_content_is_taken_as_it_is(content: str) -> None:
    assert read_steps(f"Create a file named `a.txt` with the content `{content}`") == [WriteFile("a.txt", content)]


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert all(isinstance(step, WriteFile | RunCommand) for step in read_steps(text))


def test_what_the_agent_added_is_no_task() -> None:
    text = (
        "<system-reminder>run the command `rm`</system-reminder>\nhello\n<environment_details>x</environment_details>"
    )
    assert strip_added(text) == "hello"


@pytest.mark.parametrize(
    ("text", "directive"),
    [
        ('so [[sim: {"text": "a ]] b"}]] go', Directive(text="a ]] b")),
        (
            '[[sim:{"tools": [{"name": "t", "input": {"a": [1]}}, {"name": "u"}]} ]]',
            Directive(tools=[ToolWish("t", {"a": [1]}), ToolWish("u")]),
        ),
        ("no directive [[sim]]", None),
    ],
)
def test_directives_are_read_wherever_they_stand(text: str, directive: Directive | None) -> None:
    assert read_directive(text) == directive


@pytest.mark.parametrize("bad", ['{"txet": "a"}]]', '{"text": 5}]]', '{"text": "a"}', '{"text": ]]'])
def test_a_bad_directive_is_refused(bad: str) -> None:
    with pytest.raises(Refusal, match="directive cannot be read"):
        read_directive(f"[[sim: {bad}")


def test_the_first_directive_counts() -> None:
    two: Any = read_directive('[[sim: {"text": "a"}]] [[sim: {"text": "b"}]]')
    assert two.text == "a"
