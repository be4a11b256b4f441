"""What scenes name and nobody has added: found on this machine, and sent with them."""
