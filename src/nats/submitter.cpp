#include "nats/submitter.hpp"

#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <gofer/detail/sched/insist.hpp>
#include <gofer/go.hpp>

#include "nats/jetstream.hpp"
#include "nats/letters.hpp"
#include "nats/wait_for_all.hpp"

namespace gofer::inline v0::nats {
namespace {

using namespace std::chrono_literals;

/// How many tasks of one batch may be on their way.
constexpr std::size_t window = 1024;
/// How long a task that found no room waits to be tried again.
constexpr auto first_pause = 5ms;
constexpr auto longest_pause = 100ms;
/// Of a message, for what a dead letter has to say beside its task.
constexpr std::size_t for_headers = 16'384;
/// What stop() leaves to the servers to say that they have stored what is on its way.
constexpr auto last_moment = 1s;

void raise_to(std::atomic<std::uint64_t>& highest, std::uint64_t value) {
  std::uint64_t seen = highest.load(std::memory_order_relaxed);
  while (seen < value && !highest.compare_exchange_weak(seen, value, std::memory_order_acq_rel)) {
  }
}

}  // namespace

/// One task on its way; used again for others of its batch.
class submitter::submission final : public call {
 public:
  explicit submission(batch& of) noexcept : of_(of) {}

  void answered(const message& answer) noexcept override {
    end(sched::insist([&] { return read_stored_reply(answer.data()); }));
  }
  void unanswered() noexcept override {
    end(sched::insist([] { return stored_reply{.error = "no server has answered in time"}; }));
  }

  raw_task task;
  sched::time_point give_up = sched::no_deadline;
  stored_reply reply;
  submission* next_ended = nullptr;

 private:
  void end(stored_reply r) noexcept;

  batch& of_;
};

/// The tasks of one call of `submit`.
class submitter::batch {
 public:
  batch(submitter& by, const std::function<bool(raw_task&)>& next, no_room mode, const sched::wait_limit& limit)
      : by_(by), next_(next), mode_(mode), limit_(limit) {}

  report run() {
    while (begin_some()) {
      wait_for_answers();
      take_answers();
    }
    drop_the_rest();
    if (thrown_ != nullptr) std::rethrow_exception(thrown_);
    if (!error_.empty()) throw nats_error("nats_pool \"" + by_.called_.pool + "\": submit: " + error_ + so_far());
    if (stopped_ && is_cut_short()) {
      throw pool_stopped("nats_pool \"" + by_.called_.pool + "\": submit: the pool has been drained or stopped" +
                         so_far());
    }
    return std::move(report_);
  }

  void end(submission& s) noexcept {
    std::optional<chan<bool>> wake;  // whoever waits may be gone with all of this when it has seen the last one
    {
      const std::scoped_lock hold(lock_);
      s.next_ended = std::exchange(ended_, &s);
      if (++ended_count_ == wake_at_) wake = wake_;
    }
    if (wake) wake->try_send(true);
  }

 private:
  bool failed() const noexcept { return stopped_ || thrown_ != nullptr || !error_.empty() || report_.full; }

  bool is_cut_short() {
    raw_task left;
    return dropped_ || (!exhausted_ && next_(left));
  }

  std::string so_far() const {
    return report_.accepted == 0 ? std::string()
                                 : "; " + std::to_string(report_.accepted) + " tasks before were stored";
  }

  /// Starts what can be. False: all is done.
  bool begin_some() {
    if (by_.stopping_.stop_requested()) stopped_ = true;
    while (!failed() && in_flight_ < window) {
      submission* s = nullptr;
      if (!again_.empty()) {
        if (sched::now() < again_at_) break;
        s = again_.back();
        again_.pop_back();
      } else if (s = fresh_or_thrown(); s == nullptr) {
        break;
      }
      start(*s);
    }
    if (stopped_) {
      for (const auto& s : all_) by_.by_.limit(*s, sched::now() + last_moment);
    }
    return in_flight_ != 0 || (!failed() && !again_.empty());
  }

  submission* fresh_or_thrown() noexcept {
    try {
      return fresh();
    } catch (...) {  // those on their way come first
      thrown_ = std::current_exception();
      return nullptr;
    }
  }

  submission* fresh() {
    if (exhausted_) return nullptr;
    raw_task task;
    if (!next_(task)) {
      exhausted_ = true;
      return nullptr;
    }
    check_id(task.id);
    if (task.payload.size() + for_headers > by_.by_.largest_message()) {
      throw nats_error("nats_pool \"" + by_.called_.pool + "\": submit: a task of " +
                       std::to_string(task.payload.size()) + " bytes is too large: with " +
                       std::to_string(for_headers) + " for headers the servers take " +
                       std::to_string(by_.by_.largest_message()));
    }
    if (task.id.empty()) task.id = by_.next_id();
    if (idle_.empty()) {
      all_.push_back(std::make_unique<submission>(*this));
      idle_.reserve(all_.capacity());  // each is in one of the two now and then, where there must be room for it
      again_.reserve(all_.capacity());
      idle_.push_back(all_.back().get());
    }
    submission* s = idle_.back();
    idle_.pop_back();
    s->task = std::move(task);
    s->begin_anew();
    s->give_up = sched::deadline_after(by_.options_.submit_timeout);
    if (by_.hooks_.before) by_.hooks_.before(s->task.id);
    return s;
  }

  void start(submission& s) noexcept {
    outgoing what{.subject = by_.called_.task_subject.c_str(), .data = s.task.payload, .headers = {}};
    what.headers[0] = {server_id_header, s.task.id.c_str()};
    if (!by_.client_name_.empty()) what.headers[1] = {client_header, by_.client_name_.c_str()};
    try {
      by_.by_.start(s, what, s.give_up);
      ++in_flight_;
    } catch (const std::exception& e) {  // it is larger than what the servers take, or memory is out
      error_ = sched::insist([&] { return std::string(e.what()); });
      drop(s, s.was_repeated() ? by_.hooks_.perhaps_stored : by_.hooks_.not_stored);
    }
  }

  /// Until half of what is on its way has been answered, or all if there is no more to start.
  void wait_for_answers() {
    if (in_flight_ == 0) {  // all of what is left waits to be tried again
      sched::sleep({.deadline = again_at_, .stop = &stop_});
      return;
    }
    const bool more = !exhausted_ && !failed();
    {
      const std::scoped_lock hold(lock_);
      wake_at_ = more ? std::max<std::size_t>(in_flight_ / 2, 1) : in_flight_;
      if (ended_count_ >= wake_at_) return;
    }
    std::optional<bool> woken;
    wake_.receive_for(woken, 100ms);  // to see a stop; what has ended by then is taken
  }

  void take_answers() noexcept {
    submission* ended = nullptr;
    std::size_t count = 0;
    {
      const std::scoped_lock hold(lock_);
      wake_at_ = 0;
      ended = std::exchange(ended_, nullptr);
      count = std::exchange(ended_count_, 0);
    }
    in_flight_ -= count;
    bool refused = false;
    while (ended != nullptr) {
      submission* s = ended;
      ended = s->next_ended;
      if (s->reply.stored) {
        accept(*s);
      } else if (s->reply.full) {
        refused = true;
        find_no_room(*s);
      } else if (s->reply.passing && sched::now() < s->give_up) {
        refused = true;
        if (s->reply.duplicate && !s->was_repeated()) s->begin_anew();  // not taken: somebody else's is on its way
        again_.push_back(s);
      } else {
        if (error_.empty()) error_ = std::move(s->reply.error);
        drop(*s, by_.hooks_.perhaps_stored);
      }
    }
    if (refused) {
      again_at_ = sched::now() + pause_;
      pause_ = std::min<std::chrono::nanoseconds>(pause_ * 2, longest_pause);
    } else if (count != 0) {
      pause_ = first_pause;
    }
    if (failed()) drop_the_rest();
  }

  void count_accepted(const submission& s) {
    ++report_.accepted;
    by_.accepted.fetch_add(1, std::memory_order_relaxed);
    sched::insist([&] { report_.last_id = s.task.id; });
  }

  void accept(submission& s) {
    count_accepted(s);
    raise_to(by_.last_sequence_, s.reply.sequence);
    if (s.reply.duplicate && !s.was_repeated()) {  // else it is the duplicate of our own first try
      by_.duplicates.fetch_add(1, std::memory_order_release);
      return drop(s, by_.hooks_.duplicate);
    }
    idle_.push_back(&s);
  }

  void find_no_room(submission& s) {
    if (mode_ == no_room::wait && sched::now() < limit_.deadline) {
      s.give_up = sched::deadline_after(by_.options_.submit_timeout);  // the servers do answer
      again_.push_back(&s);
      return;
    }
    if (mode_ == no_room::run_here) return run_here(s);
    report_.full = true;
    by_.rejected.fetch_add(1, std::memory_order_relaxed);
    drop(s, by_.hooks_.not_stored);
  }

  void run_here(submission& s) {
    count_accepted(s);
    try {
      by_.hooks_.run_here(s.task);
    } catch (...) {  // its dead letter cannot be stored; those on their way come first
      if (thrown_ == nullptr) thrown_ = std::current_exception();
      return drop(s, by_.hooks_.not_stored);
    }
    idle_.push_back(&s);
  }

  /// Those that found no room and will not be tried again.
  void drop_the_rest() {
    dropped_ = dropped_ || !again_.empty();
    for (submission* s : again_) drop(*s, s->was_repeated() ? by_.hooks_.perhaps_stored : by_.hooks_.not_stored);
    again_.clear();
  }

  void drop(submission& s, const std::function<void(const std::string& id)>& tell) {
    if (tell) tell(s.task.id);
    idle_.push_back(&s);
  }

  submitter& by_;
  const std::function<bool(raw_task&)>& next_;
  const no_room mode_;
  const sched::wait_limit& limit_;
  const std::stop_token stop_ = by_.stopping_.get_token();

  std::vector<std::unique_ptr<submission>> all_;
  std::vector<submission*> idle_;
  std::vector<submission*> again_;
  sched::time_point again_at_{};
  std::chrono::nanoseconds pause_ = first_pause;
  std::size_t in_flight_ = 0;
  bool exhausted_ = false;
  bool stopped_ = false;
  bool dropped_ = false;
  std::string error_;
  std::exception_ptr thrown_;
  report report_;

  chan<bool> wake_{1};
  arch::spin_lock lock_;
  submission* ended_ = nullptr;  // guarded by lock_, as are:
  std::size_t ended_count_ = 0;
  std::size_t wake_at_ = 0;  // so many
};

void submitter::submission::end(stored_reply r) noexcept {
  reply = std::move(r);
  of_.end(*this);
}

submitter::submitter(client& by, const names& called, const nats_pool_options& options, std::string client_name,
                     hooks h)
    : by_(by), called_(called), options_(options), client_name_(std::move(client_name)), hooks_(std::move(h)) {}

std::string submitter::next_id() {
  static const std::string process = unique_name();
  static std::atomic<std::uint64_t> next{0};
  return process + '-' + std::to_string(next.fetch_add(1, std::memory_order_relaxed) + 1);
}

submitter::report submitter::submit(const std::function<bool(raw_task&)>& next, no_room mode,
                                    const sched::wait_limit& limit) {
  {
    const std::scoped_lock hold(entrance_);
    if (closed_) throw pool_stopped("nats_pool \"" + called_.pool + "\": submit: the pool has been drained or stopped");
    inside_.add(1);
  }
  struct leave {
    ~leave() { of.inside_.done(); }
    submitter& of;
  } const until_here{*this};
  return batch(*this, next, mode, limit).run();
}

void submitter::close() noexcept {
  {
    const std::scoped_lock hold(entrance_);
    closed_ = true;
  }
  stopping_.request_stop();
}

bool submitter::wait(const sched::wait_limit& limit) noexcept { return wait_for_all(inside_, limit); }

}  // namespace gofer::inline v0::nats
