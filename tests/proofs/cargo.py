"""The proofs that are tests of cargo's: how many of a kind passed, and which of them are controls."""

import os
import re
import subprocess

from world import ROOT, check

# Claim, filter of `cargo test --test it`, and the environment that makes it thorough.
FILTERS = (
    ("At its last system call a command holds a secret in locked pages or nowhere", "residue::"),
    ("No file, argument list, log, core or unlocked page holds a secret", "proofs::"),
    ("No file, output or argument list of the credential helpers holds one", "docker_proofs::"),
    ("1,000 values reach every shell and every reader byte for byte", "shells::", {"OC_TEST_VALUES": "1000"}),
    ("A manifest that was found is used only as somebody has seen it", "allow::"),
    ("Nobody else answers, and nobody keeps anybody waiting", "single_flight::"),
    ("No login is lost beside `docker install`", "races::"),
    ("What others could have written is refused, and what is ours is not", "ownership::"),
    ("Large files are parsed in time", "large_files::"),
    ("What we take of an env-file `op run` takes alike", "env_file::"),
    ("In every mode of `op` we end in time and leave no process", "failures::"),
    ("A rate limit is remembered, without a secret", "remembered::"),
)


def asked_of_cargo(name, environment=None):
    if name == "shells::":
        nu = subprocess.run([ROOT / "tests" / "proofs" / "nu"], capture_output=True, text=True)
        check(nu.returncode == 0, nu.stderr)
        environment = {**environment, "OC_TEST_NU": nu.stdout.strip()}
    words = ["cargo", "test", "--locked", "--quiet", "--test", "it", "--", name, "--nocapture"]
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True)
    text = done.stdout + done.stderr
    counted = re.search(r"test result: \w+\. (\d+) passed; (\d+) failed", text)
    check(done.returncode == 0 and counted and int(counted[1]) > 0, f"cargo test {name}: {text[-1500:]}")
    listed = subprocess.run([*words[:-1], "--list"], cwd=ROOT, capture_output=True, text=True).stdout
    controls = len(re.findall(r"control", listed))
    figures = sorted(set(re.findall(r"figure: (.*)$", text, re.MULTILINE)))
    said = "; ".join([f"{counted[1]} tests passed", *figures])
    return said, f"{controls} tests of their own" if controls else "in each test"
