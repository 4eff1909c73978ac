#pragma once

#include <cstddef>

#include <gofer/gofer.hpp>
#include <gofer/http.hpp>

#include "statistics.hpp"

namespace web {

/// The guide's work: requests for resources go through a bounded pool of workers, and are counted.
class resource_service {
 public:
  /// As many workers as the queue needs, from the one number to the other.
  resource_service(std::size_t workers, std::size_t max_workers, std::size_t queue_capacity);

  /// GET /api/resource/{id}, /stats and /healthz.
  void add_to(gofer::http::server& server);

  statistics stats() const;
  gofer::worker_pool_stats pool_stats() const { return pool_.stats(); }

 private:
  void answer_resource(gofer::http::request& q, gofer::http::response& r);
  void answer_stats(gofer::http::response& r) const;

  gofer::worker_pool<> pool_;
  gofer::sharded<statistics> counted_;
};

}  // namespace web
