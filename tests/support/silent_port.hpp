#pragma once

// A network that does not answer.

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "net/address.hpp"

namespace test {

/// A port that answers nobody: it has all the connections that it may have before they are accepted.
class silent_port {
 public:
  silent_port() {
    bind(listener_, at_.get(), at_.length);
    listen(listener_, 0);
    getsockname(listener_, at_.get(), &at_.length);
    do {
      callers_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      connect(callers_.back(), at_.get(), at_.length);
    } while (is_answered(callers_.back()));
  }
  silent_port(const silent_port&) = delete;
  silent_port& operator=(const silent_port&) = delete;
  ~silent_port() {
    for (const int each : callers_) close(each);
    close(listener_);
  }
  const gofer::net::endpoint& where() const { return at_; }

 private:
  static bool is_answered(int caller) {
    pollfd when{.fd = caller, .events = POLLOUT, .revents = 0};
    return poll(&when, 1, 100) == 1;
  }

  gofer::net::endpoint at_ = gofer::net::resolve("127.0.0.1:0").front();
  int listener_ = socket(AF_INET, SOCK_STREAM, 0);
  std::vector<int> callers_;
};

}  // namespace test
