"""How much a renderer may use of its machine, how that is measured, and who ends it."""
