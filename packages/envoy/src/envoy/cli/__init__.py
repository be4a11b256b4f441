"""The command ``envoy``."""
