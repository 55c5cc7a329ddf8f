"""What the scripted model does."""

from opensymphony.demo import script


def test_every_act_ends_by_closing_and_uses_tools_that_agents_have() -> None:
    """A step with another tool would be an error of the agent-server's."""
    acts = [
        act
        for name, value in vars(script).items()
        if name.isupper() and isinstance(value, dict)
        for act in value.values()
    ]
    steps = [step for ticket in acts for act in ticket for step in act]
    assert steps
    assert {step.tool for step in steps} <= {"terminal", "file_editor", "task_tracker", "finish"}
    for ticket in acts:
        assert [act[-1].tool for act in ticket] == ["finish"] * len(ticket)
