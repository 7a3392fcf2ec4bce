"""Headers of upstreams' answers: read from what came, they are those that the parser reads."""

import httptools
from hypothesis import example, given
from hypothesis import strategies as st

from sekisho.http.headers import ResponseHeaders

TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
NAMES = st.text(TOKEN, min_size=1, max_size=12).map(str.encode)
VALUES = st.binary(max_size=20).filter(lambda value: not set(value) & {*range(9), *range(10, 32), 127})
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
FRAMING = {b"content-length", b"transfer-encoding", b"connection", b"proxy-connection", b"upgrade"}


class _Parsed:
    """What the parser tells of the last head."""

    def __init__(self, data: bytes) -> None:
        self.headers: dict[str, str] = {}
        httptools.HttpResponseParser(self).feed_data(data)

    def on_message_begin(self) -> None:
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip(" \t")  # it leaves some at the end


def write(status: bytes, pairs: list[tuple[bytes, bytes]]) -> bytes:
    lines = [name + b":" + value + b"\r\n" for name, value in pairs if name.lower() not in FRAMING]
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(lines)


@given(PAIRS, st.lists(PAIRS, max_size=2), st.binary(max_size=40), st.data())
@example([(b"A", b" x: y\t "), (b"a", b"\x85z\xa0")], [[(b"Link", b"</s>")]], b"\r\n\r\nHTTP/1.1 200 OK", None)
def test_headers_are_read_as_the_parser_reads_them(
    pairs: list[tuple[bytes, bytes]],
    interim: list[list[tuple[bytes, bytes]]],
    body: bytes,
    data: st.DataObject | None,
) -> None:
    heads = b"".join(write(b"103 Early Hints", hints) + b"\r\n" for hints in interim)
    whole = heads + write(b"429 ", pairs) + b"content-length: %d\r\n\r\n" % len(body) + body
    cut = 1 if data is None else data.draw(st.integers(0, len(whole)))
    read = ResponseHeaders([whole[:cut], whole[cut:]])
    assert dict(read) == _Parsed(whole).headers
    assert len(read) == len(dict(read))


def test_there_may_be_none() -> None:
    assert not ResponseHeaders(())
