"""What reaches the swap device: a file of ours, read with O_DIRECT past the page cache."""

import mmap
import os
import subprocess
import tempfile
import time
from pathlib import Path

from world import PYTHON, World, check, found, until

SIZE = 64 << 20
LIMIT = 8 << 20

# Holds what it reads in ordinary memory.
PLAIN = "import sys, time\nkept = sys.stdin.readline()\nprint('held', flush=True)\ntime.sleep(600)"
# Wants more than there is, so that all the others are swapped out.
PRESSURE = "import time\nmany = [bytearray(b'x' * 4096) for _ in range(8000)]\nprint('full', flush=True)\ntime.sleep(600)"


class Swap:
    """A swap file that is used before any other."""

    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="oc-swap-", dir="/var/tmp")
        os.chmod(self.file.name, 0o600)
        for _ in range(SIZE >> 20):
            self.file.write(bytes(1 << 20))
        self.file.flush()
        os.fsync(self.file.fileno())
        subprocess.run(["mkswap", self.file.name], check=True, capture_output=True)
        subprocess.run(["swapon", "--priority", "32000", self.file.name], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["swapoff", self.file.name], check=True)
        self.file.close()

    def bytes(self):
        os.sync()
        handle = os.open(self.file.name, os.O_RDONLY | os.O_DIRECT)
        block = mmap.mmap(-1, 1 << 20)
        data = bytearray()
        while os.readv(handle, [block]) > 0:
            data += block[:]
        os.close(handle)
        return bytes(data)


class Group:
    """A group of processes with little memory, of either version of cgroups."""

    def __enter__(self):
        first = Path("/sys/fs/cgroup/memory")
        base = first if first.is_dir() else Path("/sys/fs/cgroup")
        name = "memory.limit_in_bytes" if first.is_dir() else "memory.max"
        if not first.is_dir():
            (base / "cgroup.subtree_control").write_text("+memory")
        self.base = base
        self.path = base / f"oc-proofs-{os.getpid()}"
        self.path.mkdir()
        (self.path / name).write_text(str(LIMIT))
        return self

    def __exit__(self, *_):
        until("the group is empty", lambda: not (self.path / "cgroup.procs").read_text())
        self.path.rmdir()

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))


def outside(world, group):
    """Has `op` leave the group before it does anything: what it holds is its own, and no promise of ours."""
    real = world.directory / "real"
    real.mkdir()
    (world.directory / "bin" / "op").rename(real / "op")
    script = f"#!/bin/sh\necho $$ >{group.base}/cgroup.procs\nexec {real}/op \"$@\"\n"
    (world.directory / "bin" / "op").write_text(script)
    (world.directory / "bin" / "op").chmod(0o755)


def full_pipe():
    """A pipe into which nothing more goes."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while os.write(writer, b"." * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)
    return reader, writer


def swapped(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmSwap:")[1].split()[0])


def while_op_hangs_and_while_an_answer_is_held(thorough):
    """No secret and no key of the vault reaches swap"""
    with Swap() as swap, Group() as group, World() as world:
        outside(world, group)
        planted = f"plain_{os.urandom(16).hex()}"
        plain = subprocess.Popen(
            [PYTHON, "-c", PLAIN], env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=group.enter
        )
        world.children.append(plain)
        plain.stdin.write(f"{planted}\n".encode())
        plain.stdin.flush()
        plain.stdout.readline()
        oc = world.directory / "bin" / "oc-secrets"
        reader, writer = full_pipe()
        holders = [
            world.helper(stdout=writer, preexec_fn=group.enter),
            world.start([oc, "read", "GHCR_TOKEN"], stdout=writer, preexec_fn=group.enter),
            world.start([oc, "env"], stdout=writer, preexec_fn=group.enter),
        ]
        # They share what one of them asks for.
        until("they have their answers", lambda: world.asked() > 0 and not world.ops())
        time.sleep(1)
        world.mode("hang")
        before = world.asked()
        words = ([oc, "read", "GHCR_TOKEN"], [oc, "exec", "--", "true"], [oc, "exec", "--mask", "--", "true"])
        waiting = [world.start(each, preexec_fn=group.enter) for each in words]
        until("one waits for `op`, and the others for it", lambda: world.asked() > before)
        time.sleep(1)
        ours = holders + waiting
        # Without our environment, in which the key is.
        pressure = subprocess.Popen([PYTHON, "-c", PRESSURE], env={}, stdout=subprocess.PIPE, preexec_fn=group.enter)
        world.children.append(pressure)
        pressure.stdout.readline()
        check(all(child.poll() is None for child in ours), "one of them has ended")
        until("each is swapped out in part", lambda: all(swapped(child.pid) for child in ours))
        data = swap.bytes()
        pages = sum(swapped(child.pid) for child in ours)
        hits = {name: found(data, text) for name, text in (("value", world.value), ("key", world.token))}
        control = found(data, planted)
        for child in [*ours, pressure, plain]:
            child.kill()
            child.wait()
        os.close(reader)
        os.close(writer)
        check(control > 0, "the planted text did not reach swap either")
        check(not any(hits.values()), f"runs of ten bytes in swap: {hits}")
        return f"{len(ours)} processes, {pages} kB of theirs swapped out, 0 runs of either", f"a text in plain memory: {control} runs"
