#include "fuzz/measure/scale_law.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

namespace attnfuzz::measure {
namespace {

/// What a law is made of.
struct Size {
  const char* words;
  int64_t (*of)(const Problem&);
};
constexpr Size sizes[] = {
    {"1", [](const Problem&) { return int64_t{1}; }},
    {"head_dim", [](const Problem& p) { return p.head_dim; }},
    {"head_dim_v", [](const Problem& p) { return p.head_dim_v; }},
    {"num_heads", [](const Problem& p) { return p.num_heads; }},
    {"num_kv_heads", [](const Problem& p) { return p.num_kv_heads; }},
    {"kv_len", [](const Problem& p) { return p.kv_len; }},
    {"q_len", [](const Problem& p) { return p.q_len; }},
    {"batch", [](const Problem& p) { return p.batch; }},
    {"2", [](const Problem&) { return int64_t{2}; }},
    {"(head_dim + head_dim_v)", [](const Problem& p) { return p.head_dim + p.head_dim_v; }},
    {"(num_heads + num_kv_heads)", [](const Problem& p) { return p.num_heads + p.num_kv_heads; }},
    {"(num_heads + 2·num_kv_heads)",
     [](const Problem& p) { return p.num_heads + 2 * p.num_kv_heads; }},
};

int64_t up_to(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}
/// Kernels pad heads to whole tiles: these are scales by themselves alone.
constexpr Size padded_sizes[] = {
    {"the power of 2 above head_dim",
     [](const Problem& p) {
       int64_t power = 1;
       while (power < p.head_dim) power *= 2;
       return power;
     }},
    {"head_dim rounded up to a multiple of 8",
     [](const Problem& p) { return up_to(p.head_dim, 8); }},
    {"head_dim rounded up to a multiple of 16",
     [](const Problem& p) { return up_to(p.head_dim, 16); }},
    {"head_dim rounded up to a multiple of 32",
     [](const Problem& p) { return up_to(p.head_dim, 32); }},
    {"head_dim rounded up to a multiple of 64",
     [](const Problem& p) { return up_to(p.head_dim, 64); }},
    {"head_dim rounded up to a multiple of 128",
     [](const Problem& p) { return up_to(p.head_dim, 128); }},
};

/// How a number gives a scale.
struct Form {
  const char* words;
  double (*of)(double number);
};
constexpr Form forms[] = {
    {"1/sqrt({})", [](double x) { return 1 / std::sqrt(x); }},
    {"1/({})", [](double x) { return 1 / x; }},
};

bool is_same(double a, double b) {
  return std::abs(a - b) <= 3e-3 * std::abs(b);
}

/// How many scales there are that differ clearly.
size_t different(std::span<const SeenScale> seen) {
  std::vector<double> all;
  for (const SeenScale& each : seen)
    if (std::none_of(all.begin(), all.end(),
                     [&](double x) { return std::abs(x - each.scale) <= 0.03 * x; }))
      all.push_back(each.scale);
  return all.size();
}

std::string words_of(const Size& a, const Size& b, const Size& c) {
  std::string words(b.words);
  if (&a != &sizes[0]) words = fmt::format("{}·{}", a.words, b.words);
  if (&c != &sizes[0]) words += fmt::format(" / {}", c.words);
  return words;
}

}  // namespace

std::string scale_law(std::span<const SeenScale> seen) {
  constexpr size_t enough = 3;
  const auto all_are = [&](const Form& form, const auto& number) {
    return std::all_of(seen.begin(), seen.end(), [&](const SeenScale& each) {
      return is_same(form.of(static_cast<double>(number(*each.problem))), each.scale);
    });
  };
  // Many head sizes are padded to one: what they have to show is that theirs differ.
  std::set<int64_t> head_dims;
  for (const SeenScale& each : seen) head_dims.insert(each.problem->head_dim);
  for (const Size& size : padded_sizes)
    for (const Form& form : forms)
      if (head_dims.size() >= enough && all_are(form, size.of))
        return fmt::format(fmt::runtime(form.words), size.words);
  if (different(seen) < enough) return "";
  // The fewest sizes first: c and a may be 1.
  for (const Size& c : sizes)
    for (const Size& a : sizes)
      for (const Size& b : sizes)
        for (const Form& form : forms)
          if (&a <= &b && &c != &a && &c != &b && all_are(form, [&](const Problem& p) {
                return a.of(p) * b.of(p) / std::max<int64_t>(1, c.of(p));
              }))
            return fmt::format(fmt::runtime(form.words), words_of(a, b, c));
  return "";
}

}  // namespace attnfuzz::measure
