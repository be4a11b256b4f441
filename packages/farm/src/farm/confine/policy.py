"""Whether renderers must run in a sandbox. Pure; decided again for each job and each claim."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from farm_protocol.runner import SandboxMode


@dataclass(frozen=True)
class SandboxPolicy:
    """The operator's setting, or else what follows from the farm's users.

    Where no sandbox works, an artist's own scenes on their own machine run without one, with a
    warning: the artist opens the same scenes in the same account every day. As soon as somebody
    else can send scenes, or has something to lose, they do not.

    Attributes:
        given: the operator's setting; None: decided here.
        reached: whether other machines reach the farm.
    """

    given: SandboxMode | None = None
    reached: bool = False

    def now(self, *, alone: bool) -> SandboxMode:
        """Return the policy that applies.

        Parameters:
            alone: the farm has no more than one account. Disabled ones count: their files are still
                there.
        """
        if self.given is not None:
            return self.given
        return "required" if self.reached or not alone else "auto"


def is_reached(host: str, proxies: Sequence[str]) -> bool:
    """Return whether other machines reach a farm: by its own address, or through a proxy."""
    if proxies:
        return True
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
