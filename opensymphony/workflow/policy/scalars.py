"""The kinds of single values in a policy: their limits, and how they are read."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Milliseconds = Annotated[int, Meta(ge=1, le=2_147_483_647)]
"""Up to 24 days: longer is a slip of the pen."""

MillisecondsOrOff = Annotated[int, Meta(ge=0, le=2_147_483_647)]
"""0 turns it off."""

Count = Annotated[int, Meta(ge=1, le=1_000_000)]

Script = Annotated[str, Meta(extra={"as": "verbatim"})]
"""A script or template, kept as written: `$NAME` in it belongs to the shell."""

Path = Annotated[str, Meta(extra={"as": "path"})]
"""`$NAME`, `~` and relative paths are resolved; relative ones start beside the WORKFLOW.md."""

Location = Annotated[str, Meta(extra={"as": "location"})]
"""Like `Path` where git would read a path, else an address."""

Value = Annotated[str, Meta(extra={"as": "value"})]
"""May be empty."""

VariableName = Annotated[str, Meta(extra={"as": "name"})]
"""The name of an environment variable, also written `$NAME`; never its value."""

Port = Annotated[int, Meta(ge=0, le=65_535)]

Price = Annotated[float, Meta(ge=0, le=1_000_000)]

Limit = Annotated[int, Meta(ge=0, le=1_000_000_000)]
"""0 turns it off."""

Tokens = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]

Bytes = Annotated[int, Meta(ge=0, le=1_000_000_000_000_000)]

Days = Annotated[int, Meta(ge=0, le=36_500)]
