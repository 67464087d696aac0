"""What a stranger can open: another user, and the same user number in namespaces of its own."""

import json
import os
import subprocess
import time

from world import PYTHON, World, check, until

OURS, OTHER = 4265, 4266

# Rootless podman on the host's network, where an abstract socket would be in reach; its files are the host's programs alone.
PODMAN = "podman --log-level error --runtime runc --cgroup-manager cgroupfs --storage-driver vfs run --rm --network host --volume /usr:/usr:ro --rootfs"

# Becomes the user argv[1] in user, mount, IPC and UTS namespaces of its own whose numbers are the
# host's, as in a container, and there the program of the other words.
CONTAINER = """
import ctypes, os, sys
user, words = int(sys.argv[1]), sys.argv[2:]
inside, outside = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    if ctypes.CDLL(None).unshare(0x10000000 | 0x20000 | 0x8000000 | 0x4000000) != 0:
        os._exit(99)
    os.write(inside[1], b"x")
    os.read(outside[0], 1)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.execv(words[0], words)
os.read(inside[0], 1)
for kind in ("uid", "gid"):
    with open(f"/proc/{child}/{kind}_map", "w") as file:
        file.write("0 0 65536")
os.write(outside[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

# Tries each door of the processes, folders and files that it is told of, and says what it opened.
THIEF = r"""
import ctypes, glob, json, os, re, socket, sys
told = json.loads(sys.argv[1])
secrets = [text.encode() for text in told["secrets"]]
libc = ctypes.CDLL(None, use_errno=True)
opened = {}

def note(door, data):
    opened[door] = opened.get(door, 0) + sum(secret in data for secret in secrets)

def tried(door, attempt):
    opened.setdefault(door, 0)
    try:
        note(door, attempt())
    except OSError:
        pass

def read(path):
    with open(path, "rb") as file:
        return file.read()

def memory(pid):
    data = b""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as file:
        for line in maps:
            if " rw" in line or "[stack]" in line:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                try:
                    file.seek(start)
                    data += file.read(end - start)
                except (OSError, OverflowError):
                    pass
    return data

def key(number):
    buffer = ctypes.create_string_buffer(65536)
    length = libc.syscall(250, 11, number, buffer, 65536, 0)
    return buffer.raw[: max(length, 0)]

def keys():
    data = b""
    ring = libc.syscall(250, 22, -1, -2, 0, 0)
    ids = key(ring) if ring > 0 else b""
    numbers = [int.from_bytes(ids[at : at + 4], sys.byteorder) for at in range(0, len(ids), 4)]
    numbers += [int(line.split()[0], 16) for line in open("/proc/keys")]
    for number in told["keys"] + numbers:
        data += key(number)
    return data

def hears(path):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(3)
    one.connect(path)
    one.sendall(b"oc2\n" + b"\0" * 8)
    data = b""
    while len(data) < 65536 and (more := one.recv(4096)):
        data += more
    return data

for pid in told["ours"]:
    tried("our environ", lambda: read(f"/proc/{pid}/environ"))
    tried("our memory", lambda: memory(pid))
for pid in told["theirs"]:
    tried("environ of op", lambda: read(f"/proc/{pid}/environ"))
    tried("memory of op", lambda: memory(pid))
tried("keys", keys)
for path in told["sockets"]:
    tried("socket", lambda: hears(path))
for path in told["files"]:
    tried("token file", lambda: read(path))
print(json.dumps(opened))
"""

# Lists the keys of the calling user, so that a thief can be told their numbers.
KEYS = r"""
import ctypes
libc = ctypes.CDLL(None)
ring = libc.syscall(250, 22, -1, -2, 0, 0)
buffer = ctypes.create_string_buffer(65536)
length = libc.syscall(250, 11, ring, buffer, 65536, 0)
print(*(int.from_bytes(buffer.raw[at : at + 4], "little") for at in range(0, length, 4)))
"""


def root_of(world):
    """An empty root file system for podman, in which the host's programs are found."""
    root = world.directory / "container"
    for name in ("usr", "proc", "sys", "dev", "tmp", "etc", "run"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    run = world.directory / "podman"
    run.mkdir(mode=0o700)
    for path in (run, *root.rglob("*"), root):
        os.chown(path, OURS, OURS, follow_symlinks=False)
    return root


def another_user_and_another_namespace(thorough):
    """Another user, and our user number in another namespace, reach no memory, key, socket or token"""
    with World(user=OURS, cache='[cache]\nttl = "1m"\n') as world:
        file = world.directory / "home" / "token"
        file.write_text(world.token)
        os.chown(file, OURS, OURS)
        file.chmod(0o600)
        by_file = {"OC_SECRETS_TOKEN_FILE": str(file), "OP_SERVICE_ACCOUNT_TOKEN": ""}
        kept = world.helper(stdout=subprocess.PIPE)
        check(kept.communicate()[0] == world.answer, "the helper did not answer")
        numbers = world.start([PYTHON, "-c", KEYS], stdout=subprocess.PIPE).communicate()[0]
        keys = [int(word) for word in numbers.split()]
        check(keys, "nothing was kept")
        world.mode("hang")
        oc = world.directory / "bin" / "oc-secrets"
        before = world.asked()
        manifest = world.manifest.read_text().replace('"1m"', '"0"')
        world.manifest.write_text(manifest)
        ours = [world.helper(), world.start([oc, "exec", "--", "true"], env={"OP_SERVICE_ACCOUNT_TOKEN": world.token})]
        ours.append(world.start([oc, "read", "GHCR_TOKEN"], env=by_file))
        until("one waits for `op`, and the others for it", lambda: world.asked() > before and world.sockets())
        time.sleep(1)
        check(all(child.poll() is None for child in ours), "one of them has ended")
        ordinary = world.start(["/bin/sleep", "60"])
        told = {
            "secrets": [world.value, world.token],
            "ours": [child.pid for child in ours],
            "theirs": world.ops(),
            "keys": keys,
            "sockets": [str(path) for path in world.sockets()],
            "files": [str(file)],
        }
        thief = [PYTHON, "-c", THIEF]
        contained = [PYTHON, "-c", CONTAINER, OURS, *thief]

        def steals(words, told, user, env=None):
            child = world.start([*words, json.dumps(told)], user=user, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            text, said = child.communicate(timeout=60)
            check(child.returncode == 0, f"the thief failed: {said.decode()[-800:]}")
            return json.loads(text)

        other = steals(thief, told, OTHER)
        # A container sees the files that are mounted into it: the token's is not among them.
        namespaced = steals(contained, {**told, "files": []}, 0)
        podman = steals([*PODMAN.split(), root_of(world), *thief], {**told, "files": []}, OURS, {"XDG_RUNTIME_DIR": str(world.directory / "podman")})
        three = (("another user", other), ("our number in another namespace", namespaced), ("rootless podman", podman))
        for who, opened in three:
            check(not any(opened.values()), f"{who} opened {opened}")
        same = steals(thief, {**told, "theirs": [*told["theirs"], ordinary.pid]}, OURS)
        through = sorted(door for door, count in same.items() if count)
        check({"environ of op", "memory of op", "keys", "token file"} <= set(through), f"the control opened {same}")
        check(not same["our environ"] and not same["our memory"], f"the same user opened {same}")
        return f"another user, our number in namespaces, rootless podman: {len(other)}, {len(namespaced)} and {len(podman)} doors, 0 opened", f"our own user opens {', '.join(through)}"
