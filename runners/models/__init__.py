"""Models, one file or folder each."""
