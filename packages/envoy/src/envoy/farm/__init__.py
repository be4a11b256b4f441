"""The farm, as Envoy sees it."""
