"""Reads the workflows and reports everything in them that the project does not allow itself.

usage: workflows.py FOLDER     prints one line per fault; 1 if there are any
"""

import os
import re
import sys

import yaml

root = sys.argv[1]
faults = []

# Every action that may be used, with the commit that was looked at and the version it is.
PINS = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/attest": ("1e69f48acb82d1966a394da916b4c1698aa569d6", "v4.2.2"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/upload-artifact": ("043fb46d1a93c77aae656e7c1c64a875d1fc6a0a", "v7.0.1"),
    "aquasecurity/trivy-action": ("ed142fd0673e97e23eac54620cfb913e5ce36c25", "v0.36.0"),
    "docker/login-action": ("dbcb813823bdd20940b903addbd779551569679f", "v4.6.0"),
    "docker/setup-buildx-action": ("37fe631027851001ddb9b187196cc803df7f5f0e", "v4.3.0"),
    "github/codeql-action/analyze": ("ff2f1c621b7f889edc0d3c761ac2e6a3f8cdb0dd", "v4.37.7"),
    "github/codeql-action/init": ("ff2f1c621b7f889edc0d3c761ac2e6a3f8cdb0dd", "v4.37.7"),
    "github/codeql-action/upload-sarif": ("ff2f1c621b7f889edc0d3c761ac2e6a3f8cdb0dd", "v4.37.7"),
    "ossf/scorecard-action": ("2d1146689b8cda280b9bc96326124645441f03bc", "v2.4.4"),
    "sigstore/cosign-installer": ("6f9f17788090df1f26f669e9d70d6ae9567deba6", "v4.1.2"),
}
# Commands that are no script of ours: all the logic they hold is in these words.
PLAIN = {
    'sudo env "PATH=$PATH" "HOME=$HOME" CI=true tests/run',
    'sudo env "PATH=$PATH" "HOME=$HOME" CI=true tests/run --ci',
    'sudo env "PATH=$PATH" "HOME=$HOME" CI=true tests/run --all',
    "cargo check --locked --bins",
    "cargo build --locked --all-targets",
    "cargo install --locked --version 0.20.2 cargo-deny",
    "cargo deny --locked check",
    "cargo install --locked --version 0.7.7 cargo-auditable",
    "cargo install --locked --version 3.8.0 cargo-deb",
    "cargo install --locked --version 0.21.1 cargo-generate-rpm",
    "cargo install --locked --version 0.10.3 cargo-vet",
    "cargo vet --locked",
    "cargo install --locked --version 0.9.2 cargo-machete",
    "cargo machete",
}
# What a job of a name may have beyond reading; any other right is a fault.
RIGHTS = {
    ("docker-build.yml", "build"): {"packages"},
    ("docker-build.yml", "report"): {"security-events"},
    ("docker-build.yml", "assemble"): {"packages"},
    ("docker-build.yml", "sign"): {"packages", "id-token", "attestations"},
    ("docker-build.yml", "promote"): {"packages"},
    ("docker-build.yml", "retention"): {"packages"},
    ("docker-build.yml", "notify"): {"issues"},
    ("release.yml", "seal"): {"id-token", "attestations"},
    ("release.yml", "publish"): {"contents"},
    ("release.yml", "image"): {"packages"},
    ("scorecard.yml", "analysis"): {"security-events"},
    ("codeql.yml", "analyse"): {"security-events"},
}


def fault(where, what):
    faults.append(f"{where}: {what}")


def check_step(where, step, scripts):
    if "uses" in step:
        name, _, commit = step["uses"].partition("@")
        if commit != PINS.get(name, (None, None))[0]:
            fault(where, f"{step['uses']} is not a pin that was looked at")
        if name == "actions/checkout" and step.get("with", {}).get("persist-credentials") is not False:
            fault(where, "the checkout keeps its credentials")
        return
    command = step["run"].strip()
    if "${{" in command:
        fault(where, f"an expression inside run: {command!r}")
    if re.fullmatch(r"shell/ci/[a-z-]+\.sh", command):
        scripts.add(command)
        if not os.access(os.path.join(root, command), os.X_OK):
            fault(where, f"{command} cannot be run")
    elif command not in PLAIN:
        fault(where, f"logic outside of shell/ci: {command!r}")


def check_job(where, file, name, job, text, scripts):
    rights = job.get("permissions")
    if not isinstance(rights, dict):
        return fault(where, "has no permissions of its own")
    for scope, right in rights.items():
        if right == "write" and scope not in RIGHTS.get((file, name), set()):
            fault(where, f"may write {scope}")
        if not re.search(rf"^      {scope}: {right} # \w", text, re.M):
            fault(where, f"does not say why it has {scope}: {right}")
    if not job.get("timeout-minutes"):
        fault(where, "has no time limit")
    for step in job["steps"]:
        check_step(where, step, scripts)
    check_toolchain(where, [step.get("run", "").strip() for step in job["steps"]])


def check_toolchain(where, commands):
    """What is tested is built by the Rust of .github/rust, not by the runner's."""
    for at, command in enumerate(commands):
        if re.search(r"\btests/run\b", command) and "shell/ci/toolchain.sh" not in commands[:at]:
            fault(where, "runs the tests with whatever Rust the runner has")


def check_order(jobs):
    """latest moves after everything else, and the scanner may write nothing."""
    def before(name):
        needs = jobs[name].get("needs", [])
        needs = [needs] if isinstance(needs, str) else needs
        return set(needs).union(*(before(need) for need in needs)) if needs else set()

    if not {"resolve", "build", "scan", "smoke", "assemble", "sign"} <= before("promote"):
        fault("docker-build.yml", "promote does not wait for everything")
    for name in ("assemble", "sign", "promote"):
        if jobs[name].get("if"):
            fault("docker-build.yml", f"{name} has a condition, so it could run after a failure")
    for name in ("build", "scan", "smoke", "assemble", "sign", "promote"):
        if any("continue-on-error" in step for step in jobs[name]["steps"]) or "continue-on-error" in jobs[name]:
            fault("docker-build.yml", f"{name} goes on after an error")
    if before("retention").isdisjoint({"promote"}):
        fault("docker-build.yml", "retention does not wait for promote")
    movers = [name for name, job in jobs.items() if any(step.get("run") == "shell/ci/promote.sh" for step in job["steps"])]
    if movers != ["promote"]:
        fault("docker-build.yml", f"tags are moved by {movers}")


def main():
    scripts, folder = set(), os.path.join(root, ".github/workflows")
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file)) as source:
            text = source.read()
        workflow = yaml.safe_load(text)
        if workflow.get("permissions") != {}:
            fault(file, "starts with permissions")
        if "concurrency" not in workflow:
            fault(file, "may run twice at once")
        if "pull_request_target" in str(workflow.get(True)):
            fault(file, "runs foreign code with our rights")
        for name, job in workflow["jobs"].items():
            check_job(f"{file}: {name}", file, name, job, text, scripts)
        if file == "docker-build.yml":
            check_order(workflow["jobs"])
        for action, comment in re.findall(r"uses: ([^@\n]+)@\S+(.*)", text):
            version = PINS.get(action, (None, None))[1]
            if comment != f" # {version}":
                fault(file, f"{action} lacks the comment that it is {version}")
    for script in sorted(os.listdir(os.path.join(root, "shell/ci"))):
        path = os.path.join(root, "shell/ci", script)
        if script.endswith(".sh") and os.access(path, os.X_OK) and f"shell/ci/{script}" not in scripts:
            fault(f"shell/ci/{script}", "no workflow calls it")
    print("\n".join(faults))
    sys.exit(bool(faults))


main()
