#include "debug/report.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "debug/running_stack.hpp"

namespace gofer::inline v0::debug {
namespace {

/// "gofer::sched::" or another of our namespaces that are not the user's business.
bool is_ours_inside(const place& where) noexcept {
  for (const std::string_view inner : {"gofer::sched::", "gofer::sync::", "gofer::debug::", "gofer::channels::"}) {
    if (where.function.find(inner) < where.function.find('<')) return true;
  }
  return where.function.starts_with("gofer_") || where.file.find("/gofer/detail/sched/") != std::string::npos;
}

/// Where every fiber begins. Of what was inlined only the bare name may be known.
bool is_beginning(const place& where) noexcept {
  std::string_view name = where.function;
  name = name.substr(0, name.rfind('('));
  if (const std::size_t scope = name.rfind("::"); scope != std::string_view::npos) name.remove_prefix(scope + 2);
  return name == "fiber_main" || name == "run_body";
}

std::string in_words(std::chrono::milliseconds d) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f s", static_cast<double>(d.count()) / 1000);
  return text;
}

/// For a descriptor that does not block, of a terminal that is shared with others, for one. False: nobody reads.
bool takes_more_soon(int descriptor) noexcept {
  constexpr int patience = 1000;  // milliseconds
  pollfd one{.fd = descriptor, .events = POLLOUT, .revents = 0};
  return ::poll(&one, 1, patience) == 1 && (one.revents & POLLOUT) != 0;
}

/// While it lives, a pipe without a reader is an error in the calling thread, and not the end of the program.
class without_sigpipe {
 public:
  without_sigpipe() noexcept {
    sigemptyset(&only_);
    sigaddset(&only_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &only_, &before_);
  }
  without_sigpipe(const without_sigpipe&) = delete;
  without_sigpipe& operator=(const without_sigpipe&) = delete;
  ~without_sigpipe() {
    constexpr timespec at_once{};
    while (!was_pending_ && sigtimedwait(&only_, nullptr, &at_once) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t only_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

}  // namespace

std::string title(const char* what, std::uint64_t id, std::string_view name) {
  std::string text = what + (" " + std::to_string(id));
  if (!name.empty()) ((text += " \"") += name) += '"';
  return text;
}

std::string title(const sync::lock_holder& who) {
  return who.fiber == 0 ? "a plain thread" : title("fiber", who.fiber, who.name);
}

report& report::operator<<(std::string_view text) {
  text_ += text;
  if (text_.size() > 60'000) flush();
  return *this;
}

void report::flush() noexcept {
  const without_sigpipe while_writing;
  for (std::string_view left = text_; !left.empty();) {
    const auto written = ::write(descriptor_, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN && takes_more_soon(descriptor_)) continue;
    if (written <= 0) break;
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  text_.clear();
}

std::string report::first_place(std::span<const void* const> frames) {
  for (const void* address : frames) {
    if (is_beginning(places_.at(address, true).back())) break;
    if (std::string found = places_.users_place(address); !found.empty()) return found;
  }
  return "";
}

void report::stack(std::span<const void* const> frames, bool after_call) {
  unsigned number = 0;
  unsigned repeated = 0;
  std::string last;
  const auto tell_repeated = [&] {
    if (repeated != 0) *this << "        (" << std::to_string(repeated) << " more of the same)\n";
    repeated = 0;
  };
  for (const void* address : frames) {
    const std::vector<place>& here = places_.at(address, after_call || address != frames.front());
    if (is_beginning(here.back())) break;
    for (const place& where : here) {
      if (is_ours_inside(where)) continue;
      std::string text = where.function.empty() ? "?" : where.function;
      if (where.line != 0) text += " (" + where.file + ":" + std::to_string(where.line) + ")";
      if (text == last) {
        ++repeated;
        continue;
      }
      tell_repeated();
      char head[16];
      std::snprintf(head, sizeof(head), "    #%-2u ", number++);
      *this << head << text << "\n";
      last = std::move(text);
    }
  }
  tell_repeated();
}

void report::fiber(const sched::sighting& seen, const call_stack& frames) {
  *this << title("fiber", seen.id, seen.name());
  switch (seen.what) {
    case sched::sighting::state::running:
      *this << " running";
      break;
    case sched::sighting::state::runnable:
      *this << " ready to run";
      break;
    case sched::sighting::state::waiting:
      *this << " waiting " << in_words(seen.since) << " in " << seen.reason;
      if (const std::string at = first_place(frames.all()); !at.empty()) *this << " at " << at;
      break;
  }
  if (seen.started_at != nullptr) {
    if (const std::string at = places_.users_place(seen.started_at); !at.empty()) *this << ", started at " << at;
  }
  *this << "\n";
  if (seen.object != nullptr) {
    const sync::lock_holder holder = sync::holder_of(seen.object);
    if (holder.known) {
      *this << "    for what " << title(holder) << " holds";
      if (const std::string at = first_place(holder.where.all()); !at.empty()) *this << ", locked at " << at;
      *this << "\n";
    }
  }
  stack(frames.all(), seen.what != sched::sighting::state::running);
  *this << "\n";
}

void report::thread(const sched::sighting& seen) {
  *this << title("thread", seen.id, seen.name()) << " waiting " << in_words(seen.since) << " in " << seen.reason
        << "\n\n";
}

std::size_t report::everybody(sched::runtime& r) {
  std::size_t count = 0;
  r.fibers.for_each([&](const sched::fiber& f) {
    if (f.id.load(std::memory_order_acquire) == 0) return;
    sched::sighting seen;
    call_stack frames;
    {
      const sched::inspection inspected(r, f);
      seen = inspected.seen;
      if (seen.context != nullptr) frames = walk(seen.context);
    }
    if (seen.id == 0) return;  // it has just finished
    if (seen.what == sched::sighting::state::running) frames = walk_running(seen);
    fiber(seen, frames);
    ++count;
  });
  sched::for_each_waiting_thread(r, [this](const sched::sighting& seen) { thread(seen); });
  return count;
}

}  // namespace gofer::inline v0::debug
