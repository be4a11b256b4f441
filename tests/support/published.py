"""The published tables of job parameters, typed from the client's documentation."""

TEXT, NUMBER, BOOL, LIST, DICT = "string", "number", "bool", "list", "dict"
OPTIONAL = True

PUBLISHED: dict[str, dict[str, tuple[str, bool]]] = {
    "blender": {
        "frames": (TEXT, False),
        "output_prefix": (TEXT, False),
        "output_format": (TEXT, False),
        "engine": (TEXT, OPTIONAL),
        "gpu": (BOOL, OPTIONAL),
    },
    "c4d": {
        "frames": (TEXT, False),
        "output_width": (NUMBER, False),
        "output_height": (NUMBER, False),
        "output_prefix": (TEXT, False),
        "output_format": (TEXT, False),
        "output_multipass_prefix": (TEXT, OPTIONAL),
        "gpu": (BOOL, OPTIONAL),
    },
    "hou": {
        "frames": (TEXT, False),
        "take": (TEXT, False),
        "rop_nodetype": (TEXT, False),
        "rop_nodepath": (TEXT, False),
        "output_upload": (LIST, False),
        "disk_output_ext": (TEXT, OPTIONAL),
        "disk_output_mode": (TEXT, OPTIONAL),
        "disk_output_parm": (TEXT, OPTIONAL),
        "disk_output_path": (TEXT, OPTIONAL),
        "disk_output_renderer": (TEXT, OPTIONAL),
        "disk_output_path_parm": (TEXT, OPTIONAL),
        "gpu": (BOOL, OPTIONAL),
        "project_summary_log_file": (TEXT, OPTIONAL),
        "project_param_output": (LIST, OPTIONAL),
        "project_param": (DICT, OPTIONAL),
        "project_env": (DICT, OPTIONAL),
    },
    "maya": {
        "frames": (TEXT, False),
        "output_width": (NUMBER, False),
        "output_height": (NUMBER, False),
        "output_prefix": (TEXT, False),
        "output_format": (TEXT, False),
        "camera": (TEXT, False),
        "renderer": (TEXT, False),
        "gpu": (BOOL, OPTIONAL),
    },
    "nuke": {"frames": (TEXT, False), "gpu": (BOOL, OPTIONAL)},
    "vray": {
        "frames": (TEXT, False),
        "output_width": (NUMBER, False),
        "output_height": (NUMBER, False),
        "output_prefix": (TEXT, False),
        "output_format": (TEXT, False),
        "rt_engine": (NUMBER, OPTIONAL),
        "sampling_type": (NUMBER, OPTIONAL),
        # "number" in the table, whose words say that it is the path of a file.
        "remap_file": (TEXT, OPTIONAL),
    },
}
"""Product -> parameter -> (type, whether it is said to be optional)."""
