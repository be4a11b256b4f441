"""How things stand, for clients and users."""
