"""Figures that are no number of objects: lengths, shares, grades, scores, levels, clock hours, times, ages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Mark(NamedTuple):
    """A value at characters [start, stop) that its form alone tells; `group` is how the grammar treats its tokens."""

    kind: str
    start: int
    stop: int
    group: str
    role: str = "target"


_N = r"(?<!\d)\d{1,7}(?:[.,]\d{1,4})?"
_UNIT = (
    r"(?:mm|cm|dm|µm|μm|um|nm|m|ml|cc|l|dl|mg|g|kg|hu|ms|sec|s|mins?|h|khz|mhz|hz|kv|kvp|mas|ma|db|mmhg|mpa|kpa|cm2|mm2|"
    r"cm²|mm²|cm3|mm3|cm³|mm³|millimet(?:er|re)s?|centimet(?:er|re)s?|micromet(?:er|re)s?|microns?|inch(?:es)?|"
    r"dioptres?|diopters?|degrees?|°|suv|ppm|bpm|m/s|cm/s|tesla|t)(?![\w²³])"
)
_SCORE = (
    r"(?:bi-?rads|pi-?rads|li-?rads|ti-?rads|o-?rads|lung-?rads|c-?rads|ni-?rads|vi-?rads|gleason|bosniak|fazekas|likert|"
    r"kellgren[ -]lawrence|spetzler[ -]martin|aspects|breslow|clark|fitzpatrick|paris|forrest|mayo|nottingham|fuhrman|"
    r"isup|who|weber|garden|salter[ -]harris|schatzker|child[ -]pugh|wagner|outerbridge|pfirrmann|modic|asa|ao|nyha|"
    r"ecog|agatston|hinchey|todani|stanford|debakey|kudo(?: type)?|nice|braden|deauville|ann arbor|figo|tnm|"
    r"hunt[ -]hess|fisher|marshall|meary|risser|tanner|norwood|apgar|ki-?67 index|suvmax|signal strength|trimester)"
)
_RANK = r"(?:grade|stage|score|class|category|type|level|index|pattern|gr\.?)"
_ROMAN = r"(?:[IVX]{1,4}[a-fA-F]?)"
_MEASURES = re.compile(
    "|".join(
        (
            rf"(?P<dims>{_N}\s*(?:{_UNIT})?(?:\s*(?:x|×|by)\s*{_N}\s*(?:{_UNIT})?){{1,2}}\s*-?\s*{_UNIT})",
            rf"(?P<biometry>\b(?:CRT|CST|CMT|CFT|RNFL|CRL|BPD|EFW|LVEF|EF|IMT|CTR|NT|GSD|RVSP|PSV|MSD|FLD)\s*[:=]?\s*(?:of\s+)?{_N}\s*(?:%|{_UNIT})?)",
            rf"(?P<range>{_N}\s*(?:-|–|to)\s*{_N}\s*-?\s*{_UNIT})",
            rf"(?P<spelled>\b(?:half|quarter|one|two|three|four|five|six|seven|eight|nine|ten)-{_UNIT})",
            rf"(?P<length>{_N}\s*-?\s*{_UNIT}(?:[ -](?:long|wide|thick|deep|tall|high|diameter))?)",
            r"(?P<rate>(?:\bper|\bin|/)\s*(?:\d+|two|three|five|ten|twenty)\s*"
            r"(?:hpfs?|high[- ]power(?:ed)? fields?|fields?|mm2|mm²|cells|beats)\b"
            r"|\bper\s+(?:hpf|(?:high|low|medium)[- ]power(?:ed)?\s+field)\b)",
            r"(?P<share>(?<!\d)\d{1,7}(?:[.,]\d{1,4})?(?:\s?[-–]\s?\d{1,7})?\s?(?:%|percent\b|per cent\b))",
            rf"(?P<score>\b{_SCORE}(?:\s+{_RANK})?\s*[:=]?\s*(?:of\s+)?(?:(?:0-?)?I[a-z]{{0,3}}(?:\s?\+\s?I[a-z]{{0,3}})?|\d\w?(?:\.\d)?(?:\s*[+/]\s*\d+)?(?:\s*=\s*\d+)?|{_ROMAN}|[A-D])(?![\w])(?:\s?mm\b|\s?%)?)",
            rf"(?P<named>\b(?-i:[A-Z][\w-]+)(?:[ -](?-i:[A-Z][\w-]+))?\s+{_RANK}\s*[:=]?\s*(?:of\s+)?"
            r"(?:\d+(?:\.\d+)?(?:\s*/\s*\d+)?|(?-i:[A-D]))(?![\w.]\d|\w))",
            rf"(?P<grade>\b{_RANK}\s*[:=]?\s*(?:\d[a-d]?|{_ROMAN}|(?-i:[A-D]))(?:\s*[-–/]\s*(?:\d[a-d]?|{_ROMAN}))?(?![\w.]\d|\w))",
            r"(?P<degree>\b(?:first|second|third|fourth|1st|2nd|3rd|4th)[- ]degree\b)",
            rf"(?P<unit>\b(?:{_N}|half an?|one|two|three|four|five)\s+(?:disc|disk|finger|rib|vessel|optic disc)[ -]"
            r"(?:diameters?|areas?|breadths?|widths?)\b)",
            r"(?P<uptake>\bSUV(?:max)?\s*[:=]?\s*(?:of\s+)?\d+(?:\.\d+)?)",
            r"(?P<stage>\b(?-i:[pcy]{1,2}T[0-4][a-d]?|G[1-4])(?![\w-]))",
            r"(?P<tnm>\bp?[TNM][0-4][a-c]?(?:N[0-3][a-c]?)(?:M[01x])?\b)",
            r"(?P<slice>\b(?:(?:image|slice|frame|series|page|figure|fig\.?)\s+(?:no\.?\s*)?|no\.\s*)\d+(?:\s*(?:of|/)\s*\d+)?)",
            r"(?P<plus>\d\+(?:\s?/\s?\d\+?)?|\b\d+\s?/\s?\d+\b|\b\d of \d+\b)",
            r"(?P<zoom>\b\d+\s?[x×](?:\s+(?:objective|magnification))?(?!\w)|\b[x×]\s?\d+\b(?:\s+oil\b)?)",
            r"(?P<bvalue>\bb[- ]?(?:value)?\s*[=:]?\s*\d{2,4}\b|\b(?:TE|TR|TI)\s*[=:]?\s*\d+)",
            r"(?P<time>\b(?:(?:post-?op(?:erative)?\s+)?(?:day|week|month|hour|year)s?\s+\d+"
            r"|\d+(?:\s?[-–]\s?\d+)?[ -](?:weeks?|days?|months?|hours?|hrs?|minutes?|years?|yrs?)(?:'|\b)(?![ -]old)))",
            r"(?P<ratio>\b\d+\s?:\s?\d+\b(?!\s*(?:o'?clock|position)))",
        )
    ),
    re.IGNORECASE,
)
_HOUR = r"(?:\d{1,2}(?:[:.]\d\d)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_CLOCK = re.compile(
    rf"\b(?:{_HOUR}\s*(?:-|\u2013|to|and)\s*)?{_HOUR}\s*(?:o\s?['\u2019]?\s?clock)(?: position)?"
    r"|\b\d{1,2}:\d\d(?: position)?",
    re.IGNORECASE,
)
_SEX = re.compile(r"(?:(?<=\by/o )|(?<=\byo )|(?<=\by\.o\. )|(?<=-year-old )|(?<=\byrs ))[MF]\b")
_AGE = re.compile(
    r"\b(?:\d{1,3}|[a-z]+(?:-[a-z]+)?)[- ](?:years?|yrs?|months?|weeks?|days?)[- ]old\b|\baged \d{1,3}\b"
    r"|\b\d{1,3}\s?(?:y/o|yo|y\.o\.)(?!\w)",
    re.IGNORECASE,
)
_VERTEBRA = r"(?:C[1-8]|T(?:h)?(?:1[0-2]|[1-9])|L[1-6]|S[1-5])"
_LEVEL = re.compile(
    rf"(?<![\w-]){_VERTEBRA}(?:\s?(?:-|/|–|(?i:to|and|through))\s?(?:[CTLS])?\d{{1,2}})*(?:\s+(?:vertebrae?|level))?(?![\w-]*\w)"
)
_SEGMENT = re.compile(
    r"\b(?:(?:hepatic|liver|lung|bronchopulmonary|couinaud|coronary|nodal|station)\s+)?"
    r"(?:segments?|seg\.?|station|levels?|zones?|lobule|quadrant|sector)\s*(?:\d+[ablr]?|[IVX]+[ab]?)"
    r"(?:\s?(?:/|-|–|and|,)\s?(?:\d+[ablr]?|[IVX]+[ab]?))*(?!\w)",
    re.IGNORECASE,
)
# Without a range or a level word before it, these name a sequence of MRI.
_SEQUENCE = frozenset({"T1", "T2"})
_SPINAL = re.compile(r"(?:\bat|\blevel|\bof|\bvertebrae?|\bbody|\broot|\bfrom|\bto)\s*$", re.IGNORECASE)
_TISSUE = re.compile(r"\b(?:breast|areola|nipple|mammary|prostate|cervix|anal|anus)", re.IGNORECASE)


def measures(text: str) -> Iterator[Mark]:
    """Yield the figures of `text` that are no number of objects; none overlaps an earlier one."""
    taken = bytearray(len(text))
    for mark in _all(text):
        if not any(taken[mark.start : mark.stop]):
            taken[mark.start : mark.stop] = b"\1" * (mark.stop - mark.start)
            yield mark


_QUALITY = re.compile(
    r"\b(?:(?:low|poor|good|high|fair|adequate)\s+)?"
    r"(?:signal strength|signal(?=[ :=]+\d+\s?/\s?10)|"
    r"image quality|quality score|signal-to-noise ratio|SNR)(?:\s+index)?\s*(?:of\s+|[:=]\s*)?"
    r"(?:\(\s*\d+(?:\.\d+)?(?:\s?/\s?\d+)?\s*\)|\d+(?:\.\d+)?(?:\s?/\s?\d+)?)",
    re.IGNORECASE,
)


def _all(text: str) -> Iterator[Mark]:
    for match in _QUALITY.finditer(text):
        yield Mark("quality", *match.span(), "scan", "scan")
    # The hours of a breast are places in the patient, those of a lumen or an image are not.
    kind = "place" if _TISSUE.search(text) else "location"
    for match in _CLOCK.finditer(text):
        yield Mark(kind, *match.span(), "clock")
    for match in _AGE.finditer(text):
        yield Mark("age", *match.span(), "patient", "patient")
    for match in _SEX.finditer(text):
        yield Mark("sex", *match.span(), "patient", "patient")
    for match in _LEVEL.finditer(text):
        if match.group() in _SEQUENCE and not _SPINAL.search(text, max(0, match.start() - 16), match.start()):
            continue
        yield Mark("place", *match.span(), "level")
    for match in _SEGMENT.finditer(text):
        yield Mark("place", *match.span(), "level")
    for match in _MEASURES.finditer(text):
        if match.lastgroup == "length" and re.fullmatch(r"\d(?:\.\d)?\s?-?(?:t|tesla)", match.group(), re.IGNORECASE):
            yield Mark("modality", *match.span(), "scan", "scan")
            continue
        start, stop = match.span()
        role = "scan" if match.lastgroup in ("zoom", "bvalue", "slice") else "target"
        yield Mark("measure", start, stop, "measure", role)
