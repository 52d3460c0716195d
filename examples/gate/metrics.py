"""This project's own module `metrics`: the package that audits the model has one of that name, and they do not meet."""

OWNER = "this example"


def rate(count: int, runs: int) -> float:
    """Return a share."""
    return count / runs
