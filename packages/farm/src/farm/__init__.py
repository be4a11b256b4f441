"""The farm: accounts, catalogue, jobs, scheduling, and the runners that start the renderers.

Read `main.py` first: it is the only file that names concrete parts. Which room may import which
stands in ARCHITECTURE.md, and is checked.
"""
