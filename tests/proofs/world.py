"""A home, a vault and the stand-in for `op`, of a user who needs no account."""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
WINDOW = 10
PYTHON = "/usr/bin/python3" # which every user may execute


class Failure(AssertionError):
    """What a proof found to be wrong."""


def check(condition, what):
    if not condition:
        raise Failure(what)


def windows(secret):
    """Every run of ten bytes of it."""
    data = secret.encode()
    return [data[at : at + WINDOW] for at in range(len(data) - WINDOW + 1)]


def found(data, secret):
    """How many of the runs of `secret` occur in `data`."""
    return sum(run in data for run in windows(secret))


def until(what, holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        check(time.monotonic() < deadline, f"waited in vain until {what}")
        time.sleep(0.005)


def as_user(user):
    """What a child calls to become `user`, who has no groups."""
    if user == 0:
        return {}
    return {"user": user, "group": user, "extra_groups": []}


class World:
    def __init__(self, user=0, cache='[cache]\nttl = "0"\n'):
        self.directory = Path(tempfile.mkdtemp(prefix="oc-proofs-"))
        self.directory.chmod(0o755)
        self.user = user
        self.value = f"ghp_{secrets.token_hex(16)}"
        self.token = f"ops_{secrets.token_hex(16)}"
        self.children = []
        for name in ("bin", "double", "home", "work", "run"):
            (self.directory / name).mkdir()
        for name in ("oc-secrets", "docker-credential-oc"):
            shutil.copy(PROGRAMS / name, self.directory / "bin" / name)
        shutil.copy(PROGRAMS / "examples" / "op-double", self.directory / "bin" / "op")
        field = {"id": "credential", "type": "CONCEALED", "label": "credential", "value": self.value}
        item = {"id": "t" * 26, "title": "Token", "fields": [field]}
        vault = {"id": "v" * 26, "name": "Vault", "items": [item]}
        (self.directory / "double" / "vaults.json").write_text(json.dumps({"vaults": [vault]}))
        self.manifest = self.directory / "home" / "named.toml"
        self.manifest.write_text(
            '[secrets]\nGHCR_TOKEN = "op://Vault/Token/credential"\n'
            f'[registries."ghcr.io"]\nsecret = "GHCR_TOKEN"\n{cache}'
        )
        self.mode("")
        self.runtime = self.directory / "run"
        self.runtime.chmod(0o700)
        for name in ("double", "home", "work", "run"):
            for path in [self.directory / name, *(self.directory / name).iterdir()]:
                os.chown(path, user, user)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        for pid in self.ops():
            os.kill(pid, 9)
        shutil.rmtree(self.directory, ignore_errors=True)

    def mode(self, text):
        (self.directory / "double" / "mode").write_text(text)

    def environment(self):
        return {
            "PATH": f"{self.directory / 'bin'}:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.directory / "home"),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "OC_SECRETS_MANIFEST": str(self.manifest),
            "OP_SERVICE_ACCOUNT_TOKEN": self.token,
            "LANG": "C.UTF-8",
        }

    def start(self, words, user=None, env=None, **options):
        """Starts a program in the folder to work in, as our user unless another is named."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        user = self.user if user is None else user
        child = subprocess.Popen(
            [str(word) for word in words],
            env={**self.environment(), **(env or {})},
            cwd=self.directory / "work",
            **as_user(user),
            **options,
        )
        self.children.append(child)
        return child

    def helper(self, **options):
        """`docker-credential-oc get` of ghcr.io."""
        child = self.start([self.directory / "bin" / "docker-credential-oc", "get"], stdin=subprocess.PIPE, **options)
        child.stdin.write(b"ghcr.io")
        child.stdin.close()
        child.stdin = None
        return child

    @property
    def answer(self):
        return f'{{"ServerURL":"ghcr.io","Username":"x-access-token","Secret":"{self.value}"}}\n'.encode()

    def asked(self):
        """How often `op` was started."""
        journal = self.directory / "double" / "calls.jsonl"
        return journal.read_text().count('"argv"') if journal.exists() else 0

    def ops(self):
        """The stand-ins of this world that run."""
        pids = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "exe").startswith(f"{self.directory}/"):
                    if os.readlink(entry / "exe").endswith("/op"):
                        pids.append(int(entry.name))
            except OSError:
                pass
        return pids

    def sockets(self):
        folder = self.runtime / "oc-secrets"
        return [path for path in folder.iterdir() if path.is_socket()] if folder.exists() else []
