#include "nats/puller.hpp"

#include <algorithm>
#include <charconv>
#include <exception>
#include <new>

#include "nats/go_counted.hpp"

namespace gofer::inline v0::nats {
namespace {

using namespace std::chrono_literals;

constexpr auto question_lasts = 5s;
constexpr auto heartbeat = 500ms;        // servers say so often that a question still stands
constexpr auto silence = 3 * heartbeat;  // then it does not: a server was lost, or the consumer
constexpr auto tick = 100ms;

std::uint64_t number_in(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

puller::puller(client& by, what w)
    : by_(by), w_(std::move(w)), inbox_(by.inbox("pull." + w_.stream + '.' + w_.consumer + '.')) {}

puller::~puller() { stop(); }

void puller::start() {
  go_counted(running_, "nats puller", [this] { run(); });
}

void puller::pause(bool paused) noexcept {
  paused_.store(paused, std::memory_order_release);
  wake_.try_send(true);
}

void puller::stop() noexcept {
  stopping_.request_stop();
  wake_.try_send(true);
  running_.wait();
}

void puller::run() noexcept {
  while (!stopping_.stop_requested()) {
    try {
      if (paused_.load(std::memory_order_acquire)) {
        be_silent();
      } else {
        listen();
        ask_for_more();
      }
    } catch (const std::exception&) {  // no server answers: again at the next tick
    }
    std::optional<bool> woken;
    wake_.receive_for(woken, tick);
  }
  be_silent();
}

void puller::listen() {
  if (listening_ != nullptr) return;
  listening_ = by_.subscribe(inbox_ + '*', [this](std::vector<message>& came) { sort(came); });
  connection_ = by_.connections();
}

void puller::be_silent() noexcept {
  if (listening_ == nullptr) return;
  listening_->drain();
  listening_.reset();
  forget_questions();
}

void puller::ask_for_more() {
  if (connection_ != by_.connections()) {  // what was asked over the one before is not answered over this one
    connection_ = by_.connections();
    forget_questions();
  }
  const sched::time_point now = sched::now();
  if (coming_.load(std::memory_order_relaxed) != 0 && now - heard_.load(std::memory_order_relaxed) > silence) {
    forget_questions();
    heard_.store(now, std::memory_order_relaxed);
    w_.repair();
  }
  if (refused_.exchange(false, std::memory_order_relaxed)) return;  // not before the next tick
  const std::size_t room = w_.room();
  const std::size_t taken = held_and_coming();
  if (taken >= room || taken >= w_.enough()) return;
  const std::size_t wanted = room - taken;
  const auto nanoseconds = [](auto d) { return std::to_string(std::chrono::nanoseconds(d).count()); };
  const std::string text = "{\"batch\":" + std::to_string(wanted) + ",\"expires\":" + nanoseconds(question_lasts) +
                           ",\"idle_heartbeat\":" + nanoseconds(heartbeat) + '}';
  const std::string subject = "$JS.API.CONSUMER.MSG.NEXT." + w_.stream + '.' + w_.consumer;
  const std::string reply = inbox_ + std::to_string(asked_ + 1);
  {
    const std::scoped_lock hold(lock_);
    std::erase_if(questions_, [&](const question& q) {
      if (q.until > now) return false;
      coming_.fetch_sub(q.left, std::memory_order_relaxed);
      return true;
    });
    questions_.push_back({.number = ++asked_, .left = wanted, .until = now + question_lasts + 1s});
    coming_.fetch_add(wanted, std::memory_order_relaxed);
  }
  if (taken == w_.held()) heard_.store(now, std::memory_order_relaxed);
  by_.request(subject, text, reply);
}

void puller::sort(std::vector<message>& came) {
  heard_.store(sched::now(), std::memory_order_relaxed);
  std::erase_if(came, [&](const message& m) {
    if (!m.subject().starts_with(inbox_)) return false;
    read_status(m);
    return true;
  });
  if (!came.empty()) {
    const std::size_t count = came.size();
    try {
      w_.take(came);
    } catch (const std::bad_alloc&) {  // what was not taken comes again when its lease is over
    }
    const std::scoped_lock hold(lock_);
    reduce(count);
  }
  nudge();
}

/// Servers deal out to several questions in turn; so of which question a message was does not matter, but how many.
void puller::reduce(std::size_t by) {
  while (by > 0 && !questions_.empty()) {
    question& first = questions_.front();
    const std::size_t some = std::min(by, first.left);
    first.left -= some;
    by -= some;
    coming_.fetch_sub(some, std::memory_order_relaxed);
    if (first.left == 0) questions_.pop_front();
  }
}

void puller::read_status(const message& m) {
  const std::string_view status = m.header("Status");
  if (status == "100") return;  // a heartbeat
  const std::scoped_lock hold(lock_);
  std::size_t unanswered = number_in(m.header("Nats-Pending-Messages"));
  const std::uint64_t number = number_in(m.subject().substr(inbox_.size()));
  const auto of = std::ranges::find(questions_, number, &question::number);
  if (of != questions_.end()) {
    if (unanswered == 0) unanswered = of->left;
    const std::size_t some = std::min(of->left, unanswered);
    coming_.fetch_sub(of->left, std::memory_order_relaxed);
    questions_.erase(of);
    unanswered -= some;
  }
  reduce(unanswered);
  if (status != "408" && status != "404") refused_.store(true, std::memory_order_relaxed);  // and not just out of time
}

void puller::forget_questions() noexcept {
  const std::scoped_lock hold(lock_);
  questions_.clear();
  coming_.store(0, std::memory_order_relaxed);
}

}  // namespace gofer::inline v0::nats
