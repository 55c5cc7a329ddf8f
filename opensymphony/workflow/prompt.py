from opensymphony.model import Ticket


def render_prompt(template: str, ticket: Ticket, attempt: int | None) -> str:
    raise NotImplementedError


def render_branch(template: str, ticket: Ticket) -> str:
    raise NotImplementedError


def render_command(template: str, ticket: Ticket) -> str:
    raise NotImplementedError
