"""What confines a renderer, and what it may use of the machine."""
