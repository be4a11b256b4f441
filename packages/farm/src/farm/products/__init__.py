"""What each product and operation can do: one folder per product, and all of it data.

`Library` describes such a folder. The lower-case parameters of its OpenJD templates are the
documented ones. The server validates submissions with them, and the runner passes the same
templates to an OpenJD session. OpenJD is imported only by what needs it: a runner's claim, and the
farm's start where a studio has products of its own.
"""

from farm.products._companion import Companion
from farm.products._definitions import OpenJobTemplate
from farm.products._faults import faults
from farm.products._file_names import FileNames
from farm.products._files import ProductError, checked, load_yaml, read_model
from farm.products._library import BUILT_IN, Library
from farm.products._parameters import Parameter, Validated, as_text
from farm.products._plugins import PlugIn
from farm.products._program import Platform, Program, Trace, VersionProbe
from farm.products._reading import SHARED, load_scene_module
from farm.products._runs import even_runs
from farm.products._scenes import SceneError, SceneFiles, SceneFormat
from farm.products._strict import Name, Server, Strict, Text, VersionText
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
    "Name",
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
    "Server",
    "Strict",
    "Symptoms",
    "Template",
    "Text",
    "Timeout",
    "Trace",
    "Validated",
    "VersionProbe",
    "VersionText",
    "as_text",
    "checked",
    "even_runs",
    "faults",
    "load_scene_module",
    "load_yaml",
    "marked",
    "parse_sequence",
    "read_model",
]
