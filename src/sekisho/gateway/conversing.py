"""Put a conversation to a target: in the client's own bytes where it speaks their format, translated otherwise."""

import asyncio

from msgspec import Struct, structs

from sekisho.core.chat import ChatRequest
from sekisho.core.errors import SekishoError
from sekisho.core.target import Target
from sekisho.core.wire import UpstreamDialect, WireRequest
from sekisho.gateway.alarm import Limit
from sekisho.gateway.reply import Reply, explain
from sekisho.gateway.sending import choose_options, find_manner, send
from sekisho.gateway.standing import Manner
from sekisho.gateway.ways import Candidate
from sekisho.gateway.work import Work
from sekisho.http.failures import TimedOut
from sekisho.policy.caching import mark_for_caching


class Conversing(Struct):
    """One call's conversation, and how it is put to one target after the other."""

    work: Work
    _completed: ChatRequest | None = None

    async def hear_out(self, candidate: Candidate) -> Reply:
        """One attempt. Returns with the whole answer.

        Once the request is sent, the answer is awaited even when the client leaves: it will be billed.
        """
        work, meter, exchange, target = self.work, self.work.meter, self.work.exchange, candidate.target
        manner, record = find_manner(work, candidate), work.record
        wire = self._pass(target, manner) or await self._translate(target, manner)
        since = record.clock.monotonic()
        try:
            reply = Reply(target, manner.dialect, wire, await send(work, target, wire, manner))
            try:
                await reply.await_answer()
            except BaseException:  # also when cancelled: the connection must not stay open
                reply.close()
                raise
        except SekishoError:
            if exchange.heed():
                meter.not_taken()
                await asyncio.sleep(0)
            raise
        except asyncio.CancelledError:  # the client left in time, time is up, or the gateway stops
            if exchange.persists:
                meter.guess(work.held.expected.output)
            else:
                meter.not_taken()
            raise
        finally:  # all this is the upstream's time, not the gateway's
            record.waited += record.clock.monotonic() - since
        if exchange.heed():
            reply.close()
            assert reply.answer is not None
            meter.take_whole(reply.answer.usage, reply.answer.parts)
            await asyncio.sleep(0)
        return reply

    async def begin(self, candidate: Candidate) -> Reply:
        """One attempt at a stream. Returns when its first event has come.

        A client that leaves cuts it, and pays for what was sent and has come.
        """
        work, target = self.work, candidate.target
        manner, record = find_manner(work, candidate), work.record
        wire = self._pass(target, manner) or await self._translate(target, manner)
        since = record.clock.monotonic()
        try:
            reply = Reply(target, manner.dialect, wire, await send(work, target, wire, manner))
            try:
                await self._await_first_token(target, reply, manner.timeouts.first)
            except BaseException:  # as above
                reply.close()
                raise
        except asyncio.CancelledError:
            if not work.meter.sent:
                work.meter.not_taken()
            raise
        finally:  # as above
            record.waited += record.clock.monotonic() - since
        return reply

    async def _await_first_token(self, target: Target, reply: Reply, seconds: float) -> None:
        """What only announces an answer keeps a connection busy, so that the first token needs a limit of its own."""
        try:
            with Limit(self.work.rooms.access.alarm, seconds):
                await reply.await_first_event()
        except TimeoutError as error:
            raise explain(TimedOut(f"no first token within {seconds:g} s"), target) from error

    def _pass(self, target: Target, manner: Manner) -> WireRequest | None:
        """The client's own bytes for the target, where it speaks their format and can take them."""
        if not manner.familiar:
            return None
        dialect: UpstreamDialect = manner.dialect
        wire = dialect.pass_request(self.work.call, target.facts, choose_options(self.work, target, manner))
        if wire is not None:
            self.work.record.dropped = wire.dropped
        return wire

    async def _translate(self, target: Target, manner: Manner) -> WireRequest:
        chat, facts = await self._complete_chat(), target.facts
        if self.work.snapshot.prompt_caching:
            mark_for_caching(chat, facts)
        dialect: UpstreamDialect = manner.dialect
        wire = dialect.write_request(chat, facts, choose_options(self.work, target, manner))
        if chat.omitted:
            wire = structs.replace(wire, dropped=tuple(dict.fromkeys([*chat.omitted, *wire.dropped])))
        self.work.record.dropped = wire.dropped
        return wire

    async def _complete_chat(self) -> ChatRequest:
        """The neutral conversation with what it lacks: files named by URL, reasoning that the client did not return."""
        if self._completed is None:
            work = self.work
            chat = work.call.chat
            await work.rooms.attachments.fill(chat)
            work.rooms.thinking.restore(work.standing.owner, chat)
            self._completed = chat
        return self._completed
