"""``python -m envoy``."""

from envoy.cli.commands import main

main()
