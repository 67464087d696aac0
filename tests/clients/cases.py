"""What each client does with our answers. A case is a function whose name is a sentence.

Rules (R…) and replay cases (L, P, S, Y, F) are those of the credential-helper reference.
"""

import shutil

from world import TOOLS, USER, Failure, check, lies_in

CASES = []
LOCKED = "the 1Password prompt was dismissed"


def case(function=None, podman=False, once=False):
    """A case; `once` if it is all the same with which docker client the rest is run."""
    if function is None:
        return lambda function: case(function, podman, once or podman)
    CASES.append((function, podman, once))
    return function


# -- controls: what the checks must catch -----------------------------------------------------


@case
def control_a_plaintext_login_is_found_in_the_home(world):
    # An entry keeps Docker from looking for a store of the system.
    (world.home / ".docker" / "config.json").write_text('{"auths": {"quay.io": {}}}')
    login = world.docker("login", "-u", USER, "--password-stdin", world.host, input=world.token)
    login.must_say("Login Succeeded")
    found = list(lies_in(world.home, world.token))
    check(found, "a password in base64 was not found")
    shutil.rmtree(world.home / ".docker")


@case
def control_without_credentials_the_registry_lets_nobody_in(world):
    (world.home / ".docker" / "config.json").write_text("{}")
    world.docker("pull", world.image("absent")).must_fail()
    world.saw_nobody()
    world.cost(0)


# -- the docker client without a daemon -------------------------------------------------------

ALONE = {"DOCKER_HOST": "unix:///nonexistent.sock"}


@case
def l1_docker_login_of_our_own_token_succeeds_and_leaves_a_mark_alone(world):
    login = world.docker(
        "login", "-u", USER, "--password-stdin", world.host, input=world.token, env=ALONE
    )
    login.must_say("Login Succeeded")
    check(world.configuration()["auths"] == {world.host: {}}, "no mark, or more than that")
    world.saw("GET", "^/v2/$")
    world.cost(1)


@case
def l4_docker_login_with_a_wrong_password_is_refused_by_the_registry(world):
    login = world.docker("login", "-u", USER, "--password-stdin", world.host, input="wrong", env=ALONE)
    login.must_fail("401 Unauthorized")
    world.cost(0)


@case
def l5_docker_login_of_somebody_else_is_refused_and_nothing_is_written(world):
    before = world.configuration()
    words = ["login", "-u", "bob", "--password-stdin", world.host]
    world.docker(*words, input="bob's password", env=ALONE).must_fail("nothing can be stored here")
    check(not list(lies_in(world.home, "bob's password")), "bob's password was written")
    check(world.configuration().get("auths", {}).get(world.host, {}) == {}, "something was written")
    check(world.configuration()["credHelpers"] == before["credHelpers"], "the helper was changed")


@case
def l8_docker_login_without_a_name_gets_and_stores_what_we_have(world):
    login = world.docker("login", world.host)
    login.must_say("Login Succeeded")
    world.saw("GET", "^/v2/$")
    world.cost(1)


@case
def l10_docker_login_with_a_dead_token_is_refused_and_nothing_is_written(world):
    world.vault("ghp_dead")
    world.docker("login", world.host).must_fail()
    check(world.configuration().get("auths", {}).get(world.host, {}) == {}, "something was written")


@case
def l11_docker_logout_succeeds_and_makes_us_forget(world):
    world.docker("pull", world.image()).must()
    world.cost(1)
    logout = world.docker("logout", world.host, env=ALONE)
    logout.must_say(f"Removing login credentials for {world.host}")
    world.docker("pull", world.image()).must()
    world.cost(2)


@case
def p12_docker_manifest_inspect_asks_once(world):
    inspect = world.docker("manifest", "inspect", "--insecure", world.image(), env={"DOCKER_CLI_EXPERIMENTAL": "enabled"})
    inspect.must_say("schemaVersion")
    world.saw("GET", "/manifests/1$")
    world.cost(1)


# -- Docker Engine ----------------------------------------------------------------------------


@case
def p1_docker_pull_of_a_private_image_costs_one_op(world):
    world.docker("rmi", world.image())
    world.docker("pull", world.image()).must()
    world.saw("GET|HEAD", "/owner/tiny/manifests/")
    world.cost(1)
    world.docker("pull", world.image()).must()
    world.cost(1)


@case
def p9_docker_push_is_let_in(world):
    world.docker("tag", world.image(), world.image("pushed")).must()
    world.docker("push", world.image("pushed")).must()
    world.saw("PUT", "/owner/pushed/manifests/1$")
    world.cost(1)


@case
def p9_docker_run_of_an_image_that_is_not_there_pulls_it(world):
    world.docker("rmi", world.image()).must()
    run = world.docker("run", "--rm", "--network", "none", world.image(), "/bin/busybox", "echo", "it runs")
    run.must_say("it runs")
    world.saw("GET|HEAD", "/owner/tiny/manifests/")
    world.cost(1)


@case
def b1_docker_build_from_a_private_image(world):
    world.docker("rmi", "-f", world.image())
    (world.directory / "context").mkdir(exist_ok=True)
    (world.directory / "context" / "Dockerfile").write_text(f"FROM {world.image()}\nLABEL a=b\n")
    build = world.docker("build", "-t", "built", "context", env={"DOCKER_BUILDKIT": "0"})
    build.must()
    world.saw("GET|HEAD", "/owner/tiny/manifests/")
    world.cost(1)


@case(once=True)
def buildkit_builds_from_a_private_image_with_one_op(world):
    # Later clients build by the plugin buildx, which Debian 12 does not have.
    client = "/usr/bin/docker"
    world.program(client, "rmi", "-f", world.image())
    (world.directory / "context").mkdir(exist_ok=True)
    (world.directory / "context" / "Dockerfile").write_text(f"FROM {world.image()}\nLABEL e=f\n")
    world.program(client, "build", "-t", "built", "context", env={"DOCKER_BUILDKIT": "1"}).must()
    world.saw("GET|HEAD", "/owner/tiny/manifests/")
    world.cost(1)


@case
def docker_compose_pull_of_eight_images_costs_one_op(world):
    names = [f"eight{number}" for number in range(8)]
    for name in names:
        world.docker("tag", world.image(), world.image(name)).must()
        world.docker("push", world.image(name)).must()
        world.docker("rmi", world.image(name)).must()
    world.program("oc-secrets", "lock").must()
    world.forget()
    services = "".join(f"  {name}:\n    image: {world.image(name)}\n" for name in names)
    (world.directory / "docker-compose.yml").write_text(f"version: '3'\nservices:\n{services}")
    world.mode("latency=500")
    world.program("docker-compose", "-p", "eight", "pull").must()
    for name in names:
        world.saw("GET|HEAD", f"/owner/{name}/manifests/")
    world.cost(1)


@case
def eight_pulls_at_once_without_a_cache_cost_one_op_while_it_runs(world):
    world.manifest("")
    world.mode("latency=1500")
    script = " & ".join([f"{world.client} pull -q {world.image()}"] * 8) + " & wait"
    world.program("sh", "-c", script).must()
    world.saw("GET|HEAD", "/owner/tiny/manifests/")
    world.cost(1)


@case
def below_exec_docker_pull_costs_no_further_op(world):
    world.manifest("")
    pull = world.program("oc-secrets", "exec", "--", world.client, "pull", world.image())
    pull.must()
    world.saw("GET|HEAD", "/owner/tiny/manifests/")
    world.cost(1)


@case
def f1_a_daemon_of_op_does_not_make_docker_pull_wait(world):
    world.mode("daemon")
    pull = world.docker("pull", world.image()).must()
    check(pull.took < 10, f"docker pull took {pull.took:.1f} s; the daemon holds for 30 s")
    world.cost(1)


@case
def p3_a_dismissed_prompt_fails_docker_run_with_our_word_and_asks_once(world):
    world.mode("dismissed")
    app = {"OP_BIOMETRIC_UNLOCK_ENABLED": "true"}
    for _ in range(3):
        run = world.docker(
            "run", "--rm", "--pull", "always", world.image(), "true", env=app, drop=["OP_SERVICE_ACCOUNT_TOKEN"]
        )
        run.must_fail(LOCKED, code=125)
    world.saw_nobody()
    world.cost(1)


@case
def p2_a_dismissed_prompt_is_shown_by_docker_pull_too(world):
    world.mode("dismissed")
    pull = world.docker("pull", world.image("absent"), drop=["OP_SERVICE_ACCOUNT_TOKEN"])
    pull.must_fail(LOCKED)
    world.saw_nobody()


@case
def a_wrong_token_is_denied_and_docker_off_lets_the_client_go_on_without(world):
    world.vault("ghp_dead")
    world.docker("rmi", "-f", world.image())
    world.docker("pull", world.image()).must_fail("unauthorized")
    world.cost(1)
    world.program("oc-secrets", "docker", "off", world.host).must()
    world.docker("pull", world.image()).must_fail("no basic auth credentials")
    world.program("oc-secrets", "docker", "on", world.host).must()
    world.vault(world.token)
    world.program("oc-secrets", "lock").must()
    world.docker("pull", world.image()).must()


@case
def without_the_helper_on_path_docker_run_fails(world):
    path = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin"
    run = world.docker("run", "--rm", "--pull", "always", world.image(), "true", env={"PATH": path})
    # Old clients say nothing of it and go on without credentials.
    run.must_fail()
    world.saw_nobody()


# -- skopeo, podman, buildah ------------------------------------------------------------------

INSECURE = "--tls-verify=false"


@case(podman=True)
def s1_skopeo_inspect_and_copy_ask_one_op(world):
    world.program("skopeo", "inspect", INSECURE, f"docker://{world.image()}").must_say("owner/tiny")
    target = world.directory / "copied"
    world.program("skopeo", "copy", "--src-tls-verify=false", f"docker://{world.image()}", f"dir:{target}").must()
    world.saw("GET", "/owner/tiny/manifests/1$")
    world.cost(1)


@case(once=True)
def s1_skopeo_reads_docker_s_own_file_too(world):
    world.program("skopeo", "inspect", INSECURE, f"docker://{world.image()}").must_say("owner/tiny")
    world.saw("GET", "/owner/tiny/manifests/1$")


@case(podman=True)
def s7_skopeo_login_and_logout_succeed_and_write_nothing(world):
    login = world.program(
        "skopeo", "login", INSECURE, "-u", USER, "--password-stdin", world.host, input=world.token
    )
    login.must_say("Login Succeeded!")
    world.saw("GET", "^/v2/$")
    world.program("skopeo", "logout", world.host).must_say("Removed login credentials")


@case(podman=True)
def s8_skopeo_login_of_somebody_else_is_refused_and_written_nowhere(world):
    login = world.program(
        "skopeo", "login", INSECURE, "-u", "bob", "--password-stdin", world.host, input="bob's password"
    )
    login.must_fail("nothing can be stored here")
    for directory in (world.home, world.directory / "run"):
        check(not list(lies_in(directory, "bob's password")), f"bob's password lies in {directory}")


@case(podman=True)
def s3_a_dismissed_prompt_is_fatal_for_skopeo_and_never_anonymous(world):
    world.mode("dismissed")
    words = ["inspect", INSECURE, f"docker://{world.image()}"]
    world.program("skopeo", *words, drop=["OP_SERVICE_ACCOUNT_TOKEN"]).must_fail(LOCKED)
    world.saw_nobody()


@case(podman=True)
def s4_a_host_that_is_not_ours_is_anonymous_for_skopeo(world):
    world.program("oc-secrets", "docker", "off", world.host).must()
    words = ["inspect", INSECURE, f"docker://{world.image()}"]
    world.program("skopeo", *words).must_fail("unauthorized: authentication required")
    world.cost(0)


def podman(world, *words, **options):
    storage = ["--root", world.directory / "podman", "--runroot", world.directory / "podman-run"]
    return world.program("podman", *storage, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", *words, **options)


@case(podman=True)
def s15_podman_login_pull_and_logout(world):
    login = podman(world, "login", INSECURE, world.host)
    login.must_say("Existing credentials are valid")
    podman(world, "pull", INSECURE, world.image()).must()
    world.saw("GET", "/owner/tiny/manifests/1$")
    podman(world, "logout", world.host).must_say("Removed login credentials")
    world.cost(1)


@case(podman=True)
def s15_podman_push(world):
    podman(world, "pull", INSECURE, world.image()).must()
    podman(world, "tag", world.image(), world.image("from-podman")).must()
    podman(world, "push", INSECURE, world.image("from-podman")).must()
    world.saw("PUT", "/owner/from-podman/manifests/1$")


@case(podman=True)
def s15_buildah_from_a_private_image(world):
    storage = ["--root", world.directory / "buildah", "--runroot", world.directory / "buildah-run"]
    world.program("buildah", *storage, "--storage-driver", "vfs", "from", INSECURE, world.image()).must()
    world.saw("GET", "/owner/tiny/manifests/1$")
    world.cost(1)


# -- docker-py --------------------------------------------------------------------------------


def python(world, script, **options):
    return world.program(TOOLS / "bin" / "python", "-c", script, **options)


@case(once=True)
def y1_docker_py_s_store_gets_not_found_and_the_reason(world):
    script = f"""
from docker.credentials import Store
from docker.credentials.errors import CredentialsNotFound, StoreError
store = Store("oc")
got = store.get("{world.host}")
print(got["Username"], got["Secret"] == "{world.token}")
try:
    store.get("quay.io")
except CredentialsNotFound:
    print("not found")
store.store("{world.host}", "{USER}", "{world.token}")
try:
    store.store("{world.host}", "{USER}", "other")
except StoreError as error:
    print("refused", "nothing can be stored" in str(error))
print(sorted(store.list()) == sorted(["{world.host}", "https://index.docker.io/v1/"]))
store.erase("{world.host}")
"""
    python(world, script).must_say(f"{USER} True\nnot found\nrefused True\nTrue\n")
    world.cost(1)


@case(once=True)
def y9_docker_py_pulls_with_our_answer(world):
    world.docker("rmi", "-f", world.image())
    script = f"import docker; print(docker.from_env().images.pull('{world.image()}').tags)"
    python(world, script).must_say("owner/tiny:1")
    world.saw("GET|HEAD", "/owner/tiny/manifests/")
    world.cost(1)


@case(once=True)
def y9_docker_py_builds_although_it_asks_every_helper(world):
    world.docker("rmi", "-f", world.image())
    (world.directory / "context").mkdir(exist_ok=True)
    (world.directory / "context" / "Dockerfile").write_text(f"FROM {world.image()}\nLABEL c=d\n")
    script = "import docker; docker.from_env().images.build(path='context'); print('built')"
    python(world, script).must_say("built")
    world.saw("GET|HEAD", "/owner/tiny/manifests/")
    world.cost(1)


@case(once=True)
def y11_docker_py_raises_with_our_reason_when_the_prompt_is_dismissed(world):
    world.mode("dismissed")
    script = f"import docker; docker.from_env().images.pull('{world.image()}')"
    python(world, script, drop=["OP_SERVICE_ACCOUNT_TOKEN"]).must_fail(LOCKED)
    world.saw_nobody()


@case(once=True)
def s12_a_login_that_would_write_plaintext_is_what_install_podman_prevents(world):
    """Control: with the helper in docker's file alone, skopeo's login writes the password."""
    login = world.program(
        "skopeo", "login", INSECURE, "-u", USER, "--password-stdin", world.host, input=world.token
    )
    login.must_say("Login Succeeded!")
    if not list(lies_in(world.directory / "run", world.token)):
        raise Failure("skopeo no longer writes plaintext here: the warning in docs/docker.md is out of date")
    shutil.rmtree(world.directory / "run" / "containers")
