#pragma once

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>

#include <gofer/gofer.hpp>

#include "load.hpp"

namespace web {

/// Plays the guide's load against a server, one at a time, beside everything else.
class load_player {
 public:
  /// What has been seen of the load that is played, or was last.
  struct state {
    bool possible = false;
    bool playing = false;
    std::size_t requests = 0;
    load_report seen;
  };

  explicit load_player(bool possible) : state_{.possible = possible, .seen = {}} {}
  load_player(const load_player&) = delete;
  load_player& operator=(const load_player&) = delete;
  /// Stops it, and waits for its end.
  ~load_player();

  /// Begins; false if one is being played. `address` is that of a server of plain HTTP.
  bool play(const std::string& address, std::size_t requests);
  /// The requests that are on their way are given up.
  void stop();

  state now() const;

 private:
  void tell(const load_report& seen, bool playing);

  mutable gofer::mutex lock_;
  // Guarded by lock_:
  state state_;
  std::stop_source stop_;

  gofer::wait_group played_;
};

}  // namespace web
