"""Random signals at random moments: what is left, what was written, what still runs."""

import os
import random
import signal
import stat
import subprocess
import time

from world import World, check, found, until

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE, signal.SIGKILL)


def tree(world):
    """Everything outside of the private folder and the stand-in's notes: path to kind, size and time of change."""
    seen = {}
    for place in ("home", "work", "run", "bin"):
        for folder, names, files in os.walk(world.directory / place):
            if folder == str(world.runtime) and "oc-secrets" in names:
                names.remove("oc-secrets")
            for name in names + files:
                path = os.path.join(folder, name)
                about = os.lstat(path)
                size = 0 if stat.S_ISDIR(about.st_mode) else about.st_size
                seen[path] = (about.st_mode, size)
    return seen


def is_half(text, whole, value):
    """Whether it is the beginning of an answer, or holds a part of the secret. What is said of a failure is neither."""
    return text != whole and bool(text) and (whole.startswith(text) or found(text, value) > 0)


def random_signals(thorough):
    """A signal at any moment leaves nothing outside of the private folder, and no half output"""
    runs = 300 if thorough else 60
    seed = int.from_bytes(os.urandom(4), "big")
    chance = random.Random(seed)
    with World(user=4267) as world:
        oc = world.directory / "bin" / "oc-secrets"
        whole = {
            "read": f"{world.value}\n".encode(),
            "exec": f"{world.value}\n".encode(),
            "env": f"export GHCR_TOKEN='{world.value}'\n".encode(),
            "helper": world.answer,
        }
        words = {
            "read": [oc, "read", "GHCR_TOKEN"],
            "env": [oc, "env"],
            # In one write, so that half of it would be ours.
            "exec": [oc, "exec", "--", "/bin/sh", "-c", 'echo "$GHCR_TOKEN"'],
        }
        world.mode("latency=40")
        before = tree(world)
        cut = left = finished = 0
        longest = 0.0
        for number in range(runs):
            kind = chance.choice(list(whole))
            one = world.helper(stdout=subprocess.PIPE) if kind == "helper" else world.start(words[kind], stdout=subprocess.PIPE)
            time.sleep(chance.uniform(0, 0.09))
            sent = chance.choice(SIGNALS)
            one.send_signal(sent)
            text = one.communicate(timeout=30)[0]
            what = f"run {number} of seed {seed}: {kind}, {sent.name}"
            check(not is_half(text, whole[kind], world.value), f"{what}: half of an output, {len(text)} bytes")
            cut += one.returncode != 0
            finished += text == whole[kind]
            begun = time.monotonic()
            until(f"{what}: `op` has ended", lambda: not world.ops())
            longest = max(longest, time.monotonic() - begun)
            left += bool(world.sockets())
            check(tree(world) == before, f"{what}: {set(tree(world)) ^ set(before)}")
        check(cut and finished and left, f"all alike: {cut} cut, {finished} whole, {left} times a socket was left")
        last = world.helper(stdout=subprocess.PIPE)
        check(last.communicate()[0] == world.answer and not world.sockets(), "the next run did not take the folder over")
        (world.directory / "work" / "planted").write_text("half")
        check(tree(world) != before, "the control was not seen")
        halves = [whole["helper"][: len(whole["helper"]) // 2], whole["helper"][40:]]
        check(all(is_half(half, whole["helper"], world.value) for half in halves), "half an answer was not seen")
        return (
            f"{runs} runs, {cut} cut short, {finished} whole, 0 halves, 0 files; `op` gone after {longest:.2f} s at most",
            f"a planted file and half an answer are seen; {left} times a socket was left in the folder, 0 after the next run",
        )
