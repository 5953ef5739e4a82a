"""The same input to `evidence reach matrix` and to np-guard's netpol-analyzer, in turns, in one run: cpu seconds and their ratio.

    NETPOL_ANALYZER=/path/to/netpol-analyzer python benchmarks/compare.py [--pods 1000 3000] [--closed 0.6] [--variant plain|manifests]
                                             [--from PATH…] [--repeat 3]

Both read the same folder and write every allowed connection as CSV: the peer one row for two workloads, ours one for two workloads or outside
ranges. They take turns, so that both see the same machine; figures are medians, the ratio is that of the turns' pairs.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import clusters
from benchmarks.measure import matrix_command, median, run, table

HEADER = ("input", "peer rows", "peer cpu s", "peer MiB", "our rows", "our cpu s", "our MiB", "peer's cpu over ours")


def compared(name: str, folder: Path, peer: str, repeat: int) -> list[object]:
    ours, theirs = matrix_command(folder), [peer, "list", "-q", "--dirpath", str(folder), "-o", "csv"]
    run(ours)
    pairs = [(run(theirs), run(ours)) for _ in range(repeat)]
    they, we = median([pair[0] for pair in pairs]), median([pair[1] for pair in pairs])
    ratio = statistics.median(them.cpu / us.cpu for them, us in pairs)
    return [
        name,
        they.lines - 1,
        f"{they.cpu:.2f}",
        f"{they.memory:.0f}",
        we.lines - 1,
        f"{we.cpu:.2f}",
        f"{we.memory:.0f}",
        f"{ratio:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, nargs="+", default=[1000, 3000])
    parser.add_argument("--closed", type=float, default=0.6)
    parser.add_argument("--variant", choices=["plain", "manifests"], default="plain")
    parser.add_argument("--from", dest="paths", type=Path, nargs="+", default=[])
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    peer = os.environ.get("NETPOL_ANALYZER")
    if not peer:
        raise SystemExit("set NETPOL_ANALYZER to the peer's program")
    with tempfile.TemporaryDirectory() as temporary:
        inputs = [(str(path), path.resolve()) for path in arguments.paths]
        for pods in arguments.pods if not inputs else ():
            folder = clusters.write(
                Path(temporary, str(pods)), pods, closed=arguments.closed, manifests=arguments.variant == "manifests"
            )
            inputs.append((f"{pods:,} pods, {arguments.variant}", folder))
        rows = [compared(name, path, peer, arguments.repeat) for name, path in inputs]
    print(table(HEADER, rows))


if __name__ == "__main__":
    main()
