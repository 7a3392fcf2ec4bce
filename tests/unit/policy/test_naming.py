import pytest

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.policy.naming import find_group

MODELS = {
    "sonnet": "bedrock/converse/jp.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "opus": "us.anthropic.claude-opus-4-7",
    "gpt": "openai/gpt-4.1",
    "llama": "hosted_vllm/meta-llama/Llama-3.3-70B-Instruct",
    "profile": "bedrock/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef",
}


def snapshot() -> Snapshot:
    deployments = [
        Deployment(id=name, model_name=name, model=model, params={}, model_info={}, where="c.yaml:1:1")
        for name, model in MODELS.items()
    ]
    groups: dict[str, tuple[Deployment, ...]] = {one.model_name: (one,) for one in deployments}
    return Snapshot(deployments=tuple(deployments), groups=groups, model_group_alias={"best": "opus"})


@pytest.mark.parametrize(
    ("asked", "group"),
    [
        ("sonnet", "sonnet"),
        ("best", "opus"),
        ("jp.anthropic.claude-sonnet-4-5-20250929-v1:0", "sonnet"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "sonnet"),  # Cline rewrites ids to `us.`
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "sonnet"),
        ("bedrock/us-east-1/anthropic.claude-sonnet-4-5-20250929-v1:0", "sonnet"),
        ("claude-sonnet-4-5-20250929", "sonnet"),  # Anthropic's own name
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "sonnet",
        ),
        ("anthropic/claude-opus-4-7", "opus"),
        ("gpt-4.1", "gpt"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama"),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef", "profile"),
        ("claude-sonnet-4-5", "sonnet"),  # Anthropic's short alias
        ("claude-sonnet-4", None),
        ("sonnet-4", None),
        ("", None),
    ],
)
def test_a_name_finds_the_group_that_serves_the_model(asked: str, group: str | None) -> None:
    assert find_group(snapshot(), asked) == group


def test_of_several_groups_with_one_model_the_first_that_is_allowed_is_found() -> None:
    shot = snapshot()
    twin = Deployment(id="twin", model_name="twin", model=MODELS["opus"], params={}, model_info={}, where="c.yaml:9:1")
    both = Snapshot(deployments=(*shot.deployments, twin), groups={**shot.groups, "twin": (twin,)})
    assert find_group(both, "us.anthropic.claude-opus-4-7") == "opus"
    assert find_group(both, "us.anthropic.claude-opus-4-7", lambda name: name == "twin") == "twin"
