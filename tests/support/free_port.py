"""Ports for servers that a test starts, and perhaps kills and starts again."""

import random
import socket

given = set()


def free_port():
    """One that nobody listens on, given once. Not one of those that the kernel gives to outgoing connections: one of these
    could have it just when the server is to start."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        first_outgoing = int(f.read().split()[0])
    while True:
        port = random.randrange(first_outgoing // 3, first_outgoing)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in given:
            given.add(port)
            return port
