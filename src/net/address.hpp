#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>
#include <vector>

namespace gofer::inline v0::net {

/// An IP address with a port, as the kernel takes it.
struct endpoint {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);

  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

struct host_and_port {
  std::string host;
  unsigned port;
};

/// The parts of "host:port". Throws std::invalid_argument for what is not an address.
host_and_port split(std::string_view address);

/// The endpoints of "host:port", never none. Looks names up, which may take long; other fibers go on meanwhile. Throws
/// std::invalid_argument for what is not an address, std::system_error for a name that is not found.
std::vector<endpoint> resolve(std::string_view address);

/// "127.0.0.1:80" or "[::1]:80"; empty for what is neither IPv4 nor IPv6.
std::string to_string(const endpoint& e);

}  // namespace gofer::inline v0::net
