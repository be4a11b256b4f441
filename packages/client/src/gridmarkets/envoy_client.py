"""The client: all requests to Envoy go through here."""

from __future__ import unicode_literals

import logging

from gridmarkets import _waiting, _wire, errors
from gridmarkets._compat import integer_types, is_text, to_text
from gridmarkets._requestor import Requestor
from gridmarkets.product_resolver import ProductResolver
from gridmarkets.version import __version__

log = logging.getLogger("gridmarkets")

DEFAULT_URL = "http://localhost:8090"
# Far more than anybody reads. A broken farm may send logs without end.
MOST_LOG = 256 * 1024 * 1024


class EnvoyClient(object):
    """Talks to the Envoy that runs on this machine.

    Parameters:
        email, access_key: credentials (a password serves as well as an access key). When given,
            they are checked once, by the first call that needs an account. Without them, the
            user who is signed in to Envoy is the one who submits.
        url: where Envoy is.
        token: what an Envoy in its strict mode asks for. Without it, the variable ``ENVOY_TOKEN``
            counts, and else the token file in Envoy's usual data folder. It is sent to this
            machine only.

    Attributes:
        email, access_key, url: as given; assignable.
        version (text): version of this library.
        http_client: has ``request(method, url)``, for routes without a method here.

    Every method raises `APIError` when Envoy is not running or answers something unexpected, and
    `AuthenticationError` when nobody is signed in or the credentials are wrong.
    """

    MACHINE_CATEGORY_CPU = "cpu"
    MACHINE_CATEGORY_GPU = "gpu"
    MACHINE_CATEGORY_ALL = "all"

    def __init__(self, email=None, access_key=None, url=None, token=None):
        self.email = email
        self.access_key = access_key
        self._token = token
        self.http_client = Requestor(url or DEFAULT_URL, token)
        self._checked_credentials = None
        self._warned = {}

    @property
    def url(self):
        return self.http_client.url

    @url.setter
    def url(self, url):
        self.http_client = Requestor(url or DEFAULT_URL, self._token)
        self._checked_credentials = None

    @property
    def version(self):
        return __version__

    def authenticate(self, email, password):
        """Sign in, and remember the credentials for this object.

        Parameters:
            email: the account.
            password: the account's password, or an access key.

        Returns:
            True.

        Raises:
            AuthenticationError: they are wrong. What was remembered before stays.
        """
        self._post_credentials(email, password)
        self.email, self.access_key = email, password
        return True

    def validate_auth(self):
        """Return True if the credentials of this object, or else Envoy's user, are accepted.

        Raises:
            AuthenticationError: they are not.
        """
        if self._has_credentials():
            self._post_credentials(self.email, self.access_key)
        else:
            self._get("user-info")
        return True

    def validate_credits(self):
        """Return True if the account has credits.

        Raises:
            InsufficientCreditsError: it has none.
        """
        self._sign_in()
        answer = self._get("credits-info")
        if _field(answer, "credits_available", (int, float)) <= 0:
            raise errors.InsufficientCreditsError()
        return True

    def get_user_info(self):
        """Return the user's details.

        Returns:
            dict with ``created`` (UTC), ``credits_available``, ``credits_consumed``,
            ``email_address``, ``job_throughput_limit``, ``max_throughput`` (instances), ``name``
            and ``service_plan``.
        """
        self._sign_in()
        return _field(self._get("user-info"), "data", dict)

    def get_product_resolver(self):
        """Return a `ProductResolver` over the products that there are now."""
        self._sign_in()
        products = _list(self._get("products"))
        try:
            return ProductResolver(products)
        except (AttributeError, KeyError, TypeError, ValueError):
            # Rows that are not products: the answer does not come from Envoy.
            raise _incompatible()

    def get_machines(
        self, app, operation, category=MACHINE_CATEGORY_ALL, plugins=None, is_gpu=None
    ):
        """Return the machine types that can run a product.

        Parameters:
            app: product short code.
            operation: "render", "sim", ...
            category: one of the ``MACHINE_CATEGORY_`` constants.
            plugins: list of plug-in codes that the job uses.
            is_gpu: older way to say the category: True is GPU, False is CPU.

        Returns:
            list of ``{"id", "name", "gpu", "is_default"}``.
        """
        if isinstance(category, bool):
            is_gpu = category
        if is_gpu is not None:
            category = self.MACHINE_CATEGORY_GPU if is_gpu else self.MACHINE_CATEGORY_CPU
        if category not in (
            self.MACHINE_CATEGORY_CPU,
            self.MACHINE_CATEGORY_GPU,
            self.MACHINE_CATEGORY_ALL,
        ):
            message = "The category must be 'cpu', 'gpu' or 'all', not {0!r}.".format(category)
            raise errors.InvalidRequestError(message, errors={"category": [message]})
        query = [("app", app), ("operation", operation), ("category", category)]
        plugins = [plugins] if is_text(plugins) else plugins or []
        query.extend(("plugins", plugin) for plugin in plugins)
        self._sign_in()
        # As bytes: requests on Python 2 would treat non-ASCII text as ASCII.
        params = [(name, to_text(value).encode("utf-8")) for name, value in query]
        return _list(self._get("machines", params=params))

    def submit_project(self, project, skip_upload=False, skip_auto_download=False):
        """Upload a project's files and submit its jobs. Envoy does the work in the background.

        Parameters:
            project: a `Project` with at least one job.
            skip_upload: True uses the files that were uploaded earlier.
            skip_auto_download: True leaves the results on the farm.

        Returns:
            the project's name, which `get_project_status` takes. What looks wrong already is
            logged; `get_project_status` and `get_jobs` tell it, too.

        Raises:
            InvalidRequestError: the project or a job is wrong; its ``errors`` say what.
            InsufficientCreditsError: there are no credits.
        """
        # Local mistakes are reported first: finding them costs nothing.
        body = _wire.submission(project, skip_upload, skip_auto_download)
        self.validate_credits()
        answer = self._post(["project-submit"], body)
        name = to_text(_field(answer, "ID", None))
        self._warned.pop(name, None)
        self._warn(name, answer)
        return name

    def upload_project_files(self, project):
        """Upload a project's files without submitting its jobs, in the background.

        Returns:
            the project's name.

        Raises:
            InvalidRequestError: there are no files, or some cannot be read.
        """
        groups = project.file_groups()
        if not groups:
            message = "The project has no files to upload. Add some with add_files()."
            raise errors.InvalidRequestError(message, errors={"files": [message]})
        self._sign_in()
        body = {"upload": groups}
        if project.gather_files is not None:
            body["gather_files"] = bool(project.gather_files)
        if project.skipped_files:
            body["skipped_files"] = project.skipped_files
        return to_text(_field(self._post(["upload"], body), "ID", None))

    def get_project_status(self, project_name):
        """Return how the upload and submission of a project stand.

        Returns:
            dict with ``Code``, ``State``, ``Message``, ``BytesDone``, ``BytesTotal``, ``Speed``,
            ``Details`` (one entry a file; empty for a project that Envoy does not know) and
            ``Warnings`` (list of text: what looks wrong about the newest submission).
        """
        self._sign_in()
        status = _field(self._get("project-status", project_name), None, dict)
        # The published Envoy has none.
        status.setdefault("Warnings", [])
        return status

    # Beyond the published contract; an Envoy that lacks them is told apart in `_on_new_envoy`.

    def wait_for_project(self, project_name, timeout=None, on_progress=None):
        """Wait until everything of a project's newest submission is over, downloads included.

        Parameters:
            timeout: seconds to wait at most; None waits as long as it takes.
            on_progress: called with the progress whenever it has changed.

        Returns:
            dict, the last progress: ``project``, ``submission``, ``state`` ("completed",
            "failed" or "stopped"; on the way "uploading", "submitting" or "submitted"),
            ``message``, ``warnings`` (of the submission and all its jobs), ``bytes_done``,
            ``bytes_total`` (of the upload), ``frames_done``, ``frames_total``, ``files_done``,
            ``files_total`` (of the download) and ``jobs`` as in `get_jobs`. A failed job is no
            exception: look at ``state``. Warnings are logged as they come, each once.

        Raises:
            InvalidRequestError: this Envoy has submitted no project of that name.
            APIError: it took longer than ``timeout`` (``code`` is "timeout"); or Envoy could
                not be reached for half a minute.
        """

        def ask():
            progress = self._beyond("wait_for_project", "projects", project_name, "progress")
            self._warn(to_text(project_name), progress)
            return progress

        return _waiting.wait_for_project(ask, project_name, timeout, on_progress)

    def get_jobs(self, project_name):
        """Return the jobs of all submissions of a project, newest submission first.

        Returns:
            list of dict: ``id``, ``name``, ``app``, ``app_version``, ``operation``, ``state``
            ("uploading" and "submitting" before the farm has it, then "pending", "ready",
            "running", "completed", "failed", "suspended", "stopping", "stopped", "blocked"),
            ``message`` (what it waits for, why it failed, which frames look wrong), ``reason``
            (one word for what the message is about, such as "licence" or "credits"; may be ""),
            ``warnings`` (list of text: what was accepted but may be wrong, such as parameters
            that nobody knows, missing files, another version of the program),
            ``frames_done``, ``frames_failed``, ``frames_flagged`` (done, but they look wrong),
            ``frames_total``, ``credits`` and ``submission`` (its name).
            Empty for a project that Envoy does not know.
        """
        answer = self._beyond("get_jobs", "projects", project_name, "jobs")
        return _field(answer, "jobs", list)

    def cancel_upload(self, project_name):
        """Stop what is being uploaded of a project, and the submissions that it is for.

        Returns:
            int: how many uploads were stopped; 0 when nothing was being uploaded.
        """
        segments = ("envoy", "projects", to_text(project_name), "stop-uploads")
        answer = self._on_new_envoy(
            "cancel_upload",
            lambda: self._forget_session_on_error(self.http_client.post, segments, {}),
        )
        return _field(answer, "stopped", integer_types)

    def stop_job(self, job):
        """Stop a job: what renders is killed, nothing more starts.

        While its files are being uploaded, this stops the upload and the whole submission.

        Parameters:
            job: an id of `get_jobs`, or a `Job` that was submitted.

        Returns:
            the job as in `get_jobs`.

        Raises:
            APIError: there is no such job, it is just being submitted, or the job's present state
                does not allow it.
        """
        return self._act("stop", job)

    def suspend_job(self, job):
        """Suspend a job: running tasks finish, nothing more starts. See `stop_job`."""
        return self._act("suspend", job)

    def resume_job(self, job):
        """Let a suspended job go on. See `stop_job`."""
        return self._act("resume", job)

    def retry_job(self, job):
        """Render the failed or stopped frames of a job again. See `stop_job`."""
        return self._act("retry", job)

    def get_job_log(self, job):
        """Return what the renderers of a job have printed so far, as text. See `stop_job`.

        Raises:
            APIError: also when the log does not end, or has more than 256 million characters.
        """
        texts, cursor, size = [], 0, 0
        while True:
            answer = self._beyond(
                "get_job_log", "jobs", _job_id(job), "log", params=[("after", cursor)]
            )
            text = _field(answer, "text", None)
            if not text:
                return "".join(texts)
            texts.append(text)
            size += len(text)
            before, cursor = cursor, _field(answer, "cursor", integer_types)
            if cursor <= before:
                raise errors.APIError("Envoy sends the same piece of the log again and again.")
            if size > MOST_LOG:
                raise errors.APIError(
                    "The log has more than {0} characters, which is more than this library"
                    " reads.".format(MOST_LOG)
                )

    def get_results(self, project_name):
        """Return the result files of a project, newest submission first.

        Returns:
            list of dict: ``name`` (remote path), ``size`` (bytes), ``frame`` (None when it is
            not of one frame), ``job_id``, ``state`` ("remote": on the farm only, "waiting" for
            its download, "downloaded", "failed"), ``local_path`` (None when it is not
            downloaded) and ``submission``.
        """
        answer = self._beyond("get_results", "projects", project_name, "results")
        return _field(answer, "results", list)

    def _act(self, action, job):
        segments = ("envoy", "jobs", _job_id(job), action)
        return self._on_new_envoy(
            action + "_job",
            lambda: self._forget_session_on_error(self.http_client.post, segments, {}),
        )

    def _beyond(self, name, *segments, **options):
        return self._on_new_envoy(name, lambda: self._get("envoy", *segments, **options))

    def _on_new_envoy(self, name, call):
        """Return the answer (a dict) of a call that is not part of the published contract."""
        self._sign_in()
        try:
            return _field(call(), None, dict)
        except errors.APIError as error:
            # Envoy's own "not found" has a code; that of a server without the route has none.
            if error.http_status in (404, 405, 501) and error.code is None:
                raise errors.APIError(
                    "The Envoy at {0} is too old for {1}(). Update it, then try again.".format(
                        self.url, name
                    ),
                    http_status=error.http_status,
                )
            raise

    def _warn(self, project_name, answer):
        """Log the warnings of an answer about a project's newest submission, each once."""
        warned = self._warned.setdefault(project_name, set())
        for message in _field(answer, "warnings", list) if "warnings" in answer else []:
            if not is_text(message):
                raise _incompatible()
            if message not in warned:
                warned.add(message)
                log.warning("%s: %s", project_name, message)

    def _has_credentials(self):
        return bool(self.email and self.access_key)

    def _sign_in(self):
        """Make sure that credentials given to this object were accepted once."""
        if self._has_credentials() and self._checked_credentials != (self.email, self.access_key):
            self._post_credentials(self.email, self.access_key)

    def _post_credentials(self, email, secret):
        body = {"Username": to_text(email or ""), "AccessKey": to_text(secret or "")}
        self._post(["auth"], body)
        self._checked_credentials = (email, secret)

    def _get(self, *segments, **options):
        return self._forget_session_on_error(self.http_client.get, *segments, **options)

    def _post(self, segments, body):
        return self._forget_session_on_error(self.http_client.post, segments, body)

    def _forget_session_on_error(self, call, *arguments, **options):
        """Call; when Envoy's session has ended, the next call signs in again."""
        try:
            return call(*arguments, **options)
        except errors.AuthenticationError:
            self._checked_credentials = None
            raise


def _field(answer, name, kind):
    """Return a required field of an answer (the answer itself for None).

    Parameters:
        kind: type or types that it must have; None means text.
    """
    value = answer
    if name is not None:
        value = answer.get(name) if isinstance(answer, dict) else None
    is_right = is_text(value) if kind is None else isinstance(value, kind)
    if not is_right:
        raise _incompatible(": '{0}' is missing".format(name) if name else "")
    return value


def _incompatible(what=""):
    return errors.APIError(
        "Envoy's answer cannot be understood{0}. Check that Envoy and this library (version"
        " {1}) are compatible.".format(what, __version__)
    )


def _job_id(job):
    return to_text(getattr(job, "id", job))


def _list(answer):
    return _field({"answer": answer}, "answer", list)
