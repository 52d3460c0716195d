"""Gates: criteria, evidence, decisions, baselines, assertions."""
