"""Where Envoy and its embedded farm keep their data unless told otherwise.

It is here because two programs must agree: ``envoy up`` gives the embedded farm its folder, and
``farm users add`` without ``--data-dir`` works on the same one.
"""

import os
from pathlib import Path

from platformdirs import user_data_path

DATA_DIR_VARIABLE = "ENVOY_DATA_DIR"


def default_data_dir() -> Path:
    """Return Envoy's data folder: ``$ENVOY_DATA_DIR``, else the platform's usual place."""
    configured = os.environ.get(DATA_DIR_VARIABLE)
    return Path(configured) if configured else user_data_path("envoy", appauthor=False)


def embedded_farm_dir(data_dir: Path) -> Path:
    """Return the embedded farm's data folder inside Envoy's."""
    return data_dir / "farm"
