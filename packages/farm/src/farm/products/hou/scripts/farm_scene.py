"""The scene as a whole: environment, loading, take, and parameters that the job sets."""

import os
from typing import Any

import hou
from farm_events import SceneError, warn
from farm_parameters import environment_of, local

_READ_AT_START = {
    "HOUDINI_PATH",
    "HOUDINI_OTLSCAN_PATH",
    "HOUDINI_DSO_PATH",
    "HOUDINI_PACKAGE_DIR",
    "HOUDINI_USER_PREF_DIR",
    "HSITE",
}


def set_environment(
    variables: "dict[str, Any]", project: str, gpu: bool, loaded: bool = False
) -> None:
    """Set the job's environment variables, for Houdini and its child processes.

    Parameters:
        project: folder of the files; remote paths among the values become paths below it.
        loaded: whether the scene is open; its own variables are then replaced.
    """
    try:
        given, kept = environment_of(variables, project, gpu)
    except ValueError as error:
        raise SceneError(str(error)) from None
    if not loaded:
        for name in kept:
            warn(f"The farm itself sets the variable {name}. Leave it out of project_env.")
        for name in sorted(_READ_AT_START.intersection(given)):
            warn(
                f"Houdini reads {name} when it starts, so setting it in project_env comes too late."
            )
    for name, text in given.items():
        os.environ[name] = text
        hou.putenv(name, text)
    if loaded:
        hou.hscript("varchange")  # nodes re-evaluate the variables that they use


def load(scene: str, project: str) -> None:
    """Open the .hip. Its warnings are the job's; it is an error only if Houdini cannot read it."""
    shown = os.path.relpath(scene, project)
    if not os.path.isfile(scene):
        raise SceneError(f"The scene {shown} is missing.")
    try:
        hou.hipFile.load(scene, suppress_save_prompt=True, ignore_load_warnings=False)
    except hou.LoadWarning as warning:
        # The scene is open all the same; asking to ignore warnings would suppress their text.
        for line in warning.instanceMessage().splitlines():
            if line.strip():
                warn(line.strip())
    except hou.OperationFailed as error:
        text = " ".join(error.instanceMessage().replace(scene, shown).split()).rstrip(".")
        if "licen" in text.lower():
            raise
        version = hou.applicationVersionString()
        raise SceneError(
            f"Houdini {version} cannot open {shown}: the file is damaged, is not a Houdini scene,"
            f" or was saved by a newer Houdini ({text or 'no reason was given'})."
        ) from None


def set_take(node: Any, name: str) -> None:
    """Make a take the current one for rendering and editing; "" leaves it to the node."""
    own = node.parm("take")
    if not name and own is not None and own.evalAsString() != "_current_":
        name = own.evalAsString()
    if name:
        take = hou.takes.findTake(name)
        if take is None:
            listed = ", ".join(_take_names(hou.takes.rootTake()))
            raise SceneError(f"The scene has no take '{name}'. It has: {listed}.")
        hou.takes.setCurrentTake(take)
    # Otherwise Houdini refuses to change what the take does not include, such as the output path.
    hou.hscript("takeautomode on")
    if own is not None:
        set_value(own, "_current_")


def _take_names(take: Any) -> "list[str]":
    return [take.name(), *(name for child in take.children() for name in _take_names(child))]


def set_parms(node: Any, values: "dict[str, Any]", project: str) -> None:
    """Set project_param, in the given order. Raises SceneError for missing parameters."""
    for path, value in values.items():
        full = path if "/" in path else f"{node.path()}/{path}"
        if isinstance(value, list):
            found = hou.parmTuple(full)
            if found is not None and len(found) == len(value):
                for parm, part in zip(found, value):  # noqa: B905 - Python 3.7
                    set_value(parm, local(part, project))
                continue
        else:
            found = hou.parm(full)
            if found is not None:
                set_value(found, local(value, project))
                continue
        raise SceneError(f"The scene has no parameter {full} that could be {value!r}.")


def set_value(parm: Any, value: Any) -> None:
    """Set a parameter, even one with an expression or a lock. Raises SceneError."""
    try:
        if parm.isLocked():
            parm.lock(False)
        # An expression would continue to hide the value.
        parm.deleteAllKeyframes()
        parm.set(int(value) if isinstance(value, bool) else value)
    except (TypeError, hou.Error) as error:
        text = error.instanceMessage() if isinstance(error, hou.Error) else str(error)
        raise SceneError(
            f"The parameter {parm.path()} cannot be set to {value!r}: {text.rstrip('.')}."
        ) from None
