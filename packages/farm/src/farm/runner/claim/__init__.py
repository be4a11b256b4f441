"""One claim: the renderer at work, and what becomes of it."""
