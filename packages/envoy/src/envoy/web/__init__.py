"""HTTP in: `guard` (who may ask at all), routes a resource a file, `answers` (errors)."""
