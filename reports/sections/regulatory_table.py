"""The fifteen sections of the regulatory edition: their order, who asks for each, and what only a submitter knows."""

from __future__ import annotations

from typing import NamedTuple

SOURCES = (
    "FDA: draft guidance of 7 January 2025 on AI-enabled device software functions, docket FDA-2024-D-4488 (sections"
    " and appendices as numbered there). AI Act: Regulation (EU) 2024/1689. ISO/IEC TR 24029-1, 24029-2, DIS 24029-3"
    " (robustness of neural networks), TS 4213 (assessment of classification performance). GMLP: Good Machine Learning"
    " Practice, ten principles. CLAIM, TRIPOD+AI, MI-CLAIM, DECIDE-AI, FUTURE-AI, BS 30440, model cards (Mitchell"
    " 2019), Metrics Reloaded. Item numbers are to be checked against the edition that the submitter uses."
)


class Entry(NamedTuple):
    """One section; `blanks` are the questions that no run can answer."""

    title: str
    asked_by: str
    blanks: tuple[str, ...]


ENTRIES: tuple[Entry, ...] = (
    Entry(
        "Identity",
        "FDA V, IX, App. E (model card); AI Act Annex IV 1; model cards (Mitchell 2019); CLAIM, model items; TRIPOD+AI"
        " 15",
        (
            "Intended use and indications",
            "Intended users and setting",
            "Device name and version under review",
            "Prompt template in the product, and who writes the prompt",
        ),
    ),
    Entry(
        "Foreseeable variations and expected behaviour",
        "FDA X.A (reasonably foreseeable changes in input data and conditions of use), VII; AI Act 9(2), 15(4); ISO/IEC"
        " TR 24029-1, DIS 24029-3; FUTURE-AI Robustness 1; BS 30440",
        (
            "Why these variations are the foreseeable ones for the intended use (link to the risk file)",
            "Foreseeable variations that are not in this list",
        ),
    ),
    Entry(
        "Prespecified analysis plan",
        "FDA X.A (statistical analysis plan), App. C; AI Act 9(8) (prior defined metrics and probabilistic thresholds);"
        " CLAIM, statistics items; TRIPOD+AI 10, 12",
        (
            "Where and when the plan was registered before the run",
            "Clinical reason for each margin",
            "Planned sample size and its reason",
        ),
    ),
    Entry(
        "Test data",
        "FDA VIII; AI Act 10, Annex IV 2(d) and (g); GMLP 3-5; CLAIM, data and reference items; MI-CLAIM 1-2; TRIPOD+AI"
        " 5-9; ISO/IEC TS 4213 clause 5.3",
        (
            "Sites, scanners and acquisition dates",
            "Demographics",
            "Independence from training data, and how it was checked",
            "Reference standard: readers, their training, and their disagreement",
        ),
    ),
    Entry(
        "Performance on unchanged input",
        "FDA App. E (metrics with two-sided 95% confidence intervals); AI Act 15(3), 13(3)(b)(ii); CLAIM; TRIPOD+AI 23;"
        " Metrics Reloaded; ISO/IEC TS 4213 clause 6",
        ("Acceptance criterion and its source",),
    ),
    Entry(
        "Prompt reliance and stability under paraphrase",
        "points that no guidance names by itself: FDA X.A (conditions of use), AI Act 15(4) (inconsistencies,"
        " interaction with persons) and 9(2)(b) (foreseeable misuse); CLAIM, sensitivity analysis; MI-CLAIM 5",
        (
            "Which words the product relies on for safety",
            "Information for the user about words that the model ignores",
        ),
    ),
    Entry(
        "Robustness to image changes",
        "FDA X.A; GMLP 8; AI Act 15(1) and (4); ISO/IEC TR 24029-1, DIS 24029-3; FUTURE-AI Robustness 3; CLAIM; BS"
        " 30440",
        ("How the severities relate to the acquisition in use",),
    ),
    Entry(
        "Repeatability and reproducibility",
        "FDA X.A, App. C (model precision); AI Act 15(1) (consistency); FUTURE-AI Traceability",
        ("Results on the hardware of the product",),
    ),
    Entry(
        "Subgroups and sites",
        "FDA X.A (subgroup plan); AI Act Annex IV 2(g), 3; FUTURE-AI Fairness 3, Universality; TRIPOD+AI 14, 23a; model"
        " cards (disaggregated)",
        ("Subgroups that matter for the intended use and are not in the data",),
    ),
    Entry(
        "Failure analysis",
        "CLAIM (failure analysis); FDA App. E (known biases or failure modes); AI Act Annex IV 3; DECIDE-AI",
        ("Clinical consequence of each kind of failure", "Review of the worst cases by a clinician"),
    ),
    Entry(
        "Rejected, undefined and missing inputs",
        "FDA App. C (validation of pre-processing); TRIPOD+AI 11; CLAIM (missing data)",
        ("Quality control before the model, and what it rejects",),
    ),
    Entry(
        "Adversarial robustness and security",
        "AI Act 15(5); FDA XII; ISO/IEC 24029-2 (formal methods; not claimed here)",
        ("Threat model and security measures of the product",),
    ),
    Entry(
        "Verdicts, limits and residual risk",
        "FDA VII (risk file); ISO 14971; AI Act 9(5), 13(3)(b)",
        ("Residual risk and its acceptance", "Limits stated in the instructions for use"),
    ),
    Entry(
        "Monitoring plan",
        "FDA XI; AI Act 72; GMLP 10; FUTURE-AI Traceability; BS 30440 (monitoring phase)",
        ("Gates file and who acts when a gate fails", "Events that trigger a new run"),
    ),
    Entry(
        "Reproducibility and signature",
        "AI Act Annex IV 2(g) (test logs and reports dated and signed); MI-CLAIM 6; CLAIM; TRIPOD+AI 18",
        ("Name, role and signature of the responsible person", "Date of signature"),
    ),
)
