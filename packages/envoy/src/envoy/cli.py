"""The command ``envoy``: up, status, stop."""

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from farm_protocol.text import escaped, json_text

from envoy.config import DEFAULT_PORT, Settings

app = typer.Typer(
    name="envoy",
    help="Uploads projects to the render farm and brings the results home.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

STOP_SECONDS = 30.0

Port = Annotated[int, typer.Option(help="Port of the Envoy to talk to.", envvar="ENVOY_PORT")]
Url = Annotated[str, typer.Option(help="Address of the Envoy, instead of --port.")]


@app.command()
def up(
    data_dir: Annotated[Path | None, typer.Option(help="Where Envoy keeps its data.")] = None,
    port: Annotated[int | None, typer.Option(help="Port on this machine [8090].")] = None,
    farm: Annotated[
        str | None, typer.Option(help="Address of a farm, instead of the embedded one.")
    ] = None,
) -> None:
    """Run Envoy in the foreground, until Ctrl-C."""
    # Slow to import, and of no use to the other commands.
    import asyncio

    from pydantic import ValidationError

    from envoy.errors import StartError
    from envoy.listening import PortInUseError
    from envoy.main import serve

    given: dict[str, Any] = {
        "data_dir": data_dir and data_dir.resolve(),
        "port": port,
        "farm_url": farm,
    }
    try:
        settings = Settings.model_validate(
            Settings().model_dump() | {k: v for k, v in given.items() if v is not None}
        )
    except ValidationError as error:
        fault = error.errors()[0]
        _fail(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}.")

    def announce(url: str) -> None:
        typer.echo(f"Envoy is ready at {url} (data in {settings.data_dir}). Stop it with Ctrl-C.")
        sys.stdout.flush()

    try:
        asyncio.run(serve(settings, announce))
    except PortInUseError as error:
        _fail(_who_uses(error.port, error.host))
    except StartError as error:
        _fail(str(error))


@app.command()
def status(
    port: Port = DEFAULT_PORT,
    url: Url = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show submissions, their jobs, downloads, and frames that look wrong."""
    address = url or f"http://localhost:{port}"
    activity = _ask("GET", address, "/envoy/activity")
    if as_json:
        typer.echo(json_text(activity))
        return
    from envoy.tables import show, show_flagged

    show(activity)
    for submission in activity["submissions"]:
        for job in submission["jobs"]:
            if job["frames_flagged"]:
                path = f"/envoy/jobs/{job['id']}/frames?flagged=true"
                show_flagged(job["name"], _ask("GET", address, path)["frames"])


@app.command()
def stop(port: Port = DEFAULT_PORT, url: Url = "") -> None:
    """Stop Envoy and its embedded farm; returns when they are gone."""
    from filelock import FileLock, Timeout

    address = url or f"http://localhost:{port}"
    health = _ask("GET", address, "/envoy/health")
    _ask("POST", address, "/envoy/stop")
    settings = Settings(data_dir=Path(health["data_dir"]))
    try:
        # Its own lock tells on every platform when the process is gone.
        with FileLock(settings.lock_path, timeout=STOP_SECONDS, poll_interval=0.05):
            pass
    except Timeout:
        _fail(f"Envoy (process {health['pid']}) did not stop in {STOP_SECONDS:.0f} s.")
    typer.echo("Envoy has stopped.")


def main() -> None:
    """Run the command line."""
    app()


def _ask(method: str, address: str, path: str) -> Any:
    """Return Envoy's answer, or end with one sentence that says why there is none."""
    import httpx

    # By number: 'localhost' may mean ::1 first, where a machine without IPv6 has no Envoy.
    target = address.rstrip("/").replace("//localhost", "//127.0.0.1")
    try:
        answer = httpx.request(
            method,
            target + path,
            json={} if method == "POST" else None,
            timeout=15.0,
            trust_env=False,
        )
        answer.raise_for_status()
        return answer.json()
    except httpx.ConnectError:
        _fail(f"Envoy is not running at {address}. Start it with: envoy up")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        _fail(f"The program at {address} does not answer as Envoy does ({error}).")


def _who_uses(port: int, host: str) -> str:
    import httpx

    try:
        url = f"http://127.0.0.1:{port}/envoy/health"
        health = httpx.get(url, timeout=3.0, trust_env=False).json()
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


def _fail(sentence: str) -> NoReturn:
    typer.echo(escaped(sentence, lines=True), err=True)
    raise typer.Exit(1)
