#!/usr/bin/env python3
"""What the dashboard costs a miner: python3 tests/dashboard_cost.py target/release/mvb [TURNS] [SECONDS]

Runs a miner that never finds a block with and without `--dashboard`, in turns, each on a terminal
of its own and in a home of its own. Prints for both the hash rate that /metrics tells, and how much
processor time all threads take that do not search, in a second and as a part of what all cores
have in it. The second is the cost also on a machine with other work, where hash rates differ from
turn to turn. Linux only.
"""

import fcntl
import os
import pty
import re
import shutil
import signal
import socket
import statistics
import struct
import sys
import tempfile
import termios
import threading
import time
import urllib.request


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def processor_time(pid):
    """Seconds of the threads that do not search."""
    others = 0.0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat") as stat:
            head, fields = stat.read().rsplit(") ", 1)
        fields = fields.split()
        if "search" not in head:
            others += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return others


def rate(port):
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
    return float(re.search(r"^mvb_hashes_per_second (\S+)$", text, re.M)[1])


def turn(program, dashboard, seconds):
    home = tempfile.mkdtemp()
    http = free_port(socket.SOCK_STREAM)
    settings = {
        "status_broadcast_port": free_port(socket.SOCK_DGRAM),
        "transaction_port": free_port(socket.SOCK_DGRAM),
        "block_server_port": free_port(socket.SOCK_STREAM),
        "status_broadcast_interval_seconds": 1,
        "difficulty": 64,
    }
    words = [program, "--home", home]
    for name, value in settings.items():
        words += ["--set", f"{name}={value}"]
    words += ["miner", "--http", str(http)] + (["--dashboard"] if dashboard else [])
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(program, words)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def read():
        try:
            while os.read(terminal, 1 << 16):
                pass
        except OSError:
            pass

    threading.Thread(target=read, daemon=True).start()
    try:
        until = time.time() + 60
        while True:
            try:
                if rate(http) > 0:
                    break
            except OSError:
                pass
            if time.time() > until:
                sys.exit("the miner does not begin")
            time.sleep(0.1)
        before, began = processor_time(pid), time.time()
        rates = []
        for _ in range(seconds):
            time.sleep(1)
            rates.append(rate(http))
        after, passed = processor_time(pid), time.time() - began
        return statistics.mean(rates), (after - before) / passed
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        os.close(terminal)
        shutil.rmtree(home)


def main():
    program = os.path.abspath(sys.argv[1])
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    seen = {False: [], True: []}
    for _ in range(turns):
        for dashboard in (False, True):
            seen[dashboard].append(turn(program, dashboard, seconds))
    for dashboard, name in ((False, "lines"), (True, "dashboard")):
        rates, others = zip(*seen[dashboard])
        print(
            f"{name:10} {statistics.median(rates) / 1e6:7.2f} MH/s "
            f"({min(rates) / 1e6:.2f} to {max(rates) / 1e6:.2f}), "
            f"other threads {statistics.median(others) * 1e3:.1f} ms of processor time a second"
        )
    ratios = [b[0] / a[0] for a, b in zip(seen[False], seen[True])]
    cost = statistics.median(b[1] - a[1] for a, b in zip(seen[False], seen[True]))
    print(f"with the dashboard {statistics.median(ratios):.4f} of the rate, median of {turns} turns")
    share = cost / os.cpu_count()
    print(f"the dashboard takes {cost * 1e3:.1f} ms a second, {share * 100:.2f} % of {os.cpu_count()} cores")


main()
