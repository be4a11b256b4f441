"""``make demo``: render the sample project on an embedded farm, and look at what arrived.

Starts Envoy with its farm in a folder of its own, creates an account, runs
examples/render_and_download.py as any user would, follows the work, checks every frame, and
stops everything again.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import OpenImageIO as oiio
from farm.renderers import Discovery, RendererError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).parent.parent
DEFAULT_FOLDER = ROOT / ".demo"
FRAMES = 24
EMAIL, PASSWORD = "artist@example.com", "demo-password"
BPY_MEGABYTES = 370
PATIENCE_SECONDS = 600

console = Console(highlight=False)


class DemoError(Exception):
    """The demo cannot go on. ``str()`` says why."""


def main() -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.split("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave Envoy running at the end")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="for data and results")
    parser.add_argument("--port", type=int, default=0, help="Envoy's port; default: a free one")
    options = parser.parse_args()
    started = time.monotonic()
    folder: Path = options.folder.resolve()
    for leftover in ("data", "my_results"):
        shutil.rmtree(folder / leftover, ignore_errors=True)
    results = folder / "my_results"
    results.mkdir(parents=True)
    envoy: subprocess.Popen[bytes] | None = None
    try:
        ensure_renderer()
        port = options.port or free_port()
        envoy = start_envoy(port, folder)
        create_account(folder)
        submit(port, results)
        follow(port, folder)
        show_frames(results)
        console.print(f"done in {time.monotonic() - started:.1f} s")
    except DemoError as error:
        console.print(f"[red]{error}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if envoy is not None and not options.keep:
            envoy.terminate()
            envoy.wait(30)
    if options.keep:
        console.print(f"Envoy stays up: http://localhost:{port} (process {envoy.pid}).")
        console.print(f"Stop it with: .venv/bin/envoy stop --port {port}")
    print(f"results: {results}")
    return 0


def ensure_renderer() -> None:
    """Find a renderer, or install one."""
    named = os.environ.get("FARM_BLENDER")
    try:
        renderers = list(Discovery({"blender": [named]} if named else None).of("blender"))
    except RendererError as error:
        raise DemoError(str(error)) from error
    if not renderers:
        console.print(
            f"No Blender was found: installing it from PyPI as 'bpy' ({BPY_MEGABYTES} MB) ..."
        )
        subprocess.run([ROOT / "tools" / "system_packages.sh", "bpy"], check=True)
        subprocess.run([ROOT / "tools" / "setup.sh", "bpy"], check=True)
        renderers = list(Discovery().of("blender"))
    if not renderers:
        raise DemoError("bpy was installed but does not import: install Blender instead.")
    console.print(f"renderer: {renderers[0].app} {renderers[0].version} ({renderers[0].how_found})")


def start_envoy(port: int, folder: Path) -> "subprocess.Popen[bytes]":
    """Start Envoy with its embedded farm, and wait until it answers."""
    command = [sys.executable, "-m", "envoy", "up", "--port", str(port)]
    command += ["--data-dir", str(folder / "data")]
    log = (folder / "envoy.log").open("wb")
    # A session of its own: Ctrl-C reaches the demo, which then stops Envoy in order.
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            raise DemoError(f"Envoy ended: {(folder / 'envoy.log').read_text()}")
        try:
            health = httpx.get(f"http://localhost:{port}/envoy/health", timeout=5).json()
        except httpx.TransportError:
            time.sleep(0.05)
            continue
        if health["farm_url"]:
            console.print(f"envoy:    http://localhost:{port}, farm: {health['farm_url']}")
            return process
        time.sleep(0.05)
    raise DemoError(f"Envoy does not answer; see {folder / 'envoy.log'}.")


def create_account(folder: Path) -> None:
    """Create the demo's account on the embedded farm."""
    command = [sys.executable, "-m", "farm", "users", "add", EMAIL, "--credits", "100"]
    command += ["--password-stdin", "--data-dir", str(folder / "data" / "farm")]
    subprocess.run(command, input=f"{PASSWORD}\n".encode(), check=True, stdout=subprocess.DEVNULL)
    console.print(f"account:  {EMAIL} with 100 credits")


def submit(port: int, results: Path) -> None:
    """Run the README's example."""
    environment = {
        **os.environ,
        "ENVOY_URL": f"http://localhost:{port}",
        "ENVOY_EMAIL": EMAIL,
        "ENVOY_PASSWORD": PASSWORD,
    }
    script = ROOT / "examples" / "render_and_download.py"
    done = subprocess.run([sys.executable, script, results], env=environment, check=False)
    if done.returncode:
        raise DemoError("The example could not submit; its message stands above.")


def follow(port: int, folder: Path) -> None:
    """Show upload, frames and download until all is over."""
    bars = Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )
    with bars, httpx.Client(base_url=f"http://localhost:{port}", timeout=30) as http:
        upload = bars.add_task("upload kB", total=None, note="")
        frames = bars.add_task("frames", total=FRAMES, note="")
        download = bars.add_task("download", total=FRAMES, note="")
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            activity = http.get("/envoy/activity").json()
            submission: dict[str, Any] = activity["submissions"][0]
            jobs: list[dict[str, Any]] = submission["jobs"]
            files: dict[str, Any] = submission["downloads"]
            bars.update(
                upload,
                total=-(-submission["bytes_total"] // 1000),
                completed=-(-submission["bytes_done"] // 1000),
                note=submission["message"] or activity["waiting_for"],
            )
            bars.update(
                frames,
                completed=sum(job["frames_done"] for job in jobs),
                note=" ".join(job["message"] for job in jobs),
            )
            bars.update(download, completed=files["files_done"], note=files.get("message", ""))
            if submission["state"] == "failed":
                raise DemoError(submission["message"])
            for job in jobs:
                if job["state"] in ("failed", "stopped", "blocked"):
                    raise DemoError(f"The job '{job['name']}' {job['state']}: {job['message']}")
            if files["files_done"] >= FRAMES and all(job["state"] == "completed" for job in jobs):
                return
            time.sleep(0.1)
    raise DemoError(f"Not finished after {PATIENCE_SECONDS} s; see {folder / 'data' / 'logs'}.")


def show_frames(results: Path) -> None:
    """List the frames; raise DemoError unless each is there, decodes and shows something."""
    for number in range(1, FRAMES + 1):
        path = results / f"frame_{number:04d}.png"
        if not path.is_file():
            raise DemoError(f"{path.name} did not arrive.")
        image = oiio.ImageBuf(str(path))
        if not image.read(force=True):
            raise DemoError(f"{path.name} cannot be decoded: {image.geterror()}")
        if oiio.ImageBufAlgo.isConstantColor(image, threshold=0.01):
            raise DemoError(f"{path.name} is all one colour.")
        console.print(
            f"  {path.name}  {image.spec().width}x{image.spec().height}  "
            f"{path.stat().st_size / 1000:.0f} kB"
        )


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
