#include "net/address.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <system_error>

#include <gofer/go.hpp>

namespace gofer::inline v0::net {
namespace {

[[noreturn]] void refuse(std::string_view address, const std::string& why) {
  throw std::invalid_argument("\"" + std::string(address) + "\" is not an address: " + why);
}

int look_up(const host_and_port& where, int flags, std::vector<endpoint>& found) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &list);
  if (error != 0) return error;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, &freeaddrinfo);
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    endpoint e;
    e.length = each->ai_addrlen;
    std::memcpy(&e.storage, each->ai_addr, each->ai_addrlen);
    found.push_back(e);
  }
  return 0;
}

}  // namespace

host_and_port split(std::string_view address) {
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos) refuse(address, "it has no port, as 127.0.0.1:8080 has");
  std::string_view host = address.substr(0, colon);
  const std::string_view port = address.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']') && host.size() > 2) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":[]") != std::string_view::npos) {
    refuse(address, "an IPv6 address is written in brackets, as [::1]:8080 is");
  }
  if (host.empty()) refuse(address, "it has no host; 127.0.0.1 is this machine alone, 0.0.0.0 all networks");
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number > 65535) {
    refuse(address, "the port has to be a number from 0 to 65535");
  }
  return {.host = std::string(host), .port = number};
}

std::vector<endpoint> resolve(std::string_view address) {
  const host_and_port where = split(address);
  std::vector<endpoint> found;
  if (look_up(where, AI_NUMERICHOST, found) == 0) return found;
  int system_error = 0;
  const int error = blocking([&] {
    const int result = look_up(where, AI_ADDRCONFIG, found);
    system_error = errno;
    return result;
  });
  if (error == 0) return found;
  if (error == EAI_SYSTEM) {
    throw std::system_error(system_error, std::system_category(), "cannot look up \"" + where.host + "\"");
  }
  throw std::system_error(std::make_error_code(std::errc::host_unreachable),
                          "cannot look up \"" + where.host + "\" (" + gai_strerror(error) + ")");
}

std::string to_string(const endpoint& e) {
  char text[INET6_ADDRSTRLEN] = "";
  if (e.storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(e.storage);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  if (e.storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(e.storage);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  return {};
}

}  // namespace gofer::inline v0::net
