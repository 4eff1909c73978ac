#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gofer/mutex.hpp>
#include <gofer/time.hpp>
#include <gofer/wait_group.hpp>

#include "nats/message.hpp"
#include "nats/socket_pump.hpp"

namespace gofer::inline v0::nats {

/// What is sent until it is answered: again from time to time, and after the connection was lost. So it is something
/// that may arrive twice. Ends by exactly one of two calls, which block not, and may start it, or another, again.
class call {
 public:
  call() = default;
  call(const call&) = delete;
  call& operator=(const call&) = delete;

  /// Whether it is one: several may come, and those that are not are passed over. With locks held.
  virtual bool is_answer(const message&) const noexcept { return true; }
  /// In the fiber that reads.
  virtual void answered(const message& answer) noexcept = 0;
  /// Not by its deadline, or the client is closing.
  virtual void unanswered() noexcept = 0;

  /// It was sent more than once since `begin_anew`, so that a server may have had it before it was answered.
  bool was_repeated() const noexcept { return repeated_; }
  void begin_anew() noexcept { repeated_ = sent_before_ = false; }

 protected:
  ~call() = default;

 private:
  friend class client;
  owned<natsMsg> sent_;
  sched::time_point deadline_ = sched::no_deadline;
  sched::time_point again_ = sched::no_deadline;
  bool sent_before_ = false;
  bool repeated_ = false;
};

/// What to send; all of it is the caller's, and is copied.
struct outgoing {
  struct header {
    const char* key = nullptr;
    const char* value = nullptr;
  };
  const char* subject;
  std::string_view data;
  std::array<header, 3> headers = {};
};

class subscription;

/// Whether an answer is to be taken for one. Called with locks held.
using belief = bool (*)(std::string_view answer) noexcept;

/// A message is larger than the servers take.
class too_large : public nats_error {
 public:
  using nats_error::nats_error;
};

/// A connection to the servers, on fibers: libnats speaks the protocol and connects again, by threads of its own for
/// that alone; what is read is handed on in one fiber, without a thread for each subscription.
class client {
 public:
  /// Blocks until connected. Throws nats_error, std::invalid_argument.
  client(const nats_options& options, const std::string& name);
  /// Sends what is still to be sent; calls that have no answer yet are `unanswered`.
  ~client();
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  /// Sends it, and again until it is answered; the call stays the caller's, and outlives that. Throws too_large.
  void start(call& c, const outgoing& what, sched::time_point deadline);

  /// Sends it and blocks for an answer that is `believed`, or else for any; nothing past the options' request_timeout.
  /// Throws too_large.
  std::optional<std::string> wait_for_answer(const outgoing& what, belief believed = nullptr);
  /// Sends a question and blocks for such an answer. Throws nats_error past the options' request_timeout.
  std::string ask(const std::string& subject, std::string_view data, belief believed = nullptr);

  /// Sends it once, and nothing if there is no connection.
  void send(const char* subject, std::string_view data) noexcept;
  /// The same, for answers that a subscription gets.
  void request(const std::string& subject, std::string_view data, const std::string& reply) noexcept;

  /// Brings the call's deadline forward.
  void limit(call& c, sched::time_point deadline) noexcept;

  /// The reading fiber gives messages of that subject to `take`, which does not block, as many at a time as have come.
  std::unique_ptr<subscription> subscribe(const std::string& subject, std::function<void(std::vector<message>&)> take);

  /// A subject below which everything comes to this client alone.
  std::string inbox(std::string_view name) const { return inbox_ + std::string(name); }

  /// How often the connection was made.
  std::uint64_t connections() const noexcept { return connections_.load(std::memory_order_acquire); }

  const nats_options& options() const noexcept { return options_; }

  bool is_connected() const noexcept { return natsConnection_Status(connection_) == NATS_CONN_STATUS_CONNECTED; }
  /// How many bytes a message may have, its headers included.
  std::size_t largest_message() const noexcept;

 private:
  friend class socket_pump;
  friend class subscription;

  // For libnats.
  static natsStatus attach(void** user, void* self, natsConnection* connection, natsSock socket) noexcept;
  static natsStatus want_read(void* self, bool wanted) noexcept;
  static natsStatus want_write(void* self, bool wanted) noexcept;
  static natsStatus detach(void* self) noexcept;

  /// Hands on what has been read; in the reading fiber.
  void dispatch() noexcept;
  void take_answers(std::vector<message>& answers) noexcept;
  call* end_of(std::string_view token, const message& answer) noexcept;
  /// With calls_lock_: the call in that slot, which is free then.
  call* take_out(std::uint32_t number) noexcept;
  void look_after_calls() noexcept;
  void fail_calls(sched::time_point due) noexcept;

  const nats_options options_;
  const std::string name_;
  std::string inbox_;
  wait_group running_;  // fibers
  std::atomic<std::uint64_t> connections_{0};

  arch::spin_lock pump_lock_;
  std::shared_ptr<socket_pump> pump_;  // guarded by pump_lock_; libnats' locks are held around it

  natsConnection* connection_ = nullptr;
  std::stop_source closing_;

  mutex subscriptions_lock_;
  std::vector<subscription*> subscriptions_;  // guarded, and held while they are given messages
  std::unique_ptr<subscription> answers_;

  struct slot {
    call* of = nullptr;
    std::uint32_t generation = 0;
  };
  mutex calls_lock_;
  std::vector<slot> slots_;          // guarded by calls_lock_, as are:
  std::vector<std::uint32_t> free_;  // numbers of slots
  std::uint64_t seen_connections_ = 1;
};

/// Ends when it is destroyed; messages that are on their way then are lost, unless it was drained before.
class subscription {
 public:
  subscription(client& owner, owned<natsSubscription> handle, std::function<void(std::vector<message>&)> take);
  ~subscription();
  subscription(const subscription&) = delete;
  subscription& operator=(const subscription&) = delete;

  /// Asks for no more, and blocks until all that was on its way has been taken.
  void drain() noexcept;

 private:
  friend class client;
  void take_what_came() noexcept;

  client& owner_;
  owned<natsSubscription> handle_;
  const std::function<void(std::vector<message>&)> take_;
  std::vector<message> batch_;
};

}  // namespace gofer::inline v0::nats
