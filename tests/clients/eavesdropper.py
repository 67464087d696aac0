"""Stands before the registry, passes every byte on, and notes who asked for what with which word.

The registry's own log names no user, so the requests are read on their way.
"""

import base64
import re
import socket
import threading

HEAD = re.compile(rb"(GET|HEAD|PUT|POST|PATCH|DELETE) (/[^ \r\n]*) HTTP/1\.1\r\n(.*?)\r\n\r\n", re.DOTALL)
BASIC = re.compile(rb"^authorization: basic ([A-Za-z0-9+/=]+)\s*$", re.IGNORECASE | re.MULTILINE)


class Eavesdropper:
    def __init__(self, behind):
        """Listens on a port of its own for the server at the port `behind`."""
        self.behind = behind
        self.requests = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.behind))
            except OSError:
                return
            threading.Thread(target=self.pass_on, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(server, client, False), daemon=True).start()

    def pass_on(self, source, target, listen):
        heard = b""
        try:
            while chunk := source.recv(65536):
                if listen:
                    heard = self.note(heard + chunk)
                target.sendall(chunk)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def note(self, heard):
        """Notes the requests in `heard` and gives what may be the beginning of another."""
        end = 0
        for match in HEAD.finditer(heard):
            end = match.end()
            shown = BASIC.search(match[3])
            words = base64.b64decode(shown[1]).decode().split(":", 1) if shown else None
            self.requests.append((words, match[1].decode(), match[2].decode()))
        return heard[end:][-16384:]
