#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <system_error>
#include <vector>

#include <gofer/go.hpp>
#include <gofer/time.hpp>

#include "sched/runtime.hpp"

namespace gofer::inline v0 {
namespace {

constexpr std::size_t kept_signals = 16;

/// Handlers write the signal's number into a pipe; a fiber reads it and tells whoever asked.
class signal_board {
 public:
  static signal_board& get() {
    static auto& board = *new signal_board;  // handlers may run at any time, until the very end
    return board;
  }

  receiver<int> subscribe(std::initializer_list<int> signals) {
    subscriber fresh;
    sigemptyset(&fresh.signals);
    const std::scoped_lock hold(lock_);
    std::erase_if(subscribers_, [](const subscriber& s) { return !s.ch.ref()->shared(); });  // nobody can receive
    subscribers_.reserve(subscribers_.size() + 1);
    std::vector<struct sigaction> before(signals.size());
    for (std::size_t i = 0; i < signals.size(); ++i) {
      const int number = signals.begin()[i];
      struct sigaction action{};
      action.sa_handler = &on_signal;
      action.sa_flags = SA_RESTART | SA_ONSTACK;  // fibers have little room
      if (sigaction(number, &action, &before[i]) == 0) {
        sigaddset(&fresh.signals, number);
        continue;
      }
      const int error = errno;
      while (i-- > 0) sigaction(signals.begin()[i], &before[i], nullptr);
      throw std::system_error(error, std::system_category(),
                              "notify_signals: signal " + std::to_string(number) + " cannot be caught");
    }
    subscribers_.push_back(fresh);
    return fresh.ch;
  }

 private:
  struct subscriber {
    sigset_t signals;
    chan<int> ch{kept_signals};
  };

  signal_board() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::system_category(), "notify_signals: cannot make a pipe");
    }
    write_end = ends[1];
    try {
      poll_ = sched::runtime::get().network.open(ends[0]);
      go(go_options{.name = "signals"}, [this, end = ends[0]] { read(end); });
    } catch (...) {
      if (poll_ != nullptr) sched::runtime::get().network.close(ends[0], poll_);
      for (const int end : ends) ::close(end);
      throw;
    }
  }

  [[noreturn]] void read(int end) {
    for (;;) {
      unsigned char number = 0;
      const auto got = ::read(end, &number, 1);
      if (got == 1) {
        const std::scoped_lock hold(lock_);
        for (subscriber& s : subscribers_) {
          if (sigismember(&s.signals, number) == 1) s.ch.try_send(number);
        }
      } else {
        static constexpr std::atomic<sched::time_point> never{sched::no_deadline};
        poll_->readable.wait("notify_signals", never);
      }
    }
  }

  static void on_signal(int number) {
    const int error = errno;
    const auto byte = static_cast<unsigned char>(number);
    [[maybe_unused]] const auto written = ::write(write_end, &byte, 1);  // full: that many signals wait already
    errno = error;
  }

  static int write_end;
  sched::poll_record* poll_ = nullptr;
  std::mutex lock_;
  std::vector<subscriber> subscribers_;
};

int signal_board::write_end = -1;

}  // namespace

receiver<int> notify_signals(std::initializer_list<int> signals) { return signal_board::get().subscribe(signals); }

}  // namespace gofer::inline v0
