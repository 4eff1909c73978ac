#include "http/router.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace gofer::inline v0::http {
namespace {

using kind = pattern::kind;
using segment = pattern::segment;

/// How what one pattern matches relates to what another does.
enum class relation { equal, narrower, wider, disjoint, overlapping };

relation combine(relation a, relation b) {
  if (a == relation::disjoint || b == relation::disjoint) return relation::disjoint;
  if (a == relation::equal) return b;
  if (b == relation::equal || a == b) return a;
  return relation::overlapping;
}

/// Of two segments that both stand for exactly one.
relation compare(const segment& a, const segment& b) {
  if (a.what == kind::literal && b.what == kind::literal) {
    return a.text == b.text ? relation::equal : relation::disjoint;
  }
  if (a.what == b.what) return relation::equal;
  // An end is an empty segment, which neither a {name} nor a literal matches.
  if (a.what == kind::end || b.what == kind::end) return relation::disjoint;
  return a.what == kind::literal ? relation::narrower : relation::wider;
}

relation compare_paths(const std::vector<segment>& a, const std::vector<segment>& b) {
  relation sum = relation::equal;
  for (std::size_t i = 0;; ++i) {
    if (i == a.size() && i == b.size()) return sum;
    const bool a_rest = i < a.size() && a[i].what == kind::rest;
    const bool b_rest = i < b.size() && b[i].what == kind::rest;
    if (a_rest && b_rest) return sum;
    if (i == a.size() || i == b.size()) return relation::disjoint;  // a rest matches at least one segment
    if (a_rest) return combine(sum, relation::wider);
    if (b_rest) return combine(sum, relation::narrower);
    sum = combine(sum, compare(a[i], b[i]));
  }
}

relation compare_methods(const std::string& a, const std::string& b) {
  if (a == b) return relation::equal;
  if (a.empty() || (a == "GET" && b == "HEAD")) return relation::wider;
  if (b.empty() || (b == "GET" && a == "HEAD")) return relation::narrower;
  return relation::disjoint;
}

bool is_method(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace

pattern parse_pattern(std::string_view text) {
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument("http::server::handle: the pattern \"" + std::string(text) + "\" " + why);
  };
  pattern p{.text = std::string(text), .method = {}, .segments = {}};
  std::string_view path = text;
  if (const auto space = text.find(' '); space != std::string_view::npos) {
    p.method = text.substr(0, space);
    if (!is_method(p.method)) refuse("does not begin with a method in capitals");
    path.remove_prefix(std::min(path.find_first_not_of(' ', space), path.size()));
  }
  if (!path.starts_with('/')) refuse("has no path that begins with a slash");
  std::set<std::string, std::less<>> names;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(part.size());
    const bool last = path.empty();
    if (part.empty()) {
      if (!last) refuse("has an empty segment");
      p.segments.push_back({.what = kind::rest, .text = ""});
    } else if (!part.starts_with('{')) {
      if (part.find_first_of("{}") != std::string_view::npos) refuse("has a { or } inside of a segment");
      p.segments.push_back({.what = kind::literal, .text = std::string(part)});
    } else {
      if (!part.ends_with('}')) refuse("has a segment that begins with { and does not end with }");
      std::string_view name = part.substr(1, part.size() - 2);
      kind what = kind::single;
      if (name == "$") {
        what = kind::end;
        name = "";
      } else if (name.ends_with("...")) {
        what = kind::rest;
        name.remove_suffix(3);
      }
      if (what != kind::single && !last) refuse("goes on after {" + std::string(part.substr(1)));
      if (what != kind::end && name.empty()) refuse("has a {} without a name");
      if (what != kind::end && !names.emplace(name).second) refuse("has the name " + std::string(name) + " twice");
      p.segments.push_back({.what = what, .text = std::string(name)});
    }
  }
  return p;
}

std::unique_ptr<router::node>& router::next(node& from, const segment& s) {
  switch (s.what) {
    case kind::literal:
      return from.literals[s.text];
    case kind::single:
      return from.single;
    case kind::end:
      return from.end;
    default:
      return from.rest;
  }
}

void router::add(std::string_view text, handler h, const route_options& options) {
  auto added = std::make_unique<route>(route{.what = parse_pattern(text), .run = std::move(h), .options = options});
  for (const auto& other : routes_) {
    const relation r = combine(compare_methods(added->what.method, other->what.method),
                               compare_paths(added->what.segments, other->what.segments));
    if (r == relation::equal || r == relation::overlapping) {
      throw std::invalid_argument("http::server::handle: the pattern \"" + added->what.text + "\" conflicts with \"" +
                                  other->what.text + "\": some requests match both, and neither is more specific");
    }
  }
  node* at = &root_;
  for (const segment& s : added->what.segments) {
    std::unique_ptr<node>& child = next(*at, s);
    if (child == nullptr) child = std::make_unique<node>();
    at = child.get();
  }
  at->routes[added->what.method] = added.get();
  routes_.push_back(std::move(added));
}

/// Goes down the tree, most specific first; steps back where a path ends in no route for the method.
struct router::search {
  const std::string& method;
  const std::vector<std::string>& segments;
  std::set<std::string> allowed;

  const route* at_end(const node& n) {
    for (const std::string_view m :
         {std::string_view(method), std::string_view(method == "HEAD" ? "GET" : ""), std::string_view()}) {
      if (const auto found = n.routes.find(m); found != n.routes.end()) return found->second;
    }
    for (const auto& [m, route] : n.routes) {
      allowed.insert(m);
      if (m == "GET") allowed.insert("HEAD");
    }
    return nullptr;
  }

  const route* below(const node& n, std::size_t i) {
    if (i == segments.size()) return at_end(n);
    const std::string& s = segments[i];
    if (const auto child = n.literals.find(s); child != n.literals.end()) {
      if (const route* r = below(*child->second, i + 1)) return r;
    }
    if (n.single != nullptr && !s.empty()) {
      if (const route* r = below(*n.single, i + 1)) return r;
    }
    if (n.end != nullptr && s.empty() && i + 1 == segments.size()) {
      if (const route* r = at_end(*n.end)) return r;
    }
    return n.rest != nullptr ? at_end(*n.rest) : nullptr;
  }
};

router::match router::find(const std::string& method, const std::vector<std::string>& segments) const {
  search s{.method = method, .segments = segments, .allowed = {}};
  const route* r = s.below(root_, 0);
  match m;
  if (r == nullptr) {
    for (const std::string& each : s.allowed) m.allowed += (m.allowed.empty() ? "" : ", ") + each;
    return m;
  }
  m.found = r;
  for (std::size_t i = 0; i < r->what.segments.size(); ++i) {
    const segment& part = r->what.segments[i];
    if (part.text.empty() || part.what == kind::literal) continue;
    std::string value = segments[i];
    if (part.what == kind::rest) {
      for (std::size_t k = i + 1; k < segments.size(); ++k) value += "/" + segments[k];
    }
    m.values.emplace_back(part.text, std::move(value));
  }
  return m;
}

}  // namespace gofer::inline v0::http
