"""A cloned repository's manifest against every program here that its environment steers."""

import shutil
import subprocess

from world import PYTHON, World, check

# Variable, its value, the command that is harmless without it. {evil} is a folder with what it
# would run; each thing there makes the marker. {marker} is where.
CASES = (
    ("BASH_ENV", "{evil}/run", "bash -c true"),
    ("ENV", "{evil}/run", "dash -i -c true"),
    ("PROMPT_COMMAND", "{evil}/run", "echo true | bash --norc -i"),
    ("PS1", "$({evil}/run)", "echo true | bash --norc -i"),
    ("ZDOTDIR", "{evil}/zsh", "zsh -c true"),
    ("PATH", "{evil}/bin:/usr/bin:/bin", "/bin/sh -c ls"),
    ("HOME", "{evil}/home", "git -C {repository} status"),
    ("GIT_DIR", "{evil}/git", "git status"),
    ("GIT_CONFIG_GLOBAL", "{evil}/gitconfig", "git -C {repository} status"),
    ("GIT_CONFIG_SYSTEM", "{evil}/gitconfig", "git -C {repository} status"),
    ("XDG_CONFIG_HOME", "{evil}/config", "git -C {repository} status"),
    ("GIT_TEMPLATE_DIR", "{evil}/template", "git init -q {evil}/new && git -C {evil}/new -c user.name=a -c user.email=a@b commit -q --allow-empty -m a"),
    ("GIT_EDITOR", "{evil}/run", "git -C {repository} -c user.name=a -c user.email=a@b commit --allow-empty"),
    ("GIT_SEQUENCE_EDITOR", "{evil}/run", "git -C {repository} -c user.name=a -c user.email=a@b rebase -i --root"),
    ("EDITOR", "{evil}/run", "git -C {repository} -c user.name=a -c user.email=a@b commit --allow-empty"),
    ("VISUAL", "{evil}/run", "TERM=xterm git -C {repository} -c user.name=a -c user.email=a@b commit --allow-empty"),
    ("GIT_SSH_COMMAND", "{evil}/run", "git ls-remote ssh://127.0.0.1:1/x"),
    ("GIT_SSH", "{evil}/run", "git ls-remote ssh://127.0.0.1:1/x"),
    ("GIT_PROXY_COMMAND", "{evil}/run", "git ls-remote git://127.0.0.1:1/x"),
    ("GIT_EXTERNAL_DIFF", "{evil}/run", "echo 2 >{repository}/file; git -C {repository} --no-pager diff"),
    ("GIT_EXEC_PATH", "{evil}/bin", "git evil"),
    ("PYTHONPATH", "{evil}/python", "/usr/bin/python3 -c 0"),
    ("PYTHONUSERBASE", "{evil}/userbase", "/usr/bin/python3 -c 0"),
    ("PYTHONSTARTUP", "{evil}/python/sitecustomize.py", "echo 0 | /usr/bin/python3 -i"),
    ("PYTHONBREAKPOINT", "os.mkfifo", "/usr/bin/python3 -c 'import os, sys; sys.breakpointhook(\"{marker}\")'"),
    ("BROWSER", "{evil}/run", "/usr/bin/python3 -m webbrowser http://127.0.0.1:1/"),
    ("PERL5LIB", "{evil}/perl", "perl -MPOSIX -e 0"),
    ("PERLLIB", "{evil}/perl", "perl -MPOSIX -e 0"),
    ("PERL5OPT", "-Mlib={evil}/perl -MEvil", "perl -e 0"),
    ("PERL5DB", "BEGIN {{ system '{evil}/run' }} sub DB::DB {{}}", "perl -d -e 0"),
    ("MAKEFILES", "{evil}/makefile", "make -f /dev/null -q none"),
    ("MAKEFLAGS", "--eval=$(shell\\ {evil}/run)", "make -f /dev/null none"),
    ("VIMINIT", "call system('{evil}/run')", "vim -T dumb -c q"),
    ("EXINIT", "call system('{evil}/run')", "vim -T dumb -c q"),
    ("TAR_OPTIONS", "--checkpoint=1 --checkpoint-action=exec={evil}/run", "tar -cf /dev/null /etc/hostname /etc/passwd"),
    ("fish_function_path", "{evil}/fish", "fish -c evil"),
    ("NODE_OPTIONS", "--require {evil}/evil.js", "node -e 0"),
    ("NODE_PATH", "{evil}/node", "node -e \"try {{ require('evil') }} catch {{}}\""),
    ("npm_config_script_shell", "{evil}/run", "npm --prefix {evil}/package run --silent start"),
    ("APT_CONFIG", "{evil}/apt.conf", "apt-get -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists={evil}/lists update"),
    ("SSH_ASKPASS", "{evil}/run", "SSH_ASKPASS_REQUIRE=force ssh-keygen -y -f {evil}/locked"),
    ("PAGER", "{evil}/run", "TERM=xterm script -qec 'git -C {repository} --paginate log' /dev/null"),
    ("LESSOPEN", "|{evil}/run %s", "less /etc/hostname | cat"),
    ("DOCKER_CONFIG", "{evil}/docker", "docker evil"),
    ("FCEDIT", "{evil}/run", "printf 'true\\nfc\\n' | bash --norc -i"),
)

RUN = '#!/bin/sh\necho "$0" >>{marker}\nexit 0\n'

# What lies in the folder of the attacker: path to content.
FILES = {
    "bin/ls": RUN,
    "bin/git-evil": RUN,
    "run": RUN,
    "zsh/.zshenv": "{evil}/run\n",
    "gitconfig": "[core]\n\tfsmonitor = {evil}/run\n",
    "config/git/config": "[core]\n\tfsmonitor = {evil}/run\n",
    "home/.gitconfig": "[core]\n\tfsmonitor = {evil}/run\n",
    "template/hooks/post-commit": RUN,
    "python/sitecustomize.py": "import os\nos.system('{evil}/run')\n",
    "perl/POSIX.pm": "system '{evil}/run'; 1;\n",
    "perl/Evil.pm": "system '{evil}/run'; 1;\n",
    "makefile": "$(shell {evil}/run)\n",
    "fish/evil.fish": "function evil; {evil}/run; end\n",
    "evil.js": "require('child_process').execFileSync('{evil}/run')\n",
    "node/evil.js": "require('child_process').execFileSync('{evil}/run')\n",
    "package/package.json": '{{"name": "a", "version": "1.0.0", "scripts": {{"start": "true"}}}}\n',
    "apt.conf": 'APT::Update::Pre-Invoke {{"{evil}/run";}};\n',
    "lists/partial/none": "",
    "docker/cli-plugins/docker-evil": RUN,
}


def plant(world):
    """The attacker's folder, with a repository of somebody who means no harm beside it."""
    evil, marker = world.directory / "evil", world.directory / "marker"
    repository = world.directory / "repository"
    for path, text in FILES.items():
        file = evil / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(evil=evil, marker=marker))
        file.chmod(0o755)
    version = subprocess.run(
        [PYTHON, "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    site = evil / "userbase" / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    shutil.copy(evil / "python" / "sitecustomize.py", site / "usercustomize.py")
    for words in (
        ["init", "-q", repository],
        ["init", "-q", evil / "for-git"],
        ["-C", evil / "for-git", "config", "core.fsmonitor", evil / "run"],
    ):
        subprocess.run(["git", *map(str, words)], env=world.environment(), check=True)
    (evil / "for-git" / ".git").rename(evil / "git")
    subprocess.run(["git", "-C", str(evil / "git"), "config", "core.worktree", str(repository)], env=world.environment(), check=True)
    (repository / "file").write_text("1\n")
    commit = "add file && git -c user.name=a -c user.email=a@b commit -q -m a"
    subprocess.run(f"git {commit}", shell=True, cwd=repository, env=world.environment(), check=True)
    ssh = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "passphrase", "-f", str(evil / "locked")]
    if shutil.which(ssh[0]):
        subprocess.run(ssh, check=True)
    return {"evil": str(evil), "marker": str(marker), "repository": str(repository)}, marker


def ran(world, marker, words):
    """Whether the marker appears when these words are run."""
    marker.unlink(missing_ok=True)
    environment = world.environment()
    del environment["OC_SECRETS_MANIFEST"]
    subprocess.run(
        words, env=environment, cwd=world.directory / "work", stdin=subprocess.DEVNULL, timeout=60,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    return marker.exists()


def refused(world, oc):
    """Whether it is the name that is refused, and not a mistake in this file."""
    environment = world.environment()
    del environment["OC_SECRETS_MANIFEST"]
    words = [oc, "allow", "--yes"]
    done = subprocess.run(words, env=environment, cwd=world.directory / "work", capture_output=True, text=True)
    return done.returncode == 2 and "this name" in done.stderr


def a_found_manifest_steers_no_program(thorough):
    """A manifest that was found, allowed or not, has no program run what it brought"""
    with World() as world:
        names, marker = plant(world)
        oc = str(world.directory / "bin" / "oc-secrets")
        found = world.directory / "work" / "oc-secrets.toml"
        steered, steers_not = [], []
        cases = CASES if thorough else CASES[::4]
        for variable, value, command in cases:
            value, command = value.format(**names), command.format(**names)
            # The control: it is this variable that has the program do it.
            if not ran(world, marker, ["env", f"{variable}={value}", "/bin/sh", "-c", command]):
                steers_not.append(variable)
                continue
            for spelling in {variable, variable.swapcase()} if thorough else {variable}:
                found.write_text(f"[vars]\n{spelling} = {value!r}\n")
                as_it_is = [oc, "exec", "--", "/bin/sh", "-c", command]
                check(not ran(world, marker, as_it_is), f"{spelling}: not allowed, and it ran")
                allowed = ["/bin/sh", "-c", f"{oc} allow --yes; exec {oc} exec -- /bin/sh -c '{quoted(command)}'"]
                if ran(world, marker, allowed) or not refused(world, oc):
                    steered.append(spelling)
        # Through our own command, so that it is known to start programs at all.
        found.write_text("[vars]\nHARMLESS = 'x'\n")
        run = f"{names['evil']}/run"
        through = ran(world, marker, ["/bin/sh", "-c", f"{oc} allow --yes; exec {oc} exec -- {run}"])
        check(through, "`exec` of what the manifest lets through did not run")
        check(not steered, f"these ran: {steered}; not {steers_not}")
        count = len(cases) - len(steers_not)
        check(count >= (35 if thorough else 8), f"only {count} variables steer anything here; not {', '.join(steers_not)}")
        return (
            f"{count} variables{' in both cases of letters' if thorough else ''}, 0 ran",
            f"each ran by `env NAME=VALUE`; {len(steers_not)} steer nothing here {' '.join(steers_not)}",
        )


def quoted(text):
    return text.replace("'", "'\\''")
