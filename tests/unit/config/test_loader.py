from pathlib import Path

import msgspec
import pytest

from sekisho.config import default, examine, load
from sekisho.config.places import InvalidConfig
from sekisho.config.snapshot import Loaded

_CASES = Path(__file__).parents[2] / "cases"
_SONNET = "bedrock-converse-us-claude-3-7-sonnet-v1"
_OLDER = "bedrock-us-claude-3-5-sonnet-v2"
_ONE = "model_list:\n  - model_name: a\n    litellm_params: {model: bedrock/a}\n"


def read(folder: Path, text: str, **environment: str) -> Loaded:
    file = folder / "c.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, environment)


def test_the_articles_file_loads_as_it_stands() -> None:
    loaded = load(_CASES / "article.yaml", {"AWS_REGION_NAME": "us-west-2"})
    first, second = loaded.snapshot.deployments
    assert loaded.findings == ()
    assert (first.model_name, second.model_name) == (_SONNET, _OLDER)
    assert first.model == "bedrock/converse/us.anthropic.claude-3-7-sonnet-20250219-v1:0"
    assert first.params["aws_region_name"] == second.params["aws_region_name"] == "us-west-2"
    assert loaded.snapshot.fallbacks == {_SONNET: (_OLDER,)}
    assert (loaded.snapshot.default_model, loaded.snapshot.failover) == (_SONNET, True)


def test_the_articles_file_without_its_variable_warns_where_it_is_named() -> None:
    loaded = load(_CASES / "article.yaml", {"AWS_REGION_NAME": ""})
    assert [finding.where.rsplit("/", 1)[-1] for finding in loaded.findings] == [
        "article.yaml:6:24",
        "article.yaml:10:24",
    ]
    assert all("AWS_REGION_NAME" in finding.message for finding in loaded.findings)
    assert "aws_region_name" not in loaded.snapshot.deployments[0].params


def test_the_articles_accounts_load_as_they_stand() -> None:
    loaded = load(_CASES / "article-accounts.yaml", {})
    assert loaded.findings == ()
    assert [deployment.params["aws_role_name"] for deployment in loaded.snapshot.deployments] == [
        "arn:aws:iam::ACCOUNT1:role/bedrock-role",
        "arn:aws:iam::ACCOUNT2:role/bedrock-role",
    ]
    assert loaded.snapshot.deployments[1].params["aws_session_name"] == "litellm-account2-session"


def test_the_default_configuration_is_without_fault() -> None:
    loaded = default({})
    snapshot = loaded.snapshot
    assert loaded.findings == ()
    assert set(snapshot.groups) == {"claude-sonnet", "claude-haiku", "claude-opus", "nova-pro"}
    assert len({deployment.params["aws_region_name"] for deployment in snapshot.groups["claude-sonnet"]}) == 2
    assert snapshot.default_model == "claude-sonnet"
    assert snapshot.fallbacks["claude-sonnet"] == ("claude-haiku",)


def test_an_empty_configuration_leaves_the_snapshots_defaults(tmp_path: Path) -> None:
    snapshot = read(tmp_path, "model_list:\n").snapshot
    assert (snapshot.num_retries, snapshot.request_timeout, snapshot.failover) == (2, 600.0, True)
    assert (snapshot.prompt_caching, snapshot.max_request_bytes) == (True, 32 * 1024 * 1024)


def test_every_setting_reaches_the_snapshot(tmp_path: Path) -> None:
    snapshot = read(
        tmp_path,
        _ONE
        + """
litellm_settings:
  num_retries: 9
  request_timeout: 9
  drop_params: true
  callbacks: [langfuse, otel]
  failure_callback: langfuse
  enable_anthropic_prompt_caching: false
  budget_exceeded_status_code: 429
  max_fallbacks: 3
router_settings:
  default_model_for_unknown: true
  failover: false
  num_retries: 0
  timeout: 30
  stream_timeout: 12.5
  cooldown_time: 7
  model_group_alias: {quick: a}
general_settings:
  completion_model: quick
  max_request_size_mb: 0.5
""",
    ).snapshot
    assert (snapshot.num_retries, snapshot.request_timeout, snapshot.stream_timeout) == (0, 30, 12.5)
    assert (snapshot.drop_params, snapshot.prompt_caching, snapshot.budget_exceeded_status) == (True, False, 429)
    assert (snapshot.default_model, snapshot.default_model_for_unknown, snapshot.failover) == ("quick", True, False)
    assert (snapshot.cooldown_time, snapshot.max_fallbacks, snapshot.max_request_bytes) == (7, 3, 512 * 1024)
    assert (snapshot.callbacks, snapshot.model_group_alias) == (("langfuse", "otel"), {"quick": "a"})


def test_the_accepted_forms_are_read_as_meant() -> None:
    snapshot = load(_CASES / "config" / "accepted-forms.yaml", {}).snapshot
    a, b, _ = snapshot.deployments
    assert (a.id, a.rpm, a.tpm, a.weight, a.timeout, a.drop_params) == ("17", 60, 1000, 2, 30.5, True)
    assert a.params["input_cost_per_token"] == 3e-6
    assert "api_key" not in a.params
    assert (b.model, b.rpm) == ("bedrock/b", 60)
    assert snapshot.fallbacks == {"a": ("b",), "bedrock/any": ("b", "quick")}
    assert snapshot.default_fallbacks == ("b",)
    assert snapshot.model_group_alias == {"quick": "b", "hidden": "a"}


def test_the_fallbacks_of_any_model_are_default_fallbacks(tmp_path: Path) -> None:
    snapshot = read(tmp_path, _ONE + 'router_settings: {fallbacks: [{"*": [a]}]}\n').snapshot
    assert (snapshot.fallbacks, snapshot.default_fallbacks) == ({}, ("a",))


def test_aws_defaults_are_laid_under_every_deployment(tmp_path: Path) -> None:
    text = """
model_list:
  - {model_name: a, litellm_params: {model: bedrock/a}}
  - {model_name: b, litellm_params: {model: bedrock/b, aws_region_name: eu-west-1}}
litellm_settings: {aws_region_name: us-east-1, aws_session_name: gateway}
"""
    a, b = read(tmp_path, text).snapshot.deployments
    assert (a.params["aws_region_name"], b.params["aws_region_name"]) == ("us-east-1", "eu-west-1")
    assert a.params["aws_session_name"] == b.params["aws_session_name"] == "gateway"


def test_environment_variables_of_the_file_win_and_are_handed_on(tmp_path: Path) -> None:
    text = """
environment_variables: {REGION: eu-west-1, PORT: 6379, FROM: os.environ/OUTSIDE}
model_list:
  - model_name: os.environ/FROM
    litellm_params: {model: bedrock/a, aws_region_name: os.environ/REGION, rpm: os.environ/PORT}
"""
    loaded = read(tmp_path, text, REGION="us-east-1", OUTSIDE="named-outside")
    (deployment,) = loaded.snapshot.deployments
    assert (deployment.model_name, deployment.params["aws_region_name"], deployment.rpm) == (
        "named-outside",
        "eu-west-1",
        6379,
    )
    assert loaded.bootstrap.environment == {"REGION": "eu-west-1", "PORT": "6379", "FROM": "named-outside"}


def test_a_variable_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    value = b"\xff".decode("utf-8", "surrogateescape")  # how such bytes stand in os.environ
    with pytest.raises(InvalidConfig, match=r"c\.yaml:1:32: .*master_key`: .*`KEY` is not text in UTF-8"):
        read(tmp_path, "general_settings: {master_key: os.environ/KEY}\n", KEY=value)


def test_ids_are_stable_unique_and_free_of_secrets(tmp_path: Path) -> None:
    def ids(secret: str, region: str) -> list[str]:
        params = f"model: bedrock/a, aws_region_name: {region}, aws_secret_access_key: {secret}"
        entry = f"  - {{model_name: a, litellm_params: {{{params}}}}}\n"
        return [d.id for d in read(tmp_path, "model_list:\n" + entry * 2).snapshot.deployments]

    first, twin = ids("one", "us-east-1")
    assert len(first) == 16
    assert twin == f"{first}-2"
    assert ids("two", "us-east-1") == [first, twin]
    assert ids("one", "us-west-2")[0] != first


def test_secrets_are_in_no_representation_and_no_message(tmp_path: Path) -> None:
    secret = "sk-very-secret-0123456789"
    text = f"""
environment_variables: {{LANGFUSE_SECRET_KEY: {secret}}}
model_list:
  - model_name: a
    litellm_params: {{model: bedrock/a, api_key: {secret}, aws_secret_access_key: os.environ/S}}
general_settings: {{master_key: {secret}, database_url: "postgresql://u:{secret}@h/d"}}
"""
    loaded = read(tmp_path, text, S=secret)
    assert loaded.bootstrap.master_key == secret
    assert loaded.bootstrap.database_url == f"postgresql://u:{secret}@h/d"
    assert secret not in repr(loaded)
    wrong = text.replace("master_key: sk", "master_key: [sk").replace("789, database", "789], database")
    wrong += f"router_settings: {{redis_passwort: {secret}, timeout: {secret}, default_model: [{secret}]}}\n"
    with pytest.raises(InvalidConfig) as caught:
        read(tmp_path, wrong, S=secret)
    assert secret not in str(caught.value)
    assert secret not in repr(caught.value.findings)


def test_all_errors_are_told_at_once_each_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("model_list: 1\nrouter_settings:\n  timeout: soon\n")
    with pytest.raises(InvalidConfig) as caught:
        load(file, {})
    assert str(caught.value).splitlines() == [
        f"{file}:1:13: `model_list`: expected a list, found a number",
        f"{file}:3:12: `router_settings.timeout`: expected a number of seconds, more than 0, found text",
    ]
    assert caught.value.where == f"{file}:1:13"


def test_information_of_the_users_own_is_kept(tmp_path: Path) -> None:
    text = _ONE + "    model_info: {cost_centre: 4711, nested: {x: [1]}, tier: paid, max_tokens: '10'}\n"
    loaded = read(tmp_path, text)
    info = loaded.snapshot.deployments[0].model_info
    assert info == {"cost_centre": 4711, "nested": {"x": [1]}, "tier": "paid", "max_tokens": 10}
    assert [finding.message for finding in loaded.findings] == [
        "`model_list[0].model_info.tier` is known but has no effect in this version"
    ]
    assert msgspec.json.encode(info)


def test_access_groups_stand_for_the_models_that_name_them(tmp_path: Path) -> None:
    text = _ONE + "    model_info: {access_groups: [beta, all]}\n"
    text += "  - {model_name: other, litellm_params: {model: x/y}, model_info: {access_groups: all}}\n"
    first = read(tmp_path, _ONE).snapshot.deployments[0].model_name
    assert read(tmp_path, text).snapshot.access_groups == {"beta": (first,), "all": (first, "other")}


def test_the_limits_of_the_installation(tmp_path: Path) -> None:
    text = _ONE + "litellm_settings: {max_budget: 0.1, budget_duration: 30d}\n"
    text += "general_settings: {global_max_parallel_requests: 7, allow_unpriced_models: true}\n"
    loaded = read(tmp_path, text)
    snapshot = loaded.snapshot
    assert loaded.findings == ()
    (budget,) = snapshot.installation.budgets
    assert (budget.limit, budget.duration) == (100_000_000, "30d")
    assert (snapshot.installation.max_parallel_requests, snapshot.allow_unpriced_models) == (7, True)


def test_the_limits_of_end_users_and_tags(tmp_path: Path) -> None:
    text = (
        _ONE
        + """litellm_settings:
  max_end_user_budget_id: tier
  max_end_user_budget: 0.5
  tag_budget_config:
    "team:search": {max_budget: 5, budget_duration: 1d}
    other: {budget_limit: "0.25", time_period: 1mo, rpm_limit: 3}
    for-ever: {max_budget: 0}
"""
    )
    loaded = read(tmp_path, text)
    snapshot = loaded.snapshot
    assert (snapshot.end_user_budget_id, snapshot.end_user_budget) == ("tier", 500_000_000)
    assert {tag: (window.limit, window.duration) for tag, window in snapshot.tag_budgets.items()} == {
        "team:search": (5_000_000_000, "1d"),
        "other": (250_000_000, "1mo"),
        "for-ever": (0, None),
    }
    (finding,) = loaded.findings
    assert "`litellm_settings.tag_budget_config.other.rpm_limit` is known but has no effect" in finding.message


@pytest.mark.parametrize(
    ("budget", "what"),
    [
        ("{budget_duration: 1d}", "tag_budget_config.t`: expected a number"),
        ("five", "tag_budget_config.t`: expected a number"),
        ("{max_budget: -1}", "tag_budget_config.t.max_budget`: expected a number, 0 or more"),
        ("{max_budget: 1, time_period: soon}", "tag_budget_config.t.budget_duration`: expected text for the length"),
    ],
)
def test_a_budget_of_a_tag_that_cannot_be_read(tmp_path: Path, budget: str, what: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        read(tmp_path, f"{_ONE}litellm_settings: {{tag_budget_config: {{t: {budget}}}}}\n")
    assert what in str(caught.value)


def test_a_model_is_known_by_its_wildcard_or_alias(tmp_path: Path) -> None:
    text = 'model_list:\n  - {model_name: "bedrock/*", litellm_params: {model: "bedrock/*"}}\n'
    text += "router_settings:\n  default_model: bedrock/any\n  fallbacks: [{bedrock/x: [short]}]\n"
    text += "  model_group_alias: {short: bedrock/y}\n"
    assert read(tmp_path, text).findings == ()


def test_reading_twice_gives_equal_snapshots() -> None:
    file = _CASES / "config" / "accepted-forms.yaml"
    assert load(file, {}).snapshot == load(file, {}).snapshot
    assert examine(file, {}).loaded == load(file, {})
