#include "watched_pool.hpp"

#include <chrono>
#include <exception>
#include <mutex>
#include <stdexcept>

#ifdef GOFER_WEB_NATS
#include <gofer/nats_queue.hpp>
#endif

namespace web {

watched_pool::watched_pool(const std::string& name, const std::string& servers) {
  if (name.empty()) return;
#ifdef GOFER_WEB_NATS
  seen_.emplace(look{.name = name, .error = "not seen yet"});
  watching_.go([this, servers] { watch(servers); });
#else
  static_cast<void>(servers);
  throw std::runtime_error("--watch-pool: this gofer-web was built without libnats");
#endif
}

watched_pool::~watched_pool() {
  over_.request_stop();
  watching_.wait();
}

std::optional<watched_pool::look> watched_pool::now() const {
  const std::scoped_lock hold(lock_);
  return seen_;
}

#ifdef GOFER_WEB_NATS
void watched_pool::watch(const std::string& servers) {
  using clock = std::chrono::steady_clock;
  const std::string name = now()->name;
  std::optional<gofer::nats_queue> queue;
  clock::time_point before;
  do {
    try {
      const bool first = !queue;
      if (first)
        queue.emplace(name, gofer::nats_options{.servers = servers, .request_timeout = std::chrono::seconds(5)});
      const gofer::nats_queue_status s = queue->status();
      const auto at = clock::now();
      const std::scoped_lock hold(lock_);
      const double since = std::chrono::duration<double>(at - before).count();
      const double rate = first ? 0 : (static_cast<double>(s.finished) - static_cast<double>(seen_->finished)) / since;
      *seen_ = {.name = name,
                .error = {},
                .stored = s.stored,
                .queued = s.queued,
                .running = s.running,
                .finished = s.finished,
                .dead = s.dead,
                .finished_by_second = rate,
                .paused = s.paused};
      before = at;
    } catch (const std::exception& e) {
      const std::scoped_lock hold(lock_);
      seen_->error = e.what();
    }
  } while (gofer::sleep_for(std::chrono::seconds(1), over_.get_token()));
}
#endif

}  // namespace web
