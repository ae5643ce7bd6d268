#!/usr/bin/env python3
"""check-shown.py PAGE COMMAND OUTPUT: the text that a page shows below a command is what that command printed. Its lines stand in
the output in the same order; an ellipsis on a line of its own leaves out lines, and within a line any text."""
import re
import sys
from pathlib import Path

page, command, output = sys.argv[1:]
block = re.search(r"^```sh\n" + re.escape(command) + r"\n```\n.*?^```text\n(.*?)^```$", Path(page).read_text(), re.MULTILINE | re.DOTALL)
assert block, f"{page} shows nothing below {command}"
printed = iter(Path(output).read_text().splitlines())
for line in block[1].splitlines():
    shown = ".*".join(map(re.escape, line.rstrip().split("…")))
    if line.strip() not in ("", "…") and not any(re.fullmatch(shown, other.rstrip()) for other in printed):
        sys.exit(f"{page} shows what {command} did not print, or not there: {line}")
