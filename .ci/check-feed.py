"""Loads a feed with PyMISP and compares it with the case that it was exported from."""

import json
import sys
from pathlib import Path

from pymisp import MISPEvent

case, feed = json.loads(Path(sys.argv[1]).read_text())["data"], Path(sys.argv[2])
iocs = [o for o in case["observables"] if o["ioc"]]
others = [o["data"] for o in case["observables"] if not o["ioc"]]

files = [path for path in feed.iterdir() if path.name not in ("manifest.json", "hashes.csv", ".cortex-misp.lock")]
assert len(files) == 1, files
event = MISPEvent()
event.load_file(str(files[0]))
assert event.info == case["title"], event.info
assert len(event.attributes) == len(iocs), (len(event.attributes), len(iocs))
assert all(attribute.to_ids for attribute in event.attributes)
assert sorted(tag.name for tag in event.tags) == ["PAP:AMBER", "tlp:amber"], event.tags
raw = json.loads(files[0].read_text())["Event"]["Attribute"]
assert [(a.uuid, a.type, a.category, a.value) for a in event.attributes] == [(a["uuid"], a["type"], a["category"], a["value"]) for a in raw]

manifest = json.loads((feed / "manifest.json").read_text())
assert list(manifest) == [event.uuid], manifest
assert manifest[event.uuid]["timestamp"] == raw[0]["timestamp"]
hashes = (feed / "hashes.csv").read_text().split()
assert sorted(hashes) == sorted({f"{digest},{event.uuid}" for digest in event.attributes_hashes("md5")}), hashes

for path in feed.iterdir():
    text = path.read_text()
    for value in others:
        assert value not in text, f"{value} stands in {path.name}"
print(f"PyMISP finds {len(event.attributes)} attributes in event {event.uuid}")
