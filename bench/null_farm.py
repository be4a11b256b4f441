"""A real farm whose local engine starts real runners, with `bench.null_renderer` for a Blender."""

import argparse
import os
import sys
from pathlib import Path

import farm.main
from farm.config import Settings
from farm.engines.local import LocalEngine


class SharedResultsEngine(LocalEngine):
    """Starts `bench.null_runner` instead of ``farm.runner``."""

    module = "bench.null_runner"


def install_renderer(folder: Path, image: bool) -> Path:
    """Write a program that is `bench.null_renderer`, as the setting FARM_BLENDER wants one."""
    program = folder / "null-renderer"
    script = Path(__file__).with_name("null_renderer.py")
    # -S -E: nothing but the standard library, so that starting it takes 10 ms.
    program.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -S -E "{script}" --image={"yes" if image else "no"}'
        ' "$@"\n'
    )
    program.chmod(0o755)
    return program


def main() -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--blender", required=True)
    parser.add_argument("--shared-results", action="store_true")
    options = parser.parse_args()
    # Runners import nothing from the folder that they are started in.
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    settings = Settings(data_dir=options.data_dir, blender=options.blender)
    maker = SharedResultsEngine if options.shared_results else LocalEngine
    farm.main.serve(
        settings,
        engine=lambda on_exit: maker(
            work_dir=settings.data_dir / "work",
            log_dir=settings.data_dir / "logs",
            programs={"blender": [options.blender]},
            on_exit=on_exit,
        ),
    )


if __name__ == "__main__":
    main()
