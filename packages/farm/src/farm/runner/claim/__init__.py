"""One claim: the renderer at work, and its outcome."""
