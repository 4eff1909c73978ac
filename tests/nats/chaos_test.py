#!/usr/bin/env python3
"""Kills, stops and cuts off what a distributed pool consists of, under load: chaos_test.py CREW GOFER_QUEUE [Class].

Real servers, alone and in clusters of three, and real processes. After each upheaval every one of 100,000 tasks has
had its effect, exactly once in the ledger, and the statistics agree with it.
"""

import array
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "support"))
from free_port import free_port

CREW, QUEUE = sys.argv[1:3]
TASKS = int(os.environ.get("GOFER_CHAOS_TASKS", "100000"))
PATIENCE = 150


def wait_until(condition, what, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")


def server_version():
    said = subprocess.run(["nats-server", "--version"], capture_output=True, text=True).stdout  # nats-server: v2.9.10
    return tuple(int(n) for n in re.findall(r"\d+", said)[:3])


class Server:
    """A nats-server with JetStream, which can be killed and started again over the same files."""

    def __init__(self, folder, name="alone", routes=(), host="127.0.0.1", cluster_port=None, namespace=None):
        self.name, self.host, self.port = name, host, free_port()
        self.log = os.path.join(folder, f"{name}.log")
        self.command = ["nats-server", "-a", host, "-p", str(self.port), "-js", "-sd", os.path.join(folder, name),
                        "-n", name, "-l", self.log]
        if cluster_port:
            self.command += ["--cluster_name", "crew", "--cluster", f"nats://{host}:{cluster_port}",
                             "--routes", ",".join(routes)]
        if namespace:
            self.command = ["ip", "netns", "exec", namespace] + self.command
        self.process = None
        self.start()

    @property
    def url(self):
        return f"nats://{self.host}:{self.port}"

    def start(self):
        self.process = subprocess.Popen(self.command, start_new_session=True)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def listens(self):
        try:
            socket.create_connection((self.host, self.port), 1).close()
            return True
        except OSError:
            return False


def cluster(folder, hosts=("127.0.0.1",) * 3, namespaces=(None,) * 3):
    ports = [free_port() for _ in range(3)]
    routes = [f"nats://{h}:{p}" for h, p in zip(hosts, ports)]
    return [Server(folder, f"server-{i}", routes, hosts[i], ports[i], namespaces[i]) for i in range(3)]


class Chaos(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gofer-chaos-")
        self.ledger = os.path.join(self.folder, "ledger")
        with open(self.ledger, "wb") as f:
            f.truncate(TASKS * 8)
        self.servers, self.processes = [], []

    def tearDown(self):
        for p in self.processes:
            if p.poll() is None:
                os.kill(p.pid, signal.SIGCONT)
                p.kill()
            p.wait()
            p.stdout.close()
        for s in self.servers:
            s.kill()
        shutil.rmtree(self.folder)

    # What there is.

    def one_server(self):
        self.servers = [Server(self.folder)]
        wait_until(self.servers[0].listens, "the server listens")

    def three_servers(self, **where):
        self.servers = cluster(self.folder, **where)
        for s in self.servers:
            wait_until(s.listens, f"{s.name} listens")
        self.wait_for_leader()

    def wait_for_leader(self):
        """Until the cluster can keep a pool: a small one is made."""
        wait_until(lambda: subprocess.run([CREW, "submit", "--tasks", "1", "--pool", "first", "--drain", "0", *self.common()],
                                          capture_output=True).returncode == 0, "the cluster has a leader", 60)

    def common(self):
        more = ["--replicas", "3"] if len(self.servers) == 3 else []
        return ["--server", ",".join(s.url for s in self.servers), *more]

    def crew(self, role, *more):
        p = subprocess.Popen([CREW, role, "--ledger", self.ledger, *self.common(), *more], stdout=subprocess.PIPE, text=True)
        self.processes.append(p)
        return p

    def worker(self, *more):
        p = self.crew("work", "--tasks", str(TASKS), "--workers", "64", "--pause", "500", *more)
        self.assertEqual(p.stdout.readline(), "working\n")
        return p

    def submitter(self, tasks=None, *more):
        return self.crew("submit", "--tasks", str(TASKS if tasks is None else tasks), *more)

    def queue(self, *words):
        out = subprocess.run([QUEUE, "--json", "-p", "crew", "-s", ",".join(s.url for s in self.servers), *words],
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(out.returncode, 0, out.stderr)
        return out.stdout

    def status(self):
        return json.loads(self.queue("status", "--over", "0"))

    def entries(self):
        with open(self.ledger, "rb") as f:
            numbers = array.array("I", f.read())
        return numbers[0::2], numbers[1::2]

    def publish(self, subject, messages):
        """As any other program might, by NATS' own protocol."""
        with socket.create_connection(("127.0.0.1", self.servers[0].port)) as s:
            s.sendall(b'CONNECT {"verbose":false,"pedantic":false,"lang":"test","version":"1"}\r\n')
            s.sendall(b"".join(f"PUB {subject} {len(m)}\r\n".encode() + m + b"\r\n" for m in messages) + b"PING\r\n")
            said = b""
            while b"PONG" not in said:
                said += s.recv(4096)

    # What must hold.

    def end_of(self, process):
        out, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0)
        return json.loads(out.splitlines()[-1])

    def check(self, submitter, by_it=None, dead=0):
        """All have had their effect, and everybody says so; so many were stored by this submitter. The dead are more."""
        said = self.end_of(submitter)
        effects, runs = self.entries()
        self.assertEqual([i for i, e in enumerate(effects) if e != 1], [], "tasks without an effect, or with several")
        stored = TASKS + dead
        self.assertEqual((said["stored"], said["finished"], said["queued"], said["running"], said["dead"]),
                         (stored, stored, 0, 0, dead))
        status = self.status()
        self.assertEqual((status["stored"], status["finished"], status["queued"], status["running"], status["dead"]),
                         (stored, stored, 0, 0, dead))
        self.assertEqual(said["submitted"] - said["duplicates"], TASKS if by_it is None else by_it)
        self.print_runs(runs)
        return said

    def check_after_deaths(self, submitter):
        """As above, of servers that were killed: such a one knows the ids of those tasks alone that it still holds, so that one
        which is sent again because the answer was lost may be stored, and run, again. It has one effect all the same.

        Servers before 2.10.23 may come back without what they said was stored, and give its numbers to others, which their
        consumer takes for finished. Whoever still has them submits such tasks again, under other ids; so is done here."""
        self.end_of(submitter)
        wait_until(self.is_all_worked_off, self.what_is_left, 60)
        lost = self.without_effect()
        if server_version() >= (2, 10, 23):
            self.assertEqual(lost, [], "tasks without an effect")
        elif lost:
            print(f"  {self.id().split('.', 1)[1]}: the servers lost {len(lost)} tasks, from {lost[0]} to {lost[-1]}", flush=True)
        self.submit_again([*lost, TASKS - 1])  # the last one, too, which has had its effect
        wait_until(self.is_all_worked_off, self.what_is_left, 60)
        effects, runs = self.entries()
        self.assertEqual([i for i, e in enumerate(effects) if e != 1], [], "tasks without an effect, or with several")
        said, status = self.end_of(self.submitter(0)), self.status()
        for figure in ("stored", "finished", "queued", "running", "dead"):
            self.assertEqual(said[figure], status[figure], figure)
        self.assertEqual((said["dead"], self.is_all_finished(said)), (0, True))
        self.print_runs(runs)

    def without_effect(self):
        return [i for i, e in enumerate(self.entries()[0]) if e == 0]

    def submit_again(self, tasks):
        while tasks:
            count = next((n for n in range(1, len(tasks)) if tasks[n] != tasks[0] + n), len(tasks))
            self.end_of(self.submitter(count, "--first", str(tasks[0]), "--suffix", "#again"))
            tasks = tasks[count:]

    def status_says(self, condition):
        try:
            return condition(self.status())
        except (AssertionError, subprocess.TimeoutExpired):  # they elect leaders, one for each stream
            return False

    def is_all_worked_off(self):
        return self.status_says(self.is_all_finished)

    def what_is_left(self):
        ended = [p.args[1] for p in self.processes if p.poll() is not None]
        without = self.without_effect()
        return (f"all that is stored is finished: {self.status()}; without an effect are {len(without)} tasks, the first "
                f"{without[:5]}; ended are {ended}")

    def is_all_finished(self, figures):
        return figures["finished"] == figures["stored"] >= TASKS and figures["queued"] == figures["running"] == 0

    def print_runs(self, runs):
        print(f"  {self.id().split('.', 1)[1]}: {sum(runs)} runs of {len(runs)} tasks", flush=True)


class OneServer(Chaos):
    def test_workers_killed_at_random(self):
        self.one_server()
        workers = [self.worker() for _ in range(3)]
        submitter = self.submitter()
        killed = 0
        while submitter.poll() is None and killed < 40:
            victim = random.randrange(len(workers))
            time.sleep(random.uniform(0.02, 0.2))
            workers[victim].kill()
            killed += 1
            workers[victim] = self.worker()
        self.check(submitter)
        self.assertGreater(killed, 5)

    def test_a_worker_sleeps_longer_than_its_lease(self):
        self.one_server()
        workers = [self.worker() for _ in range(2)]
        submitter = self.submitter()
        for _ in range(3):
            os.kill(workers[0].pid, signal.SIGSTOP)
            time.sleep(1.6)
            os.kill(workers[0].pid, signal.SIGCONT)
            time.sleep(0.1)
        self.check(submitter)

    def test_the_stream_is_full(self):
        self.one_server()
        refused = self.end_of(self.submitter(2000, "--capacity", "1000", "--full", "reject", "--drain", "0"))
        self.assertEqual((refused["stored"], refused["full"]), (1000, True))
        self.assertEqual(refused["submitted"], 1000)
        self.assertGreater(refused["rejected"], 0)
        worker = self.worker("--capacity", "1000")
        wait_until(lambda: self.status()["finished"] == 1000, "what was stored is worked off")
        self.check(self.submitter(TASKS, "--capacity", "1000"), by_it=TASKS - 1000)  # it knows the first ones by their ids
        worker.terminate()
        self.end_of(worker)

    def test_a_task_that_kills_its_workers(self):
        self.one_server()
        submitter = self.submitter(100, "--lease", "300")
        self.assertEqual(submitter.stdout.readline(), "stored\n")
        deaths = 0
        while self.status()["dead"] == 0:
            worker = self.crew("work", "--tasks", str(TASKS), "--deadly", "17", "--deliveries", "3", "--lease", "300",
                               "--workers", "1", "--taken", "1")
            wait_until(lambda p=worker: p.poll() is not None or self.status()["dead"] != 0, "it dies, or the task is buried")
            deaths += worker.poll() == -signal.SIGKILL
        said = self.end_of(submitter)
        self.assertEqual((deaths, said["stored"], said["finished"], said["dead"]), (3, 100, 100, 1))
        letters = json.loads(self.queue("dead", "list"))
        self.assertEqual((letters[0]["task"], letters[0]["attempts"]), ("task-17", 0))
        self.assertIn("given out 3 times", letters[0]["error"])

    def test_undecodable_messages_among_others(self):
        self.one_server()
        worker = self.worker()
        submitter = self.submitter(TASKS, "--drain", "0")
        self.publish("gofer.crew.task", [b"rubbish", b"", b'{"a": [', b'"five"', b"\xff\xfe"] * 200)
        self.end_of(submitter)

        def is_over():  # not "running" alone: between two pulls nothing runs, and much may still be queued
            s = self.status()
            return (s["dead"], s["queued"], s["running"]) == (1000, 0, 0)

        wait_until(is_over, "all of them are buried, and all others finished")
        self.check(self.submitter(0), by_it=0, dead=1000)
        worker.terminate()
        said = self.end_of(worker)
        self.assertEqual((said["completed"], said["undecodable"]), (TASKS, 1000))

    def test_submitted_twice(self):
        self.one_server()
        first = self.submitter(TASKS, "--drain", "0")
        second = self.submitter(TASKS, "--drain", "0")  # at the same time
        said = [self.end_of(first), self.end_of(second)]
        self.assertEqual([s["submitted"] for s in said], [TASKS, TASKS])
        self.assertEqual(sum(s["duplicates"] for s in said), TASKS)
        worker = self.worker()
        third = self.end_of(self.submitter(TASKS))
        self.assertEqual(third["duplicates"], TASKS)
        effects, runs = self.entries()
        self.assertEqual((set(effects), set(runs)), ({1}, {1}))
        worker.terminate()
        self.assertEqual(self.end_of(worker)["completed"], TASKS)

    def test_workers_come_and_go_in_peace(self):
        self.one_server()
        patient = ("--lease", "5000")  # so that nobody loses a task for being slow
        submitter = self.submitter(None, *patient)
        done = 0
        for how in ("1", "0") * 4:
            worker = self.worker("--drain", how, *patient)
            time.sleep(0.4)
            worker.terminate()
            done += self.end_of(worker)["completed"]
        worker = self.worker(*patient)
        self.check(submitter)
        worker.terminate()
        done += self.end_of(worker)["completed"]
        effects, runs = self.entries()
        self.assertEqual(done, sum(runs), "who ends in peace has done what it says")
        # nats-server 2.9 gives out a task twice at once that it was about to give to one who asks no more.
        self.assertLessEqual(done, TASKS + 8)


class ThreeServers(Chaos):
    def test_servers_killed_in_turn(self):
        self.three_servers()
        workers = [self.worker() for _ in range(2)]
        submitter = self.submitter()
        for server in self.servers:
            time.sleep(1)
            server.kill()
            time.sleep(1)
            server.start()
            wait_until(server.listens, f"{server.name} listens again")
            wait_until(self.all_current, "it has caught up", 60)
        self.check_after_deaths(submitter)
        del workers

    def test_all_stopped_and_started(self):
        self.three_servers()
        workers = [self.worker() for _ in range(2)]
        submitter = self.submitter()
        time.sleep(1)
        for server in self.servers:
            server.kill()
        time.sleep(2)
        for server in self.servers:
            server.start()
        self.check_after_deaths(submitter)
        del workers

    def test_what_is_idle_has_nothing_to_do(self):
        """One server stores a task, and another deals it out, which hears of it later."""
        self.three_servers()
        worker = self.worker()
        self.assertEqual(self.end_of(self.crew("one-by-one", "--tasks", "200"))["early"], 0)
        del worker

    def all_current(self):
        return self.status_says(lambda status: all(s["current"] == 3 for s in status["streams"]))


class CutOff(Chaos):
    """A cluster of which one server lives in a network namespace, behind a cable that can be pulled."""

    def setUp(self):
        super().setUp()
        self.namespace = f"gofer{os.getpid()}"
        self.near, self.far = f"gn{os.getpid()}", f"gf{os.getpid()}"
        subnet = f"10.203.{os.getpid() % 250}"
        self.here, self.there = f"{subnet}.1", f"{subnet}.2"
        try:
            self.ip("netns", "add", self.namespace)
            self.addCleanup(self.ip, "netns", "del", self.namespace)
            self.ip("-n", self.namespace, "link", "show")
        except (AssertionError, FileNotFoundError) as e:
            super().tearDown()
            self.skipTest(f"needs the right to make network namespaces (root), and iproute2: {e}")
        self.ip("link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.namespace)
        self.ip("addr", "add", f"{self.here}/24", "dev", self.near)
        self.ip("link", "set", self.near, "up")
        self.ip("-n", self.namespace, "addr", "add", f"{self.there}/24", "dev", self.far)
        self.ip("-n", self.namespace, "link", "set", self.far, "up")
        self.ip("-n", self.namespace, "link", "set", "lo", "up")

    def tearDown(self):
        super().tearDown()
        self.ip("link", "del", self.near)

    def ip(self, *what):
        done = subprocess.run(["ip", *what], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, f"ip {' '.join(what)}: {done.stderr}")

    def test_a_server_cut_off(self):
        self.three_servers(hosts=(self.here, self.here, self.there), namespaces=(None, None, self.namespace))
        workers = [self.worker() for _ in range(2)]
        submitter = self.submitter()
        for _ in range(2):
            time.sleep(1)
            self.ip("link", "set", self.near, "down")
            time.sleep(3)
            self.ip("link", "set", self.near, "up")
            # what the address had of routes went with the link
        self.check_after_deaths(submitter)
        del workers


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
