"""TLS for clients: certificates by LiteLLM's names too, both versions of HTTP, renewal without a restart."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
import trustme
from tests.support.gateway import MASTER_KEY, Gateway, run_gateway

CHAT = {"model": "claude-sonnet", "messages": [{"role": "user", "content": "Hello"}]}
AUTHORITY = trustme.CA()


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """The files of a certificate for this machine; each time another one."""
    issued = AUTHORITY.issue_cert("localhost", "127.0.0.1")
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return chain, key


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def shown_certificate(gateway: Gateway) -> bytes:
    """What a new connection is shown."""
    port = int(gateway.url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        trusting().wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


@pytest.mark.parametrize("workers", [1, 2])
def test_clients_speak_both_versions_of_http_over_tls_and_get_the_renewed_certificate(
    tmp_path: Path, workers: int
) -> None:
    chain, key = write_certificate(tmp_path)
    options = ("--ssl-certfile", str(chain), "--ssl-keyfile", str(key))
    with run_gateway(tmp_path / "home", workers=workers, arguments=options) as gateway:
        assert gateway.url.startswith("https://127.0.0.1:")
        for newer, version in ((False, "HTTP/1.1"), (True, "HTTP/2")):
            with httpx2.Client(http2=newer, verify=trusting(), trust_env=False, timeout=30) as client:
                headers = {"authorization": f"Bearer {MASTER_KEY}"}
                answer = client.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=headers)
                assert (answer.status_code, answer.http_version) == (200, version)
                streamed = {**CHAT, "stream": True}
                with client.stream(
                    "POST", f"{gateway.url}/v1/chat/completions", json=streamed, headers=headers
                ) as answer:
                    assert answer.read().endswith(b"data: [DONE]\n\n")
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(gateway.url.replace("https", "http") + "/health/liveliness", trust_env=False)
        before = shown_certificate(gateway)
        write_certificate(tmp_path)
        assert shown_certificate(gateway) == before
        gateway.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 30
        while before in {shown_certificate(gateway) for _ in range(4)}:  # of each worker
            assert time.monotonic() < until
            time.sleep(0.05)
        assert gateway.stop() == 0


def test_one_file_is_enough_and_litellms_names_are_known(tmp_path: Path) -> None:
    chain, key = write_certificate(tmp_path)
    chain.write_bytes(key.read_bytes() + chain.read_bytes())
    with run_gateway(tmp_path / "home", environment={"SSL_CERTFILE_PATH": str(chain)}) as gateway:
        assert shown_certificate(gateway)
    options = ("--ssl_certfile_path", str(chain), "--ssl_keyfile_path", str(key))
    with run_gateway(tmp_path / "home", arguments=options) as gateway:
        assert shown_certificate(gateway)


def test_a_certificate_that_cannot_be_used_keeps_it_from_starting(tmp_path: Path) -> None:
    chain, key = write_certificate(tmp_path)
    other = trustme.CA().issue_cert("localhost").private_key_pem.bytes()
    (tmp_path / "other.pem").write_bytes(other)
    (tmp_path / "no.pem").write_text("nothing")
    locked = subprocess.run(
        ["openssl", "ec", "-in", str(key), "-aes256", "-passout", "pass:secret"], capture_output=True, check=True
    )
    (tmp_path / "locked.pem").write_bytes(locked.stdout)
    wrong = {
        "certificate cannot be used": ["--ssl-certfile", str(tmp_path / "missing.pem")],
        "no.pem": ["--ssl-certfile", str(tmp_path / "no.pem"), "--ssl-keyfile", str(key)],
        "other.pem": ["--ssl-certfile", str(chain), "--ssl-keyfile", str(tmp_path / "other.pem")],
        "password": ["--ssl-certfile", str(chain), "--ssl-keyfile", str(tmp_path / "locked.pem")],
        "needs --ssl-certfile": ["--ssl-keyfile", str(key)],
    }
    for words, options in wrong.items():
        done = subprocess.run(
            [sys.executable, "-m", "sekisho", "serve", "--port", "0", *options],
            env={**os.environ, "SEKISHO_HOME": str(tmp_path / "home"), "AWS_EC2_METADATA_DISABLED": "true"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
