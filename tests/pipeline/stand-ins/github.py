"""A stand-in for the parts of GitHub's API that the scripts use, on loopback.

Packages are those of a real registry: versions are the revisions in its storage, and removing one removes it there.
Issues and releases live in memory. Every request is written to LOG as "METHOD PATH".

usage: github.py PORT REGISTRY_URL REGISTRY_ROOT LOG
"""

import base64
import hashlib
import json
import os
import re
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PORT, REGISTRY, ROOT, LOG = int(sys.argv[1]), *sys.argv[2:5]
BASE = f"http://127.0.0.1:{PORT}"
TOKEN = "test-token"
REPOSITORY = {"default_branch": "main", "private": False, "owner": {"type": "User"}}
issues, releases = [], []


def revisions(package):
    """Every manifest of the package with its tags, as GitHub lists it: newest first."""
    base = f"{ROOT}/docker/registry/v2/repositories/{package}/_manifests"
    tags = {}
    for tag in os.listdir(f"{base}/tags") if os.path.isdir(f"{base}/tags") else []:
        with open(f"{base}/tags/{tag}/current/link") as link:
            tags.setdefault(link.read().strip(), []).append(tag)
    found = []
    for entry in os.scandir(f"{base}/revisions/sha256"):
        if not os.path.exists(f"{entry.path}/link"):
            continue
        digest = f"sha256:{entry.name}"
        born = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(os.stat(f"{entry.path}/link").st_mtime))
        number = int(hashlib.sha256(digest.encode()).hexdigest()[:12], 16)
        found.append({"id": number, "name": digest, "created_at": born, "updated_at": born,
                      "metadata": {"package_type": "container", "container": {"tags": sorted(tags.get(digest, []))}}})
    return sorted(found, key=lambda version: (version["created_at"], version["id"]), reverse=True)


def remove(package, digest):
    request = urllib.request.Request(f"{REGISTRY}/v2/{package}/manifests/{digest}", method="DELETE")
    request.add_header("Authorization", "Basic " + base64.b64encode(b"robot:" + TOKEN.encode()).decode())
    urllib.request.urlopen(request).read()


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with open(LOG, "a") as log:
            log.write(f"{self.command} {self.path}\n")
        if self.path.startswith("/slack/"):
            self.server.slack = body.decode()
            return self.reply(200)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.reply(401, {"message": "Bad credentials"})
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        for method, pattern, action in ROUTES:
            match = re.fullmatch(pattern, url.path)
            if match and method == self.command:
                return self.reply(*action(match, query, body))
        return self.reply(404, {"message": "Not Found"})

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any


def list_versions(match, query, _body):
    size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
    return 200, revisions(f"{match[1].lower()}/{unquote(match[2])}")[(page - 1) * size : page * size]


def delete_version(match, _query, _body):
    package = f"{match[1].lower()}/{unquote(match[2])}"
    version = next((v for v in revisions(package) if v["id"] == int(match[3])), None)
    if version is None:
        return 404, {"message": "Package not found."}
    remove(package, version["name"])
    if getattr(server, "also", None):
        remove(package, server.also)
        server.also = None
    return 204, None


def list_runs(match, query, _body):
    """The finished runs of the default branch; of another there are none."""
    assert query["status"] == "completed" and query["created"].startswith(">=")
    size, page = int(query["per_page"]), int(query["page"])
    runs = [{"conclusion": conclusion} for conclusion in getattr(server, "runs", {}).get(match[1], []) if query["branch"] == "main"]
    return 200, {"total_count": len(runs), "workflow_runs": runs[(page - 1) * size : page * size]}


def list_tags(_match, query, _body):
    size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
    return 200, [{"name": name} for name in getattr(server, "tags", [])][(page - 1) * size : page * size]


def list_issues(_match, query, _body):
    return 200, [i for i in issues if i["state"] == query["state"] and query["labels"] in i["labels"]][: int(query["per_page"])]


def open_issue(_match, _query, body):
    issues.append({"number": len(issues) + 1, "state": "open", "comments": [], **json.loads(body)})
    return 201, issues[-1]


def comment(match, _query, body):
    issues[int(match[1]) - 1]["comments"].append(json.loads(body)["body"])
    return 201, {}


def change_issue(match, _query, body):
    issues[int(match[1]) - 1].update(json.loads(body))
    return 200, issues[int(match[1]) - 1]


def open_release(_match, _query, body):
    releases.append({"id": len(releases) + 1, "assets": {}, "public_at_upload": False, **json.loads(body),
                     "upload_url": f"{BASE}/uploads/releases/{len(releases) + 1}/assets{{?name,label}}"})
    return 201, releases[-1]


def upload(match, query, body):
    releases[int(match[1]) - 1]["public_at_upload"] |= not releases[int(match[1]) - 1]["draft"]
    releases[int(match[1]) - 1]["assets"][query["name"]] = hashlib.sha256(body).hexdigest()
    return 201, {"name": query["name"], "state": "uploaded", "size": len(body)}


def change_release(match, _query, body):
    releases[int(match[1]) - 1].update(json.loads(body))
    return 200, releases[int(match[1]) - 1]


OWNER = r"/(?:users|orgs)/([^/]+)/packages/container/([^/]+)/versions"
REPO = r"/repos/[^/]+/[^/]+"
ROUTES = [
    ("GET", REPO, lambda *_: (200, REPOSITORY)),
    ("GET", REPO + "/contents/.*", lambda *_: (200, {"encoding": "base64", "content": server.pinned})),
    ("GET", OWNER, list_versions),
    ("DELETE", OWNER + r"/(\d+)", delete_version),
    ("GET", REPO + "/issues", list_issues),
    ("GET", REPO + r"/actions/workflows/([a-z-]+\.yml)/runs", list_runs),
    ("POST", REPO + "/issues", open_issue),
    ("POST", REPO + r"/issues/(\d+)/comments", comment),
    ("PATCH", REPO + r"/issues/(\d+)", change_issue),
    ("GET", REPO + "/tags", list_tags),
    ("POST", REPO + "/releases", open_release),
    ("POST", r"/uploads/releases/(\d+)/assets", upload),
    ("PATCH", REPO + r"/releases/(\d+)", change_release),
    # For the tests alone: what happened so far.
    ("GET", "/test/state", lambda *_: (200, {"issues": issues, "releases": releases, "slack": getattr(server, "slack", None)})),
    ("POST", "/test/pinned", lambda _m, _q, body: (200, setattr(server, "pinned", base64.encodebytes(body).decode()))),
    ("POST", "/test/tags", lambda _m, _q, body: (200, setattr(server, "tags", json.loads(body)))),
    ("POST", "/test/runs", lambda _m, _q, body: (200, setattr(server, "runs", json.loads(body)))),
    ("POST", "/test/also-remove", lambda _m, _q, body: (200, setattr(server, "also", json.loads(body)))),
    ("POST", "/test/repository", lambda _m, _q, body: (200, REPOSITORY.update(json.loads(body)))),
]

server = ThreadingHTTPServer(("127.0.0.1", PORT), Api)
server.serve_forever()
