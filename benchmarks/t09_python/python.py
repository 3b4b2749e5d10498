"""Sends and requests from Python. Prints {"send": ns, "bare": ns, "request": ns}: a send to a port, a call of the same form that
does nothing, and the median round trip to a Lua process and back.

Usage: python.py FOLDER SENDS TRIPS
"""
import ctypes
import json
import statistics
import sys
import time

import msgpack
import obhut


def bare(calls: int) -> float:
    """Nanoseconds of packing a number and calling a C function with what a send has."""
    nothing = ctypes.CDLL(None).abs
    nothing.restype = ctypes.c_int32
    error = ctypes.c_void_p * 1
    nothing.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t,
                        ctypes.POINTER(ctypes.c_void_p)]
    packer = msgpack.Packer()
    rounds = []
    for _ in range(5):
        start = time.perf_counter_ns()
        for number in range(calls):
            data = packer.pack(number)
            nothing(1, 2, "number".encode(), data, len(data), error())
        rounds.append((time.perf_counter_ns() - start) / calls)
    return statistics.median(rounds)


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
    print(json.dumps({"send": statistics.median(rounds), "bare": bare(sends), "request": statistics.median(samples)}))


main()
