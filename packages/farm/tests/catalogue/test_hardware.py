"""The machine types of this computer, with an `nvidia-smi` that answers as the real one does."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from farm.catalogue.hardware import Gpu, find_gpus, local_machines


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def install(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(
            "#!/bin/sh\n"
            '[ "$*" = "--query-gpu=name,memory.total --format=csv,noheader" ] || exit 2\n' + script
        )
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    return install


def test_without_nvidia_smi_there_is_a_cpu_only(says: Callable[[str], None]) -> None:
    (machine,) = local_machines(2, Decimal(3))
    assert (machine.id, machine.gpu, machine.slots) == ("local-cpu", False, 2)
    assert machine.price("blender") == 3
    assert "CPUs" in machine.name
    assert "GB" in machine.name


def test_gpus_are_a_machine_type_of_their_own(says: Callable[[str], None]) -> None:
    says("echo 'NVIDIA GeForce RTX 3090, 24576 MiB'\necho 'NVIDIA GeForce RTX 3090, 24576 MiB'\n")
    cpu, gpu = local_machines(1, Decimal(1))
    assert (cpu.id, gpu.id, gpu.gpu) == ("local-cpu", "local-gpu", True)
    assert "2 x NVIDIA GeForce RTX 3090 24 GB" in gpu.name


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'NVIDIA A10G, 23028 MiB'", [Gpu("NVIDIA A10G", 23028)]),
        ("echo 'Orin (nvgpu), [N/A]'", [Gpu("Orin (nvgpu)", None)]),
        ("echo 'No devices were found'; exit 6", []),
        ("exit 0", []),
    ],
)
def test_what_nvidia_smi_may_say(
    says: Callable[[str], None], script: str, expected: list[Gpu]
) -> None:
    says(script)
    assert find_gpus() == expected
