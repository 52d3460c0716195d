"""Entry point of one worker process of a finetuning."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from robustness.errors import CaseError, InputError
from robustness.plans.finetune import parse_train_plan
from robustness.runners.training.finetune import run_training
from robustness.runners.training.ranks import _local_rank

_POLL_SECONDS = 0.2


def work(file: Path) -> int:
    """Be one process of a training; what a user can fix is reported to the process that started this one."""
    task: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    threading.Thread(target=_end_with, args=(task["parent"],), daemon=True).start()
    try:
        plan = parse_train_plan(task["plan"])
        base_dir = Path(task["base_dir"]) if task["base_dir"] is not None else None
        run_training(plan, out=Path(task["out"]), base_dir=base_dir, quiet=task["quiet"], is_locked=True)
    except (InputError, CaseError) as error:
        message = {"kind": type(error).__name__, "message": str(error)}
        (file.parent / f"error-{_local_rank()}.json").write_text(json.dumps(message), encoding="utf-8")
        return 1
    return 0


def _end_with(parent: int) -> None:
    # A killed parent cannot end its children, which would hold the folder against a resume.
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1])))
