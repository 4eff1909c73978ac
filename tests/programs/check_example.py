#!/usr/bin/env python3
"""Runs one of the guide's programs and checks what it prints: check_example.py PROGRAM [RUNS]."""

import collections
import os
import re
import subprocess
import sys


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def expect_lines(lines, expected):
    """All of `expected` and nothing else, in any order."""
    missing = collections.Counter(expected) - collections.Counter(lines)
    surplus = collections.Counter(lines) - collections.Counter(expected)
    expect(not missing and not surplus, f"missing: {list(missing.elements())}, surplus: {list(surplus.elements())}")


def expect_order(lines, *in_order):
    for before, after in zip(in_order, in_order[1:]):
        expect(lines.index(before) < lines.index(after), f"{before!r} has to come before {after!r}")


def worker_pool(lines):
    expect(lines[-1] == "All tasks completed", "the last line")
    begun = [re.fullmatch(r"Worker ([1-3]) processing task (\d+)", line) for line in lines]
    tasks = sorted(int(m[2]) for m in begun if m)
    expect(tasks == list(range(1, 11)), f"each task is processed once: {tasks}")
    expect_lines([line for line in lines[:-1] if not line.startswith("Worker")],
                 [f"Task {i} completed: Processed: Task-{i}" for i in range(1, 11)])


def dynamic_worker_pool(lines):
    results = [m for line in lines if (m := re.fullmatch(r"Worker \d+ processed: Task-(\d+)", line))]
    expect(sorted(int(m[1]) for m in results) == list(range(1, 16)), "each task is processed once")
    expect_order(lines, "Submitting burst 1", "Submitting burst 2", "Submitting burst 3")
    workers = 2
    seen = {2}
    for m in (m for line in lines if (m := re.fullmatch(r"Scaling (up|down): (\d) workers -> (\d) workers", line))):
        before, after = int(m[2]), int(m[3])
        expect(abs(after - before) == 1 and (after > before) == (m[1] == "up"), m[0])
        expect(2 <= after <= 5, m[0])
        seen.add(after)
        workers += after - before
    expect(seen == {2, 3, 4, 5}, f"it grows to 5 workers: {seen}")
    expect(workers == 2, f"it shrinks to 2 workers again, not {workers}")


def basic_waitgroup(lines):
    expect_lines(lines, [f"Worker {i} {what}" for i in (1, 2, 3) for what in ("starting", "done")] +
                 ["All workers completed"])
    for i in (1, 2, 3):
        expect_order(lines, f"Worker {i} starting", f"Worker {i} done", "All workers completed")


def waitgroup_errors(lines):
    expect(lines[-4] == "Completed with 3 errors:", "three errors")
    expect_lines(lines[-3:], [f"- worker {i} failed" for i in (3, 6, 9)])
    expect_lines(lines[:-4], [f"Worker {i} completed successfully" for i in (1, 2, 4, 5, 7, 8, 10)])


def nested_waitgroups(lines):
    expected = ["All workers and sub-workers completed"]
    for i in (1, 2, 3):
        expected.append(f"Worker {i}: all sub-workers completed")
        for k in (1, 2, 3):
            expected += [f"Sub-worker {i}.{k} starting", f"Sub-worker {i}.{k} done"]
    expect_lines(lines, expected)
    for i in (1, 2, 3):
        for k in (1, 2, 3):
            expect_order(lines, f"Sub-worker {i}.{k} starting", f"Sub-worker {i}.{k} done",
                         f"Worker {i}: all sub-workers completed", "All workers and sub-workers completed")


def basic_mutex(lines):
    expect(lines == ["Final counter value: 1000"], lines)


def rwmutex(lines):
    expect(lines[-1] == "All operations completed", "the last line")
    data = {"apple": {5}, "banana": {3}, "orange": {8}}
    for line in lines:
        if m := re.fullmatch(r"Writer [0-2]: set (\w+) = (\d)", line):
            data[m[1]].add(int(m[2]))
    reads = [m for line in lines if (m := re.fullmatch(r"Reader [0-9]: (\w+) = (\d)", line))]
    expect(len(reads) == 50 and len(lines) == 50 + 9 + 1, "fifty reads and nine writes")
    for m in reads:
        expect(int(m[2]) in data[m[1]], f"{m[0]}: nobody wrote that")


def mutex_timeout(lines):
    expect(lines == ["Increment timed out", "Final counter value: 0",
                     "After the timeout: locked again, counter value: 1"], lines)


def basic_atomic(lines):
    expect(lines == ["Final counter value: 1000", "CompareAndSwap from 1000 to 1100: true", "New value: 1100"], lines)


def atomic_pointers(lines):
    expect(lines[-1] == "All workers completed", "the last line")
    expect(lines.count("Config updated") == 1, "one update")
    reads = [m for line in lines
             if (m := re.fullmatch(r"Worker ([123]): MaxConnections=(\d+), Timeout=(\d+)s", line))]
    expect(len(reads) == 15 and len(lines) == 17, "fifteen reads")
    for worker in "123":
        seen = [(m[2], m[3]) for m in reads if m[1] == worker]
        expect(set(seen) <= {("10", "5"), ("20", "10")}, f"no mixture of versions: {seen}")
        expect(seen == sorted(seen) and seen[0] == ("10", "5") and seen[-1] == ("20", "10"), f"old, then new: {seen}")


def atomic_custom(lines):
    expect(lines[:2] == ["Requests: 100", "Errors: 15"], lines)
    total = float(re.fullmatch(r"Total Duration: ([0-9.]+)ms", lines[2])[1])
    average = float(re.fullmatch(r"Average Duration: ([0-9.]+)ms", lines[3])[1])
    expect(total >= 4500 * PACE, f"the sleeps alone take {4500 * PACE} ms, not {total}")
    expect(abs(total / 100 - average) < 0.01, "the average is of a hundred")
    for line, form in zip(lines[4:], ("atomic_value", "a mutex"), strict=True):
        expect(line.startswith(f"With {form}: 100 requests, 15 errors, "), line)


def worker_pool_errors(lines):
    ids = []
    for line in lines:
        m = re.fullmatch(r"Task (\d+) (completed successfully|failed: worker [123] failed on task (\d+))", line)
        expect(m, line)
        expect(m[3] in (None, m[1]), line)
        ids.append(int(m[1]))
    expect(sorted(ids) == list(range(1, 21)), f"twenty results: {sorted(ids)}")


def prime_sieve(lines):
    expect(lines == ["2", "3", "5", "7", "11", "13", "17", "19", "23", "29"], lines)


def power_series(lines):
    expect(lines == ["exp x: 1 1 1/2 1/6 1/24 1/120 1/720 1/5040 1/40320 1/362880",
                     "tan x: 0 1 0 1/3 0 2/15 0 17/315 0 62/2835",
                     "exp tan x: 1 1 1/2 1/2 3/8 37/120 59/240 137/720 871/5760 41641/362880",
                     "exp 2x: 1 2 2 4/3 2/3 4/15 4/45 8/315 2/315 4/2835"], lines)


def dining_philosophers(lines):
    names = ("Aristotle", "Kant", "Spinoza", "Marx", "Russell")
    expect_lines(lines, [f"{name} eats meal {meal}" for name in names for meal in (1, 2, 3)] +
                 [f"{name} is done" for name in names] + ["The table is empty"])
    for name in names:
        expect_order(lines, *[f"{name} eats meal {meal}" for meal in (1, 2, 3)], f"{name} is done", "The table is empty")


def pipeline(lines):
    expect(lines[0] == "Sum: 1275" and len(lines) == 2, lines)
    most = int(re.fullmatch(r"At most (\d+) of 50 lines were under way", lines[1])[1])
    expect(most <= 2 + 2 + 3, f"two channels hold two each, three stages one each, but {most} were under way")


def fan_out_fan_in(lines):
    expect(lines == ["20 parts by 4 workers: 77031 takes 350 steps"], lines)


def rate_limiter(lines):
    after = [int(re.fullmatch(rf"Request {i} after (\d+) intervals", line)[1]) for i, line in enumerate(lines, 1)]
    expect(len(after) == 8, lines)
    for request, intervals in enumerate(after, 1):
        expect(intervals >= request - 3, f"request {request} came after {intervals} intervals")


def publish_subscribe(lines):
    got = {m[1]: (int(m[2]), int(m[3])) for line in lines if (m := re.fullmatch(r"(.*): (\d+) received, (\d+) lost", line))}
    expect(got["A quick reader"] == (20, 0) and got["A reader of another topic"] == (1, 0), got)
    received, lost = got["A slow reader"]
    expect(received + lost == 20 and received >= 3, got)


PACE = float(os.environ.get("GOFER_PACE", "1"))


def main():
    program = sys.argv[1]
    check = globals()[os.path.basename(program)]
    for run in range(int(sys.argv[2]) if len(sys.argv) > 2 else 1):
        done = subprocess.run([program], capture_output=True, text=True, timeout=60)
        try:
            expect(done.returncode == 0, f"exit code {done.returncode}")
            expect(done.stderr == "", "nothing on stderr")
            check(done.stdout.splitlines())
        except (AssertionError, IndexError, ValueError, TypeError) as e:
            print(f"run {run + 1}: {e!r}\n--- stdout:\n{done.stdout}--- stderr:\n{done.stderr}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
