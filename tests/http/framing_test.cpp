// Where one request ends and the next begins must never be a matter of opinion: what a proxy in front could read in
// another way (request smuggling) is refused, with one answer and then the end of the connection.

#include <gtest/gtest.h>

#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <gofer/go.hpp>
#include <gofer/http.hpp>

#include "support/http_client.hpp"

namespace {

struct framing_case {
  const char* name;
  std::string bytes;
  int status;
  std::string body = {};  // of the answer, if it is 200
};

std::string head(const std::string& fields, const std::string& line = "POST /echo HTTP/1.1") {
  return line + "\r\nHost: test\r\n" + fields + "\r\n";
}
std::string in_chunks(const std::string& body) { return head("Transfer-Encoding: chunked\r\n") + body; }
std::string field(const std::string& text) { return head(text + "\r\nContent-Length: 3\r\n") + "abc"; }
std::string line(const std::string& text) { return text + "\r\nHost: test\r\n\r\n"; }
std::string host(const std::string& fields, const std::string& target = "/hello/x") {
  return "GET " + target + " HTTP/1.1\r\n" + fields + "\r\n";
}
using namespace std::string_literals;

const std::vector<framing_case>& cases() {
  static const std::vector<framing_case> all{
      // Content-Length
      {"Length", head("Content-Length: 3\r\n") + "abc", 200, "abc"},
      {"LengthZero", head("Content-Length: 0\r\n"), 200, ""},
      {"LengthNone", head(""), 200, ""},
      {"LengthWithLeadingZeros", head("Content-Length: 003\r\n") + "abc", 200, "abc"},
      {"LengthAmongSpaces", head("Content-Length: \t 3 \t\r\n") + "abc", 200, "abc"},
      {"LengthPlus", head("Content-Length: +3\r\n") + "abc", 400},
      {"LengthMinus", head("Content-Length: -3\r\n") + "abc", 400},
      {"LengthHexadecimal", head("Content-Length: 0x3\r\n") + "abc", 400},
      {"LengthWithText", head("Content-Length: 3 bytes\r\n") + "abc", 400},
      {"LengthEmpty", head("Content-Length:\r\n") + "abc", 400},
      {"LengthFraction", head("Content-Length: 3.0\r\n") + "abc", 400},
      {"LengthOverflow", head("Content-Length: 18446744073709551619\r\n") + "abc", 400},
      {"LengthTwiceDifferent", head("Content-Length: 3\r\nContent-Length: 5\r\n") + "abc", 400},
      {"LengthTwiceSame", head("Content-Length: 3\r\nContent-Length: 3\r\n") + "abc", 400},
      {"LengthListDifferent", head("Content-Length: 3, 5\r\n") + "abc", 400},
      {"LengthListSame", head("Content-Length: 3, 3\r\n") + "abc", 400},
      {"LengthQuoted", head("Content-Length: \"3\"\r\n") + "abc", 400},
      {"LengthTooLarge", head("Content-Length: 1000000000\r\n") + "abc", 413},
      {"LengthSpaceBeforeColon", head("Content-Length : 3\r\n") + "abc", 400},
      {"LengthUnderscore", head("Content_Length: 3\r\n") + "", 200, ""},
      {"LengthFolded", head("Content-Length:\r\n 3\r\n") + "abc", 400},

      // Transfer-Encoding
      {"Chunked", in_chunks("3\r\nabc\r\n0\r\n\r\n"), 200, "abc"},
      {"ChunkedInCapitals", head("TRANSFER-ENCODING: CHUNKED\r\n") + "3\r\nabc\r\n0\r\n\r\n", 200, "abc"},
      {"ChunkedTwoChunks", in_chunks("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), 200, "abc"},
      {"ChunkedEmpty", in_chunks("0\r\n\r\n"), 200, ""},
      {"CodingUnknown", head("Transfer-Encoding: cow\r\n") + "abc", 501},
      {"CodingIdentity", head("Transfer-Encoding: identity\r\n") + "abc", 501},
      {"CodingGzip", head("Transfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n", 501},
      {"CodingChunkedNotLast", head("Transfer-Encoding: chunked, gzip\r\n") + "0\r\n\r\n", 400},
      {"CodingChunkedTwice", head("Transfer-Encoding: chunked, chunked\r\n") + "0\r\n\r\n", 400},
      {"CodingTwoFields", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400},
      {"CodingTwoFieldsOneUnknown", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n") + "0\r\n\r\n",
       400},
      {"CodingEmpty", head("Transfer-Encoding:\r\n") + "0\r\n\r\n", 400},
      {"CodingQuoted", head("Transfer-Encoding: \"chunked\"\r\n") + "0\r\n\r\n", 501},
      {"CodingWithParameter", head("Transfer-Encoding: chunked;q=1\r\n") + "0\r\n\r\n", 501},
      {"CodingXchunked", head("Transfer-Encoding: xchunked\r\n") + "0\r\n\r\n", 501},
      {"CodingVerticalTab", head("Transfer-Encoding: \x0b"s + "chunked\r\n") + "0\r\n\r\n", 400},
      {"CodingNul", head("Transfer-Encoding: chunked"s + '\0' + "\r\n") + "0\r\n\r\n", 400},
      {"CodingFolded", head("Transfer-Encoding:\r\n chunked\r\n") + "0\r\n\r\n", 400},
      {"CodingSpaceBeforeColon", head("Transfer-Encoding : chunked\r\n") + "0\r\n\r\n", 400},
      {"CodingSpaceBeforeName", head(" Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400},
      {"CodingOfHttp10", head("Transfer-Encoding: chunked\r\n", "POST /echo HTTP/1.0") + "0\r\n\r\n", 400},
      {"CodingAndLength", head("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") + "0\r\n\r\n", 400},
      {"LengthAndCoding", head("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400},
      {"UnknownCodingAndLength", head("Content-Length: 3\r\nTransfer-Encoding: cow\r\n") + "abc", 400},

      // Chunks
      {"ChunkSizeInCapitals", in_chunks("A\r\n0123456789\r\n0\r\n\r\n"), 200, "0123456789"},
      {"ChunkSizeWithLeadingZeros", in_chunks("0003\r\nabc\r\n000\r\n\r\n"), 200, "abc"},
      {"ChunkSizePlus", in_chunks("+3\r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkSizeMinus", in_chunks("-3\r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkSizePrefix", in_chunks("0x3\r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkSizeNone", in_chunks("\r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkSizeNoNumber", in_chunks("g\r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkSizeSpaceBefore", in_chunks(" 3\r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkSizeSpaceBehind", in_chunks("3 \r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkSizeOverflow", in_chunks("10000000000000003\r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkSizeTooLarge", in_chunks("7fffffff\r\nabc"), 413},
      {"ChunkSizeBareLineFeed", in_chunks("3\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkBareLineFeedBehind", in_chunks("3\r\nabc\n0\r\n\r\n"), 400},
      {"ChunkLongerThanItsSize", in_chunks("3\r\nabcd\r\n0\r\n\r\n"), 400},
      {"ChunkShorterThanItsSize", in_chunks("5\r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkExtension", in_chunks("3;name=value\r\nabc\r\n0\r\n\r\n"), 200, "abc"},
      {"ChunkExtensionQuoted", in_chunks("3;name=\"a;b\"\r\nabc\r\n0\r\n\r\n"), 200, "abc"},
      {"ChunkExtensionEscaped", in_chunks("3;name=\"a\\\"b\"\r\nabc\r\n0\r\n\r\n"), 200, "abc"},
      {"ChunkExtensionOpen", in_chunks("3;name=\"a\r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkExtensionOverALine", in_chunks("3;name=\"a\r\nabc\r\n0\";\r\n\r\n"), 400},
      {"ChunkExtensionOpenOfTheLast", in_chunks("3\r\nabc\r\n0;a=\"b\r\n\r\n"), 400},
      {"ChunkExtensionBareLineFeed", in_chunks("3;a\nb\r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkExtensionTooLong", in_chunks("3;" + std::string(20'000, 'a') + "\r\nabc\r\n0\r\n\r\n"), 400},
      {"ChunkLastBareLineFeed", in_chunks("3\r\nabc\r\n0\n\n"), 400},
      {"Trailer", in_chunks("3\r\nabc\r\n0\r\nX: y\r\n\r\n"), 200, "abc"},
      {"TrailerFolded", in_chunks("3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n"), 400},
      {"TrailerWithLength", in_chunks("3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n"), 400},
      {"TrailerWithHost", in_chunks("3\r\nabc\r\n0\r\nHost: other\r\n\r\n"), 400},
      {"TrailerNoField", in_chunks("3\r\nabc\r\n0\r\nnonsense\r\n\r\n"), 400},
      {"TrailerTooLong", in_chunks("3\r\nabc\r\n0\r\nX: " + std::string(20'000, 'a') + "\r\n\r\n"), 400},

      // Lines
      {"EmptyLinesBefore", "\r\n\r\n" + head("Content-Length: 3\r\n") + "abc", 200, "abc"},
      {"BareLineFeeds", "POST /echo HTTP/1.1\nHost: test\n\n", 400},
      {"BareLineFeedAfterField", "POST /echo HTTP/1.1\r\nHost: test\nContent-Length: 3\r\n\r\nabc", 400},
      {"BareLineFeedAtTheEnd", "POST /echo HTTP/1.1\r\nHost: test\r\n\nabc", 400},
      {"BareCarriageReturn", field("X: a\rb"), 400},
      {"BareCarriageReturnHidesAField", field("X: a\rContent-Length: 5"), 400},
      {"DoubledCarriageReturn", field("X: a\r"), 400},
      {"Folded", field("X: a\r\n b"), 400},
      {"FoldedByATab", field("X: a\r\n\tb"), 400},
      {"FoldedAtOnce", field("X:\r\n a"), 400},
      {"SpaceBeforeTheFirstField", "POST /echo HTTP/1.1\r\n Host: test\r\n\r\n", 400},
      {"FieldWithoutColon", field("nonsense"), 400},
      {"FieldWithoutName", field(": value"), 400},
      {"FieldNameWithSpace", field("X Y: value"), 400},
      {"FieldNameWithControl", field("X\x01Y: value"), 400},
      {"FieldNameWithNul", field("X"s + '\0' + ": value"), 400},
      {"FieldNameWithParenthesis", field("X(Y): value"), 400},
      {"FieldNameBeyondAscii", field("X\xe4: value"), 400},
      {"FieldValueWithNul", field("X: a"s + '\0' + "b"), 400},
      {"FieldValueWithControl", field("X: a\x02"s + "b"), 400},
      {"FieldValueWithDelete", field("X: a\x7f"s + "b"), 400},
      {"FieldValueBeyondAscii", field("X: \xc3\xa4"), 200, "abc"},
      {"FieldValueWithTab", field("X: a\tb"), 200, "abc"},

      // The request line
      {"LineTwoSpaces", line("GET  /hello/x HTTP/1.1"), 400},
      {"LineTab", line("GET\t/hello/x HTTP/1.1"), 400},
      {"LineSpaceBefore", line(" GET /hello/x HTTP/1.1"), 400},
      {"LineSpaceBehind", line("GET /hello/x HTTP/1.1 "), 400},
      {"LineSpaceInTarget", line("GET /hello/x y HTTP/1.1"), 400},
      {"LineNoTarget", line("GET HTTP/1.1"), 400},
      {"LineNoVersion", line("GET /hello/x"), 400},
      {"LineVersionInLowerCase", line("GET /hello/x http/1.1"), 400},
      {"LineVersionTwo", line("GET /hello/x HTTP/2.0"), 505},
      {"LineVersionOnePointTwo", line("GET /hello/x HTTP/1.2"), 505},
      {"LineVersionTooLong", line("GET /hello/x HTTP/1.10"), 400},
      {"LineMethodWithColon", line("GE:T /hello/x HTTP/1.1"), 400},
      {"LineMethodUnknown", line("FETCH /hello/x HTTP/1.1"), 405},
      {"LineNulInTarget", line("GET /hello/"s + '\0' + " HTTP/1.1"), 400},
      {"LineControlInTarget", line("GET /hello/\x01 HTTP/1.1"), 400},
      {"LineFragmentInTarget", line("GET /hello/x#y HTTP/1.1"), 400},
      {"LineBeyondAsciiInTarget", line("GET /hello/\xc3\xa4 HTTP/1.1"), 400},
      {"LineEncodedNul", line("GET /hello/%00 HTTP/1.1"), 400},
      {"LineTooLong", line("GET /" + std::string(20'000, 'a') + " HTTP/1.1"), 414},
      {"LineConnect", line("CONNECT test:80 HTTP/1.1"), 501},
      {"LineAsterisk", line("GET * HTTP/1.1"), 400},
      {"LineRelative", line("GET hello/x HTTP/1.1"), 400},
      {"LineDotsBeyondTheRoot", line("GET /../hello/x HTTP/1.1"), 400},
      {"LineAbsolute", line("GET http://test/hello/x HTTP/1.1"), 200, "Hello, x"},
      {"LineAbsoluteWithoutPath", line("GET http://test HTTP/1.1"), 404},
      {"LineAbsoluteWithUser", line("GET http://user@test/hello/x HTTP/1.1"), 400},
      {"LineAbsoluteOtherScheme", line("GET ftp://test/hello/x HTTP/1.1"), 400},
      {"LineAbsoluteWithoutHost", line("GET http:///hello/x HTTP/1.1"), 400},

      {"LineOptionsAsterisk", line("OPTIONS * HTTP/1.1"), 204},

      // Host
      {"Host", host("Host: test\r\n"), 200, "Hello, x"},
      {"HostWithPort", host("Host: test:8080\r\n"), 200, "Hello, x"},
      {"HostIpv6", host("Host: [::1]:80\r\n"), 200, "Hello, x"},
      {"HostMissing", host(""), 400},
      {"HostEmpty", host("Host:\r\n"), 400},
      {"HostTwice", host("Host: test\r\nHost: test\r\n"), 400},
      {"HostTwo", host("Host: test, other\r\n"), 400},
      {"HostWithSpace", host("Host: te st\r\n"), 400},
      {"HostWithPath", host("Host: test/x\r\n"), 400},
      {"HostWithUser", host("Host: user@test\r\n"), 400},
      {"HostWithWrongPort", host("Host: test:port\r\n"), 400},

      // Expect
      {"ExpectOther", head("Expect: miracles\r\nContent-Length: 3\r\n") + "abc", 417},
  };
  return all;
}

class Framing : public testing::Test {
 protected:
  Framing() {
    server_.handle("POST /echo", [](auto& q, auto& r) { r.write(q.body()); });
    server_.handle("GET /hello/{name}", [](auto& q, auto& r) { r.write("Hello, " + q.path_value("name")); });
    server_.start();
  }
  gofer::http::server server_{{.address = "127.0.0.1:0"}};
};

TEST_F(Framing, OfOneRequestAndThoseBehind) {
  for (const framing_case& c : cases()) {
    SCOPED_TRACE(c.name);
    test::http_client client(server_.address());
    client.send(c.bytes + test::get("/hello/second", "Connection: close\r\n"));
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, c.status);
    const std::string rest = client.rest();
    if (c.status < 300 || c.status == 404 || c.status == 405) {  // a request like others: the next one is answered
      EXPECT_TRUE(c.status != 200 || answer->body == c.body) << answer->body;
      EXPECT_NE(rest.find("Hello, second"), std::string::npos) << rest;
    } else {
      EXPECT_NE(answer->head.find("\r\nConnection: close\r\n"), std::string::npos) << answer->head;
      EXPECT_EQ(rest, "") << "what is behind is no request any more";
    }
    EXPECT_FALSE(client.error()) << client.error().message();
  }
}

TEST_F(Framing, IsTheSameWhenEveryByteComesAlone) {
  for (const framing_case& c : cases()) {
    if (c.bytes.size() > 1000) continue;
    SCOPED_TRACE(c.name);
    test::http_client client(server_.address());
    for (const char byte : c.bytes + test::get("/hello/second")) {
      std::error_code gone;  // answered and closed already
      client.connection().write(std::as_bytes(std::span(&byte, 1)), gone);
      gofer::yield();
    }
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, c.status);
  }
}

}  // namespace
