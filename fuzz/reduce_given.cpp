// The reductions of cases with given tensors. Sizes that become smaller leave the first elements of
// the tensors: fuzz/reductions.cpp offers that. Here any of them can go, and numbers become
// plainer.
#include <algorithm>
#include <cmath>
#include <functional>

#include "fuzz/candidates.h"
#include "fuzz/given_parts.h"
#include "oracle/given.h"

namespace attnfuzz {
namespace {

/// All candidates are in memory at once, each with tensors of its own. So a tensor of more elements
/// is not looked at one by one, and those of a case with more are changed in large parts, or only
/// cut by fuzz/reductions.cpp, which copies none.
constexpr int64_t most_single = 256, most_in_small_parts = int64_t{1} << 18,
                  most_copied = int64_t{1} << 22;

int64_t elements_of(const Case& c) {
  int64_t total = 0;
  for (const GivenSpec& spec : given_specs(c)) total += element_count(spec.shape);
  return total;
}

/// Parts of an axis, or of a tensor, go down to this fraction of it.
int64_t finest_part(const Case& c) {
  return elements_of(c) > most_in_small_parts ? 4 : 32;
}

/// With tensors that have just the elements that the case reads.
Case cut(Case c) {
  c.data = given_data(c, given_tensors(c), "", "");
  return c;
}

/// All places of an axis but `count` from `first` on.
std::vector<int64_t> all_but(int64_t size, int64_t first, int64_t count) {
  std::vector<int64_t> kept;
  for (int64_t k = 0; k < size; ++k)
    if (k < first || k >= first + count) kept.push_back(k);
  return kept;
}

/// A part of an axis goes: halves, quarters and so on. `set` puts the smaller size into the
/// problem.
template <class Set>
void drop_parts(const Case& c, std::string_view words, int64_t size,
                std::initializer_list<CaseAxis> axes, Candidates& candidates, const Set& set) {
  if (size < 2) return;
  const int64_t least = std::max<int64_t>(1, size / finest_part(c));
  for (int64_t count = size / 2;; count = std::max(least, count / 2)) {
    for (int64_t first = 0; first < size; first += count) {
      const int64_t gone = std::min(count, size - first);
      const std::vector<int64_t> kept = all_but(size, first, gone);
      Case fewer = c;
      for (const CaseAxis axis : axes)
        fewer.data = with_places(c.problem, std::move(fewer.data), axis, kept);
      set(fewer, size - gone);
      candidates.add(fmt::format("no {} {}{}", words, first,
                                 gone > 1 ? fmt::format(" to {}", first + gone - 1) : ""),
                     std::move(fewer));
    }
    if (count <= least) break;
  }
}

void drop_heads(const Case& c, Candidates& candidates) {
  const Problem& p = c.problem;
  if (p.num_kv_heads < 1) return;
  const int64_t group = p.num_heads / p.num_kv_heads;
  for (int64_t g = 0; g < p.num_kv_heads && p.num_kv_heads > 1; ++g) {
    Case one = c;
    std::vector<int64_t> heads;
    for (int64_t h = 0; h < p.num_heads; ++h)
      if (p.kv_head(h) == g) heads.push_back(h);
    one.data =
        with_places(p, with_places(p, c.data, CaseAxis::kv_heads, {g}), CaseAxis::heads, heads);
    one.problem.num_kv_heads = 1;
    one.problem.num_heads = group;
    candidates.add(fmt::format("KV head {} alone", g), std::move(one));
  }
  if (p.num_kv_heads == 1)
    drop_parts(c, "head", p.num_heads, {CaseAxis::heads}, candidates,
               [](Case& to, int64_t size) { to.problem.num_heads = size; });
}

void drop_tokens(const Case& c, Candidates& candidates) {
  const Problem& p = c.problem;
  if (c.cached()) return;
  const auto set_keys = [](Case& to, int64_t size) {
    to.problem.kv_len = size;
    for (RuleUse& use : to.problem.mask.rules)
      for (size_t k = 0; k < use.values.size(); ++k)
        if (use.spec->params[k].kind == RuleParam::Kind::per_batch)
          for (int64_t& value : std::get<std::vector<int64_t>>(use.values[k]))
            value = std::min(value, size);
  };
  if (p.q_len == p.kv_len)
    drop_parts(c, "token", p.kv_len, {CaseAxis::queries, CaseAxis::keys}, candidates,
               [&](Case& to, int64_t size) {
                 to.problem.q_len = size;
                 set_keys(to, size);
               });
  drop_parts(c, "query", p.q_len, {CaseAxis::queries}, candidates,
             [](Case& to, int64_t size) { to.problem.q_len = size; });
  drop_parts(c, "key", p.kv_len, {CaseAxis::keys}, candidates, set_keys);
}

void drop_dims(const Case& c, Candidates& candidates) {
  const Problem& p = c.problem;
  if (p.head_dim == p.head_dim_v)
    drop_parts(c, "element of the heads", p.head_dim, {CaseAxis::dim, CaseAxis::dim_v}, candidates,
               [](Case& to, int64_t size) { to.problem.head_dim = to.problem.head_dim_v = size; });
  drop_parts(c, "element of q and k", p.head_dim, {CaseAxis::dim}, candidates,
             [](Case& to, int64_t size) { to.problem.head_dim = size; });
  drop_parts(c, "element of v", p.head_dim_v, {CaseAxis::dim_v}, candidates,
             [](Case& to, int64_t size) { to.problem.head_dim_v = size; });
}

/// x with so many significant bits.
double with_bits(double x, int bits) {
  if (!std::isfinite(x) || x == 0) return x;
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, bits)), exponent - bits);
}

/// What a number can become, the plainest first.
struct Plainer {
  std::string_view words;
  double (*of)(double);
};
constexpr Plainer plainer[] = {
    {"0", [](double) { return 0.0; }},
    {"1", [](double) { return 1.0; }},
    {"a whole number", [](double x) { return std::isfinite(x) ? std::nearbyint(x) : x; }},
    {"a power of two", [](double x) { return with_bits(x, 1); }},
    {"4 significant bits", [](double x) { return with_bits(x, 4); }},
    {"8 significant bits", [](double x) { return with_bits(x, 8); }},
};

/// Offers the case with `tensors`, one of which is changed.
class Numbers {
 public:
  Numbers(const Case& c, Candidates& candidates)
      : c_(c), candidates_(candidates), specs_(given_specs(c)), tensors_(given_tensors(c)) {}

  void offer() {
    for (size_t t = 0; t < specs_.size(); ++t)
      for (const Plainer& each : plainer) change(t, 0, tensors_[t].size(), each);
    for (size_t t = 0; t < specs_.size() && elements_of(c_) <= most_in_small_parts; ++t) {
      const int64_t size = tensors_[t].size();
      const int64_t least = size <= most_single ? 1 : std::max<int64_t>(1, size / finest_part(c_));
      for (int64_t count = size / 2; count >= least; count /= 2)
        for (int64_t first = 0; first < size; first += count)
          for (const Plainer& each : plainer) {
            change(t, first, std::min(size, first + count), each);
            if (count > 1 && &each == &plainer[0]) break;  // parts become 0, elements anything
          }
    }
  }

 private:
  void change(size_t t, int64_t first, int64_t last, const Plainer& how) {
    const GivenSpec& spec = specs_[t];
    std::vector<double> values = tensors_[t].to_doubles();
    bool changed = false;
    for (int64_t k = first; k < last; ++k) {
      double& x = values[static_cast<size_t>(k)];
      const double plain = spec.role == Role::bias && std::isinf(x) && &how != &plainer[0]
                               ? x  // it hides its key
                               : how.of(x);
      if (given_cost(plain) >= given_cost(x)) continue;
      x = plain;
      changed = true;
    }
    if (!changed) return;
    std::vector<Tensor> tensors = tensors_;
    tensors[t] = Tensor::from_doubles(spec.dtype, spec.shape, values);
    try {
      Case plain = c_;
      plain.data = given_data(c_, tensors, "", "");
      candidates_.add(last - first == 1
                          ? fmt::format("{}[{}] → {}", spec.name, first, how.words)
                          : fmt::format("{}[{} to {}] → {}", spec.name, first, last - 1, how.words),
                      std::move(plain));
    } catch (const InputError&) {
      // a scale of 0, a gate of 1: no such case
    }
  }

  const Case& c_;
  Candidates& candidates_;
  const std::vector<GivenSpec> specs_;
  const std::vector<Tensor> tensors_;
};

}  // namespace

bool is_given_whole(const Case& c) {
  if (c.data.given == nullptr) return true;
  const std::map<uint32_t, Tensor>& given = c.data.given->tensors;
  const std::vector<GivenSpec> specs = given_specs(c);
  return std::all_of(specs.begin(), specs.end(), [&](const GivenSpec& spec) {
    const auto found = given.find(tensor_number(spec.role, spec.step));
    if (found == given.end()) return false;
    const Shape wanted = place_sizes(spec, c.problem.layout);
    return std::equal(wanted.begin(), wanted.end(), found->second.shape.begin(),
                      std::less_equal<>());
  });
}

uint64_t given_cost(double x) {
  if (x == 0) return std::signbit(x) ? 1 : 0;
  if (x == 1) return 1;
  if (!std::isfinite(x)) return 128;
  int exponent = 0;
  double fraction = std::abs(std::frexp(x, &exponent));
  uint64_t bits = 0;
  for (; fraction != 0; ++bits) fraction = std::ldexp(fraction, 1) - (fraction >= 0.5 ? 1 : 0);
  const uint64_t size = static_cast<uint64_t>(std::min(std::abs(exponent), 60));
  return 2 + bits + (std::trunc(x) == x ? 0 : 2) + size / 4 + (x < 0 ? 1 : 0);
}

void generated_data(const Case& c, Candidates& candidates) {
  if (c.data.given != nullptr) candidates.add("generated data", with_generated_data(c));
}

void fewer_given(const Case& c, Candidates& candidates) {
  if (c.data.given == nullptr || elements_of(c) > most_copied) return;
  const Case own = cut(c);
  drop_heads(own, candidates);
  drop_tokens(own, candidates);
  drop_dims(own, candidates);
}

void plainer_given(const Case& c, Candidates& candidates) {
  if (c.data.given != nullptr && elements_of(c) <= most_copied) Numbers(c, candidates).offer();
}

}  // namespace attnfuzz
