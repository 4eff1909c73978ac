#!/usr/bin/env python3
"""Compiles and runs every program that README and the documents show: docs_test.py SOURCE BUILD.

A block of C++ is a whole program, with a main or with tests of GoogleTest; "<!-- fails: TEXT -->" above it says that it fails and
prints that. One that serves goes on while those after it in the same document run; port 8080 is replaced by a free one, and
4222, where nats-server would listen, by that of one which is started for the document.
"""

import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "support"))
from free_port import free_port

SOURCE, BUILD = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
BLOCK = re.compile(r"(?:<!-- fails: (.*?) -->\n)?```cpp\n(.*?)```", re.S)


def flags():
    """What pkg-config says to who has installed this, of the build as it lies here."""
    return subprocess.run(["pkg-config", f"--define-variable=includedir={SOURCE / 'include'}", f"--define-variable=libdir={BUILD}",
                           "--cflags", "--libs", "gofer-testing", "gofer-http", "gofer-nats"], check=True, capture_output=True, text=True,
                          env=dict(os.environ, PKG_CONFIG_PATH=str(BUILD))).stdout.split()


def compile_program(text, folder, name):
    source = folder / f"{name}.cpp"
    source.write_text(text)
    tests = ["-lgtest_main", "-lgtest"] if "int main" not in text else []
    done = subprocess.run(["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", source, "-o", folder / name, *tests, *flags()],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{name} does not compile:\n{done.stderr}")
    return folder / name


def wait_for(port):
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            pass


def main():
    programs = 0
    for document in [SOURCE / "README.md", *sorted((SOURCE / "docs").rglob("*.md"))]:
        port, nats_port = free_port(), free_port()
        serving = []
        with tempfile.TemporaryDirectory() as folder:
            for i, (fails, text) in enumerate(BLOCK.findall(document.read_text(encoding="utf-8"))):
                name = f"{document.stem}_{i}"
                if ":4222" in text:
                    serving.append(subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", str(nats_port), "-js", "-sd", folder,
                                                     "-l", f"{folder}/nats.log"]))
                    wait_for(nats_port)
                text = text.replace(":8080", f":{port}").replace(":4222", f":{nats_port}")
                program = compile_program(text, pathlib.Path(folder), name)
                programs += 1
                if ".serve()" in text:
                    serving.append(subprocess.Popen([program], stderr=subprocess.DEVNULL))
                    wait_for(port)
                    continue
                done = subprocess.run([program], capture_output=True, text=True, timeout=120)
                output = done.stdout + done.stderr
                print(f"{name}: {output.strip()[:200]!r}")
                if fails and (done.returncode == 0 or fails not in output):
                    raise SystemExit(f"{name} was to fail with {fails!r}:\n{output}")
                if not fails and (done.returncode != 0 or not output):
                    raise SystemExit(f"{name} ended with {done.returncode}:\n{output}")
            for server in serving:
                server.kill()
                server.wait()
    print(f"{programs} programs")
    return 0 if programs >= 5 else 1


sys.exit(main())
