"""The farm: accounts, catalogue, jobs, scheduling, and the runners that start the renderers.

Read `main.py` first: it is the only file that names concrete parts. The arrows go one way::

    main -> api -> {submit, scheduler} -> {accounts, catalog, templates} -> db -> jobs (pure)
    engines, stores, runner -> ports, protocol;  renderers -> nothing
"""

__version__ = "0.1.0"
