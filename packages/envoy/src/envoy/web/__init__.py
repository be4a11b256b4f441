"""HTTP in: `guard` (who may call at all), one file of routes per resource, `answers` (errors)."""
