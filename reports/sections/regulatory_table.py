"""The fifteen sections of the regulatory edition: their order, who asks for each, and what only a submitter knows."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One section; `blanks` are the questions that no run can answer, with their key in ``[report]``."""

    title: str
    asked_by: str
    blanks: tuple[tuple[str, str], ...]


ENTRIES: tuple[Entry, ...] = (
    Entry(
        "Identity",
        "FDA V, IX, App. E (model card); AI Act Annex IV 1; model cards (Mitchell 2019) 4.1-4.3; CLAIM 22-27;"
        " TRIPOD+AI 15",
        (
            ("intended_use", "Intended use and indications"),
            ("intended_users", "Intended users and setting"),
            ("device", "Device name and version under review"),
            ("prompt_source", "Prompt template in the product, and who writes the prompt"),
        ),
    ),
    Entry(
        "Foreseeable variations and expected behaviour",
        "FDA X.A (reasonably foreseeable changes in input data and conditions of use), VII; AI Act 9(2), 15(4); ISO/IEC"
        " TR 24029-1, DIS 24029-3; FUTURE-AI Robustness 1; BS 30440",
        (
            (
                "variations_reason",
                "Why these variations are the foreseeable ones for the intended use (link to the risk file)",
            ),
            ("variations_missing", "Foreseeable variations that are not in this list"),
        ),
    ),
    Entry(
        "Prespecified analysis plan",
        "FDA X.A (statistical analysis plan), App. C; PCCP (modification protocol); AI Act 9(8) (prior defined metrics"
        " and probabilistic thresholds); CLAIM 21, 28-29; TRIPOD+AI 10, 12",
        (
            ("registration", "Where and when the plan was registered before the run"),
            ("margin_reason", "Clinical reason for each margin"),
            ("sample_size", "Planned sample size and its reason"),
        ),
    ),
    Entry(
        "Test data",
        "FDA VIII; AI Act 10, Annex IV 2(d) and (g); GMLP 3-5; CLAIM 7-20, 35-36; MI-CLAIM 1-2; TRIPOD+AI 5-9;"
        " ISO/IEC TS 4213 clause 5.3",
        (
            ("sites", "Sites, scanners and acquisition dates"),
            ("demographics", "Demographics"),
            ("independence", "Independence from training data, and how it was checked"),
            ("reference_standard", "Reference standard: readers, their training, and their disagreement"),
        ),
    ),
    Entry(
        "Performance on unchanged input",
        "FDA App. E (metrics with two-sided 95% confidence intervals); AI Act 15(3), 13(3)(b)(ii); CLAIM 37-38;"
        " TRIPOD+AI 23a; Metrics Reloaded; ISO/IEC TS 4213 clauses 5.3.13 (baselines), 6",
        (("acceptance", "Acceptance criterion and its source"),),
    ),
    Entry(
        "Prompt reliance and stability under paraphrase",
        "points that no guidance names by itself: FDA X.A (conditions of use), AI Act 15(4) (inconsistencies,"
        " interaction with persons) and 9(2)(b) (foreseeable misuse); CLAIM 30; MI-CLAIM 5",
        (
            ("safety_words", "Which words the product relies on for safety"),
            ("user_information", "Information for the user about words that the model ignores"),
        ),
    ),
    Entry(
        "Robustness to image changes",
        "FDA X.A, App. C (sensitivity to data perturbation); GMLP 8; AI Act 15(1) and (4); ISO/IEC TR 24029-1, DIS"
        " 24029-3; FUTURE-AI Robustness 3; CLAIM 30; BS 30440",
        (("severity_meaning", "How the severities relate to the acquisition in use"),),
    ),
    Entry(
        "Repeatability and reproducibility",
        "FDA X.A, App. C (model precision); AI Act 15(1) (consistency); MDR Annex I 17.1; FUTURE-AI Traceability",
        (("product_hardware", "Results on the hardware of the product"),),
    ),
    Entry(
        "Subgroups and sites",
        "FDA X.A (subgroup plan); AI Act Annex IV 2(g), 3; FUTURE-AI Fairness 3, Universality; TRIPOD+AI 14, 23a; model"
        " cards 4.7 (disaggregated)",
        (("subgroups_missing", "Subgroups that matter for the intended use and are not in the data"),),
    ),
    Entry(
        "Failure analysis",
        "CLAIM 39 (failure analysis); FDA App. E (known biases or failure modes); AI Act Annex IV 3; DECIDE-AI",
        (
            ("failure_consequence", "Clinical consequence of each kind of failure"),
            ("case_review", "Review of the worst cases by a clinician"),
        ),
    ),
    Entry(
        "Rejected, undefined and missing inputs",
        "FDA App. C (validation of pre-processing, cases missing not at random); TRIPOD+AI 11; CLAIM 12 (missing data)",
        (("quality_control", "Quality control before the model, and what it rejects"),),
    ),
    Entry(
        "Adversarial robustness and security",
        "AI Act 15(5) (adversarial examples; nothing here on data or model poisoning); FDA XII; MDR Annex I 17.2, 17.4;"
        " MDCG 2025-6; ISO/IEC 24029-2 (formal methods: no evidence in any run)",
        (
            ("threat_model", "Threat model and security measures of the product"),
            ("training_data_control", "Where training data and weights came from, and who could have changed them"),
        ),
    ),
    Entry(
        "Verdicts, limits and residual risk",
        "FDA VII (risk file); ISO 14971; AI Act 9(5), 13(3)(b), 14 (human oversight); MDR Annex I 17.2; GMLP 9; CLAIM"
        " 40",
        (
            ("residual_risk", "Residual risk and its acceptance"),
            ("stated_limits", "Limits stated in the instructions for use"),
        ),
    ),
    Entry(
        "Monitoring plan",
        "FDA XI; PCCP (impact assessment); AI Act 72; MDCG 2025-6; GMLP 10; FUTURE-AI Traceability; BS 30440"
        " (monitoring phase)",
        (
            ("gates_owner", "Gates file and who acts when a gate fails"),
            ("retest_triggers", "Events that trigger a new run"),
        ),
    ),
    Entry(
        "Reproducibility and signature",
        "AI Act Annex IV 2(g) (test logs and reports dated and signed); ISO 13485 4.1.6 and ISO/TR 80002-2 (validation"
        " of the software that made this evidence); IEC 62304 (life cycle of the device's software: context, no"
        " evidence); MI-CLAIM 6; CLAIM 42-43; TRIPOD+AI 18",
        (
            ("responsible", "Name, role and signature of the responsible person"),
            ("contact", "Contact for questions"),
            ("signed_off", "Date of signature"),
        ),
    ),
)
