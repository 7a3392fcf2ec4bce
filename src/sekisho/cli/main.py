"""The command line: what there is, and its options. What a command does is in the module of its name."""

import os
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sekisho import __version__
from sekisho.cli.collecting import collect_nothing

Command = Callable[[Namespace], int]
"""What runs a command with its options. It gives the exit status."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, those of the process without any. Returns the exit status.

    Raises SystemExit (2) for arguments that are none, and (0) where only help or the version is wanted.
    """
    parser = ArgumentParser(
        prog="sekisho",
        description="The checkpoint between AI coding agents and their models. / AI エージェントとモデルの間の関所。",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"sekisho {__version__}", help="Print the version. / 版を表示。"
    )
    commands = _begin_group(parser)
    _add_serve(commands)
    _add_check(commands)
    _add_doctor(commands)
    simulate = _add_command(commands, "simulate", "Local counterparts of upstreams. / 上流サービスのローカルな代役。")
    _add_bedrock(_begin_group(simulate))
    audit = _add_command(commands, "audit", "The audit trail. / 監査記録。")
    _add_verify(_begin_group(audit))
    options = parser.parse_args(arguments)
    run: Command = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        return 130  # as shells say it of whom Ctrl-C has ended


def _begin_group(parser: ArgumentParser) -> Any:
    """Have the parser read commands; without one it says which there are."""

    def show(_: Namespace) -> int:
        parser.print_help()
        return 2

    parser.set_defaults(run=show)
    return parser.add_subparsers(metavar="COMMAND", title="commands")


def _add_command(commands: Any, name: str, words: str, run: Command | None = None) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(name, help=words, description=words, allow_abbrev=False)
    if run is not None:
        parser.set_defaults(run=run)
    return parser


def _add_serve(commands: Any) -> None:
    def run(options: Namespace) -> int:
        collect_nothing()
        from sekisho.cli.serve import serve  # noqa: PLC0415  # the other commands need not wait for the gateway's imports

        return serve(
            options.config, options.host, options.port, options.workers, options.ssl_certfile, options.ssl_keyfile
        )

    parser = _add_command(commands, "serve", "Serve the gateway. / ゲートウェイを起動する。", run)
    parser.add_argument("--config", type=Path, metavar="FILE", help="Configuration file. / 設定ファイル。")
    _add_address(parser, 4000)
    words = "Processes to serve with (%(default)s). / プロセス数。"
    parser.add_argument("--workers", type=_number(1, 256), default=1, metavar="N", help=words)
    parser.add_argument(
        "--ssl-certfile",
        "--ssl_certfile_path",
        dest="ssl_certfile",
        default=os.environ.get("SSL_CERTFILE_PATH") or None,
        metavar="FILE",
        help="Serve TLS: certificate chain (PEM; or SSL_CERTFILE_PATH). / TLS で待ち受ける: 証明書チェーン (PEM)。",
    )
    parser.add_argument(
        "--ssl-keyfile",
        "--ssl_keyfile_path",
        dest="ssl_keyfile",
        default=os.environ.get("SSL_KEYFILE_PATH") or None,
        metavar="FILE",
        help="Its key (PEM; or SSL_KEYFILE_PATH). / その秘密鍵 (PEM)。",
    )


def _add_check(commands: Any) -> None:
    def run(options: Namespace) -> int:
        from sekisho.cli.check import check  # noqa: PLC0415  # as above

        return check(options.file, options.strict)

    parser = _add_command(commands, "check", "Check a configuration file. / 設定ファイルを検査する。", run)
    parser.add_argument("file", type=Path, metavar="FILE", help="Configuration file. / 設定ファイル。")
    words = "Warnings are errors. / 警告もエラーにする。"
    parser.add_argument("--strict", action=BooleanOptionalAction, default=False, help=words)


def _add_doctor(commands: Any) -> None:
    def run(options: Namespace) -> int:
        from sekisho.cli.doctor import doctor  # noqa: PLC0415  # as above

        return doctor(options.file, call=options.call, as_json=options.json)

    words = "Examine every deployment, read-only. / すべてのデプロイメントを読み取りだけで診断する。"
    parser = _add_command(commands, "doctor", words, run)
    words = "Configuration file (default: the built-in one). / 設定ファイル。"
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help=words)
    words = "Ask each model for one token, which is billed. / 1 トークンだけ呼び出す。"
    parser.add_argument("--call", action="store_true", help=words)
    parser.add_argument("--json", action="store_true", help="Print JSON. / JSON で出力する。")


def _add_verify(commands: Any) -> None:
    def run(options: Namespace) -> int:
        from sekisho.cli.audit import verify_audit  # noqa: PLC0415  # as above

        return verify_audit(options.database or os.environ.get("DATABASE_URL") or None, options.expect)

    words = "Check that nobody altered the audit trail. / 監査記録が改ざんされていないか検査する。"
    parser = _add_command(commands, "verify", words, run)
    words = "Address of the database (or DATABASE_URL). / データベースのアドレス。"
    parser.add_argument("--database", metavar="URL", help=words)
    words = "Hash noted earlier that must still be there. / 以前に控えたハッシュ。"
    parser.add_argument("--expect", action="append", default=[], metavar="HASH", help=words)


def _add_bedrock(commands: Any) -> None:
    def run(options: Namespace) -> int:
        from sekisho.cli.simulate import simulate_bedrock  # noqa: PLC0415  # as above

        return simulate_bedrock(options.host, options.port)

    words = "Serve a local counterpart of Amazon Bedrock. / Amazon Bedrock のローカルな代役を起動する。"
    _add_address(_add_command(commands, "bedrock", words, run), 4001)


def _add_address(parser: ArgumentParser, port: int) -> None:
    words = "Address to listen on (%(default)s). / 待ち受けるアドレス。"
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=words)
    words = "Port to listen on (%(default)s). / 待ち受けるポート。"
    parser.add_argument("--port", type=_number(0, 65535), default=port, metavar="N", help=words)


def _number(least: int, most: int) -> Callable[[str], int]:
    """What reads a number in these bounds."""

    def read(text: str) -> int:
        if text.isascii() and text.isdecimal() and least <= int(text) <= most:
            return int(text)
        raise ArgumentTypeError(f"'{text}' is not a whole number from {least} to {most}")

    return read
