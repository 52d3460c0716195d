"""Plans of audits, finetunings and studies as TOML."""
