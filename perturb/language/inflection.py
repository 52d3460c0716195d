"""Singular and plural of target names: by the lexicon, by the ontology, else by the form of the head noun."""

from __future__ import annotations

from functools import lru_cache

from robustness.perturb.language.lexicon import find_class
from robustness.perturb.language.ontology.modifiers import pairs
from robustness.perturb.language.ontology.terms import Term, find_term, forget_on_extend, plural_of

_ONE_THOUGH_S = ("ss", "us", "is", "itis", "osis", "asis", "ous", "ens")
_IRREGULAR = pairs(
    "feet>foot; teeth>tooth; nuclei>nucleus; thrombi>thrombus; foci>focus; calculi>calculus; gyri>gyrus; "
    "sulci>sulcus; atria>atrium; septa>septum; hila>hilum; vertebrae>vertebra; fistulae>fistula; bullae>bulla; "
    "metastases>metastasis; naevi>naevus; nevi>nevus; stenoses>stenosis; phalanges>phalanx; apices>apex; "
    "cortices>cortex; ganglia>ganglion; diverticula>diverticulum; testes>testis; emboli>embolus; "
    "menisci>meniscus; bronchi>bronchus; villi>villus; glomeruli>glomerulus; bacteria>bacterium; "
    "keratoses>keratosis; ova>ovum; prostheses>prosthesis; mitoses>mitosis; cava>cava; drusen>drusen; women>woman"
)
_PLURALS = frozenset(_IRREGULAR) - {"cava", "drusen"}


@lru_cache(maxsize=8192)
def is_plural(name: str) -> bool:
    """Tell whether a name speaks of several things: "optic discs", "islets of Langerhans"; False for mass nouns."""
    row = find_class(name)
    if row is not None:
        return row.plural.lower() == name.lower() != row.name.lower()
    head = _head(name)
    last = head.rsplit(" ", 1)[-1]
    term = _term(head)
    if term is not None and term.name == term.plural:
        return False
    if last in _MASS:
        return False
    return last in _PLURALS or (last.endswith("s") and not last.endswith(_ONE_THOUGH_S))


@lru_cache(maxsize=8192)
def is_mass(name: str) -> bool:
    """Tell whether a name takes no "a" and no plural: "subretinal fluid", "white matter", "hydronephrosis"."""
    head = _head(name)
    term = _term(head)
    last = head.rsplit(" ", 1)[-1]
    if term is not None and last not in _UNCOUNTED:
        return term.name == term.plural and not is_plural(head)
    return last in _MASS or last.endswith(("itis", "megaly", "edema", "pathy", "tissue", "fluid", "matter", "ing"))


_MASS = frozenset(
    "fluid matter tissue fat blood air gas pus edema oedema debris mucosa stroma epithelium skin ascites slough stool"
    " cytoplasm chromatin enhancement hydronephrosis emphysema fibrosis necrosis atrophy lymphadenopathy inflammation"
    " bone cartilage vitreous choroid parenchyma stranding thickening drusen bleeding calcification mucus".split()
)


# Findings of which no one says "a bleeding", though the ontology has a plural of their names.
_UNCOUNTED = frozenset(
    "bleeding tamponade cavitation fluid mucus oedema edema congestion inflammation necrosis".split()
)
_MASS |= {"tamponade", "congestion", "cavitation"}


def singular_of(name: str) -> str:
    """Return a name with its head noun in the singular; a singular or mass noun comes back as it is."""
    if not is_plural(name):
        return name
    row = find_class(name)
    if row is not None:
        return row.name.lower() if name.islower() else row.name
    head, of, rest = name.partition(" of ")
    words = head.split(" ")
    last = words[-1]
    lower = last.lower()
    new = _IRREGULAR.get(lower) or _one(lower)
    return " ".join([*words[:-1], last[:1] + new[1:] if last[:1].lower() == new[:1] else new]) + of + rest


def plural_form(name: str) -> str:
    """Return a name with its head noun in the plural; a plural or mass noun comes back as it is."""
    if is_plural(name) or is_mass(name):
        return name
    row = find_class(name)
    if row is not None:
        return row.plural.lower() if name.islower() else row.plural
    term = find_term(name)
    if term is not None and name.lower() == term.name.lower():
        return term.plural
    return plural_of(name)


def _one(lower: str) -> str:
    if lower.endswith("ies") and len(lower) > 4:
        return lower[:-3] + "y"
    if lower.endswith(("sses", "xes", "ches", "shes", "zes")):
        return lower[:-2]
    return lower[:-1]


def _head(name: str) -> str:
    return name.lower().partition(" of ")[0].strip()


def _term(head: str) -> Term | None:
    words = head.split(" ")
    return next((t for i in range(len(words)) if (t := find_term(" ".join(words[i:]))) is not None), None)


for _cached in (is_plural, is_mass):
    forget_on_extend(_cached)
