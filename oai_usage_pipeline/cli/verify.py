"""`oai-usage verify`: whether the promises hold on the lake as it stands."""

import json
from dataclasses import asdict

import click


@click.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of sentences.")
def command(as_json: bool) -> None:
    """Check every invariant on the lake; exit 1 if one fails."""
    from oai_usage_pipeline.audit.invariants import verify
    from oai_usage_pipeline.orchestration.resources import Pipeline

    findings = []
    for finding in verify(Pipeline().lake()):
        findings.append(finding)
        if not as_json:
            mark = click.style("holds", fg="green") if finding.holds else click.style("FAILS", fg="red")
            click.echo(f"{mark}  {finding.invariant:<27} {finding.sentence}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    if not all(finding.holds for finding in findings):
        raise SystemExit(1)
