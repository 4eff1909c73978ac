#!/usr/bin/env python3
"""Uses gofer as projects outside of it do, in every way there is: package_test.py SOURCE BUILD [-v]."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = {"uses_gofer": "5051\n", "uses_http": "hello\n", "uses_testing": "explored\n", "uses_nats": "nobody is there\n"}


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(map(str, command))}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Package(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gofer-package-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def install(self, build=BUILD):
        run("cmake", "--install", build, "--prefix", self.folder / "usr")
        return self.folder / "usr"

    def use(self, by, *options, programs=tuple(PROGRAMS), targets=("all",)):
        """Builds the project of this folder, and runs it."""
        build = self.folder / "build"
        run("cmake", "-G", "Ninja", "-S", HERE, "-B", build, f"-DGOFER_BY={by}", "-DCMAKE_UNITY_BUILD=ON",
            "-DCMAKE_UNITY_BUILD_BATCH_SIZE=16", *options)
        run("cmake", "--build", build, "--target", *targets)
        for program in programs:
            self.assertEqual(run(build / program), PROGRAMS[program], program)

    def test_recipes_are_of_this_version(self):
        version = re.search(r"project\(gofer VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text())[1]
        self.assertEqual(json.loads((SOURCE / "packaging/vcpkg/gofer/vcpkg.json").read_text())["version"], version)
        self.assertIn(f'    version = "{version}"\n', (SOURCE / "conanfile.py").read_text())
        self.assertIn(f"inline v{version.split('.')[0]} {{", (SOURCE / "include/gofer/mutex.hpp").read_text())

    def test_find_package(self):
        prefix = self.install()
        self.use("find_package", f"-DCMAKE_PREFIX_PATH={prefix}", "-DGOFER_COMPONENTS=http;testing;nats")

    def test_what_is_not_there_is_said(self):
        prefix = self.install()
        with self.assertRaisesRegex(AssertionError, "gofer was built without its component nonsense"):
            self.use("find_package", f"-DCMAKE_PREFIX_PATH={prefix}", "-DGOFER_COMPONENTS=nonsense")
        with self.assertRaisesRegex(AssertionError, "9.9|version"):
            run("cmake", "-G", "Ninja", "-S", self.project_wanting("9.9"), "-B", self.folder / "other",
                f"-DCMAKE_PREFIX_PATH={prefix}")

    def project_wanting(self, version):
        folder = self.folder / "wanting"
        folder.mkdir()
        (folder / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(wanting LANGUAGES CXX)\n"
                                               f"find_package(gofer {version} CONFIG REQUIRED)\n")
        return folder

    @unittest.skipUnless(shutil.which("pkg-config"), "pkg-config is not installed")
    def test_pkg_config(self):
        prefix = self.install()
        found = [str(p.parent) for p in prefix.rglob("gofer.pc")]
        env = dict(os.environ, PKG_CONFIG_PATH=":".join(found))
        for package, source, program in (("gofer", "main.cpp", "uses_gofer"), ("gofer-http", "http.cpp", "uses_http"),
                                         ("gofer-testing", "testing.cpp", "uses_testing"),
                                         ("gofer-nats", "nats.cpp", "uses_nats")):
            flags = run("pkg-config", "--define-prefix", "--cflags", "--libs", package, env=env).split()
            run("g++", "-std=c++20", HERE / source, "-o", self.folder / program, *flags)
            self.assertEqual(run(self.folder / program), PROGRAMS[program], program)

    def test_sources_within_a_project(self):
        self.use("add_subdirectory", f"-DGOFER_FROM={SOURCE}", "-DGOFER_HTTP=OFF",
                 programs=["uses_gofer"], targets=["uses_gofer"])

    def test_fetched_and_shared(self):
        self.use("FetchContent", f"-DGOFER_FROM={SOURCE}", "-DGOFER_HTTP=OFF", "-DBUILD_SHARED_LIBS=ON",
                 "-DGOFER_INSTALL=ON", programs=["uses_gofer"])
        # Installed from there, as a shared library that shows what is gofer's and nothing else.
        prefix = self.install(self.folder / "build")
        library = next(prefix.rglob("libgofer.so.*.*.*"))
        shown = run("nm", "-D", "-C", "--defined-only", library).splitlines()
        foreign = [line for line in shown if "gofer" not in line]
        self.assertGreater(len(shown), 100)
        self.assertEqual(foreign, [])
        shutil.rmtree(self.folder / "build")
        self.use("find_package", f"-DCMAKE_PREFIX_PATH={prefix}", programs=["uses_gofer"])

    @unittest.skipUnless(shutil.which("dpkg-deb"), "there is no dpkg")
    def test_debian_package(self):
        run("cpack", "-G", "DEB", "-B", self.folder, cwd=BUILD)
        package = next(self.folder.glob("libgofer-dev_*.deb"))
        self.assertIn("libssl-dev", run("dpkg-deb", "-f", package, "Depends"))
        root = self.folder / "root"
        if os.geteuid() == 0:  # installed, in a system of its own in which nothing else is
            (root / "var/lib/dpkg/updates").mkdir(parents=True)
            (root / "var/lib/dpkg/info").mkdir()
            (root / "var/lib/dpkg/status").touch()
            run("dpkg", f"--root={root}", "--force-depends", "--force-script-chrootless", "--install", package)
        else:
            run("dpkg-deb", "-x", package, root)
        self.use("find_package", f"-DCMAKE_PREFIX_PATH={root / 'usr'}", "-DGOFER_COMPONENTS=http;testing;nats")
        if os.geteuid() == 0:
            run("dpkg", f"--root={root}", "--purge", "libgofer-dev")
            self.assertEqual([p for p in root.rglob("*gofer*") if p.is_file()], [])


if __name__ == "__main__":
    unittest.main()
