"""The texts that the regulatory edition refers to: edition, items, where they are answered, how they were read."""

from __future__ import annotations

from typing import NamedTuple

# How far an item number can be trusted. Nothing here replaces the text that a submitter works with.
TEXT = "item numbers read in the text"
CATALOGUE = "clause titles read in a catalogue; to be checked against the text, which is sold"
SECONDARY = "read in secondary sources; item numbers to be checked against the text"


class Source(NamedTuple):
    """One text; `sections` are the numbers of the report's sections that answer its items."""

    name: str
    edition: str
    items: str
    sections: tuple[int, ...]
    checked: str


SOURCES: tuple[Source, ...] = (
    Source(
        "FDA: AI-enabled device software functions, lifecycle management and marketing submission recommendations",
        "draft guidance of 7 January 2025, docket FDA-2024-D-4488; no final form was known in mid-2026",
        "V, VII, VIII, IX, X.A, XI, XII, App. C, App. E",
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14),
        TEXT,
    ),
    Source(
        "FDA: marketing submission recommendations for a predetermined change control plan (PCCP), AI-enabled devices",
        "final guidance of 4 December 2024, issued again on 18 August 2025",
        "modification protocol (performance evaluation), impact assessment",
        (3, 14),
        SECONDARY,
    ),
    Source(
        "IMDRF: good machine learning practice (GMLP), guiding principles",
        "IMDRF/AIML WG/N88 FINAL:2025, January 2025; ten principles, as first issued in October 2021",
        "3 representative data, 4 independent test data, 5 reference standards, 8 clinically relevant conditions, 9"
        " information for users, 10 monitoring",
        (4, 7, 13, 14),
        SECONDARY,
    ),
    Source(
        "EU AI Act, Regulation (EU) 2024/1689",
        "in force since 1 August 2024; as amended by Regulation (EU) 2026/1744 (Digital Omnibus on AI, Official Journal"
        " of 24 July 2026) its rules for high-risk systems apply to medical devices (Annex I) from 2 August 2028, to"
        " the uses of Annex III from 2 December 2027",
        "Art. 9(2), 9(5), 9(8); 10; 11 with Annex IV 1, 2(d), 2(g), 3; 12; 13(3)(b); 14; 15(1), 15(3), 15(4), 15(5);"
        " 72",
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15),
        "articles read in the text of 2024; the dates of 2026 in secondary sources, to be checked against the text",
    ),
    Source(
        "Medical device regulation (MDR), Regulation (EU) 2017/745",
        "applies since 26 May 2021",
        "Annex I 17.1 repeatability, reliability, performance; 17.2 verification and validation; 17.4 hardware and IT"
        " security",
        (8, 12, 13, 15),
        SECONDARY,
    ),
    Source(
        "MDCG 2025-6 / AIB 2025-1, interplay of MDR, IVDR and the AI Act",
        "June 2025",
        "answers on data governance, on accuracy, robustness and cybersecurity, on testing, on post-market monitoring",
        (4, 7, 12, 14),
        SECONDARY,
    ),
    Source(
        "IEC 62304, medical device software life cycle (with ISO 13485 for the validation of tools)",
        "IEC 62304:2006+A1:2015; ISO 13485:2016",
        "validation of the software that makes this evidence: the table “Validation of this suite” in section 15",
        (15,),
        "to be checked against the text, which is sold",
    ),
    Source(
        "ISO/IEC TR 24029-1, robustness of neural networks, overview",
        "2021",
        "goals and plan of a robustness assessment; statistical methods",
        (2, 3, 7),
        "to be checked against the text, which is sold",
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
        "2022",
        "data and leakage, statistical significance",
        (4, 5),
        "to be checked against the text, which is sold",
    ),
    Source(
        "CLAIM, checklist for AI in medical imaging, 2024 update",
        "Tejani et al. 2024, doi:10.1148/ryai.240300",
        "items on data, reference standard, model, robustness or sensitivity analysis, failure analysis",
        (1, 3, 4, 5, 6, 7, 10, 11, 15),
        "to be checked against the text: item numbers of the update were not read",
    ),
    Source(
        "TRIPOD+AI, reporting of prediction models",
        "Collins et al., 16 April 2024, doi:10.1136/bmj-2023-078378; 27 items",
        "5-9, 10, 11, 12, 14, 15, 18, 23, 23a",
        (1, 3, 4, 5, 9, 11, 15),
        SECONDARY,
    ),
    Source(
        "ISO 14971, risk management", "2019", "residual risk", (13,), "to be checked against the text, which is sold"
    ),
    Source(
        "FUTURE-AI, MI-CLAIM, DECIDE-AI, BS 30440, ISO/IEC DIS 24029-3",
        "as the submitter uses them",
        "robustness, universality, traceability; model examination; failure analysis",
        (2, 6, 7, 8, 9, 10, 14, 15),
        SECONDARY,
    ),
    Source(
        "Model cards (Mitchell et al. 2019), Metrics Reloaded (Maier-Hein et al. 2024)",
        "doi:10.1145/3287560.3287596, doi:10.1038/s41592-023-02151-z",
        "model card, disaggregated results; overlap and boundary metrics",
        (1, 5, 9),
        TEXT,
    ),
)
