"""What scene files say about themselves, read without the programs that made them.

blend_header   which Blender saved a .blend
"""
