"""A hook for a model registry: a version becomes `production` only where its run passes the release gates.

    python promote.py runs/model --version 7 [--registry registry.json]

Exit codes: 0 promoted, 1 held back by a gate, 2 bad input; a pipeline needs nothing else. `set_production` writes a
JSON file; put the call of your registry there, for MLflow
MlflowClient().set_registered_model_alias(name, "production", version).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Gate, then promote."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the finished audit of this version")
    parser.add_argument("--version", required=True)
    parser.add_argument("--gates", default="release.toml")
    parser.add_argument("--baseline", default="baselines/main.toml")
    parser.add_argument("--registry", type=Path, default=Path("registry.json"))
    chosen = parser.parse_args()
    # First that the evidence is what the audit wrote, then what it says.
    for command in (
        ["verify", str(chosen.run)],
        ["gate", str(chosen.run), "--gates", chosen.gates, "--baseline", chosen.baseline],
    ):
        code = subprocess.run([sys.executable, "-m", "robustness", *command], check=False).returncode
        if code:
            print(f"not promoted: robustness {command[0]} ended with {code}", file=sys.stderr)
            return code
    set_production(chosen.registry, chosen.version, json.loads((chosen.run / "manifest.json").read_text()))
    print(f"promoted: version {chosen.version} is production")
    return 0


def set_production(registry: Path, version: str, manifest: dict) -> None:
    """Note the version with the hashes of its evidence."""
    known = json.loads(registry.read_text()) if registry.is_file() else {"versions": {}}
    known["versions"][version] = {"plan": manifest["plan_sha256"], "tables": manifest["tables"]}
    registry.write_text(json.dumps({**known, "production": version}, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
