"""Put a conversation to a target: in the client's own bytes where it speaks their format, translated otherwise."""

import asyncio

from msgspec import Struct, structs

from sekisho.core.chat import ChatRequest
from sekisho.core.errors import SekishoError
from sekisho.core.wire import UpstreamDialect, WireRequest, WriteOptions
from sekisho.gateway.alarm import Limit
from sekisho.gateway.reply import Reply, explain
from sekisho.gateway.sending import choose_dialect, choose_options, find_timeouts, send
from sekisho.gateway.ways import Candidate
from sekisho.gateway.work import Work
from sekisho.http.failures import TimedOut
from sekisho.policy.caching import mark_for_caching


class Conversing(Struct):
    """One call's conversation, and how it is put to one target after the other."""

    work: Work
    _completed: ChatRequest | None = None

    async def try_once(self, candidate: Candidate) -> Reply:
        """One attempt. Returns with the whole answer, or when the first event of a stream has come."""
        work, target = self.work, candidate.target
        call, record, dialects = work.call, work.record, work.rooms.access.dialects
        name = choose_dialect(target, "chat", call.family, dialects)
        dialect: UpstreamDialect = dialects[name]
        options = choose_options(work, candidate)
        wire = dialect.pass_request(call, target.facts, options) if dialect.family == call.family else None
        if wire is None:
            wire = await self._translate(dialect, candidate, options)
        record.dropped = wire.dropped
        since = record.clock.monotonic()
        begin = self._begin if call.stream else self._hear_out
        try:
            return await begin(candidate, dialect, wire, name)
        finally:  # all this is the upstream's time, not the gateway's
            record.waited += record.clock.monotonic() - since

    async def _hear_out(self, candidate: Candidate, dialect: UpstreamDialect, wire: WireRequest, name: str) -> Reply:
        """The whole answer. Once the request is sent, it is awaited even when the client leaves: it will be billed."""
        work, meter, exchange = self.work, self.work.meter, self.work.exchange
        try:
            reply = Reply(candidate.target, dialect, wire, await send(work, candidate, wire, name))
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
        if exchange.heed():
            reply.close()
            assert reply.answer is not None
            meter.take_whole(reply.answer.usage, reply.answer.parts)
            await asyncio.sleep(0)
        return reply

    async def _begin(self, candidate: Candidate, dialect: UpstreamDialect, wire: WireRequest, name: str) -> Reply:
        """A stream that has begun."""
        reply = Reply(candidate.target, dialect, wire, await send(self.work, candidate, wire, name))
        try:
            await self._await_first_token(candidate, reply)
        except BaseException:  # as above
            reply.close()
            raise
        return reply

    async def _await_first_token(self, candidate: Candidate, reply: Reply) -> None:
        """What only announces an answer keeps a connection busy, so that the first token needs a limit of its own."""
        seconds = find_timeouts(self.work, candidate.deployment).first
        try:
            with Limit(self.work.rooms.access.alarm, seconds):
                await reply.await_first_event()
        except TimeoutError as error:
            raise explain(TimedOut(f"no first token within {seconds:g} s"), candidate.target) from error

    async def _translate(self, dialect: UpstreamDialect, candidate: Candidate, options: WriteOptions) -> WireRequest:
        chat, facts = await self._complete_chat(), candidate.target.facts
        if self.work.snapshot.prompt_caching:
            mark_for_caching(chat, facts)
        wire = dialect.write_request(chat, facts, options)
        if not chat.omitted:
            return wire
        dropped = tuple(dict.fromkeys([*chat.omitted, *wire.dropped]))
        return structs.replace(wire, dropped=dropped)

    async def _complete_chat(self) -> ChatRequest:
        """The neutral conversation with what it lacks: files named by URL, reasoning that the client did not return."""
        if self._completed is None:
            work = self.work
            chat = work.call.chat
            await work.rooms.attachments.fill(chat)
            work.rooms.thinking.restore(work.standing.owner, chat)
            self._completed = chat
        return self._completed
