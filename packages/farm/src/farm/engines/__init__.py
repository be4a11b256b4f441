"""Engines start and stop runners; see `farm.ports.Engine`."""
