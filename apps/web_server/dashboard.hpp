#pragma once

#include <gofer/http.hpp>

#include "access.hpp"
#include "load_player.hpp"
#include "measurements.hpp"
#include "recorder.hpp"
#include "resource_service.hpp"

namespace web {

/// /debug/: a page that shows what the server is doing, live, and plays the guide's load on demand.
class dashboard {
 public:
  /// All outlive it. `may_play`: the server can be asked over plain HTTP.
  dashboard(gofer::http::server& server, const resource_service& service, const measurements& measured,
            const watched_pool& distributed, bool may_play);

  /// For whom `a` admits. Before the server starts.
  void add_to_server(const access& a);
  /// After it.
  void start() { recorder_.start(); }

 private:
  void answer_events(gofer::http::request& q, gofer::http::response& r);
  static void answer_fibers(const gofer::http::request& q, gofer::http::response& r);
  void play(const gofer::http::request& q, gofer::http::response& r);

  gofer::http::server& server_;
  load_player load_;
  recorder recorder_;
};

}  // namespace web
