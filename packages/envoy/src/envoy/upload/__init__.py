"""Files out: `scan` (which files), `hash_cache`, `transfer` (send them), `worker` (in the
background, surviving restarts), `progress`."""
