"""A text detector and a SAM: boxes of the words, a mask for each box."""
