"""Reading and rewriting prompts."""
