"""What helps after an agent's turn has failed: one table over what the agent-server and the model's providers say.

In: a failure as the server told it. Out: the same with what to do (`retry`, `wait`, `person`, `rehydrate`) and a sentence for a
person. The server's own classification is one witness among others: it takes a 403 for transient and a used-up quota for a
rate limit. The first rule that fits counts; what no rule knows is worth another try.
"""

from __future__ import annotations

import re

from msgspec import Struct, structs

from opensymphony.model import AgentFailure, FailureAction
from opensymphony.workflow.policy import LlmPolicy

OVERFLOW = "context_overflow"
"""Our own code: the history was summarised again and again, and did not become short enough."""
WAIT_MS = 60_000
"""Where a provider does not say how long."""
_WAIT_MS_MAX = 3_600_000

_PAUSE = re.compile(
    r"(?:retry[-_ ]?after|try again in|retry in|resets? (?:after|in)|available in)\D{0,12}?"
    r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)?(?![a-z0-9])",
    re.IGNORECASE,
)
_UNIT_MS = {"": 1_000, "s": 1_000, "m": 60_000, "h": 3_600_000}


class FailureRule(Struct, frozen=True, kw_only=True):
    """One row: it fits when a code, a kind or a text of it does."""

    name: str
    action: FailureAction
    advice: str = ""
    """What a person can do; `{key}`, `{url}` and `{model}` stand for the policy's names."""
    codes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    text: str = ""
    """A regular expression, without regard to case."""

    def fits(self, failure: AgentFailure) -> bool:
        if failure.code in self.codes or failure.kind in self.kinds:
            return True
        return bool(self.text) and re.search(self.text, failure.detail, re.IGNORECASE) is not None


_KEY = "check {key} (openhands.conversation.agent.llm.api_key_env), then `opensymphony retry`"
_MODEL = "check {model} (openhands.conversation.agent.llm.model) and {url}, then `opensymphony retry`"

RULES: tuple[FailureRule, ...] = (
    FailureRule(name="tools", action="person", codes=("tools_missing",)),
    FailureRule(name="not_started", action="retry", codes=("not_started",)),
    FailureRule(
        name="overflow",
        action="rehydrate",
        advice="its history does not fit into the model's context window",
        codes=(OVERFLOW, "LLMContextWindowExceedError", "ContextWindowExceededError"),
        text=(
            r"prompt is too long|maximum context length|context[_ ]length|context[- ]window exceed"
            r"|exceeds? (?:the |its )?(?:model'?s )?(?:available |maximum )?context|reduce the length of"
            r"|input is too long|too many input tokens|token limit exceeded"
        ),
    ),
    FailureRule(
        name="broken_history",
        action="rehydrate",
        advice="the provider does not accept its history any more",
        codes=("LLMMalformedConversationHistoryError",),
        text=r"tool_use.{0,40}without.{0,5}tool_result|must have a corresponding .{0,3}tool_"
        r"|must be followed by tool messages|unexpected .{0,3}tool_use_id|messages with role 'tool' must be a response",
    ),
    FailureRule(
        name="window_too_small",
        action="person",
        advice="the model's context window is too small for an agent: " + _MODEL,
        codes=("LLMContextWindowTooSmallError",),
    ),
    FailureRule(
        name="missing_key",
        action="person",
        advice="the model's provider got no key: " + _KEY,
        text=r"missing credentials|missing api[ _-]?key|no api[ _-]?key|api[_ ]key (?:client option )?(?:must be|is not) set"
        r"|didn'?t provide an api key",
    ),
    FailureRule(
        name="quota",
        action="person",
        advice="the account of {key} has nothing left: raise its limit or use another key, then `opensymphony retry`",
        codes=("BudgetExceededError",),
        kinds=("quota",),
        text=r"insufficient[_ ](?:quota|funds|balance|credits?)|exceeded your current quota|usage_limit_reached|credit balance"
        r"|payment required|\b402\b|out of credits|billing (?:hard )?limit|spend(?:ing)? limit|check your plan and billing",
    ),
    FailureRule(
        name="auth",
        action="person",
        advice="the model's provider refuses the key: " + _KEY,
        codes=("LLMAuthenticationError", "AuthenticationError"),
        kinds=("auth",),
        text=r"invalid (?:x-)?api[ _-]?key|incorrect api[ _-]?key|unauthorized|invalid authentication|\b401\b",
    ),
    FailureRule(
        name="forbidden",
        action="person",
        advice="the model's provider forbids this to the key: may {key} use {model}?",
        codes=("PermissionDeniedError",),
        text=r"permission[ _]?denied|\b403\b|forbidden|access denied|(?:not|no) (?:allowed|authorized) to"
        r"|(?:does not have|do not have|has no|no) (?:access|permission)|insufficient permission|unsupported_country",
    ),
    FailureRule(
        name="refused",
        action="person",
        advice="the model's provider refuses to answer about this ticket: read what was asked, and say it otherwise",
        codes=("LLMContentPolicyViolationError", "ContentPolicyViolationError"),
        text=r"content[_ ](?:policy|filter|management)|responsible ai|flagged (?:as|by)|safety (?:system|policy)",
    ),
    FailureRule(
        name="model",
        action="person",
        advice="the model's provider does not know the model: " + _MODEL,
        codes=("NotFoundError",),
        text=r"model[^.]{0,80}(?:does not exist|not found|not supported|is unknown)|no such model|llm provider not provided",
    ),
    FailureRule(
        name="rate_limit",
        action="wait",
        advice="the model's provider asks to wait",
        codes=("LLMRateLimitError", "RateLimitError"),
        kinds=("rate_limit",),
        text=r"rate[ _-]?limit|too many requests|\b429\b",
    ),
    FailureRule(
        name="overloaded",
        action="wait",
        advice="the model's provider has too much to do",
        text=r"overloaded|\b529\b|at capacity|capacity (?:exceeded|constraints)",
    ),
    FailureRule(
        name="timeout",
        action="retry",
        advice="the model did not answer in time: is {url} reachable from this machine?",
        codes=("LLMTimeoutError", "Timeout", "APITimeoutError"),
    ),
    FailureRule(
        name="iterations",
        action="retry",
        advice="one turn had its openhands.conversation.max_iterations steps",
        codes=("MaxIterationsReached",),
    ),
    FailureRule(
        name="unavailable",
        action="retry",
        advice="the model's provider did not answer as it should: is {url} right and reachable?",
        codes=("LLMServiceUnavailableError", "APIConnectionError", "InternalServerError", "LLMNoResponseError"),
    ),
    FailureRule(
        name="bad_request",
        action="person",
        advice="the model's provider cannot use the request: " + _MODEL,
        codes=("LLMBadRequestError", "BadRequestError", "UnprocessableEntityError"),
        kinds=("config",),
    ),
)


def assess(failure: AgentFailure, llm: LlmPolicy) -> AgentFailure:
    """The failure with what helps, and a sentence for a person."""
    rule = rule_for(failure)
    if rule is None:
        return structs.replace(failure, action="retry")
    names = {
        "key": llm.api_key_env,
        "url": llm.base_url_env,
        "model": llm.model or "LLM_MODEL",
    }
    pause_ms = _asked_pause_ms(failure.detail) or WAIT_MS if rule.action == "wait" else None
    return structs.replace(
        failure, action=rule.action, advice=rule.advice.format_map(names), retry_after_ms=pause_ms, rule=rule.name
    )


def rule_for(failure: AgentFailure) -> FailureRule | None:
    """The first row that fits. A code of the server's that says little does not keep a telling text from being read."""
    return next((rule for rule in RULES if rule.fits(failure)), None)


def is_about_the_key(failure: AgentFailure) -> bool:
    """Whether another key may be all that is missing."""
    return failure.rule in ("missing_key", "auth", "quota", "forbidden")


def _asked_pause_ms(text: str) -> int | None:
    """How long a provider asks to wait, as far as the text of its answer tells."""
    found = _PAUSE.search(text)
    if found is None:
        return None
    unit = (found.group(2) or "").lower()
    each = 1 if unit.startswith(("ms", "milli")) else _UNIT_MS[unit[:1]]
    return min(max(round(float(found.group(1)) * each), 1), _WAIT_MS_MAX)
