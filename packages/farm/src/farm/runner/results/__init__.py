"""Results: taken from the renderer, checked, and delivered."""
