"""The programs of a made-up studio, and its catalogue file."""

from decimal import Decimal
from pathlib import Path

from farm.catalogue import Catalogue
from farm.catalogue.definitions import load_definitions
from farm.catalogue.machines import Machines, with_definitions
from farm.catalogue.products import Installed, listed, merged, product_rows

STUDIO = """
products:
  blender:
    credits_per_hour: {local-gpu: 7}
  maya:
    operations: {render: blender_render}
    plugins:
      maya_vray: {versions: ["6.1", "7.0"], works_with: {"6": ["2023..2024"], "7": ["2025"]}}
      maya_redshift: {needs_gpu: true}
      maya_prman: {works_with: {"25": ["2025"], "26": ["2026"]}}
  c4d:
    operations: {render: blender_render}
    versions: ["R19.024"]
  nuke: {operations: {composite: blender_render}, licence_servers: ["licences.studio:4101"]}
machines:
  local-gpu: {gpu: true, name: A GPU, slots: 2, limits: {memory_gb: 1.5, cpu_hours: 2}}
"""
OF_MAYA = ("mtoa:5.4.0", "maya_redshift:unknown", "maya_prman:25.2", "maya_prman:26.1")
FOUND = [
    Installed("blender", "3.4.1"),
    Installed("blender", "4.5.15"),
    Installed("maya", "2024.2", ("mtoa:5.3.1",)),
    Installed("maya", "2025.1", OF_MAYA),
    Installed("hou", "20.5.332"),
    Installed("nuke", "15.1v3"),
    Installed("vray", "6.20.01"),
]


def studio_catalogue(folder: Path) -> Catalogue:
    file = folder / "studio.yaml"
    file.write_text(STUDIO)
    definitions = load_definitions(file)
    price = Decimal(3600)
    machines = [Machines("local-cpu", "Test", False, 2, price)]
    return Catalogue(
        products=merged(
            [*product_rows(FOUND, definitions), *product_rows(listed(definitions), definitions)]
        ),
        machines=with_definitions(machines, definitions, price),
        definitions=definitions,
        problems={"nuke": "The configured nuke '/opt/x' does not answer '--version' as nuke does."},
    )


V_RAY = {"app": "vray", "app_version": "", "path": "demo/scene.vrscene"}
HOUDINI = {"app": "hou", "operation": "render", "app_version": "20.5", "path": "demo/scene.hip"}
