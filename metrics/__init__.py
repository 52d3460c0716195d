"""What is measured: mask metrics, paired statistics, verdicts."""
