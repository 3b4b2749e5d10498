#!/usr/bin/env python3
"""Counts the words of all files below a folder, in supervised processes.

    python count_words.py [FOLDER] [--workers N] [--pattern GLOB]

A worker fails at a file that it cannot read, or that is too large for it. Its supervisor starts another; the file is tried
again, by whoever is free, and after the third worker that it has ended it is set aside. No file is lost and none is counted
twice, whatever the workers do. Needs obhut and rich.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import obhut

APPLICATION = Path(__file__).resolve().parent / "words"
ATTEMPTS = 3
SHOWN = 20


@dataclass
class Totals:
    """What came of it."""

    results: dict[Path, dict[str, Any]] = field(default_factory=dict)
    set_aside: dict[Path, str] = field(default_factory=dict)
    crashes: int = 0


class Counter:
    """Hands files to workers that ask for them, one at a time, and takes back what they did not finish."""

    def __init__(self, runtime: obhut.Runtime, files: list[Path]) -> None:
        self.runtime = runtime
        self.port = runtime.port()
        self.waiting = deque(files)
        self.attempts: dict[Path, int] = {}
        self.free: list[obhut.Pid] = []
        self.busy: dict[obhut.Pid, Path] = {}
        self.totals = Totals()

    def start(self, workers: int) -> None:
        """Adds the workers to the supervisor that the application declares."""
        top = obhut.Supervisor(self.runtime, self.runtime.supervisor)
        pool = next(child for child in top.children() if child.name == "words:pool")
        while pool.pid is None or pool.state != "running":
            pool = next(child for child in top.children() if child.name == "words:pool")
        supervisor = self.runtime.supervisor_of(pool.pid)
        for number in range(1, workers + 1):
            supervisor.start_child({
                "name": f"counter-{number}", "process": "counter", "input": [str(self.port.pid)],
                "restart": {"type": "permanent", "initial_delay": "1ms", "max_delay": "5ms"},
            })

    def run(self, files: int, console: Console) -> Totals:
        """Until every file is counted or set aside."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   TextColumn("[red]{task.fields[crashes]} crashes"))
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("counting", total=files, crashes=0)
            while len(self.totals.results) + len(self.totals.set_aside) < files:
                self.take(self.port.receive())
                self.hand_out()
                progress.update(task, completed=len(self.totals.results) + len(self.totals.set_aside),
                                crashes=self.totals.crashes)
        return self.totals

    def take(self, event: obhut.Event) -> None:
        """What a worker says, or that it has ended."""
        match event:
            case obhut.Message("ready", _, worker) if worker:
                try:
                    self.port.monitor(worker)
                except obhut.NotFound:
                    return  # it has ended meanwhile; another will be ready
                self.free.append(worker)
            case obhut.Message("done", value, worker) if worker in self.busy:
                path = self.busy.pop(worker)
                self.totals.results[path] = value["result"]
                self.free.append(worker)
            case obhut.Exit(worker, text=why):
                if worker in self.free:
                    self.free.remove(worker)
                path_or_none = self.busy.pop(worker, None)
                if why is None or path_or_none is None:
                    return
                self.totals.crashes += 1
                self.give_back(path_or_none, why)

    def give_back(self, path: Path, why: str) -> None:
        """A file whose worker has failed."""
        self.attempts[path] = self.attempts.get(path, 0) + 1
        if self.attempts[path] == ATTEMPTS:
            self.totals.set_aside[path] = why
        else:
            self.waiting.append(path)

    def hand_out(self) -> None:
        """A file for each that is free."""
        while self.free and self.waiting:
            worker, path = self.free.pop(), self.waiting.popleft()
            try:
                self.port.send(worker, "file", {"path": str(path), "text": path.read_bytes()})
            except obhut.NotFound:
                self.waiting.appendleft(path)  # its end will be told
                continue
            except (OSError, obhut.LimitReached) as error:
                self.totals.set_aside[path] = str(error)
                self.free.append(worker)
                continue
            self.busy[worker] = path


def count_words(files: list[Path], workers: int, console: Console) -> Totals:
    """Counts the words of files in so many processes."""
    with obhut.Runtime(APPLICATION) as runtime:
        counter = Counter(runtime, files)
        with counter.port:
            counter.start(workers)
            return counter.run(len(files), console)


def main() -> int:
    parser = argparse.ArgumentParser(description="Counts the words of all files below a folder, in supervised processes.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("."), help="default: this one")
    parser.add_argument("--workers", type=int, default=4, metavar="N", help="how many processes; default: 4")
    parser.add_argument("--pattern", default="*", metavar="GLOB", help="which files; default: all")
    given = parser.parse_args()
    if given.workers < 1:
        parser.error("--workers is at least 1")
    if not given.folder.is_dir():
        parser.error(f"{given.folder} is no folder")
    files = sorted(path for path in given.folder.rglob(given.pattern) if path.is_file())
    console = Console()
    totals = count_words(files, given.workers, console)

    words = sum(result["words"] for result in totals.results.values())
    longest = max((result["longest"] for result in totals.results.values()), key=len, default="")
    console.print(f"{len(totals.results)} files, {words} words, the longest {longest!r}", soft_wrap=True)
    console.print(f"{totals.crashes} workers failed, {len(totals.set_aside)} files were set aside", highlight=False)
    for path, why in sorted(totals.set_aside.items())[:SHOWN]:
        console.print(f"  {path}: {why}", highlight=False, markup=False, soft_wrap=True)
    if len(totals.set_aside) > SHOWN:
        console.print(f"  and {len(totals.set_aside) - SHOWN} more", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
