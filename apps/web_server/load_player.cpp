#include "load_player.hpp"

#include <mutex>
#include <utility>

namespace web {

load_player::~load_player() {
  stop();
  played_.wait();
}

bool load_player::play(const std::string& address, std::size_t requests) {
  const std::scoped_lock hold(lock_);
  if (state_.playing) return false;
  state_ = {.possible = true, .playing = true, .requests = requests, .seen = {}};
  stop_ = {};
  played_.go([this, address, requests, stop = stop_.get_token()] {
    tell(run_load(address, requests, stop, [this](const load_report& so_far) { tell(so_far, true); }), false);
  });
  return true;
}

void load_player::tell(const load_report& seen, bool playing) {
  const std::scoped_lock hold(lock_);
  state_.playing = playing;
  state_.seen = seen;
}

void load_player::stop() {
  std::stop_source now;
  {
    const std::scoped_lock hold(lock_);
    now = stop_;
  }
  now.request_stop();
}

load_player::state load_player::now() const {
  const std::scoped_lock hold(lock_);
  return state_;
}

}  // namespace web
