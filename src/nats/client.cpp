#include "nats/client.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>

#include <gofer/detail/sched/insist.hpp>
#include <gofer/go.hpp>

#include "nats/connection_options.hpp"
#include "nats/go_counted.hpp"

namespace gofer::inline v0::nats {
namespace {

using namespace std::chrono_literals;

/// How long to wait for an answer before asking again. Servers that elect a leader answer nothing for about that long.
constexpr auto patience = 1s;
constexpr auto look_after_calls_every = 50ms;

/// What has answered, once.
class question final : public call {
 public:
  explicit question(belief believed) : believed_(believed) {}

  bool is_answer(const message& came) const noexcept override { return believed_ == nullptr || believed_(came.data()); }
  void answered(const message& answer) noexcept override {
    end(sched::insist([&] { return std::string(answer.data()); }));
  }
  void unanswered() noexcept override { end(std::nullopt); }
  std::optional<std::string> wait() { return *done_.receive(); }

 private:
  void end(std::optional<std::string> answer) {
    const chan<std::optional<std::string>> done = done_;  // whoever waits is gone when it has it
    done.send(std::move(answer));
  }

  const belief believed_;
  chan<std::optional<std::string>> done_{1};
};

std::string unique_inbox() {
  natsInbox* made = nullptr;
  check(natsInbox_Create(&made), "nats: inbox");
  const std::string name = std::string(made) + '.';
  natsInbox_Destroy(made);
  return name;
}

/// libnats 3.4 leaves a signature out whose first byte is 0, as one in 256 is, and the server refuses us. What it gives
/// us to sign the next time is something else.
natsStatus connect(natsConnection*& made, natsOptions* how, bool signs) {
  constexpr int most_tries = 3;
  natsStatus status = natsConnection_Connect(&made, how);
  for (int tries = 1; signs && status == NATS_CONNECTION_AUTH_FAILED && tries < most_tries; ++tries) {
    status = natsConnection_Connect(&made, how);
  }
  return status;
}

}  // namespace

client::client(const nats_options& options, const std::string& name) : options_(options), name_(name) {
  const owned<natsOptions> how = connection_options(options, name);
  check(natsOptions_SetEventLoop(how.get(), this, &client::attach, &client::want_read, &client::want_write,
                                 &client::detach),
        "nats: event loop");
  const bool signs = !options.credentials_file.empty() || !options.nkey_seed_file.empty();
  blocking([&] { check(connect(connection_, how.get(), signs), name + ": cannot connect to " + options.servers); });
  try {
    inbox_ = unique_inbox();
    answers_ = subscribe(inbox("call.*"), [this](std::vector<message>& some) { take_answers(some); });
    go_counted(running_, "nats calls", [this] {
      while (sleep_for(look_after_calls_every, closing_.get_token())) look_after_calls();
    });
  } catch (...) {
    blocking([&] { natsConnection_Destroy(connection_); });
    running_.wait();
    throw;
  }
}

client::~client() {
  closing_.request_stop();
  fail_calls(sched::no_deadline);
  blocking([&] { natsConnection_FlushTimeout(connection_, 1000); });
  answers_.reset();
  blocking([&] { natsConnection_Close(connection_); });
  running_.wait();
  natsConnection_Destroy(connection_);
}

natsStatus client::attach(void** user, void* self, natsConnection* connection, natsSock socket) noexcept {
  client& c = *static_cast<client*>(self);
  *user = self;
  try {
    auto pump = std::make_shared<socket_pump>(c, connection, socket);
    pump->start(c.running_);
    {
      const std::scoped_lock hold(c.pump_lock_);
      c.pump_.swap(pump);
    }
    if (pump != nullptr) pump->stop();
    c.connections_.fetch_add(1, std::memory_order_acq_rel);
    return NATS_OK;
  } catch (const std::exception&) {
    return NATS_ERR;
  }
}

natsStatus client::want_read(void* self, bool wanted) noexcept { return wanted ? NATS_OK : detach(self); }

natsStatus client::want_write(void* self, bool wanted) noexcept {
  client& c = *static_cast<client*>(self);
  std::shared_ptr<socket_pump> pump;
  {
    const std::scoped_lock hold(c.pump_lock_);
    pump = c.pump_;
  }
  if (pump != nullptr) pump->want_write(wanted);
  return NATS_OK;
}

natsStatus client::detach(void* self) noexcept {
  client& c = *static_cast<client*>(self);
  std::shared_ptr<socket_pump> pump;
  {
    const std::scoped_lock hold(c.pump_lock_);
    pump.swap(c.pump_);
  }
  if (pump != nullptr) pump->stop();
  return NATS_OK;
}

std::unique_ptr<subscription> client::subscribe(const std::string& subject,
                                                std::function<void(std::vector<message>&)> take) {
  natsSubscription* made = nullptr;
  check(natsConnection_SubscribeSync(&made, connection_, subject.c_str()), name_ + ": cannot subscribe to " + subject);
  owned<natsSubscription> handle(made);
  // What is read at once is handed on at once, so that this is bounded by the reader's buffer.
  check(natsSubscription_SetPendingLimits(made, -1, -1), name_ + ": cannot subscribe to " + subject);
  return std::make_unique<subscription>(*this, std::move(handle), std::move(take));
}

void client::dispatch() noexcept {
  const std::scoped_lock hold(subscriptions_lock_);
  for (subscription* s : subscriptions_) s->take_what_came();
}

void client::send(const char* subject, std::string_view data) noexcept {
  natsConnection_Publish(connection_, subject, data.data(), static_cast<int>(data.size()));
}

void client::request(const std::string& subject, std::string_view data, const std::string& reply) noexcept {
  natsConnection_PublishRequest(connection_, subject.c_str(), reply.c_str(), data.data(),
                                static_cast<int>(data.size()));
}

void client::limit(call& c, sched::time_point deadline) noexcept {
  const std::scoped_lock hold(calls_lock_);
  c.deadline_ = std::min(c.deadline_, deadline);
}

void client::start(call& c, const outgoing& what, sched::time_point deadline) {
  const std::scoped_lock hold(calls_lock_);
  if (free_.empty()) {
    slots_.emplace_back();
    free_.reserve(slots_.capacity());  // whoever gives a slot back cannot be without memory
    free_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
  }
  const std::uint32_t number = free_.back();
  slot& mine = slots_[number];
  std::array<char, 128> reply{};
  std::snprintf(reply.data(), reply.size(), "%scall.%x-%x", inbox_.c_str(), number, mine.generation);
  natsMsg* made = nullptr;
  natsStatus status =
      natsMsg_Create(&made, what.subject, reply.data(), what.data.data(), static_cast<int>(what.data.size()));
  owned<natsMsg> sent(made);
  for (const auto& [key, value] : what.headers) {
    if (key != nullptr && status == NATS_OK) status = natsMsgHeader_Set(made, key, value);
  }
  if (status != NATS_OK) check(status, name_ + ": cannot send to " + what.subject);
  if (natsConnection_PublishMsg(connection_, made) == NATS_MAX_PAYLOAD) {  // without a connection it is sent again
    throw too_large(name_ + ": a message to " + std::string(what.subject) + " of " + std::to_string(what.data.size()) +
                    " bytes is too large: servers take " + std::to_string(largest_message()) + ", headers included");
  }
  free_.pop_back();
  mine.of = &c;
  c.sent_ = std::move(sent);
  c.deadline_ = deadline;
  c.again_ = sched::now() + patience;
  c.repeated_ = std::exchange(c.sent_before_, true);
}

std::size_t client::largest_message() const noexcept {
  return static_cast<std::size_t>(natsConnection_GetMaxPayload(connection_));
}

std::optional<std::string> client::wait_for_answer(const outgoing& what, belief believed) {
  question q(believed);
  start(q, what, sched::deadline_after(options_.request_timeout));
  return q.wait();
}

std::string client::ask(const std::string& subject, std::string_view data, belief believed) {
  std::optional<std::string> answer = wait_for_answer({.subject = subject.c_str(), .data = data}, believed);
  if (!answer) {
    throw nats_error(
        name_ + ": no answer to " + subject + " from " + options_.servers + " within " +
        std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(options_.request_timeout).count()) +
        " ms; is a server there, with JetStream, and most of its cluster?");
  }
  return std::move(*answer);
}

void client::take_answers(std::vector<message>& answers) noexcept {
  for (const message& answer : answers) {
    const std::string_view subject = answer.subject();
    if (call* c = end_of(subject.substr(subject.rfind('.') + 1), answer)) c->answered(answer);
  }
}

call* client::take_out(std::uint32_t number) noexcept {
  slot& of = slots_[number];
  ++of.generation;
  free_.push_back(number);
  of.of->sent_.reset();
  return std::exchange(of.of, nullptr);
}

call* client::end_of(std::string_view token, const message& answer) noexcept {
  std::uint32_t number = 0;
  std::uint32_t generation = 0;
  const char* const begin = token.data();
  const char* const end = begin + token.size();
  const auto first = std::from_chars(begin, end, number, 16);
  if (first.ec != std::errc() || first.ptr == end) return nullptr;
  std::from_chars(first.ptr + 1, end, generation, 16);
  const std::scoped_lock hold(calls_lock_);
  if (number >= slots_.size()) return nullptr;
  const slot& of = slots_[number];
  if (of.generation != generation || of.of == nullptr) return nullptr;  // the answer to one that was sent twice
  return of.of->is_answer(answer) ? take_out(number) : nullptr;
}

void client::look_after_calls() noexcept {
  fail_calls(sched::now());
  const bool connected = is_connected();
  const std::scoped_lock hold(calls_lock_);
  const sched::time_point now = sched::now();
  if (seen_connections_ != connections()) {  // answers may have been lost with the connection before
    seen_connections_ = connections();
    for (slot& s : slots_) {
      if (s.of != nullptr) s.of->again_ = now;
    }
  }
  if (!connected) return;
  for (slot& s : slots_) {
    if (s.of == nullptr || s.of->again_ > now) continue;
    s.of->again_ = now + patience;
    s.of->repeated_ = true;
    natsConnection_PublishMsg(connection_, s.of->sent_.get());
  }
}

void client::fail_calls(sched::time_point due) noexcept {
  for (std::uint32_t number = 0;; ++number) {
    call* failed = nullptr;
    {
      const std::scoped_lock hold(calls_lock_);
      if (number >= slots_.size()) return;
      const slot& s = slots_[number];
      if (s.of != nullptr && s.of->deadline_ <= due) failed = take_out(number);
    }
    if (failed != nullptr) failed->unanswered();
  }
}

subscription::subscription(client& owner, owned<natsSubscription> handle,
                           std::function<void(std::vector<message>&)> take)
    : owner_(owner), handle_(std::move(handle)), take_(std::move(take)) {
  const std::scoped_lock hold(owner_.subscriptions_lock_);
  owner_.subscriptions_.push_back(this);
}

subscription::~subscription() {
  {
    const std::scoped_lock hold(owner_.subscriptions_lock_);
    std::erase(owner_.subscriptions_, this);
  }
  natsSubscription_Unsubscribe(handle_.get());
}

void subscription::take_what_came() noexcept {
  int count = 0;
  if (natsSubscription_GetPending(handle_.get(), &count, nullptr) != NATS_OK) return;
  for (; count > 0; --count) {
    natsMsg* m = nullptr;
    if (natsSubscription_NextMsg(&m, handle_.get(), 1) == NATS_OK) sched::insist([&] { batch_.emplace_back(m); });
  }
  if (batch_.empty()) return;
  take_(batch_);
  batch_.clear();
}

void subscription::drain() noexcept {
  constexpr int at_most = 5000;        // milliseconds
  if (!owner_.is_connected()) return;  // nothing is on its way
  blocking([&] {
    if (natsSubscription_DrainTimeout(handle_.get(), at_most) == NATS_OK) {
      natsSubscription_WaitForDrainCompletion(handle_.get(), at_most);
    }
  });
  const std::scoped_lock until_taken(owner_.subscriptions_lock_);
}

}  // namespace gofer::inline v0::nats
