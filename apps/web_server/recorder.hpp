#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <gofer/gofer.hpp>
#include <gofer/http.hpp>

#include "json.hpp"
#include "load_player.hpp"
#include "measurements.hpp"
#include "resource_service.hpp"
#include "watched_pool.hpp"

namespace web {

/// Looks at the server every second, and keeps what it saw for five minutes.
class recorder {
 public:
  /// All outlive it.
  recorder(const gofer::http::server& server, const resource_service& service, const measurements& measured,
           const watched_pool& distributed, const load_player& load);
  recorder(const recorder&) = delete;
  recorder& operator=(const recorder&) = delete;
  ~recorder();

  /// Begins; ends with the server's shutdown.
  void start();

  struct subscription {
    std::string history;                               // samples as a JSON array
    std::shared_ptr<gofer::chan<std::string>> events;  // what comes after them, as JSON; closed when nothing will
  };
  /// Ends when the pointer is given up. A subscriber that does not keep up misses something: nobody waits for it.
  subscription subscribe();

 private:
  void record();
  json look();
  json sample(std::chrono::nanoseconds since_last, const measurements::answers& all, std::int64_t rejected);
  void publish(const json& event);

  const gofer::http::server& server_;
  const resource_service& service_;
  const measurements& measured_;
  const watched_pool& distributed_;
  const load_player& load_;
  gofer::wait_group recording_;

  // What the last look saw, for differences; of the recording fiber alone:
  std::chrono::steady_clock::time_point looked_{};
  measurements::answers answers_;
  std::int64_t rejected_ = 0;
  std::chrono::nanoseconds used_{0};  // of processors

  gofer::mutex lock_;
  // Guarded by lock_:
  std::deque<json> samples_;
  std::vector<std::weak_ptr<gofer::chan<std::string>>> subscribers_;
  bool over_ = false;
};

}  // namespace web
