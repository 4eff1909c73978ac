#!/usr/bin/env python3
"""gdb with tools/gdb/gofer.py shows the fibers of the program `parked`. Arguments: the script, the program."""

import re
import subprocess
import sys
import unittest

SCRIPT, PROGRAM = sys.argv[1:3]
del sys.argv[1:]


def gdb(*commands):
    arguments = [a for c in ("set pagination off", "set debuginfod enabled off", f"source {SCRIPT}", "break everything_is_parked",
                             "run", *commands) for a in ("-ex", c)]
    return subprocess.run(["gdb", "-batch", "-nx", *arguments, PROGRAM], capture_output=True, text=True, timeout=100)


class Gdb(unittest.TestCase):
    def test_info_fibers(self):
        out = gdb("info fibers").stdout
        for i in range(3):
            self.assertRegex(out, rf'\d+ "parked-{i}" waiting in latch::wait on 0x[0-9a-f]+', out)
        self.assertIn("3 fibers", out)

    def test_the_backtrace_of_a_fiber_and_that_the_program_goes_on(self):
        listing = gdb("info fibers").stdout
        number = re.search(r'(\d+) "parked-1"', listing)[1]
        done = gdb(f"fiber {number}", f"fiber {number} info registers rip pc", "backtrace 1", "delete", "continue")
        self.assertIn("wait_for_the_end", done.stdout)
        self.assertIn("everything_is_parked ()", done.stdout.split("wait_for_the_end")[-1], "the thread is where it was")
        self.assertIn("all have ended", done.stdout)
        self.assertIn("exited normally", done.stdout)

    def test_wrong_use(self):
        for wrong, sentence in (("fiber", "usage: fiber ID"), ("fiber x", "usage: fiber ID"), ("fiber 999", "there is no fiber 999")):
            self.assertIn(sentence, gdb(wrong).stderr)


if __name__ == "__main__":
    unittest.main()
