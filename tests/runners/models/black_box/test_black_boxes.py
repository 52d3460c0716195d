"""Models that a plan names and that live outside the package."""

import base64
import io
import json
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image as PilImage

import robustness as rb
from robustness.errors import AnswerError, InputError
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.models.black_box.answers import decode_image
from robustness.runners.models.load import load_model
from tests.synthetic import write_dataset

PAIRS = [("a", "left"), ("a", "right"), ("b", "left")]
IMAGES = {"a": np.full((6, 10, 3), 200, np.uint8), "b": np.full((8, 4, 3), 80, np.uint8)}
MODEL_FILE = """
from dataclasses import dataclass
import numpy as np

@dataclass
class Halves:
    value: float

    def __call__(self, images, prompts):
        found = []
        for image, prompt in zip(images, prompts, strict=True):
            mask = np.zeros(image.shape[:2])
            half = image.shape[1] // 2
            mask[:, :half] = self.value if prompt == "left" else 0
            mask[:, half:] = self.value if prompt == "right" else 0
            found.append(mask)
        return found

def make(value=1.0):
    return Halves(value)

def fails():
    return 1 / 0

number = 3
"""
PREDICTOR = """
import json, sys, time
from pathlib import Path
import numpy as np
from PIL import Image
source, target, how, log = sys.argv[1:]
with open(log, "a") as handle: handle.write("run\\n")
if how == "slow": time.sleep(60)
if how == "fails": sys.exit("no weights here")
if how == "flaky" and len(Path(log).read_text().split()) == 1: sys.exit(3)
for pair in json.loads((Path(source) / "pairs.json").read_text()):
    image = np.asarray(Image.open(Path(source) / pair["image"]))
    half = image.shape[1] // 2
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[:, slice(0, half) if pair["prompt"] == "left" else slice(half, None)] = 255
    if how == "lazy" and pair["id"] == "00001": continue
    if how == "npy": np.save(Path(target) / (pair["id"] + ".npy"), np.stack([mask > 0, mask < 0]))
    elif how == "turned": Image.fromarray(mask.T.copy()).save(Path(target) / (pair["id"] + ".png"))
    else: Image.fromarray(mask).save(Path(target) / (pair["id"] + ".png"))
"""


def maps_of(model):
    return list(Engine(model, batch_size=8).predict([Request(IMAGES[i], i, t) for i, t in PAIRS]))


def are_halves(maps, value=1.0):
    for (key, prompt), found in zip(PAIRS, maps, strict=True):
        height, width = IMAGES[key].shape[:2]
        columns = np.arange(width) < width // 2
        expected = np.tile((columns if prompt == "left" else ~columns) * value, (height, 1))
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture
def model_file(tmp_path):
    (tmp_path / "vendor.py").write_text(MODEL_FILE)
    return tmp_path / "vendor.py"


class TestPythonFile:
    def test_the_factory_makes_the_model_and_gets_its_arguments(self, model_file):
        model = load_model("python", f"{model_file}:make", arguments={"value": 0.75}, threshold=0.6)
        assert (model.name, model.threshold) == ("vendor", 0.6)
        are_halves(maps_of(model), 0.75)
        source = model.describe()["source"]
        assert source["factory"] == "make"
        assert len(source["sha256"]) == 64

    def test_the_search_path_stays_as_it_is(self, model_file):
        before = list(sys.path)
        load_model("python", f"{model_file}:make")
        assert sys.path == before
        assert "vendor" not in sys.modules

    def test_a_factory_may_make_a_whole_segmenter(self, tmp_path):
        (tmp_path / "own.py").write_text(
            "from robustness.runners.models.load import load_model\n"
            "def make():\n    return load_model('film-unet', image_size=32, device='cpu')\n"
        )
        assert load_model("python", f"{tmp_path / 'own.py'}:make").name == "film-unet"

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("{}", "path.py:factory"),
            ("{}:mak", "defines no 'mak'.*make"),
            ("{}:fails", "ZeroDivisionError"),
            ("{}x:make", "found none"),
            ("{}:number", "TypeError"),
        ],
    )
    def test_what_cannot_be_used_is_told(self, model_file, source, message):
        with pytest.raises(InputError, match=message):
            load_model("python", source.format(model_file))

    def test_settings_of_networks_and_unknown_options_are_refused(self, model_file):
        with pytest.raises(InputError, match="precision: expected none"):
            load_model("python", f"{model_file}:make", precision="bf16")
        with pytest.raises(InputError, match=r"no 'batchsize'.*batch_size"):
            load_model("python", f"{model_file}:make", batchsize=1)

    def test_a_plan_audits_it(self, tmp_path):
        (tmp_path / "side.py").write_text(
            "from tests.synthetic import reads_side\ndef make():\n    return reads_side\n"
        )
        write_dataset(tmp_path / "data", images=2)
        (tmp_path / "plan.toml").write_text(
            f'[model]\nname = "python"\ncheckpoint = "{tmp_path / "side.py"}:make"\n'
            '[data]\npath = "data"\n[perturbations]\nprompt = ["antonym:side"]\nimage = []\n'
            '[metrics]\nnames = ["dice"]\n[statistics]\nresamples = 99\n'
        )
        from robustness.plans.audit import load_plan
        from robustness.workflows.audit import audit_plan

        run = audit_plan(load_plan(tmp_path / "plan.toml"), out=tmp_path / "run", folder=tmp_path, report=False)
        table = run.results()
        assert set(table["model"]) == {"side"}
        assert table[table["condition"] == "antonym:side"]["dice"].max() < 0.1 < 0.9 < table["dice"].max()


class TestReturns:
    @pytest.mark.parametrize(
        ("returns", "value"),
        [
            ("mask", lambda m: (m > 0) * 255),
            ("logits", lambda m: np.where(m > 0, 30.0, -30.0)),
            ("instances", lambda m: np.stack([m * (np.arange(m.shape[0]) % 2 == k)[:, None] for k in (0, 1)])),
            ("instances", lambda m: [m > 0, np.zeros(m.shape, bool)]),
        ],
    )
    def test_masks_logits_and_instances_mean_the_same_map(self, model_file, returns, value):
        halves = load_model("python", f"{model_file}:make").predict
        model = rb.segmenter(lambda i, p: [value(m) for m in halves(i, p)], name="v", returns=returns)
        are_halves(maps_of(model))

    def test_no_instance_is_an_empty_map(self):
        model = rb.segmenter(lambda i, p: [np.zeros((0, *x.shape[:2])) for x in i], name="v", returns="instances")
        assert all(
            m.max() == 0 and m.shape == IMAGES[k].shape[:2] for m, (k, _) in zip(maps_of(model), PAIRS, strict=True)
        )

    def test_a_batch_size_bounds_the_pairs_of_a_call(self, model_file):
        halves, sizes = load_model("python", f"{model_file}:make").predict, []

        def one(images, prompts):
            sizes.append(len(images))
            return halves(images, prompts)

        are_halves(maps_of(rb.segmenter(one, name="v", batch_size=1)))
        assert sizes == [1, 1, 1]

    @pytest.mark.parametrize("options", [{"returns": "mask2"}, {"batch_size": 0}])
    def test_impossible_options_are_refused(self, options):
        with pytest.raises(InputError, match=next(iter(options))):
            rb.segmenter(lambda i, p: [], name="v", **options)

    def test_one_map_is_no_set_of_instances(self):
        model = rb.segmenter(lambda i, p: [np.zeros(x.shape[:2]) for x in i], name="v", returns="instances")
        with pytest.raises(InputError, match=r"expected instances \(N, H, W\)"):
            maps_of(model)


class TestCommand:
    @pytest.fixture
    def command(self, tmp_path):
        (tmp_path / "predict.py").write_text(PREDICTOR)
        self.log = tmp_path / "log"

        def load(how, **options):
            line = [sys.executable, str(tmp_path / "predict.py"), "{input}", "{output}", how, str(self.log)]
            return load_model("command", command=line, **options)

        return load

    def runs(self):
        return len(self.log.read_text().split())

    def test_maps_come_back_in_order(self, command):
        are_halves(maps_of(command("works")))
        assert self.runs() == 1

    def test_instances_come_as_arrays(self, command):
        are_halves(maps_of(command("npy", returns="instances")))

    @pytest.mark.slow
    def test_a_run_that_fails_is_tried_again(self, command):
        are_halves(maps_of(command("flaky", retries=1)))
        assert self.runs() == 2

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ("fails", "failed once: exit code 1: no weights here"),
            ("turned", r"expected a map of its image's size \(6, 10\), got shape \(10, 6\); rows and columns"),
        ],
    )
    def test_what_went_wrong_is_told(self, command, how, message):
        with pytest.raises(InputError, match=message):
            maps_of(command(how, retries=0))

    def test_a_pair_that_is_left_out_of_a_batch_is_asked_for_alone(self, command):
        are_halves(maps_of(command("lazy", retries=0)))
        assert self.runs() == 1 + len(PAIRS)

    @pytest.mark.slow
    def test_a_run_without_an_end_is_ended(self, command):
        start = time.monotonic()
        with pytest.raises(InputError, match=r"longer than 0\.5 s"):
            maps_of(command("slow", retries=0, timeout_s=0.5))
        assert time.monotonic() - start < 30

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"command": "predict"},
            {"command": ["p", "{input}"]},
            {"command": ["p", "{input}{output}"], "retries": -1},
        ],
    )
    def test_impossible_commands_are_refused(self, options):
        with pytest.raises(InputError, match=r"command|retries"):
            load_model("command", **options)

    @pytest.mark.parametrize(
        ("command", "name"),
        [
            (["bin/vendor_a.exe", "{input}", "{output}"], "vendor_a"),
            (["python3.11", "-u", "own/predict.py", "{input}", "{output}"], "predict"),
            (["/usr/bin/python", "-m", "vendor.predict", "{input}", "{output}"], "vendor.predict"),
            (["Rscript", "--vanilla", "predict.R", "{input}{output}"], "predict"),
            (["bash", "-c", "predict {input} {output}"], "bash"),
        ],
    )
    def test_results_call_it_by_the_program_and_not_by_its_interpreter(self, command, name):
        assert load_model("command", command=command).name == name

    def test_an_absent_program_is_told(self):
        model = load_model("command", command=["no-such-program-here", "{input}", "{output}"])
        with pytest.raises(InputError, match="cannot be started"):
            maps_of(model)


def png(array):
    buffer = io.BytesIO()
    PilImage.fromarray(array).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


class Server(ThreadingHTTPServer):
    """Answers as its `script` says, one entry per request, the last one for ever."""

    script: tuple = ("maps",)
    seen: list


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((body, dict(self.headers)))
        step = self.server.script[min(len(self.server.seen), len(self.server.script)) - 1]
        if isinstance(step, int):
            self.send_response(step)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(self.server.word)))
            self.end_headers()
            self.wfile.write(self.server.word)
            return
        if step == "slow":
            # The client's pauses between attempts are cut, and with them `time.sleep` everywhere.
            threading.Event().wait(1.5)
        content = json.dumps({"maps": self.maps(body)}).encode() if step in ("maps", "slow") else step.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + (step == "cut")))
        self.end_headers()
        self.wfile.write(content)

    def maps(self, body):
        found = []
        for pair in body["pairs"]:
            image = np.asarray(PilImage.open(io.BytesIO(base64.b64decode(body["images"][pair["image"]]))))
            mask, half = np.zeros(image.shape[:2], np.uint8), image.shape[1] // 2
            mask[:, slice(0, half) if pair["prompt"] == "left" else slice(half, None)] = 255
            found.append(png(mask))
        return found


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("robustness.runners.models.black_box.http.time.sleep", lambda seconds: None)
    running = Server(("127.0.0.1", 0), Handler)
    running.seen, running.word = [], b""
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    running.url = f"http://127.0.0.1:{running.server_address[1]}/predict"
    yield running
    running.shutdown()
    running.server_close()


class TestHttp:
    def test_maps_come_back_and_each_image_is_sent_once(self, server, monkeypatch):
        monkeypatch.setenv("VENDOR_TOKEN", "s3cret")
        model = load_model("http", url=server.url, token_env="VENDOR_TOKEN")
        are_halves(maps_of(model))
        body, headers = server.seen[0]
        assert len(body["images"]) == 2
        assert headers["Authorization"] == "Bearer s3cret"
        assert "s3cret" not in json.dumps(model.describe())

    def test_a_busy_server_is_asked_again(self, server):
        server.script = (503, 429, "maps")
        are_halves(maps_of(load_model("http", url=server.url, retries=2)))
        assert len(server.seen) == 3

    @pytest.mark.parametrize(
        ("script", "message", "asked"),
        [
            ((500,), "failed 2 times: status 500", 2),
            ((404,), "status 404", 1),
            ((302,), "status 302 Found; redirects are not followed", 1),
            ((401,), "status 401 Unauthorized; .* token_env", 1),
            # Once for all pairs, once for each: what is wrong with a request stays so.
            ((400,), "answered with status 400 Bad Request", 4),
            (('{"error": "no memory"}',), "got the keys 'error': no memory", 1),
            (('{"maps": null}',), "got maps of type NoneType", 1),
            (("[" * 100_000,), "not JSON", 1),
            (("no json",), "not JSON", 1),
            (('{"maps": []}',), "3 maps, got 0", 1),
            (('{"maps": [1, 2, 3]}',), "pair 0: expected a PNG in base64", 1),
            (("x" * 1_100_000,), "at most .* bytes", 1),
        ],
    )
    def test_other_answers_are_told(self, server, script, message, asked):
        server.script = script
        with pytest.raises(InputError, match=message):
            maps_of(load_model("http", url=server.url, retries=1))
        assert len(server.seen) == asked

    def test_the_server_says_why(self, server):
        server.script, server.word = (422,), b'{"detail": [{"loc": ["body"], "msg": "no field\\nimage"}]}'
        with pytest.raises(InputError, match=r"status 422 .*: \[\{.*no field.*image"):
            maps_of(load_model("http", url=server.url))

    def test_base64_may_have_line_breaks(self, server, monkeypatch):
        whole = Handler.maps
        monkeypatch.setattr(Handler, "maps", lambda *asked: ["\r\n".join(textwrap.wrap(m, 76)) for m in whole(*asked)])
        are_halves(maps_of(load_model("http", url=server.url)))

    def test_an_answer_that_is_cut_off_is_asked_for_again(self, server):
        server.script = ("cut", "maps")
        are_halves(maps_of(load_model("http", url=server.url, retries=1)))
        assert len(server.seen) == 2

    def test_what_is_no_png_is_told_without_an_address_in_memory(self):
        with pytest.raises(AnswerError, match=r"pair 0 is not a readable PNG \(it does not begin as one\)"):
            decode_image(b"\xff\xd8\xff\xe0", None, "pair 0")

    def test_a_slow_server_is_left(self, server):
        server.script = ("slow",)
        with pytest.raises(InputError, match=r"timed out|took longer than 0.3 s"):
            maps_of(load_model("http", url=server.url, retries=0, timeout_s=0.3))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "http or https"),
            ({"url": "ftp://host/predict"}, "http or https"),
            ({"url": "http://me:word@host/"}, "no user or password"),
            ({"url": "http://host/", "token_env": "NOT_SET_ANYWHERE"}, "is not set"),
            ({"url": "http://host/", "timeout_s": 0}, "timeout_s"),
        ],
    )
    def test_impossible_addresses_are_refused(self, options, message):
        with pytest.raises(InputError, match=message):
            load_model("http", **options)


def test_a_folder_of_predictions_is_a_model_of_a_plan(tmp_path):
    (tmp_path / "reader" / "clean").mkdir(parents=True)
    PilImage.fromarray(np.full((6, 10), 255, np.uint8)).save(tmp_path / "reader" / "clean" / "c.png")
    model = load_model("predictions", tmp_path / "reader")
    assert model.name == "reader"
    assert model.lookup(Request(IMAGES["a"], "a", "x", case_id="c")).min() == 1
    with pytest.raises(InputError, match="checkpoint: expected a folder"):
        load_model("predictions")


@pytest.mark.parametrize("name", ["python", "command", "http", "predictions", "sam3", "grounded-sam"])
def test_what_cannot_be_trained_is_refused_before_any_work(name, tmp_path):
    from robustness.runners.training.finetune import finetune

    with pytest.raises(InputError, match=f"'{name}' cannot be finetuned here; expected a network such as") as caught:
        finetune(name, data=tmp_path / "none", out=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
