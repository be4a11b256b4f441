"""What this farm can run: products and machine types."""
