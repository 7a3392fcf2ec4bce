"""The command line: what there is, and its options. What a command does is in the module of its name."""

from pathlib import Path
from typing import Annotated

import typer

from sekisho import __version__
from sekisho.cli.collecting import collect_nothing

app = typer.Typer(
    help="The checkpoint between AI coding agents and their models. / AI エージェントとモデルの間の関所。",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
simulate_app = typer.Typer(
    help="Local counterparts of upstreams. / 上流サービスのローカルな代役。", no_args_is_help=True
)
app.add_typer(simulate_app, name="simulate")
audit_app = typer.Typer(help="The audit trail. / 監査記録。", no_args_is_help=True)
app.add_typer(audit_app, name="audit")

Host = Annotated[str, typer.Option(help="Address to listen on. / 待ち受けるアドレス。")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on. / 待ち受けるポート。")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sekisho {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version. / 版を表示。")
    ] = False,
) -> None:
    """Options of all commands."""


@app.command(help="Serve the gateway. / ゲートウェイを起動する。")
def serve(
    config: Annotated[Path | None, typer.Option(help="Configuration file. / 設定ファイル。")] = None,
    host: Host = "127.0.0.1",
    port: Port = 4000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes to serve with. / プロセス数。")] = 1,
    ssl_certfile: Annotated[
        str | None,
        typer.Option(
            "--ssl-certfile",
            "--ssl_certfile_path",
            envvar="SSL_CERTFILE_PATH",
            help="Serve TLS: certificate chain (PEM). / TLS で待ち受ける: 証明書チェーン (PEM)。",
        ),
    ] = None,
    ssl_keyfile: Annotated[
        str | None,
        typer.Option(
            "--ssl-keyfile", "--ssl_keyfile_path", envvar="SSL_KEYFILE_PATH", help="Its key (PEM). / その秘密鍵 (PEM)。"
        ),
    ] = None,
) -> None:
    """Serve the gateway."""
    collect_nothing()
    from sekisho.cli.serve import serve as run  # noqa: PLC0415  # the other commands need not wait for the gateway's imports

    raise typer.Exit(run(config, host, port, workers, ssl_certfile, ssl_keyfile))


@app.command(help="Check a configuration file. / 設定ファイルを検査する。")
def check(
    file: Annotated[Path, typer.Argument(help="Configuration file. / 設定ファイル。")],
    strict: Annotated[bool, typer.Option(help="Warnings are errors. / 警告もエラーにする。")] = False,
) -> None:
    """Check a configuration file."""
    from sekisho.cli.check import check as run  # noqa: PLC0415  # as above

    raise typer.Exit(run(file, strict))


@app.command(help="Examine every deployment, read-only. / すべてのデプロイメントを読み取りだけで診断する。")
def doctor(
    file: Annotated[
        Path | None, typer.Argument(help="Configuration file (default: the built-in one). / 設定ファイル。")
    ] = None,
    call: Annotated[
        bool, typer.Option("--call", help="Ask each model for one token, which is billed. / 1 トークンだけ呼び出す。")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON. / JSON で出力する。")] = False,
) -> None:
    """Examine every deployment."""
    from sekisho.cli.doctor import doctor as run  # noqa: PLC0415  # as above

    raise typer.Exit(run(file, call=call, as_json=as_json))


@audit_app.callback()
def audit() -> None:
    """Options of all commands about the audit trail."""


@audit_app.command(help="Check that nobody altered the audit trail. / 監査記録が改ざんされていないか検査する。")
def verify(
    database: Annotated[
        str | None, typer.Option(help="Address of the database. / データベースのアドレス。", envvar="DATABASE_URL")
    ] = None,
    expect: Annotated[
        list[str] | None, typer.Option(help="Hash noted earlier that must still be there. / 以前に控えたハッシュ。")
    ] = None,
) -> None:
    """Check that nobody altered the audit trail."""
    from sekisho.cli.audit import verify_audit  # noqa: PLC0415  # as above

    raise typer.Exit(verify_audit(database, expect or ()))


@simulate_app.command(help="Serve a local counterpart of Amazon Bedrock. / Amazon Bedrock のローカルな代役を起動する。")
def bedrock(host: Host = "127.0.0.1", port: Port = 4001) -> None:
    """Serve a local counterpart of Amazon Bedrock."""
    from sekisho.cli.simulate import simulate_bedrock  # noqa: PLC0415  # as above

    raise typer.Exit(simulate_bedrock(host, port))
