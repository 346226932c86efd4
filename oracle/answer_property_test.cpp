// What attention must keep to, whatever its inputs: checks of the oracle against itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "oracle/answer.h"
#include "oracle/test_cases.h"

namespace attnfuzz {
namespace {

using namespace attnfuzz::testing;

const Precision f64{DType::f64, DType::f64, 4, {}, false};

/// A tensor as a function of (b, h, s, d), in the case's dtype and layout.
template <class Element>
Tensor make(const Problem& p, int64_t batch, int64_t heads, int64_t len, int64_t dim,
            Element element) {
  std::vector<double> values;
  const bool heads_first = p.layout == Layout::bhsd;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t outer = 0; outer < (heads_first ? heads : len); ++outer) {
      for (int64_t inner = 0; inner < (heads_first ? len : heads); ++inner) {
        const int64_t h = heads_first ? outer : inner, s = heads_first ? inner : outer;
        for (int64_t d = 0; d < dim; ++d) values.push_back(element(b, h, s, d));
      }
    }
  }
  return Tensor::from_doubles(p.dtype, shape_in(p.layout, batch, heads, len, dim), values);
}

/// Reads a [batch, heads, len, dim] sequence of elements in the case's layout.
class View {
 public:
  View(const Problem& p, std::vector<double> values, int64_t heads, int64_t len, int64_t dim)
      : heads_first_(p.layout == Layout::bhsd),
        values_(std::move(values)),
        heads_(heads),
        len_(len),
        dim_(dim) {}
  double operator()(int64_t b, int64_t h, int64_t s, int64_t d) const {
    const int64_t row = heads_first_ ? (b * heads_ + h) * len_ + s : (b * len_ + s) * heads_ + h;
    return values_[static_cast<size_t>(row * dim_ + d)];
  }

 private:
  bool heads_first_;
  std::vector<double> values_;
  int64_t heads_, len_, dim_;
};

View view_q(const Case& c, const Inputs& in) {
  return {c.problem, in.at("q").to_doubles(), c.problem.num_heads, c.problem.q_len,
          c.problem.head_dim};
}
View view_k(const Case& c, const Inputs& in) {
  return {c.problem, in.at("k").to_doubles(), c.problem.num_kv_heads, c.problem.kv_len,
          c.problem.head_dim};
}
View view_v(const Case& c, const Inputs& in) {
  return {c.problem, in.at("v").to_doubles(), c.problem.num_kv_heads, c.problem.kv_len,
          c.problem.head_dim_v};
}
View view_out(const Case& c, const StepAnswer& step) {
  return {c.problem, step.out, c.problem.num_heads, c.problem.q_len, c.problem.head_dim_v};
}

/// The inputs with some tensors replaced.
Inputs replaced(const Inputs& inputs, std::vector<std::pair<std::string, Tensor>> by) {
  Inputs result;
  for (const auto& input : inputs.all()) {
    const auto other = std::find_if(by.begin(), by.end(),
                                    [&](const auto& each) { return each.first == input.first; });
    result.add(input.first, other == by.end() ? input.second : other->second);
  }
  return result;
}

StepAnswer solve(const Case& c, const Inputs& inputs) {
  return answer(c, inputs, f64).steps.at(0);
}

/// Equal up to both bounds, NaN where NaN.
void expect_same(const StepAnswer& one, const StepAnswer& other) {
  RC_ASSERT(one.out.size() == other.out.size());
  for (size_t n = 0; n < one.out.size(); ++n) {
    if (std::isnan(one.out[n])) {
      RC_ASSERT(std::isnan(other.out[n]));
      continue;
    }
    RC_ASSERT(std::abs(one.out[n] - other.out[n]) <= one.bound[n] + other.bound[n]);
  }
}

Case arbitrary_f64(bool masked = true) {
  Case c = arbitrary_case();
  c.problem.dtype = DType::f64;
  if (!masked) c.problem.mask.rules.clear();
  return c;
}

std::vector<int64_t> arbitrary_permutation(int64_t size) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  for (size_t n = order.size(); n > 1; --n) {
    std::swap(order[n - 1], order[static_cast<size_t>(arbitrary(0, static_cast<int64_t>(n) - 1))]);
  }
  return order;
}

TEST(Attention, WeightsSumToOne) {
  EXPECT_TRUE(rc::check([] {
    Case c = arbitrary_f64();
    Problem& p = c.problem;
    p.sinks = false;
    p.memory_kv = 0;
    p.kv_len += 1;
    p.mask.rules.clear();
    add_arbitrary_rules(p);
    p.fully_masked = FullyMasked::uniform;
    const Inputs inputs = replaced(
        make_inputs(c), {{"v", make(p, p.batch, p.num_kv_heads, p.kv_len, p.head_dim_v,
                                    [](int64_t, int64_t, int64_t, int64_t) { return 1.0; })}});
    const StepAnswer step = solve(c, inputs);
    for (size_t n = 0; n < step.out.size(); ++n) {
      RC_ASSERT(std::abs(step.out[n] - 1) <= step.bound[n]);
    }
  }));
}

TEST(Attention, OrderOfKeysIsOfNoMatterWithoutMask) {
  EXPECT_TRUE(rc::check([] {
    const Case c = arbitrary_f64(false);
    const Problem& p = c.problem;
    const Inputs inputs = make_inputs(c);
    const View k = view_k(c, inputs), v = view_v(c, inputs);
    const std::vector<int64_t> order = arbitrary_permutation(p.kv_len);
    const auto permuted = [&](const View& of) {
      return [&](int64_t b, int64_t h, int64_t s, int64_t d) {
        return of(b, h, order[static_cast<size_t>(s)], d);
      };
    };
    expect_same(solve(c, inputs),
                solve(c, replaced(inputs, {{"k", make(p, p.batch, p.num_kv_heads, p.kv_len,
                                                      p.head_dim, permuted(k))},
                                           {"v", make(p, p.batch, p.num_kv_heads, p.kv_len,
                                                      p.head_dim_v, permuted(v))}})));
  }));
}

TEST(Attention, BatchRowsAndHeadsAreIndependent) {
  EXPECT_TRUE(rc::check([] {
    Case c = arbitrary_f64(false);
    Problem& p = c.problem;
    p.sinks = false;
    p.memory_kv = 0;
    p.num_heads = p.num_kv_heads;
    p.mask.rules = {use("causal")};
    const Inputs inputs = make_inputs(c);
    const View q = view_q(c, inputs), k = view_k(c, inputs), v = view_v(c, inputs);
    const std::vector<int64_t> rows = arbitrary_permutation(p.batch);
    const std::vector<int64_t> heads = arbitrary_permutation(p.num_heads);
    const auto permuted = [&](const View& of) {
      return [&](int64_t b, int64_t h, int64_t s, int64_t d) {
        return of(rows[static_cast<size_t>(b)], heads[static_cast<size_t>(h)], s, d);
      };
    };
    const Inputs other = replaced(
        inputs, {{"q", make(p, p.batch, p.num_heads, p.q_len, p.head_dim, permuted(q))},
                 {"k", make(p, p.batch, p.num_heads, p.kv_len, p.head_dim, permuted(k))},
                 {"v", make(p, p.batch, p.num_heads, p.kv_len, p.head_dim_v, permuted(v))}});
    const StepAnswer here = solve(c, inputs), there = solve(c, other);
    const View one = view_out(c, here), two = view_out(c, there);
    for (int64_t b = 0; b < p.batch; ++b) {
      for (int64_t h = 0; h < p.num_heads; ++h) {
        for (int64_t i = 0; i < p.q_len; ++i) {
          const double want = permuted(one)(b, h, i, 0), got = two(b, h, i, 0);
          RC_ASSERT(want == got || (std::isnan(want) && std::isnan(got)));
        }
      }
    }
  }));
}

TEST(Attention, WindowAsLongAsTheRowIsCausal) {
  EXPECT_TRUE(rc::check([] {
    Case c = arbitrary_f64(false);
    const Inputs inputs = make_inputs(c);
    c.problem.mask.rules = {use("causal")};
    const StepAnswer causal = solve(c, inputs);
    c.problem.mask.rules = {use("window", {c.problem.q_len + c.problem.kv_len, int64_t{0}})};
    expect_same(causal, solve(c, inputs));
  }));
}

TEST(Attention, ChunkAsLongAsTheRowSaysNothing) {
  EXPECT_TRUE(rc::check([] {
    Case c = arbitrary_f64(false);
    c.problem.mask.align = Align::top_left;
    const Inputs inputs = make_inputs(c);
    const StepAnswer whole = solve(c, inputs);
    c.problem.mask.rules = {
        use("chunk", {std::max<int64_t>({1, c.problem.q_len, c.problem.kv_len}), int64_t{0}})};
    expect_same(whole, solve(c, inputs));
  }));
}

TEST(Attention, GroupedHeadsAreRepeatedKeyHeads) {
  EXPECT_TRUE(rc::check([] {
    Case c = arbitrary_f64();
    Problem& p = c.problem;
    p.memory_kv = 0;
    const Inputs inputs = make_inputs(c);
    const View k = view_k(c, inputs), v = view_v(c, inputs);
    const auto repeated = [&](const View& of) {
      return [&](int64_t b, int64_t h, int64_t s, int64_t d) { return of(b, p.kv_head(h), s, d); };
    };
    Case wide = c;
    wide.problem.num_kv_heads = p.num_heads;
    expect_same(
        solve(c, inputs),
        solve(
            wide,
            replaced(inputs,
                     {{"k", make(p, p.batch, p.num_heads, p.kv_len, p.head_dim, repeated(k))},
                      {"v", make(p, p.batch, p.num_heads, p.kv_len, p.head_dim_v, repeated(v))}})));
  }));
}

TEST(Attention, ScalingValuesScalesTheOutput) {
  EXPECT_TRUE(rc::check([] {
    Case c = arbitrary_f64();
    Problem& p = c.problem;
    p.memory_kv = 0;
    if (c.data.dist == Distribution::tiny) c.data.dist = Distribution::large;
    const Inputs inputs = make_inputs(c);
    const View v = view_v(c, inputs);
    const Tensor scaled =
        make(p, p.batch, p.num_kv_heads, p.kv_len, p.head_dim_v,
             [&](int64_t b, int64_t h, int64_t s, int64_t d) { return -4 * v(b, h, s, d); });
    const StepAnswer one = solve(c, inputs), other = solve(c, replaced(inputs, {{"v", scaled}}));
    for (size_t n = 0; n < one.out.size(); ++n) {
      RC_ASSERT(-4 * one.out[n] == other.out[n] || std::isnan(one.out[n]));
    }
  }));
}

TEST(Attention, AddingOneVectorToAllKeysChangesNothing) {
  EXPECT_TRUE(rc::check([] {
    Case c = arbitrary_f64();
    Problem& p = c.problem;
    p.memory_kv = 0;
    p.sinks = false;
    p.softcap = 0;
    const Inputs inputs = make_inputs(c);
    const View k = view_k(c, inputs);
    const Tensor moved = make(p, p.batch, p.num_kv_heads, p.kv_len, p.head_dim,
                              [&](int64_t b, int64_t h, int64_t s, int64_t d) {
                                return k(b, h, s, d) + static_cast<double>(d % 3 - 1);
                              });
    const StepAnswer one = solve(c, inputs), other = solve(c, replaced(inputs, {{"k", moved}}));
    for (size_t n = 0; n < one.out.size(); ++n) {
      if (std::isnan(one.out[n])) continue;
      // The sums k + c are rounded, which is not in either bound.
      const double slack = 1e-9 * (1 + std::abs(one.out[n])) + one.bound[n] + other.bound[n];
      RC_ASSERT(std::abs(one.out[n] - other.out[n]) <= slack);
    }
  }));
}

/// Sums of one part of the keys: with a sink of 0 and a value column of ones, the softmax tells
/// L / (L + 1) for the part's Σ exp(s) = L, and the other columns Σ exp(s) v / (L + 1).
TEST(Attention, PartsOfTheKeysMergeToTheWhole) {
  EXPECT_TRUE(rc::check([] {
    Case c = arbitrary_f64(false);
    Problem& p = c.problem;
    p.sinks = false;
    p.memory_kv = 0;
    p.softcap = 0;
    p.scale.reset();
    p.kv_len += 2;
    c.data.dist = Distribution::normal;
    const Inputs inputs = make_inputs(c);
    const View q = view_q(c, inputs), k = view_k(c, inputs), v = view_v(c, inputs);
    const auto part = [&](int64_t first, int64_t last) {
      Case piece = c;
      piece.problem.kv_len = last - first;
      piece.problem.head_dim_v = p.head_dim_v + 1;
      piece.problem.sinks = true;
      Inputs of = make_inputs(piece);
      of = replaced(of, {{"q", inputs.at("q")},
                         {"k", make(p, p.batch, p.num_kv_heads, last - first, p.head_dim,
                                    [&](int64_t b, int64_t h, int64_t s, int64_t d) {
                                      return k(b, h, first + s, d);
                                    })},
                         {"v", make(p, p.batch, p.num_kv_heads, last - first, p.head_dim_v + 1,
                                    [&](int64_t b, int64_t h, int64_t s, int64_t d) {
                                      return d == p.head_dim_v ? 1 : v(b, h, first + s, d);
                                    })},
                         {"sinks", Tensor(DType::f64, {p.num_heads})}});
      return view_out(piece, solve(piece, of));
    };
    const int64_t cut = arbitrary(1, p.kv_len - 1);
    const View a = part(0, cut), b = part(cut, p.kv_len);
    const View whole = view_out(c, solve(c, inputs));
    for (int64_t row = 0; row < p.batch; ++row) {
      for (int64_t h = 0; h < p.num_heads; ++h) {
        for (int64_t i = 0; i < p.q_len; ++i) {
          const double share_a = a(row, h, i, p.head_dim_v), share_b = b(row, h, i, p.head_dim_v);
          const double plus_a = 1 / (1 - share_a), plus_b = 1 / (1 - share_b);  // L + 1
          const double sum = share_a * plus_a + share_b * plus_b;
          for (int64_t d = 0; d < p.head_dim_v; ++d) {
            const double merged = (a(row, h, i, d) * plus_a + b(row, h, i, d) * plus_b) / sum;
            RC_ASSERT(std::abs(merged - whole(row, h, i, d)) <= 1e-9);
          }
        }
      }
    }
  }));
}

/// A cached case whose tokens are those of a plain one, in arbitrary portions.
struct Portions {
  Case c;
  Inputs inputs;
};
Portions in_portions(const Case& plain, const Inputs& whole, Cache cache) {
  const Problem& p = plain.problem;
  Portions result{plain, {}};
  Problem& stepped = result.c.problem;
  stepped.q_len = stepped.kv_len = 0;
  result.c.cache = cache;
  const View q = view_q(plain, whole), k = view_k(plain, whole), v = view_v(plain, whole);
  for (int64_t first = 0; first < p.kv_len;) {
    const int64_t count = arbitrary(1, p.kv_len - first);
    const std::string name = "." + std::to_string(result.c.steps.size());
    const auto slice = [&](const View& of) {
      return
          [&, first](int64_t b, int64_t h, int64_t s, int64_t d) { return of(b, h, first + s, d); };
    };
    result.inputs.add("q" + name, make(p, p.batch, p.num_heads, count, p.head_dim, slice(q)));
    result.inputs.add("k" + name, make(p, p.batch, p.num_kv_heads, count, p.head_dim, slice(k)));
    result.inputs.add("v" + name, make(p, p.batch, p.num_kv_heads, count, p.head_dim_v, slice(v)));
    result.c.steps.push_back({first == 0 ? StepOp::prefill : StepOp::append, count, {}, {}, 0});
    first += count;
  }
  for (const char* name : {"sinks", "mem_k", "mem_v"}) {
    if (const Tensor* tensor = whole.find(name)) result.inputs.add(name, *tensor);
  }
  return result;
}

/// Same tokens, so the same answers, as the plain case's.
void expect_portions_give(const Portions& portions, const Case& plain, const StepAnswer& want) {
  const Problem& p = plain.problem;
  const View whole = view_out(plain, want);
  const Answer got = answer(portions.c, portions.inputs, f64);
  int64_t first = 0;
  for (size_t n = 0; n < got.steps.size(); ++n) {
    const int64_t count = portions.c.steps[n].q_len;
    const View out(p, got.steps[n].out, p.num_heads, count, p.head_dim_v);
    for (int64_t b = 0; b < p.batch; ++b) {
      for (int64_t h = 0; h < p.num_heads; ++h) {
        for (int64_t i = 0; i < count; ++i) {
          for (int64_t d = 0; d < p.head_dim_v; ++d) {
            const double one = whole(b, h, first + i, d), other = out(b, h, i, d);
            RC_ASSERT(std::abs(one - other) <= 1e-10 * (1 + std::abs(one)));
          }
        }
      }
    }
    first += count;
    RC_ASSERT(
        std::all_of(got.steps[n].lengths.begin(), got.steps[n].lengths.end(), [&](int64_t length) {
          const bool ring = portions.c.cache->kind == CacheKind::ring;
          return length == (ring ? std::min(first, portions.c.cache->capacity) : first);
        }));
  }
}

Case arbitrary_causal(RuleUse also) {
  Case c = arbitrary_f64(false);
  c.problem.kv_len = c.problem.q_len = c.problem.q_len + 1;
  c.problem.mask.rules = {use("causal"), std::move(also)};
  c.data.dist = Distribution::normal;
  return c;
}

TEST(Attention, StepsOnACacheGiveWhatOnePrefillGives) {
  EXPECT_TRUE(rc::check([] {
    const RuleUse rules[] = {use("alibi"), use("window", {arbitrary(0, 9), int64_t{0}}),
                             use("chunk", {arbitrary(1, 9), int64_t{0}})};
    const Case plain = arbitrary_causal(rules[arbitrary(0, 2)]);
    const Inputs whole = make_inputs(plain);
    const Cache caches[] = {
        {CacheKind::dynamic, 0, 0}, {CacheKind::fixed, 64, 0}, {CacheKind::paged, 64, 4}};
    expect_portions_give(in_portions(plain, whole, caches[arbitrary(0, 2)]), plain,
                         solve(plain, whole));
  }));
}

TEST(Attention, ARingIsAWindow) {
  EXPECT_TRUE(rc::check([] {
    const int64_t capacity = arbitrary(1, 9);
    Case plain = arbitrary_causal(use("window", {capacity - 1, int64_t{0}}));
    const Inputs whole = make_inputs(plain);
    const StepAnswer want = solve(plain, whole);
    plain.problem.mask.rules.pop_back();
    expect_portions_give(in_portions(plain, whole, {CacheKind::ring, capacity, 0}), plain, want);
  }));
}

}  // namespace
}  // namespace attnfuzz
