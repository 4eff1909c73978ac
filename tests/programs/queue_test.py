#!/usr/bin/env python3
"""gofer-queue and the example of a distributed pool, as users run them: queue_test.py GOFER_QUEUE EXAMPLE."""

import json
import os
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

QUEUE, EXAMPLE = sys.argv[1:3]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Queue(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gofer-queue-")
        port = free_port()
        self.url = f"nats://127.0.0.1:{port}"
        self.server = subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", self.folder,
                                        "-l", os.path.join(self.folder, "log")])
        until = time.monotonic() + 10
        while not listens(port):
            self.assertLess(time.monotonic(), until, "nats-server does not listen")
            time.sleep(0.02)
        self.processes = []

    def tearDown(self):
        for p in self.processes:
            p.kill()
            p.communicate()
        self.server.kill()
        self.server.wait()
        shutil.rmtree(self.folder)

    def example(self, role, *more):
        p = subprocess.Popen([EXAMPLE, "--role", role, "--server", self.url, *more], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, env=dict(os.environ, GOFER_PACE="0.1"))
        self.processes.append(p)
        return p

    def queue(self, *words, code=0):
        out = subprocess.run([QUEUE, "-p", "images", *words], capture_output=True, text=True, timeout=30,
                             env=dict(os.environ, NATS_URL=self.url))
        self.assertEqual(out.returncode, code, out.stdout + out.stderr)
        return out.stdout + out.stderr

    def status(self):
        return json.loads(self.queue("--json", "status", "--over", "0"))

    def test_the_example(self):
        workers = [self.example("work") for _ in range(2)]
        for w in workers:
            self.assertEqual(w.stdout.readline(), "Working until Ctrl-C\n")
        out, _ = self.example("submit", "--tasks", "30").communicate(timeout=60)
        lines = out.splitlines()
        self.assertEqual(lines[0], "30 tasks are stored")
        self.assertEqual(sorted(lines[1:-1]), sorted(f"image-{i} is small now" for i in range(1, 31)))
        self.assertEqual(lines[-1], "All tasks completed, 0 of them failed")
        done, seen = 0, []
        for w in workers:
            w.send_signal(signal.SIGINT)
            text, _ = w.communicate(timeout=30)
            done += int(re.search(r"Done: (\d+) tasks completed here", text)[1])
            seen += re.findall(r"attempt (\d) at (image-\d+)", text)
        self.assertEqual(done, 30)
        self.assertEqual(sorted(seen), sorted([("1", f"image-{i}") for i in range(1, 31)]
                                              + [("2", f"image-{i}") for i in (10, 20, 30)]))
        status = self.status()
        self.assertEqual((status["stored"], status["finished"], status["dead"]), (30, 30, 0))

    def test_without_a_server(self):
        out = subprocess.run([QUEUE, "-s", "nats://127.0.0.1:1", "status"], capture_output=True, text=True, timeout=30)
        self.assertEqual(out.returncode, 1)
        self.assertIn("cannot connect to nats://127.0.0.1:1", out.stderr)
        out = subprocess.run([EXAMPLE, "--role", "work", "--server", "nats://127.0.0.1:1"], capture_output=True, text=True, timeout=30)
        self.assertEqual((out.returncode, "cannot connect" in out.stderr), (1, True))

    def test_wrong_use(self):
        self.assertIn("no pool \"images\"", self.queue("status", code=1))
        self.queue(code=2)
        self.queue("dead", "retry", code=2)
        self.queue("status", "--over", "nan", code=2)
        self.queue("-p", "not.a.name", "status", code=2)
        self.assertIn("pause", self.queue("--help"))

    def test_an_operators_day(self):
        submitter = self.example("submit", "--tasks", "6")
        self.assertEqual(submitter.stdout.readline(), "6 tasks are stored\n")
        self.assertEqual(self.status()["queued"], 6)
        self.assertIn("Paused", self.queue("pause"))
        worker = self.example("work")
        self.assertEqual(worker.stdout.readline(), "Working until Ctrl-C\n")
        time.sleep(0.5)
        status = self.status()
        self.assertEqual((status["queued"], status["paused"]), (6, True))
        self.assertIn("PAUSED", self.queue("status", "--over", "0"))
        self.assertEqual(json.loads(self.queue("--json", "resume")), {"paused": False})
        self.assertIn("All tasks completed", submitter.communicate(timeout=30)[0])
        # A task that nobody can read.
        self.publish("gofer.images.task", b"\x1b[31mnot an image\xc2\x9b31m")
        until = time.monotonic() + 10
        while self.status()["dead"] == 0:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.1)
        table = self.queue("dead", "list")
        self.assertIn("cannot be decoded", table)
        self.assertNotIn("\x1b", table)
        letter = json.loads(self.queue("--json", "dead", "list"))[0]
        self.assertEqual((letter["number"], letter["attempts"]), (1, 0))
        shown = self.queue("dead", "show", "1")
        self.assertIn("not an image", shown)
        self.assertNotIn("\x1b", shown)
        self.assertNotIn("\x9b", shown)
        self.assertIn("1 retried", self.queue("dead", "retry", "1"))
        self.assertIn("no dead letter 1", self.queue("dead", "drop", "1", code=1))
        while self.status()["dead"] == 0:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.1)
        for _ in range(120):
            self.publish("gofer.images.task", b"nor is this")
        while self.status()["dead"] < 121:
            self.assertLess(time.monotonic(), until + 20)
            time.sleep(0.1)
        self.assertIn("121 retried", self.queue("dead", "retry", "--all"))  # each dies again at once
        while self.status()["dead"] < 121:
            self.assertLess(time.monotonic(), until + 40)
            time.sleep(0.1)
        self.assertIn("121 dropped", self.queue("dead", "drop", "--all"))
        self.assertIn("No dead letters", self.queue("dead", "list"))

    def test_watch(self):
        self.example("submit", "--tasks", "3").stdout.readline()
        watch = subprocess.Popen([QUEUE, "-p", "images", "--json", "status", "--watch", "--over", "0.1"],
                                 stdout=subprocess.PIPE, text=True, env=dict(os.environ, NATS_URL=self.url))
        self.processes.append(watch)
        looks = [json.loads(watch.stdout.readline()) for _ in range(3)]
        self.assertEqual([look["stored"] for look in looks], [3, 3, 3])
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=10)
        self.assertEqual(watch.returncode, 0)

    def publish(self, subject, data):
        """As any other program might, by NATS' own protocol."""
        with socket.create_connection(("127.0.0.1", int(self.url.rsplit(":", 1)[1]))) as s:
            s.sendall(b'CONNECT {"verbose":false,"pedantic":false,"lang":"test","version":"1"}\r\n'
                      + f"PUB {subject} {len(data)}\r\n".encode() + data + b"\r\nPING\r\n")
            said = b""
            while b"PONG" not in said:
                said += s.recv(4096)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
