#!/usr/bin/env python3
"""scripts/check_layers finds what reaches down, and nothing else: check_layers_test.py CHECK_LAYERS."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)


class Layers(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = pathlib.Path(root) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            done = subprocess.run([PROGRAM, root], capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

    def test_includes_of_the_own_layer_and_of_those_above_are_fine(self):
        code, _ = self.check({"src/sync/a.cpp": '#include <gofer/mutex.hpp>\n#include "sched/b.hpp"\n#include <vector>\n',
                              "include/gofer/mutex.hpp": "#include <gofer/detail/sched/c.hpp>\n"})
        self.assertEqual(code, 0)

    def test_includes_that_reach_down_are_found(self):
        for name, line in (("src/sched/a.cpp", '#include "sync/b.hpp"'), ("src/arch/a.hpp", "#  include <gofer/chan.hpp>"),
                           ("include/gofer/mutex.hpp", "#include <gofer/chan.hpp>"),
                           ("include/gofer/detail/sched/a.hpp", "#include <gofer/detail/task/b.hpp>"),
                           ("src/net/a.cpp", '#include "http/b.hpp"')):
            code, out = self.check({name: f"\n{line}\n"})
            self.assertEqual(code, 1, line)
            self.assertIn(f"{name}:2: ", out)

    def test_a_file_of_no_layer_is_found(self):
        self.assertEqual(self.check({"src/util/a.cpp": ""})[0], 1)
        self.assertEqual(self.check({"include/gofer/misc.hpp": ""})[0], 1)


if __name__ == "__main__":
    unittest.main()
