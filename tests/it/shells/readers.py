"""Reads what `env` writes, the way its reader does, and prints `NAME=value` ended by NUL.

For programs that cannot be run here: systemd and the GitHub runner need to be started as a
service, Docker needs its daemon, PowerShell and Nushell are not packaged by Debian. `systemd`
follows parse_env_file_internal() (src/basic/env-file.c), `docker` parseKeyValueFile()
(cli/pkg/kvfile), `github` SetEnvFileCommand and ActionCommand of the runner.
"""

import base64
import json
import re
import sys


def read_json(data):
    return json.loads(data.decode("utf-8")).items()


def read_powershell(data):
    form = (
        r"\$env:(\w+) = \[System\.Text\.Encoding\]::UTF8\.GetString"
        r"\(\[System\.Convert\]::FromBase64String\('([A-Za-z0-9+/=]*)'\)\)"
    )
    for line in data.decode("ascii").splitlines():
        name, digits = re.fullmatch(form, line).groups()
        yield name, base64.b64decode(digits, validate=True).decode("utf-8")


def read_systemd(data):
    text = data.decode("utf-8")
    if any(ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF for c in text):
        raise ValueError("utf8_is_valid() accepts no noncharacters")
    state, name, value = "pre-key", "", ""
    for c in text:
        if state == "pre-key":
            if c in "#;":
                state = "comment"
            elif c not in " \t\n\r":
                state, name = "key", c
        elif state == "key":
            if c in "\n\r":
                state = "pre-key"
            elif c == "=":
                state, value = "pre-value", ""
            else:
                name += c
        elif state == "pre-value":
            if c in "\n\r":
                yield name.rstrip(" \t\n\r"), value
                state = "pre-key"
            elif c == '"':
                state = "double"
            elif c not in " \t\n\r":
                raise ValueError("bare, single-quoted and escaped values are not expected")
        elif state == "double":
            if c == '"':
                state = "pre-value"
            elif c == "\\":
                state = "escape"
            else:
                value += c
        elif state == "escape":
            state = "double"
            if c in '"\\`$':
                value += c
            elif c != "\n":
                value += "\\" + c
        elif state == "comment":
            raise ValueError("comments are not expected")
    if state != "pre-key":
        raise ValueError("cut off")


def read_docker(data):
    def trim_quotes(value):
        pair = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        return value[1:-1] if pair else value

    lines = data.split(b"\n")
    if lines.pop() != b"":
        raise ValueError("cut off")
    for line in lines:
        if len(line) >= 64 * 1024:
            raise ValueError("bufio.Scanner: token too long")
        line = line[:-1] if line.endswith(b"\r") else line
        line = line.decode("utf-8").lstrip()
        if not line or line[0] == "#":
            continue
        name, _, value = line.partition("=")
        if not name:
            raise ValueError("no variable name on line")
        if trim_quotes(value) != value:
            raise ValueError("versions of Docker differ")
        yield name, value


def read_github(data):
    lines = data.decode("utf-8").split("\n")
    while lines:
        line = lines.pop(0)
        if not line:
            continue
        name, mark, delimiter = line.partition("<<")
        if not mark or "=" in name:
            raise ValueError("not a document")
        value = []
        while (line := lines.pop(0)) != delimiter:
            value.append(line)
        yield name, "\n".join(value)


def read_masks(data):
    for number, line in enumerate(data.decode("utf-8").split("\n")[:-1]):
        command = line.removeprefix("::add-mask::")
        if command == line:
            raise ValueError("not a mask")
        for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            command = command.replace(code, character)
        yield f"MASK{number}", command


reader = globals()["read_" + sys.argv[1]]
for name, value in reader(sys.stdin.buffer.read()):
    sys.stdout.buffer.write(f"{name}={value}\0".encode("utf-8"))
