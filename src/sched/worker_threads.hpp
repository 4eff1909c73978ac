#pragma once

#include <pthread.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <system_error>
#include <vector>

namespace gofer::inline v0::sched {

/// The threads that workers run on, until they have ended altogether: with what libraries do at a thread's end, such as
/// OpenSSL, which must not meet what the same libraries do at the end of the program.
class worker_threads {
 public:
  /// Runs `body` in a new thread. Throws std::system_error if there can be none, and std::bad_alloc.
  template <class F>
  void start(F body) {
    auto given = std::make_unique<F>(std::move(body));
    const std::scoped_lock hold(lock_);
    threads_.emplace_back();
    const int error = pthread_create(
        &threads_.back(), nullptr,
        [](void* b) -> void* {
          (*std::unique_ptr<F>(static_cast<F*>(b)))();
          return nullptr;
        },
        given.get());
    if (error != 0) {
      threads_.pop_back();
      throw std::system_error(error, std::generic_category());
    }
    given.release();
  }

  /// All but the calling thread, if it is one of them; does not block.
  bool have_ended() {
    const std::scoped_lock hold(lock_);
    std::erase_if(threads_, [](pthread_t t) { return pthread_tryjoin_np(t, nullptr) == 0; });
    return std::ranges::all_of(threads_, [](pthread_t t) { return pthread_equal(t, pthread_self()) != 0; });
  }

 private:
  std::mutex lock_;
  std::vector<pthread_t> threads_;  // guarded by lock_
};

}  // namespace gofer::inline v0::sched
