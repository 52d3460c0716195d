"""Several processes for one training: started here, or by whoever runs many machines."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from robustness.errors import CaseError, InputError
from robustness.runners.training_ranks import ONE, Ranks
from robustness.train_plan import TrainPlan, TrainSpec, parse_train_plan

# How torchrun, SLURM and this module tell a process its number: on its machine, and among all.
_LOCAL = ("LOCAL_RANK", "SLURM_LOCALID")
_GLOBAL = ("RANK", "SLURM_PROCID")
_POLL_SECONDS = 0.2


def must_launch(spec: TrainSpec) -> bool:
    """Return whether the plan wants several processes and nobody has started them."""
    return spec.devices * spec.nodes > 1 and not any(name in os.environ for name in _LOCAL)


def own_ranks(spec: TrainSpec) -> Ranks:
    """Return this process's place among those of the plan."""
    count = spec.devices * spec.nodes
    if count == 1:
        return ONE
    stated = next((os.environ[name] for name in _GLOBAL if name in os.environ), None)
    if stated is not None:
        return Ranks(int(stated), count)
    return Ranks(int(os.environ.get("NODE_RANK", "0")) * spec.devices + _local_rank(), count)


def own_device(device: str, spec: TrainSpec) -> str:
    """Return the device of this process: with several processes, the GPU with its number on this machine."""
    from robustness.runners.devices import resolve_device

    if spec.devices * spec.nodes == 1 or resolve_device(device).type != "cuda":
        return device
    return f"cuda:{_local_rank()}"


def launch(plan: TrainPlan, *, out: Path, beside: Path | None, quiet: bool) -> None:
    """Start this machine's processes of a training and wait for them; all end when one fails.

    With several machines (`nodes`), run the same command on each with MASTER_ADDR, MASTER_PORT and NODE_RANK set, or
    under torchrun or srun, which start the processes themselves.

    Raises:
        InputError: as in `robustness.runners.finetune.run_training`, or a process died.
        CaseError: a case cannot be read.
    """
    surroundings = {**os.environ, **_meeting_point(plan.train), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    task = {"plan": plan.model_dump(exclude_none=True), "out": str(out), "quiet": quiet}
    task |= {"beside": str(beside) if beside is not None else None, "parent": os.getpid()}
    with tempfile.TemporaryDirectory(prefix="robustness-") as folder:
        file = Path(folder) / "task.json"
        file.write_text(json.dumps(task), encoding="utf-8")
        command = [sys.executable, "-m", "robustness.runners.training_launch", str(file)]
        processes = [
            subprocess.Popen(command, env={**surroundings, "LOCAL_RANK": str(rank)})
            for rank in range(plan.train.devices)
        ]
        try:
            codes = _wait(processes)
        finally:
            _end(processes)
        if any(codes):
            _raise_told(Path(folder), codes)


def _wait(processes: list[subprocess.Popen[bytes]]) -> list[int | None]:
    while True:
        codes = [process.poll() for process in processes]
        if all(code is not None for code in codes) or any(codes):
            return codes
        time.sleep(_POLL_SECONDS)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        if process.poll() is None:
            process.kill()


def _raise_told(folder: Path, codes: list[int | None]) -> None:
    for file in sorted(folder.glob("error-*.json")):
        told = json.loads(file.read_text(encoding="utf-8"))
        raise {"CaseError": CaseError}.get(told["kind"], InputError)(told["message"])
    failed = {rank: code for rank, code in enumerate(codes) if code}
    raise InputError(f"train.devices: expected all processes to finish, ended with codes {failed}; see their messages")


def _meeting_point(spec: TrainSpec) -> dict[str, str]:
    if spec.nodes > 1:
        missing = [name for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK") if name not in os.environ]
        if missing:
            raise InputError(
                f"train.nodes: expected {', '.join(missing)} in the environment of every machine, found none; "
                "set them, start the processes by torchrun or srun, or set nodes = 1"
            )
        return {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "NODE_RANK": "0"}


def _local_rank() -> int:
    return int(next((os.environ[name] for name in _LOCAL if name in os.environ), "0"))


def _work(file: Path) -> int:
    """Be one process of a training; what a user can mend is told to the process that started this one."""
    from robustness.runners.finetune import run_training

    task: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    threading.Thread(target=_end_with, args=(task["parent"],), daemon=True).start()
    try:
        plan = parse_train_plan(task["plan"])
        beside = Path(task["beside"]) if task["beside"] is not None else None
        run_training(plan, out=Path(task["out"]), beside=beside, quiet=task["quiet"])
    except (InputError, CaseError) as error:
        told = {"kind": type(error).__name__, "message": str(error)}
        (file.parent / f"error-{_local_rank()}.json").write_text(json.dumps(told), encoding="utf-8")
        return 1
    return 0


def _end_with(parent: int) -> None:
    # A killed parent cannot end its children, which would hold the folder against a resume.
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(_work(Path(sys.argv[1])))
