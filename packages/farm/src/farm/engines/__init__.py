"""Engines start and stop runners; see `farm.engines.port.Engine`."""
