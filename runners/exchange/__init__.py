"""Audits of models that stay elsewhere."""
