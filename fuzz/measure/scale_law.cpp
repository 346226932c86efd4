#include "fuzz/measure/scale_law.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
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
  if (different(seen) < enough) return "";
  // The fewest sizes first: c and a may be 1.
  for (const Size& c : sizes)
    for (const Size& a : sizes)
      for (const Size& b : sizes)
        for (const Form& form : forms)
          if (&a <= &b && &c != &a && &c != &b &&
              std::all_of(seen.begin(), seen.end(), [&](const SeenScale& each) {
                const Problem& p = *each.problem;
                const int64_t whole = a.of(p) * b.of(p) / std::max<int64_t>(1, c.of(p));
                return is_same(form.of(static_cast<double>(whole)), each.scale);
              }))
            return fmt::format(fmt::runtime(form.words), words_of(a, b, c));
  return "";
}

}  // namespace attnfuzz::measure
