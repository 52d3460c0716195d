"""The folder that goes to a model's owner: images, prompts and a list of requests with ids that say nothing else."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as PILImage

from robustness.errors import InputError, counted
from robustness.files import sha256_file
from robustness.types import Image

FORMAT = "vlsm-robustness export"
VERSION = 1
MANIFEST_CSV, MANIFEST_JSON, IMAGES = "manifest.csv", "manifest.json", "images"
README, SUMS = "README.txt", "SHA256SUMS"
COLUMNS = ("id", "image", "prompt", "height", "width", "image_sha256")
MAX_REQUESTS = 200_000
MAX_BYTES = 8 << 30
# One time stamp for all files: the order in which they were made would tell conditions apart.
_STAMP = 315_532_800

_README = """Predictions wanted
==================

This folder holds {images} (images/) and {requests} (manifest.csv; the same as JSON: manifest.json).
A request is one image and one prompt. Its columns:

  id            name of the request
  image         file of the image, inside this folder (RGB, 8 bits)
  prompt        the text, exactly as your model shall read it; it may be empty
  height, width size of the image, and of the prediction that is wanted
  image_sha256  hash of the image's file; `sha256sum -c SHA256SUMS` checks all files

Wanted: one file per request, named by its id, all in one folder or one zip archive. Either of

  ID.png   a mask: 1 or 8 bits, 0 is outside, one other value is inside
  ID.png   probabilities: grey, 16 bits, 0 to 65535
  ID.npy   probabilities: numpy array, floating point, 0 to 1; or a mask: boolean

each of shape (height, width) of its request, at the image's own size. One kind for all requests, please.
Probabilities let more be measured than masks. Float arrays are taken as they are; 16-bit images are rounded to
1/65535.

Treat every request alone: the same model, the same settings, no look at the other requests. Many requests share a
image, so it pays to encode each image once. What you leave out is counted as missing.

In Python:

  import csv, os, numpy as np
  from PIL import Image
  os.makedirs("predictions", exist_ok=True)
  with open("manifest.csv", encoding="utf-8", newline="") as file:
      rows = list(csv.DictReader(file))
  for row in rows:
      image = np.asarray(Image.open(row["image"]))          # uint8 (height, width, 3)
      probability = your_model(image, row["prompt"])        # float32 (height, width) in [0, 1]
      np.save(f"predictions/{{row['id']}}.npy", probability)
"""


class Ask(NamedTuple):
    """One request as its owner sees it."""

    id: str
    image: str
    prompt: str
    height: int
    width: int
    image_sha256: str


def image_digest(image: Image) -> str:
    """Return the hash of an image's size and pixels, whatever file it lies in."""
    height, width = image.shape[:2]
    digest = hashlib.sha256(f"{height} {width}\n".encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


def request_id(digest: str, prompt: str) -> str:
    """Return the id of a request: a hash of what its reader sees anyway, so that it can say nothing more."""
    return hashlib.sha256(f"{digest}\n{prompt}".encode()).hexdigest()[:20]


class PublicFolder:
    """Writes images as they come, each once, and closes with the lists; refuses to grow beyond its bounds."""

    def __init__(self, path: Path, *, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES) -> None:
        self.path, self.max_requests, self.max_bytes = path, max_requests, max_bytes
        self.asks: dict[str, Ask] = {}
        self.bytes = 0
        self._images: dict[str, tuple[str, str]] = {}
        (path / IMAGES).mkdir(parents=True)

    @property
    def n_images(self) -> int:
        """How many different images there are."""
        return len(self._images)

    def add(self, image: Image, prompt: str) -> str:
        """Take one request; return its id. Equal images with equal prompts are one request.

        Raises:
            InputError: the export grows beyond its bounds.
        """
        digest = image_digest(image)
        name = request_id(digest, prompt)
        if name not in self.asks:
            if len(self.asks) >= self.max_requests:
                raise self._too_large(counted(self.max_requests, "request"), "max_requests")
            file, sha256 = self._image_file(digest, image)
            self.asks[name] = Ask(name, file, prompt, image.shape[0], image.shape[1], sha256)
        return name

    def close(self) -> dict[str, str]:
        """Write the lists and the letter; return the hash of every file by its name."""
        asks = [self.asks[name] for name in sorted(self.asks)]
        (self.path / MANIFEST_CSV).write_text(_csv(asks), encoding="utf-8", newline="")
        whole = {"format": FORMAT, "version": VERSION, "requests": [ask._asdict() for ask in asks]}
        (self.path / MANIFEST_JSON).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        letter = _README.format(images=counted(self.n_images, "image"), requests=counted(len(asks), "request"))
        (self.path / README).write_text(letter, encoding="utf-8")
        sums = {name: sha256_file(self.path / name) for name in (MANIFEST_CSV, MANIFEST_JSON, README)}
        sums |= dict(sorted(self._images.values()))
        lines = [f"{sha256}  {name}\n" for name, sha256 in sums.items()]
        (self.path / SUMS).write_text("".join(lines), encoding="utf-8")
        for file in self.path.rglob("*"):
            os.utime(file, (_STAMP, _STAMP))
        os.utime(self.path, (_STAMP, _STAMP))
        return sums | {SUMS: sha256_file(self.path / SUMS)}

    def _image_file(self, digest: str, image: Image) -> tuple[str, str]:
        if digest not in self._images:
            buffer = io.BytesIO()
            PILImage.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG")
            content = buffer.getvalue()
            self.bytes += len(content)
            if self.bytes > self.max_bytes:
                raise self._too_large(f"{self.max_bytes / (1 << 30):.3g} GiB of images", "max_bytes")
            name = f"{IMAGES}/{digest[:20]}.png"
            (self.path / name).write_bytes(content)
            self._images[digest] = (name, hashlib.sha256(content).hexdigest())
        return self._images[digest]

    def _too_large(self, bound: str, argument: str) -> InputError:
        return InputError(
            f"{argument}: the export would hold more than {bound} ({counted(len(self.asks), 'request')} on "
            f"{counted(self.n_images, 'image')} so far); ask for fewer severities or kinds, set data.limit, or "
            "raise the bound"
        )


def changed_files(folder: Path, sums: dict[str, str]) -> list[str]:
    """Return the files of `folder` that are not what `sums` says; absent ones too."""
    return [name for name, sha256 in sums.items() if _sha256(folder / name) != sha256]


def _sha256(path: Path) -> str:
    return sha256_file(path) if path.is_file() else "missing"


def _csv(asks: list[Ask]) -> str:
    stream = io.StringIO()
    writer: Any = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(asks)
    return stream.getvalue()
