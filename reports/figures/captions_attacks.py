"""Captions of the success curves of attacks."""

from __future__ import annotations

from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import Frames
from robustness.reports.figures.attacks import MARGIN, attack_says, attack_table, attack_title
from robustness.reports.figures.figure import FigureText, columns


def attack_figures(frames: Frames) -> list[FigureText]:
    """Return one figure for each attack whose rows state their eps."""
    margin = frames.margin_dice or MARGIN
    table = attack_table(frames.results, margin=margin)
    made = []
    for number, (attack, rows) in enumerate(table[table["eps"].notna()].groupby("attack", sort=True)):
        title = attack_title(str(attack))
        alt = f"{title}, share of cases that lose more than {margin:g} Dice against eps. {attack_says(rows)}"
        data = table_of(rows, f"t-attack-{number}", title, _CURVE)
        made.append(FigureText(f"attack-{number}", "attack", str(attack), title, alt, data))
    return made


_CURVE = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("eps", "eps (1/255)"),
    ("share", "share broken, at least"),
    ("share_low", "low"),
    ("share_high", "high"),
    ("clean_mean", "clean Dice"),
    ("attacked_mean", "attacked Dice, at most"),
    ("clean_failed", "clean below limit"),
    ("failed", "attacked below limit"),
    ("margin", "margin"),
    ("failed_low", "low"),
    ("failed_high", "high"),
    ("n_suspicious", "suspicious rows"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
)
