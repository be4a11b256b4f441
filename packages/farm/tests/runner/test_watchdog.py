"""When a renderer hangs, gets no licence, or says that it failed: the pure parts."""

import re

import pytest
from farm.products import BUILT_IN, Symptoms, Timeout
from farm.runner.claim.session import Ended
from farm.runner.claim.verdict import condemn, judge
from farm.runner.claim.watchdog import Limit, Watchdog, limit_of
from farm_protocol.runner import Outcome
from messages import saying

SYMPTOMS = Symptoms(
    re.compile("(?i)fatal error"), {}, re.compile("no license"), frozenset({100}), {}
)


def test_a_frame_has_its_time_from_the_one_before() -> None:
    dog = Watchdog(Limit(10, "frame_timeout"), Limit(100, "silence_timeout"), now=0)
    assert dog.overdue(10, 1) is None
    late = dog.overdue(10.1, 1)
    assert late is not None
    assert late.message == saying(
        "frame-not-done-in-time", saying("frame-was-not-done", 1), 10, "frame_timeout"
    )
    assert not late.permanent
    dog.frame_written(10)
    assert dog.overdue(20, 2) is None
    none = dog.overdue(20.1, None)
    assert none is not None
    assert none.message == saying(
        "frame-not-done-in-time", saying("no-frame-was-started"), 10, "frame_timeout"
    )


def test_silence_counts_from_the_last_line() -> None:
    dog = Watchdog(Limit(1000, "frame_timeout"), Limit(5, "silence_timeout"), now=0)
    dog.heard(4)
    assert dog.overdue(9, 3) is None
    silent = dog.overdue(9.5, 3)
    assert silent is not None
    where = saying("while-rendered-frame", 3)
    assert silent.message == saying("renderer-was-silent", 5, "silence_timeout", where)


def test_a_job_may_set_its_own_limit() -> None:
    product = Timeout(3600, "frame_timeout")
    assert limit_of(product, {}).seconds == 3600
    assert limit_of(product, {"frame_timeout": 0}).seconds == 3600
    assert limit_of(product, {"frame_timeout": 90}).seconds == 90


def test_lines_that_condemn() -> None:
    assert condemn("Fra:1 Mem:8M", SYMPTOMS) is None
    failure = condemn("  FATAL ERROR in shader\n", SYMPTOMS)
    assert failure is not None
    assert (failure.marker, failure.no_licence) == ("FATAL ERROR in shader", False)
    missing = condemn("no license for 'redshift'", SYMPTOMS)
    assert missing is not None
    finish = judge(Ended(0, None), missing, [1], 1, "", SYMPTOMS)
    assert (finish.outcome, finish.marker) == (Outcome.NO_LICENCE, "no license for 'redshift'")
    assert "no license for 'redshift'" in finish.message


def test_exit_codes_that_mean_no_licence() -> None:
    finish = judge(Ended(100, None), None, [1], None, "bye", SYMPTOMS)
    assert finish.outcome is Outcome.NO_LICENCE
    assert judge(Ended(1, None), None, [1], None, "", SYMPTOMS).outcome is Outcome.FAILED
    assert judge(Ended(0, None), None, [], None, "", SYMPTOMS).outcome is Outcome.COMPLETED


@pytest.mark.parametrize(("app", "operation"), BUILT_IN.available())
def test_every_product_says_how_it_fails(app: str, operation: str) -> None:
    template = BUILT_IN.load(app, operation)
    assert template is not None
    names = {parameter.name for parameter in template.parameters}
    for timeout in (template.frame_timeout, template.silence_timeout):
        assert timeout.parameter in names
        assert timeout.seconds >= 60
        errors = template.validate({"frames": "1", timeout.parameter: -1}).errors
        assert list(errors) == [timeout.parameter]
