"""Findings about a dataset before an audit meets it: files, entries, splits, words, looks and identifiers."""
