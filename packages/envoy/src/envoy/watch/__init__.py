"""Results in: `match` (which, and where to), `follow` (the change feed), `download`."""
