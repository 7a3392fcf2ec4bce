"""What the gateway says when it is ready: where it is, and how to use it at once."""

from msgspec import Struct


class Ready(Struct, frozen=True, kw_only=True):
    """What a reader needs to know. A key is None where it must not be printed.

    `models` are those that can be called, `simulated` those of them that a local counterpart answers for.
    """

    url: str
    data: str
    models: tuple[str, ...]
    workers: int
    simulated: tuple[str, ...]
    master_key: str | None
    master_key_origin: str
    virtual_key: str | None


def write_banner(ready: Ready) -> str:
    """The text to print."""
    lines = [
        "",
        f"  Sekisho is ready at {ready.url}  (docs: {ready.url}/docs)",
        "",
        f"    data        {ready.data}",
        f"    models      {', '.join(ready.models[:8]) or 'none configured'}{' …' if len(ready.models) > 8 else ''}",
    ]
    if ready.workers > 1:
        lines.append(f"    workers     {ready.workers}")
    master = ready.master_key if ready.master_key is not None else f"(from {ready.master_key_origin})"
    lines.append(f"    master key  {master}")
    if ready.virtual_key is not None:
        lines.append(f"    virtual key {ready.virtual_key}")
    if ready.simulated:
        lines += [
            "",
            "  SIMULATED: no AWS credentials were found, so a local counterpart of Amazon Bedrock answers.",
            *_explain_simulation(ready),
            "  the header x-sekisho-simulated: true. Give AWS credentials (AWS_PROFILE, a role, keys) to call Bedrock.",
        ]
    if ready.virtual_key is not None and ready.models:
        lines += _examples(ready.url, ready.virtual_key, ready.models[0])
    lines.append("")
    return "\n".join(lines)


def _explain_simulation(ready: Ready) -> list[str]:
    real = [model for model in ready.models if model not in ready.simulated]
    if not real:
        first = "  No real model is called and nothing is billed."
        return [f"{first} Answers, tokens and costs are made up; every answer has"]
    return [
        f"  That holds for: {', '.join(ready.simulated)}. CALLED FOR REAL, and billed: {', '.join(real)}.",
        "  Simulated answers, tokens and costs are made up; every such answer has",
    ]


def _examples(url: str, key: str, model: str) -> list[str]:
    return [
        "",
        "  curl:",
        f"    curl {url}/v1/chat/completions -H 'Authorization: Bearer {key}' \\",
        f"""      -H 'Content-Type: application/json' -d '{{"model": "{model}", "messages": [{{"role": "user", """
        """"content": "Hello"}]}'""",
        "",
        "  OpenAI SDK (Python):",
        f'    OpenAI(base_url="{url}/v1", api_key="{key}").chat.completions.create(',
        f'        model="{model}", messages=[{{"role": "user", "content": "Hello"}}])',
        "",
        "  Cline CLI (npm install -g cline):",
        f"    cline auth -p openai-compatible -b {url}/v1 -k {key} -m {model}",
        """    cline "Create a file named hello.txt with the content 'Hello from Cline'" """.rstrip(),
    ]
