"""``python -m runner.one_attack``: an attack in a process of its own, which may be another user's.

Standard input (JSON): folder, code, limits, sandbox, claims. Standard output: how the last claim
ended and what all of them logged, in JSON.
"""

import json
import sys
from pathlib import Path

from farm_protocol.runner import JobLimits

from .test_limits import attack


def main() -> None:
    """Attack, and say how that ended."""
    told = json.load(sys.stdin)
    limits = JobLimits.model_validate(told["limits"])
    farm = attack(
        Path(told["folder"]), told["code"], told["sandbox"], limits, claims=told["claims"]
    )
    finish = list(farm.finishes.values())[-1]
    print(json.dumps([finish.outcome, finish.message, farm.log]))


if __name__ == "__main__":
    main()
