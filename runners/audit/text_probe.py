"""Text probe: how far a swap moves a model's text features, beside how far it moves the mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError
from robustness.foreign_code import foreign_code
from robustness.results import CLEAN, PARAPHRASE
from robustness.types import Segmenter

if TYPE_CHECKING:
    import pandas as pd
    import torch

DISTANCE = "text_distance"
# Of one model; enough that texts which return from part to part are encoded once, and a few MiB at most.
MOST_VECTORS = 4096
_CASE = ["model", "dataset", "split", "case_id"]
_PAIR = [*_CASE, "prompt_index"]
_COMPARED = "compared_index"

Vectors = dict[str, "torch.Tensor"]


def has_text_embedding(model: Segmenter) -> bool:
    """Return whether a model's text embeddings are tensors whose distance means something."""
    from robustness.runners.inference.embedding import TensorEmbedding

    if not getattr(model, "takes_text", False):
        return False
    try:
        with foreign_code():
            return isinstance(model.encode_text(["left"]), TensorEmbedding)
    except InputError:
        raise
    except Exception:  # somebody else's encoder; what it raises stands in the rows that it spoils
        return False


def text_distances(
    model: Segmenter, pairs: Sequence[tuple[str, str]], *, vectors: Vectors | None = None
) -> list[float]:
    """Return the cosine distance, 0 to 2, between the features of the two texts of each pair.

    Features are everything that the model computes from the text alone, as one vector: for CLIPSeg and BiomedCLIPSeg
    the FiLM factor and offset, which is all that the mask can know of the prompt; features with one entry per token are
    averaged over the tokens first. 0 means that the difference is lost before image and text meet; then no image can
    bring it back.

    Each distinct text is encoded once and by itself: beside others it would be padded to the longest of them and summed
    in another order, and its distance would depend, by about 1e-7, on what else the part holds.

    Args:
        model: a network that encodes text.
        pairs: two texts each.
        vectors: unit vectors of texts that this model has encoded before; filled, up to `MOST_VECTORS`.

    Raises:
        InputError: the model has no text features (an image-only model, a black box, stored predictions).
    """
    if not getattr(model, "takes_text", False):
        raise InputError(f"model: expected a network that encodes text, {model.name} does not")
    recent = {} if vectors is None else vectors
    distances = []
    for before, after in pairs:
        one, other = (_vector(model, text, recent) for text in (before, after))
        distances.append(float((one - other).square().sum() / 2))
    return distances


def _vector(model: Segmenter, text: str, vectors: Vectors) -> torch.Tensor:
    """Return a text's features at unit length, in double precision."""
    import torch

    from robustness.runners.inference.embedding import TensorEmbedding

    if text not in vectors:
        with torch.inference_mode():
            embedding: Any = model.encode_text([text])
        if not isinstance(embedding, TensorEmbedding):
            raise InputError(f"model: expected text features of tensors, {model.name} gives {type(embedding).__name__}")
        if len(vectors) >= MOST_VECTORS:
            del vectors[next(iter(vectors))]
        # Double precision: distances of near-equal features lie below the rounding of single precision.
        vectors[text] = torch.nn.functional.normalize(_flat(embedding.tensors).double(), dim=1)[0]
    return vectors[text]


def text_collapse(results: pd.DataFrame, model: Segmenter) -> pd.DataFrame:
    """Return the rows of changed prompts of one model with their `text_distance` beside their `mask_change`.

    Args:
        results: a run's table; rows of other models are left out where `model` is one of several.
        model: the segmenter that the run audited.

    Returns:
        The columns `model dataset split case_id prompt_index condition family attribute clean_prompt prompt
        text_distance mask_change`, one row per applicable prompt change whose clean row is there, in their order.

    Raises:
        InputError: the model has no text features, or the table holds no row of it.
    """
    joined = _joined(results, model)
    columns = [*_PAIR, "condition", "family", "attribute", "clean_prompt", "prompt", DISTANCE, "mask_change"]
    return joined[columns].reset_index(drop=True)


def with_text_distance(results: pd.DataFrame, model: Segmenter, *, vectors: Vectors | None = None) -> pd.DataFrame:
    """Return a run's table with a column `text_distance`: NaN but for the rows that `text_collapse` gives.

    A column that is there already, from another model of the run, keeps its values for the other rows; `vectors` are
    those of `text_distances`.
    """
    joined = _joined(results, model, vectors)
    table = results.copy()
    if DISTANCE not in table:
        table[DISTANCE] = float("nan")
    table.loc[joined["row"], DISTANCE] = joined[DISTANCE].to_numpy()
    return table


def _joined(results: pd.DataFrame, model: Segmenter, vectors: Vectors | None = None) -> pd.DataFrame:
    rows = results if results["model"].nunique() == 1 else results[results["model"] == model.name]
    if rows.empty:
        raise InputError(f"results: expected rows of {model.name!r}, found {sorted(results['model'].unique())}")
    clean = rows[rows["condition"] == CLEAN].drop_duplicates(_PAIR)
    clean = clean[[*_PAIR, "prompt"]].rename(columns={"prompt": "clean_prompt", "prompt_index": _COMPARED})
    changed = rows[(rows["family"] == "prompt") & rows["applicable"].astype(bool)].reset_index(names="row")
    changed[_COMPARED] = _compared_index(changed, clean)
    joined = changed.merge(clean, on=[*_CASE, _COMPARED], how="inner", validate="many_to_one")
    pairs = list(zip(joined["clean_prompt"], joined["prompt"], strict=True))
    joined[DISTANCE] = text_distances(model, pairs, vectors=vectors)
    return joined


def _compared_index(changed: pd.DataFrame, clean: pd.DataFrame) -> list[int]:
    """Return which listed text of its case each row is compared with, as `mask_change` is.

    A paraphrase is one of the first text, whatever its own number; so is a text that has no clean row of its own.
    """
    known = set(clean[[*_CASE, _COMPARED]].itertuples(index=False, name=None))
    keys = changed[[*_CASE, "prompt_index"]].itertuples(index=False, name=None)
    own = zip(changed["condition"], keys, strict=True)
    return [key[-1] if condition != PARAPHRASE and key in known else 0 for condition, key in own]


def _flat(tensors: Sequence[Any]) -> Any:
    import torch

    parts = [t.float().mean(1) if t.ndim > 2 else t.float() for t in tensors if t.is_floating_point()]
    return torch.cat([part.flatten(1).cpu() for part in parts], dim=1)
