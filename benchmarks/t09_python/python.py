"""Sends and requests from Python. Prints {"send": ns, "request": ns}: a send to a port, and the median round trip to a Lua
process and back.

Usage: python.py FOLDER SENDS TRIPS
"""
import json
import statistics
import sys
import time

import obhut


def main() -> None:
    folder, sends, trips = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with obhut.Runtime(folder) as runtime, runtime.port() as port:
        rounds = []
        for _ in range(5):
            to = port.pid
            start = time.perf_counter_ns()
            for number in range(sends):
                port.send(to, "number", number)
            rounds.append((time.perf_counter_ns() - start) / sends)
            for _ in range(sends):
                port.receive(0)
        echo = port.spawn("ports:echo")
        samples = []
        for number in range(-trips // 10, trips):  # the first tenth warms up
            start = time.perf_counter_ns()
            port.send(echo, "ping", 7)
            port.receive()
            if number >= 0:
                samples.append(time.perf_counter_ns() - start)
        runtime.terminate(echo)
        runtime.stop(0)
    print(json.dumps({"send": statistics.median(rounds), "request": statistics.median(samples)}))


main()
