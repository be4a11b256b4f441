"""What confines a renderer: what it sees of the machine, and which network it reaches."""
