"""Ontology of medical words: anatomy, findings, instruments, and the words that modify them."""
