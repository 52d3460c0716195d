"""The command line. Exit codes: 0 held, 1 a gate or check failed, 2 bad usage or input (one line on stderr)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional, cast

import typer

from robustness.errors import CaseError, InputError, suggest

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    name="robustness",
    help="Audit vision-language segmentation models: which words they use, and what shifts they withstand.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads this form on every version
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the plan, e.g. --set data.path=DIR. May repeat."),
]
OutDir = Annotated[Optional[Path], typer.Option("--out", help="Folder to write to.")]  # noqa: UP045


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the two runs and the page.")] = Path("robustness-demo"),
) -> None:
    """Audit two small networks on embedded brain MRI slices: one reads its prompt, one cannot."""
    from robustness.demo import run_demo

    typer.echo("Auditing two small networks on 62 embedded brain MRI slices (one to three minutes) ...", err=True)
    with _progress("demo: audit") as progress:
        progress(0, 2)
        report = run_demo(out, progress=progress)
    typer.echo(f"Report: {report.resolve()}")


@app.command()
def audit(
    plan: Annotated[Path, typer.Argument(help="The plan (TOML).")],
    out: OutDir = None,
    overrides: Overrides = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first case that fails; exit 1.")] = False,
    allow_drift: Annotated[
        bool, typer.Option("--allow-drift", help="Resume although versions, device or threads changed.")
    ] = False,
    executor: Annotated[str, typer.Option("--executor", help="local, or ray for many machines.")] = "local",
) -> None:
    """Run (or resume) the audit that PLAN describes and write its report."""
    from robustness.api import audit_plan
    from robustness.plan import load_plan

    if executor not in ("local", "ray"):
        raise InputError(f"--executor: expected local or ray, got {executor!r}{suggest(executor, ['local', 'ray'])}")
    loaded = load_plan(plan, overrides=overrides or ())
    folder = out or Path("runs") / plan.stem
    with _progress() as progress:
        run = audit_plan(
            loaded, out=folder, folder=plan.resolve().parent, strict=strict, allow_drift=allow_drift,
            executor=executor, progress=progress,
        )  # fmt: skip
    _say_counts(run.manifest["counts"])
    _print_verdicts(run.verdicts())
    typer.echo(f"Run: {run.path.resolve()}")
    typer.echo(f"Report: {(run.path / 'report.html').resolve()}")


@app.command()
def finetune(
    plan: Annotated[Path, typer.Argument(help="The finetuning plan (TOML).")],
    out: OutDir = None,
    overrides: Overrides = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Finetune the model that PLAN describes; calling it again resumes."""
    from robustness.runners.finetune import finetune_plan

    folder = finetune_plan(plan, out=out, overrides=overrides or (), quiet=quiet)
    typer.echo(f"Checkpoint: {Path(folder).resolve()}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Optional[Path], typer.Option("--out", help="The page; default RUN/report.html.")] = None,  # noqa: UP045
    edition: Annotated[str, typer.Option("--edition", help="auditor, or regulatory (fifteen sections).")] = "auditor",
    no_images: Annotated[bool, typer.Option("--no-images", help="Leave every picture out.")] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print the page to PDF as well (needs Chromium).")] = False,
    summary: Annotated[bool, typer.Option("--summary", help="Markdown, JSON and CSV beside the page.")] = False,
) -> None:
    """Write the page of a finished run anew."""
    from robustness.run import open_run

    page = open_run(run).report(out, edition=cast("Any", edition), images=not no_images)
    typer.echo(f"Report: {page.resolve()}")
    if summary:
        from robustness.reports.summary import write_summary

        for path in write_summary(run, page, edition=cast("Any", edition)):
            typer.echo(f"Report: {path.resolve()}")
    if pdf:
        from robustness.reports.pdf import write_pdf

        typer.echo(f"Report: {write_pdf(page).resolve()}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more runs' folders.")],
    out: Annotated[Path, typer.Option("--out", help="The page.")] = Path("comparison.html"),
) -> None:
    """Write one page over several finished runs: what got worse first; the first run is the baseline."""
    from robustness.reports.page import write_report
    from robustness.run import open_run

    if len(runs) < 2:
        raise InputError(f"runs: expected two or more folders, got {len(runs)}; for one run use: robustness report RUN")
    for run in runs:
        open_run(run).verdicts()
    typer.echo(f"Report: {write_report(runs, out, compare_first=True).resolve()}")


@app.command()
def gate(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    baseline: Annotated[Optional[Path], typer.Option("--baseline", help="The run to compare with.")] = None,  # noqa: UP045
    gates: Annotated[Path, typer.Option("--gates", help="The gates file.")] = Path("gates.toml"),
    junit: Annotated[Optional[Path], typer.Option("--junit", help="Write JUnit XML here as well.")] = None,  # noqa: UP045
) -> None:
    """Judge a run by a gates file; one line per gate; exit 1 where one does not hold."""
    from robustness.gate import failed, judge, load_gates
    from robustness.junit import write_junit
    from robustness.run import open_run

    wanted = load_gates(gates)
    judged = judge(open_run(run), wanted, baseline=open_run(baseline) if baseline else None)
    for row in judged.to_dict("records"):
        note = " (warning only)" if row["severity"] == "warn" and row["outcome"] != "pass" else ""
        typer.echo(f"{row['outcome'].upper():13}{row['name']}{note}: {row['message']}")
    if junit is not None:
        write_junit(judged, junit, inconclusive=wanted.inconclusive)
    if failed(judged, wanted):
        raise typer.Exit(1)


@app.command()
def verify(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> None:
    """Recompute a run's hashes and derive its effects and verdicts anew; exit 1 where something differs."""
    from robustness.run import open_run

    checks = open_run(run).verify()
    for row in checks.to_dict("records"):
        typer.echo(f"{'ok' if row['ok'] else 'DIFFERS':8}{row['check']}  {row['detail']}")
    if not checks["ok"].all():
        raise typer.Exit(1)


@app.command()
def evidence(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> None:
    """Describe a run for others: RO-Crate metadata and a model-index block for a model card, in its folder."""
    from robustness.reports.model_index import write_model_index
    from robustness.reports.ro_crate import write_ro_crate
    from robustness.run import open_run

    open_run(run).verdicts()
    for path in (write_ro_crate(run), write_model_index(run)):
        typer.echo(f"Evidence: {path.resolve()}")


@app.command()
def check(
    data: Annotated[Path, typer.Argument(help="A dataset folder or a manifest.")],
    split: Annotated[Optional[str], typer.Option("--split", help="One split; default: all.")] = None,  # noqa: UP045
    prompt: Annotated[str, typer.Option("--prompt", help="The prompt key that an audit would use.")] = "p6",
) -> None:
    """Look a dataset over: missing files, masks, duplicates, splits; exit 1 where there is an error."""
    from robustness.runners.check import check_dataset

    findings = check_dataset(data, split, prompt=prompt)
    for row in findings.to_dict("records"):
        where = " ".join(str(row[key]) for key in ("split", "case_id", "file") if row[key])
        typer.echo(f"{row['level']:8}{row['code']}{f' [{where}]' if where else ''}: {row['message']}")
    typer.echo(f"{len(findings)} findings, {int((findings['level'] == 'error').sum())} errors")
    if (findings["level"] == "error").any():
        raise typer.Exit(1)


@app.command()
def prompts(
    text: Annotated[str, typer.Argument(help="A prompt.")] = "",
    modality: Annotated[str, typer.Option("--modality", help="endoscopy, ultrasound, MRI, ...")] = "",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the rare words.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    data: Annotated[Optional[Path], typer.Option("--from", help="Write prompts for this folder of images.")] = None,  # noqa: UP045
    out: Annotated[Optional[Path], typer.Option("--out", help="With --from: the annotation file.")] = None,  # noqa: UP045
    split: Annotated[Optional[str], typer.Option("--split", help="With --from: which split.")] = None,  # noqa: UP045
    target: Annotated[str, typer.Option("--target", help="With --from: the class, where none is stated.")] = "",
    family: Annotated[str, typer.Option("--family", help="With --from: photograph, breast, echo or chest.")] = "",
    template: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--template", metavar="KEY=TEXT", help='With --from: "p1=[{size} ]{target}". May repeat.'),
    ] = None,
    vqa: Annotated[Optional[str], typer.Option("--vqa", help="With --from: a model for shape and colour.")] = None,  # noqa: UP045
) -> None:
    """Show what is read in a prompt and every change that applies to it; with --from write prompts for data."""
    from robustness.prompt_view import prompt_json, show_prompt, split_templates

    if data is None and as_json:
        typer.echo(prompt_json(text, modality=modality, seed=seed))
    elif data is None:
        show_prompt(text, modality=modality, seed=seed)
    else:
        from robustness.runners.annotate import annotate

        if out is None:
            raise InputError("--out: expected the annotation file to write, got none; give --out FILE")
        count = annotate(
            data, out, split=split, target=target, modality=modality, family=family,
            templates=split_templates(template), vqa=vqa,
        )  # fmt: skip
        typer.echo(f"Prompts: {count} entries in {out.resolve()}")


@app.command(name="list")
def list_(what: Annotated[str, typer.Argument(help="models, perturbations or metrics.")]) -> None:
    """List what is registered, one line each."""
    from robustness.registry import METRICS, MODELS, PERTURBATIONS

    registries = {"models": MODELS, "perturbations": PERTURBATIONS, "metrics": METRICS}
    if what not in registries:
        raise InputError(f"what: expected one of {', '.join(registries)}, got {what!r}{suggest(what, registries)}")
    registry = registries[what]
    for name in registry.names():
        typer.echo(f"{name:24}{_first_line(registry.get(name))}")


def main() -> NoReturn:
    """Run the command line; a user's mistake is one line on stderr and exit code 2, never a traceback."""
    try:
        app()
    except InputError as error:
        _fail(str(error), 2)
    except CaseError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("interrupted; what was done is kept, the same command goes on from there", 130)
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


def _progress(what: str = "audit: part") -> Any:
    from robustness.progress import bar

    return bar(what)


def _say_counts(counts: dict[str, Any]) -> None:
    if counts["errors"]:
        failed = counts["failed_cases"]
        shown = ", ".join(failed[:5]) + (", ..." if len(failed) > 5 else "")
        typer.echo(
            f"warning: {counts['errors']} rows of {len(failed)} cases failed and are left out: {shown}", err=True
        )
    if counts["not_applicable"]:
        typer.echo(f"note: {counts['not_applicable']} rows were not applicable; the report gives the reasons", err=True)


def _print_verdicts(verdicts: pd.DataFrame) -> None:
    for row in verdicts[verdicts["claim"] == "prompt"].to_dict("records"):
        typer.echo(f"{row['verdict']:14}{row['sentence']}")


def _first_line(entry: Any) -> str:
    text = (getattr(entry, "__doc__", None) or "").strip()
    return text.splitlines()[0] if text else ""


if __name__ == "__main__":
    main()
