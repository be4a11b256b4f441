"""What each product and operation can do: parameters, their validation, and the files they make.

A product is data: ``<app>_<operation>.yaml`` is an Open Job Description template whose lower-case
parameters are the documented ones, ``<app>_<operation>.farm.yaml`` says what OpenJD has no field
for. The server validates submissions with `load`, the runner hands the same template to an OpenJD
session. No OpenJD code is imported here: decoding costs half a second and only runners need it.
"""

from farm.templates._drive import SceneError
from farm.templates._file_names import FileNames
from farm.templates._load import SHARED, available, load, load_named
from farm.templates._parameters import Parameter, Validated
from farm.templates._plugins import PlugIn
from farm.templates._runs import even_runs
from farm.templates._shared.farm_sequence import (
    ImageSequence,
    SequenceError,
    marked,
    parse_sequence,
)
from farm.templates._template import SceneFormat, Symptoms, Template, TemplateError, Timeout

__all__ = [
    "SHARED",
    "FileNames",
    "ImageSequence",
    "Parameter",
    "PlugIn",
    "SceneError",
    "SceneFormat",
    "SequenceError",
    "Symptoms",
    "Template",
    "TemplateError",
    "Timeout",
    "Validated",
    "available",
    "even_runs",
    "load",
    "load_named",
    "marked",
    "parse_sequence",
]
