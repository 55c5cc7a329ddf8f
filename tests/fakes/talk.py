"""One conversation of the fake agent-server: its log, who listens to it, and the agent that plays its script."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

AGENTS = Path(os.environ.get("FAKE_AGENTS", "."))
STORE = Path(os.environ.get("OH_CONVERSATIONS_PATH", "."))
POLL_S = 0.02

Json = dict[str, Any]


def note(what: str, **fields: object) -> None:
    """Write down what happened; one line is one write, so that several servers may share the file."""
    line = json.dumps({"what": what, "at": time.time(), "server": os.getpid(), **fields}) + "\n"
    with (AGENTS / "seen.jsonl").open("a") as file:
        file.write(line)


def now() -> str:
    """As the real server: the local time without an offset."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1000 % 1_000_000:06d}"


class Talk:
    """One conversation: its log, who listens, and the agent at work."""

    def __init__(self, info: Json, events: list[Json]) -> None:
        self.info = info
        self.events = events
        self.listeners: set[asyncio.Queue[str]] = set()
        self.work: asyncio.Task[None] | None = None
        self.child: asyncio.subprocess.Process | None = None
        self.calls: list[Json] = []
        self.free = asyncio.Event()
        """Unset while a tool runs: the real server then holds back messages, changes and the first frame of a socket."""
        self.free.set()

    @property
    def key(self) -> str:
        """The ticket's, by which its script is found."""
        return Path(self.info["workspace"]["working_dir"]).name

    @property
    def status(self) -> str:
        return self.info["execution_status"]

    @property
    def directory(self) -> Path:
        return STORE / uuid.UUID(self.info["id"]).hex

    def log(self, kind: str, source: str = "agent", **fields: Any) -> Json:
        """Append to the log, on disk before anybody is told."""
        event = {"id": str(uuid.uuid4()), "timestamp": now(), "source": source, "kind": kind, **fields}
        self.events.append(event)
        with (self.directory / "events.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\n")
        self._tell({"type": "durable", "seq": len(self.events) - 1, "event": event})
        return event

    def become(self, status: str) -> None:
        self.info["execution_status"] = status
        self.save()
        self.log("ConversationStateUpdateEvent", "environment", key="execution_status", value=status)

    def save(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "base_state.json").write_text(json.dumps(self.info))

    def spend(self, call: Json) -> None:
        """One model call more."""
        self.calls.append({"prompt_tokens": 0, "completion_tokens": 0, "cost": 0.0, **call})
        compact = {"model_name": "scripted", "accumulated_cost": self._total("cost")}
        compact["accumulated_token_usage"] = self._tokens()
        self.info["stats"] = {"usage_to_metrics": {"agent": compact | {"token_usages": self._per_call()}}}
        self.log(
            "ConversationStateUpdateEvent", "environment", key="stats", value={"usage_to_metrics": {"agent": compact}}
        )

    def _total(self, name: str) -> Any:
        return sum(call[name] for call in self.calls)

    def _tokens(self) -> Json:
        return {name: self._total(name) for name in ("prompt_tokens", "completion_tokens")}

    def _per_call(self) -> list[Json]:
        """As snapshots have it, and events have not."""
        return [
            {"model": "scripted", "response_id": f"chatcmpl-{at}"}
            | {name: call[name] for name in ("prompt_tokens", "completion_tokens")}
            for at, call in enumerate(self.calls)
        ]

    def full_state(self) -> Json:
        value = {"execution_status": self.status, "stats": self.info["stats"]}
        event = {"id": str(uuid.uuid4()), "timestamp": now(), "source": "environment"}
        event |= {"kind": "ConversationStateUpdateEvent", "key": "full_state", "value": value}
        return {"type": "transient", "event": event}

    def _tell(self, frame: Json) -> None:
        for queue in self.listeners:
            queue.put_nowait(json.dumps(frame))

    def start(self) -> bool:
        """Let the agent work on, unless it does."""
        if self.work is not None:
            return False
        self.work = asyncio.create_task(self._run())
        return True

    async def stop(self) -> None:
        """Interrupt; what is finished stays finished."""
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)
        if self.work is not None:
            self.work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.work
        elif self.status == "idle":
            self.become("paused")

    def _turn(self) -> tuple[int, Json]:
        """The script of this turn: the number of messages of users says which; read anew each time."""
        number = sum(event["kind"] == "MessageEvent" and event["source"] == "user" for event in self.events)
        path = AGENTS / f"{self.key}.json"
        turns = json.loads((path if path.exists() else AGENTS / "default.json").read_text())
        return number, turns[min(max(number, 1), len(turns)) - 1]

    async def _run(self) -> None:
        lock = AGENTS / f"{self.key}.lock"
        number, turn = self._turn()
        text = next((e["llm_message"]["content"][0]["text"] for e in reversed(self.events) if "llm_message" in e), "")
        alone = _take(lock)
        note("begin" if alone else "double", ticket=self.key, turn=number, text=text, cwd=os.path.realpath(self._cwd()))
        try:
            self.become("running")
            await self._play(turn)
            status = turn.get("status", "finished")
            self.become(status)
            failure = turn.get("failure")
            if failure is not None:
                self.log("ConversationErrorEvent", "environment", **failure)
        except asyncio.CancelledError:
            self._give_up_calls()
            self.become("paused")
            self.log("InterruptEvent", "user")
            raise
        finally:
            self.free.set()
            self.work = None
            lock.unlink(missing_ok=True)
            note("end", ticket=self.key, turn=number, status=self.status)
            self._tell(self.full_state())

    def _cwd(self) -> str:
        return self.info["workspace"]["working_dir"]

    async def _play(self, turn: Json) -> None:
        for call in turn.get("calls", [{"prompt_tokens": 100, "completion_tokens": 10}]):
            self.spend(call)
        if turn.get("exit"):
            os._exit(int(turn["exit"]))
        for path, text in turn.get("files", {}).items():
            (Path(self._cwd()) / path).write_text(text)
        for command in turn.get("run", []):
            await self._tool(command)
        if "commit" in turn:
            await self._tool(f"git add -A && git commit -q --allow-empty -m '{turn['commit']}'")
        if turn.get("open_tool"):
            self._action("make test")
            self.free.clear()
        release = turn.get("hold")
        while release and not (AGENTS / release).exists():
            await asyncio.sleep(POLL_S)
        says = turn.get("says", "Done.")
        if turn.get("status", "finished") == "finished":
            action = self._act("finish", {"kind": "FinishAction", "message": says}, says)
            self._answer(action, {"kind": "FinishObservation", "content": [{"type": "text", "text": says}]})

    async def _tool(self, command: str) -> None:
        action = self._action(command)
        self.free.clear()
        self.child = await asyncio.create_subprocess_shell(
            command, cwd=self._cwd(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        said, _ = await self.child.communicate()
        code, self.child = self.child.returncode, None
        self.free.set()
        observation = {"kind": "TerminalObservation", "content": [{"type": "text", "text": said.decode()}]}
        self._answer(action, observation | {"exit_code": code, "is_error": False, "command": command})

    def _action(self, command: str) -> Json:
        return self._act("terminal", {"kind": "TerminalAction", "command": command}, command)

    def _act(self, tool: str, action: Json, summary: str) -> Json:
        call_id = f"call_{uuid.uuid4().hex[:12]}"
        arguments = json.dumps({name: value for name, value in action.items() if name != "kind"})
        return self.log(
            "ActionEvent",
            thought=[],
            action=action,
            tool_name=tool,
            tool_call_id=call_id,
            tool_call={"id": call_id, "name": tool, "arguments": arguments, "origin": "completion"},
            llm_response_id=f"chatcmpl-{uuid.uuid4().hex[:12]}",
            summary=summary[:100],
        )

    def _give_up_calls(self) -> None:
        """An action without a result gets an error in its place."""
        answered = {event.get("tool_call_id") for event in self.events if event["kind"] != "ActionEvent"}
        for action in [event for event in self.events if event["kind"] == "ActionEvent"]:
            if action["tool_call_id"] not in answered:
                named = {name: action[name] for name in ("tool_name", "tool_call_id")}
                self.log("AgentErrorEvent", error="Tool call interrupted before completion.", **named)

    def _answer(self, action: Json, observation: Json) -> None:
        named = {name: action[name] for name in ("tool_name", "tool_call_id")}
        self.log("ObservationEvent", "environment", observation=observation, action_id=action["id"], **named)


def _take(lock: Path) -> bool:
    """Whether nobody else works on the ticket; a lock of a server that is dead is nobody's."""
    try:
        descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        holder = lock.read_text() or "0"
        if holder == str(os.getpid()) or Path(f"/proc/{holder}").exists():
            return False
        descriptor = os.open(lock, os.O_WRONLY | os.O_TRUNC)
    with os.fdopen(descriptor, "w") as file:
        file.write(str(os.getpid()))
    return True
