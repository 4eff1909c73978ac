#pragma once

#include <gofer/http.hpp>

#include "access.hpp"
#include "measurements.hpp"
#include "resource_service.hpp"
#include "watched_pool.hpp"

namespace web {

/// GET /metrics, for Prometheus. All outlive the server's last answer.
void add_metrics(gofer::http::server& server, const access& operators, const resource_service& service,
                 const measurements& measured, const watched_pool& distributed);

}  // namespace web
