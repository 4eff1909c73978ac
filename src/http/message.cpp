// What handlers see: request and response.

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <random>
#include <stdexcept>

#include <gofer/http.hpp>

#include "arch/splitmix.hpp"
#include "http/characters.hpp"
#include "http/fields.hpp"
#include "http/session.hpp"

namespace gofer::inline v0::http {
namespace {

/// 16 digits; nobody else's by chance, but not a secret.
std::string random_word() {
  static const std::uint64_t start = std::random_device()() * 0x1'0000'0001ULL ^ std::random_device()();
  static std::atomic<std::uint64_t> made{0};
  const std::uint64_t count = made.fetch_add(1, std::memory_order_relaxed);
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(arch::splitmix(start + count)));
  return text;
}

}  // namespace

const std::string& request::query(std::string_view name) const noexcept { return find_value(query_, name); }

const std::string& request::path_value(std::string_view name) const noexcept { return find_value(path_values_, name); }

const std::string& request::header(std::string_view name) const noexcept { return find_field(fields_, name); }

const std::string& request::id() const {
  if (!id_.empty()) return id_;
  const std::string& given = header("X-Request-Id");
  static constexpr auto plain = byte_set::of_letters_digits_and("-_.");
  id_ = given.size() <= 64 && plain.has_all_of(given) ? given : "";
  if (id_.empty()) id_ = random_word();
  return id_;
}

std::string_view request::read_body() {
  if (session_.to != nullptr && session_.to->streams_body()) return session_.to->read_body();
  return std::exchange(body_read_, true) ? std::string_view() : std::string_view(body_);
}

std::stop_token request::token() const noexcept {
  if (narrowed_.stop_possible()) return narrowed_;
  return session_.to == nullptr ? std::stop_token() : session_.to->watched_token();
}

void response::check_head_unsent(const char* operation) const {
  if (streaming_) throw std::logic_error(std::string("http::response::") + operation + ": the head has been sent");
}

void response::reset() {
  check_head_unsent("reset");
  status_ = 200;
  size_ = 0;
  fields_.resize(fields_around_);
  body_.clear();
}

response& response::status(int code) {
  check_head_unsent("status");
  if (code < 200 || code > 599) {
    throw std::invalid_argument("http::response::status: " + std::to_string(code) + " is not from 200 to 599");
  }
  status_ = code;
  return *this;
}

response& response::header(std::string_view name, std::string_view value) {
  check_head_unsent("header");
  check_field("http::response::header", name, value);
  const auto found = std::ranges::find_if(fields_, [&](const auto& f) { return same_name(f.first, name); });
  if (found != fields_.end() && !same_name(name, "Set-Cookie")) {
    found->second = value;
  } else {
    fields_.emplace_back(name, value);
  }
  return *this;
}

response& response::write(std::string_view part) {
  size_ += part.size();
  if (streaming_) {
    session_->stream(part);
  } else {
    body_ += part;
  }
  return *this;
}

void response::flush() {
  if (streaming_) return;
  session_->begin_stream(*this);
}

}  // namespace gofer::inline v0::http
