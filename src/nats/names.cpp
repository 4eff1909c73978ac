#include "nats/names.hpp"

#include <algorithm>
#include <cctype>
#include <random>
#include <stdexcept>

namespace gofer::inline v0::nats {
namespace {

bool is_plain(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; }

std::string checked(const std::string& pool) {
  if (!can_be_name(pool)) {
    throw std::invalid_argument("nats_pool: the name \"" + pool + "\" is not of 1 to 64 letters, digits, '-' and '_'");
  }
  return pool;
}

}  // namespace

names::names(const std::string& name)
    : pool(checked(name)),
      tasks("gofer-" + pool),
      results(tasks + "-results"),
      dead(tasks + "-dead"),
      state(tasks + "-state"),
      task_subject("gofer." + pool + ".task"),
      result_subject("gofer." + pool + ".result"),
      dead_subject("gofer." + pool + ".dead"),
      paused_subject("gofer." + pool + ".state.paused"),
      attempts_subject("gofer." + pool + ".state.attempts") {}

std::string names::attempts_subject_of(std::string_view id) const {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string subject = attempts_subject + '.';
  for (const char c : id) {
    if (is_plain(c)) {
      subject += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      subject += '=';
      subject += digits[byte >> 4U];
      subject += digits[byte & 15U];
    }
  }
  return subject;
}

bool can_be_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, is_plain);
}

bool can_be_id(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

void check_id(const std::string& id) {
  if (id.empty() || can_be_id(id)) return;
  throw std::invalid_argument("nats_pool: the task id \"" + id.substr(0, 128) +
                              "\" is not of 1 to 128 printable ASCII characters without spaces");
}

std::string unique_name() {
  std::random_device random;
  std::string name;
  for (int i = 0; i < 16; ++i) name += "abcdefghijklmnop"[random() & 15U];
  return name;
}

}  // namespace gofer::inline v0::nats
