#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include <gofer/gofer.hpp>
#include <gofer/http.hpp>

#include "histogram.hpp"

namespace web {

/// What was answered, by which route and how fast.
class measurements {
 public:
  struct answers {
    std::array<std::uint64_t, 6> by_class{};  // of the status: 2 is 200 to 299
    histogram latencies;                      // but of those that were streamed
    std::chrono::nanoseconds sum{0};          // of these latencies

    std::uint64_t count() const;
    std::uint64_t errors() const { return by_class[5]; }
    void add(const answers& other);
  };
  /// By the pattern of the route; "" is for what no route answers.
  using by_route = std::map<std::string, answers, std::less<>>;

  /// To be the outermost around a server's answers. Outlives its last one. Operators' pages are not measured: they
  /// would blur what clients see.
  gofer::http::middleware measure();

  by_route all() const;

 private:
  gofer::sharded<by_route> measured_;
};

/// All routes as one.
measurements::answers total(const measurements::by_route& all);

}  // namespace web
