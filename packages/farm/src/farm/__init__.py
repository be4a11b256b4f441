"""The farm: accounts, catalogue, jobs, scheduling, and the runners that start the renderers.

Read `main.py` first: it is the only file that names concrete parts. ARCHITECTURE.md says which room
may import which, and a check enforces it.
"""
