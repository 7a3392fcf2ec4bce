"""What the command line reads."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.support.command_line import run_command

from sekisho import __version__


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `serve` is called with, instead of serving."""
    calls: list[Any] = []

    def serve(*arguments: Any) -> int:
        calls.append(arguments)
        return 0

    module = ModuleType("sekisho.cli.serve")
    vars(module)["serve"] = serve
    monkeypatch.setitem(sys.modules, "sekisho.cli.serve", module)
    for name in ("SSL_CERTFILE_PATH", "SSL_KEYFILE_PATH"):
        monkeypatch.delenv(name, raising=False)
    return calls


def test_serve_without_options(asked: list[Any]) -> None:
    assert run_command("serve").exit_code == 0
    assert asked == [(None, "127.0.0.1", 4000, 1, None, None)]


def test_all_options_of_serve(asked: list[Any]) -> None:
    where = ("--config", "c.yaml", "--host", "::1", "--port=0", "--workers", "256")
    assert run_command("serve", *where, "--ssl-certfile", "c", "--ssl-keyfile", "k").exit_code == 0
    assert asked == [(Path("c.yaml"), "::1", 0, 256, "c", "k")]


def test_litellms_names_of_the_certificate(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run_command("serve", "--ssl_certfile_path", "c", "--ssl_keyfile_path", "k")
    monkeypatch.setenv("SSL_CERTFILE_PATH", "d")
    monkeypatch.setenv("SSL_KEYFILE_PATH", "")
    run_command("serve")
    run_command("serve", "--ssl-certfile", "c")
    assert [arguments[4:] for arguments in asked] == [("c", "k"), ("d", None), ("c", None)]


@pytest.mark.parametrize("option", ["--port=65536", "--port=-1", "--port=x", "--workers=0", "--conf=c"])
def test_what_is_no_option_is_refused(asked: list[Any], option: str) -> None:
    result = run_command("serve", option)
    assert (result.exit_code, asked) == (2, [])
    assert option.partition("=")[0] in result.stderr


@pytest.mark.parametrize("arguments", [(), ("audit",), ("simulate",)])
def test_without_a_command_it_is_said_which_there_are(arguments: tuple[str, ...]) -> None:
    result = run_command(*arguments)
    assert result.exit_code == 2
    assert "commands:" in result.stdout


def test_the_version() -> None:
    result = run_command("--version")
    assert (result.exit_code, result.stdout) == (0, f"sekisho {__version__}\n")


def test_an_unknown_command_is_refused() -> None:
    assert run_command("server").exit_code == 2
