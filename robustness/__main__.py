"""``python -m robustness``: the command line."""

from robustness.cli.main import run_command

if __name__ == "__main__":
    run_command()
