"""Apply the job's settings to the opened scene.

A .blend contains the output settings of the artist's machine. Settings of the job replace the
scene's, settings that would redirect or skip frames are neutralised, and those that belong to the
image (compositing, sequencer, motion blur, border, stereo) stay.
"""

from typing import Any

import bpy
import farm_animation
import farm_plugins
from farm_events import SceneError, note, warn
from farm_script import distinct, distinct_names

_GPU_BACKENDS = ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI")
"""In order of preference: on cards that support both, OptiX is faster than CUDA."""


def set_engine(scene: Any, engine: str) -> None:
    """Set the render engine; "" keeps the scene's own, adapted to this Blender version."""
    wanted = engine or scene.render.engine
    # It is called EEVEE_NEXT in 4.2 to 4.5, else EEVEE. The scene may have either name.
    names = ["BLENDER_EEVEE", "BLENDER_EEVEE_NEXT"]
    candidates = [wanted, *names] if wanted in names else [wanted]
    for candidate in candidates:
        try:
            scene.render.engine = candidate
        except TypeError:
            continue
        return
    version = bpy.app.version_string
    hint = farm_plugins.needed(wanted)
    raise SceneError(f"The render engine {wanted} is not part of Blender {version}.{hint}")


def set_device(scene: Any, gpu: bool, devices: str = "") -> None:
    """Have Cycles render on the GPUs, or on the CPU. Other engines choose for themselves.

    Parameters:
        gpu: use GPUs, else the CPU.
        devices: a backend, and indices of its devices: ``OPTIX:0,2``; "" for all of the best
            backend.

    Raises:
        SceneError: this machine has no such GPU.
    """
    if scene.render.engine != "CYCLES":
        if gpu and bpy.app.background and scene.render.engine == "BLENDER_WORKBENCH":
            warn("The Workbench engine decides by itself whether it uses the GPU.")
        return
    farm_animation.hold(scene, "cycles.device")
    if not gpu:
        # A scene saved with GPU would fall back to this silently.
        scene.cycles.device = "CPU"
        return
    preferences = bpy.context.preferences.addons["cycles"].preferences
    kind, _, numbers = devices.upper().partition(":")
    for backend in [kind] if kind else _GPU_BACKENDS:
        try:
            preferences.compute_device_type = backend
        except TypeError:
            continue  # not in this build
        preferences.get_devices()
        found = [device for device in preferences.devices if device.type == backend]
        if found:
            used = _numbered(found, backend, numbers)
            for device in preferences.devices:
                device.use = any(device == each for each in used)
            scene.cycles.device = "GPU"
            note(f"Rendering on {', '.join(device.name for device in used)} ({backend}).")
            return
    # Not permanent: another machine of the farm may have one.
    how = f" with {kind}" if kind else ""
    raise SceneError(
        f"The job asks for a GPU, but this machine has none that Cycles can use{how}.", False
    )


def _numbered(found: "list[Any]", backend: str, numbers: str) -> "list[Any]":
    """Return the devices with these indices; all if no index is given. Raises SceneError."""
    wanted = [int(number) for number in numbers.split(",") if number]
    if beyond := [number for number in wanted if number >= len(found)]:
        names = ", ".join(f"{number}: {device.name}" for number, device in enumerate(found))
        raise SceneError(
            f"This machine has no {backend} device {beyond[0]}. It has {names}.", False
        )
    return [found[number] for number in wanted] or found


def set_output(scene: Any, file_format: str) -> None:
    """Set the file format, and disable options that skip or misplace frames. Raises SceneError."""
    farm_animation.hold(scene, "render.use_overwrite", "render.threads_mode")
    render, image = scene.render, scene.render.image_settings
    multilayer = file_format == "OPEN_EXR_MULTILAYER"
    if hasattr(image, "media_type"):  # Blender 5.0
        image.media_type = "MULTI_LAYER_IMAGE" if multilayer else "IMAGE"
    try:
        image.file_format = file_format
    except TypeError:
        version = bpy.app.version_string
        raise SceneError(f"Blender {version} cannot write the format {file_format}.") from None
    render.use_file_extension = True
    # Otherwise, frames whose file exists are skipped, or empty placeholder files are left.
    render.use_overwrite, render.use_placeholder = True, False
    # A fixed number was chosen for the artist's machine, not for this one.
    render.threads_mode = "AUTO"
    if render.use_border:
        how = "cropped to it" if render.use_crop_to_border else "black around it"
        warn(f"The scene has a render region: frames are {how}, as in Blender itself.")


def check_camera(scene: Any) -> None:
    """Ensure that there is an active camera, as Blender does. Raises SceneError without one."""
    editor = scene.sequence_editor
    if editor is not None and scene.render.use_sequencer and _strips(editor):
        return  # the sequencer makes the image; Blender itself reports strips without a camera
    if scene.camera is not None or any(marker.camera for marker in scene.timeline_markers):
        return
    for thing in bpy.context.view_layer.objects:
        if thing.type == "CAMERA":
            warn(f"The scene '{scene.name}' has no active camera: rendering with '{thing.name}'.")
            scene.camera = thing
            return
    raise SceneError(f"The scene '{scene.name}' has no camera, so there is nothing to render.")


def picture_size(scene: Any) -> "tuple[int, int] | None":
    """Return (width, height) of the frames in pixels; None if frames may differ."""
    render = scene.render
    if (render.use_border and render.use_crop_to_border) or render.use_multiview:
        return None
    if farm_animation.changes(scene, "render.use_multiview"):
        return None
    scale = render.resolution_percentage
    return render.resolution_x * scale // 100, render.resolution_y * scale // 100


def catch_file_nodes(scene: Any, folder: str) -> "dict[str, str]":
    """Redirect the compositor's File Output nodes into ``folder``.

    Their paths belong to the artist's machine. Muted nodes are redirected, too: muting may be
    animated, a path cannot.

    Returns:
        Subfolder of each node -> name of its folder in the results: that of the node, made unique.
    """
    tree = _compositor(scene)
    if tree is None or not scene.render.use_compositing:
        return {}
    nodes = list(_file_nodes(tree, set()))
    names = distinct_names([node.label or node.name for node in nodes], "node")
    for number, node in enumerate(nodes):
        _send(node, f"{folder}/node{number}/")
    return {f"node{number}": name for number, name in enumerate(names)}


def mute_file_nodes(scenes: "list[Any]", folder: str) -> None:
    """Mute the File Output nodes of scenes that are rendered as part of another, such as strips.

    Parameters:
        folder: where they write if muting is animated.
    """
    for scene in scenes:
        tree = _compositor(scene)
        for node in list(_file_nodes(tree, set())) if tree is not None else []:
            node.mute = True
            _send(node, f"{folder}/")


def _send(node: Any, path: str) -> None:
    multi = node.format.file_format == "OPEN_EXR_MULTILAYER"
    if hasattr(node, "directory"):  # Blender 5.0
        node.directory = path
        # The prefix of each slot's file, and the complete name of a multi-layer file.
        node.file_name = _inside(node.file_name) or ("layers" if multi else "")
        if not multi:
            _keep_inside(node.file_output_items, "name")
        return
    # The base path is the name of a multi-layer file, but the folder of all others.
    node.base_path = path + "layers_" if multi else path
    _keep_inside(node.file_slots, "path")


def _compositor(scene: Any) -> Any:
    return getattr(scene, "compositing_node_group", None) or getattr(scene, "node_tree", None)


def _keep_inside(slots: Any, attribute: str) -> None:
    """Confine slots to the folder, without collisions: ``../a`` would become ``a``."""
    paths = distinct([_inside(getattr(slot, attribute)) for slot in slots])
    # Via temporary names, since Blender changes a name that another slot still has.
    for names in ([f"farm slot {number}" for number in range(len(paths))], paths):
        for slot, name in zip(slots, names):  # noqa: B905 - Python 3.7 knows no strict
            setattr(slot, attribute, name)


def _inside(path: str) -> str:
    """Return a path without ``..``, with folder names that are valid on every system."""
    *folders, name = path.replace("\\", "/").split("/")
    kept = [folder.rstrip(". ") for folder in folders]
    return "/".join([*filter(None, kept), "" if name == ".." else name])


def _file_nodes(tree: Any, seen: "set[str]") -> Any:
    for node in tree.nodes:
        if node.type == "OUTPUT_FILE":
            yield node
        elif node.type == "GROUP" and node.node_tree and node.node_tree.name not in seen:
            seen.add(node.node_tree.name)
            yield from _file_nodes(node.node_tree, seen)


def _strips(editor: Any) -> Any:
    strips = getattr(editor, "strips", None)
    return getattr(editor, "sequences", ()) if strips is None else strips
