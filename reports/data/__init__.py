"""Tables behind a report."""
