"""A grammar for prompts as people write them: tokens, noun phrases, attachment, frames, scope."""
