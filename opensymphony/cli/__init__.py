"""The `opensymphony` command."""


def main() -> None:
    raise SystemExit(2)
