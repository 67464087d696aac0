"""Lends the BuildKit inside dockerd to buildx's `remote` driver: the `docker` driver refuses to push by digest.

usage: grpc-bridge.py ENGINE_SOCKET NEW_SOCKET
"""

import socket
import sys
import threading

engine, here = sys.argv[1:]


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(client):
    upstream = socket.socket(socket.AF_UNIX)
    upstream.connect(engine)
    upstream.sendall(b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += upstream.recv(1)
    assert b" 101 " in answer.split(b"\r\n")[0], answer
    threading.Thread(target=pump, args=(client, upstream), daemon=True).start()
    pump(upstream, client)


listener = socket.socket(socket.AF_UNIX)
listener.bind(here)
listener.listen()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
