"""Stands in for Cortex, and for the one question that TheHive is asked, so that the documents' commands can be run as printed.

It reads a catalogue as Cortex does, runs jobs as Cortex's process runner does (a job folder as the only argument, standard input
closed, output.json read back), answers from its cache unless `force=1` is given, and wants the key.
"""

import email
import email.policy
import http.server
import io
import json
import re
import subprocess
import tempfile
import threading
import urllib.parse
import zipfile
from pathlib import Path


class Worker:
    """A worker that is enabled: its manifest and its program, by the catalogue that it stands in."""

    def __init__(self, manifest_file, config):
        manifest = json.loads(manifest_file.read_text())
        self.name = f"{manifest['name']}_{manifest['version'].replace('.', '_')}"
        self.id = f"{abs(hash(self.name)):032x}"
        self.types = manifest["dataTypeList"]
        self.program = manifest_file.parent.parent / manifest["command"]
        self.config = manifest["config"] | config

    def run(self, job):
        """The job's state and report, as Cortex keeps them."""
        with tempfile.TemporaryDirectory(prefix="cortex-job-") as folder:
            for name in ["input", "output"]:
                (Path(folder) / name).mkdir()
            (Path(folder) / "input" / "input.json").write_text(json.dumps(job | {"config": self.config}))
            printed = subprocess.run([self.program, folder], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=True)
            assert printed.stdout == printed.stderr == b"", printed
            report = json.loads((Path(folder) / "output" / "output.json").read_text())
        assert not report["success"] or isinstance(report["full"], dict), report
        return ("Success" if report["success"] else "Failure"), report


class Cortex(http.server.ThreadingHTTPServer):
    def __init__(self, catalogue, config, key):
        super().__init__(("127.0.0.1", 0), Request)
        self.workers = {kind: [Worker(path, config) for path in sorted((catalogue / kind).glob("*/*.json"))] for kind in ["analyzers", "responders"]}
        self.key, self.jobs, self.waited, self.cache, self.templates = key, {}, set(), {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Request(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.handle_with(b"")

    def do_POST(self):
        self.handle_with(self.rfile.read(int(self.headers["Content-Length"])))

    def handle_with(self, body):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if self.headers["Authorization"] != f"Bearer {self.server.key}":
            return self.answer(401, {"type": "AuthenticationError", "message": "Authentication failure"})
        match [self.command, *url.path.strip("/").split("/")]:
            case ["GET", "api", "analyzer", "type", data_type]:
                found = [worker for worker in self.server.workers["analyzers"] if data_type in worker.types]
                self.answer(200, [{"id": worker.id, "_id": worker.id, "name": worker.name} for worker in found])
            case ["POST", "api", ("analyzer" | "responder") as kind, identity, "run"]:
                self.run(next(worker for worker in self.server.workers[f"{kind}s"] if worker.id == identity), json.loads(body), query, kind)
            case ["GET", "api", "job", job, "waitreport"] if re.fullmatch(r"([1-6]?[0-9])seconds", query["atMost"]):
                # Whoever waits is answered in time, and asks again: Cortex closes a connection that is silent for long.
                status, report = self.server.jobs[job] if job in self.server.waited else ("InProgress", "Running")
                self.server.waited.add(job)
                self.answer(200, {"id": job, "status": status, "report": report})
            case ["POST", "api", "v1", "connector", "cortex", "analyzer", "template", "_import"]:
                self.take_templates(body)
            case _:
                self.answer(404, {"type": "NotFoundError", "message": f"no route {self.command} {self.path}"})

    def run(self, worker, given, query, kind):
        if set(given) - {"data", "dataType", "tlp", "pap", "message", "parameters"} or not {given["tlp"], given["pap"]} <= {0, 1, 2, 3}:
            return self.answer(400, {"type": "AttributeCheckingError", "message": "unknown or invalid fields"})
        known = (worker.id, json.dumps(given, sort_keys=True))
        if kind == "responder" or query.get("force") == "1" or known not in self.server.cache:
            self.server.cache[known] = str(len(self.server.jobs) + 1)
            self.server.jobs[self.server.cache[known]] = worker.run(given)
        self.answer(200, {"id": self.server.cache[known], "status": "Waiting"})

    def take_templates(self, body):
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        part = next(part for part in form.iter_parts() if part.get_param("name", header="Content-Disposition") == "templates")
        names = zipfile.ZipFile(io.BytesIO(part.get_payload(decode=True))).namelist()
        self.server.templates += names
        self.answer(200, {name.split("/")[0]: True for name in names})
