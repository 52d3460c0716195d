"""A run in other formats: summary, model index, RO-Crate."""
