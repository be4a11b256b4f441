"""What each product and operation can do: one folder per product, and all of it data.

`Library` describes such a folder. The lower-case parameters of its OpenJD templates are the
documented ones. The server validates submissions with them, and the runner passes the same
templates to an OpenJD session. No OpenJD code is imported here: decoding costs half a second and
only runners need it.
"""

from farm.products._companion import Companion
from farm.products._definitions import OpenJobTemplate
from farm.products._file_names import FileNames
from farm.products._files import ProductError, load_yaml
from farm.products._library import BUILT_IN, Library
from farm.products._parameters import Parameter, Validated
from farm.products._plugins import PlugIn
from farm.products._program import Platform, Program, Trace, VersionProbe
from farm.products._reading import SHARED, load_scene_module
from farm.products._runs import even_runs
from farm.products._scenes import SceneError, SceneFiles, SceneFormat
from farm.products._template import Symptoms, Template, Timeout
from farm.products.shared.farm_sequence import (
    ImageSequence,
    SequenceError,
    marked,
    parse_sequence,
)

__all__ = [
    "BUILT_IN",
    "SHARED",
    "Companion",
    "FileNames",
    "ImageSequence",
    "Library",
    "OpenJobTemplate",
    "Parameter",
    "Platform",
    "PlugIn",
    "ProductError",
    "Program",
    "SceneError",
    "SceneFiles",
    "SceneFormat",
    "SequenceError",
    "Symptoms",
    "Template",
    "Timeout",
    "Trace",
    "Validated",
    "VersionProbe",
    "even_runs",
    "load_scene_module",
    "load_yaml",
    "marked",
    "parse_sequence",
]
