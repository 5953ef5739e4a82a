"""A page of documentation for each rule, made from the rule itself, so that it cannot say something else."""

import inspect
from collections.abc import Sequence

from evidence.findings.finding import UNMOVED_FAMILIES, Severity
from evidence.findings.registry import PROBE_RUN, Rule


def rule_page(rule: Rule) -> str:
    """Markdown of one rule."""
    looks_at = ", ".join(sorted(rule.needs)) or "the snapshot itself"
    conditions = [f"Looks at: {looks_at}."]
    if rule.needs_intent:
        conditions.append("Needs declared zones; without them it does not run, and says so.")
    if rule.needs_record:
        conditions.append("Looks at the intent file; without one it does not run, and says so.")
    if rule.needs_seen:
        source = "evidence probe run` kept" if rule.needs_seen == PROBE_RUN else "evidence import` took in"
        conditions.append(f"Looks at what `{source}; without any {rule.needs_seen} it does not run, and says so.")
    if rule.hangs_on_policies:
        conditions.append("Runs in part only while policies of kinds that are not evaluated are present.")
    if rule.reads_rules:
        conditions.append(
            "Looks at the rules of NetworkPolicies; beside policies of other kinds it runs in part only, and says so."
        )
    if rule.family not in UNMOVED_FAMILIES:
        conditions.append(
            "One step more severe in a zone with regulated data (cde, ephi, fedramp-boundary), one less when out of scope."
        )
    return (
        f"# {rule.id}: {rule.title}\n\n"
        f"Severity {rule.severity.value}, family {rule.family}. Generated from the rule by `make docs`.\n\n"
        f"## What it finds\n\n{finds(rule)}\n\n"
        f"## Why it matters\n\n{rule.why}\n\n"
        f"## How to mend it\n\n{rule.mend}\n\n"
        f"## When it runs\n\n{' '.join(conditions)}\n"
    )


def finds(rule: Rule) -> str:
    """The check's own description, as one paragraph a paragraph."""
    paragraphs = inspect.cleandoc(rule.check.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def index_page(rules: Sequence[Rule]) -> str:
    """Markdown of the list of all rules, by family."""
    listed = sorted(rules, key=lambda rule: (rule.family, rule.id))
    families = list(dict.fromkeys(rule.family for rule in listed))
    sections = []
    for family in families:
        rows = [
            f"| [{rule.id}]({rule.id}.md) | {rule.title} | {rule.severity.value} |"
            for rule in listed
            if rule.family == family
        ]
        sections.append(f"## {family}\n\n| rule | finds | severity |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    levels = ", ".join(severity.value for severity in Severity)
    return (
        f"# Finding rules\n\n{len(listed)} rules; severities {levels}. Generated from the rules by `make docs`.\n\n"
        + "\n".join(sections)
    )
