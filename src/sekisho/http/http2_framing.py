"""The HTTP/2 framing layer: the `h2` library with our limits, and with the graceful ends that it lacks."""

from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, Event
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

MAX_STREAMS: Final = 100
"""Requests that may be open at once on a connection; most clients assume this number until they are told."""
MAX_HEADER_BYTES: Final = 64 * 1024
STREAM_WINDOW: Final = 256 * 1024
"""Bytes of a request's body that are kept while the application does not read; a client may send no more."""
CONNECTION_WINDOW: Final = 1024 * 1024
"""The same for all requests of a connection together."""
FRAME_BYTES: Final = 64 * 1024
"""The longest frame of a body that is sent, where the client allows it."""


class Framing(H2Connection):
    """A server's end of a connection. It does no I/O: what it has to send is taken from `data_to_send`."""

    def __init__(self) -> None:
        super().__init__(H2Configuration(client_side=False, header_encoding=None))
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
                SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADER_BYTES,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            },
        )
        self.decoder.max_header_list_size = MAX_HEADER_BYTES

    def begin(self) -> None:
        """Queue the server's preface: settings, and the connection's window, which settings do not cover."""
        default = self.inbound_flow_control_window
        self.initiate_connection()
        self.increment_flow_control_window(CONNECTION_WINDOW - default)

    def room(self, stream_id: int) -> int:
        """How many bytes the stream's own window takes; the connection's is `outbound_flow_control_window`."""
        stream = self.streams.get(stream_id)
        return stream.outbound_flow_control_window if stream is not None else 0

    def announce_end(self) -> None:
        """Queue a GOAWAY that lets the requests that have come go on (RFC 9113 section 6.8).

        `close_connection` would make h2 refuse every further frame.
        """
        self._prepare_for_sending([GoAwayFrame(0, last_stream_id=self.highest_inbound_stream_id)])

    def _receive_goaway_frame(self, _frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        """Report a client's GOAWAY, and go on: it only promises to accept no streams of ours.

        h2 takes it for the end and refuses every frame after it, but clients such as Node's send it when they will make
        no more requests, and wait for the answers to those they have made.
        """
        return [], [ConnectionTerminated()]
