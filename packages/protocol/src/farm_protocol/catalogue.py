"""What the farm can run: product versions and machine types."""

from farm_protocol.models import Answer


class ProductVersion(Answer):
    """One row of ``GET /v1/products``: one version of one product or plug-in.

    Attributes:
        id: stable, ``<app_type>:<version>``.
        name: for people ("Blender").
        app_type: the short code ("blender").
        compatible_modules: ``<plugin code>:<version>`` that work with it.
    """

    id: str
    name: str
    app_type: str
    version: str
    is_plugin: bool = False
    business_vertical: str = "media"
    operations: list[str] = []
    compatible_modules: list[str] = []


class MachineType(Answer):
    """One row of ``GET /v1/machines``. ``credits_per_hour`` is the price of one instance."""

    id: str
    name: str
    gpu: bool
    is_default: bool
    credits_per_hour: float
