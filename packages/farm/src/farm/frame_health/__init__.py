"""Frame health: what frames look like, alone and beside their neighbours."""
