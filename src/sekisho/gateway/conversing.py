"""Put a conversation to a target: in the client's own bytes where it speaks their format, translated otherwise."""

import asyncio

from msgspec import structs

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.target import Errand
from sekisho.core.wire import UpstreamDialect, WireRequest
from sekisho.gateway.attachments import AttachmentFetcher
from sekisho.gateway.outbound import Outbound, UpstreamAccess, choose_dialect
from sekisho.gateway.record import CallRecord
from sekisho.gateway.reply import Reply, explain
from sekisho.gateway.thinking import ThinkingKeeper
from sekisho.gateway.ways import Candidate
from sekisho.http.failures import TimedOut
from sekisho.policy.caching import mark_for_caching


class Conversing:
    """One call's conversation, and how it is put to one target after the other."""

    def __init__(
        self,
        access: UpstreamAccess,
        outbound: Outbound,
        call: ClientCall,
        record: CallRecord,
        *,
        attachments: AttachmentFetcher,
        thinking: ThinkingKeeper,
        prompt_caching: bool,
    ) -> None:
        self._dialects = access.dialects
        self._outbound = outbound
        self._call = call
        self._record = record
        self._attachments = attachments
        self._thinking = thinking
        self._prompt_caching = prompt_caching
        self._completed: ChatRequest | None = None

    async def try_once(self, candidate: Candidate) -> Reply:
        """One attempt. Returns with the whole answer, or when the first event of a stream has come."""
        target, call = candidate.target, self._call
        name = choose_dialect(target, "chat", call.family, self._dialects)
        dialect: UpstreamDialect = self._dialects[name]
        wire = await self._write(dialect, candidate)
        self._record.dropped = wire.dropped
        with self._record.waiting():
            response = await self._outbound.send(candidate, wire, Errand(name, stream=call.stream))
            reply = Reply(target, dialect, wire, response)
            try:
                await (self._await_first_token(candidate, reply) if call.stream else reply.await_answer())
            except BaseException:  # also when cancelled: the connection must not stay open
                reply.close()
                raise
        return reply

    async def _await_first_token(self, candidate: Candidate, reply: Reply) -> None:
        """What only announces an answer keeps a connection busy, so that the first token needs a limit of its own."""
        seconds = self._outbound.timeouts(candidate.deployment).first
        try:
            async with asyncio.timeout(seconds):
                await reply.await_first_event()
        except TimeoutError as error:
            raise explain(TimedOut(f"no first token within {seconds:g} s"), candidate.target) from error

    async def _write(self, dialect: UpstreamDialect, candidate: Candidate) -> WireRequest:
        facts, options = candidate.target.facts, self._outbound.options(candidate)
        if dialect.family == self._call.family:
            wire = dialect.pass_request(self._call, facts, options)
            if wire is not None:
                return wire
        chat = await self._complete_chat()
        if self._prompt_caching:
            mark_for_caching(chat, facts)
        wire = dialect.write_request(chat, facts, options)
        if not chat.omitted:
            return wire
        dropped = tuple(dict.fromkeys([*chat.omitted, *wire.dropped]))
        return structs.replace(wire, dropped=dropped)

    async def _complete_chat(self) -> ChatRequest:
        """The neutral conversation with what it lacks: files named by URL, reasoning that the client did not return."""
        if self._completed is None:
            chat = self._call.chat
            await self._attachments.fill(chat)
            assert self._record.caller is not None
            self._thinking.restore(self._record.caller.owner, chat)
            self._completed = chat
        return self._completed
