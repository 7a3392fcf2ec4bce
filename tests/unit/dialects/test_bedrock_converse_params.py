from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.converse import (
    CLAUDE,
    LLAMA,
    request_of,
    write,
    write_wire,
)

from sekisho.core.errors import Unsupported
from sekisho.core.model import ModelFacts

BUDGET = replace(CLAUDE, thinking="budget")
ADAPTIVE = replace(CLAUDE, thinking="adaptive")
NOVA = ModelFacts(family="nova", max_output_tokens=10000, thinking="nova")
PLAIN_CLAUDE = replace(CLAUDE, thinking="none", json_schema=False)


class TestInference:
    @pytest.mark.parametrize(("asked", "sent"), [(None, 64000), (100, 100), (10**9, 64000)])
    def test_the_output_limit_stays_under_the_models(self, asked: int | None, sent: int) -> None:
        assert write(request_of(max_output_tokens=asked))["inferenceConfig"] == {"maxTokens": sent}

    def test_without_any_limit_none_is_sent(self) -> None:
        assert "inferenceConfig" not in write(request_of(), LLAMA)

    def test_a_limit_below_one_is_refused(self) -> None:
        with pytest.raises(Unsupported) as caught:
            write(request_of(max_output_tokens=0))
        assert caught.value.param == "max_tokens"

    def test_sampling_is_written(self) -> None:
        body = write(request_of(temperature=0.5, top_p=0.9, stop=["END", ""]), LLAMA)
        assert body["inferenceConfig"] == {"temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]}

    @pytest.mark.parametrize(
        ("fields", "clamped"),
        [
            ({"temperature": 1.5}, {"temperature": 1.0}),
            ({"temperature": -1}, {"temperature": 0.0}),
            ({"top_p": 2}, {"topP": 1.0}),
        ],
    )
    def test_out_of_range_is_refused_or_clamped(self, fields: dict[str, Any], clamped: object) -> None:
        with pytest.raises(Unsupported) as caught:
            write(request_of(**fields), LLAMA)
        assert caught.value.param in fields
        body, wire = write_wire(request_of(**fields), LLAMA, drop_params=True)
        assert body["inferenceConfig"] == clamped
        assert wire.dropped == tuple(fields)

    @pytest.mark.parametrize(
        ("sampling", "sent", "dropped"),
        [
            ("both", {"temperature": 0.5, "topP": 0.9}, ()),
            ("one", {"temperature": 0.5}, ("top_p",)),
            ("none", {}, ("temperature", "top_p")),
        ],
    )
    def test_a_model_gets_the_sampling_it_takes(self, sampling: Any, sent: dict[str, float], dropped: object) -> None:
        body, wire = write_wire(request_of(temperature=0.5, top_p=0.9), ModelFacts(sampling=sampling))
        assert body.get("inferenceConfig", {}) == sent
        assert wire.dropped == dropped

    def test_the_default_temperature_is_not_reported_as_dropped(self) -> None:
        assert write_wire(request_of(temperature=1, top_p=1), ModelFacts(sampling="none"))[1].dropped == ()

    def test_top_k_goes_where_the_family_wants_it(self) -> None:
        assert write(request_of(top_k=5))["additionalModelRequestFields"] == {"top_k": 5}
        nova = write(request_of(top_k=5), NOVA)
        assert nova["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 5}}
        assert write_wire(request_of(top_k=5), LLAMA)[1].dropped == ("top_k",)

    def test_stop_sequences_for_a_model_without_them_are_refused(self) -> None:
        facts = ModelFacts(stop_sequences=False)
        with pytest.raises(Unsupported, match="stop"):
            write(request_of(stop=["END"]), facts)
        assert "inferenceConfig" not in write(request_of(stop=["END"]), facts, drop_params=True)

    def test_claude_takes_no_blank_stop_sequence(self) -> None:
        with pytest.raises(Unsupported, match="white space"):
            write(request_of(stop=["\n"]))
        body = write(request_of(stop=["\n", "END"]), drop_params=True)
        assert body["inferenceConfig"]["stopSequences"] == ["END"]
        assert write(request_of(stop=["\n"]), LLAMA)["inferenceConfig"]["stopSequences"] == ["\n"]


class TestExtras:
    @pytest.mark.parametrize("tier", [None, "auto", "default", "standard"])
    def test_the_usual_tier_is_not_sent(self, tier: str | None) -> None:
        body, wire = write_wire(request_of(service_tier=tier))
        assert "serviceTier" not in body
        assert wire.dropped == ()

    def test_other_tiers(self) -> None:
        assert write(request_of(service_tier="flex"))["serviceTier"] == {"type": "flex"}
        assert write(request_of(service_tier="priority"))["serviceTier"] == {"type": "priority"}
        assert write_wire(request_of(service_tier="scale"))[1].dropped == ("service_tier",)

    def test_harmless_fields_are_dropped_and_named(self) -> None:
        extras = {"seed": 1, "store": True, "user": "u", "whatever": [1], "prediction": None}
        assert write_wire(request_of(extras=extras))[1].dropped == ("seed", "store", "user", "whatever")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("n", 2),
            ("logprobs", True),
            ("top_logprobs", 3),
            ("logit_bias", {"1": 1}),
            ("presence_penalty", 0.5),
            ("frequency_penalty", -1),
            ("audio", {"voice": "a"}),
            ("modalities", ["text", "audio"]),
            ("web_search_options", {}),
            ("additional_model_request_fields", "x"),
        ],
    )
    def test_fields_that_matter_are_refused(self, field: str, value: object) -> None:
        chat = request_of(extras={field: value})
        with pytest.raises(Unsupported) as caught:
            write(chat)
        assert caught.value.param == field
        assert write_wire(chat, drop_params=True)[1].dropped == (field,)

    def test_fields_that_say_nothing_pass(self) -> None:
        extras = {"n": 1, "logprobs": False, "presence_penalty": 0, "logit_bias": {}, "modalities": ["text"]}
        assert write_wire(request_of(extras=extras))[1].dropped == ()

    def test_additional_fields_are_merged(self) -> None:
        chat = request_of(top_k=3, extras={"additional_model_request_fields": {"anthropic_beta": ["x"]}})
        assert write(chat)["additionalModelRequestFields"] == {"top_k": 3, "anthropic_beta": ["x"]}

    def test_claude_is_asked_for_the_stop_sequence(self) -> None:
        assert write(request_of())["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
        assert "additionalModelResponseFieldPaths" not in write(request_of(), LLAMA)

    def test_metadata_is_made_acceptable(self) -> None:
        body = write(request_of(), metadata={"team": "data, r&d", "": "x", "key": "é" * 300})
        assert body["requestMetadata"] == {"team": "data, r_d", "key": "_" * 256}

    @given(st.dictionaries(st.text(), st.text(), max_size=20))
    def test_any_metadata_passes_the_service_model(self, metadata: dict[str, str]) -> None:
        write(request_of(), metadata=metadata)
