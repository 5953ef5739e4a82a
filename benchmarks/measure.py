"""What the benchmarks share: a command measured as a whole, work measured in this process, and tables."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Cost:
    """A process from start to end: cpu seconds (user and system), wall seconds, peak memory in MiB, lines that it wrote."""

    cpu: float
    wall: float
    memory: float
    lines: int


def run(command: Sequence[str]) -> Cost:
    """Run a command in a process of its own. Exits when it fails."""
    # An installed program has its bytecode; and some shells ask Python to write neither that nor whole blocks.
    unwanted = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    # The system counts the memory of the process that starts another one as this one's, so a small one starts it.
    starter = [sys.executable, "-I", "-S", __file__, *command]
    done = subprocess.run(starter, check=False, cwd=ROOT, env=kept, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: failed")
    cpu, wall, memory, lines = done.stdout.split()
    return Cost(float(cpu), float(wall), float(memory), int(lines))


def _start(command: Sequence[str]) -> None:
    """Run a command and print what it cost."""
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        if status:
            raise SystemExit(1)
        out.seek(0)
        lines = sum(1 for _ in out)
    print(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, lines)


def matrix_command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "evidence", "reach", "matrix", "--from", str(folder), "--format", "csv"]


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.memory for cost in costs),
        costs[0].lines,
    )


def timed(work: Callable[[], T], repeat: int = 1) -> tuple[T, float]:
    """The result of the last run, and the median cpu seconds of all."""
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return result, statistics.median(seconds)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    listed = [list(header), ["---"] * len(header), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in listed)


if __name__ == "__main__":
    _start(sys.argv[1:])
