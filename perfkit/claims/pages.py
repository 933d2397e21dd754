"""The pages for readers: one for each theme, and one of all claims. No figure is typed by hand."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from perfkit.claims import ledger
from perfkit.claims.experiment import ExperimentError
from perfkit.claims.judging import Answer, Effect, Verdict, axis_of, curves, judge
from perfkit.claims.library import Found, code_of
from perfkit.claims.plotting import plot
from perfkit.claims.validation import HOLDS_SHARE, rows
from perfkit.claims.wording import amount, gain_text, point_text, two

METHOD = "method.md"
GUIDES = (
    (39, "the performance page of RestMachine"),
    (67, "day 13 of a Nexios course"),
    (89, "a module on the performance of applications and APIs"),
    (119, "a collection of FastAPI patterns"),
)


class StaleResultsError(ExperimentError):
    """Results are of another source than that of the experiment as it is now."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"the results of {', '.join(names)} are older than the code they measured: "
            f"python -m perfkit claims run {' '.join(names)}"
        )


def write(
    folder: Path,
    found: Sequence[Found],
    results: Mapping[str, Mapping[str, Any]],
    validation: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write all pages and plots below *folder* and return their paths.

    Raises:
        StaleResultsError: Results are older than the experiment's source.
    """
    texts = pages(folder, found, results, validation)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def pages(
    folder: Path,
    found: Sequence[Found],
    results: Mapping[str, Mapping[str, Any]],
    validation: Mapping[str, Any] | None = None,
) -> dict[Path, str]:
    """Return the texts of all pages and plots by where they belong.

    What checking the method came to, *validation*, has a page when it is known.
    """
    by_name = {one.name: one for one in found}
    stale = [
        name
        for name, one in results.items()
        if name in by_name and one["source"] != by_name[name].source
    ]
    if stale:
        raise StaleResultsError(stale)
    known = {name: one for name, one in results.items() if name in by_name}
    # Whoever reports experiments of their own alone has no use for our claims.
    entries = ledger.entries(known) if any(one.claims for one in found) else []
    told = [by_name[name] for name in known]
    texts = {folder / "index.html": overview(entries, told, known, checked=bool(validation))}
    if validation:
        texts[folder / METHOD] = method_page(validation)
    for theme in dict.fromkeys([*ledger.themes(), *(one.theme for one in found)]):
        told = [one for one in found if one.theme == theme and one.name in known]
        listed = [entry for entry in entries if entry.claim.theme == theme]
        if listed or told:
            texts[folder / page_of(theme)] = theme_page(folder, theme, listed, told, known)
    for name, one in known.items():
        drawing = plot(one, judge(one)) if one["points"] else None
        if drawing:
            texts[folder / "plots" / f"{name}.svg"] = drawing
    return texts


def page_of(theme: str) -> str:
    """Return the name of the page of a theme."""
    return f"{theme.replace(' ', '-')}.md"


def theme_page(
    folder: Path,
    theme: str,
    entries: Sequence[ledger.Entry],
    told: Sequence[Found],
    results: Mapping[str, Mapping[str, Any]],
) -> str:
    """Return the page of a theme: what was measured, then what is claimed."""
    parts = [f"# {theme.capitalize()}", "<!-- Written by: python -m perfkit claims report -->"]
    for one in told:
        parts += section(folder, one, results[one.name])
    if entries:
        rows = [
            f"| {entry.claim.id} | {entry.claim.words} | {entry.headline} |" for entry in entries
        ]
        parts += [
            "## The claims",
            "In our words; [all themes on one page](index.html).",
            "\n".join(["| id | claim | verdict |", "|---|---|---|", *rows]),
        ]
    return "\n\n".join(parts) + "\n"


def method_page(validation: Mapping[str, Any]) -> str:
    """Return the page that tells how far the intervals on the others can be trusted."""
    found, environment = rows(validation), validation["environment"]
    lines = ["| the effect is | simulated runs that hold it | real runs | their intervals |",
             "| --- | --- | --- | --- |"]  # fmt: skip
    for row in found:
        stated = "; ".join(gain_text(*one) if one else "too few rounds" for one in row.intervals)
        lines.append(
            f"| {row.effect:g} | {row.simulated} of {row.runs} | {row.real} of "
            f"{len(row.intervals)} | {stated} |"
        )
    failed = [f"{row.effect:g}" for row in found if not row.holds]
    judged = (
        f"It does **not** hold for {', '.join(failed)}: do not rely on these intervals."
        if failed
        else f"At least {HOLDS_SHARE:.0%} were asked for, and each effect has them."
    )
    return "\n\n".join([
        "# How far the intervals can be trusted",
        "<!-- Written by: python -m perfkit claims report -->",
        "Every gain on these pages has an interval of 95 %. Here the answer is known beforehand: a "
        "loop repeats its work so many times more before than after. Real runs time that as every "
        "experiment is timed. Simulated runs draw their generations from rounds recorded here, of "
        "the same loop against itself, make one side so many times as fast, and end when a real "
        "one would. A run holds the effect when its interval contains it.",
        "\n".join(lines),
        judged,
        f"{len(validation['noise'])} recorded generations; {environment['machine']}, load before "
        f"{environment['load average before']}; Python {environment['Python']}; "
        f"{validation['started'][:10]}, commit {environment['source']}, real runs of "
        f"{validation['elapsed_s']:.0f} s in all. Check it on yours: "
        "`python -m perfkit claims validate`",
    ]) + "\n"  # fmt: skip


def section(folder: Path, found: Found, results: Mapping[str, Any]) -> list[str]:
    """Return the paragraphs of one experiment."""
    experiment, verdict = found.experiment, judge(results)
    if experiment is None:
        return [f"## {found.name}", f"**{verdict.answer}**: {verdict.reason}"]
    parts = [f"## {experiment.question}", *box(found, verdict), experiment.advice]
    parts += [f"Claimed: {experiment.hypothesis}{ids(found)}", *verdicts(found, results)]
    if verdict.points:
        parts.append(table(verdict, results))
        axis = axis_of(results)
        if axis and plot(results, verdict):
            parts.append(f"![The gain by {axis.replace('_', ' ')}](plots/{found.name}.svg)")
        if experiment.because:
            parts.append(f"{experiment.because}{crossing(verdict, results)}")
    parts += code(found)
    parts.append(conditions(folder, found, results))
    return [part for part in parts if part]


def code(found: Found) -> list[str]:
    """Return the code of both variants, and of what they use behind a fold."""
    assert found.experiment
    functions = code_of(found.path)
    before, after, *others = [*variants_of(found), *(set(functions) - set(variants_of(found)))]
    dangerous, safe = "As it is advised, which does the harm:", "The safe way:"
    heads = (dangerous, safe) if found.experiment.hazard else ("Without:", "With the advice:")
    shown = [
        f"{head}\n\n```python\n{functions[name]}\n```"
        for head, name in zip(heads, (before, after), strict=True)
    ]
    folded = "\n\n\n".join(text for name, text in functions.items() if name in others)
    if folded:
        shown.append(
            f"<details><summary>The code that they use</summary>\n\n```python\n{folded}\n```\n\n"
            "</details>"
        )
    return shown


def variants_of(found: Found) -> list[str]:
    """Return the names of the variants, *before* first."""
    return list(found.experiment.variants) if found.experiment else []


def box(found: Found, verdict: Verdict) -> list[str]:
    """Return the red box, where the usual advice does harm."""
    if verdict.answer is not Answer.HARMFUL or found.experiment is None:
        return []
    return [f"> [!CAUTION]\n> {found.experiment.hazard}"]


def ids(found: Found) -> str:
    """Return the ids of the claims in brackets."""
    return f" ({', '.join(found.claims)})" if found.claims else ""


def verdicts(found: Found, results: Mapping[str, Any]) -> list[str]:
    """Return the verdict in a line; one for each claim, where they promise different figures."""
    texts: dict[str, list[str]] = {}
    for claim in found.claims or ("",):
        verdict = judge(results, claim)
        texts.setdefault(f"**{verdict.answer}**: {verdict.reason}.", []).append(claim)
    if len(texts) == 1:
        return list(texts)
    return ["\n".join(f"- {', '.join(claims)}: {text}" for text, claims in texts.items())]


def table(verdict: Verdict, results: Mapping[str, Any]) -> str:
    """Return the figures of all points: of the two variants, of others, and of the control."""
    before, after, *beside = results["variants"]
    heads = ["", before, after, f"gain of {after}", *(f"gain of {name}" for name in beside)]
    heads = [head.replace("_", " ") for head in [*heads, "the same twice"]]
    rows = [
        [
            point_text(point.point) or results["metric"],
            amount(point.effect.before, results["unit"]),
            amount(point.effect.variant, results["unit"]),
            *(gain(point.effects[name]) for name in (after, *beside)),
            gain(point.control),
        ]
        for point in verdict.points
    ]
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def gain(effect: Effect) -> str:
    """Return a gain and its interval."""
    if effect.gain is None:
        return "too few rounds"
    if effect.exact:
        told = "all" if math.isinf(effect.gain.low) else gain_text(*effect.gain[::2])
        return f"{told}, counted"
    return gain_text(effect.gain.low, effect.gain.high)


def crossing(verdict: Verdict, results: Mapping[str, Any]) -> str:
    """Return where it breaks even, in a sentence."""
    axis = axis_of(results)
    found = [curve for curve in curves(verdict, axis) if curve.break_even] if axis else []
    texts = [
        f"at {axis.replace('_', ' ') if axis else ''} {two(curve.break_even or 0)}"
        + (f" for {point_text(curve.label)}" if curve.label else "")
        for curve in found
    ]
    return f" It breaks even {', '.join(texts)}." if texts else ""


def conditions(folder: Path, found: Found, results: Mapping[str, Any]) -> str:
    """Return how it was measured, and how to measure it elsewhere."""
    assert found.experiment
    environment = results["environment"]
    source = os.path.relpath(found.path, folder)
    generations = max((len(point["generations"]) for point in results["points"]), default=0)
    said = f"{found.experiment.conditions} " if found.experiment.conditions else ""
    return (
        f"{said}{environment['machine']}, load before {environment['load average before']}; "
        f"Python {environment['Python']}; {results['started'][:10]}, commit "
        f"{environment['source']}; up to {generations} generations of processes, "
        f"intervals of 95 %. [The whole experiment]({source}); measure it on yours: "
        f"`python -m perfkit claims run {found.name}`"
    )


def overview(
    entries: Sequence[ledger.Entry],
    found: Sequence[Found],
    results: Mapping[str, Mapping[str, Any]],
    *,
    checked: bool,
) -> str:
    """Return the page of all claims, which needs no network; *checked* if the method is, too."""
    listed = [
        {
            "id": entry.claim.id,
            "guide": guide_of(entry.claim),
            "theme": entry.claim.theme,
            "page": page_of(entry.claim.theme),
            "words": entry.claim.words,
            "verdict": entry.headline,
            "findings": [
                {
                    "name": finding.experiment,
                    "page": page_of(results[finding.experiment]["theme"]),
                    "answer": finding.verdict.answer,
                    "reason": finding.verdict.reason,
                    "metric": finding.metric,
                }
                for finding in entry.findings
            ],
        }
        for entry in entries
    ]
    own = [
        {"name": one.name, "question": one.experiment.question, "page": page_of(one.theme),
         "verdict": judge(results[one.name])}
        for one in found
        if one.experiment and not one.claims
    ]  # fmt: skip
    answers = [*Answer, ledger.UNMEASURED]
    counts = {answer: sum(row["verdict"] == answer for row in listed) for answer in answers}
    environment = Environment(loader=PackageLoader("perfkit.claims", "."), autoescape=True)
    return environment.get_template("overview.html").render(
        rows=listed, own=own, method=METHOD if checked else "", counts=counts,
        themes=ledger.themes(),
        machines=sorted({one["environment"]["machine"] for one in results.values()}),
    ) + "\n"  # fmt: skip


def guide_of(claim: ledger.Claim) -> str:
    """Return which guide makes a claim."""
    return next(guide for last, guide in GUIDES if claim.number <= last)
