#include <cstdio>

#include <gofer/http.hpp>
#include <gofer/http_client.hpp>

int main() {
  gofer::http::server server({.address = "127.0.0.1:0"});
  server.handle("GET /hello", [](auto&, auto& r) { r.write("hello"); });
  server.start();
  gofer::http::client client;
  std::printf("%s\n", client.get("http://" + server.address() + "/hello").body().c_str());
}
