"""Mutation testing: would the tests notice if a module that decides a verdict were wrong? Survivors are listed as diffs.

    python benchmarks/mutation/run.py [evidence/reach/tiers.py …] [--examples 8] [--again]

mutmut changes one thing at a time in a clone of the last commit (build/mutation/tree; never in this tree) and runs the tests of the module
until the first one fails. It is installed into an environment of its own. Results are kept in the clone, so that a run that was stopped goes
on where it was; `--again` starts anew. A module takes minutes; what survived so far, and why, is in docs/mutation.md.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "build" / "mutation"
TREE, VENV = WORK / "tree", WORK / "venv"
MUTMUT = "mutmut==2.5.1"

REACH, CLUSTER = "tests/reach/test_", "tests/cluster/test_"
MEANING = [f"{REACH}{name}.py" for name in ("semantics", "cluster_policies", "corners", "nodes")]
ENGINE = [*MEANING, *(f"{REACH}{name}.py" for name in ("calico", "cilium", "against_oracle", "laws"))]
CARRYING = [f"{REACH}{name}.py" for name in ("carry", "later_states", "incremental")]
CALICO = [f"{CLUSTER}calico_selectors.py", f"{CLUSTER}parse_calico.py", f"{REACH}calico.py"]
CILIUM = [f"{CLUSTER}cilium_refusals.py", f"{CLUSTER}parse_cilium.py", f"{REACH}cilium.py"]
PARSING = [f"{CLUSTER}{name}.py" for name in ("selectors", "parse_policies", "parse_clusterpolicies")]

# The tests of each module, quick ones first: most changes are noticed by the first few.
TESTS: dict[str, list[str]] = {
    **{
        f"evidence/reach/{name}.py": ENGINE
        for name in (
            "peers", "classes", "addresses", "rules", "mentions", "clusterpolicy", "endpoints",
        )
    },
    **{f"evidence/reach/{name}.py": [*ENGINE, *CARRYING] for name in ("sides", "tiers", "frames")},
    **{
        f"evidence/reach/{name}.py": [f"{REACH}ports.py", *MEANING, f"{REACH}against_oracle.py", f"{REACH}incremental.py"]
        for name in ("ports", "portids")
    },
    "evidence/reach/networkpolicy.py": [f"{REACH}semantics.py", f"{REACH}corners.py", f"{REACH}unused.py"],
    "evidence/reach/doubts.py": [f"{REACH}doubts.py", *ENGINE],
    "evidence/reach/engine.py": [f"{REACH}engine.py", *ENGINE, *CARRYING],
    "evidence/reach/spread.py": [f"{REACH}spread.py", *CARRYING],
    **{f"evidence/reach/{name}.py": CARRYING for name in ("incremental", "split", "carry")},
    "evidence/reach/refine.py": [f"{REACH}refine.py", f"{REACH}diff.py", *CARRYING],
    "evidence/reach/query.py": [f"{REACH}query.py", *MEANING, f"{REACH}peer_probes.py", f"{REACH}against_oracle.py"],
    "evidence/reach/groups.py": [f"{REACH}paths.py", f"{REACH}checks.py", f"{REACH}why.py"],
    "evidence/reach/possible.py": [f"{REACH}paths.py", f"{REACH}checks.py"],
    "evidence/reach/outside.py": [f"{REACH}corners.py", f"{REACH}matrix.py", f"{REACH}exposure.py"],
    **{
        f"evidence/{name}.py": [*CALICO, f"{REACH}calico_against_oracle.py", f"{REACH}account.py"]
        for name in (
            "reach/calico", "reach/calicopeers", "reach/calicorules", "cluster/calico", "cluster/calico_selectors",
            "cluster/parse_calico", "cluster/parse_calico_rules", "cluster/parse_calico_selectors",
        )
    },
    **{
        f"evidence/{name}.py": [*CILIUM, f"{REACH}cilium_oracle.py"]
        for name in (
            "reach/cilium", "reach/ciliumpeers", "cluster/cilium", "cluster/cilium_refusals", "cluster/cilium_selectors",
            "cluster/parse_cilium",
        )
    },
    **{f"evidence/reach/{name}.py": [f"{REACH}cilium_turning.py"] for name in ("ciliumturning", "ciliumedits")},
    "evidence/reach/explain.py": [f"{REACH}query.py", *MEANING, *CALICO, *CILIUM, f"{REACH}account.py"],
    "evidence/reach/diff.py": [f"{REACH}diff.py", f"{REACH}incremental.py"],
    "evidence/cluster/selectors.py": [*PARSING, *MEANING, f"{REACH}against_oracle.py"],
    "evidence/cluster/cidr.py": [*PARSING, f"{REACH}fuzz.py", *MEANING],
    "evidence/cluster/policies.py": [*PARSING, *MEANING, f"{REACH}account.py", f"{REACH}against_oracle.py"],
    "evidence/cluster/parse_policies.py": [*PARSING, f"{REACH}semantics.py", f"{REACH}fuzz.py"],
}  # fmt: skip


def prepare(*, again: bool) -> None:
    """The clone of the last commit, and mutmut."""
    if again:
        shutil.rmtree(TREE, ignore_errors=True)
    if TREE.exists():
        for left in TREE.rglob("*.py.bak"):  # a change that was being tried when a run was stopped
            left.replace(left.with_suffix(""))
        subprocess.run(["git", "pull", "--quiet"], cwd=TREE, check=True)
    else:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(TREE)], check=True)
    if not (VENV / "bin" / "mutmut").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([str(VENV / "bin" / "pip"), "install", "--quiet", MUTMUT], check=True)


def mutate(module: str, examples: int) -> None:
    """Try every change of one module and print those that no test noticed."""
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "few_examples",
        *TESTS[module],
    ]
    runner = f"sh -c {shlex.quote(shlex.join(pytest) + ' || exit 1')}"  # mutmut takes any code but 1 for a pass
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",  # a change within the same second would be hidden by the byte code of the last one
        "EXAMPLES": str(examples),
    }
    mutmut = [str(VENV / "bin" / "mutmut")]
    paths = ["--paths-to-mutate", module, "--tests-dir", "tests/reach", "--runner", runner]
    subprocess.run([*mutmut, "run", *paths, "--simple-output", "--CI", "-s"], cwd=TREE, env=environment, check=True)
    subprocess.run([*mutmut, "show", module], cwd=TREE, env=environment, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=list(TESTS), metavar="MODULE")
    parser.add_argument("--examples", type=int, default=8, help="for each property test")
    parser.add_argument("--again", action="store_true", help="forget earlier results")
    chosen = parser.parse_args()
    unknown = [module for module in chosen.modules if module not in TESTS]
    if unknown:
        parser.error(f"no tests are listed for {', '.join(unknown)}; choose from {', '.join(TESTS)}")
    prepare(again=chosen.again)
    for module in chosen.modules:
        print(f"\n{module}", flush=True)
        mutate(module, chosen.examples)


if __name__ == "__main__":
    main()
