"""What only Converse refuses, beyond the service model: blanks, the order of roles, tools left out, document names."""

import itertools
import re
from typing import Any

from sekisho.simulator.errors import invalid
from sekisho.simulator.prompt import Prompt
from sekisho.simulator.rules import check_betas, check_prompt, turns_of

_DOCUMENT_NAME = re.compile(r"[a-zA-Z0-9\s\-()\[\]]+")


def check_converse(prompt: Prompt) -> None:
    """Refuses what the service would refuse. Raises Refusal."""
    _check_content(prompt)
    check_prompt(prompt)
    _check_order(prompt)
    _check_tools_given(prompt)
    check_betas(prompt.extra.get("anthropic_beta"))


def _check_order(prompt: Prompt) -> None:
    for (_, before), (_, after) in itertools.pairwise(turns_of(prompt)):
        if before["role"] == after["role"]:
            raise invalid(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates"
                " between user and assistant roles and try again."
            )


def _check_tools_given(prompt: Prompt) -> None:
    used = any(block.get("toolUse") or block.get("toolResult") for m in prompt.messages for block in m["content"])
    if used and not prompt.has_tools:
        raise invalid("The toolConfig field must be defined when using toolUse and toolResult content blocks.")


def _check_content(prompt: Prompt) -> None:
    for index, block in enumerate(prompt.system):
        _check_blank(block, f"system.{index}")
    for index, message in enumerate(prompt.messages):
        path = f"messages.{index}"
        content = message["content"]
        if not content:
            raise invalid(
                f"The content field in the Message object at {path} is empty. Add a ContentBlock object to the content"
                " field and try again."
            )
        for at, block in enumerate(content):
            _check_blank(block, f"{path}.content.{at}")
            if result := block.get("toolResult"):
                _check_result(result, f"{path}.content.{at}.toolResult")
        _check_documents(content, path)


def _check_blank(block: dict[str, Any], path: str) -> None:
    text = block.get("text")
    if isinstance(text, str) and not text.strip():
        raise invalid(
            f"The text field in the ContentBlock object at {path} is blank. Add text to the text field, and try again."
        )


def _check_result(result: dict[str, Any], path: str) -> None:
    if not result["content"]:
        raise invalid(f"The content field in the ToolResultBlock object at {path} is empty. Add content and try again.")
    for index, part in enumerate(result["content"]):
        _check_blank(part, f"{path}.content.{index}")


def _check_documents(content: list[dict[str, Any]], path: str) -> None:
    names = [block["document"]["name"] for block in content if block.get("document")]
    for name in names:
        if not _DOCUMENT_NAME.fullmatch(name) or re.search(r"\s\s", name):
            raise invalid(
                f"The document file name at {path} can only contain alphanumeric characters, whitespace characters,"
                " hyphens, parentheses, and square brackets. The name can't contain more than one consecutive"
                " whitespace character."
            )
    if len(names) != len(set(names)):
        raise invalid("Duplicate document names are not allowed. Give each document its own name and try again.")
    if names and not any("text" in block for block in content):
        raise invalid(f"A text block must be included with the document at {path}. Add one and try again.")
