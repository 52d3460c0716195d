"""The page and its PDF."""
