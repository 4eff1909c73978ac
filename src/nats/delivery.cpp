#include "nats/delivery.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace gofer::inline v0::nats {

/// Its parts are "$JS.ACK.stream.consumer.times.sequence.of the consumer.time.pending", which newer servers write with
/// a domain and an account before, and something random behind.
delivery read_delivery(std::string_view reply) {
  std::array<std::string_view, 12> parts;
  std::size_t count = 0;
  while (count < parts.size()) {
    const std::size_t end = std::min(reply.find('.'), reply.size());
    parts[count++] = reply.substr(0, end);
    if (end == reply.size()) break;
    reply.remove_prefix(end + 1);
  }
  const std::size_t first = count >= 11 ? 6 : 4;
  delivery d;
  if (count < first + 4) return d;
  const auto read = [&](std::size_t i, auto& into) {
    std::from_chars(parts[i].data(), parts[i].data() + parts[i].size(), into);
  };
  read(first, d.times);
  read(first + 1, d.sequence);
  read(first + 3, d.stored);
  return d;
}

}  // namespace gofer::inline v0::nats
