"""Workers on this machine: the rows of one process bit for bit, errors of one line, and how many by default."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import robustness as rb
from robustness.errors import CaseError, InputError
from robustness.plans.audit import EngineSpec, parse_plan
from robustness.runners.audit import worker_count
from robustness.runners.audit.executors import run_local, run_on_ray
from robustness.runners.audit.parts import cut_facts, cut_parts, taking_order
from robustness.runners.audit.processes import is_of_server
from robustness.runners.audit.worker_count import chosen_workers, stated_workers
from robustness.runners.audit.workers import WorkerPool, run_in_workers
from robustness.runners.environment import environment, reuse_memory
from robustness.workflows.audit import audit_plan
from robustness.workflows.loading import load_all
from tests.synthetic import reads_side, write_dataset


def plan_of(data, **engine):
    return parse_plan(
        {
            "seed": 3,
            "model": {"name": "film-unet", "config": {"image_size": 32}, "device": "cpu"},
            "data": {"path": str(data), "prompt": "p5"},
            "perturbations": {"prompt": ["antonym", "other"], "image": ["gaussian_noise"]},
            "metrics": {"names": ["dice", "hd95"]},
            "statistics": {"resamples": 99},
            "engine": {"images_per_part": 2, "threads": 1, **engine},
        },
        source="test",
    )


class TestAudit:
    @pytest.mark.slow
    def test_rows_verdicts_gallery_and_counts_are_those_of_one_process(self, tmp_path):
        data = write_dataset(tmp_path / "set", images=7)
        lines: list[str] = []
        one = audit_plan(plan_of(data), out=tmp_path / "one", report=False)
        two = audit_plan(plan_of(data, workers=2), out=tmp_path / "two", report=False, say=lines.append)
        pd.testing.assert_frame_equal(two.results(), one.results(), check_exact=True)
        pd.testing.assert_frame_equal(two.verdicts(), one.verdicts(), check_exact=True)
        galleries = [pd.read_parquet(run.path / "gallery.parquet") for run in (one, two)]
        pd.testing.assert_frame_equal(galleries[1], galleries[0], check_exact=True)
        assert two.manifest["timing"]["n_decodes"] == one.manifest["timing"]["n_decodes"]
        assert lines[0] == "2 workers, 1 thread each: as stated"

    def test_a_run_that_one_process_began_goes_on_with_two(self, tmp_path):
        plan = plan_of(write_dataset(tmp_path / "set", images=6))
        whole = audit_plan(plan, out=tmp_path / "run", report=False).results()
        for part in (0, 2):
            (tmp_path / "run" / "results" / f"part-{part:05d}.parquet").unlink()
        again = audit_plan(plan, out=tmp_path / "run", report=False, workers=2).results()
        pd.testing.assert_frame_equal(again, whole, check_exact=True)

    @pytest.mark.slow
    def test_the_page_is_the_one_that_a_single_process_writes_of_the_run(self, tmp_path):
        plan = plan_of(write_dataset(tmp_path / "set", images=3))
        run = audit_plan(plan, out=tmp_path / "run", workers=2)
        page = (tmp_path / "run" / "report.html").read_bytes()
        assert run.report().read_bytes() == page
        assert b"data:image/webp" in page

    def test_a_loaded_model_cannot_be_shared_by_processes(self, tmp_path):
        data = rb.load_dataset(write_dataset(tmp_path / "set", images=2), prompt="p5")
        model = rb.segmenter(reads_side, name="reader")
        with pytest.raises(InputError, match=r"engine: expected no 'workers' for a loaded model, got 2; .* plan"):
            rb.audit(model, data, out=tmp_path / "run", engine={"workers": 2})


@dataclass
class Notes:
    """A runner that writes a file for each part; its content is the process. `fault` meets every part it runs."""

    folder: Path
    fault: str = ""

    def run_part(self, index):
        if self.fault:
            (self.folder / "fault").touch()
        if self.fault == "error":
            raise CaseError(f"part {index}: cannot be read")
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / f"part-{index}").write_text(str(os.getpid()))


class Patient(Notes):
    """Runs its first part as soon as another process has begun with one."""

    def run_part(self, index):
        until = time.monotonic() + 120
        while not any(self.folder.iterdir()):
            assert time.monotonic() < until, "no other process began with a part"
            time.sleep(0.01)
        super().run_part(index)


def by_process(folder):
    return {int(path.name.split("-")[1]): int(path.read_text()) for path in folder.glob("part-*")}


def run_with_one_more(runner, pending, *, load, **options):
    """Run parts in this process and one other, whose runner is what `load` returns."""
    with WorkerPool(load, 1) as pool:
        run_in_workers(runner, same, pending, pool=pool, **{"progress": None, **options})


def same(loaded):
    return loaded


def cannot_load(folder):
    raise InputError("model: expected weights, found none")


class TestProcesses:
    def test_every_part_is_run_once_and_counted(self, tmp_path):
        progress = []
        run_with_one_more(
            Patient(tmp_path),
            range(2, 12),
            load=partial(Notes, tmp_path),
            total=12,
            progress=lambda *counts: progress.append(counts),
        )
        assert sorted(by_process(tmp_path)) == list(range(2, 12))
        assert len(set(by_process(tmp_path).values())) == 2
        assert progress == [(done, 12) for done in range(2, 13)]
        assert multiprocessing.active_children() == []

    def test_nothing_is_run_before_the_first_parts_are_there(self, tmp_path):
        class First(Notes):
            def run_part(self, index):
                assert bool(by_process(tmp_path)) == (index != 3)
                super().run_part(index)

        run_with_one_more(First(tmp_path), range(6), load=partial(Notes, tmp_path), first=[3], total=6)
        assert by_process(tmp_path)[3] == os.getpid()
        assert sorted(by_process(tmp_path)) == list(range(6))

    @pytest.mark.parametrize(
        ("fault", "error", "line"),
        [
            ("error", CaseError, r"^part \d: cannot be read$"),
            (
                "kill",
                InputError,
                r"^workers: one of the processes was killed by signal 9; .* are kept\. .* fewer workers",
            ),
        ],
    )
    def test_what_ends_another_process_is_an_error_here(self, tmp_path, fault, error, line):
        with pytest.raises(error, match=line):
            run_with_one_more(Patient(tmp_path), [0, 1], load=partial(Notes, tmp_path, fault), total=2)
        assert len(by_process(tmp_path)) == 1
        assert multiprocessing.active_children() == []

    def test_what_cannot_be_loaded_elsewhere_is_an_error_here(self, tmp_path):
        with pytest.raises(InputError, match=r"^model: expected weights, found none$"):
            run_with_one_more(Notes(tmp_path), [0, 1], load=partial(cannot_load, tmp_path), total=2)
        assert multiprocessing.active_children() == []

    def test_processes_for_which_there_is_no_part_are_ended(self, tmp_path):
        with WorkerPool(partial(Notes, tmp_path), 3) as pool:
            pool.give(same, [0, 1])
            assert len(pool.reports()) == 1
            pool.give(same, [])
            assert pool.reports() == {}
        assert multiprocessing.active_children() == []

    def test_a_pool_without_work_outlives_neither_its_block_nor_an_error(self, tmp_path):
        with pytest.raises(InputError), WorkerPool(partial(Notes, tmp_path), 1):
            raise InputError("data: expected a folder")
        until = time.monotonic() + 120
        while any(thread.name == "workers" for thread in threading.enumerate()):
            assert time.monotonic() < until, "the processes were not ended"
            time.sleep(0.01)
        assert multiprocessing.active_children() == []


def doubled(number):
    while True:
        number = yield 2 * number, os.getpid()


def when_there(file):
    while not file.exists():
        time.sleep(0.01)
    yield "went"


def served():
    yield is_of_server()


def never():
    time.sleep(600)
    yield


@pytest.fixture
def aside(tmp_path):
    """The process that stays after two parts, of which the parent runs one."""
    with WorkerPool(partial(Notes, tmp_path), 1, afterwards=partial(Path.touch, tmp_path / "ready")) as pool:
        run_in_workers(Patient(tmp_path), same, [0, 1], pool=pool, total=2, progress=None)
        yield pool.aside()
    assert multiprocessing.active_children() == []


# How workers would be started: by a caller, by a command, and by one with a thread or a library's threads.
_HOW = """
import threading
import torch
from robustness import lazy
from robustness.runners.audit import processes
def say():
    print(processes.worker_context().get_start_method())
say()
lazy.be_command()
say()
with processes.without_threads():
    torch.randn(2000, 2000).sum()
say()
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
say()
stop.set()
thread.join()
say()
torch.set_num_threads(2)
torch.randn(2000, 2000).sum()
say()
"""
_HOW_WITH_ACCELERATOR = """
import torch
from robustness import lazy
from robustness.runners.audit import processes
torch.accelerator.is_available = lambda: True
lazy.be_command()
print(processes.worker_context().get_start_method())
"""
_HOW_OF_A_CALLER = """
from typer.testing import CliRunner
from robustness import lazy
from robustness.cli.main import app
print(CliRunner().invoke(app, ["audit", "missing.toml"]).exit_code != 0, lazy.is_command())
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_only_a_command_without_threads_is_forked_itself():
    done = subprocess.run([sys.executable, "-c", _HOW], capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout.split() == ["forkserver", "fork", "fork", "forkserver", "fork", "forkserver"]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
@pytest.mark.parametrize(
    ("script", "said"), [(_HOW_WITH_ACCELERATOR, ["forkserver"]), (_HOW_OF_A_CALLER, ["True", "False"])]
)
def test_neither_beside_an_accelerator_nor_in_the_process_of_a_caller(script, said):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout.split() == said


# A forked worker: what it inherits of the command must not keep it from being ended, nor from its parts.
_FORKED = """
import signal, sys
from functools import partial
from pathlib import Path
from robustness import lazy
from robustness.runners.audit import processes
from robustness.runners.audit.workers import WorkerPool, run_in_workers
from tests.runners.audit.test_workers import Notes, Patient, doubled, same
def refuse(number, frame):
    raise SystemExit("a handler of the command was called")
signal.signal(signal.SIGTERM, refuse)
lazy.be_command()
folder = Path(sys.argv[1])
with WorkerPool(partial(Notes, folder), 2, afterwards=list) as pool:
    print(pool._context.get_start_method())
    run_in_workers(Patient(folder), same, range(9), pool=pool, total=9, progress=None)
    aside = pool.aside()
    aside.begin(doubled, 21)
    print(aside.result()[0])
print(len(processes.multiprocessing.active_children()), processes.os.getpid())
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_forked_workers_share_the_parts_and_end_with_the_block(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _FORKED, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    *said, command = done.stdout.split()
    assert said == ["fork", "42", "0"]
    assert done.stderr == ""
    assert sorted(by_process(tmp_path)) == list(range(9))
    assert {*by_process(tmp_path).values()} - {int(command)}


class TestAside:
    def test_results_come_from_the_process_that_ran_parts_and_inputs_go_to_it(self, aside, tmp_path):
        worker = next(process for process in by_process(tmp_path).values() if process != os.getpid())
        aside.begin(doubled, 21)
        assert aside.result() == (42, worker)
        aside.give("ab")
        assert aside.result() == ("abab", worker)
        assert (tmp_path / "ready").exists()
        aside.end()
        assert multiprocessing.active_children() == []

    def test_readiness_is_told_without_waiting(self, aside, tmp_path):
        aside.begin(when_there, tmp_path / "go")
        assert not aside.ready()
        (tmp_path / "go").touch()
        assert aside.result() == "went"
        aside.end()
        assert aside.ready()

    @pytest.mark.parametrize("work", [partial(doubled, None), partial(os._exit, 1)])
    def test_a_process_that_fails_gives_nothing(self, aside, work):
        aside.begin(work)
        aside.give(1)
        assert aside.result() is None
        assert multiprocessing.active_children() == []
        assert aside.ready()
        aside.give(1)
        assert aside.result() is None

    def test_only_the_server_and_its_forks_end_at_once(self, aside):
        assert not is_of_server()
        aside.begin(served)
        assert aside.result() is True

    def test_a_process_that_is_not_needed_is_not_waited_for(self, aside):
        aside.begin(never)
        aside.end()
        assert multiprocessing.active_children() == []

    def test_a_process_that_fails_later_gives_what_it_had(self, aside):
        aside.begin(doubled, 21)
        assert aside.result()[0] == 42
        aside.give(None)
        assert aside.result() is None
        assert multiprocessing.active_children() == []

    def test_one_of_several_stays_and_none_without_work_for_it(self, tmp_path):
        with WorkerPool(partial(Notes, tmp_path), 2, afterwards=served) as pool:
            run_in_workers(Patient(tmp_path), same, range(9), pool=pool, total=9, progress=None)
            assert pool.aside() is not None
            assert len(multiprocessing.active_children()) == 1
        for parts, afterwards in (([0, 1], None), ([], served)):
            with WorkerPool(partial(Notes, tmp_path), 1, afterwards=afterwards) as pool:
                run_in_workers(Notes(tmp_path), same, parts, pool=pool, total=9, progress=None)
                assert pool.aside() is None


class TestContainer:
    """The limits of a control group, as Kubernetes and Slurm set them."""

    @pytest.fixture
    def group(self, tmp_path, monkeypatch):
        monkeypatch.setattr(worker_count, "CONTROL_GROUP", tmp_path)
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
        monkeypatch.setattr(worker_count, "_machine_free_gib", lambda: 60.0)
        return tmp_path

    @pytest.mark.parametrize(
        ("quota", "expected"), [("400000 100000", 4), ("250000 100000", 2), ("50000 100000", 1), ("max 100000", 16)]
    )
    def test_cores_are_bounded_by_the_quota_of_time(self, group, quota, expected):
        (group / "cpu.max").write_text(f"{quota}\n")
        assert worker_count.cores() == expected

    def test_memory_is_bounded_by_what_the_limit_leaves(self, group):
        (group / "memory.max").write_text(f"{8 * 2**30}\n")
        (group / "memory.current").write_text(f"{7 * 2**30}\n")
        (group / "memory.stat").write_text(f"anon 5\ninactive_file {3 * 2**30}\nactive_file 9\n")
        assert worker_count.free_gib() == 4.0

    def test_without_limits_the_machine_counts(self, group):
        (group / "memory.max").write_text("max\n")
        (group / "memory.current").write_text("5\n")
        assert (worker_count.cores(), worker_count.free_gib()) == (16, 60.0)


class TestCount:
    @pytest.fixture
    def loaded(self, tmp_path):
        plan = plan_of(write_dataset(tmp_path / "set", images=2), threads=None)
        return plan, *load_all(plan)

    @pytest.fixture
    def machine(self, monkeypatch):
        monkeypatch.setattr(worker_count, "cores", lambda: 8)
        monkeypatch.setattr(worker_count, "free_gib", lambda: 3.0)

    def test_memory_bounds_it_and_threads_share_the_cores(self, loaded, machine):
        count = chosen_workers(*loaded, [10_000])
        assert (count.workers, count.threads) == (3, 2)
        assert str(count) == "3 workers, 2 threads each: 8 cores, 3.0 GiB free, about 0.9 GiB for each"

    def test_a_large_network_gets_fewer(self, loaded, machine, monkeypatch):
        monkeypatch.setattr(worker_count, "_parameters", lambda model: 150_000_000)
        assert chosen_workers(*loaded, [10_000]).workers == 1

    def test_stated_threads_bound_it(self, loaded, machine):
        plan, models, data = loaded
        plan = plan.model_copy(update={"engine": plan.engine.model_copy(update={"threads": 4})})
        assert chosen_workers(plan, models, data, [10_000])[:2] == (2, 4)
        assert stated_workers(plan, 5)[:2] == (5, 4)

    def test_little_work_and_black_boxes_stay_in_one_process(self, loaded, machine):
        plan, models, data = loaded
        assert chosen_workers(plan, models, data, [3])[:2] == (1, None)
        black_box = rb.segmenter(reads_side, name="reader")
        assert chosen_workers(plan, [black_box], data, [10_000])[:2] == (1, None)


class Images:
    """A data set of which only the images are known."""

    def __init__(self, *cases):
        self.infos = [SimpleNamespace(image_id=f"i{image}") for image, count in enumerate(cases) for _ in range(count)]


@pytest.mark.parametrize(
    ("images", "stated", "sizes"),
    [
        (20, None, [5, 5, 5, 5]),
        (40, None, [5] * 8),
        (15, None, [8, 7]),
        (60, None, [8] * 7 + [4]),
        (20, 8, [8, 8, 4]),
        (3, 8, [3]),
    ],
)
def test_parts_of_few_images_are_equally_large(images, stated, sizes):
    parts = cut_parts([None], [Images(*[3] * images)], stated)
    assert [len(part.images) for part in parts] == sizes
    assert [image for part in parts for image in part.images] == [f"i{number}" for number in range(images)]


@pytest.mark.parametrize(
    ("cases", "sizes"),
    [
        # Ten images that hold most of the cases, ten that hold one each.
        ([10] * 10 + [1] * 10, [3, 2, 3, 12]),
        # One image holds nearly all: its part is its own, and no part is empty.
        ([1] * 10 + [500] + [1] * 9, [10, 1, 9]),
        ([1] * 8 + [9] * 8, [9, 3, 2, 2]),
    ],
)
def test_parts_of_few_images_hold_as_many_cases(cases, sizes):
    data = Images(*cases)
    parts = cut_parts([None], [data], None)
    assert [len(part.images) for part in parts] == sizes
    assert [image for part in parts for image in part.images] == [f"i{number}" for number in range(len(cases))]
    assert cut_facts(parts, [data], EngineSpec()) == {"parts": len(parts), "images_of_parts": sizes}
    for stated in ({"images_per_part": 5}, {"image_batch": 16}):
        assert cut_facts(parts, [data], EngineSpec(**stated)) == {"parts": len(parts)}


@pytest.mark.parametrize(
    ("pending", "workers", "order"),
    [
        ([0, 1, 2, 3], 2, [3, 0, 2, 1]),
        ([1, 2], 2, [2, 1]),
        # Of many parts those at the end alone; equal ones stay in order.
        (range(11), 1, [*range(7), 9, 7, 8, 10]),
    ],
)
def test_the_last_parts_are_taken_largest_first(pending, workers, order):
    rows = [28, 26, 27, 29, 1, 1, 1, 5, 5, 6, 4]
    assert taking_order(pending, rows, workers) == order


class Recorder:
    """A runner that notes what it was asked for."""

    def __init__(self):
        self.done = []

    def run_part(self, index):
        self.done.append(index)


def test_parts_run_in_order_and_progress_counts_those_that_were_there():
    runner, told = Recorder(), []
    run_local(runner, [2, 5], total=6, progress=lambda done, total: told.append((done, total)))
    assert runner.done == [2, 5]
    assert told == [(4, 6), (5, 6)]


def test_without_ray_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'vlsm-robustness\[ray\]'"):
        run_on_ray(Recorder, [0], total=1, progress=None)


# Warnings of Ray and of what it imports are not ours to fix.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
class TestRay:
    """Needs Ray, which is an extra."""

    @pytest.fixture(scope="class", autouse=True)
    def cluster(self):
        ray = pytest.importorskip("ray")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()

    @pytest.fixture
    def plan(self, tmp_path):
        data = write_dataset(tmp_path / "set", images=6)
        return parse_plan(
            {
                "seed": 3,
                "model": {"name": "film-unet", "config": {"image_size": 32}, "device": "cpu"},
                "data": {"path": str(data), "prompt": "p5"},
                "perturbations": {"prompt": ["antonym", "other"], "image": ["gaussian_noise"]},
                "metrics": {"names": ["dice"]},
                "statistics": {"resamples": 99},
                "engine": {"images_per_part": 2, "threads": 1},
            }
        )

    def test_the_table_is_that_of_one_process(self, plan, tmp_path):
        local = audit_plan(plan, out=tmp_path / "local", report=False)
        many = audit_plan(plan, out=tmp_path / "ray", report=False, executor="ray")
        pd.testing.assert_frame_equal(many.results(), local.results())
        pd.testing.assert_frame_equal(many.verdicts(), local.verdicts())
        assert many.manifest["timing"]["n_decodes"] == local.manifest["timing"]["n_decodes"]

    def test_a_killed_run_goes_on_on_the_cluster(self, plan, tmp_path):
        whole = audit_plan(plan, out=tmp_path / "run", report=False).results()
        (tmp_path / "run" / "results" / "part-00001.parquet").unlink()
        again = audit_plan(plan, out=tmp_path / "run", report=False, executor="ray").results()
        pd.testing.assert_frame_equal(again, whole)

    def test_a_strict_run_stops_with_the_line_of_its_case(self, plan, tmp_path):
        broken = next((tmp_path / "set" / "images").iterdir())
        broken.write_bytes(b"no image")
        with pytest.raises(CaseError, match="stopped: strict") as caught:
            audit_plan(plan, out=tmp_path / "run", report=False, executor="ray", strict=True)
        assert "Traceback" not in str(caught.value)


class TestMemory:
    @pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
    def test_settings_of_the_user_are_left_alone(self, name, monkeypatch):
        monkeypatch.setenv(name, "glibc.malloc.trim_threshold=131072")
        assert not reuse_memory()

    def test_another_library_is_left_alone(self, monkeypatch):
        def confstr(_: str) -> str:
            raise ValueError("unrecognized configuration name")

        monkeypatch.setattr(os, "confstr", confstr)
        assert not reuse_memory()


def test_threads_of_a_process_are_also_those_of_numpys_products():
    def products():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    threads = torch.get_num_threads()
    with threadpool_limits(2, user_api="blas"):
        try:
            assert environment(1)["threads"] == 1
            assert products() == {1}
            environment(None)
            assert products() == {1}
        finally:
            torch.set_num_threads(threads)
