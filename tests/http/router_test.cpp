#include "http/router.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "http/target.hpp"

namespace {

using gofer::http::parse_target;
using gofer::http::router;

class Router : public testing::Test {
 protected:
  void add(std::string_view pattern) {
    routes_.add(pattern, [](gofer::http::request&, gofer::http::response&) {}, {});
  }
  /// The pattern that a request goes to and the values, "GET /a/{b} b=1"; else "404" or "405 GET, HEAD".
  std::string find(const std::string& method, const std::string& path) const {
    const auto match = routes_.find(method, parse_target(path)->segments);
    if (match.found == nullptr) return match.allowed.empty() ? "404" : "405 " + match.allowed;
    std::string text = match.found->what.text;
    for (const auto& [name, value] : match.values) text += " " + name + "=" + value;
    return text;
  }

  router routes_;
};

TEST_F(Router, TakesTheMostSpecificWhateverTheOrder) {
  add("/a/{rest...}");
  add("/a/{id}");
  add("/a/b");
  add("GET /a/{id}/c");
  add("/");
  EXPECT_EQ(find("GET", "/a/b"), "/a/b");
  EXPECT_EQ(find("GET", "/a/x"), "/a/{id} id=x");
  EXPECT_EQ(find("GET", "/a/x/c"), "GET /a/{id}/c id=x");
  EXPECT_EQ(find("POST", "/a/x/c"), "/a/{rest...} rest=x/c");
  EXPECT_EQ(find("GET", "/a/x/y/z"), "/a/{rest...} rest=x/y/z");
  EXPECT_EQ(find("GET", "/a/"), "/a/{rest...} rest=");
  EXPECT_EQ(find("GET", "/a"), "/");
  EXPECT_EQ(find("GET", "/other"), "/");
}

TEST_F(Router, AnEndMatchesNothingBelow) {
  add("/{$}");
  add("/dir/{$}");
  EXPECT_EQ(find("GET", "/"), "/{$}");
  EXPECT_EQ(find("GET", "/x"), "404");
  EXPECT_EQ(find("GET", "/dir/"), "/dir/{$}");
  EXPECT_EQ(find("GET", "/dir"), "404");
  EXPECT_EQ(find("GET", "/dir/x"), "404");
}

TEST_F(Router, GetCoversHeadAndOthersAreNotAllowed) {
  add("GET /x");
  add("POST /x");
  EXPECT_EQ(find("HEAD", "/x"), "GET /x");
  EXPECT_EQ(find("POST", "/x"), "POST /x");
  EXPECT_EQ(find("PUT", "/x"), "405 GET, HEAD, POST");
}

TEST_F(Router, ConflictsAreRefused) {
  add("/a/{x}");
  EXPECT_THROW(add("/a/{y}"), std::invalid_argument);
  EXPECT_THROW(add("/{z}/b"), std::invalid_argument);
  EXPECT_NO_THROW(add("/a/b"));
  EXPECT_THROW(add("/{any...}x"), std::invalid_argument);
  EXPECT_THROW(add("GET /{z}/c"), std::invalid_argument) << "as specific by method, less by path";
}

TEST_F(Router, WrongPatternsAreRefused) {
  for (const char* wrong :
       {"", "x", "GET", "get /x", "GET x", "/a{b}", "/{a", "/{}", "/{a...}/b", "/{$}/b", "/{a}/{a}", "//", "/a//b"}) {
    EXPECT_THROW(add(wrong), std::invalid_argument) << wrong;
  }
}

TEST(Target, IsDecodedAndItsDotsAreResolved) {
  EXPECT_EQ(parse_target("/")->path(), "/");
  EXPECT_EQ(parse_target("/a/./b//c/../d")->path(), "/a/b/d");
  EXPECT_EQ(parse_target("/a/b/..")->path(), "/a/");
  EXPECT_EQ(parse_target("/a%20b/%2e%2E/c%2Fd")->path(), "/c/d");
  EXPECT_EQ(parse_target("/c%2Fd")->segments.size(), 1U);
  EXPECT_EQ(parse_target("/c%2F..d%2F...%2F.e/x..")->path(), "/c/..d/.../.e/x..");
  EXPECT_EQ(parse_target("http://host:1/x?y=1")->path(), "/x");
  EXPECT_EQ(parse_target("http://host")->path(), "/");
  for (const char* wrong : {"", "x", "*", "host:80", "/..", "/a/../..", "/%2e%2e/etc", "/%", "/%4", "/%zz", "/%00",
                            "/..%2Fetc", "/a%2F..", "/a/%2f.%2E/%2fb", "/a%2F.%2Fb"}) {
    EXPECT_FALSE(parse_target(wrong)) << wrong;
  }
}

TEST(Target, HasAQuery) {
  const auto t = parse_target("/x?a=1&b=two+words&c=%26%3D&d&=e&a=2&");
  const std::vector<std::pair<std::string, std::string>> expected{
      {"a", "1"}, {"b", "two words"}, {"c", "&="}, {"d", ""}, {"a", "2"}};
  EXPECT_EQ(t->query, expected);
  EXPECT_FALSE(parse_target("/x?a=%"));
}

}  // namespace
