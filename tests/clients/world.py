"""A private registry, a container engine and a user's home, all of this test's own.

The registry is Debian's docker-registry with htpasswd on loopback; the engine is Docker's, with
its own data and socket. The stand-in for `op` answers with the token. After each case the whole
home is searched for the token in every spelling of base64.
"""

import base64
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from eavesdropper import Eavesdropper

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TOOLS = Path(os.environ.get("CLIENTS_TOOLS", "/opt/oc-clients"))
USER = "x-access-token"
PROGRAMS = ("oc-secrets", "docker-credential-oc", "git-credential-oc")


class Failure(AssertionError):
    """What a case found to be wrong."""


def check(condition, what):
    if not condition:
        raise Failure(what)


def spellings(secret):
    """The secret as it is, and what its base64 looks like at each offset."""
    data = secret.encode()
    found = [data]
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data)
        # The first and the last letters depend on what stands around.
        found.append(encoded[(4 if before else 0) : -4])
    return found


def lies_in(directory, secret):
    """The files below `directory` that hold the secret."""
    wanted = spellings(secret)
    for path in sorted(Path(directory).rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if any(spelling in data for spelling in wanted):
                yield path


class World:
    def __init__(self, programs=TARGET / "debug"):
        self.directory = Path(tempfile.mkdtemp(prefix="oc-clients-"))
        self.processes = []
        self.token = f"ghp_{secrets.token_hex(18)}"
        for name in ("bin", "double", "home", "registry", "engine", "run"):
            (self.directory / name).mkdir()
        for name in PROGRAMS:
            shutil.copy(programs / name, self.directory / "bin" / name)
        shutil.copy(programs / "examples" / "op-double", self.directory / "bin" / "op")
        self.home = self.directory / "home"
        self.socket = f"unix://{self.directory / 'engine.sock'}"
        self.host = None

    # -- what is there -----------------------------------------------------------------------

    def start(self):
        self.start_registry()
        self.start_engine()
        self.vault(self.token)
        self.mode("")
        self.manifest()
        self.make_image()

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start_registry(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.door = Eavesdropper(port)
        self.host = f"127.0.0.1:{self.door.port}"
        passwords = self.directory / "htpasswd"
        for flags, user, password in (("-Bbc", USER, self.token), ("-Bb", "bob", "bob's password")):
            subprocess.run(
                ["htpasswd", flags, str(passwords), user, password], check=True, capture_output=True
            )
        configuration = {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(self.directory / "registry")}},
            "http": {"addr": f"127.0.0.1:{port}"},
            "auth": {"htpasswd": {"realm": "test", "path": str(passwords)}},
        }
        (self.directory / "registry.yml").write_text(json.dumps(configuration))
        log = self.directory / "registry.log"
        self.spawn(["docker-registry", "serve", str(self.directory / "registry.yml")], log)
        self.wait_for("the registry", lambda: socket.create_connection(("127.0.0.1", port), 1).close())

    def start_engine(self):
        engine = self.directory / "engine"
        self.spawn(
            [
                "dockerd", "--data-root", f"{engine}/data", "--exec-root", f"{engine}/exec",
                "--pidfile", f"{engine}/pid", "--host", self.socket, "--storage-driver", "vfs",
                "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false",
            ],
            self.directory / "engine.log",
        )
        self.wait_for("the engine", lambda: self.docker("version").must())

    def spawn(self, command, log):
        with open(log, "wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        self.processes.append(process)

    def wait_for(self, what, attempt):
        for _ in range(150):
            try:
                return attempt()
            except (OSError, Failure):
                time.sleep(0.2)
        raise Failure(f"{what} did not start; see {self.directory}")

    def make_image(self):
        """A tiny image in the engine: a static busybox and nothing else."""
        tree = self.directory / "image"
        (tree / "bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", tree / "bin" / "busybox")
        (tree / "bin" / "sh").symlink_to("busybox")
        archive = self.directory / "image.tar"
        subprocess.run(["tar", "-C", str(tree), "-cf", str(archive), "."], check=True)
        self.docker("import", str(archive), "tiny:1").must()

    def image(self, name="tiny"):
        return f"{self.host}/owner/{name}:1"

    # -- the user's files --------------------------------------------------------------------

    def vault(self, token):
        field = {"id": "credential", "type": "CONCEALED", "label": "credential", "value": token}
        item = {"id": "t" * 26, "title": "Token", "fields": [field]}
        vault = {"id": "v" * 26, "name": "Vault", "items": [item]}
        (self.directory / "double" / "vaults.json").write_text(json.dumps({"vaults": [vault]}))

    def mode(self, text):
        (self.directory / "double" / "mode").write_text(text)

    def manifest(self, rest='[cache]\nttl = "1m"\nallow_root = true\n'):
        text = (
            '[secrets]\nREGISTRY_TOKEN = "op://Vault/Token/credential"\n'
            f'[registries."{self.host}"]\nsecret = "REGISTRY_TOKEN"\n'
            f'[registries."docker.io"]\nsecret = "REGISTRY_TOKEN"\n{rest}'
        )
        directory = self.home / ".config" / "oc-secrets"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "oc-secrets.toml").write_text(text)

    def fresh_home(self, podman=False):
        """An empty home in which `oc-secrets docker install` has run."""
        if self.asked():
            self.program("oc-secrets", "lock")
        shutil.rmtree(self.home)
        shutil.rmtree(self.directory / "run")
        for directory in (self.home, self.directory / "run"):
            directory.mkdir(mode=0o700)
        self.vault(self.token)
        self.mode("")
        self.manifest()
        words = ["docker", "install"] + (["--podman"] if podman else [])
        self.program("oc-secrets", *words).must()
        self.docker("tag", "tiny:1", self.image()).must()
        self.forget()

    def configuration(self):
        return json.loads((self.home / ".docker" / "config.json").read_text())

    # -- what is run -------------------------------------------------------------------------

    def environment(self):
        return {
            "PATH": f"{self.directory / 'bin'}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.directory / "run"),
            "OP_SERVICE_ACCOUNT_TOKEN": "ops_made_up",
            "DOCKER_HOST": self.socket,
            "LANG": "C.UTF-8",
        }

    def program(self, name, *words, **options):
        return Done(self, [str(name), *map(str, words)], **options)

    def docker(self, *words, **options):
        return self.program(self.client, *words, **options)

    client = "docker"

    def asked(self):
        """How often `op` was asked."""
        journal = self.directory / "double" / "calls.jsonl"
        lines = journal.read_text().splitlines() if journal.exists() else []
        return sum("argv" in json.loads(line) for line in lines)

    def forget(self):
        """Begins to count anew, what `op` was asked and what the registry saw."""
        (self.directory / "double" / "calls.jsonl").unlink(missing_ok=True)
        self.door.requests.clear()

    def saw(self, method, pattern, user=USER):
        """Asserts that the registry was asked for this, and shown our token with it."""
        seen = list(self.door.requests)
        check(
            any(
                words == [user, self.token] and re.fullmatch(method, m) and re.search(pattern, path)
                for words, m, path in seen
            ),
            f"the registry saw no {method} {pattern} with the token: "
            f"{[(words and words[0], m, path[:60]) for words, m, path in seen][:8]}",
        )

    def saw_nobody(self):
        """Asserts that nothing was shown to the registry."""
        shown = [(words[0], m, path) for words, m, path in self.door.requests if words]
        check(not shown, f"the registry was shown a password: {shown[:3]}")

    def cost(self, count):
        check(self.asked() == count, f"`op` was asked {self.asked()} times, not {count}")

    def home_is_clean(self):
        for directory in (self.home, self.directory / "run"):
            found = [str(path) for path in lies_in(directory, self.token)]
            check(not found, f"the token lies in {found}")


class Done:
    """A command that ran to its end."""

    def __init__(self, world, command, input=None, env=None, timeout=120, drop=()):
        environment = {**world.environment(), **(env or {})}
        for name in drop:
            environment.pop(name, None)
        begun = time.monotonic()
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=world.directory,
            stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            self.stdout, self.stderr = process.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise Failure(f"{command} took longer than {timeout} s") from None
        self.took = time.monotonic() - begun
        self.code = process.returncode
        self.command = command

    @property
    def said(self):
        return self.stdout + self.stderr

    def must(self):
        check(self.code == 0, f"{' '.join(self.command)} ended with {self.code}: {self.said[-800:]}")
        return self

    def must_fail(self, text="", code=None):
        check(self.code != 0, f"{' '.join(self.command)} succeeded: {self.said[-400:]}")
        check(code is None or self.code == code, f"exit {self.code}, not {code}: {self.said[-400:]}")
        check(text in self.said, f"did not say `{text}`: {self.said[-800:]}")
        return self

    def must_say(self, text):
        self.must()
        check(text in self.said, f"did not say `{text}`: {self.said[-800:]}")
        return self
