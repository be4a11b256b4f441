"""The event loop of services and runners: it needs nothing that others of its user can use up.

Linux counts for each user what all of that user's `epoll` sets wait for
(`fs.epoll.max_user_watches`). When nothing is left, because a scene has taken it all, a loop on
`epoll` can wait for no other connection, and uvloop aborts its process. `poll` keeps nothing in the
kernel between two calls. It looks at every connection each time: with 800 idle ones a request
takes 0.05 ms more of the processor, with few ones as much as with uvloop.
"""

import asyncio
import selectors
import sys


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop."""
    if sys.platform == "linux":
        return asyncio.SelectorEventLoop(selectors.PollSelector())
    return asyncio.new_event_loop()
