#!/usr/bin/env python3
"""Runs gofer-web as its users do, with curl as the client: web_server_test.py GOFER_WEB [-v]."""

import concurrent.futures
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

PROGRAM = sys.argv.pop(1)
SANITIZED = "GOFER_SANITIZED" in os.environ  # holds no thousands of fibers


class Web:
    """A running gofer-web on a free port."""

    def __init__(self, *arguments, address="127.0.0.1:0"):
        self.process = subprocess.Popen([PROGRAM, "--address", address, *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.first_line = self.process.stdout.readline()
        self.scheme, self.address = re.search(r"(https?)://(\S+)", self.first_line).groups()

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        self.process.kill()
        if not self.process.stderr.closed:
            _, err = self.process.communicate()
            if failure:  # what the server said of it
                print(err, file=sys.stderr)

    def url(self, path):
        return f"{self.scheme}://{self.address}{path}"

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return out, err, self.process.returncode


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)


def curl(url, *arguments):
    """Status, head and body of an answer."""
    done = subprocess.run(["curl", "-s", "-S", "-i", "--max-time", "30", *arguments, url], capture_output=True, text=True)
    if done.returncode != 0:
        raise ConnectionError(done.stderr)
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    return int(head.split()[1]), head, body


def statistics(out):
    """The guide's five lines."""
    return dict(re.findall(r"^(Total Requests|Active Connections|Errors|Total Latency|Average Latency): (.*)$", out, re.M))


def seconds(text):
    number, unit = re.fullmatch(r"([0-9.]+)(s|ms|µs)", text).groups()
    return float(number) * {"s": 1, "ms": 1e-3, "µs": 1e-6}[unit]


class TheGuidesLoad(unittest.TestCase):
    def test_its_statistics_are_true(self):
        done = run("--address", "127.0.0.1:0", "--once")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        seen = statistics(done.stdout)
        self.assertEqual((seen["Total Requests"], seen["Active Connections"], seen["Errors"]), ("100", "0", "10"))
        clients = re.search(r"Clients saw: 100 answers, 10 errors, total latency (\S+), average (\S+)$", done.stdout, re.M)
        total = seconds(seen["Total Latency"])
        self.assertGreater(total, sum(10 + i % 50 for i in range(100)) / 1000)  # what is worked on each
        self.assertAlmostEqual(total / 100, seconds(seen["Average Latency"]), places=3)
        self.assertLessEqual(total, seconds(clients[1]))

    def test_its_latency_includes_the_wait_for_a_worker(self):
        with Web("--requests", "0", "--workers", "1") as web:
            with concurrent.futures.ThreadPoolExecutor(20) as clients:
                answers = [clients.submit(curl, web.url("/api/resource/49")) for _ in range(20)]
                arrived = 0
                while not all(a.done() for a in answers):
                    arrived = max(arrived, json.loads(curl(web.url("/stats"))[2])["active"])
            # Those seen at once were ended one after another, 59 ms each but the one already begun.
            self.assertGreater(arrived, 2)
            total = json.loads(curl(web.url("/stats"))[2])["total_latency_ms"]
            self.assertGreater(total, 59 * arrived * (arrived - 1) / 2)

    def test_rejects_what_the_queue_cannot_hold(self):
        done = run("--address", "127.0.0.1:0", "--once", "--workers", "1", "--queue", "1", "--requests", "30")
        self.assertEqual(done.returncode, 0)
        rejected = int(re.search(r"^Rejected: (\d+)", done.stdout, re.M)[1])
        self.assertEqual(int(statistics(done.stdout)["Total Requests"]) + rejected, 30)
        self.assertGreater(rejected, 0)


class Answers(unittest.TestCase):
    def test_resources(self):
        with Web("--requests", "0") as web:
            status, head, body = curl(web.url("/api/resource/7"))
            answer = json.loads(body)
            self.assertEqual((status, answer["id"], answer["status"]), (200, 7, 200))
            self.assertIn(answer["worker"], range(1, 6))
            self.assertGreaterEqual(answer["latency_ms"], 17)
            self.assertIn("Content-Type: application/json", head)
            status, _, body = curl(web.url("/api/resource/20"))
            answer = json.loads(body)
            self.assertEqual((status, answer["id"], answer["status"]), (500, 20, 500))
            self.assertEqual(answer["error"], "internal server error")
            for wrong in ("x", "-1", "1x", "99999999999999999999", "%ff"):
                self.assertEqual(curl(web.url(f"/api/resource/{wrong}"))[0], 400, wrong)

    def test_stats_health_and_the_rest(self):
        with Web("--requests", "0") as web:
            curl(web.url("/api/resource/10"))
            stats = json.loads(curl(web.url("/stats"))[2])
            self.assertEqual((stats["requests"], stats["active"], stats["errors"]), (1, 0, 1))
            self.assertGreaterEqual(stats["total_latency_ms"], 20)
            self.assertEqual(curl(web.url("/healthz"))[0], 200)
            self.assertEqual(curl(web.url("/nothing"))[0], 404)
            self.assertEqual(curl(web.url("/"))[0], 404)
            status, head, _ = curl(web.url("/stats"), "-X", "POST")
            self.assertEqual(status, 405)
            self.assertIn("Allow: GET, HEAD", head)

    def test_one_connection_for_several(self):
        with Web("--requests", "0") as web:
            url = web.url("/healthz")
            done = subprocess.run(["curl", "-s", "-w", "%{num_connects}", url, url, url], capture_output=True, text=True)
            self.assertEqual(done.stdout, "ok\n1ok\n0ok\n0")

    def test_a_full_queue_answers_503_with_retry_after(self):
        with Web("--requests", "0", "--workers", "1", "--queue", "1") as web:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda _: curl(web.url("/api/resource/49")), range(8)))
            statuses = [a[0] for a in answers]
            self.assertIn(200, statuses)
            self.assertIn(503, statuses)
            self.assertTrue(all("Retry-After: " in a[1] for a in answers if a[0] == 503))
            stats = json.loads(curl(web.url("/stats"))[2])
            self.assertEqual((stats["requests"], stats["rejected"]), (statuses.count(200), statuses.count(503)))


class Ending(unittest.TestCase):
    def test_answers_what_was_accepted(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with Web("--requests", "0", "--workers", "2") as web, concurrent.futures.ThreadPoolExecutor(10) as pool:
                answers = [pool.submit(curl, web.url("/api/resource/49")) for _ in range(10)]
                while json.loads(curl(web.url("/stats"))[2])["requests"] != 10:
                    time.sleep(0.005)
                out, _, code = web.end(number)
                self.assertEqual(code, 0)
                self.assertEqual([a.result()[0] for a in answers], [200] * 10)
                self.assertEqual(statistics(out)["Total Requests"], "10")
                self.assertEqual(statistics(out)["Active Connections"], "0")

    def test_a_second_signal_ends_at_once(self):
        with Web("--requests", "0", "--grace", "60") as web:
            slow = socket.create_connection(tuple(web.address.rsplit(":", 1)))
            slow.sendall(b"GET /healthz HTTP/1.1\r\nHo")  # a request that has begun, and does not go on
            self.assertEqual(curl(web.url("/healthz"))[0], 200)  # accepted after the slow one
            web.process.send_signal(signal.SIGINT)
            self.assertIn("once more to end at once", web.process.stderr.readline())
            web.process.send_signal(signal.SIGINT)
            self.assertEqual(web.process.wait(timeout=20), 128 + signal.SIGINT)  # not after the grace
            slow.close()

    def test_a_signal_during_the_load_ends_it(self):
        with Web("--requests", "500" if SANITIZED else "3000",
                  "--queue", "10000", "--grace", "1") as web:
            while json.loads(curl(web.url("/stats"))[2])["requests"] < 100:
                time.sleep(0.005)
            _, err, code = web.end()
            self.assertIn(code, (0, 1), err)  # 1: the grace was too short for thousands of requests


class WrongUse(unittest.TestCase):
    def expect_sentence(self, sentence, *arguments):
        done = run(*arguments)
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Agofer-web: [^\n]+\n\Z")
        self.assertIn(sentence, done.stderr)

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.expect_sentence(f"cannot listen on {address}: Address already in use", "--address", address)

    def test_wrong_addresses_and_options(self):
        self.expect_sentence("is not an address", "--address", "8080")
        self.expect_sentence("it has no host", "--address", ":8080")
        self.expect_sentence("--workers", "--workers", "0")
        self.expect_sentence("--workers", "--workers", "many")
        self.expect_sentence("--grace: nan is no number", "--grace", "nan")
        self.expect_sentence("--nonsense", "--nonsense")

    def test_help(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        for option in ("--address", "--workers", "--queue", "--requests", "--once", "--grace"):
            self.assertIn(option, done.stdout)



class Observing(unittest.TestCase):
    def test_metrics_count_what_was_answered(self):
        with Web("--requests", "0") as web:
            for path in ["/healthz"] * 3 + ["/nothing", "/api/resource/10", "/api/resource/11"]:
                curl(web.url(path))
            status, head, body = curl(web.url("/metrics"))
            self.assertEqual(status, 200)
            self.assertIn("Content-Type: text/plain; version=0.0.4", head)
            values = {name.replace('"', "'"): value for name, value in
                      re.findall(r"^([a-z_]+(?:{.*})?) (\S+)$", body, re.M)}
            of_health, of_resources = "route='GET /healthz'", "route='GET /api/resource/{id}'"
            self.assertEqual(values[f"http_answers_total{{{of_health},status='2xx'}}"], "3")
            self.assertEqual(values["http_answers_total{route='',status='4xx'}"], "1")
            self.assertEqual(values[f"http_answers_total{{{of_resources},status='2xx'}}"], "1")
            self.assertEqual(values[f"http_answers_total{{{of_resources},status='5xx'}}"], "1")
            self.assertEqual(values[f"http_answer_seconds_count{{{of_health}}}"], "3")
            buckets = [int(values[f"http_answer_seconds_bucket{{{of_resources},le='{limit}'}}"]) for limit in
                       ("0.000262144", "0.016777216", "4.294967296", "+Inf")]
            self.assertEqual((buckets[0], buckets[2:]), (0, [2, 2]))
            self.assertEqual(sorted(buckets), buckets)
            self.assertGreater(float(values[f"http_answer_seconds_sum{{{of_resources}}}"]), 0.021)
            self.assertEqual(values["http_requests_total"], "7")
            self.assertEqual(values["http_requests_active"], "1")
            self.assertEqual(values["pool_submitted_total"], "2")
            self.assertEqual(values["pool_completed_total"], "2")
            self.assertGreater(int(values["gofer_fibers_parked"]), 5)

    def test_fibers_are_shown(self):
        with Web("--requests", "0", "--workers", "3") as web:
            status, _, body = curl(web.url("/debug/fibers"))
            self.assertEqual(status, 200)
            self.assertIn("resource/3", body)
            self.assertIn("http accept", body)

    def test_others_need_the_token(self):
        of_machine = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
        own = [a for a in of_machine if "." in a]
        if not own:
            self.skipTest("this machine has no address but loopback")
        for token, without, wrong, right in (("", 403, 403, 403), ("secret", 401, 401, 200)):
            with Web("--requests", "0", "--debug-token", token, address=f"{own[0]}:0") as web:
                self.assertEqual(curl(web.url("/metrics"))[0], without)
                self.assertEqual(curl(web.url("/metrics"), "-H", "Authorization: Bearer secreT")[0], wrong)
                self.assertEqual(curl(web.url("/metrics"), "-H", "Authorization: Bearer secret")[0], right)
                self.assertEqual(curl(web.url("/metrics"), "-u", "anybody:secret")[0], right)
                self.assertEqual(curl(web.url("/metrics"), "-u", "secret:")[0], wrong)
                self.assertEqual(curl(web.url("/debug/"))[0], without)
                self.assertEqual(curl(web.url("/healthz"))[0], 200)

    def test_another_sites_page_gets_nothing(self):
        with Web("--requests", "0", "--debug-token", "secret") as web:
            # A name that somebody else has made to mean this machine, and what a proxy here passes on:
            self.assertEqual(curl(web.url("/debug/"), "-H", "Host: evil.test")[0], 401)
            self.assertEqual(curl(web.url("/debug/"), "-H", "Host: localhost:80")[0], 200)
            play = web.url("/debug/load?requests=1")
            for header in ("Origin: http://evil.test", "Origin: null", "Sec-Fetch-Site: cross-site"):
                self.assertEqual(curl(play, "-X", "POST", "-H", header)[0], 403, header)
            own = f"Origin: http://{web.address}"
            self.assertEqual(curl(play, "-X", "POST", "-H", own, "-H", "Sec-Fetch-Site: same-origin")[0], 202)

    def test_the_dashboard_is_all_there(self):
        with Web("--requests", "0") as web:
            _, head, page = curl(web.url("/debug/"))
            self.assertIn("Content-Security-Policy: default-src 'none'", head)
            for name in re.findall(r'(?:src|href)="([a-z./]+)"', page):
                self.assertEqual(curl(web.url("/debug/" + name), "--path-as-is")[0], 200, name)
            events = socket.create_connection(tuple(web.address.rsplit(":", 1)), timeout=20)
            events.sendall(f"GET /debug/events HTTP/1.1\r\nHost: {web.address}\r\n\r\n".encode())
            text = ""
            while text.count("event: sample") < 2:
                text += events.recv(65536).decode()
            self.assertIn("Content-Type: text/event-stream", text)
            sample = json.loads(re.search(r"event: sample\ndata: (.*)", text)[1])["sample"]
            self.assertEqual((sample["workers"], sample["queued"]), (5, 0))
            _, err, code = web.end()
            events.close()
            self.assertEqual(code, 0, err)

    def test_fibers_can_be_found(self):
        with Web("--requests", "0", "--workers", "30") as web:
            all_of_them = json.loads(curl(web.url("/debug/fibers.json?most=3&search=resource/"))[2])
            self.assertEqual((all_of_them["found"], len(all_of_them["fibers"])), (30, 3))
            self.assertEqual(all_of_them["fibers"][0]["operation"], "worker_pool: waiting for a task")

    def test_answers_are_logged(self):
        with Web("--requests", "0", "--log") as web:
            curl(web.url("/healthz"), "-H", "X-Request-Id: of-this-test")
            curl(web.url("/nothing"))
            _, err, _ = web.end()
            first, second = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
            self.assertEqual((first["id"], first["target"], first["status"], first["bytes"]),
                             ("of-this-test", "/healthz", 200, 3))
            self.assertEqual((second["method"], second["status"]), ("GET", 404))


class Https(unittest.TestCase):
    def certificate(self, folder, name):
        files = [os.path.join(folder, name + end) for end in (".pem", ".key")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout",
                        files[1]], check=True, capture_output=True)
        return files

    def test_is_spoken_as_others_speak_it(self):
        with tempfile.TemporaryDirectory() as folder:
            pem, key = self.certificate(folder, "a")
            with Web("--tls-certificate", pem, "--tls-key", key) as web:
                for version in ("1.2", "1.3"):
                    status, _, body = curl(web.url("/healthz"), "--cacert", pem, f"--tlsv{version}", "--tls-max", version)
                    self.assertEqual((status, body), (200, "ok\n"))
                with self.assertRaises(ConnectionError):  # of whom curl does not trust
                    curl(web.url("/healthz"))

                def handshake(*arguments):
                    return subprocess.run(["openssl", "s_client", "-connect", web.address, "-CAfile", pem, *arguments],
                                          input="", capture_output=True, text=True)
                self.assertIn("ALPN protocol: http/1.1", handshake("-alpn", "h2,http/1.1").stdout)
                self.assertIn("no application protocol", handshake("-alpn", "h2").stderr)
                self.assertNotEqual(handshake("-tls1_1", "-cipher", "ALL:@SECLEVEL=0").returncode, 0)
                self.assertNotEqual(handshake("-tls1_2", "-cipher", "AES128-SHA").returncode, 0)

                fresh_pem, fresh_key = self.certificate(folder, "b")
                os.replace(fresh_key, key)
                web.process.send_signal(signal.SIGHUP)
                self.assertIn("going on with the certificate as it was", web.process.stderr.readline())
                self.assertEqual(curl(web.url("/healthz"), "--cacert", pem)[0], 200)
                shutil.copy(fresh_pem, pem)
                web.process.send_signal(signal.SIGHUP)
                self.assertIn("has been read again", web.process.stderr.readline())
                self.assertEqual(curl(web.url("/healthz"), "--cacert", fresh_pem)[0], 200)
                _, err, code = web.end()
                self.assertEqual(code, 0, err)


class Clients(unittest.TestCase):
    def test_who_goes_away_is_not_worked_for(self):
        with Web("--requests", "0", "--workers", "1", "--queue", "1000") as web:
            clients = [socket.create_connection(tuple(web.address.rsplit(":", 1))) for _ in range(100)]
            for c in clients:
                c.sendall(b"GET /api/resource/49 HTTP/1.1\r\nHost: x\r\n\r\n")
            while json.loads(curl(web.url("/stats"))[2])["requests"] < 100:
                pass
            for c in clients:
                c.close()
            while json.loads(curl(web.url("/stats"))[2])["active"] > 0:
                pass
            stats = json.loads(curl(web.url("/stats"))[2])
            self.assertGreater(stats["abandoned"], 50)
            curl(web.url("/api/resource/1"))  # is not behind them
            out, _, _ = web.end()
            self.assertIn(f"Abandoned: {stats['abandoned']} ", out)


    @unittest.skipUnless(shutil.which("slowhttptest"), "slowhttptest is not installed")
    def test_slow_ones_cost_fibers_and_no_worker(self):
        with Web("--requests", "0") as web:
            def metric(name):
                return int(re.search(rf"^{name} (\d+)$", curl(web.url("/metrics"))[2], re.M)[1])
            threads = metric("gofer_threads")
            slow = [subprocess.Popen(["slowhttptest", *mode, "-c", "150", "-r", "150", "-i", "1", "-l", "7", "-v", "0", "-u",
                                      web.url(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    for mode, path in ((["-H"], "/healthz"), (["-B"], "/healthz"), (["-R"], "/debug/uplot.js"),
                                       (["-X", "-n", "1", "-z", "5"], "/debug/uplot.js"))]
            most = 0
            while any(s.poll() is None for s in slow):
                self.assertEqual(curl(web.url("/api/resource/1"))[0], 200)
                most = max(most, metric("http_connections"))
            self.assertGreater(most, 150)
            self.assertGreater(metric("http_refused_total"), 100)  # heads that did not come in time
            self.assertEqual(metric("http_overloaded_total"), 0)
            self.assertLess(metric("gofer_threads"), threads + 5)
            _, err, code = web.end()
            self.assertEqual(code, 0, err)

    def test_ten_thousand_idle_ones_are_kept(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        count = min(10_000, limit - 200) if not SANITIZED else 500
        request, right = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK"
        with Web("--requests", "0", "--max-connections", "20000") as web:
            def resident():
                with open(f"/proc/{web.process.pid}/status", encoding="ascii") as status:
                    return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024
            before = resident()
            kept = []
            for _ in range(count):
                kept.append(socket.create_connection(tuple(web.address.rsplit(":", 1)), timeout=30))
                kept[-1].sendall(request)
                self.assertTrue(kept[-1].recv(4096).startswith(right))
            each = (resident() - before) / count
            print(f"{count} idle connections: {each:.0f} bytes each", file=sys.stderr)
            if not SANITIZED:
                self.assertLess(each, 3_000)
            for c in kept:
                c.sendall(request)
                self.assertTrue(c.recv(4096).startswith(right))
                c.close()
            while int(re.search(r"^http_connections (\d+)$", curl(web.url("/metrics"))[2], re.M)[1]) > 1:
                pass


class Restart(unittest.TestCase):
    def test_without_a_gap(self):
        with Web("--requests", "0", "--reuse-port") as old:
            over = threading.Event()
            failures, asked = [], [0]

            def ask():  # each time over a new connection
                while not over.is_set():
                    try:
                        with urllib.request.urlopen(old.url("/healthz"), timeout=10) as answer:
                            answer.read()
                    except OSError as e:
                        failures.append(e)
                    asked[0] += 1
            clients = [threading.Thread(target=ask) for _ in range(4)]
            for c in clients:
                c.start()
            load = subprocess.Popen([PROGRAM, "--load", old.url("/healthz"), "--duration", "3", "--connections", "16"],
                                    stdout=subprocess.PIPE, text=True)
            time.sleep(1)
            with Web("--requests", "0", "--reuse-port", address=old.address) as new:
                time.sleep(0.2)
                _, err, code = old.end(signal.SIGTERM)
                self.assertEqual(code, 0, err)
                out, _ = load.communicate(timeout=30)
                over.set()
                for c in clients:
                    c.join()
                self.assertEqual((load.returncode, failures), (0, []), out)
                self.assertGreater(asked[0], 50)
                self.assertIn("failed    0\n", out)
                served = int(re.search(r"^http_requests_total (\d+)$", curl(new.url("/metrics"))[2], re.M)[1])
                self.assertGreater(served, 100)


class Measuring(unittest.TestCase):
    def test_counts_what_it_asked(self):
        with Web("--requests", "0") as web:
            done = run("--load", web.url("/healthz"), "--requests", "500", "--connections", "7")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, r"over 7 connections for ")
            self.assertRegex(done.stdout, r"answers   500, \d+ a second")
            self.assertIn("status    200: 500\n", done.stdout)
            self.assertIn("failed    0\n", done.stdout)
            rows = re.findall(r"^ +\S+s  #* +(\d+)$", done.stdout, re.M)
            self.assertEqual(sum(map(int, rows)), 500)

    def test_measures_for_a_time(self):
        with Web("--requests", "0") as web:
            begin = time.monotonic()
            done = run("--load", web.url("/nothing"), "--duration", "0.5")
            self.assertGreater(time.monotonic() - begin, 0.5)
            self.assertRegex(done.stdout, r"status    404: \d+")
            self.assertNotIn("200", re.findall(r"status +(\d+)", done.stdout))

    def test_says_why_it_cannot(self):
        done = run("--load", "http://127.0.0.1:1/")
        self.assertEqual(done.returncode, 2)
        self.assertIn("127.0.0.1:1: Connection refused", done.stderr)
        self.assertEqual(run("--load", "ftp://x/").returncode, 2)
        self.assertEqual(run("--requests", "1000000").returncode, 2)

if __name__ == "__main__":
    unittest.main()
