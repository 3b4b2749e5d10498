"""The program on the page about Python does what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "python.md"


def test_the_program_prints_what_the_page_says() -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S)
    assert [kind for kind, _ in blocks[:2]] == ["python", ""]
    done = subprocess.run([sys.executable, "-W", "error", "-c", blocks[0][1]], capture_output=True, text=True, timeout=60,
                          check=False)
    assert (done.stdout, done.stderr) == (blocks[1][1], "")
