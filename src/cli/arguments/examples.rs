//! Two or three examples of each command, which its help ends with.

pub(super) const ALL: &str = "\
Begin here:
  oc-secrets init                     write an oc-secrets.toml, by questions
  oc-secrets exec -- CMD              run CMD with the secrets
  oc-secrets doctor                   where something does not work";

pub(super) const EXEC: &str = "\
Examples:
  oc-secrets exec -- docker compose up -d
  oc-secrets exec --profile deploy -- ./deploy.sh
  oc-secrets exec -- sh -c 'echo \"got ${#API_KEY} characters\"'";

pub(super) const READ: &str = "\
Examples:
  oc-secrets read API_KEY
  oc-secrets read 'op://Private/Key/private key?ssh-format=openssh' | ssh-add -
  RESTIC_PASSWORD_COMMAND='oc-secrets read RESTIC' restic backup ~";

pub(super) const ENV: &str = "\
Examples:
  eval \"$(oc-secrets env)\"
  eval \"$(oc-secrets env --unset)\"
  oc-secrets env --format fish | source
  eval \"`oc-secrets env --format tcsh`\"
  eval (oc-secrets env --format elvish | slurp)
  execx($(oc-secrets env --format xonsh))
  oc-secrets env --format powershell | Out-String | Invoke-Expression
  oc-secrets env --format nu | from json | load-env
  hide-env ...(oc-secrets env --format nu --unset | from json)";

pub(super) const INIT: &str = "\
Examples:
  oc-secrets init
  oc-secrets init --vault Private --item \"My API\"
  oc-secrets init --from .env";

pub(super) const ALLOW: &str = "\
Examples:
  oc-secrets allow
  oc-secrets allow --yes ci/oc-secrets.toml";

pub(super) const CHECK: &str = "\
Examples:
  oc-secrets check
  oc-secrets check --profile deploy
  oc-secrets check --json | jq -r '.secrets[] | select(.state != \"found\").name'";

pub(super) const LS: &str = "\
Examples:
  oc-secrets ls
  oc-secrets ls --json | jq -r '.secrets[].name'";

pub(super) const EXPLAIN: &str = "\
Examples:
  oc-secrets explain API_KEY
  oc-secrets explain API_KEY --vault Staging";

pub(super) const PIN: &str = "\
Examples:
  oc-secrets pin --dry-run
  oc-secrets pin
  oc-secrets pin --manifest ci/oc-secrets.toml";

pub(super) const DOCKER: &str = "\
Examples:
  oc-secrets docker install
  oc-secrets docker install --podman --registry ghcr.io
  oc-secrets docker status";

pub(super) const GIT: &str = "\
Examples:
  oc-secrets git install
  oc-secrets git install --host github.com
  oc-secrets git status";

pub(super) const DOCTOR: &str = "\
Examples:
  oc-secrets doctor
  oc-secrets doctor --deep
  oc-secrets doctor --json | jq -r '.checks[] | select(.state == \"fail\").fix'";

pub(super) const LOCK: &str = "\
Examples:
  oc-secrets lock                     after a token was replaced in 1Password";

pub(super) const LOGIN: &str = "\
Examples:
  oc-secrets login
  op read 'op://Private/Broker/credential' | oc-secrets login --stdin
  oc-secrets login --systemd oc-secrets.service";
