"""What is changed: prompts (attributes, lexicon, swaps) and images (domain shifts)."""
