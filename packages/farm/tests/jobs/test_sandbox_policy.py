"""When renderers must run in a sandbox."""

import pytest
from farm.confine.policy import SandboxPolicy, is_reached
from farm_protocol.runner import SandboxMode


@pytest.mark.parametrize(
    ("given", "reached", "alone", "mode"),
    [
        (None, False, True, "auto"),
        (None, False, False, "required"),
        (None, True, True, "required"),
        ("auto", True, False, "auto"),
        ("off", True, False, "off"),
        ("required", False, True, "required"),
    ],
)
def test_what_counts(
    given: SandboxMode | None, reached: bool, alone: bool, mode: SandboxMode
) -> None:
    assert SandboxPolicy(given, reached).now(alone=alone) == mode


@pytest.mark.parametrize(
    ("host", "proxies", "reached"),
    [
        ("127.0.0.1", [], False),
        ("127.8.8.8", [], False),
        ("::1", [], False),
        ("localhost", [], False),
        ("0.0.0.0", [], True),
        ("::", [], True),
        ("192.168.1.5", [], True),
        ("farm.studio.example", [], True),
        ("127.0.0.1", ["127.0.0.1"], True),
    ],
)
def test_who_reaches_a_farm(host: str, proxies: list[str], reached: bool) -> None:
    assert is_reached(host, proxies) is reached
