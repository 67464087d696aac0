"""Many at once: what they cost, and that nobody waits for a stranger."""

import statistics
import subprocess
import time

from strangers import CONTAINER
from world import PYTHON, World, check, until

CACHE = '[cache]\nttl = "1m"\nallow_root = true\n'


def together(world, count, options=None):
    """So many helpers at once: how long each took, all of them answered."""
    begun = time.monotonic()
    running = {world.helper(stdout=subprocess.PIPE, **(options or {})) for _ in range(count)}
    took = []
    wrong = 0
    for child in running:
        text, _ = child.communicate(timeout=60)
        took.append(time.monotonic() - begun)
        wrong += text != world.answer or child.returncode != 0
    check(not wrong, f"{wrong} of {count} were not answered")
    return took


def figures(took):
    return f"median {statistics.median(took):.2f} s, longest {max(took):.2f} s"


def two_hundred_at_once(thorough):
    """200 at once on a cold cache cost one `op`"""
    with World(user=4261, cache=CACHE) as world:
        world.mode("latency=500")
        took = together(world, 200)
        asked = world.asked()
    with World(user=4261) as alone:
        # Nowhere to meet: each has to ask for itself.
        alone.mode("latency=100")
        together(alone, 20, {"env": {"XDG_RUNTIME_DIR": "/nonexistent"}})
        control = alone.asked()
    check(asked == 1, f"{asked} `op` for 200")
    check(control == 20, f"without a folder 20 cost {control}")
    return f"1 `op`, {figures(took)}", f"20 without a place to meet cost {control} `op`"


def a_killed_leader(thorough):
    """When the one whom 50 wait for is killed, all are answered"""
    with World(user=4262) as world:
        world.mode("latency=1500")
        leader = world.helper()
        until("a socket is there", lambda: world.sockets() and world.asked() == 1)
        followers = {world.helper(stdout=subprocess.PIPE) for _ in range(50)}
        time.sleep(0.3)
        killed = time.monotonic()
        leader.kill()
        leader.wait()
        for child in followers:
            text, _ = child.communicate(timeout=60)
            check(text == world.answer, "a follower was not answered")
        took = time.monotonic() - killed
        asked, after = world.asked(), len(world.sockets())
        check(2 <= asked <= 25, f"{asked} `op`")
        check(after == 0, f"{after} sockets are left")
        return f"50 answered, the last {took:.1f} s later, {asked} `op` in all, 0 sockets left", "the killed one's `op` answered nobody: one more was needed"


# Connects to what is in the folder of argv[1] as fast as it can, and counts how often it came through.
FLOOD = """
import glob, socket, sys, time
end, tried, through, kept = time.monotonic() + float(sys.argv[2]), 0, 0, []
while time.monotonic() < end:
    paths = glob.glob(sys.argv[1] + "/oc-secrets/*") or [sys.argv[1] + "/oc-secrets/none"]
    for path in paths:
        one = socket.socket(socket.AF_UNIX)
        one.setblocking(False)
        tried += 1
        try:
            one.connect(path)
            through += 1
            kept = kept[-200:] + [one]
        except OSError:
            pass
print(tried, through)
"""


def a_flood_of_strangers(thorough):
    """A flood of connections from another user and another namespace costs nobody an answer"""
    seconds = 6 if thorough else 3
    with World(user=4263) as world:
        world.mode("latency=300")
        calm = together(world, 10)
        words = ["-c", FLOOD, world.runtime, seconds]
        strangers = [
            world.start([PYTHON, *words], user=4264, stdout=subprocess.PIPE),
            world.start([PYTHON, "-c", CONTAINER, 4263, PYTHON, *words], user=0, stdout=subprocess.PIPE),
        ]
        time.sleep(0.3)
        took = []
        end = time.monotonic() + seconds - 1
        rounds = 0
        while time.monotonic() < end:
            took += together(world, 5)
            rounds += 1
        counted = [child.communicate(timeout=60)[0].split() for child in strangers]
        tried = sum(int(each[0]) for each in counted)
        other, namespaced = (int(each[1]) for each in counted)
        check(other == 0, f"another user came through {other} times")
        check(namespaced > 0, "the flood reached no socket, so nothing was tried")
        return (
            f"{tried} connections, {len(took)} asked meanwhile: {figures(took)}, 0 unanswered",
            f"{namespaced} came through to a socket; without a flood {figures(calm)}",
        )
