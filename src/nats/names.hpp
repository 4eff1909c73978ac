#pragma once

#include <string>
#include <string_view>

namespace gofer::inline v0::nats {

/// What the parts of a pool are called at the servers.
struct names {
  /// Throws std::invalid_argument for a name that cannot be.
  explicit names(const std::string& pool);

  const std::string pool;
  // Streams.
  const std::string tasks, results, dead, state;
  // Subjects.
  const std::string task_subject, result_subject, dead_subject, paused_subject, attempts_subject;

  std::string result_subject_of(std::string_view client) const { return result_subject + '.' + std::string(client); }
  /// Ids may hold what subjects must not.
  std::string attempts_subject_of(std::string_view id) const;

  static constexpr const char* workers = "workers";  // the consumer that all workers share
};

/// What pools and clients may be called.
bool can_be_name(std::string_view text);
bool can_be_id(std::string_view text);
/// Throws std::invalid_argument if it cannot be a task's id and is not empty.
void check_id(const std::string& id);

/// 16 characters that nobody else has.
std::string unique_name();

}  // namespace gofer::inline v0::nats
