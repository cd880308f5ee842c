"""The whole run on the 15,002 trips beside the official Chicago taxi example of the installed tfx, at equal steps.

    uv run python -m benchmarks.whole_run [--rounds N]

The official example runs as it is shipped (Beam's multi-processing direct runner), and once more on the runner that we
use. Each run is a process of its own in an empty directory. Prints one Markdown table; figures are medians.
"""

import argparse
import importlib.util
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Cost, measure

STEPS, EVAL_STEPS = 1000, 150
"""What the official example trains and validates."""

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def official(directory: Path, same_runner: bool) -> Cost:
    """The example from the wheel; only its runner is changed, and TFX imported first in Beam's workers for TFDV."""
    spec = importlib.util.find_spec("tfx")
    assert spec is not None
    assert spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0], "examples", "chicago_taxi_pipeline")
    home = directory / "taxi"
    (home / "data" / "simple").mkdir(parents=True)
    shutil.copy(source / "data" / "simple" / "data.csv", home / "data" / "simple")
    shutil.copy(source / "taxi_utils_native_keras.py", home)
    shipped = "'--direct_running_mode=multi_processing',"
    code = (source / "taxi_pipeline_native_keras.py").read_text()
    assert shipped in code
    assert f"num_steps={STEPS}" in code
    assert f"num_steps={EVAL_STEPS}" in code
    runner = "'--runner=FnApiRunner'," if same_runner else shipped + "'--beam_plugins=tfx',"
    (home / "pipeline.py").write_text(code.replace(shipped, runner))
    env = QUIET | {"HOME": str(directory), "TF_USE_LEGACY_KERAS": "1", "PIP_NO_INDEX": "1"}
    cost = measure([sys.executable, "pipeline.py"], home, directory, env)
    pushed = list((home / "serving_model" / "chicago_taxi_native_keras").iterdir())
    assert len(pushed) == 1, "the official example did not push"
    return cost


def ours(directory: Path) -> Cost:
    """`run_local.py` with early stopping out of the way, and without the ten more trainings of the ablation."""
    root = Path(__file__).parent.parent
    options = [
        "--set",
        f"training.steps={STEPS}",
        "--set",
        "training.patience=1000",
        "--set",
        "evaluation.ablation_seeds=0",
        "--output",
        str(directory / "build"),
    ]
    cost = measure([sys.executable, "run_local.py", *options], root, directory, QUIET)
    assert (directory / "build" / "serving_model" / "taxi" / "1").is_dir(), "nothing was pushed"
    assert f"{STEPS} steps" in cost.out
    return cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    sides = {
        "twinbeam": ours,
        "official, same runner": lambda directory: official(directory, same_runner=True),
        "official, as shipped": lambda directory: official(directory, same_runner=False),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            with tempfile.TemporaryDirectory() as directory:
                costs[name].append(side(Path(directory)))
    print("| side | CPU s (all rounds) | wall s | twinbeam's CPU time over it |")
    print("| --- | --- | --- | --- |")
    for name, found in costs.items():
        cpu = [cost.cpu_s for cost in found]
        ratio = statistics.median(a.cpu_s / b.cpu_s for a, b in zip(costs["twinbeam"], found, strict=True))
        wall = statistics.median(cost.wall_s for cost in found)
        each = ", ".join(f"{seconds:.1f}" for seconds in cpu)
        print(f"| {name} | {statistics.median(cpu):.1f} ({each}) | {wall:.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
