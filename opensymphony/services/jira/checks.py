"""Whether a Jira site lets us do our work: what `opensymphony doctor` asks it, one answer for each thing, each with its remedy.

Nothing is changed. In: a policy and the token. Out: checks, in the order in which a person would mend what they find.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from opensymphony.errors import NotFound, OpenSymphonyError
from opensymphony.services.jira.client import JiraClient, escaped
from opensymphony.services.jira.issues import Status, User
from opensymphony.services.jira.transitions import Transition, available, choose
from opensymphony.views import Check
from opensymphony.workflow.policy import Policy

PERMISSIONS = {
    "BROWSE_PROJECTS": "see the project",
    "ADD_COMMENTS": "write its comment",
    "EDIT_OWN_COMMENTS": "edit its comment",
    "EDIT_ISSUES": "write the claim",
    "TRANSITION_ISSUES": "move tickets",
    "ASSIGNABLE_USER": "be assigned to tickets",
}
"""What we need, and what for."""


class _Server(Struct, frozen=True, kw_only=True):
    deploymentType: str = ""
    serverTitle: str = ""


class _Permission(Struct, frozen=True, kw_only=True):
    havePermission: bool = False


class _Permissions(Struct, frozen=True, kw_only=True):
    permissions: dict[str, _Permission] = {}


class _Project(Struct, frozen=True, kw_only=True):
    key: str
    name: str = ""


class _Kind(Struct, frozen=True, kw_only=True):
    statuses: tuple[Status, ...] = ()


class _LinkType(Struct, frozen=True, kw_only=True):
    name: str = ""


class _LinkTypes(Struct, frozen=True, kw_only=True):
    issueLinkTypes: tuple[_LinkType, ...] = ()


class _Sample(Struct, frozen=True, kw_only=True):
    id: str
    key: str = ""


class _Samples(Struct, frozen=True, kw_only=True):
    issues: tuple[_Sample, ...] = ()


class SiteChecks:
    """One look at a site."""

    def __init__(self, client: JiraClient, policy: Policy, *, refreshes: bool = False) -> None:
        """`refreshes`: with OAuth, a refresh token is given."""
        self._client = client
        self._policy = policy
        self._refreshes = refreshes
        self._site = client.site
        self._account_id = ""
        self._statuses: tuple[str, ...] = ()

    async def run(self) -> list[Check]:
        """Every check; those that need what failed before are skipped."""
        made: list[Check] = []
        steps: tuple[tuple[str, Callable[[], Awaitable[Check]]], ...] = (
            ("jira-site", self._reached),
            ("jira-account", self._account),
            ("jira-project", self._project),
            ("jira-permissions", self._permissions),
            ("jira-assignable", self._assignable),
            ("jira-states", self._states),
            ("jira-transitions", self._transitions),
            ("jira-links", self._links),
        )
        for name, step in steps:
            if any(check.status == "fail" for check in made[:3]):
                made.append(Check(name=name, status="skip", detail="the site cannot be asked yet"))
                continue
            try:
                made.append(await step())
            except OpenSymphonyError as error:
                fix = "correct the tracker section of WORKFLOW.md, or what the message names"
                made.append(Check(name=name, status="fail", detail=str(error), fix=fix))
        return made

    async def _reached(self) -> Check:
        """The cloud that the site is in, which it tells everybody; the rest needs the token."""
        answer = await self._client.call("GET", "/serverInfo", name="read what the site is")
        found = answer.value(_Server)
        if found.deploymentType and found.deploymentType.casefold() != "cloud":
            fix = "name a site of Jira Cloud: this release works with no other"
            return Check(
                name="jira-site", status="fail", detail=f"{self._site.base_url} is {found.deploymentType}", fix=fix
            )
        return Check(
            name="jira-site", status="pass", detail=f"{self._site.base_url}: {found.serverTitle or 'Jira Cloud'}"
        )

    async def _account(self) -> Check:
        user = (await self._client.call("GET", "/myself", name="read our account")).value(User)
        self._account_id = user.accountId
        kinds = {
            "basic": "an API token with its e-mail address",
            "bearer": "a bearer token",
            "oauth": f"OAuth 2.0 ({'refresh token' if self._refreshes else 'client credentials'})",
        }
        where = "at the site" if self._client.api_url == self._site.base_url else f"at {self._client.api_url}"
        return Check(
            name="jira-account",
            status="pass",
            detail=f"{user.displayName} ({user.accountId}), by {kinds[self._site.auth]}, {where}",
        )

    async def _project(self) -> Check:
        key = self._site.project_key
        try:
            found = (await self._client.call("GET", f"/project/{key}", name="read the project")).value(_Project)
        except NotFound:
            fix = "correct tracker.provider.project_key, or let our account browse the project"
            return Check(
                name="jira-project", status="fail", detail=f"{key} does not exist, or is not shown to us", fix=fix
            )
        return Check(name="jira-project", status="pass", detail=f"{found.key}: {found.name}")

    async def _permissions(self) -> Check:
        params = {"projectKey": self._site.project_key, "permissions": ",".join(PERMISSIONS)}
        answer = await self._client.call("GET", "/mypermissions", name="read our permissions", params=params)
        held = answer.value(_Permissions).permissions
        missing = [key for key in PERMISSIONS if not held.get(key, _Permission()).havePermission]
        if not missing:
            return Check(name="jira-permissions", status="pass", detail=f"all {len(PERMISSIONS)} that are needed")
        why = ", ".join(f"{key} to {PERMISSIONS[key]}" for key in missing)
        fix = f"give our account in {self._site.project_key}: {', '.join(missing)} (project settings, People or Permissions)"
        return Check(name="jira-permissions", status="fail", detail=f"missing: {why}", fix=fix)

    async def _assignable(self) -> Check:
        if self._policy.tracker.assignee != "me":
            return Check(name="jira-assignable", status="pass", detail="tickets need not be assigned to our account")
        params = {"project": self._site.project_key, "accountId": self._account_id}
        answer = await self._client.call(
            "GET", "/user/assignable/search", name="read who can be assigned", params=params
        )
        if any(user.accountId == self._account_id for user in answer.value(tuple[User, ...])):
            return Check(name="jira-assignable", status="pass", detail="tickets can be assigned to our account")
        fix = "add our account to the project with a role that has the permission Assignable User"
        return Check(name="jira-assignable", status="fail", detail="no ticket can be assigned to our account", fix=fix)

    async def _states(self) -> Check:
        path = f"/project/{self._site.project_key}/statuses"
        kinds = (await self._client.call("GET", path, name="read the statuses")).value(tuple[_Kind, ...])
        self._statuses = tuple(dict.fromkeys(status.name for kind in kinds for status in kind.statuses))
        known = {name.casefold() for name in self._statuses}
        tracker, moves = self._policy.tracker, self._policy.reporting.transitions
        wanted = [*tracker.active_states, *filter(None, (moves.started, moves.succeeded, moves.needs_attention))]
        unknown = [one for one in dict.fromkeys(wanted) if one.casefold() not in known and ":" not in one]
        if not unknown:
            detail = f"{len(self._statuses)} in the project: {', '.join(self._statuses)}"
            return Check(name="jira-states", status="pass", detail=detail)
        hints = [f"{one!r}{self._nearest(one)}" for one in unknown]
        fix = f"the project has: {', '.join(self._statuses)}"
        return Check(name="jira-states", status="fail", detail=f"not in the project: {', '.join(hints)}", fix=fix)

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(name.casefold(), [one.casefold() for one in self._statuses], 1, 0.6)
        found = next((one for one in self._statuses if near and one.casefold() == near[0]), None)
        return f" (did you mean {found!r}?)" if found else ""

    async def _transitions(self) -> Check:
        """From each active state that a ticket is in right now: can it be moved where the policy says?"""
        moves = self._policy.reporting.transitions
        targets = [one for one in (moves.started, moves.succeeded, moves.needs_attention) if one]
        if not targets:
            return Check(name="jira-transitions", status="pass", detail="no ticket is moved by us")
        looked, faults = list[str](), list[str]()
        for state in self._policy.tracker.active_states:
            sample = await self._sample(state)
            if sample is None:
                continue
            looked.append(f"{state} ({sample.key})")
            faults += self._faults(state, await available(self._client, sample.id), targets)
        if faults:
            fix = "change the project's workflow, or reporting.transitions in WORKFLOW.md"
            return Check(name="jira-transitions", status="warn", detail="; ".join(faults), fix=fix)
        detail = f"looked at from {', '.join(looked)}" if looked else "no ticket is in an active state to look at"
        return Check(name="jira-transitions", status="pass" if looked else "skip", detail=detail)

    def _faults(self, state: str, steps: Sequence[Transition], targets: Sequence[str]) -> list[str]:
        faults: list[str] = []
        for target in targets:
            if target.casefold() == state.casefold():
                continue
            step = choose(steps, target)
            if step is None:
                faults.append(f"from {state} no step leads to {target}")
                continue
            demanded = [field for field in step.demands if field != "resolution"]
            if demanded:
                faults.append(f"from {state} to {target} its screen demands {', '.join(demanded)}")
        return faults

    async def _sample(self, state: str) -> _Sample | None:
        jql = f'project = "{escaped(self._site.project_key)}" AND status IN ("{escaped(state)}") ORDER BY created ASC, key ASC'
        body = {"jql": jql, "fields": ["key"], "maxResults": 1}
        answer = await self._client.call("POST", "/search/jql", name="search", json=body, repeatable=True)
        return next(iter(answer.value(_Samples).issues), None)

    async def _links(self) -> Check:
        answer = await self._client.call("GET", "/issueLinkType", name="read the types of links")
        names = [one.name for one in answer.value(_LinkTypes).issueLinkTypes]
        wanted = self._site.blocker_link
        if wanted.casefold() in {name.casefold() for name in names}:
            return Check(name="jira-links", status="pass", detail=f"{wanted} says what blocks what")
        fix = f"set tracker.provider.blocker_link to one of: {', '.join(names)}"
        return Check(
            name="jira-links", status="warn", detail=f"the site has no links called {wanted!r}: nothing blocks", fix=fix
        )
