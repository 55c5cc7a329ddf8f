"""What was asked to be tried is tried, all of it in one place."""

from __future__ import annotations

from opensymphony.daemon.confinement import chosen_isolation
from opensymphony.doctor import live, model
from opensymphony.doctor.place import open_place
from opensymphony.doctor.steps import Report, Steps
from opensymphony.errors import ConfigurationError
from opensymphony.settings import Settings
from opensymphony.workflow.policy import Policy


async def try_out(
    settings: Settings, policy: Policy | None, *, with_server: bool, with_model: bool, report: Report
) -> None:
    """Tell each check as soon as it is known. Raises `OSError` when there is no place to try anything in."""
    steps = Steps(report)
    names = ((model.NAME,) if with_model else ()) + (live.names(with_model=with_model) if with_server else ())
    try:
        isolation = chosen_isolation(policy, settings) if policy is not None else None
    except ConfigurationError:  # which has its own check
        isolation = None
    if policy is None or isolation is None:
        for name in names:
            steps.skip(name, "not tried: what failed above comes first")
        return
    async with open_place() as place:
        if with_model:
            await model.model_check(steps, place, settings, policy, isolation)
        if with_server:
            own = Steps(report)  # the server may be fine where the model is not
            await live.live_checks(own, place, settings, policy, isolation, with_model=with_model and not steps.failed)
