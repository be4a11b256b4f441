"""The command ``envoy``: up, status, stop."""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from farm_protocol import peers
from farm_protocol.errors import ErrorCode
from farm_protocol.faults import first_fault, not_json
from farm_protocol.outputs import run_command, tell
from farm_protocol.places import default_data_dir
from farm_protocol.sockets import is_another_users
from farm_protocol.text import escaped, json_text
from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from envoy.config import DEFAULT_PORT, TOKEN_NAME, Settings
from envoy.errors import TokenFileError
from envoy.process import token_file

M = TypeVar("M", bound=BaseModel)

app = typer.Typer(
    name="envoy",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

STOP_SECONDS = 30.0

Port = Annotated[int, typer.Option(help="Port of the Envoy to talk to.", envvar="ENVOY_PORT")]
Url = Annotated[str, typer.Option(help="Address of the Envoy, instead of --port.")]
DataDir = Annotated[
    Path | None, typer.Option(help="Data folder of that Envoy, for the token of a strict one.")
]

Gather = Annotated[
    str | None,
    typer.Option(
        metavar="on|asked|off",
        help="Whether to also send files that scenes use but that nobody has added [on].",
    ),
]
GatherFolder = Annotated[
    list[Path] | None,
    typer.Option(
        help="A folder outside the project from which such files may be sent; may be repeated."
    ),
]


def _tell_version(asked: bool) -> None:
    if asked:
        # Reading the version takes a moment, which the other commands can do without.
        from envoy.version import __version__

        typer.echo(f"envoy {__version__}")
        raise typer.Exit


@app.callback()
def envoy(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_tell_version, help="Show the version."),
    ] = False,
) -> None:
    """Uploads projects to the render farm and brings the results home."""


@app.command()
def up(
    data_dir: Annotated[Path | None, typer.Option(help="Where Envoy keeps its data.")] = None,
    port: Annotated[int | None, typer.Option(help="Port on this machine [8090].")] = None,
    farm: Annotated[
        str | None, typer.Option(help="Address of a farm, instead of the embedded one.")
    ] = None,
    strict: Annotated[
        bool | None,
        typer.Option("--strict/--no-strict", help="Require a token with every request [no]."),
    ] = None,
    rehash: Annotated[
        bool | None,
        typer.Option("--rehash", help="Read every file again, even those that look unchanged."),
    ] = None,
    gather: Gather = None,
    gather_folder: GatherFolder = None,
) -> None:
    """Run Envoy in the foreground, until Ctrl-C."""
    # Slow to import, and not needed by the other commands.
    import asyncio

    from farm_protocol.loops import new_loop

    from envoy.errors import StartError
    from envoy.main import serve
    from envoy.process.listening import PortInUseError

    try:
        folder = data_dir and data_dir.resolve()
    except FileNotFoundError:
        _fail(f"The current folder no longer exists. Give '{data_dir}' as an absolute path.")
    given = {
        "data_dir": folder,
        "port": port,
        "farm_url": farm,
        "strict": strict,
        "rehash": rehash,
        "gather": gather,
        "gather_folders": gather_folder or None,
    }
    try:
        settings = Settings.model_validate(
            Settings().model_dump() | {k: v for k, v in given.items() if v is not None}
        )
    except ValidationError as error:
        _fail(first_fault(error))
    except SettingsError as error:
        _fail(not_json(error, os.environ, "ENVOY_"))

    def announce(url: str) -> None:
        tell(f"Envoy is ready at {url} (data in {settings.data_dir}). Stop it with Ctrl-C.")
        if settings.strict:
            tell(f"It is strict: each request must show the token in {settings.token_path}.")

    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(serve(settings, announce))
    except PortInUseError as error:
        _fail(_who_uses(error.port, error.host))
    except StartError as error:
        _fail(str(error))


@app.command()
def status(
    port: Port = DEFAULT_PORT,
    url: Url = "",
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show submissions, their jobs, downloads, and frames that look wrong."""
    ask = _Asking(url or f"http://localhost:{port}", data_dir)
    if as_json:
        typer.echo(json_text(ask.anything("GET", "/envoy/activity")))
        return
    from farm_protocol.frames import FrameList

    from envoy.cli.tables import show, show_flagged
    from envoy.views.own import Activity

    activity = ask("GET", "/envoy/activity", Activity)
    show(activity)
    for submission in activity.submissions:
        for job in submission.jobs:
            if job.frames_flagged:
                path = f"/envoy/jobs/{job.id}/frames?flagged=true"
                show_flagged(job.name, ask("GET", path, FrameList).frames)


@app.command()
def cancel(
    project: Annotated[str, typer.Argument(help="Name of the project.")],
    port: Port = DEFAULT_PORT,
    url: Url = "",
    data_dir: DataDir = None,
) -> None:
    """Stop the uploads of a project, and the submissions that they are for."""
    from urllib.parse import quote

    from envoy.views.own import StoppedUploads

    ask = _Asking(url or f"http://localhost:{port}", data_dir)
    path = f"/envoy/projects/{quote(project, safe='')}/stop-uploads"
    count = ask("POST", path, StoppedUploads).stopped
    if not count:
        _fail(f"Nothing of '{escaped(project)}' is being uploaded.")
    typer.echo(f"Stopped: {count} {'upload' if count == 1 else 'uploads'} of '{escaped(project)}'.")


@app.command()
def stop(port: Port = DEFAULT_PORT, url: Url = "", data_dir: DataDir = None) -> None:
    """Stop Envoy and its embedded farm; returns when they are gone."""
    from filelock import FileLock, Timeout

    from envoy.views.own import Health, Stopping

    ask = _Asking(url or f"http://localhost:{port}", data_dir)
    health = ask("GET", "/envoy/health", Health)
    ask("POST", "/envoy/stop", Stopping)
    # Of the settings only the folder counts, and others may be wrong.
    settings = Settings.model_construct(data_dir=Path(health.data_dir))
    try:
        # Envoy's lock tells on every platform when the process is gone.
        with FileLock(settings.lock_path, timeout=STOP_SECONDS, poll_interval=0.05):
            pass
    except Timeout:
        _fail(f"Envoy (process {health.pid}) did not stop in {STOP_SECONDS:.0f} s.")
    typer.echo("Envoy has stopped.")


def main() -> None:
    """Run the command line."""
    run_command(app)


class _Asking:
    """Queries one Envoy, and shows it the token of its data folder, if there is one.

    Parameters:
        address: where it is.
        data_dir: its data folder; None: the usual one.
    """

    def __init__(self, address: str, data_dir: Path | None) -> None:
        self._address = address
        self._token_path = (data_dir or default_data_dir()).absolute() / TOKEN_NAME

    def __call__(self, method: str, path: str, kind: type[M]) -> M:
        """Return Envoy's answer as a model, or exit as `anything` does."""
        try:
            return kind.model_validate(self.anything(method, path))
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            _fail(
                f"The program at {self._address} does not answer as this Envoy would (see"
                f" '{where}' of {path}). If it is one of another version, use the 'envoy' that"
                " started it."
            )

    def anything(self, method: str, path: str) -> Any:
        """Return Envoy's answer, or exit with one message that says why there is none."""
        import httpx

        # By number: 'localhost' may mean ::1 first, where a machine without IPv6 has no Envoy.
        target = self._address.rstrip("/").replace("//localhost", "//127.0.0.1")
        if is_another_users(target):
            # Envoy may have ended, and any user may have taken its port: that program must not see
            # the token, and may answer anything: a wrong data folder, for example, of any length.
            _fail(
                f"The program at {self._address} belongs to another user of this machine, so"
                " nothing was sent to it. Start your own Envoy on another port, such as:"
                " envoy up --port 8091"
            )
        try:
            token, fault = self._token(httpx.URL(target).host)
            with httpx.Client(timeout=15.0, trust_env=False) as http:
                answer = http.request(
                    method,
                    target + path,
                    headers={"Authorization": f"Bearer {token}"} if token else {},
                    json={} if method == "POST" else None,
                    extensions={"trace": _refuse_strangers},
                )
            if answer.status_code == 401 and _is_strict(answer.json()):
                message = str(answer.json().get("message", ""))
                _fail(fault or f"{message} Name that folder with --data-dir.")
            if answer.status_code == 500:
                _fail(str(answer.json()["message"]))
            answer.raise_for_status()
            return answer.json()
        except httpx.ConnectError:
            _fail(f"Envoy is not running at {self._address}. Start it with: envoy up")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
            _fail(f"The program at {self._address} is not Envoy ({error}).")

    def _token(self, host: str) -> tuple[str, str]:
        """Return the token to show, and why there is none although there is a file."""
        try:
            is_here = ipaddress.ip_address(host).is_loopback
        except ValueError:
            is_here = False
        if not is_here:
            return "", ""
        try:
            return token_file.read(self._token_path), ""
        except TokenFileError as error:
            return "", str(error)


def _refuse_strangers(event: str, info: Mapping[str, Any]) -> None:
    """Send nothing to a program that has taken Envoy's port since the check."""
    if peers.is_strangers(event, info):
        import httpx

        info["return_value"].close()
        raise httpx.ConnectError(peers.MESSAGE)


def _is_strict(body: Any) -> bool:
    return isinstance(body, dict) and body.get("code") == ErrorCode.TOKEN_REQUIRED


def _who_uses(port: int, host: str) -> str:
    import httpx

    url = f"http://127.0.0.1:{port}/envoy/health"
    try:
        health = {} if is_another_users(url) else httpx.get(url, timeout=3, trust_env=False).json()
        if _is_strict(health):
            return (
                f"A strict Envoy already runs at http://localhost:{port}. Use that one, or stop it"
                f" with: envoy stop --port {port}"
            )
        if health["service"] == "envoy":
            return (
                f"Envoy already runs at http://localhost:{port} (process {health['pid']}, data in"
                f" {health['data_dir']}). Use that one, or stop it with: envoy stop --port {port}"
            )
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        pass
    return (
        f"Port {port} of {host} is used by another program. Stop that program, or choose another"
        f" port: envoy up --port {port + 1}"
    )


def _fail(message: str) -> NoReturn:
    typer.echo(escaped(message, lines=True), err=True)
    raise typer.Exit(1)
