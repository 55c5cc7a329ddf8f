from opensymphony.model import Ticket


def render_prompt(template: str, ticket: Ticket, attempt: int | None) -> str:
    return template


def render_branch(template: str, ticket: Ticket) -> str:
    return template


def render_command(template: str, ticket: Ticket) -> str:
    return template
