"""Results tables of models whose behaviour is known."""

from __future__ import annotations

import numpy as np
import pandas as pd


def rows_of(condition, values, *, metric="dice", subjects=None, **columns):
    """One row per value: cases c0, c1, ... under one condition."""
    n = len(values)
    frame = pd.DataFrame(
        {
            "model": "m",
            "dataset": "d",
            "split": "test",
            "case_id": [f"c{i:05d}" for i in range(n)],
            "subject_id": [f"s{s:05d}" for s in (range(n) if subjects is None else subjects)],
            "condition": condition,
            "prompt_index": 0,
            "applicable": True,
            "error": "",
            metric: np.asarray(values, dtype=float),
        }
    )
    return frame.assign(**columns)


def paired(differences, *, clean=0.8, condition="image:gaussian_noise@1", **options):
    """Clean rows and one condition whose Dice is lower by `differences`."""
    d = np.asarray(differences, dtype=float)
    return pd.concat(
        [rows_of("clean", np.full(d.size, clean), **options), rows_of(condition, clean - d, **options)],
        ignore_index=True,
    )


def battery(behaviour, n_subjects, *, seed=0, images=3, share=1.0):
    """A synthetic model on images with two referents: clean, paraphrase, antonym:size and other:size rows.

    blind: nothing moves. oracle: goes where the prompt points. wrong: leaves A, never reaches B. brittle: moves at any
    wording. jitter: an oracle that moves a little at rewording. partial: an oracle for `share` of the subjects.
    """
    rng = np.random.default_rng(seed)
    n = n_subjects * images
    subjects = np.repeat(np.arange(n_subjects), images)
    good = np.clip(0.9 + 0.03 * rng.normal(size=n_subjects)[subjects] + 0.02 * rng.normal(size=n), 0, 1)
    moves = {"blind": np.zeros(n), "oracle": np.ones(n), "wrong": np.ones(n), "jitter": np.ones(n)}.get(behaviour)
    wording = np.zeros(n)
    if behaviour == "brittle":
        moves, wording = (np.clip(0.39 + 0.15 * rng.normal(size=n), 0, 1) for _ in range(2))
    if behaviour == "jitter":
        wording = rng.uniform(0, 0.06, n)
    if behaviour == "partial":
        moves = (rng.random(n_subjects) < share)[subjects].astype(float)
    leaves = good * (1 - moves) if behaviour != "brittle" else good * 0.7
    reaches = good * moves if behaviour in ("oracle", "jitter", "partial") else np.zeros(n)
    other = {"subjects": subjects, "other_case_id": [f"o{i}" for i in range(n)], "attribute": "size"}
    return pd.concat(
        [
            rows_of("clean", good, mask_change=0.0, dice_other=0.0, **other),
            rows_of("paraphrase", good * (1 - wording), mask_change=wording, subjects=subjects),
            rows_of("antonym:size", leaves, mask_change=moves, subjects=subjects),
            rows_of("other:size", leaves, mask_change=moves, dice_other=reaches, **other),
        ],
        ignore_index=True,
    )
