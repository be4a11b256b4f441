"""Whether a machine says that a scene may outlive its claim there."""

import pytest
from farm.confine import probe
from farm_protocol.runner import Enforcement, Outcome
from messages import says

from .fake_farm import FakeFarm
from .in_process import end
from .somebody import folder_of, ordinary_user, runner_of
from .test_limits import attack

pytestmark = pytest.mark.skipif(bool(probe()), reason=probe())

OLD_UNSHARE = """\
#!/bin/sh
echo "unshare: unrecognized option '--map-current-user'" >&2
exit 1
"""
"""As of util-linux before 2.34."""


@pytest.mark.parametrize("old", [False, True], ids=["nests", "does-not-nest"])
def test_a_machine_whose_namespaces_do_not_nest_says_so(old: bool) -> None:
    with ordinary_user() as user, folder_of(user) as folder:
        programs = folder / "programs"
        programs.mkdir()
        if old:
            (programs / "unshare").write_text(OLD_UNSHARE)
            (programs / "unshare").chmod(0o755)

        def work_with(farm: FakeFarm) -> None:
            with runner_of(user, folder, farm, programs=programs) as process:
                try:
                    assert process.wait(60) == 0
                finally:
                    process.kill()

        farm = attack(folder, "print('harmless')", "auto", None, work_with=work_with)
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    first = farm.requests[0]
    assert first.limits is not None
    assert (first.limits.end is Enforcement.WATCHED) is old
    told = [says(each, "programs-outlive-claims") for each in first.warnings]
    assert told == [True] * old
