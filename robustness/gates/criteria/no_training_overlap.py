"""Audited subjects that the model was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robustness.errors import InputError, counted
from robustness.gates.criterion import GATE_CRITERIA, GateCriterion
from robustness.gates.decisions import NAN, Outcome
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding
from robustness.gates.spec import GateSpec

_OUTCOMES: Mapping[str, Outcome] = {"none": "pass", "overlap": "fail"}


@GATE_CRITERIA.add("no_training_overlap")
class NoTrainingOverlap(GateCriterion):
    """No audited subject and no audited image is in the checkpoint's record of its training and validation."""

    signed = False
    spread = "none"

    def findings(self, evidence: Evidence, gate: GateSpec) -> list[Finding]:
        """Return one finding for each model and dataset; inconclusive where a model has no record.

        Raises:
            InputError: no model and dataset of that name was audited.
        """
        matching = evidence.pairs(gate)
        if not matching:
            raise InputError(f"{gate.label}: no model and dataset of the run match {gate.model!r} and {gate.dataset!r}")
        recorded = _recorded(evidence.run.manifest)
        return [
            _finding(model, dataset, recorded.get((model, dataset), {}), certified=bool(gate.certified))
            for model, dataset in matching
        ]

    def forecast_note(self, gate: GateSpec) -> str:
        """Return what a forecast says in place of the power."""
        return "decided by the checkpoint's record of its training, not by scores"


def _recorded(manifest: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {
        (str(facts.get("label") or facts.get("name")), str(one.get("dataset"))): one
        for facts in manifest.get("models") or ()
        for one in facts.get("training_overlap") or ()
    }


def _finding(model: str, dataset: str, overlap: Mapping[str, Any], *, certified: bool) -> Finding:
    """Return the finding of one model and dataset; `certified`: the gate asks for a complete record."""
    outcome = _OUTCOMES.get(str(overlap.get("status")), "inconclusive")
    subjects = int(overlap.get("n_subjects") or 0)
    seen = int(overlap.get("trained") or 0) + int(overlap.get("validated") or 0)
    unit = str(overlap.get("unit") or "subject")
    where, complete = f"{model} on {dataset}", bool(overlap.get("complete", True))
    message = {
        "pass": f"{where}: none of {counted(subjects, unit)} is in the record of its training",
        "fail": f"{where}: {overlap.get('warning') or 'test data were seen in training'}",
    }.get(outcome, f"{where}: the checkpoint does not record whom it was trained on")
    reason = _open_reason(overlap, unit, certified=certified) if outcome == "pass" else ""
    if reason:
        outcome, message = "inconclusive", f"{message}, but {reason}"
    elif outcome == "pass" and not complete:
        message += f"; certified no: {_incomplete(overlap)}"
    return Finding(
        outcome,
        "clean",
        model,
        dataset,
        "",
        unit,
        seen / subjects if subjects and outcome != "inconclusive" else NAN,
        NAN,
        NAN,
        NAN,
        0.0,
        int(overlap.get("n_images") or 0),
        subjects,
        None,
        float(seen),
        message,
        (),
        outcome == "pass" and complete,
    )


def _open_reason(overlap: Mapping[str, Any], unit: str, *, certified: bool) -> str:
    """Return why a record that holds nobody of the audit does not show that nobody was trained on; "" where it does."""
    namesakes = int(overlap.get("namesakes") or 0)
    if overlap.get("gap"):
        return str(overlap["gap"])
    if namesakes:
        return (
            f"{namesakes} of them bear the name of a {unit} that was trained on in data of another name: if these are"
            " others, say so by another name in one of the data sets"
        )
    return _incomplete(overlap) if certified and not overlap.get("complete", True) else ""


def _incomplete(overlap: Mapping[str, Any]) -> str:
    # Runs of older versions say only that it is so.
    return str(overlap.get("incomplete") or "patients are unknown, or the weights it started from record no training")
