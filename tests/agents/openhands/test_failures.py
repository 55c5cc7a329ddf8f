"""What helps after a failure, by the words of server and providers."""

from __future__ import annotations

import pytest

from opensymphony.agents.openhands.failures import RULES, assess, is_about_the_key
from opensymphony.model import AgentFailure
from opensymphony.workflow.policy import LlmPolicy

LLM = LlmPolicy(model="openai/m", api_key_env="MY_KEY", base_url_env="MY_URL")

CASES: list[tuple[str, str, str, str]] = [
    # code, kind as the server has it, text, rule
    ("LLMAuthenticationError", "auth", "litellm.AuthenticationError: Incorrect API key provided: sk-***", "auth"),
    ("LLMServiceUnavailableError", "transient", "Missing credentials. Please pass an `api_key`", "missing_key"),
    ("LLMAuthenticationError", "auth", "The api_key client option must be set", "missing_key"),
    ("APIError", "transient", "litellm.APIError: Error code: 403 - forbidden", "forbidden"),
    ("PermissionDeniedError", "unknown", "no", "forbidden"),
    ("APIError", "transient", "APIError: OpenAIException - Project does not have access", "forbidden"),
    ("LLMRateLimitError", "rate_limit", "You exceeded your current quota, please check your plan and billing", "quota"),
    ("LLMRateLimitError", "rate_limit", "Error code: 429 - insufficient_quota", "quota"),
    ("LLMBadRequestError", "config", "Your credit balance is too low to access the Anthropic API", "quota"),
    ("APIError", "transient", "Error code: 402 - Payment Required", "quota"),
    ("LLMRateLimitError", "rate_limit", "Rate limit reached for requests", "rate_limit"),
    ("APIError", "unknown", "Too Many Requests", "rate_limit"),
    ("LLMServiceUnavailableError", "transient", "AnthropicException - Overloaded", "overloaded"),
    ("NotFoundError", "config", "The model `gpt-9` does not exist", "model"),
    ("LLMBadRequestError", "config", "LLM Provider NOT provided. You passed model=foo", "model"),
    ("LLMContextWindowExceedError", "agent_action", "Conversation history longer than LLM context window limit", "overflow"),
    ("LLMBadRequestError", "config", "This model's maximum context length is 8192 tokens", "overflow"),
    ("LLMBadRequestError", "config", "prompt is too long: 210000 tokens > 200000 maximum", "overflow"),
    ("APIError", "unknown", "Your input exceeds the context window of this model", "overflow"),
    ("context_overflow", "unknown", "summarised 3 times", "overflow"),
    ("LLMBadRequestError", "config", "tool_use ids were found without `tool_result` blocks after", "broken_history"),
    ("LLMBadRequestError", "config", "messages with role 'tool' must be a response to a preceeding message", "broken_history"),
    ("LLMContextWindowTooSmallError", "config", "16384 tokens are needed", "window_too_small"),
    ("LLMContentPolicyViolationError", "config", "refused", "refused"),
    ("LLMBadRequestError", "config", "The response was filtered: content_filter", "refused"),
    ("LLMBadRequestError", "config", "Unsupported parameter: frobnicate", "bad_request"),
    ("LLMServiceUnavailableError", "transient", "Connection error.", "unavailable"),
    ("LLMServiceUnavailableError", "transient", "Error code: 500", "unavailable"),
    ("LLMTimeoutError", "transient", "Request timed out.", "timeout"),
    ("MaxIterationsReached", "agent_action", "Agent reached maximum iterations limit (500).", "iterations"),
    ("tools_missing", "config", "the agent has no terminal", "tools"),
    ("not_started", "unknown", "after 6 reminders", "not_started"),
    ("ValueError", "internal", "something of the server's own", ""),
    ("unknown", "transient", "the server gave no reason; a restart leaves none", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "kind", "text", "rule"), CASES, ids=[f"{one[3] or 'unknown'}-{one[2][:24]}" for one in CASES]
)
def test_failures_are_told_apart(code: str, kind: str, text: str, rule: str) -> None:
    """Code, kind and text together say what it is, also where the server's own classification is wrong."""
    assessed = assess(AgentFailure(code=code, kind=kind, detail=text), LLM)
    action = next((one.action for one in RULES if one.name == rule), "retry")
    assert (assessed.rule, assessed.action) == (rule, action)
    assert (assessed.code, assessed.detail) == (code, text)


def test_every_row_has_a_case() -> None:
    """A rule that nothing shows is none."""
    assert {rule.name for rule in RULES} == {one[3] for one in CASES} - {""}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_advice_names_the_policys_own_variables(rule: object) -> None:
    """A person reads which variable to look at, and never a placeholder."""
    advice = {one.name: one for one in RULES}[getattr(rule, "name", "")].advice
    filled = advice.format_map({"key": "K", "url": "U", "model": "M"})
    assert "{" not in filled
    assert "\n" not in filled


def test_a_refused_key_is_told_by_its_variable() -> None:
    """The cause, the variable and the command stand in one sentence."""
    assessed = assess(AgentFailure(code="LLMAuthenticationError", kind="auth", detail="Incorrect API key"), LLM)
    assert "MY_KEY" in assessed.advice
    assert "opensymphony retry" in assessed.advice
    assert is_about_the_key(assessed)


@pytest.mark.parametrize(
    ("text", "pause_ms"),
    [
        ("Rate limit reached. Please try again in 20s.", 20_000),
        ("Rate limit. Please try again in 1.5 minutes", 90_000),
        ("429, Retry-After: 120", 120_000),
        ('{"error": "too many requests", "retry_after": 7}', 7_000),
        ("rate limit: retry in 250ms", 250),
        ("rate limit: try again in 90 hours", 3_600_000),
        ("Rate limit reached", 60_000),
        ("Rate limit of 3 requests, try again later", 60_000),
    ],
)
def test_a_provider_says_how_long_to_wait(text: str, pause_ms: int) -> None:
    """What it asks for counts, up to an hour; where it says nothing, a minute."""
    assert (
        assess(AgentFailure(code="LLMRateLimitError", kind="rate_limit", detail=text), LLM).retry_after_ms == pause_ms
    )
