#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gofer/http.hpp>

namespace gofer::inline v0::http {

/// What a pattern says: a method, or any, and the segments of a path.
struct pattern {
  enum class kind {
    literal,  // a segment of this text
    single,   // {name}: one segment, not empty
    end,      // {$}: nothing after the last slash
    rest,     // {name...}, or nothing after a last slash: whatever follows
  };
  struct segment {
    kind what;
    std::string text;  // of a literal; else the name
  };

  std::string text;
  std::string method;  // empty: any
  std::vector<segment> segments;
};

/// Throws std::invalid_argument.
pattern parse_pattern(std::string_view text);

/// Finds the handler for a method and a path: a tree by segments, literal ones before the others.
class router {
 public:
  /// Throws std::invalid_argument.
  void add(std::string_view text, handler h, const route_options& options);

  struct route {
    pattern what;
    handler run;
    route_options options;
  };
  struct match {
    const route* found = nullptr;
    field_list values;
    std::string allowed;  // if nothing was found: the methods that would have been, "GET, HEAD"; or empty
  };
  match find(const std::string& method, const std::vector<std::string>& segments) const;

 private:
  struct node {
    std::map<std::string, std::unique_ptr<node>, std::less<>> literals;
    std::unique_ptr<node> single;
    std::unique_ptr<node> end;
    std::unique_ptr<node> rest;
    std::map<std::string, const route*, std::less<>> routes;  // by method, of patterns that end here
  };
  struct search;

  static std::unique_ptr<node>& next(node& from, const pattern::segment& s);

  std::vector<std::unique_ptr<route>> routes_;
  node root_;
};

}  // namespace gofer::inline v0::http
