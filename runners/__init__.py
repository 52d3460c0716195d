"""What is run: data, checkpoints, models, inference, finetuning, audits."""
