"""The farm's HTTP API, version 1: a module a resource.

Routes check who asks, open a transaction, and call `farm.submissions.create`, `farm.scheduler` or
the accounts; they decide nothing themselves.
"""
