// Small answers, by handlers in a pool: http_server ADDRESS WORKERS.

#include <cstdio>
#include <cstdlib>

#include <gofer/gofer.hpp>
#include <gofer/http.hpp>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: http_server ADDRESS WORKERS\n");
    return 2;
  }
  gofer::run([&] {
    gofer::http::server server(
        {.address = argv[1], .workers = std::strtoul(argv[2], nullptr, 10), .queue_capacity = 10'000});
    server.handle("GET /healthz", [](auto&, auto& r) { r.write("ok\n"); });
    server.serve();
  });
}
