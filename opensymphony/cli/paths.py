"""`opensymphony paths`: where everything of one WORKFLOW.md is kept on this host."""

from __future__ import annotations

from opensymphony.cli.config import ConfigOption, JsonOption, WorkflowArgument


def paths(workflow: WorkflowArgument = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Print where the files of this installation are.

    Also when WORKFLOW.md cannot be read.
    """
    from opensymphony.cli import loading, output

    loaded = loading.load(workflow, config_path=config)
    settings = loaded.settings
    places = {
        "workflow": settings.workflow_path,
        "config": settings.config_path,
        "store": settings.store_dir,
        "logs": settings.logs_dir,
        "tools": settings.tool_dir,
        "workspaces": loaded.policy.workspace.root if loaded.policy is not None else None,
    }
    if json:
        output.document(places)
        return
    width = max(map(len, places))
    for name, place in places.items():
        output.data(f"{name:<{width}}  {place or '-'}")
    if not loaded.ok:
        output.say("WORKFLOW.md or opensymphony.toml has errors: see opensymphony config check")
