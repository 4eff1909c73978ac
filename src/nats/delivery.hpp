#pragma once

#include <cstdint>
#include <string_view>

namespace gofer::inline v0::nats {

/// Which message of a stream came, and how often it has.
struct delivery {
  unsigned times = 1;  // this one included
  std::uint64_t sequence = 0;
  std::int64_t stored = 0;  // in nanoseconds since the epoch

  /// With the time: a stream that was removed and made again counts from 1 again.
  bool is_of_the_same(const delivery& other) const noexcept {
    return sequence == other.sequence && stored == other.stored;
  }
};

/// Reads the subject that answers to a message go to.
delivery read_delivery(std::string_view reply);

}  // namespace gofer::inline v0::nats
