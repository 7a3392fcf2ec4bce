"""What the agents want: each has its work, call by call, the same whichever way the calls go.

Sizes are those of coding agents: a system prompt with tools of 8,000 to 22,000 tokens, results of tools from a line to
a long file, answers of a few hundred tokens, now and then a sub-agent beside the main conversation, and a person who
reads, answers, or has lunch.
"""

from random import Random

from msgspec import Struct

TEAMS = ("payments", "search", "mobile", "platform")
_AGENTS = 40
_CLIENTS = (("cline", 8_192, 20_000), ("claude-code", 32_000, 22_000), ("opencode", 32_000, 12_000))
"""Name, `max_tokens`, and the tokens of the system prompt with its tools."""


class Step(Struct, frozen=True):
    """One call: the prompt's tokens, those of the answer, and seconds until the next call. helpers: conversations of
    sub-agents that go on meanwhile, and are waited for."""

    session: str
    prompt: int
    output: int
    ceiling: int
    pause: float
    helpers: tuple[tuple["Step", ...], ...] = ()


class Agent(Struct, frozen=True):
    """One developer's agent. begins: after how many seconds. bytes_per_token: of what it works on."""

    name: str
    team: str
    begins: float
    bytes_per_token: float
    steps: tuple[Step, ...]


def make_agents(seed: int, minutes: float) -> list[Agent]:
    """All of them, each with work for about so many minutes."""
    return [_make_agent(Random(f"{seed}/{number}"), number, minutes * 60) for number in range(_AGENTS)]


def _make_agent(random: Random, number: int, seconds: float) -> Agent:
    name = f"agent-{number}"
    _client, ceiling, base = _CLIENTS[number % len(_CLIENTS)]
    steps: list[Step] = []
    task, left = 0, seconds
    while left > 0:
        task += 1
        made = _make_task(random, f"{name}.{task}", base, ceiling, left)
        left -= sum(_estimate_seconds(step) for step in made)
        steps.extend(made)
    return Agent(name, TEAMS[number % len(TEAMS)], random.uniform(0, 60), random.uniform(3.6, 4.4), tuple(steps))


def _make_task(random: Random, session: str, base: int, ceiling: int, seconds: float) -> list[Step]:
    """One conversation: it grows until it is done, or too long and begun anew with a summary."""
    prompt = base + random.randrange(500, 6_000)
    longest = random.randrange(60_000, 150_000)
    steps: list[Step] = []
    while prompt < longest and seconds > 0:
        output = min(ceiling, 2_000, int(random.lognormvariate(5.9, 0.7)) + 60)
        helpers: tuple[tuple[Step, ...], ...] = ()
        if random.random() < 0.03:
            helpers = tuple(
                _make_helper(random, f"{session}.{len(steps)}.{each}", ceiling) for each in range(random.randint(1, 2))
            )
        step = Step(session, prompt, output, ceiling, _choose_pause(random), helpers)
        steps.append(step)
        seconds -= _estimate_seconds(step)
        prompt += output + min(25_000, int(random.lognormvariate(7.5, 1.0)))
    return steps


def _make_helper(random: Random, session: str, ceiling: int) -> tuple[Step, ...]:
    """A sub-agent's short conversation, which looks something up."""
    prompt, steps = random.randrange(6_000, 12_000), []
    for _ in range(random.randint(3, 8)):
        output = min(1_500, int(random.lognormvariate(5.5, 0.6)) + 40)
        steps.append(Step(session, prompt, output, ceiling, random.uniform(0.2, 3.0)))
        prompt += output + min(20_000, int(random.lognormvariate(7.4, 0.9)))
    return tuple(steps)


def _choose_pause(random: Random) -> float:
    """Mostly a tool runs; sometimes the developer thinks, and rarely is gone for longer than a cache lives."""
    kind = random.random()
    if kind < 0.90:
        return min(60.0, random.lognormvariate(1.0, 1.0))
    if kind < 0.985:
        return random.uniform(15, 90)
    return random.uniform(310, 420)


def _estimate_seconds(step: Step) -> float:
    return 2.5 + step.output / 75 + step.pause + sum(5.0 * len(helper) for helper in step.helpers)
