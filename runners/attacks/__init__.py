"""Searches for attacks with the model in the loop."""
