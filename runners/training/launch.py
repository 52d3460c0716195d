"""Several processes for one training: started here, or by whoever runs many machines."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from robustness.errors import CaseError, InputError
from robustness.plans.finetune import TrainPlan, TrainSpec

_POLL_SECONDS = 0.2


def launch(plan: TrainPlan, *, out: Path, base_dir: Path | None, quiet: bool) -> None:
    """Start this machine's processes of a training and wait for them; all end when one fails.

    With several machines (`nodes`), run the same command on each with MASTER_ADDR, MASTER_PORT and NODE_RANK set, or
    under torchrun or srun, which start the processes themselves.

    Raises:
        InputError: as in `robustness.runners.training.finetune.run_training`, or a process died.
        CaseError: a case cannot be read.
    """
    _check_processes(plan)
    surroundings = {**os.environ, **_meeting_point(plan.train), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    task = {"plan": plan.model_dump(exclude_none=True), "out": str(out), "quiet": quiet}
    task |= {"base_dir": str(base_dir) if base_dir is not None else None, "parent": os.getpid()}
    with tempfile.TemporaryDirectory(prefix="robustness-") as folder:
        file = Path(folder) / "task.json"
        file.write_text(json.dumps(task), encoding="utf-8")
        command = [sys.executable, "-m", "robustness.runners.training.worker", str(file)]
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


def _check_processes(plan: TrainPlan) -> None:
    """Refuse more processes than this machine has devices for, before any of them loads a network."""
    import torch

    from robustness.runners.inference.devices import resolve_device

    is_cuda = resolve_device(plan.model.device).type == "cuda"
    # Two take turns on one core well enough; more would wait for each other without end.
    most = torch.cuda.device_count() if is_cuda else max(2, os.cpu_count() or 1)
    if plan.train.devices > most:
        what = "CUDA devices" if is_cuda else "processor cores"
        raise InputError(
            f"train.devices: expected at most {most} on this machine ({what}), got {plan.train.devices}; "
            "set fewer, or nodes for more machines"
        )


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
        error = json.loads(file.read_text(encoding="utf-8"))
        raise {"CaseError": CaseError}.get(error["kind"], InputError)(error["message"])
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
