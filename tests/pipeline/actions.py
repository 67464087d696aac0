"""Stand-ins for the actions of our workflows: they check their inputs and rights, and do here what can be done here."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


class Action:
    """One method per action; a name or an input that is not here is a mistake in the workflow, or here."""

    def __init__(self, job, given, environment):
        self.job, self.given, self.environment = job, given, environment

    def path(self, name):
        return os.path.join(self.job.workspace, name)

    def only(self, *names):
        unknown = set(self.given) - set(names)
        assert not unknown, f"the action has no input {unknown}"

    def may(self, scope, right):
        granted = self.job.permissions.get(scope)
        assert granted in ((right, "write") if right == "read" else (right,)), f"needs {scope}: {right}, has {granted}"

    def checkout(self):
        self.only("persist-credentials")
        self.may("contents", "read")
        assert self.given["persist-credentials"] == "false"
        shutil.copytree(self.job.run.repo, self.job.workspace, dirs_exist_ok=True)

    def setup_buildx(self):
        self.only("driver-opts")
        # The builder that stands in for it is not an image; that the real one is pinned can be checked all the same.
        pinned = r"image=moby/buildkit:v[0-9.]+@sha256:[0-9a-f]{64}(\nnetwork=host\n)?"
        assert re.fullmatch(pinned, self.given["driver-opts"]), "BuildKit is not pinned by digest"
        command = ["docker", "buildx", "create", "--use", "--driver", "remote", f"unix://{os.environ['BUILDKIT_SOCKET']}"]
        subprocess.run(command, env=self.job.environment, check=True, stdout=subprocess.DEVNULL)

    def login(self):
        self.only("registry", "username", "password")
        self.may("packages", "read")
        command = ["docker", "login", "--username", self.given["username"], "--password-stdin", self.given["registry"]]
        subprocess.run(command, env=self.job.environment, input=self.given["password"].encode(), check=True, capture_output=True)

    def upload_artifact(self):
        self.only("name", "path", "if-no-files-found", "overwrite", "retention-days")
        store = os.path.join(self.job.run.artifacts, self.given["name"])
        os.makedirs(store)  # a name is used once per run
        pattern = self.path(self.given["path"])
        files = glob.glob(pattern + "*" if pattern.endswith("/") else pattern)
        assert files, f"nothing at {self.given['path']}"
        for file in files:
            shutil.copy(file, store)

    def download_artifact(self):
        self.only("name", "pattern", "path", "merge-multiple")
        names = [self.given["name"]] if "name" in self.given else None
        stores = glob.glob(os.path.join(self.job.run.artifacts, names[0] if names else self.given["pattern"]))
        assert stores, "no such artifact"
        assert names or self.given["merge-multiple"] == "true"
        for store in stores:
            shutil.copytree(store, self.path(self.given["path"]), dirs_exist_ok=True)

    def trivy(self):
        self.only("version", "image-ref", "scanners", "format", "severity", "limit-severities-for-sarif", "ignore-unfixed",
                  "output", "exit-code", "skip-setup-trivy")
        assert not any(right == "write" for right in self.job.permissions.values()), "the scanner may not write"
        assert self.environment["TRIVY_PLATFORM"] in ("linux/amd64", "linux/arm64")
        pull = ["docker", "buildx", "imagetools", "inspect", "--raw", self.given["image-ref"]]
        subprocess.run(pull, env=self.job.environment, check=True, stdout=subprocess.DEVNULL)  # as the scanner would have to
        recorded = self.job.run.options.scan
        command = [sys.executable, f"{HERE}/stand-ins/trivy.py", recorded, *(self.given[k] for k in ("image-ref", "format", "output"))]
        subprocess.run(command, cwd=self.job.workspace, check=True)

    def upload_sarif(self):
        self.only("sarif_file", "category")
        self.may("security-events", "write")
        with open(self.path(self.given["sarif_file"])) as file:
            assert json.load(file)["version"] == "2.1.0"

    def scorecard(self):
        self.only("results_file", "results_format", "publish_results")
        assert self.given["publish_results"] == "false" and self.given["results_format"] == "sarif"
        with open(self.path(self.given["results_file"]), "w") as file:
            json.dump({"version": "2.1.0", "runs": []}, file)

    def codeql_init(self):
        self.only("languages", "build-mode")
        assert self.given["languages"] in ("rust", "actions") and self.given["build-mode"] == "none"

    def codeql_analyze(self):
        self.only("category")
        self.may("security-events", "write")

    def cosign_installer(self):
        self.only("cosign-release")

    def attest(self):
        self.only("subject-name", "subject-digest", "subject-path", "push-to-registry", "create-storage-record")
        self.may("attestations", "write")
        self.may("id-token", "write")
        if "subject-path" in self.given:
            assert glob.glob(self.path(self.given["subject-path"]))
        else:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", self.given["subject-digest"]) and self.given["subject-name"]


ACTIONS = {
    "actions/checkout": Action.checkout,
    "docker/setup-buildx-action": Action.setup_buildx,
    "docker/login-action": Action.login,
    "actions/upload-artifact": Action.upload_artifact,
    "actions/download-artifact": Action.download_artifact,
    "aquasecurity/trivy-action": Action.trivy,
    "github/codeql-action/analyze": Action.codeql_analyze,
    "github/codeql-action/init": Action.codeql_init,
    "github/codeql-action/upload-sarif": Action.upload_sarif,
    "ossf/scorecard-action": Action.scorecard,
    "sigstore/cosign-installer": Action.cosign_installer,
    "actions/attest": Action.attest,
}
