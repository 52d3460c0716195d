"""Prompts for slices of volumes whose data hold no text: templates filled with what the mask shows."""

from __future__ import annotations

import dataclasses

from robustness.errors import CaseError
from robustness.perturb.language.measured import measure
from robustness.perturb.language.templates import build_prompts, family_of
from robustness.perturb.modality import canonical_modality
from robustness.runners.data.label_words import label_of, label_words
from robustness.runners.data.masks.source import read_source
from robustness.runners.data.masks.volume_mask import Place
from robustness.runners.data.options import ReadingOptions
from robustness.runners.data.records import Record
from robustness.runners.data.volumes.base import Header
from robustness.runners.data.volumes.orientation import View


def with_words(record: Record, header: Header, view: View, options: ReadingOptions, *, prompt: str) -> Record:
    """Return a record of a slice with prompts that are true of its mask, p0 to p9, and what was measured as attributes.

    Args:
        record: without a text; its `slice` is set.
        header: of its volume.
        view: how its slices are shown.
        options: how files are read.
        prompt: the prompt key; "prompt" stands for p6.

    Raises:
        CaseError: the mask cannot be read.
    """
    assert record.slice is not None
    named = {"target": record.target} if record.target else label_words(record.mask_source.declaration.name)
    target = named["target"]
    if not target:
        problem = f"{record.where}: expected a text under {prompt!r}, or a target that a prompt can be made for"
        return dataclasses.replace(record, problem=problem)
    place = Place(header, view, record.slice.index)
    height, width = view.shape(header)
    mask = read_source(record.mask_source, (height, width), cache=options.cache, place=place).mask
    if mask.shape != (height, width):
        raise CaseError(
            f"mask {record.mask_path}: expected the size of its image {record.image_name}, {width} x {height}, got "
            f"{mask.shape[1]} x {mask.shape[0]}"
        )
    words = {**measure(mask), **named, **record.attributes, "target": target}
    modality = canonical_modality(options.modality or record.modality)
    scanned = {"modality": modality} if modality else {}
    label = label_of(target, words)
    prompts = build_prompts({**scanned, **words}, family=family_of(modality, target), name=label)
    text = prompts.get(prompt, prompts["p6"] if prompt == "prompt" else None)
    texts = tuple(text) if isinstance(text, list) else (text,) if isinstance(text, str) else ()
    problem = "" if texts else f"{record.where}: expected a prompt among {', '.join(prompts)}, got {prompt!r}"
    return dataclasses.replace(
        record,
        target=target,
        texts=texts,
        siblings=prompts,
        attributes={key: value for key, value in words.items() if key != "target"},
        problem=problem,
    )
