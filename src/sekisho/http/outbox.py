"""Writes to sockets, collected over a turn of the event loop.

Of a small write over a socket the better part of the time is spent on waking who waits at the other end. Where many
connections lead to one peer (a load balancer, a proxy in front of an upstream), writes that follow each other closely
wake it once. Whether they do shows only afterwards: while turns have one write each, writes are not collected.
"""

import asyncio
from typing import Final

_MOST_HELD: Final = 64 * 1024
"""Bytes of a write that are so many that it goes out at once: the copying is dearer, and backpressure must be felt."""
_MOST_WAITING: Final = 16
"""Connections that wait to send; then they do, since nearly all there is to save is saved, and waiting is delay."""
_MOST_SINGLE: Final = 4
"""Turns in a row that had but one connection to write to; then collecting is given up for a while."""
_ALONE: Final = 32
"""Writes that then go out at once, before it is seen again whether there are more in a turn."""


class Outbox:
    """The connections that have something to send by the end of this turn of the loop.

    `alone` is how many writes need not be collected for now.
    """

    __slots__ = ("_due", "_single", "_together", "_waiting", "alone")

    def __init__(self) -> None:
        self.alone = 0
        self._waiting: list[Sender] = []
        self._due = False
        self._together = 0  # connections that sent in this turn
        self._single = 0  # turns in a row in which only one did

    def add(self, sender: "Sender") -> None:
        """Let a connection send what it has unsent."""
        waiting = self._waiting
        waiting.append(sender)
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._end_turn)
        elif len(waiting) >= _MOST_WAITING:
            self._flush()

    def _end_turn(self) -> None:
        self._due = False
        self._flush()
        self._single = self._single + 1 if self._together == 1 else 0
        if self._single >= _MOST_SINGLE:
            self.alone = _ALONE
        self._together = 0

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._together += len(waiting)
        for sender in waiting:
            sender.send_unsent()


class Sender(asyncio.Protocol):
    """A connection whose writes of one turn of the loop go out together, in the order in which they were made.

    Its transport must be closed with `hang_up`. Aborting it drops what is unsent.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport

    def write(self, data: bytes) -> None:
        """Send bytes; to nobody, once the connection is closing."""
        outbox, unsent = self._outbox, self._unsent
        if not unsent:
            if outbox.alone:
                outbox.alone -= 1
                if not self._transport.is_closing():
                    self._transport.write(data)
                return
            unsent.append(data)
            outbox.add(self)
        else:
            unsent.append(data)
        if len(data) > _MOST_HELD:
            self.send_unsent()

    def write_later(self, data: bytes) -> None:
        """Send bytes with what follows them, or at the end of this turn of the loop."""
        self._unsent.append(data)
        if len(self._unsent) == 1:
            self._outbox.add(self)

    def send_unsent(self) -> None:
        """Hand what was written to the transport now."""
        unsent = self._unsent
        if not unsent:
            return
        self._unsent = []  # first, since the transport may call back
        if self._transport.is_closing():
            return
        if len(unsent) == 1:
            self._transport.write(unsent[0])
        elif len(unsent[-1]) > _MOST_HELD:
            self._transport.writelines(unsent)
        else:
            self._transport.write(b"".join(unsent))

    def hang_up(self) -> None:
        """Close the connection once all that was written is sent."""
        self.send_unsent()
        self._transport.close()
