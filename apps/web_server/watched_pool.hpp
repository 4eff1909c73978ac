#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <gofer/gofer.hpp>

namespace web {

/// A distributed pool that the dashboard shows beside our own: looked at every second, from outside.
class watched_pool {
 public:
  /// What was last seen of it.
  struct look {
    std::string name;
    std::string error;  // why the rest is old; empty: it is not
    std::uint64_t stored = 0, queued = 0, running = 0, finished = 0, dead = 0;
    double finished_by_second = 0;
    bool paused = false;
  };

  /// With an empty name there is none. Throws std::runtime_error if this program was built without libnats.
  watched_pool(const std::string& name, const std::string& servers);
  watched_pool(const watched_pool&) = delete;
  watched_pool& operator=(const watched_pool&) = delete;
  ~watched_pool();

  /// Nothing if there is none.
  std::optional<look> now() const;

 private:
  void watch(const std::string& servers);

  mutable gofer::mutex lock_;
  std::optional<look> seen_;  // guarded by lock_
  std::stop_source over_;
  gofer::wait_group watching_;
};

}  // namespace web
