#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace web {

/// What the server did, at one moment.
struct statistics {
  std::int64_t requests = 0;            // accepted
  std::int64_t answered = 0;            // of these
  std::int64_t errors = 0;              // of these, with 500
  std::int64_t abandoned = 0;           // accepted, but the client went away, or the server did
  std::int64_t rejected = 0;            // not accepted: the queue was full
  std::chrono::nanoseconds latency{0};  // of all answered: from a request's arrival to its answer

  std::int64_t active() const noexcept { return requests - answered - abandoned; }
  std::chrono::nanoseconds average_latency() const noexcept {
    return answered == 0 ? std::chrono::nanoseconds(0) : latency / answered;
  }
};

statistics operator+(const statistics& a, const statistics& b);

/// "1.250s", "12.345ms", "7.100µs".
std::string to_text(std::chrono::nanoseconds d);

/// The guide's five lines, and one more for each of rejected and abandoned, if there are any.
void print(const statistics& s);

}  // namespace web
