"""What scene files say about themselves, read without the programs that made them.

Of the farm this package imports `farm.confine` only.

blend_header   which Blender saved a .blend
blend_assets   which files a .blend needs and its project does not have
lacks          the same, for a scene that has been read
blend_trace    which files a .blend names: a program, the only user of blender-asset-tracer
usages         what that program reports
asset_paths    where a path in a .blend leads, and which file of a project is there
"""
