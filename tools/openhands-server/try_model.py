"""Asks a model for one tool call, with the client and the settings that agents have.

Runs in the agent-server's own environment. In: the settings as JSON on standard input. Out: the last line, behind `MARK`.
"""

import json
import sys

from openhands.sdk import LLM, Message, TextContent
from openhands.sdk.tool.builtins import FinishTool

MARK = "opensymphony-answer: "
QUESTION = "This is a test of the connection. Call the tool `finish` with the message `ok`, and do nothing else."


def ask(settings: dict) -> dict:
    """What the model did, and what it took; a failure by the name that the agent-server would give it."""
    try:
        llm = LLM(**settings, usage_id="doctor")
        question = Message(role="user", content=[TextContent(text=QUESTION)])
        answer = llm.generate(messages=[question], tools=list(FinishTool.create()))
    except Exception as error:
        return {"code": type(error).__name__, "detail": str(error)[:2000]}
    tokens = answer.metrics.accumulated_token_usage
    return {
        "tools": [call.name for call in answer.message.tool_calls or ()],
        "text": "".join(part.text for part in answer.message.content if isinstance(part, TextContent))[:500],
        "prompt_tokens": tokens.prompt_tokens if tokens else 0,
        "completion_tokens": tokens.completion_tokens if tokens else 0,
        "cost": answer.metrics.accumulated_cost,
    }


sys.stdout.write(f"\n{MARK}{json.dumps(ask(json.load(sys.stdin)))}\n")
