"""The farm's HTTP API, version 1: one module per resource.

Routes check who calls, open a transaction, and call `farm.submissions.create`, `farm.scheduler` or
the accounts; they decide nothing themselves.
"""
