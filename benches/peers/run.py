#!/usr/bin/env python3
"""Tidewatch beside Apache Flink SQL, Bytewax and Pathway: one topic, one query, one thread each.

All find the same rows first; then they are timed in pairs with Tidewatch, in turn. See README.md; setup.sh installs.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import platform
import shutil
import signal
import statistics
import sys
import tempfile

import child
import peers as known

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SMALL = "calls-small"
FULL = "calls"
# Of the small topic, whose run is what starting and stopping costs.
SMALL_EVENTS = 1000
FLINK_JAVA = "-Xms1g -Xmx1g -XX:+UseParallelGC"
MAKERS = {
    "flink": lambda options: known.Flink(options.flink_java, options.flink_set),
    "pathway": lambda options: known.Pathway(),
    "bytewax": lambda options: known.Bytewax(),
}
# Below this the cost of starting, and of a JVM that has not compiled yet, is most of what is seen.
MEASURABLE_EVENTS = 500_000
DIFFERENCES_SHOWN = 5
# Of the p95 of peers that are exact: what reading a decimal number may lose.
ROUNDING = 1e-9


def enter_environment():
    """The Kafka client is in a virtual environment of its own; whoever starts this need not know."""
    python = known.INSTALLED / "bench" / "bin" / "python"
    if pathlib.Path(sys.prefix) == python.parents[1]:
        return
    if not python.is_file():
        raise SystemExit("not installed: benches/peers/setup.sh bench")
    os.execv(python, [str(python), *sys.argv])


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--events", type=int, default=2_000_000, help="in the topic [default: %(default)s]")
    add("--rounds", type=int, default=5, help="pairs per peer [default: %(default)s]")
    add("--partitions", type=int, default=4, help="of the topic [default: %(default)s]")
    add("--peers", default=",".join(MAKERS), help="separated by commas [default: %(default)s]")
    add("--tidewatch", default=ROOT / "target/release/tidewatch", metavar="PATH", help="[default: %(default)s]")
    add("--dedupe-horizon", default="24h", help="0s: look for no copies, as no peer does [default: %(default)s]")
    add("--flink-java", default=FLINK_JAVA, help="options of the JVM [default: %(default)s]")
    add("--flink-set", action="append", default=[], metavar="KEY=VALUE", help="a setting of Flink; may be repeated")
    add("--timeout", type=int, default=900, help="seconds of one run [default: %(default)s]")
    add("--check-only", action="store_true", help="compare the rows, and time nothing")
    options = parser.parse_args()
    if options.events <= SMALL_EVENTS or options.rounds < 1 or options.partitions < 1:
        parser.error(f"--events above {SMALL_EVENTS}, --rounds and --partitions of at least 1")
    return options


class Wrong(Exception):
    """Rows are not what they should be."""


@dataclasses.dataclass
class Net:
    """Microseconds per event; the peak of memory is that of the whole run."""

    cpu_us: float
    wall_us: float
    peak_mb: float


class Bench:
    """Runs peers over the two topics, and compares the rows of every run with what is true."""

    def __init__(self, servers, truths, folder, timeout_s):
        self.servers = servers
        self.truths = truths
        self.folder = folder
        self.timeout_s = timeout_s
        self.runs = 0

    def run(self, peer, topic):
        """Cost of one run whose rows are right, and how far its p95 was above the exact ones at most."""
        self.runs += 1
        folder = self.folder / f"{peer.name}-{self.runs}"
        folder.mkdir()
        job = known.Job(self.servers, topic, folder)
        peer.prepare(job)
        cost = child.run(peer.command(job), folder, peer.environment(job), self.timeout_s)
        above = check(peer, peer.rows(job), self.truths[topic].rows)
        shutil.rmtree(folder)
        return cost, above

    def net(self, peer, events):
        """What an event costs, without what starting costs."""
        start, _ = self.run(peer, SMALL)
        whole, _ = self.run(peer, FULL)
        events_us = (events - SMALL_EVENTS) / 1e6
        cpu_us = (whole.cpu_s - start.cpu_s) / events_us
        return Net(cpu_us, (whole.wall_s - start.wall_s) / events_us, whole.peak_bytes / 1e6)


def check(peer, rows, truth):
    """Requests and errors as they are, p95 within what the peer promises; returns the greatest share above the exact."""
    wrong = [f"{key}: missing, should be {truth[key]}" for key in truth.keys() - rows.keys()]
    wrong += [f"{key}: {rows[key]}, but there are no such events" for key in rows.keys() - truth.keys()]
    above = 0.0
    for key in rows.keys() & truth.keys():
        requests, errors, p95 = rows[key]
        true_requests, true_errors, nearest, interpolated = truth[key]
        exact = interpolated if peer.is_interpolated else nearest
        share = p95 / exact - 1
        above = max(above, share)
        is_near = -ROUNDING <= share <= peer.p95_above_max + ROUNDING
        if (requests, errors) != (true_requests, true_errors) or not is_near:
            wrong.append(f"{key}: {rows[key]}, should be {(true_requests, true_errors, exact)}")
    if wrong:
        shown = "\n  ".join(sorted(wrong)[:DIFFERENCES_SHOWN])
        raise Wrong(f"{len(wrong)} of {len(truth)} rows are wrong\n  {shown}")
    return above


def processor():
    with contextlib.suppress(OSError):
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def installed_peers(options):
    """Those that were asked for and are there; why others are not is printed."""
    others = []
    for name in filter(None, options.peers.split(",")):
        if name not in MAKERS:
            raise SystemExit(f"no peer {name!r}: there are {', '.join(MAKERS)}")
        peer = MAKERS[name](options)
        if reason := peer.missing():
            print(f"SKIPPED {name}: {reason}")
        else:
            others.append(peer)
    return others


def main():
    options = parse()
    tidewatch = known.Tidewatch(options.tidewatch, options.dedupe_horizon)
    if reason := tidewatch.missing():
        raise SystemExit(reason)
    enter_environment()
    from broker import Broker  # which needs the client

    others = installed_peers(options)
    print(f"{os.cpu_count()} × {processor()}, load {os.getloadavg()[0]:.2f}, {platform.platform()}")
    for peer in [tidewatch, *others]:
        print(f"{peer.name} {peer.version()}")
        for line in [*peer.settings(), f"p95: {peer.p95}"]:
            print(f"    {line}")
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidewatch-peers-")))
        broker = stack.enter_context(Broker(folder / "kafka"))
        counts = {SMALL: SMALL_EVENTS, FULL: options.events}
        truths = {topic: broker.fill(topic, options.partitions, count) for topic, count in counts.items()}
        rows = len(truths[FULL].rows)
        print(f"{options.events} events in {options.partitions} partitions, lz4, that are {rows} rows", flush=True)
        bench = Bench(broker.servers, truths, folder, options.timeout)
        right = check_all(bench, tidewatch, others)
        timed = right if options.check_only else compare(bench, tidewatch, right, options)
    sys.exit(0 if len(timed) == len(others) else 1)


def check_all(bench, tidewatch, others):
    """One run of each over the full topic; returns the peers whose rows are right."""
    right = []
    for peer in [tidewatch, *others]:
        try:
            _, above = bench.run(peer, FULL)
        except (child.Failed, Wrong) as error:
            if peer is tidewatch:
                raise SystemExit(f"FAILED tidewatch: {error}") from None
            print(f"FAILED {peer.name}: {error}", flush=True)
            continue
        right.append(peer)
        text = f"all requests and errors are right, p95 at most {above:.2%} above the exact"
        print(f"{peer.name}: {text}", flush=True)
    return right[1:]


def compare(bench, tidewatch, others, options):
    """Times pairs and prints the table; returns the peers that are in it."""
    if options.events < MEASURABLE_EVENTS:
        print(f"fewer than {MEASURABLE_EVENTS} events: these are no measurements")
    results = []
    for peer in others:
        try:
            results.append((peer, [pair(bench, tidewatch, peer, n, options.events) for n in range(options.rounds)]))
        except (child.Failed, Wrong) as error:
            print(f"FAILED {peer.name} beside tidewatch: {error}", flush=True)
    table(results, options.rounds)
    return [peer for peer, _ in results]


def pair(bench, tidewatch, peer, number, events):
    """What both need in one round. A B B A: what changes with time meets both."""
    order = [tidewatch, peer] if number % 2 == 0 else [peer, tidewatch]
    costs = {each.name: bench.net(each, events) for each in order}
    ours, theirs = costs[tidewatch.name], costs[peer.name]
    text = f"tidewatch {ours.cpu_us:.2f}, {peer.name} {theirs.cpu_us:.2f} µs of CPU per event"
    print(f"round {number + 1}: {text}", file=sys.stderr, flush=True)
    return ours, theirs


def table(results, rounds):
    widths = (9, 9, 9, 9, 13, 11, 9, 9, 11, 9)
    head = ("", "tidewatch", "peer", "ratio", "range", "tidewatch", "peer", "ratio", "tidewatch", "peer")

    def show(cells):
        print(" ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))

    print(f"\n{'':9} {'CPU, µs per event':^43} {'wall, µs per event':^31} {'peak memory, MB':^21}")
    show(head)
    for peer, pairs in results:

        def medians(field, digits, pairs=pairs):
            sides = zip(*((getattr(ours, field), getattr(theirs, field)) for ours, theirs in pairs), strict=True)
            return [f"{statistics.median(side):.{digits}f}" for side in sides]

        cpu = [theirs.cpu_us / ours.cpu_us for ours, theirs in pairs]
        wall = [theirs.wall_us / ours.wall_us for ours, theirs in pairs]
        ratios = [f"{statistics.median(cpu):.2f} ×", f"{min(cpu):.2f}–{max(cpu):.2f}"]
        wall_ratio = f"{statistics.median(wall):.2f} ×"
        show([peer.name, *medians("cpu_us", 2), *ratios, *medians("wall_us", 2), wall_ratio, *medians("peak_mb", 0)])
    print(f"medians of {rounds}; ratio: the median of the pairs', above 1 where the peer needs more; range: of the CPU's")


if __name__ == "__main__":
    # As Ctrl-C: the broker and the program that runs are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped")
