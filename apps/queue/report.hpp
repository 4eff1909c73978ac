#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <gofer/nats_queue.hpp>

namespace queue {

using json = nlohmann::ordered_json;

/// What happened in a second, between two looks.
struct rates {
  double stored = 0, finished = 0, dead = 0;
};
rates rates_between(const gofer::nats_queue_status& before, const gofer::nats_queue_status& after, double seconds);

// Tables for people.
std::string table(const gofer::nats_queue_status& s, const rates& r);
std::string table(const std::vector<gofer::nats_dead_letter>& letters);
std::string text(const gofer::nats_dead_letter& letter);

// For programs.
json to_json(const gofer::nats_queue_status& s, const rates& r);
json to_json(const gofer::nats_dead_letter& letter);

}  // namespace queue
