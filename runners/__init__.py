"""Runs: data, checkpoints, models, inference, finetuning, audits."""
