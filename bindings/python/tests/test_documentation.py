"""The programs on the page about Python do what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "python.md"


BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S)


def run(program: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout, done.stderr


def test_the_program_prints_what_the_page_says() -> None:
    assert [kind for kind, _ in BLOCKS[:2]] == ["python", ""]
    assert run(BLOCKS[0][1]) == (BLOCKS[1][1], "")


def test_a_crash_of_native_code_is_told_as_the_page_says() -> None:
    (program,) = [text for kind, text in BLOCKS if "allow_native" in text]
    (expected,) = re.findall(r"print\(failure\)  # (.*)$", program, flags=re.M)
    printed, errors = run(program)
    assert (re.sub(r"\d+", "N", printed), errors) == (re.sub(r"\d+", "N", expected) + "\n", "")
