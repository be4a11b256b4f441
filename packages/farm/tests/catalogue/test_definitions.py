"""The catalogue's data, and a studio's file over it."""

from decimal import Decimal
from pathlib import Path

import pytest
from farm.catalogue import Catalogue
from farm.catalogue.definitions import CatalogueError, built_in, load_definitions
from farm.catalogue.machines import Machines, with_definitions
from farm.catalogue.matching import unseen_plugins
from farm.catalogue.products import Installed, listed, product_rows
from farm.products import BUILT_IN
from farm.renderers import in_range
from farm_protocol.runner import JobLimits, LicenceServer
from messages import saying, says

PUBLISHED = {
    "blender": {"blender_vray"},
    "c4d": {"arnold", "redshift", "vray"},
    "hou": {"htoa", "hton", "hou_redshift", "prman", "htot", "hou_vray"},
    "maya": {"mtoa", "maya_redshift", "maya_prman", "maya_vray"},
    "nuke": set(),
    "vray": set(),
}
"""Short codes of the published table of product types and plug-ins."""


def studio(folder: Path, text: str) -> Path:
    file = folder / "studio.yaml"
    file.write_text(text)
    return file


def test_every_published_code_is_known_and_can_be_looked_for() -> None:
    ours = built_in().products
    assert {code: set(entry.plugins) for code, entry in ours.items()} == {
        **PUBLISHED,
        "ffmpeg": set(),
    }
    assert set(BUILT_IN.programs) == set(ours)
    for code, entry in ours.items():
        provided = {name for name, plugin in entry.plugins.items() if plugin.provided_by}
        assert set(BUILT_IN.programs[code].plugins) == set(entry.plugins) - provided


def test_what_a_plugin_is_the_templates_know_as_well() -> None:
    for app, entry in built_in().products.items():
        provided = {name: each.provided_by for name, each in entry.plugins.items()}
        for operation in built_in().operations(app):
            template = BUILT_IN.load(app, operation)
            assert template is not None
            told = {code: each.program for code, each in template.plugins.items() if each.program}
            assert told == {code: program for code, program in provided.items() if program}


def test_an_operation_is_listed_only_with_its_template() -> None:
    assert {("blender", "render")} <= set(BUILT_IN.available())
    assert built_in().operations("blender") == ["render"]
    assert built_in().template("blender", "render") is BUILT_IN.template("blender_render")
    assert built_in().template("blender", "sim") is None
    assert built_in().template("paint", "render") is None
    for app, entry in built_in().products.items():
        names = {f"{app}_{operation}" for app, operation in BUILT_IN.available()}
        expected = [each for each, name in entry.operations.items() if name in names]
        assert built_in().operations(app) == expected


@pytest.mark.parametrize(
    ("version", "text", "inside"),
    [
        ("2025.2", "all", True),
        ("2025.2", "2025", True),
        ("2025.2", "202", False),
        ("4.5.15", "4.2..4.5", True),
        ("4.2.0", "4.2..4.5", True),
        ("4.6.0", "4.2..4.5", False),
        ("3.6.1", "4.2..4.5", False),
        ("R19.024", "R18..R20", True),
        ("15.1v3", "15.1", True),
    ],
)
def test_ranges(version: str, text: str, inside: bool) -> None:
    assert in_range(version, text) is inside


def test_a_studios_file_adds_and_narrows(tmp_path: Path) -> None:
    definitions = load_definitions(
        studio(
            tmp_path,
            """
products:
  blender:
    name: Blender (ours)
    versions: ["2.93.18"]
    plugins:
      blender_vray: {versions: ["6.2"], works_with: {all: ["4.2..4.5"]}}
    credits_per_hour: {local-cpu: 2.5}
machines:
  local-cpu: {name: Workstation, slots: 3}
  big: {gpu: true, credits_per_hour: 9}
""",
        )
    )
    found = [Installed("blender", "4.2.1", ("blender_vray:6.1",)), Installed("blender", "3.4.1")]
    rows = {row.id: row for row in product_rows(found, definitions)}
    assert rows["blender:4.2.1"].compatible_modules == ["blender_vray:6.1", "blender_vray:6.2"]
    assert rows["blender:3.4.1"].compatible_modules == []
    assert rows["blender:3.4.1"].name == "Blender (ours)"
    assert listed(definitions) == [Installed("blender", "2.93.18")]
    asked = ["blender_vray", "blender_vray:6.2", "blender_vray:6.1", "other"]
    assert unseen_plugins(Catalogue([], [], definitions=definitions), "blender", asked) == asked[:2]
    assert unseen_plugins(Catalogue([], []), "blender", asked) == []
    assert unseen_plugins(Catalogue([], []), "hou", ["htoa", "hton"]) == ["hton"]
    assert definitions.products["maya"] == built_in().products["maya"]
    cpu, big = with_definitions(
        [Machines("local-cpu", "This computer", False, 1, Decimal(1))], definitions, Decimal(1)
    )
    assert (cpu.name, cpu.slots, cpu.gpu) == ("Workstation", 3, False)
    assert (cpu.price("blender"), cpu.price("nuke")) == (Decimal("2.5"), Decimal(1))
    assert (big.id, big.gpu, big.slots, big.price("blender")) == ("big", True, 1, Decimal(9))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("products: [", [saying("catalogue-not-yaml")]),
        ("- nuke", [saying("catalogue-is-no-mapping")]),
        ("products: {}\nmachines: {}\nproducts: {}", [saying("key-stands-twice", "products")]),
        (
            "machines: {local-cpu: {slots: 1, slots: 2}}",
            [saying("key-stands-twice", "slots")],
        ),
        ("products: {nuk: {versions: ['15.1v3']}}", ["products.nuk.name"]),
        ("products: {nuke: {version: ['1']}}", ["products.nuke.version'"]),
        (
            "products: {maya: {versions: [2025]}}",
            ["products.maya.versions.0", saying("must-be-of-type")],
        ),
        (
            "products: {maya: {plugins: {mtoa: {works_with: {all: ['2023..']}}}}}",
            ["products.maya.plugins.mtoa.works_with", "'2023..2025'"],
        ),
        (
            "products: {nuke: {licence_servers: ['4101@licences']}}",
            ["products.nuke.licence_servers.0", saying("cannot-write", "4101@licences")],
        ),
        (
            "products: {nuke: {licence_servers: ['licences:70000']}}",
            ["products.nuke.licence_servers.0", saying("port-out-of-range", "licences:70000")],
        ),
        (
            "machines: {local-cpu: {limits: {memory_gb: 0}}}",
            ["machines.local-cpu.limits.memory_gb", saying("must-be-larger", "0.0")],
        ),
        ("machines: {local-cpu: {slots: 0}}", ["machines.local-cpu.slots", saying("must-more", 1)]),
        ("machines: {local-cpu: {slots: '2'}}", ["machines.local-cpu.slots"]),
        ("machines: {local-cpu: {gpu: 'yes'}}", ["machines.local-cpu.gpu"]),
        ("machines: {1: {gpu: true}}", [saying("key-not-text-write-quotes", 1)]),
        (
            "products: {nuke: {operations: {draw: nuke_draw}}}",
            ["products.nuke.operations.draw", "nuke_draw"],
        ),
        (
            "products: {hou: {plugins: {hton: {provided_by: nuk}}}}",
            ["products.hou.plugins.hton.provided_by", "'nuk'"],
        ),
        ("machines: {local-cpu: {credits_per_hour: -1}}", ["machines.local-cpu.credits_per_hour"]),
    ],
)
def test_a_mistake_names_file_and_field(
    tmp_path: Path, text: str, told: list[str | saying]
) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_definitions(studio(tmp_path, text))
    message = str(caught.value)
    for each in [str(tmp_path / "studio.yaml"), *told]:
        assert says(message, each) if isinstance(each, saying) else each in message


def test_a_job_reaches_the_licence_servers_of_its_product_and_its_plugins(tmp_path: Path) -> None:
    definitions = load_definitions(
        studio(
            tmp_path,
            """
products:
  hou:
    licence_servers: ["licences:1715"]
    plugins:
      htoa: {licence_servers: ["[fd00::7]:5053", "licences:1715"]}
      hton: {}
  nuke: {licence_servers: ["10.0.0.5:4101"]}
""",
        )
    )
    house = LicenceServer(host="licences", port=1715)
    arnold = LicenceServer(host="fd00::7", port=5053)
    nuke = LicenceServer(host="10.0.0.5", port=4101)
    assert definitions.licence_servers("hou", []) == [house]
    assert definitions.licence_servers("hou", ["htoa:6.3"]) == [house, arnold]
    # It is Nuke, on the same machine.
    assert definitions.licence_servers("hou", ["hton"]) == [house, nuke]
    assert definitions.licence_servers("blender", []) == []
    assert definitions.licence_servers("no_such_product", []) == []


def test_limits_of_a_machine_type(tmp_path: Path) -> None:
    definitions = load_definitions(
        studio(
            tmp_path, "machines: {local-cpu: {slots: 2, limits: {memory_gb: 1.5, cpu_hours: 2}}}"
        )
    )
    (cpu,) = with_definitions(
        [Machines("local-cpu", "This computer", False, 1, Decimal(1))], definitions, Decimal(1)
    )
    assert cpu.limits.for_runners(cpu.slots) == JobLimits(
        memory_bytes=3 * 2**29, frame_cpu_seconds=7200, slots=2
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        CatalogueError, check=saying("catalogue-cannot-read", "No such file or directory")
    ):
        load_definitions(tmp_path / "studio.yaml")
