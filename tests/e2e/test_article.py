"""The article's configuration and its curl, as they stand."""

import subprocess
from pathlib import Path

from tests.support.gateway import MASTER_KEY, Simulator, run_gateway

CASES = Path(__file__).parents[1] / "cases"
FIRST, SECOND = "bedrock-converse-us-claude-3-7-sonnet-v1", "bedrock-us-claude-3-5-sonnet-v2"
MESSAGES = [{"role": "user", "content": "Hello"}]

# Word for word, but for the port and the key.
CURL = """curl --location 'http://localhost:4000/team/new' \\
--header 'Authorization: Bearer <your-master-key>' \\
--header 'Content-Type: application/json' \\
--data-raw '{
  "team_alias": "my-new-team_4",
  "members_with_roles": [{"role": "admin", "user_id": "5c4a0aa3-a1e1-43dc-bd87-3c2da8382a3a"}],
  "rpm_limit": 99
}' """


def test_the_configuration_does_what_it_says(tmp_path: Path, simulator: Simulator) -> None:
    environment = {**simulator.environment, "AWS_REGION_NAME": "ap-northeast-1"}
    with run_gateway(tmp_path / "home", CASES / "article.yaml", environment) as gateway:
        assert [model["id"] for model in gateway.get("/v1/models").json()["data"]] == [FIRST, SECOND]
        unnamed = gateway.post("/v1/chat/completions", {"messages": MESSAGES})
        assert (unnamed.status, unnamed.json()["model"]) == (200, FIRST)
        simulator.fault({"model": "us.anthropic.claude-3-7-sonnet-20250219-v1:0"}, {"kind": "throttle"})
        fallen = gateway.post("/v1/chat/completions", {"model": FIRST, "messages": MESSAGES})
        assert (fallen.status, fallen.json()["model"]) == (200, FIRST)
        assert fallen.headers["x-litellm-model-group"] == SECOND
        unknown = gateway.post("/v1/chat/completions", {"model": "gpt-4o", "messages": MESSAGES})
        assert unknown.status == 400
        assert {call["region"] for call in simulator.calls()} == {"ap-northeast-1"}


def test_each_account_is_called_through_its_own_role(tmp_path: Path, simulator: Simulator) -> None:
    with run_gateway(tmp_path / "home", CASES / "article-accounts.yaml", simulator.environment) as gateway:
        for account in ("account1", "account2"):
            name = f"bedrock-{account}-claude-3-7-sonnet-v1"
            assert gateway.post("/v1/chat/completions", {"model": name, "messages": MESSAGES}).status == 200
        calls = [call for call in simulator.calls() if call["operation"] == "Converse"]
        assert [call["account"] for call in calls] == ["ACCOUNT1", "ACCOUNT2"]
        assert [call["principal"].rsplit("/", 1)[1] for call in calls] == [
            "litellm-account1-session",
            "litellm-account2-session",
        ]
        accounts = {row["metadata"]["account"] for row in gateway.get("/spend/logs?summarize=false").json()}
        assert accounts == {"ACCOUNT1", "ACCOUNT2"}


def test_the_accounts_work_simulated_too(tmp_path: Path) -> None:
    with run_gateway(tmp_path / "home", CASES / "article-accounts.yaml") as gateway:
        name = "bedrock-account1-claude-3-7-sonnet-v1"
        answer = gateway.post("/v1/chat/completions", {"model": name, "messages": MESSAGES})
        assert answer.status == 200
        assert answer.headers["x-sekisho-simulated"] == "true"


def test_the_curl_makes_a_team(tmp_path: Path) -> None:
    with run_gateway(tmp_path / "home") as gateway:
        command = CURL.replace("http://localhost:4000", gateway.url).replace("<your-master-key>", MASTER_KEY)
        result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
        assert '"my-new-team_4"' in result.stdout
        (team,) = gateway.get("/team/list").json()
        assert (team["team_alias"], team["rpm_limit"]) == ("my-new-team_4", 99)
        assert team["members_with_roles"][0]["user_id"] == "5c4a0aa3-a1e1-43dc-bd87-3c2da8382a3a"
