"""The import's memory: one event of 500,000 attributes, also of a MISP that breaks down, and 10,000 events of 10, only
reported and written to TheHive.

`check-memory.py PROGRAM` starts a MISP and a TheHive that make up their answers while they are asked, lets the program
import from one into the other, and fails if it ever needed 64 MiB or its report has 1 MiB. The most that a program had in
memory is what the system says of it when it has ended (`ru_maxrss`).
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from urllib.parse import unquote

MOST_KIB = 64 << 10
MOST_REPORT = 1 << 20
BIG = 500_000
EVENTS = 10_000
FEW = 10
TYPES = [
    ("ip-dst", "ip", lambda n: f"198.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"),
    ("domain", "domain", lambda n: f"host-{n}.some-longer-name.example"),
    ("url", "url", lambda n: f"https://host-{n}.example/a/path/that/is/rather/long?with=arguments&number={n}"),
    ("md5", "hash", lambda n: f"{n:032x}"),
    ("sha256", "hash", lambda n: f"{n:064x}"),
    ("filename|sha1", None, lambda n: f"program-{n}.exe|{n:040x}"),
    ("email-src", "mail", lambda n: f"user-{n}@example.org"),
]
OBJECTS = 100_000
# A MISP that breaks down does so over more attributes than this at once, and over any objects.
MOST_AT_ONCE = 1_250
TAGS = ["tlp:green", 'admiralty-scale:source-reliability="b"']
OBSERVABLE_TYPES = ["domain", "filename", "hash", "ip", "mail", "other", "regexp", "url", "file"]


def uuid(kind, n):
    return f"{kind:08x}-0000-4000-8000-{n:012x}"


# --- MISP ---------------------------------------------------------------------------------------------------------------


def event(n, count):
    organisation = {"id": "2", "name": "Partner", "uuid": uuid(9, 2)}
    tags = [{"id": str(i), "event_id": str(n), "tag_id": str(i), "Tag": {"id": str(i), "name": name, "colour": "#ffffff"}} for i, name in enumerate(TAGS)]
    return {
        "id": str(n), "org_id": "2", "orgc_id": "2", "date": "2026-11-01", "info": f"Event {n} of many", "uuid": uuid(1, n), "published": True,
        "analysis": "2", "attribute_count": str(count), "timestamp": "1795294129", "publish_timestamp": "1795294130", "distribution": "3",
        "threat_level_id": "2", "sharing_group_id": "0", "locked": False, "Org": organisation, "Orgc": organisation, "EventTag": tags,
    }  # fmt: skip


def attribute(n, event_id):
    """Some stand in objects, each in another, some have a tag, some a comment."""
    kind, _, value = TYPES[n % len(TYPES)]
    tag = '[{"id":"7","name":"tlp:amber","colour":"#ffc000","local":false}]' if n % 7 == 0 else "[]"
    inside, relation = (str(n // 50), '"text"') if n % 50 == 0 else ("0", "null")
    comment = f"seen by sensor {n % 13}" if n % 11 == 0 else ""
    return (
        f'{{"id":"{n}","event_id":"{event_id}","object_id":"{inside}","object_relation":{relation},"category":"Network activity","type":"{kind}",'
        f'"to_ids":true,"uuid":"{uuid(2, n)}","timestamp":"1795294129","distribution":"5","sharing_group_id":"0","comment":"{comment}","deleted":false,'
        f'"disable_correlation":false,"first_seen":null,"last_seen":null,"value":"{value(n)}","Tag":{tag},"Event":{{"org_id":"2","distribution":"3",'
        f'"publish_timestamp":"1795294130","id":"{event_id}","info":"Event {event_id} of many","orgc_id":"2","uuid":"{uuid(1, event_id)}"}}}}'
    )


def rows(body, total):
    """The numbers on a page, counted from 1."""
    first = (body.get("page", 1) - 1) * body["limit"]
    return range(first + 1, min(first + body["limit"], total) + 1)


def whole_event(n):
    text = ",".join(attribute(n * FEW + i, n) for i in range(FEW))
    return json.dumps({"Event": event(n, FEW)})[:-2] + f',"Attribute":[{text}],"Object":[],"EventReport":[]}}}}'


class BrokenDown(Exception):
    pass


def misp(path, body, of_events, is_weak):
    if is_weak and (path == "/objects/restSearch" or path == "/attributes/restSearch" and body["limit"] > MOST_AT_ONCE):
        raise BrokenDown
    events, attributes = (EVENTS, FEW) if of_events else (1, BIG)
    if path == "/servers/getVersion":
        return {"version": "2.5.1", "perm_sync": True, "perm_sighting": True}
    if path == "/events/index":
        if "eventid" in body:
            asked = [int(name[-12:], 16) for name in body["eventid"]]
        else:
            asked = rows(body, events)
        return [event(n, attributes) for n in asked]
    if path.startswith("/events/view/"):
        return whole_event(int(path.split("/")[3][-12:], 16))
    if path == "/events/restSearch":
        return f'{{"response":[{",".join(whole_event(int(name[-12:], 16)) for name in body["eventid"])}]}}'
    if path == "/attributes/restSearch":
        return f'{{"response":{{"Attribute":[{",".join(attribute(n, 1) for n in rows(body, BIG))}]}}}}'
    if path == "/objects/restSearch":
        named = (f'{{"Object":{{"id":"{n}","name":"file","event_id":"1","uuid":"{uuid(3, n)}","deleted":false}}}}' for n in rows(body, OBJECTS))
        return f'{{"response":[{",".join(named)}]}}'
    if path == "/warninglists/checkValue":
        return {value: [{"id": "58", "name": "Top 1000 websites", "matched": value}] for value in body if "host-1" in value}
    if path.startswith("/eventReports/index"):
        return []
    if path == "/sightings/restSearch/event":
        return {"response": []}
    raise ValueError(path)


# --- TheHive ------------------------------------------------------------------------------------------------------------


def observable(kind, data):
    return (
        f'{{"_id":"~{abs(hash(data))}","_type":"Observable","_createdBy":"import@example.org","_updatedBy":"analyst@example.org","_createdAt":1795300000000,'
        f'"_updatedAt":1795300000001,"dataType":"{kind}","data":"{data}","startDate":1795300000000,"tlp":2,"tlpLabel":"AMBER","pap":2,"papLabel":"AMBER",'
        f'"tags":["misp:type=\\"{kind}\\"","tlp:green"],"ioc":true,"sighted":false,"reports":{{}},"message":"","extraData":{{}},"ignoreSimilarity":false}}'
    )


def observables(values):
    return "[" + ",".join(observable(kind, data) for kind, data in values) + "]"


def is_even(data):
    return re.search(r"[02468](?!.*[0-9])", data) is not None


class Hive:
    """Remembers alerts and no observables. Either none is there ever, or about half of those that it is asked for."""

    def __init__(self, is_known):
        self.alerts, self.by_id, self.is_known = {}, {}, is_known
        if is_known:
            self.keep({"sourceRef": uuid(1, 1), "title": "Old", "description": "Old", "severity": 1, "tlp": 2, "pap": 2, "tags": []})

    def keep(self, sent):
        alert = {**sent, "_id": f"~{len(self.alerts) + 1}", "_createdBy": "import@example.org", "follow": True, "stage": "New", "status": "New"}
        self.alerts[sent["sourceRef"]] = self.by_id[alert["_id"]] = alert
        return alert

    def answer(self, method, path, body):
        if path == "/api/v1/status/public":
            return 200, {"version": "5.7.3-1"}
        if path == "/api/v1/user/current":
            rights = ["manageAlert/create", "manageAlert/update", "manageObservable", "manageProcedure"]
            return 200, {"login": "import@example.org", "permissions": rights}
        if path == "/api/v1/query":
            return 200, self.query(body["query"])
        if path == "/api/v1/alert":
            count = sum(len(group["data"]) for group in body.pop("observables"))
            return 201, {**self.keep(body), "observableCount": count}
        if method == "PATCH":
            self.by_id[path.rsplit("/", 1)[1]].update(body)
            return 204, ""
        if path.endswith("/observable"):
            return 201, observables((body["dataType"], data) for data in body["data"])
        raise ValueError(path)

    def query(self, operations):
        if operations[0]["_name"] == "listObservableType":
            return [{"name": name, "isAttachment": name == "file"} for name in OBSERVABLE_TYPES]
        if operations[0]["_name"] == "listAlert":
            wanted = re.findall(r'"sourceRef", "_values": \[([^]]*)\]', json.dumps(operations))
            return [self.alerts[name] for name in json.loads(f"[{wanted[0]}]") if name in self.alerts] if wanted else []
        page = operations[-1]
        if operations[2]["_name"] == "filter":
            values = operations[2]["_in"]["_values"]
            return observables((data_type(data), data) for data in values if self.is_known and is_even(data))
        there = range(page["from"], min(page["to"], BIG if self.is_known else 0))
        return observables((kind or "filename", value(n).split("|")[0]) for n in there for _, kind, value in [TYPES[n % len(TYPES)]])


def data_type(data):
    if "@" in data:
        return "mail"
    if data.startswith("http"):
        return "url"
    if re.fullmatch("[0-9a-f]{32,}", data):
        return "hash"
    if re.fullmatch(r"[0-9.]+", data):
        return "ip"
    return "domain" if data.endswith(".example") else "filename"


# --- HTTP ---------------------------------------------------------------------------------------------------------------


async def serve(of_events, is_known, is_weak):
    hive = Hive(is_known)

    def answer(method, path, body):
        try:
            return hive.answer(method, path, body) if path.startswith("/api/") else (200, misp(path, body, of_events, is_weak))
        except BrokenDown:
            return 500, {"name": "An Internal Error Has Occurred.", "message": "An Internal Error Has Occurred.", "url": path}

    async def connected(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                status, said = answer(method, unquote(target.split("?")[0]), json.loads(body or b"null"))
                said = (said if isinstance(said, str) else json.dumps(said)).encode()
                writer.write(b"HTTP/1.1 %d x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(said)) + said)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 26)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# --- The program --------------------------------------------------------------------------------------------------------


def run(program, port, writes):
    url = f"http://127.0.0.1:{port}"
    config = {"name": ["m"], "url": [url], "key": ["k" * 40], "max_age_days": 0, "max_attributes": 0, "max_new_alerts": 0, "instance": "a.example"}
    if writes:
        config |= {"thehive_url": url, "thehive_key": "h" * 32}
    job = {"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config}
    child = subprocess.Popen([program, "/nonexistent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={})
    child.stdin.write(json.dumps(job).encode())
    child.stdin.close()
    report = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return json.loads(report), len(report), usage.ru_maxrss


def check(program, name, of_events=False, writes=False, is_known=False, is_weak=False):
    flags = [str(int(flag)) for flag in (of_events, is_known, is_weak)]
    server = subprocess.Popen([sys.executable, __file__, "serve", *flags], stdout=subprocess.PIPE, text=True)
    try:
        started = time.monotonic()
        report, size, peak = run(program, server.stdout.readline().strip(), writes)
        seconds = time.monotonic() - started
    finally:
        server.kill()
        server.wait()
    assert report["success"], report
    full = report["full"]
    events, attributes = (full["ledger"][item] for item in ("events", "attributes"))
    print(f"{name:<64} {peak / 1024:>5.1f} MiB, report {size >> 10:>4} KiB, {full['requests']:>6} requests, {seconds:>5.1f} s", flush=True)
    number, each = (EVENTS, FEW) if of_events else (1, BIG)
    verdict = "updated" if is_known else "created"
    assert (events["fetched"], events[verdict]) == (number, number), full["message"]
    assert attributes["fetched"] == number * each == attributes["created"] + attributes["unchanged"], full["message"]
    assert (attributes["unchanged"] > 0) == is_known, full["message"]
    assert size < MOST_REPORT, f"the report has {size} bytes"
    assert peak < MOST_KIB, f"{peak} KiB of memory"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(*(flag == "1" for flag in sys.argv[2:])))
    else:
        check(sys.argv[1], "an event of 500,000 attributes, reported")
        check(sys.argv[1], "an event of 500,000 attributes of a MISP that breaks down, reported", is_weak=True)
        check(sys.argv[1], "an event of 500,000 attributes, written", writes=True)
        check(sys.argv[1], "an event of 500,000 attributes, half of them written before", is_known=True, writes=True)
        check(sys.argv[1], "10,000 events of 10 attributes, reported", of_events=True)
        check(sys.argv[1], "10,000 events of 10 attributes, written", of_events=True, writes=True)
