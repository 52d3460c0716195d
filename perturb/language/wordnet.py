"""WordNet as the second source of words: antonyms, synonyms, and rare words with wordfreq's frequencies.

Optional: read through nltk where its corpus lies on nltk's data path (``nltk.download('wordnet')``, or Debian's
``wordnet-base`` and ``wordnet-sense-index`` with a ``lexnames`` file). Where it is missing, `missing` gives the reason
and every look-up finds nothing. Source: Miller 1995, "WordNet: a lexical database for English",
doi:10.1145/219717.219748; wordfreq: Speer 2022, doi:10.5281/zenodo.7199437.
"""

from __future__ import annotations

import os
import sys
import warnings
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

SOURCE = "WordNet 3.0 (nltk)"
RARE_SOURCE = "WordNet 3.0 lemmas with a wordfreq Zipf frequency below 1.5"
NOT_INSTALLED = "WordNet is not installed (nltk.download('wordnet'))"
NO_FREQUENCIES = "wordfreq is not installed (pip install wordfreq)"
ZIPF_BELOW = 1.5
_POS = {"noun": "n", "adjective": "a"}


def missing() -> str:
    """Return why WordNet cannot be read, or "" where it can."""
    return "" if _reader(_places()) is not None else NOT_INSTALLED


def antonyms(word: str, pos: str) -> tuple[str, ...]:
    """Return WordNet's antonyms of `word` ("noun" or "adjective"), those of its commonest senses first."""
    return _antonyms(_places(), word.lower(), pos)


def synonyms(word: str, pos: str) -> tuple[str, ...]:
    """Return the other words of the commonest sense of `word`; rarer senses would change the meaning."""
    return _synonyms(_places(), word.lower(), pos)


def rare_words(pos: str) -> tuple[str, ...]:
    """Return WordNet's uncommon words of a part of speech, sorted: one alphabetic word of 5 to 12 small letters each.

    Uncommon is a wordfreq Zipf frequency under 1.5. Proper names are left out. Empty where WordNet or wordfreq is
    missing; see `missing_for_rarity`.
    """
    return _rare_words(_places(), pos)


def missing_for_rarity() -> str:
    """Return why rare words cannot be had from WordNet, or "" where they can."""
    return missing() or ("" if _frequencies() is not None else NO_FREQUENCIES)


def _places() -> tuple[str, ...]:
    """Return nltk's data path, which may change while the program runs; nltk, slow to import, is not needed for it."""
    nltk = sys.modules.get("nltk.data")
    return tuple(str(place) for place in (nltk.path if nltk is not None else _default_places()))


def _default_places() -> list[str]:
    """Return the data path that nltk starts with, as its documentation states it."""
    stated = [os.path.expanduser(place) for place in os.environ.get("NLTK_DATA", "").split(os.pathsep) if place]
    home = os.path.expanduser("~/nltk_data")
    installed = [os.path.join(sys.prefix, *parts, "nltk_data") for parts in ((), ("share",), ("lib",))]
    if os.name == "nt":
        system = [os.path.join(os.environ["APPDATA"], "nltk_data")] if "APPDATA" in os.environ else []
        system += [rf"{drive}:\nltk_data" for drive in "CDE"]
    else:
        system = [f"/usr/{parts}/nltk_data" for parts in ("share", "local/share", "lib", "local/lib")]
    return [*stated, home, *installed, *system]


@lru_cache(maxsize=4)
def _reader(places: tuple[str, ...]) -> Any:
    """Return nltk's reader of the database on `places`, or None."""
    if not any((Path(place) / "corpora" / name).exists() for place in places for name in ("wordnet", "wordnet.zip")):
        return None
    try:
        import nltk.data
        from nltk.corpus.reader.wordnet import WordNetCorpusReader
    except ImportError:
        return None
    for name in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            with warnings.catch_warnings():
                # Other languages are a corpus of their own, which is not needed here.
                warnings.simplefilter("ignore")
                return WordNetCorpusReader(nltk.data.find(name, list(places)), None)
        except (LookupError, OSError):
            continue
    return None


@lru_cache(maxsize=4096)
def _antonyms(places: tuple[str, ...], word: str, pos: str) -> tuple[str, ...]:
    reader = _reader(places)
    if reader is None:
        return ()
    lemmas = [m for s in reader.synsets(word, _POS[pos]) for m in s.lemmas() if m.name() == word]
    names = (a.name() for m in lemmas for a in m.antonyms())
    return tuple(dict.fromkeys(name for name in names if "_" not in name))


@lru_cache(maxsize=4096)
def _synonyms(places: tuple[str, ...], word: str, pos: str) -> tuple[str, ...]:
    reader = _reader(places)
    if reader is None:
        return ()
    senses = reader.synsets(word.replace(" ", "_"), _POS[pos])[:1]
    names = (name.replace("_", " ") for sense in senses for name in sense.lemma_names())
    return tuple(dict.fromkeys(name for name in names if name.lower() != word))


@lru_cache(maxsize=8)
def _rare_words(places: tuple[str, ...], pos: str) -> tuple[str, ...]:
    reader, frequencies = _reader(places), _frequencies()
    if reader is None or frequencies is None:
        return ()
    limit = 10 ** (ZIPF_BELOW - 9)
    names = (n for n in reader.all_lemma_names(pos=_POS[pos]) if n.isascii() and n.isalpha() and 5 <= len(n) <= 12)
    return tuple(sorted(n for n in names if frequencies.get(n, 0.0) < limit and _is_common_noun(reader, n, pos)))


def _is_common_noun(reader: Any, name: str, pos: str) -> bool:
    """Tell whether a lemma is written with small letters; the index lowers proper names too."""
    return any(name in sense.lemma_names() for sense in reader.synsets(name, _POS[pos]))


@cache
def _frequencies() -> dict[str, float] | None:
    try:
        from wordfreq import get_frequency_dict
    except ImportError:
        return None
    table: dict[str, float] = get_frequency_dict("en", wordlist="best")
    return table
