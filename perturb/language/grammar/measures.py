"""Figures that are no number of objects: lengths, shares, grades, scores, levels, clock hours, times, ages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from robustness.perturb.language.grammar.tokens import NO_GAUGE, Token
from robustness.perturb.language.grammar.vocabulary import category_of, words
from robustness.perturb.language.ontology.modifiers import pairs


class Mark(NamedTuple):
    """A value at characters [start, stop) that its form alone tells; `group` is how the grammar treats its tokens."""

    kind: str
    start: int
    stop: int
    group: str
    role: str = "target"


_N = r"(?<!\d)\d{1,7}(?:[.,]\d{1,4})?"
_UNIT = (
    r"(?:mmol/kg|m[gl]/kg|ml/m2|ml/m²|g/m2|g/m²|mm|cm|dm|µm|μm|um|nm|m|ml|cc|l|dl|mg|g|kg|hu|ms|sec|s|mins?|h|khz|mhz|hz|kv|kvp|mas|ma|db|mmhg|mpa|kpa|cm2|mm2|"
    r"cm²|mm²|cm3|mm3|cm³|mm³|millimet(?:er|re)s?|centimet(?:er|re)s?|micromet(?:er|re)s?|microns?|inch(?:es)?|"
    r"dioptres?|diopters?|deg(?:rees?)?|°|suv|ppm|bpm|m/s|cm/s|tesla|t)(?![\w²³])"
)
_SCORE = (
    r"(?:bi-?rads|pi-?rads|li-?rads|ti-?rads|o-?rads|lung-?rads|c-?rads|ni-?rads|vi-?rads|gleason|bosniak|fazekas|likert|"
    r"kellgren[ -]lawrence|spetzler[ -]martin|aspects|breslow|clark|fitzpatrick|paris|forrest|mayo|nottingham|fuhrman|"
    r"jnet|hurley|killip|timi|tici|gustilo|mallampati|prague|marsh|"
    r"isup|who|weber|garden|salter[ -]harris|schatzker|child[ -]pugh|wagner|outerbridge|pfirrmann|modic|asa|ao|nyha|"
    r"ecog|agatston|hinchey|todani|stanford|debakey|kudo(?: type)?|nice|braden|deauville|ann arbor|figo|tnm|"
    r"hunt[ -]hess|fisher|marshall|meary|risser|tanner|norwood|apgar|ki-?67 index|suvmax|signal strength|trimester)"
)
# Quantities that reports name by their abbreviation, before a figure with or without a unit.
_INDEX = (
    r"(?:CRT|CST|CMT|CFT|RNFL|CRL|BPD|EFW|LVEF|EF|IMT|CTR|NT|GSD|RVSP|PSV|MSD|FLD|TAPSE|CDR|AVA|MVA|LAVI|LVM|GLS|PVR|"
    r"ABI|TBSA|AFI|BMI|ECV|RWT|FAZ|LVIDd|LVIDs|EDV|ESV|LVEDV|LVESV|EROA|RI|PI|MES|Qp\s?[:/]\s?Qs|RV\s?[:/]\s?LV|E/[eE]'|E/A|"
    r"(?:AV|A:V|L/S|S/D) ratio|Hounsfield units?|(?:alpha|beta)(?:\s+angle)?)"
)
_RANK = r"(?:grade|stage|score|class|category|type|level|index|pattern|cat|gr\.?)"
_ROMAN = r"(?:[IVX]{1,4}[a-fA-F]?)"
_MEASURES = re.compile(
    "|".join(
        (
            rf"(?P<dims>{_N}\s*(?:{_UNIT})?(?:\s*(?:x|×|by)\s*{_N}\s*(?:{_UNIT})?){{1,2}}\s*-?\s*{_UNIT})",
            rf"(?P<biometry>\b{_INDEX}\s*[:=]?\s*(?:of\s+)?(?:(?:visually|around|about|approx\.?)\s+)?[-~<>]?"
            rf"(?:{_N}|(?<!\d)\.\d{{1,2}})(?:\s*(?:%|{_UNIT}))?)",
            r"(?P<density>\b(?:(?:ACR|BI-?RADS)\s+)?(?:breast\s+)?density\s+(?:type\s+)?[a-d]\b)",
            r"(?P<points>\b\d{1,2}-point\s+(?:\w+\s+)?score\s*[:=]?\s*(?:of\s+)?\d{1,2}\b)",
            r"(?P<prep>\b(?-i:[A-Z]\w+)(?:\s+\w+)?\s+score\s*[:=]?\s*\d(?:-\d){1,3}\b|\bC\d{1,2}\s?M\d{1,2}\b)",
            r"(?P<discs>(?<![\d.])\d(?:\s?/\s?\d|\.\d)?\s?(?-i:DD|DA)\b)",
            rf"(?P<range>{_N}\s*(?:-|–|to)\s*{_N}\s*-?\s*{_UNIT})",
            rf"(?P<spelled>\b(?:half|quarter|one|two|three|four|five|six|seven|eight|nine|ten)-{_UNIT})",
            rf"(?P<length>(?:{_N}|(?<![\d.])\.\d{{1,2}})\s*-?\s*{_UNIT}"
            r"(?:[ -](?:long|wide|thick|deep|tall|high|diameter))?)",
            r"(?P<rate>(?:\bper|\bin|/)\s*(?:\d+|two|three|five|ten|twenty)\s*"
            r"(?:hpfs?|high[- ]power(?:ed)? fields?|fields?|mm2|mm²|cells|beats)\b"
            r"|(?:\bper\s+|/\s?)(?:hpf|(?:high|low|medium)[- ]power(?:ed)?\s+field)\b)",
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
            r"(?P<plain>(?<![\d.,:/x×-])\d{1,3}\s?[x×]\s?\d{1,3}(?:\s?[x×]\s?\d{1,3})?(?![\d.:]|\w)"
            r"|(?<![\w.,:/-])\d{1,3}\.\d{1,2}(?![\w.:]))",
            r"(?P<zoom>\b\d+\s?[x×](?:\s+(?:objective|magnification))?(?!\w)|\b[x×]\s?\d+\b(?!\s*(?:mm|cm|m)\b)(?:\s+oil\b)?)",
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
    r"|\b\d{1,3}\s?(?:y/o|yo|y\.o\.)(?!\w)|\b\d{1,3} ?y(?=\s*(?:[,;:.]|$))",
    re.IGNORECASE,
)
# What a map of diffusion shows, no quality of it.
_DIFFUSION = re.compile(
    r"\b(?P<adc>(?:low|high|reduced|increased|decreased) ADC)\b(?! maps?\b)"
    r"|\b(?:shows?|demonstrates?|exhibits?|has|have|with)\s+(?P<way>(?:restricted|restricting|facilitated) diffusion)\b"
    r"|(?<=, )(?P<last>(?:low|high|intermediate)[ -](?:T1|T2|STIR|FLAIR|PD)[ -]signal(?: intensity)?)(?=\s*[,.;]|$)"
    r"|\b(?P<weight>(?:low|high|intermediate)[ -](?:T1|T2|STIR|FLAIR|PD)[ -]signal(?: intensity)?)"
    r"(?=\s+(?!(?:in|of|within|at|on|along|throughout|is|are|and|with|seen)\b)[a-z])",
    re.IGNORECASE,
)
_PROPORTION = re.compile(r"\b(?:tall|wid|long|deep|broad)er than (?:wide|tall|long|deep|broad)\b", re.IGNORECASE)
_PERSON = re.compile(
    r"(?:^|(?<=[.;] )|(?<=\b[aA] ))\s*(?:(?P<age>\d{1,3})\s?/?\s?(?P<sex>[MF])|(?P<sex2>[MF])\s?/?\s?(?P<age2>\d{2,3}))"
    + NO_GAUGE
)
_VERTEBRA = r"(?:C[1-8]|T(?:h)?(?:1[0-2]|[1-9])|L[1-6]|S[1-5])"
_LEVEL = re.compile(
    rf"(?<![\w-])(?:D[1-9]\d?(?=\s?(?:-|/|–|to|and)\s?D?(?:1[0-2]|[1-9])(?!\d))|{_VERTEBRA})(?:\s?(?:-|/|–|(?i:to|and|through))\s?(?:[CDTLS])?\d{{1,2}})*(?:\s+(?:vertebrae?|level))?(?![\w-]*\w)"
)
_SEGMENT = re.compile(
    r"\b(?:(?:hepatic|liver|lung|bronchopulmonary|couinaud|coronary|nodal|station)\s+)?"
    r"(?:segments?|seg\.?|station|levels?|zones?|lobule|quadrant|sector)\s*(?:\d+[ablr]?|[IVX]+[ab]?)"
    r"(?:\s?(?:/|-|–|and|,)\s?(?:\d+[ablr]?|[IVX]+[ab]?)(?!\s?(?:[x×]|[.,]\d|by\b|mm\b|cm\b)))*(?!\w)",
    re.IGNORECASE,
)
_IMMUNOSTAIN = re.compile(r"(?<![\w-])(?:CK|CD|SOX|GATA|TTF-?|PAX|S)\d{1,3}\s?(?:\+|-(?=\s|,|;|$))(?!\w)")
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


def compares_at(tokens: Sequence[Token], i: int, hi: int) -> bool:
    """Tell whether "larger than a fist", "two disc diameters below ..." begins at `i` behind a name."""
    if i + 1 < hi and tokens[i + 1].lower == "than" and tokens[i].lower.endswith(("er", "more", "less")):
        return True
    return tokens[i].lower in words("classes.counting") and category_of(tokens[i - 1].lower) == "finding"


# "wounds x3": a figure behind a plural counts it, unless the text tells of a microscope.
_PLURAL = re.compile(r"[a-z]{3,}(?<![suioa])(?:s|ae)\s+$")
_MICROSCOPE = re.compile(
    r"\b(?:h\s?&\s?e|stain\w*|hpf|objective|oil|pas|ihc|ki-?67|histolog\w*|microscop\w*|smear|biopsy|magnif\w*|"
    r"glomerul\w+|crypts?|glands?|nuclei|mitos[ei]s|\w*cytes?|\w*cells)\b",
    re.IGNORECASE,
)


def _counts_before(text: str, match: re.Match[str]) -> bool:
    """Tell whether "x3" is a number of objects and no magnification."""
    counted = re.fullmatch(r"[x×]\s?[1-9]", match.group(), re.IGNORECASE)
    before = _PLURAL.search(text, max(0, match.start() - 24), match.start())
    return bool(counted and before) and not _MICROSCOPE.search(text)


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
    for match in _PERSON.finditer(text):
        for kind in ("age", "sex"):
            name = kind if match[kind] else f"{kind}2"
            yield Mark(kind, *match.span(name), "patient", "patient")
    for match in _SEX.finditer(text):
        yield Mark("sex", *match.span(), "patient", "patient")
    for match in _DIFFUSION.finditer(text):
        yield Mark("signal", *match.span(match.lastgroup or 0), "measure")
    for match in _PROPORTION.finditer(text):
        yield Mark("shape", *match.span(), "measure")
    for match in _IMMUNOSTAIN.finditer(text):
        yield Mark("modality", *match.span(), "scan", "scan")
    for match in _LEVEL.finditer(text):
        if match.group() in _SEQUENCE and not _SPINAL.search(text, max(0, match.start() - 16), match.start()):
            continue
        yield Mark("place", *match.span(), "level")
    for match in _SEGMENT.finditer(text):
        yield Mark("place", *match.span(), "level")
    for match in _MEASURES.finditer(text):
        if match.lastgroup == "zoom" and _counts_before(text, match):
            yield Mark("number", *match.span(), "measure")
            continue
        if match.lastgroup == "length" and re.fullmatch(r"\d(?:\.\d)?\s?-?(?:t|tesla)", match.group(), re.IGNORECASE):
            yield Mark("modality", *match.span(), "scan", "scan")
            continue
        start, stop = match.span()
        if match.lastgroup == "named":
            # "Haemorrhoids grade 2", "Sacral PU cat 3": the name of a finding is no system of grades.
            names = re.findall(r"[\w-]+ ", match.group())[:-1]
            last = max(
                (k for k, name in enumerate(names) if category_of(name.strip().lower()) == "finding"), default=-1
            )
            start += sum(map(len, names[: last + 1]))
        role = "scan" if match.lastgroup in ("zoom", "bvalue", "slice") else "target"
        yield Mark("measure", start, stop, "measure", role)


# Not the power of a unit ("mm2"), nor a figure inside a name ("Ki-67").
_FIGURE = re.compile(r"(?<![A-WYZa-wyz])(?<![A-Za-z]-)(?<![\d.,])\d+(?:[.,]\d+)?")
# The highest value of scores that end: another one lies below or above within them.
_MOST = {
    name: int(most)
    for name, most in pairs(
        "aspects>10; apgar>10; fazekas>3; kellgren-lawrence>4; pfirrmann>5; outerbridge>4; modic>3; wagner>5; mayo>3; "
        "hinchey>4; nyha>4; asa>5"
    ).items()
}
# Grades of tumours go from 1 to 3 or 4, so another one is the first, or for that the third.
_GRADE = re.compile(r"^(?:[\w-]+\s+){0,2}grade\s*(\d|[IV]{1,3})\b", re.IGNORECASE)
_ROMAN_RANK = re.compile(r"^(?:[\w-]+\s+){0,2}(?:stage|type|class|category|level)\s*([IV]{1,3})(?=[a-f]?$)")
_RANKED = re.compile(r"(?:stage|type|class|category|level|[A-Za-z-]*rads|gleason)", re.IGNORECASE)
_ZOOM = re.compile(r"(?:\d+\s?[x×](?:\s+(?:objective|magnification))?|[x×]\s?\d+)$", re.IGNORECASE)
# Objectives and magnifications that a microscope has.
_OTHER_ZOOM = {int(old): new for old, new in pairs("2>10; 4>20; 5>20; 10>40; 20>4; 40>10; 60>10; 63>10").items()}
_SHARE_WORDS = pairs("one third>two thirds; two thirds>one third; half>a tenth; a third>two thirds")


def other_measure(value: str) -> tuple[str, str] | None:
    """Return (another measure, why): figures are scaled alike, a grade or score becomes another one of its kind."""
    score = re.match(rf"({'|'.join(_MOST)})\D*(\d+)$", value, re.IGNORECASE)
    if score:
        most = _MOST[score[1].lower()]
        new = "1" if 2 * int(score[2]) > most else str(most)
        return value[: score.start(2)] + new, "another score within its range"
    for rank, other in ((_GRADE, ("3", "III")), (_ROMAN_RANK, ("4", "IV"))):
        if match := rank.match(value):
            is_first = match[1].lower() in ("1", "i")
            new = other[match[1].isalpha()] if is_first else "I" if match[1].isalpha() else "1"
            return value[: match.start(1)] + new + value[match.end(1) :], "another grade"
    if _RANKED.match(value):
        new = re.sub(r"\d+", lambda m: "1" if int(m[0]) > 2 else "4", value)
        return (new, "another grade") if new != value else None
    if _ZOOM.match(value.strip()):
        number = int("".join(filter(str.isdigit, value)))
        other_zoom = _OTHER_ZOOM.get(number, str(number // 4 if number > 100 else number // 10 or 1))
        return re.sub(r"\d+", other_zoom, value), "another magnification"
    figures = [float(f.replace(",", ".")) for f in _FIGURE.findall(value)]
    if not figures:
        shares = (re.sub(re.escape(o), n, value, flags=re.I) for o, n in _SHARE_WORDS.items() if o in value.lower())
        return next(((new, "another share") for new in shares), None)
    if re.fullmatch(r"0[.,]\d+", value) and max(figures) != 0.5:
        # A ratio of a part to its whole is at most 1.
        rest = f"{1 - figures[0]:.{len(value) - 2}f}"
        return rest.replace(".", value[1]), "the rest of the whole"
    return _other_fraction(value) or _scaled(value, 3.0 if max(figures) < 20 else 1 / 4)


def _other_fraction(value: str) -> tuple[str, str] | None:
    """Return another one of "2+", "2+/4" or "22 weeks", which have an end; None for other figures."""
    plus = re.fullmatch(r"([0-4])\+", value.strip())
    if plus:
        return "3+" if int(plus[1]) < 2 else "1+", "another score"
    share = re.fullmatch(r"(\d+)(\+?\s?/\s?)(\d+)(\+?)", value.strip())
    if share:
        top, most = int(share[1]), int(share[3])
        other = most - top if most > top and most != 2 * top else 1
        return f"{other}{share[2]}{share[3]}{share[4]}", "another score"
    weeks = re.fullmatch(r"(\d+)([ -]weeks?)", value, re.IGNORECASE)
    if weeks and 12 <= int(weeks[1]) <= 42:
        # A stage of pregnancy has another one within it.
        return f"{int(weeks[1]) + (12 if int(weeks[1]) < 26 else -12)}{weeks[2]}", "another stage of pregnancy"
    return None


def _scaled(value: str, factor: float) -> tuple[str, str]:
    def grown(match: re.Match[str]) -> str:
        number = float(match[0].replace(",", ".")) * factor
        return f"{number:.1f}" if not match[0].isdigit() and number < 10 else str(max(1, round(number)))

    return _FIGURE.sub(grown, value), f"{factor:g} times the figure"
