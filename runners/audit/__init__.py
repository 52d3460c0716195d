"""Audits: jobs, scoring, state, executors."""
