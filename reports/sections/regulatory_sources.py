"""The texts that the regulatory edition refers to: edition, items, where they are answered, how they were read."""

from __future__ import annotations

from dataclasses import dataclass

# How far an item number can be trusted. Nothing here replaces the text that a submitter works with.
CATALOGUE = "clause titles read in a catalogue; to be checked against the text, which is sold"
FILLED_IN = "item numbers read in checklists that others filled in, not in the publication"
SECONDARY = "read in secondary sources; item numbers to be checked against the text"
SOLD = "not read; to be checked against the text, which is sold"


@dataclass(frozen=True)
class Source:
    """One text; `sections` are the numbers of the report's sections that answer its items."""

    name: str
    edition: str
    items: str
    sections: tuple[int, ...]
    checked: str


SOURCES: tuple[Source, ...] = (
    Source(
        "FDA: AI-enabled device software functions, lifecycle management and marketing submission recommendations",
        "draft guidance of 7 January 2025, docket FDA-2024-D-4488; still a draft in sources of August 2026",
        "V, VII, VIII, IX, X.A, XI, XII, App. C, App. E",
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14),
        "sections VII to XII, App. C and App. E read in transcriptions of the draft, V by its title",
    ),
    Source(
        "FDA: marketing submission recommendations for a predetermined change control plan (PCCP), AI-enabled devices",
        "final guidance of 4 December 2024, issued again on 18 August 2025",
        "modification protocol (performance evaluation), impact assessment",
        (3, 14),
        "dates and the names of its three parts read in several law firms' notes; not read in the text",
    ),
    Source(
        "IMDRF: good machine learning practice (GMLP), guiding principles",
        "IMDRF/AIML WG/N88 FINAL:2025, 29 January 2025; ten principles, nearly as first issued in October 2021",
        "3 representative data, 4 independent test data, 5 reference standards, 8 clinically relevant conditions, 9"
        " information for users, 10 monitoring",
        (4, 7, 13, 14),
        "the ten principles read in summaries that agree; not read in the text",
    ),
    Source(
        "EU AI Act, Regulation (EU) 2024/1689",
        "in force since 1 August 2024; as amended by Regulation (EU) 2026/1744 (Digital Omnibus on AI, Official Journal"
        " of 24 July 2026, in force since 27 July 2026) its rules for high-risk systems apply to medical devices"
        " (Annex I) from 2 August 2028, to the uses of Annex III from 2 December 2027",
        "Art. 9(2), 9(5), 9(8); 10; 11 with Annex IV 1, 2(d), 2(g), 3; 13(3)(b); 14; 15(1), 15(3), 15(4), 15(5); 72."
        " Not Art. 12: it asks for logs that the system in use writes by itself, and the records of an audit are none",
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15),
        "Art. 9, 13(3)(b)(ii), 15(1) to (5) and Annex IV 2(g) read in copies of the text of 2024; the other items and"
        " the dates of 2026 in secondary sources",
    ),
    Source(
        "Medical device regulation (MDR), Regulation (EU) 2017/745",
        "applies since 26 May 2021",
        "Annex I 17.1 repeatability, reliability, performance; 17.2 verification and validation; 17.4 hardware and IT"
        " security",
        (8, 12, 13, 15),
        "numbers and subjects read in the table of MDCG 2019-16, 17.1 in quotations; not read in the text",
    ),
    Source(
        "MDCG 2025-6 / AIB 2025-1, interplay of MDR, IVDR and the AI Act",
        "June 2025 (published 19 June 2025)",
        "answers on data governance, on accuracy, robustness and cybersecurity, on testing, on post-market monitoring",
        (4, 7, 12, 14),
        "title page, and the topics in summaries that agree; the answers were not read",
    ),
    Source(
        "ISO 13485, quality management systems, with ISO/TR 80002-2, validation of software used in them",
        "ISO 13485:2016; ISO/TR 80002-2:2017",
        "ISO 13485 4.1.6: validation of the software that makes this evidence, the table “Validation of this suite” in"
        " section 15",
        (15,),
        SOLD,
    ),
    Source(
        "IEC 62304, medical device software life cycle",
        "IEC 62304:2006+A1:2015",
        "context only: the life cycle of the device's own software, not the validation of tools",
        (15,),
        SOLD,
    ),
    Source(
        "ISO/IEC TR 24029-1, robustness of neural networks, overview",
        "2021; part 3 on statistical methods is a draft (DIS of December 2025)",
        "goals and plan of a robustness assessment; statistical methods. Part 3: specification of expected behaviour,"
        " robustness by performance drops, response to a perturbation",
        (2, 3, 7),
        CATALOGUE,
    ),
    Source(
        "ISO/IEC 24029-2, methodology for the use of formal methods",
        "2023",
        "5.3 stability, 5.4 sensitivity, 5.5 relevance, 5.6 reachability: not claimed, no formal proof is made here",
        (12,),
        CATALOGUE,
    ),
    Source(
        "ISO/IEC TS 4213, assessment of classification performance",
        "October 2022; under revision since 2025",
        "5.3.2 representativeness and bias, 5.3.7 information leakage, 5.3.8 channel effects, 5.3.13 baselines; 6"
        " statistical measures of performance",
        (4, 5),
        CATALOGUE,
    ),
    Source(
        "CLAIM, checklist for AI in medical imaging, 2024 update",
        "Tejani et al. 2024, doi:10.1148/ryai.240300; 44 items",
        "7-13 data, 12 missing data, 14-18 reference standard, 19-20 partitions, 21 sample size, 22-27 model, 28"
        " metrics, 29 uncertainty, 30 robustness or sensitivity analysis, 35-36 cases, 37-38 performance, 39 failure"
        " analysis, 40 limits, 42-43 protocol and availability",
        (1, 3, 4, 5, 6, 7, 10, 11, 13, 15),
        FILLED_IN,
    ),
    Source(
        "TRIPOD+AI, reporting of prediction models",
        "Collins et al., 16 April 2024, doi:10.1136/bmj-2023-078378; 27 items",
        "5-9 data, participants, outcome, predictors; 10 sample size; 11 missing data; 12 analysis; 14 fairness; 15"
        " model output; 18 open science; 23a performance with intervals and by subgroup",
        (1, 3, 4, 5, 9, 11, 15),
        FILLED_IN,
    ),
    Source("ISO 14971, risk management", "2019", "residual risk", (13,), SOLD),
    Source(
        "FUTURE-AI, MI-CLAIM, DECIDE-AI, BS 30440, ISO/IEC DIS 24029-3",
        "as the submitter uses them",
        "robustness, universality, traceability; model examination; failure analysis",
        (2, 6, 7, 8, 9, 10, 14, 15),
        SECONDARY,
    ),
    Source(
        "Model cards (Mitchell et al. 2019)",
        "doi:10.1145/3287560.3287596",
        "4.1 details, 4.2 intended use, 4.3 factors, 4.7 quantitative analyses, disaggregated",
        (1, 9),
        "section numbers read in a library's template of the paper; not read in the paper",
    ),
    Source(
        "Metrics Reloaded (Maier-Hein et al. 2024)",
        "doi:10.1038/s41592-023-02151-z",
        "an overlap metric together with a boundary metric",
        (5,),
        "abstract, a figure and others' accounts read; not read in the paper",
    ),
)
