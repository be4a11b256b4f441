"""``python -m envoy``."""

from envoy.cli import main

main()
