"""``farm workers``: the living runners, and the programs of the render nodes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Annotated

import typer
from farm_protocol.announcement import AnnouncedMachines, Announcement
from farm_protocol.runner import Enforcement, HostLimits

from farm.accounts.plans import MOST
from farm.cli._common import (
    AsJson,
    DataDir,
    announced_machines,
    farm_folder,
    opened,
    print_json,
    print_table,
    say,
)
from farm.db import accounts, capacity, hosts, overview
from farm.db.hosts import HostProgram
from farm.db.overview import WorkerLine
from farm.scheduler import limits

workers = typer.Typer()


@workers.callback(invoke_without_command=True)
def show(context: typer.Context, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show the living runners, the slots of each machine type, and what each host can run."""
    if context.invoked_subcommand is not None:
        return
    announced = Announcement.read(farm_folder(data_dir))
    with opened(data_dir) as database, database.read() as connection:
        lines = overview.worker_lines(connection)
        found = hosts.fetch_all(connection)
        held = hosts.limits(connection)
        alone = accounts.is_alone(connection)
        slots = capacity.slots(
            connection, _configured_slots(announced.machines if announced else [])
        )
    in_use = {name: sum(line.machine_type == name for line in lines) for name in slots}
    if as_json:
        machines = [
            {"machine_type": name, "slots": count, "in_use": in_use[name]}
            for name, count in slots.items()
        ]
        print_json(
            {
                "machines": machines,
                "workers": [asdict(line) for line in lines],
                "hosts": _hosts(found, held),
            }
        )
        return
    for name, count in slots.items():
        say(f"{name}: {in_use[name]} of {count} slots in use.")
    if not slots:
        say("The farm is not running.")
    _print_runners(lines)
    _print_programs(found)
    _print_limits(held, alone)


@workers.command("slots")
def set_slots(
    machine_type: Annotated[str, typer.Argument(help="As shown by `farm workers`.")],
    count: Annotated[
        int | None,
        typer.Argument(
            min=0,
            max=MOST,
            help=(
                "Maximum number of runners at a time, or 0 for none. If left out: as configured."
            ),
        ),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Change how many runners a machine type has room for, at once, and until the next change.

    Surplus runners end after the frame they are at.
    """
    configured = _configured_slots(announced_machines(data_dir))
    with opened(data_dir) as database, database.write() as connection:
        after = limits.set_slots(connection, configured, machine_type, count)
    if as_json:
        print_json(after)
    else:
        say(f"{machine_type}: {after[machine_type]} slots.")


def _print_runners(lines: list[WorkerLine]) -> None:
    if not lines:
        say("No runners are alive.")
        return
    print_table(
        ("Runner", "Host", "Machine", "User", "Job", "Since", "Claim", "Frame", "Frames done"),
        (
            (
                line.id[:8] + (" (yields)" if line.yielding else ""),
                line.host,
                line.machine_type,
                line.user,
                f"{line.job} ({line.job_id[:8]})",
                f"{line.since:%Y-%m-%d %H:%M:%S}",
                f"{line.frames}: {line.claim_done} of {line.claim_total}" if line.frames else "",
                "" if line.current_frame is None else str(line.current_frame),
                str(line.frames_done),
            )
            for line in lines
        ),
    )


def _print_programs(found: list[HostProgram]) -> None:
    if found:
        print_table(
            ("Host", "Can run", "Plug-ins", "Told at (UTC)"),
            (
                (
                    each.host,
                    f"{each.app} {each.version}",
                    ", ".join(each.plugins),
                    f"{each.reported_at:%Y-%m-%d %H:%M}",
                )
                for each in found
            ),
        )


def _print_limits(held: Mapping[str, HostLimits], alone: bool) -> None:
    if held:
        print_table(
            ("Host", *(name.replace("_", " ").capitalize() for name in HostLimits.model_fields)),
            ((host, *(str(value or "") for _, value in each)) for host, each in held.items()),
        )
        say("The kernel enforces its limits; a renderer that exceeds a watched limit is stopped.")
        if open_ends := [host for host, each in held.items() if each.end is Enforcement.WATCHED]:
            say(
                f"On {', '.join(open_ends)} a hostile scene may leave programs running after"
                " its claim has ended."
            )
        watched = [host for host, each in held.items() if each.memory is Enforcement.WATCHED]
        if watched and not alone:
            say(
                f"On {', '.join(watched)} memory is only watched: a scene that sets out to can hold"
                " several times its limit, and another job on the machine may be ended for it. With"
                " FARM_LIMITS=required such machines render nothing."
            )


def _hosts(found: list[HostProgram], held: Mapping[str, HostLimits]) -> list[dict[str, object]]:
    programs_of = dict(_by_host(found))
    return [
        {
            "host": host,
            "programs": [_program(each) for each in programs_of.get(host, ())],
            "limits": held[host].model_dump(mode="json") if host in held else None,
        }
        for host in sorted({*programs_of, *held})
    ]


def _by_host(found: list[HostProgram]) -> Iterator[tuple[str, list[HostProgram]]]:
    for host, programs in groupby(found, key=lambda each: each.host):
        yield host, list(programs)


def _program(each: HostProgram) -> dict[str, object]:
    return {
        "app": each.app,
        "version": each.version,
        "plugins": each.plugins,
        "reported_at": each.reported_at,
    }


def _configured_slots(machines: Sequence[AnnouncedMachines]) -> dict[str, int]:
    return {each.id: each.slots for each in machines}
