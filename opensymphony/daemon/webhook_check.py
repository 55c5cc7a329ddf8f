"""Whether a webhook would arrive: `doctor` sends the daemon one that is signed and one that is not.

In: settings and policy. Out: one `Check`. The body says nothing, so that the daemon keeps neither of them: the signature is
looked at first, and how it refuses tells the rest.
"""

from __future__ import annotations

from opensymphony.api.client import knock
from opensymphony.daemon.model_access import host_secrets
from opensymphony.errors import OpenSymphonyError
from opensymphony.interfaces import Webhook
from opensymphony.services import open_webhooks
from opensymphony.settings import Settings
from opensymphony.views import Check
from opensymphony.workflow.policy import Policy

_NAME = "webhooks"
_BODY = b"{}"
# What means every address of the machine, and one of them.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


async def webhook_check(settings: Settings, policy: Policy) -> Check:
    """Knocks at the listener, and at the address that others use, where the settings name one."""
    webhook, public = next(iter(open_webhooks(policy.tracker)), None), settings.public
    if webhook is None or public.port is None:
        return Check(
            name=_NAME, status="pass", detail=f"none: tickets are polled every {policy.polling.interval_ms / 1000:g} s"
        )
    try:
        secret = await host_secrets(settings).read(webhook.secret_name, None)
    except OpenSymphonyError as error:
        fix = f"set {webhook.secret_name} under [secrets] in opensymphony.toml"
        return Check(name=_NAME, status="fail", detail=f"all are refused without a secret: {error}", fix=fix)
    tried = list[str]()
    for address in _addresses(settings):
        url = f"{address}/webhook/{policy.tracker.kind}"
        found = await _round_trip(webhook, secret, url, local=address != public.url)
        if found is not None:
            return found
        tried.append(url)
    if not tried:
        return Check(name=_NAME, status="skip", detail="public.port is 0, and public.url names no address to try")
    return Check(name=_NAME, status="pass", detail=f"signed calls arrive, others are refused: {', '.join(tried)}")


def _addresses(settings: Settings) -> list[str]:
    public = settings.public
    host = _EVERYWHERE.get(public.host, public.host)
    local = [f"http://{f'[{host}]' if ':' in host else host}:{public.port}"] if public.port else []
    return [*local, *([public.url] if public.url else [])]


async def _round_trip(webhook: Webhook, secret: str, url: str, *, local: bool) -> Check | None:
    """What is wrong there; None when nothing is."""
    forged = await knock(url, webhook.sign(f"not {secret}", _BODY), _BODY)
    if isinstance(forged, str):
        if local:
            return Check(
                name=_NAME, status="skip", detail=f"no daemon listens at {url}; try again while `run` is there"
            )
        fix = "start the tunnel or the proxy, or correct public.url"
        return Check(name=_NAME, status="fail", detail=f"{url} cannot be reached: {forged}", fix=fix)
    if forged == (403, "source"):
        return Check(name=_NAME, status="skip", detail=f"{url} takes no calls from here (public.sources)")
    if forged != (401, "signature"):
        fix = "correct public.port" if local else "let the tunnel or the proxy bring /webhook/ to public.port"
        return Check(name=_NAME, status="fail", detail=f"{url} is not our listener: it says {forged[0]}", fix=fix)
    signed = await knock(url, webhook.sign(secret, _BODY), _BODY)
    if signed == (400, "malformed"):
        return None
    fix = f"let {webhook.secret_name} of the daemon and of this command come from the same place; it is read again each minute"
    return Check(name=_NAME, status="fail", detail=f"{url} does not know the secret: it says {signed[0]}", fix=fix)
