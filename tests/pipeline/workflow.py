"""Runs a workflow here: its jobs in order, its `run:` steps for real, its actions through the stand-ins of actions.py.

Each job gets an empty workspace, an empty Docker configuration and only the environment that the workflow gives it.

usage: workflow.py FILE --repo DIR --state DIR [--event NAME] [--ref REF] [--input K=V] [--var K=V] [--secret K=V]
                   [--env K=V] [--run N] [--attempt N] [--scan FILE] [--again JOB]
--again does what "Re-run job" does: of the run whose state is in DIR, JOB and what waits for it run once more, as attempt N,
with the commit and the other jobs' outputs of then.
Prints {"jobs": {name: result}, "outputs": {name: {…}}, "summary": text} and ends with 1 if a job failed.
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys

import yaml

from actions import ACTIONS, Action
from expressions import fill, holds, worth

TOKEN = "test-token"


class Job:
    """One job with one choice of its matrix."""

    def __init__(self, run, name, spec, matrix, number):
        self.run, self.name, self.spec = run, name, spec
        self.permissions = spec["permissions"]
        folder = os.path.join(run.state, f"{name}-{number}" + f".{run.options.attempt}" * bool(run.options.again))
        self.workspace, home = f"{folder}/work", f"{folder}/home"
        os.makedirs(self.workspace)
        os.makedirs(f"{home}/docker")
        shutil.copy(f"{os.environ['WORLD']}/docker.json", f"{home}/docker/config.json")  # where buildx lies, no password
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": home, "DOCKER_CONFIG": f"{home}/docker", "DOCKER_HOST": os.environ["DOCKER_HOST"],
            "LANG": "C.UTF-8", "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_API_URL": run.github["api_url"],
            "GITHUB_STEP_SUMMARY": run.summary, **run.options.env,
            **{name: os.environ[name] for name in ("TESTS", "AUTHORITY", "COSIGN", "SIGNER")},
        }
        self.context = {
            "github": run.github, "inputs": run.options.input, "vars": run.options.var, "secrets": run.options.secret,
            "matrix": matrix, "needs": run.needs(spec), "steps": {}, "status": None, "runner": {"temp": home},
        }
        self.context["env"] = self.evaluated(run.spec.get("env", {}) | spec.get("env", {}), self.context)
        self.context["env"] |= {key: value for key, value in run.options.env.items() if key in self.context["env"]}
        self.environment |= self.context["env"]

    @staticmethod
    def evaluated(mapping, context):
        return {key: fill(value, context) for key, value in mapping.items()}

    def execute(self):
        for number, step in enumerate(self.spec["steps"]):
            if not holds(step.get("if", ""), self.context):
                continue
            outputs = {}
            try:
                outputs = self.step(step, number)
            except (AssertionError, subprocess.CalledProcessError, OSError, KeyError) as error:
                print(f"[{self.name}] failed: {step.get('name') or step.get('uses')}: {error!r}", file=sys.stderr)
                self.context["status"] = "failure"
            self.context["steps"][step.get("id")] = {"outputs": outputs}
        outputs = self.evaluated(self.spec.get("outputs", {}), self.context)
        return self.context["status"] or "success", outputs

    def step(self, step, number):
        environment = self.environment | self.evaluated(step.get("env", {}), self.context)
        if "uses" in step:
            name = step["uses"].split("@")[0]
            assert name in ACTIONS, f"no stand-in for {name}"
            ACTIONS[name](Action(self, self.evaluated(step.get("with", {}), self.context), environment))
            return {}
        answers = os.path.join(self.workspace, f"../output-{number}")
        open(answers, "w").close()
        script = os.path.join(self.workspace, f"../step-{number}.sh")
        with open(script, "w") as file:
            file.write(fill(step["run"], self.context))
        print(f"[{self.name}] {step['run'].strip()}", file=sys.stderr)
        subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", script], cwd=self.workspace, check=True,
                       env=environment | {"GITHUB_OUTPUT": answers}, stdout=sys.stderr, stdin=subprocess.DEVNULL)
        with open(answers) as file:
            return dict(line.rstrip("\n").split("=", 1) for line in file)


class Run:
    """One run of the whole workflow."""

    def __init__(self, spec, options):
        self.spec, self.options, self.repo = spec, options, os.path.abspath(options.repo)
        self.state = os.path.abspath(options.state)
        self.artifacts, self.summary = f"{self.state}/artifacts", f"{self.state}/summary.md"
        os.makedirs(self.artifacts, exist_ok=bool(options.again))
        self.jobs = {}
        if options.again:
            self.summary = f"{self.state}/summary.{options.attempt}.md"
            with open(f"{self.state}/jobs.json") as file:
                self.jobs = self.without(json.load(file), options.again)
        self.github = {
            "repository": "Owner/Repo", "ref": options.ref, "ref_name": options.ref.split("/", 2)[2], "event_name": options.event,
            "run_id": options.run, "run_number": options.run, "run_attempt": options.attempt, "actor": "robot", "token": TOKEN,
            "server_url": "https://github.example", "api_url": os.environ["GITHUB_API_URL"],
            "workflow_ref": f"Owner/Repo/{options.file}@{options.ref}",
            "event": {} if options.event == "schedule" else {"repository": {"default_branch": "main", "private": False}},
        }

    @staticmethod
    def before(spec):
        needs = spec.get("needs", [])
        return [needs] if isinstance(needs, str) else needs

    def needs(self, spec):
        return {name: self.jobs[name] for name in self.before(spec)}

    def without(self, jobs, name):
        later = [other for other, spec in self.spec["jobs"].items() if name in self.before(spec)]
        jobs = {other: job for other, job in jobs.items() if other != name}
        for other in later:
            jobs = self.without(jobs, other)
        return jobs

    def execute(self):
        waiting = {name: spec for name, spec in self.spec["jobs"].items() if name not in self.jobs}
        while waiting:
            name = next(name for name, spec in waiting.items() if set(self.before(spec)) <= set(self.jobs))
            result, outputs = self.job(name, waiting.pop(name))
            self.jobs[name] = {"result": result, "outputs": outputs}
        with open(f"{self.state}/jobs.json", "w") as file:
            json.dump(self.jobs, file)
        return self.jobs

    def job(self, name, spec):
        results = [need["result"] for need in self.needs(spec).values()]
        status = "failure" if "failure" in results else "skipped" if "skipped" in results else None
        context = {"needs": self.needs(spec), "github": self.github, "status": status, "inputs": self.options.input}
        if not holds(spec.get("if", ""), context):
            return "skipped", {}
        result, outputs = "success", {}
        for number, matrix in enumerate(self.matrix(spec, context)):
            one, answers = Job(self, name, spec, matrix, number).execute()
            outputs |= answers
            result = one if one == "failure" else result
        return result, outputs

    @staticmethod
    def matrix(spec, context):
        matrix = dict(spec.get("strategy", {}).get("matrix", {}))
        if "include" in matrix:
            chosen = matrix["include"]
            return worth(chosen, context) if isinstance(chosen, str) else chosen
        return [dict(zip(matrix, choice)) for choice in itertools.product(*matrix.values())]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--repo", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--event", default="workflow_dispatch")
    parser.add_argument("--ref", default="refs/heads/main")
    parser.add_argument("--run", type=int, default=1)
    parser.add_argument("--attempt", type=int, default=1)
    parser.add_argument("--scan")
    parser.add_argument("--again")
    for name in ("input", "var", "secret", "env"):
        parser.add_argument(f"--{name}", action="append", default=[], type=lambda pair: tuple(pair.split("=", 1)))
    options = parser.parse_args()
    for name in ("input", "var", "secret", "env"):
        setattr(options, name, dict(getattr(options, name)))
    with open(os.path.join(options.repo, options.file)) as file:
        run = Run(yaml.safe_load(file), options)
    jobs = run.execute()
    summary = open(run.summary).read() if os.path.exists(run.summary) else ""
    print(json.dumps({"jobs": {name: job["result"] for name, job in jobs.items()},
                      "outputs": {name: job["outputs"] for name, job in jobs.items()}, "summary": summary}))
    sys.exit(any(job["result"] == "failure" for job in jobs.values()))


main()
