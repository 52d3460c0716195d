"""BiomedCLIPSeg."""
