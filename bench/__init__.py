"""Benchmarks: ``python -m bench`` measures the main job beside bare Blender, in one run."""
