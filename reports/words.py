"""Numbers and names in plain words; the one place where the page's vocabulary lives."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from robustness.errors import plural
from robustness.metrics.inference.intervals import level_of
from robustness.results import parse_condition

MISSING = "not recorded"
DASH = "–"


class VerdictStyle(NamedTuple):
    """How a verdict looks and what it means.

    Attributes:
        symbol: plotly marker symbol; the page's icons draw the same shapes.
        colour: from the Okabe-Ito set, distinguishable for readers with any colour vision.
        verb: how the headline says it ("follows").
        meaning: one plain sentence.
    """

    symbol: str
    colour: str
    verb: str
    meaning: str


VERDICTS: dict[str, VerdictStyle] = {
    "FOLLOWS": VerdictStyle("circle", "#0072B2", "follows", "The mask goes where the words point, for both targets."),
    "FOLLOWS*": VerdictStyle(
        "circle-dot", "#0072B2", "seems to follow", "As FOLLOWS by the interval alone; not certified."
    ),
    "REACTS": VerdictStyle(
        "triangle-up", "#3B9BD9", "reacts to", "The words move the mask; that it moves to the right place is not shown."
    ),
    "REACTS*": VerdictStyle(
        "triangle-up-open", "#3B9BD9", "seems to react to", "As REACTS by the interval alone; not certified."
    ),
    "UNSTABLE": VerdictStyle(
        "diamond",
        "#B5639A",
        "is unstable under paraphrases of",
        "Any paraphrase moves the mask; that the swap moves it more is not shown.",
    ),
    "UNSTABLE*": VerdictStyle(
        "diamond-open",
        "#B5639A",
        "seems unstable under paraphrases of",
        "As UNSTABLE by the interval alone; not certified.",
    ),
    "IGNORES": VerdictStyle(
        "square", "#D55E00", "ignores", "Swapping the words changes the mask by less than the margin; certified."
    ),
    "IGNORES*": VerdictStyle(
        "square-open", "#D55E00", "ignores*", "As IGNORES, but too few units to exclude rare reactions."
    ),
    "INCONCLUSIVE": VerdictStyle("circle-open", "#808894", "undecided on", "The data decide neither way."),
    "UNTESTABLE": VerdictStyle("line-ew-open", "#808894", "not testable:", "No case, or too few units, to test it on."),
    "ROBUST": VerdictStyle("hexagon", "#009E73", "holds up under", "The loss is shown to be smaller than the margin."),
    "ROBUST*": VerdictStyle(
        "hexagon-open",
        "#009E73",
        "seems to hold up under",
        "As ROBUST by the interval alone: too few units to exclude that some collapse.",
    ),
    "FRAGILE": VerdictStyle("x", "#C44E00", "breaks under", "The loss is shown to be larger than the margin."),
    "FRAGILE*": VerdictStyle(
        "x-open", "#C44E00", "seems to break under", "As FRAGILE by the interval alone; not certified."
    ),
    "ABSTAINS": VerdictStyle(
        "star-open", "#009E73", "abstains on", "Asked for what is not there, the mask stays empty."
    ),
    "HALLUCINATES": VerdictStyle(
        "star", "#C44E00", "hallucinates on", "Asked for what is not there, the model paints something."
    ),
}
UNKNOWN_VERDICT = VerdictStyle("circle-open", "#808894", "", "")

_PROMPT_CHANGES = {
    "antonym": "{} words swapped for their opposite",
    "rare": "{} words swapped for a rare word",
    "drop": "{} words removed",
    "neutral": "{} words made neutral",
    "synonym": "{} words swapped for a synonym",
    "other": "prompt of a second target in the same image ({} differs)",
}
_SHORT_CHANGES = {
    "antonym": "{}: opposite",
    "rare": "{}: rare word",
    "drop": "{}: removed",
    "neutral": "{}: neutral word",
    "synonym": "{}: synonym",
    "other": "{}: second target",
}
_SHORT_WHOLE = {
    "paraphrase": "paraphrase",
    "wrong_class": "target: another class",
    "absent": "target: absent structure",
}
_ABBREVIATIONS = {
    "jpeg": "JPEG",
    "fgsm": "FGSM",
    "pgd": "PGD",
    "mri": "MRI",
    "oct": "OCT",
    "gibbs": "Gibbs",
    "rician": "Rician",
    "kspace": "k-space",
}
_ATTACKS = {
    "fgsm": "FGSM attack",
    "pgd": "PGD attack",
    "universal": "universal perturbation",
    "worst_case": "worst paraphrase found",
}
METRIC_NAMES = {"dice": "Dice", "iou": "IoU", "hd95": "HD95", "nsd": "NSD", "mask_change": "mask change"}
_WHOLE_CHANGES = {
    "clean": "unchanged",
    "rerun": "same input run again",
    "paraphrase": "prompt paraphrased",
    "empty": "empty prompt",
    "nonsense": "nonsense prompt",
    "shuffled": "prompt of another case",
    "wrong_class": "prompt for another class",
    "absent": "prompt for a structure that is not there",
    "negation": "prompt negated",
    "all_ones": "every pixel painted",
    "worst_case": "worst paraphrase found",
}


# What the rules of the verdicts call a set of prompts, in plain words.
_PROMPT_SETS = {
    "wrong_class": "prompts for another class",
    "absent": "prompts for a structure that is not there",
    "shuffled": "prompts of other cases",
}


def verdict_style(verdict: str) -> VerdictStyle:
    """Return how `verdict` looks; unknown verdicts look undecided."""
    return VERDICTS.get(verdict, UNKNOWN_VERDICT)


def condition_words(condition: str) -> str:
    """Say a condition in plain words.

    Example:
        >>> condition_words("antonym:side")
        'side words swapped for their opposite'
        >>> condition_words("image:gaussian_noise@3")
        'gaussian noise, severity 3'
    """
    return " + ".join(_part_words(part) for part in condition.split("+"))


def short_words(condition: str) -> str:
    """Say a condition in few words, for axes.

    Example:
        >>> short_words("antonym:side"), short_words("image:gaussian_noise@3")
        ('side: opposite', 'gaussian noise 3')
    """
    return " + ".join(_short_part(part) for part in condition.split("+"))


def kind_words(kind: str) -> str:
    """Say the name of an image change: ``gaussian noise``."""
    return " ".join(_ABBREVIATIONS.get(word, word) for word in kind.split("_"))


def attack_words(name: str) -> str:
    """Say the name of an attack: ``PGD attack``."""
    return _ATTACKS.get(name) or kind_words(name)


def friendly(sentence: str, condition: str) -> str:
    """Return a stored sentence with the names of condition and metrics in plain words.

    Example:
        >>> friendly("dice worsens under image:gaussian_noise@3.", "image:gaussian_noise@3")
        'Dice worsens under gaussian noise, severity 3.'
    """
    named = sentence.replace(condition, condition_words(condition)) if condition else sentence
    named = re.sub(r"(% interval), (\d+) claims\b", r"\1 (\2 claims share the error rate)", named)
    named = re.sub(rf"\b({'|'.join(_PROMPT_SETS)}) prompts\b", lambda match: _PROMPT_SETS[match[1]], named)
    named = _MINUS_NOTHING.sub(r"\1", named)
    named = _LOSS_BELOW_NONE.sub(_gain, named)
    named = _ONE_OF.sub(r"\1s", named)
    return re.sub(r"\b(dice|iou|hd95|nsd|mask_change)\b", lambda match: METRIC_NAMES[match[0]], named)


_MINUS_NOTHING = re.compile(r"(?<![\d.])-(0\.0+)(?!\d)")
# "1 of 12 patients reacts"
_ONE_OF = re.compile(r"(\b1 of \d+ \w+s (?:react|move|lose|change))\b")
_LOSS_BELOW_NONE = re.compile(r"worsens by -(?P<gain>[\d.]+)(?: \[(\S+), (\S+)\])?(?P<under>, under the margin of)?")


def _gain(match: re.Match[str]) -> str:
    """Return the words of a loss below none as those of a gain, whose interval has its ends exchanged."""
    ends = [f"{-float(end) + 0:.3f}" for end in (match[3], match[2]) if end]
    interval = f" [{', '.join(ends)}]" if ends else ""
    return f"improves by {match['gain']}{interval}{'; the margin for a loss is' if match['under'] else ''}"


def metric_words(metric: str) -> str:
    """Say the name of a metric: ``Dice``."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def _short_part(part: str) -> str:
    if part.startswith("image:"):
        kind, _, severity = part.removeprefix("image:").partition("@")
        return f"{kind_words(kind)} {severity}".strip()
    name, _, attribute = part.partition(":")
    if attribute and name in _SHORT_CHANGES:
        return _SHORT_CHANGES[name].format(attribute)
    return _SHORT_WHOLE.get(part) or _part_words(part)


def _part_words(part: str) -> str:
    if part.startswith("image:"):
        kind, _, severity = part.removeprefix("image:").partition("@")
        return kind_words(kind) + (f", severity {severity}" if severity else "")
    name, _, attribute = part.partition(":")
    if attribute and name in _PROMPT_CHANGES:
        return _PROMPT_CHANGES[name].format(attribute)
    return _WHOLE_CHANGES.get(part, part.replace("_", " ").replace(":", " of "))


def image_kind(condition: str) -> str:
    """Return the image change of a condition without its severity: ``gaussian_noise``."""
    first = parse_condition(condition).parts[0]
    return first.removeprefix("image:").partition("@")[0]


def number(value: Any, digits: int = 3) -> str:
    """Write a number with `digits` decimals; whole numbers without; a dash where there is none."""
    if isinstance(value, str):
        return value or DASH
    if value is None or pd.isna(value):
        return DASH
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    value = float(value)
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    rounded = f"{value:.{digits}f}"
    # A minus sign of its own width keeps columns aligned; "-0.000" would suggest a direction.
    return rounded.lstrip("-") if float(rounded) == 0 else rounded.replace("-", "−")


def p_value(value: Any) -> str:
    """Write a p-value; values under 0.001 as an upper bound."""
    shown = number(value)
    return "< 0.001" if shown == "0.000" else shown


def interval(low: Any, high: Any, digits: int = 3, *, level: Any) -> str:
    """Write ``[low, high] (95% interval)``, or a dash where either end is missing.

    Example:
        >>> interval(0.1, 0.2, 2, level=0.95), interval(0.1, 0.2, 2, level=None)
        ('[0.10, 0.20] (95% interval)', '[0.10, 0.20] (interval, level not recorded)')
    """
    ends = number(low, digits), number(high, digits)
    if DASH in ends:
        return DASH
    stated = f"{level_of(level)} interval" if pd.notna(level) else f"interval, level {MISSING}"
    return f"[{ends[0]}, {ends[1]}] ({stated})"


def text(value: Any) -> str:
    """Return a cell as text; missing values (None, NaN) as an empty string."""
    return "" if value is None or pd.isna(value) else str(value)


def listing(items: Sequence[str], last: str = "and") -> str:
    """Join words as a sentence does: ``a, b and c``."""
    return f" {last} ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else list(items))


def count(n: float, noun: str) -> str:
    """Write ``1 case``, ``20 cases``; a dash for a number that is missing."""
    return f"{DASH if pd.isna(n) else f'{int(n):,}'} {plural(n, noun)}"
