"""FiLM U-Net: a small network of this suite that reads its prompt."""
