"""One job: a product, an operation, a scene, and the product's own parameters."""

from __future__ import unicode_literals

import uuid

from gridmarkets._compat import integer_types, to_text
from gridmarkets.errors import InvalidRequestError


class Job(object):
    """What to run on the farm.

    Parameters:
        name: shown to people.
        app: product short code, for example "blender".
        app_version: a version that the product resolver lists.
        operation: "render", "sim", "composite" or "transcode", as far as the product has them.
        path: the scene, relative to the project's name: ``sample_project/sample.blend``.
        params: ``instances``, ``machine_type``, ``plugins``, ``gpu`` and the product's own
            parameters, such as ``frames``. Those given as None count as not given.

    Attributes:
        id (text): made here; unique everywhere.
        params (dict): see above; may be changed until the project is submitted.
        dependencies (list of Job): jobs that must complete first.
        credits_budget (dict or None): ``{"value": credits, "action": one of the constants}``.
    """

    CREDITS_BUDGET_ACTION_STOP = "STOP"
    CREDITS_BUDGET_ACTION_SUSPEND = "SUSPEND"
    CREDITS_BUDGET_ACTION_ALERT = "ALERT"

    _BUDGET_ACTIONS = (
        CREDITS_BUDGET_ACTION_STOP,
        CREDITS_BUDGET_ACTION_SUSPEND,
        CREDITS_BUDGET_ACTION_ALERT,
    )

    def __init__(self, name, app, app_version, operation="render", path="", **params):
        self.id = to_text(str(uuid.uuid4()))
        self.name = name
        self.app = app
        self.app_version = app_version
        # The published documentation lets Houdini and Nuke jobs omit it.
        self.operation = operation or "render"
        self.path = path
        self.params = params
        self.dependencies = []
        self.credits_budget = None

    def add_dependencies(self, *jobs):
        """Make this job wait until all of ``jobs``, from the same project, have completed.

        Raises:
            InvalidRequestError: the jobs would wait for each other and never start.
        """
        for job in jobs:
            if not isinstance(job, Job):
                raise TypeError("a dependency is a Job, not {0}".format(type(job).__name__))
            if job is self or job._waits_for(self):
                message = "The jobs '{0}' and '{1}' would wait for each other.".format(
                    to_text(self.name), to_text(job.name)
                )
                raise InvalidRequestError(message, errors={"dependencies": [message]})
            if job not in self.dependencies:
                self.dependencies.append(job)

    def set_credits_budget(self, value, action):
        """Set what happens when the job has consumed ``value`` credits.

        Parameters:
            value: credits; 0 or less means no budget.
            action: `CREDITS_BUDGET_ACTION_STOP` (running tasks are killed),
                `CREDITS_BUDGET_ACTION_SUSPEND` (running tasks finish, no new ones start) or
                `CREDITS_BUDGET_ACTION_ALERT` (an email is sent, nothing else).

        Raises:
            InvalidRequestError: the value is not a finite number, or the action is not one of the
                three.
        """
        problems = []
        is_number = isinstance(value, (float, integer_types)) and not isinstance(value, bool)
        # Infinity minus itself, and NaN minus anything, is NaN.
        if not is_number or value - value != 0:
            problems.append("The budget must be a number of credits, not {0!r}.".format(value))
        if action not in self._BUDGET_ACTIONS:
            problems.append(
                "The action must be one of {0}, not {1!r}.".format(
                    ", ".join(self._BUDGET_ACTIONS), action
                )
            )
        if problems:
            raise InvalidRequestError(" ".join(problems), errors={"credits_budget": problems})
        self.credits_budget = {"value": float(value), "action": to_text(action)}

    def _waits_for(self, other):
        return any(job is other or job._waits_for(other) for job in self.dependencies)

    def __repr__(self):
        return str("<Job {0!r} ({1} {2})>").format(self.name, self.app, self.app_version)
