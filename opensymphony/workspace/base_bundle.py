"""What a workspace needs of its base after it was made: the commits that the base got since then.

In: the mirror. Out: a bundle, from which the agent's git fetches without a network and without credentials.
"""

from __future__ import annotations

import os
from functools import partial
from tempfile import TemporaryDirectory

import anyio.to_thread

from opensymphony.errors import WorkspaceError
from opensymphony.logs import get_logger
from opensymphony.workspace.git import Git, failure
from opensymphony.workspace.inspection import LOOK_PREFIX
from opensymphony.workspace.mirror import Mirror

FILE = "base.bundle"
"""Its name below `.opensymphony/`."""
BUNDLE_BYTES_MAX = 128 * 1024 * 1024

log = get_logger(__name__)


async def make_bundle(git: Git, mirror: Mirror, state_dir: str, *, key: str, branch: str, base: str) -> bytes | None:
    """The base's commits that the branch has not; None when there are none, or it is not known what the branch has."""
    newest = await mirror.commit(f"refs/heads/{base}")
    ours = await mirror.commit(f"refs/opensymphony/{key}") or await mirror.commit(f"refs/heads/{branch}")
    if newest is None or ours is None or await mirror.is_ancestor(newest, ours):
        return None
    found = await git.ask(["merge-base", "--end-of-options", ours, newest], git_dir=mirror.path)
    since = [f"^{found.output.strip()}"] if found.exit_code == 0 else []
    with TemporaryDirectory(prefix=LOOK_PREFIX, dir=state_dir, ignore_cleanup_errors=True) as directory:
        path = os.path.join(directory, FILE)
        answer = await git.ask(["bundle", "create", "--quiet", path, f"refs/heads/{base}", *since], git_dir=mirror.path)
        if answer.exit_code != 0:
            raise failure("bundle of the base", answer)
        content = await anyio.to_thread.run_sync(partial(_content, path))
    if content is None:
        log.warning("the base has moved too far to be handed to a workspace", branch=branch, base=base)
    return content


def _content(path: str) -> bytes | None:
    """None for a file that is too large."""
    try:
        with open(path, "rb") as file:
            return file.read() if os.fstat(file.fileno()).st_size <= BUNDLE_BYTES_MAX else None
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}") from error
