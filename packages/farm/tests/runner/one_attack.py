"""``python -m runner.one_attack``: an attack in a process of its own, which may be another user's.

Standard input (JSON): folder, code, memory_bytes. Standard output: how the claim ended, in JSON.
"""

import json
import sys
from pathlib import Path

from farm_protocol.runner import JobLimits

from .in_process import end
from .test_limits import attack


def main() -> None:
    """Attack, and say how that ended."""
    told = json.load(sys.stdin)
    limits = JobLimits(memory_bytes=told["memory_bytes"])
    finish = end(attack(Path(told["folder"]), told["code"], "required", limits))
    print(json.dumps([finish.outcome, finish.message]))


if __name__ == "__main__":
    main()
