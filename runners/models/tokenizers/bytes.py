"""A deterministic tokenizer: known words are one id each, every other word is spelled byte by byte.

No text is out of vocabulary, so a rare or misspelt word reaches the network as itself and never as "unknown".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from robustness.errors import InputError

PAD, BEGIN, END = 0, 1, 2
_FIRST_BYTE = 3
_FIRST_WORD = _FIRST_BYTE + 256
_SPACE = _FIRST_BYTE + ord(" ")
_LETTER = r"[^\W\d_]"
_PIECE = re.compile(rf"{_LETTER}+|\S")

# The order is part of every checkpoint that does not carry its own list: append, never sort in.
_LISTED = """
    a an and are as at background behind below beside between by for from in inside into is it its like lined near
    nearest next no none not of often old on or other outside over present resembles the there this to touching under
    visible which whole with without left right both bilateral side sides sided upper lower top bottom center centre
    central middle corner edge border anterior posterior superior inferior medial lateral frontal temporal occipital
    parietal dorsal ventral outer inner located area part parts region regions image picture view slice tile axial
    coronal sagittal chamber zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
    fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety few many multiple
    several single some number tiny small little medium large big huge largest smallest larger smaller sized size
    enlarged round rounded oval ovoid circular circle rectangular rectangle square triangular triangle irregular regular
    curved flat elongated shape shaped c hexagon octagon diamond donut bumpy smooth rough spiculated black blue bright
    brighter brightest brightness brown color colored colour dark darker darkest gray grey green light orange peach pink
    purple red tan white yellow abdomen abnormal adipose air airspace airway amygdala aorta aortic artery atelectasis
    atrium basal bladder blood body bodies bone bones brain brainstem breast bronchus bundle bundles bundled carcinoma
    cardiac cardiomediastinum cardiomegaly cartilage caudate cavity cell cells cerebellar cerebellum cerebral
    cerebrospinal chest cingulate colon consolidation corpus callosum cortex cortical csf cyst deep devices diaphragm
    disc edema effusion endocardium epicardium esophagus eye fat femur fluid folded folia forms fracture gallbladder
    ganglia gland globus growth gyrus head heart hemisphere hemispheres hemorrhage hindbrain hippocampal hippocampi
    hippocampus holds hole holes horn insula intestine kidney kidneys lentiform lesion lesions liver lobe lobes lump
    lung lungs malignant benign mass matter mediastinum melanoma membrane metastasis mole mucosa mucous muscle
    myelinated myocardium neck nerve neuron nodule nodules normal nuclear nuclei nucleus opacity optic organ pallidus
    pancreas pelvis pericardium pleural pneumonia pneumothorax pole polyp polyps pons prostate putamen putamina rectum
    retina rib ribcage ribs sinus sinuses skin skull spinal spine spleen stomach striatum structure structures sulcus
    support thalami thalamus thyroid tissue tissues tooth tumor tumors tumour ulcer uterus vein ventricle ventricles
    ventricular vertebra vertebrae vessel vessels wall wound axons fiber fibers fibres filled fine fluorescence
    intermediate looks made parallel relays separate signals space spots spot stained third fourth egg seahorse mushroom
    texture speckles ct endoscopy endoscopic flair fluorescent microscopy mri mr pet radiograph scan scanner ultrasound
    weighted x xray ray rays contrast dermoscopy histology diastole systole end cycle quality good poor hard soft female
    male man woman sex year years age adult child patient
"""
WORDS: tuple[str, ...] = tuple(_LISTED.split())


def pieces(text: str) -> list[str]:
    """Return the lower-case words, digits and marks of `text`, without blanks.

    Example:
        >>> pieces("One polyp, 3 mm")
        ['one', 'polyp', ',', '3', 'mm']
    """
    return _PIECE.findall(text.lower())


class ByteVocabulary:
    """Words to ids and back.

    Args:
        words: the words that have an id of their own, in the order of their ids; None: the built-in list.
        max_length: longest id sequence, BEGIN and END included; what exceeds it is cut.

    Raises:
        InputError: a word is listed twice or could never be met, because it is no single lower-case word.
    """

    def __init__(self, words: Sequence[str] | None = None, *, max_length: int = 512) -> None:
        self.words = WORDS if words is None else tuple(words)
        self.max_length = max_length
        odd = next((word for word in self.words if pieces(word) != [word]), None)
        if odd is not None or len(set(self.words)) != len(self.words):
            raise InputError(f"words: expected distinct lower-case words, got {odd or 'a word twice'!r}")
        self._ids = {word: _FIRST_WORD + index for index, word in enumerate(self.words)}

    def __len__(self) -> int:
        return _FIRST_WORD + len(self.words)

    def encode(self, text: str, *, spell: Sequence[int] = ()) -> list[int]:
        """Return ``[BEGIN, ..., END]``; an empty text gives these two alone.

        Args:
            text: any text.
            spell: positions among `pieces(text)` whose words are spelled although they are known.
        """
        return [*self._whole(text, spell)[: self.max_length - 1], END]

    def count(self, text: str) -> int:
        """Return the number of ids that `text` needs, beginning and end included."""
        return len(self._whole(text, ())) + 1

    def _whole(self, text: str, spell: Sequence[int]) -> list[int]:
        ids = [BEGIN]
        for position, piece in enumerate(pieces(text)):
            word = self._ids.get(piece)
            ids += [word] if word is not None and position not in spell else _spelled(piece)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return a text with the same `pieces` as the encoded one."""
        parts = bytearray()
        for number in ids:
            if number >= _FIRST_WORD:
                parts += b" " + self.words[number - _FIRST_WORD].encode()
            elif number >= _FIRST_BYTE:
                parts.append(number - _FIRST_BYTE)
        return parts.decode("utf-8", errors="replace").strip()


def _spelled(piece: str) -> list[int]:
    letters = [_FIRST_BYTE + byte for byte in piece.encode()]
    # The blank keeps two spelled words in a row apart; a digit or a mark ends a word by itself.
    return [_SPACE, *letters] if re.match(_LETTER, piece) else letters
