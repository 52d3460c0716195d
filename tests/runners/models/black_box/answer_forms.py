"""Every form in which a map may come, and what each door of a model that is not ours makes of it."""

import base64
import io
import json
import pickle
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image as PILImage

import robustness as rb
from robustness.errors import AnswerError, InputError
from robustness.runners.exchange.predictions import Returned, ReturnedError
from robustness.runners.inference.request import Request
from robustness.runners.models.black_box.predictions import load_predictions
from robustness.runners.models.load import load_model

SIZE = (8, 12)
MASK = np.zeros(SIZE, bool)
MASK[2:5, 3:8] = True
SOFT = np.where(MASK, 0.9, 0.1) + np.linspace(-0.05, 0.05, MASK.size).reshape(SIZE)
BYTES = MASK.astype(np.uint8)
PICTURE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
IMAGE = np.full((*SIZE, 3), 90, np.uint8)
DOORS = ("callable", "python", "command", "http", "predictions", "score")


class Form(NamedTuple):
    """An answer, the mask that it stands for (None: it stands for none), and what the user says of the model."""

    answer: Any
    mask: Any = MASK
    options: Any = MappingProxyType({})


def stacked(*channels):
    return PILImage.fromarray(np.stack([np.broadcast_to(c, SIZE) for c in channels], -1).astype(np.uint8))


def palette(*colours):
    image = PILImage.frombytes("P", (SIZE[1], SIZE[0]), BYTES.tobytes())
    image.putpalette([value for colour in colours for value in colour])
    return image


def grey(values, kind=np.uint8):
    return PILImage.fromarray(values.astype(kind))


PICTURES = {
    "1 bit": PILImage.fromarray(MASK),
    "0/1": grey(BYTES),
    "0/255": grey(BYTES * 255),
    "0/7": grey(BYTES * 7),
    "grey": grey(SOFT * 255),
    "16 bits, 0/1": grey(MASK, np.uint16),
    "16 bits, 0/255": grey(MASK * 255.0, np.uint16),
    "16 bits, 0/65535": grey(MASK * 65535.0, np.uint16),
    "16 bits, grey": grey(SOFT * 65535, np.uint16),
    "RGB, 0/1": stacked(BYTES, BYTES, BYTES),
    "RGB, 0/255": stacked(BYTES * 255, BYTES * 255, BYTES * 255),
    "RGB, green": stacked(0, BYTES * 255, 0),
    "RGB, blue of 1": stacked(0, 0, BYTES),
    "RGB, shades of green": stacked(0, SOFT * 255, 0),
    "palette, red": palette((0, 0, 0), (128, 0, 0)),
    "palette, green": palette((0, 0, 0), (0, 255, 0)),
    "palette, blue": palette((0, 0, 0), (0, 0, 255)),
    "palette, never filled": palette((0, 0, 0), (0, 0, 0)),
    "RGBA, opaque": stacked(BYTES * 255, BYTES * 255, BYTES * 255, 255),
    "RGBA, white with alpha": stacked(255, 255, 255, BYTES * 255),
    "RGBA, black with alpha": stacked(0, 0, 0, BYTES * 255),
    "RGBA, half-transparent red": stacked(BYTES * 255, 0, 0, BYTES * 128),
    "RGBA, cut out of the image": stacked(*np.moveaxis(PICTURE, -1, 0), BYTES * 255),
    "grey with alpha": stacked(255, BYTES * 255),
}
ARRAYS = {
    "bool": MASK,
    "uint8, 0/1": BYTES,
    "uint8, 0/255": BYTES * 255,
    "int64, 0/1": MASK.astype(np.int64),
    "float, 0/255": MASK * 255.0,
    "float32": SOFT.astype(np.float32),
    "float64": SOFT,
    "list": SOFT.tolist(),
    "(1, H, W)": SOFT[None],
    "(H, W, 1)": SOFT[..., None],
    "(1, 1, H, W)": SOFT[None, None],
    "tensor": torch.from_numpy(SOFT),
    "tensor, half": torch.from_numpy(SOFT).half(),
    "tensor, bfloat16": torch.from_numpy(SOFT).bfloat16(),
    "tensor with a gradient": torch.from_numpy(SOFT).requires_grad_(),
}
REFUSED = {
    "NaN": (np.where(MASK, np.nan, SOFT), "got NaN in 15 of 96 pixels"),
    "logits": ((SOFT - 0.5) * 20, "apply a sigmoid to logits"),
    "uint8, grey": ((SOFT * 255).astype(np.uint8), "divide integers by their full scale"),
    "two channels": (np.stack([SOFT, SOFT]), "it has 2 channels"),
    "rows and columns exchanged": (SOFT.T, "rows and columns are exchanged"),
    "another size": (SOFT[:4, :4], "image_size=N"),
    "None": (None, "got None; send zeros where nothing is found"),
    "text": ("mask", "expected numbers or booleans"),
    "complex": (SOFT + 1j, "expected numbers or booleans"),
}
AMBIGUOUS = {
    "RGB, many colours": (stacked(*np.moveaxis(PICTURE, -1, 0)), "more than two colours"),
    "RGB, two colours and no black": (stacked(255, 255 * (1 - BYTES), 255 * (1 - BYTES)), "no black"),
    "palette, index 0 is white": (palette((255, 255, 255), (0, 0, 0)), "say two different things of what is inside"),
    "RGBA, two masks": (
        stacked(BYTES * 255, 0, 0, np.where(MASK.T.reshape(SIZE), 255, 9)),
        "two different masks",
    ),
}
_LABELS = np.where(MASK, 1 + (np.arange(SIZE[0]) > 3)[:, None], 0)
FORMS = {
    **{f"PNG: {name}": Form(image) for name, image in PICTURES.items()},
    "PNG: all empty": Form(grey(BYTES * 0), np.zeros(SIZE, bool)),
    "PNG: all full": Form(grey(BYTES * 0 + 255.0), np.ones(SIZE, bool)),
    "PNG: another size": Form(grey(BYTES[:4, :4] * 255), None),
    **{f"PNG: {name}": Form(image, None) for name, (image, _) in AMBIGUOUS.items()},
    **{f"array: {name}": Form(array) for name, array in ARRAYS.items()},
    **{f"array: {name}": Form(array, None) for name, (array, _) in REFUSED.items()},
    "array: logits, declared": Form((SOFT - 0.5) * 20, MASK, {"returns": "logits"}),
    "array: instances, declared": Form(np.stack([_LABELS == 1, _LABELS == 2]), MASK, {"returns": "instances"}),
    "array: no instance, declared": Form(np.zeros((0, *SIZE), bool), np.zeros(SIZE, bool), {"returns": "instances"}),
    "array: numbered instances, declared": Form(_LABELS, MASK, {"returns": "instances"}),
    "array: the network's own square, declared": Form(np.ones((5, 5)), np.ones(SIZE, bool), {"image_size": 5}),
}

_FACTORY = """
import pickle
def make(path):
    with open(path, "rb") as handle: answer = pickle.load(handle)
    return lambda images, prompts: [answer] * len(prompts)
"""
_PROGRAM = """
import json, shutil, sys
from os.path import join, splitext
given, source, target = sys.argv[1:]
with open(join(source, "pairs.json")) as handle: pairs = json.load(handle)
for pair in pairs: shutil.copy(given, join(target, pair["id"] + splitext(given)[1]))
"""


class Doors:
    """Sends a form through a door.

    Args:
        folder: for files.
    """

    def __init__(self, folder):
        self.folder = folder
        (folder / "model.py").write_text(_FACTORY)
        (folder / "program.py").write_text(_PROGRAM)
        (folder / "preds" / "clean").mkdir(parents=True)
        (folder / "back").mkdir()
        self.sent = b""
        doors = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                pairs = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["pairs"]
                body = json.dumps({"maps": [base64.b64encode(doors.sent).decode()] * len(pairs)}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def came(self, door, form):
        """Return "read" or "WRONG", the sentence of a refusal, or "-" for what cannot pass the door."""
        if door not in ways(form):
            return "-"
        try:
            given = getattr(self, f"_{door}")(form)
        except (AnswerError, InputError, ReturnedError) as error:
            return str(error)
        right = form.mask is not None and np.array_equal(np.asarray(given) > 0.5, form.mask)
        return "read" if right else "WRONG"

    def _callable(self, form):
        return _asked(rb.segmenter(lambda images, prompts: [form.answer] * len(prompts), name="vendor", **form.options))

    def _python(self, form):
        with (self.folder / "answer.pkl").open("wb") as handle:
            pickle.dump(form.answer.detach() if isinstance(form.answer, torch.Tensor) else form.answer, handle)
        arguments = {"path": str(self.folder / "answer.pkl")}
        model = load_model("python", f"{self.folder / 'model.py'}:make", arguments=arguments, **form.options)
        return _asked(model)

    def _command(self, form):
        path = self._file(form.answer, self.folder / "answer")
        line = [sys.executable, "-I", "-S", str(self.folder / "program.py"), str(path), "{input}", "{output}"]
        return _asked(load_model("command", command=line, retries=0, **form.options))

    def _http(self, form):
        self.sent = png(form.answer)
        url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        return _asked(load_model("http", url=url, retries=0, **form.options))

    def _predictions(self, form):
        self._file(form.answer, self.folder / "preds" / "clean" / "case")
        return load_predictions(self.folder / "preds").lookup(Request(IMAGE, "image", "the target", case_id="case"))

    def _score(self, form):
        for old in (self.folder / "back").iterdir():
            old.unlink()
        self._file(form.answer, self.folder / "back" / "r0")
        return Returned(self.folder / "back").read("r0", SIZE).values

    def _file(self, answer, stem):
        if isinstance(answer, PILImage.Image):
            path = stem.with_suffix(".png")
            path.write_bytes(png(answer))
            return path
        np.save(stem.with_suffix(".npy"), answer)
        return stem.with_suffix(".npy")


def ways(form):
    """Return the doors that an answer can pass as it is."""
    plain = isinstance(form.answer, np.ndarray) and form.answer.dtype.kind != "c"
    if isinstance(form.answer, PILImage.Image):
        return DOORS if not form.options else DOORS[:4]
    if not plain:
        return DOORS[:2]
    return ("callable", "python", "command") if form.options else ("callable", "python", "command", "score")


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _asked(model):
    return model.probabilities(model.encode_image([IMAGE]), model.encode_text(["the target"]), [SIZE])[0]
