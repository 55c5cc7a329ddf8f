"""A bundle like the real one, but of one tiny package that is built here and needs no network."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opensymphony.agents.openhands import delivery, opening, stopping, uv
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.clock import Clock
from opensymphony.workflow.policy import ConversationPolicy
from tests.agents.openhands.fakes import ENVIRONMENT, FakeServer, always


def make_bundle(folder: Path, version: str) -> Path:
    """Bundled files that pin `tinyserver` of this version, whose wheel lies in `folder/wheels`."""
    (folder / "wheels").mkdir(parents=True, exist_ok=True)
    bundle = folder / f"bundle-{version}"
    bundle.mkdir()
    wheel = folder / "wheels" / f"tinyserver-{version}-py3-none-any.whl"
    info = f"tinyserver-{version}.dist-info"
    files = {
        "tinyserver/__init__.py": f"VERSION = {version!r}\n",
        "tinyserver/deep/down/below.py": "ANSWER = 42\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tinyserver\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        record = ""
        for name, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
            archive.writestr(name, text)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (bundle / "requirements.txt").write_text(f"tinyserver=={version} --hash=sha256:{digest}\n")
    (bundle / "build-constraints.txt").write_text("")
    (bundle / "version.txt").write_text(f"{version}\n")
    (bundle / "run-local.sh").write_text("#!/bin/sh\n")
    return bundle


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that `uv` can install from local files alone."""
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return make_bundle(tmp_path, "1.0")


@pytest.fixture
def hanging_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands before the real uv: `pip install` leaves half an environment, writes the returned pid file, and hangs."""
    real, pid_file = uv.find_uv(), tmp_path / "hanging.pid"
    wrapper = tmp_path / "uv"
    wrapper.write_text(
        f'#!/bin/sh\n[ "$1" = pip ] || exec {real} "$@"\n'
        f"sleep 300 &\necho $! > {pid_file}.new\nmv {pid_file}.new {pid_file}\nwait\n"
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("OPENSYMPHONY_UV", str(wrapper))
    return pid_file


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    """A server whose sockets and answers are scripted."""
    async with FakeServer().serving() as server:
        server.answers |= {"GET /server_info": always({"version": "1.58.0"}), "PATCH ": always({})}
        yield server


@pytest.fixture
async def runtime(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenHandsRuntime]:
    """The runtime on it, without its pauses."""
    for module in (delivery, opening, stopping):
        monkeypatch.setattr(module, "_LOOK_AGAIN_S", 0.01)
    monkeypatch.setattr(stopping, "_STOPPED_S", 0.1)
    made = OpenHandsRuntime(fake, policy=ConversationPolicy, environment=ENVIRONMENT, clock=Clock())
    yield made
    await made.close()
