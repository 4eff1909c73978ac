// Sends back what comes, to every connection in a fiber of its own: echo_server ADDRESS.

#include <cstdio>
#include <span>
#include <system_error>

#include <gofer/gofer.hpp>
#include <gofer/net.hpp>

int main(int argc, char** argv) {
  gofer::run([&] {
    auto listener = gofer::net::listener::listen(argc > 1 ? argv[1] : "127.0.0.1:8081");
    for (;;) {
      gofer::go([c = listener.accept()]() mutable {
        std::byte part[4096];
        std::error_code error;
        while (const std::size_t got = c.read_some(part, error)) {
          c.write(std::span(part, got), error);
          if (error) return;
        }
      });
    }
  });
}
