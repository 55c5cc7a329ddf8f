"""Names of the pinned agent-server that a policy may use; tests compare them with its own documents."""

from __future__ import annotations

LLM_OPTIONS = (
    "api_mode",
    "api_version",
    "aws_profile_name",
    "aws_region_name",
    "caching_prompt",
    "custom_tokenizer",
    "disable_stop_word",
    "disable_vision",
    "drop_params",
    "enable_encrypted_reasoning",
    "extended_thinking_budget",
    "force_string_serializer",
    "inline_image_urls",
    "max_message_chars",
    "model_canonical_name",
    "native_tool_calling",
    "ollama_base_url",
    "openrouter_app_name",
    "openrouter_site_url",
    "prompt_cache_retention",
    "reasoning_effort",
    "reasoning_summary",
    "retry_max_wait",
    "retry_min_wait",
    "retry_multiplier",
    "seed",
    "stream_idle_timeout",
    "temperature",
    "timeout",
    "top_k",
    "top_p",
)
"""What `llm.options` may name: of the pinned agent-server's settings of a model those that are neither secrets nor set by a key
of their own. A name that the server does not know it would ignore in silence."""

DEFAULT_TOOLS = ("FinishTool", "ThinkTool", "VisionInspectTool")
"""What `include_default_tools` may name; other built-in tools of the server switch models, which is ours to do."""
