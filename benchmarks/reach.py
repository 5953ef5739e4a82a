"""Cost of `evidence reach matrix --format csv` from start to end, of its stages, and how it grows.

    python benchmarks/reach.py [--pods 1000 3000 10000] [--closed 0.6] [--variant plain|own-label|manifests|calico] [--from PATH…] [--repeat 3]

Without `--from`, clusters are made for the occasion (`clusters.py`), one policy for five pods. The command runs in processes of its own, the
median of `--repeat`; the stages run in this process. `own-label` gives every pod a label of its own that no selector looks at, which must cost
nothing; `manifests` are workloads in YAML; `calico` has a policy of Calico's for five pods and one of Kubernetes' for fifty. Figures are for
comparing runs on one machine, so nothing here judges them.
"""

import argparse
import gc
import math
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import clusters
from benchmarks.measure import Cost, matrix_command, median, run, table, timed
from evidence.collect.files import read_cluster
from evidence.reach import matrix
from evidence.reach.engine import analyse

WHOLE = ("input", "pods", "policies", "rows", "cpu s", "wall s", "peak MiB")
STAGES = ("input", "classes", "outside ranges", "read", "analyse", "all flows", "rows as CSV")


def whole(folder: Path, repeat: int) -> Cost:
    """The command; a first run, which is not counted, leaves its files in the system's cache."""
    run(matrix_command(folder))
    return median([run(matrix_command(folder)) for _ in range(repeat)])


def measured(name: str, folder: Path, repeat: int) -> tuple[list[object], list[object], tuple[int, float]]:
    """A row of each table, and (pods, cpu seconds)."""
    cost = whole(folder, repeat)
    gc.disable()  # as the command does
    cluster, read = timed(lambda: read_cluster([str(folder)], stdin=None, keep_going=False))
    reach, analysed = timed(lambda: analyse(cluster))
    _, flows = timed(lambda: reach.flow_table)
    _, written = timed(lambda: sum(len(chunk.encode()) for chunk in matrix.csv(reach)))
    gc.enable()
    pods = len(cluster.pods)
    return (
        [
            name,
            pods,
            len(cluster.policies) + len(cluster.calico_policies),
            cost.lines - 1,
            f"{cost.cpu:.2f}",
            f"{cost.wall:.2f}",
            f"{cost.memory:.0f}",
        ],
        [
            name,
            len(reach.classes),
            len(reach.external),
            *(f"{seconds:.3f}" for seconds in (read, analysed, flows, written)),
        ],
        (pods, cost.cpu),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, nargs="+", default=[1000, 3000, 10000])
    parser.add_argument("--closed", type=float, default=0.6)
    parser.add_argument("--variant", choices=["plain", "own-label", "manifests", "calico"], default="plain")
    parser.add_argument("--from", dest="paths", type=Path, nargs="+", default=[])
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        inputs = [(str(path), path.resolve()) for path in arguments.paths]
        for pods in arguments.pods if not inputs else ():
            folder = clusters.write(
                Path(temporary, str(pods)),
                pods,
                pods // 50 if arguments.variant == "calico" else None,
                calico=pods // 5 if arguments.variant == "calico" else 0,
                closed=arguments.closed,
                own_label=arguments.variant == "own-label",
                manifests=arguments.variant == "manifests",
            )
            inputs.append((f"{pods:,} pods, {arguments.variant}", folder))
        commands, stages, costs = zip(*(measured(name, path, arguments.repeat) for name, path in inputs), strict=True)
    print("\nThe command, process start to end:\n")
    print(table(WHOLE, commands))
    print("\nStages, cpu seconds in one process:\n")
    print(table(STAGES, stages))
    (few, cheap), (many, dear) = min(costs), max(costs)
    if many > few:
        print(f"\nGrowth from {few:,} to {many:,} pods: exponent {math.log(dear / cheap) / math.log(many / few):.2f}")


if __name__ == "__main__":
    main()
