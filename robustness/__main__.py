"""``python -m robustness``: the command line."""

from robustness.cli.main import main

if __name__ == "__main__":
    main()
