// Power series as streams of their coefficients, after McIlroy's "Squinting at power series" (1990): every operation is
// a fiber that computes a coefficient when it is asked for one. A series may be defined by itself, as exp and tan are.
#include <array>
#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>

#include <gofer/gofer.hpp>

class rational {
 public:
  rational(long long numerator = 0, long long denominator = 1)  // NOLINT(google-explicit-constructor): a number
      : numerator_(numerator), denominator_(denominator) {
    const long long common = std::gcd(numerator_, denominator_);
    numerator_ /= common;
    denominator_ /= common;
  }
  friend rational operator+(rational a, rational b) {
    return {a.numerator_ * b.denominator_ + b.numerator_ * a.denominator_, a.denominator_ * b.denominator_};
  }
  friend rational operator*(rational a, rational b) {
    return {a.numerator_ * b.numerator_, a.denominator_ * b.denominator_};
  }
  std::string text() const {
    return std::to_string(numerator_) + (denominator_ == 1 ? "" : "/" + std::to_string(denominator_));
  }

 private:
  long long numerator_;
  long long denominator_;
};

/// A stream whose next coefficient is computed when it is asked for. A handle; every coefficient is for one reader.
class series {
 public:
  rational next() const {
    ask_.send({});
    return answer_.receive().value();
  }

  /// Lets a fiber compute the coefficients: `each` is called for one after the other.
  template <class Each>
  const series& computed_by(Each each) const {
    gofer::go([ask = ask_, answer = answer_, each]() mutable {
      while (ask.receive()) answer.send(each());
    });
    return *this;
  }

 private:
  struct question {};
  gofer::chan<question> ask_;
  gofer::chan<rational> answer_;
};

/// Lets two readers read `in`, each in its own time; the second may be what `in` is computed from.
void split(const series& in, const series& first, const series& second) {
  struct shared {
    gofer::mutex reading;  // of `in`
    gofer::mutex lock;
    std::array<std::deque<rational>, 2> waiting;  // guarded by lock

    bool take(std::size_t reader, rational& out) {
      const std::scoped_lock hold(lock);
      if (waiting[reader].empty()) return false;
      out = waiting[reader].front();
      waiting[reader].pop_front();
      return true;
    }
  };
  auto state = std::make_shared<shared>();
  const auto reader = [&](std::size_t i) {
    return [in, state, i] {
      rational v;
      if (state->take(i, v)) return v;
      const std::scoped_lock one_at_a_time(state->reading);
      if (state->take(i, v)) return v;
      v = in.next();
      const std::scoped_lock hold(state->lock);
      state->waiting[1 - i].push_back(v);
      return v;
    };
  };
  first.computed_by(reader(0));
  second.computed_by(reader(1));
}

std::pair<series, series> split(const series& in) {
  std::pair<series, series> both;
  split(in, both.first, both.second);
  return both;
}

series constant_term(rational c) {
  return series().computed_by([c]() mutable { return std::exchange(c, 0); });
}

series operator+(const series& f, const series& g) {
  return series().computed_by([f, g] { return f.next() + g.next(); });
}

series operator*(rational c, const series& f) {
  return series().computed_by([c, f] { return c * f.next(); });
}

/// c + x f
series shifted(rational c, const series& f) {
  return series().computed_by([c, f, first = true]() mutable { return std::exchange(first, false) ? c : f.next(); });
}

/// (f0 + x f) (g0 + x g) = f0 g0 + x (f0 g + g0 f + x f g)
series operator*(const series& f, const series& g) {
  return series().computed_by(
      [f, g, begun = false, rest = std::shared_ptr<series>(), f0 = rational(), g0 = rational()]() mutable {
        if (!std::exchange(begun, true)) {
          f0 = f.next();
          g0 = g.next();
          return f0 * g0;
        }
        if (rest == nullptr) {
          const auto [f1, f2] = split(f);
          const auto [g1, g2] = split(g);
          rest = std::make_shared<series>(f0 * g1 + g0 * f1 + shifted(0, f2 * g2));
        }
        return rest->next();
      });
}

series derivative(const series& f) {
  return series().computed_by([f, n = 0]() mutable {
    if (n == 0) (void)f.next();
    return rational(++n) * f.next();
  });
}

/// c plus the integral from 0 to x
series integral(rational c, const series& f) {
  return series().computed_by([c, f, n = 0]() mutable { return n++ == 0 ? c : rational(1, n - 1) * f.next(); });
}

/// exp(f) for an f without a constant term: its derivative is exp(f) f'.
series exp(const series& f) {
  const series result;
  const series again;
  split(integral(1, again * derivative(f)), result, again);
  return result;
}

/// Its derivative is 1 + tan².
series tan_x() {
  const series result;
  const series again;
  const auto [left, right] = split(again);
  split(integral(0, constant_term(1) + left * right), result, again);
  return result;
}

void print(const char* name, const series& f) {
  std::printf("%s:", name);
  for (int i = 0; i < 10; ++i) std::printf(" %s", f.next().text().c_str());
  std::printf("\n");
}

int main() {
  gofer::run([] {
    const auto x = [] { return shifted(0, constant_term(1)); };
    print("exp x", exp(x()));
    print("tan x", tan_x());
    print("exp tan x", exp(tan_x()));
    print("exp 2x", exp(x()) * exp(x()));
  });
}

// exp x: 1 1 1/2 1/6 1/24 1/120 1/720 1/5040 1/40320 1/362880
// tan x: 0 1 0 1/3 0 2/15 0 17/315 0 62/2835
// exp tan x: 1 1 1/2 1/2 3/8 37/120 59/240 137/720 871/5760 41641/362880
// exp 2x: 1 2 2 4/3 2/3 4/15 4/45 8/315 2/315 4/2835
