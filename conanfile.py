"""conan create . (Conan 2); -o 'gofer/*:http=False' for the core alone, which needs nothing."""

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class Gofer(ConanFile):
    name = "gofer"
    version = "0.1.0"
    description = "Go's concurrency toolkit for C++20"
    topics = ("concurrency", "fibers", "channels", "worker-pool", "http-server")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "http": [True, False]}
    default_options = {"shared": False, "http": True}
    exports_sources = "CMakeLists.txt", "cmake/*", "include/*", "src/*", "tools/gdb/*", "LICENSE", "README.md", "CHANGELOG.md"

    def requirements(self):
        if self.options.http:
            self.requires("boost/1.81.0", headers=True, libs=False, visible=False)
            self.requires("openssl/[>=3 <4]")

    def validate(self):
        if self.settings.os != "Linux" or self.settings.arch not in ("x86_64", "armv8"):
            raise ConanInvalidConfiguration("gofer runs on Linux, on x86-64 and aarch64")
        check_min_cppstd(self, 20)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["GOFER_DEVELOP"] = False
        toolchain.cache_variables["GOFER_NATS"] = False
        toolchain.cache_variables["GOFER_HTTP"] = bool(self.options.http)
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, f"{self.package_folder}/licenses")

    def package_info(self):
        # Its own configuration, with its components, is what find_package(gofer) finds.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["lib/cmake/gofer"]
        self.cpp_info.libs = ["gofer_http", "gofer_testing", "gofer"] if self.options.http else ["gofer_testing", "gofer"]
        self.cpp_info.system_libs = ["pthread", "dl"]
