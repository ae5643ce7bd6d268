#!/usr/bin/env python3
"""Runs the commands of README.md and docs/, as they are printed, in the order in which they stand there.

Every block that begins with ```sh is run by bash from the top of the project, with a stand-in for Cortex (`cortex.py`), and with
an empty /opt of its own (so this wants a mount namespace: `unshare --map-root-user --mount .ci/commands.py`). Left out are the two
commands that the gate runs itself, and those whose block says what they need that is not here, as ```sh docker.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cortex import Cortex

KEY = "key-of-the-stand-in"
OF_THE_GATE = ["fixtures/quickstart/run", "cargo test --locked"]
PAGES = ["README.md", "docs/administrators.md", "docs/automation.md", "CONTRIBUTING.md", *sorted(path for path in map(str, Path("docs").glob("*.md")) if path not in ["docs/administrators.md", "docs/automation.md"])]
BLOCK = re.compile(r"^( *)```sh(?: +(\w+))?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def blocks():
    for page in PAGES:
        for indent, needs, text in BLOCK.findall(Path(page).read_text()):
            command = "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True)).strip()
            yield page, needs, command


def is_in_the_open():
    """True if what is mounted here is mounted for whoever started this."""
    try:
        return os.readlink("/proc/self/ns/mnt") == os.readlink(f"/proc/{os.getppid()}/ns/mnt")
    except PermissionError:
        return False  # its namespaces are not ours to see


def main():
    if is_in_the_open():
        sys.exit("this puts an empty /opt over that of the machine: unshare --map-root-user --mount .ci/commands.py")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/opt"], check=True)
    work = Path("target/commands").absolute()
    shutil.rmtree(work, ignore_errors=True)
    (work / "feed").mkdir(parents=True)
    case = json.loads(Path("fixtures/quickstart/case-thehive5.json").read_text())
    config = {"name": ["our-feed"], "url": [f"file://{work}/feed"], "key": ["-"], "instance": "soc.example.org", "loop_guard": False, "max_age_days": 0}
    configuration = Path("configuration.json")
    with configuration.open("x") as file:
        json.dump(config, file)
    ran, server = 0, None
    try:
        for page, needs, command in blocks():
            print(f"\n-- {page}: {command}", flush=True)
            if needs or command in OF_THE_GATE:
                print(f"(not run here: {f'it needs {needs}' if needs else 'the gate runs it'})", flush=True)
                continue
            if server is None and Path("/opt/cortex-misp/analyzers").is_dir():
                server = Cortex(Path("/opt/cortex-misp"), config, KEY)
                export(server, case)
            url = server.url if server else "http://127.0.0.1:9"
            environment = os.environ | {name: value for service in ["CORTEX", "THEHIVE"] for name, value in [(f"{service}_URL", url), (f"{service}_KEY", KEY)]}
            subprocess.run(["bash", "-euo", "pipefail", "-c", command], env=environment, check=True, timeout=1200)
            ran += 1
    finally:
        configuration.unlink()
    imports = [report["full"]["message"] for _, report in server.jobs.values() if "events" in report["full"]["ledger"]]
    assert imports and all(message.startswith("1 event read, 1 would become an alert with 12 attributes") for message in imports), imports
    assert server.templates == ["MISPImport_1_0/long.html", "MISPImport_1_0/short.html"], server.templates
    print(f"\n{ran} commands of the documents run, {len(server.jobs)} jobs of Cortex among them")


def export(server, case):
    """A first export by what was just installed, as Cortex has it done."""
    [worker] = server.workers["responders"]
    status, report = worker.run({name: case[name] for name in ["data", "dataType", "tlp", "pap", "message", "parameters"] if name in case})
    server.jobs["export"] = (status, report)
    print(report["full"]["message"], flush=True)
    assert status == "Success" and "12 added" in report["full"]["message"], report


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
