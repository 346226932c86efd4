#include "fuzz/measure/addresses.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace attnfuzz::measure {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// The rule's own tensor, in the shape in which it is given.
std::vector<double> tensor_of(const Case& c, const RuleUse& rule, int64_t batch, int64_t heads) {
  Case alone = c;
  alone.problem.mask.rules = {rule};
  const DenseMask dense = dense_mask(alone.problem, alone.data);
  const bool is_bias = rule.spec->adds_bias;
  std::vector<double> all;
  const int64_t row = dense.q_len * dense.kv_len;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t n = 0; n < row; ++n) {
        const auto at = static_cast<size_t>((b * dense.heads + h) * row + n);
        all.push_back(is_bias ? dense.bias[at] : static_cast<double>(dense.visible[at]));
      }
  return all;
}

std::vector<double> transposed(const std::vector<double>& tensor, int64_t rows, int64_t columns) {
  std::vector<double> other(tensor.size());
  for (size_t n = 0; n < tensor.size(); ++n) {
    const auto at = static_cast<int64_t>(n) % (rows * columns);
    const int64_t to = at % columns * rows + at / columns;
    other[n - static_cast<size_t>(at) + static_cast<size_t>(to)] = tensor[n];
  }
  return other;
}

}  // namespace

const std::vector<AddressFacts::Stride>& AddressFacts::strides() {
  static const std::vector<Stride> all{
      {"0", [](const Seen&) { return int64_t{0}; }},
      {"1", [](const Seen&) { return int64_t{1}; }},
      {"kv_len", [](const Seen& s) { return s.kv_len; }},
      {"q_len", [](const Seen& s) { return s.q_len; }},
      {"q_len·kv_len", [](const Seen& s) { return s.q_len * s.kv_len; }},
      {"num_heads·q_len·kv_len", [](const Seen& s) { return s.heads * s.q_len * s.kv_len; }},
      {"batch·q_len·kv_len", [](const Seen& s) { return s.batch * s.q_len * s.kv_len; }},
      {"2·q_len·kv_len", [](const Seen& s) { return 2 * s.q_len * s.kv_len; }},
      {"2·num_heads·q_len·kv_len", [](const Seen& s) { return 2 * s.heads * s.q_len * s.kv_len; }},
      {"num_heads·kv_len", [](const Seen& s) { return s.heads * s.kv_len; }},
      {"num_heads·q_len", [](const Seen& s) { return s.heads * s.q_len; }},
      {"num_heads", [](const Seen& s) { return s.heads; }},
      {"batch", [](const Seen& s) { return s.batch; }},
      {"kv_len²", [](const Seen& s) { return s.kv_len * s.kv_len; }},
      {"q_len²", [](const Seen& s) { return s.q_len * s.q_len; }},
  };
  return all;
}

AddressFacts::Strides AddressFacts::right_strides(const Seen& seen) {
  const std::vector<Stride>& all = strides();
  const Stride* of_b = seen.tensor_heads > 1 ? &all[5] : &all[4];
  return {seen.tensor_batch > 1 ? of_b : &all[0], seen.tensor_heads > 1 ? &all[4] : &all[0],
          &all[2], &all[1]};
}

/// "b·q_len·kv_len + i·kv_len + j".
std::string AddressFacts::address_words(const Strides& by) {
  std::string words;
  const char* const letters[4] = {"b", "h", "i", "j"};
  for (size_t n = 0; n < by.size(); ++n) {
    const std::string_view stride = by[n]->words;
    if (stride == "0") continue;
    words += fmt::format("{}{}{}{}", words.empty() ? "" : " + ", letters[n],
                         stride == "1" ? "" : "·", stride == "1" ? "" : stride);
  }
  return words;
}

/// A bias is seen up to one number for each row of scores.
bool AddressFacts::fits(const Seen& seen, const Strides& by, const Reading& reading) {
  const int64_t strides_of[4] = {by[0]->of(seen), by[1]->of(seen), by[2]->of(seen),
                                 by[3]->of(seen)};
  const std::vector<double>& tensor = reading.transposed ? seen.transposed : seen.tensor;
  const auto size = static_cast<int64_t>(tensor.size());
  size_t at = 0;
  for (int64_t b = 0; b < seen.batch; ++b)
    for (int64_t h = 0; h < seen.heads; ++h)
      for (int64_t i = 0; i < seen.q_len; ++i) {
        double offset = nan;
        for (int64_t j = 0; j < seen.kv_len; ++j, ++at) {
          const double used = seen.used[at];
          if (std::isnan(used)) continue;
          const int64_t address =
              b * strides_of[0] + h * strides_of[1] + i * strides_of[2] + j * strides_of[3];
          const double value =
              address < size ? tensor[static_cast<size_t>(address)] : reading.beyond;
          if (!seen.is_bias) {
            if (value != used) return false;
            continue;
          }
          if (std::isnan(offset)) offset = used - value;
          if (std::abs(used - value - offset) > 0.01) return false;
        }
      }
  return true;
}

void AddressFacts::add(Target& target, const Case& c, Budget& budget) {
  const RuleUse* rule = c.problem.mask.find("boolean");
  if (rule == nullptr) rule = c.problem.mask.find("bias");
  const bool alibi = c.problem.mask.find("alibi") != nullptr;
  if (c.cached() || rule == nullptr || alibi || c.problem.softcap > 0) return;
  const Problem& p = c.problem;
  const Plan plan = declared(c);
  if (plan.queries.empty() || p.kv_len == 0) return;
  Forge forge(plan);
  forge.queries([](int32_t, int64_t, int64_t, int64_t, std::span<double>) {});
  const std::optional<Weights> got = weigh(target, plan, forge, budget);
  if (!got) return;
  Seen seen{p.batch, p.num_heads, p.q_len, p.kv_len, 1, 1, rule->spec->adds_bias,
            {},      {},          {},      false};
  const std::string_view shape =
      rule->spec->params[0].choices[static_cast<size_t>(rule->integer(0))];
  seen.tensor_batch = shape.find('b') != std::string_view::npos ? p.batch : 1;
  seen.tensor_heads = shape.find('h') != std::string_view::npos ? p.num_heads : 1;
  seen.tensor = tensor_of(c, *rule, seen.tensor_batch, seen.tensor_heads);
  seen.transposed = transposed(seen.tensor, p.q_len, p.kv_len);
  seen.used.assign(static_cast<size_t>(p.batch * p.num_heads * p.q_len * p.kv_len), nan);
  // What the other rules hide says nothing of the tensor.
  Case others = c;
  std::erase_if(others.problem.mask.rules,
                [&](const RuleUse& each) { return each.spec == rule->spec; });
  const Plan without = declared(others);
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = without.queries[n];
    double largest = 0;
    for (const double w : got->of(n)) largest = std::max(largest, w);
    if (largest <= 0 && seen.is_bias) continue;
    for (const Key& key : query.keys) {
      if (key.position < 0) continue;
      const double w = got->of(n)[key.source];
      const bool is_seen = w > 1e-5 * largest && w > 0;
      const auto at = static_cast<size_t>(
          ((query.b * p.num_heads + query.h) * p.q_len + query.i) * p.kv_len + key.position);
      seen.used[at] = !seen.is_bias ? (is_seen ? 1.0 : 0.0) : is_seen ? std::log(w) : nan;
    }
    if (!seen.is_bias && largest <= 0) {  // all hidden: whatever such a row gives, it may be
      for (const Key& key : query.keys) {
        const auto at = static_cast<size_t>(
            ((query.b * p.num_heads + query.h) * p.q_len + query.i) * p.kv_len + key.position);
        if (key.position >= 0 && plan.queries[n].keys.empty()) seen.used[at] = nan;
      }
    }
  }
  const Strides right = right_strides(seen);
  seen.wrong = !fits(seen, right, {});
  seen_.push_back(std::move(seen));
}

/// A case, and others like it: masks of which half is set tell addresses apart.
void AddressFacts::measure(Target& target, const Case& c, Budget& budget) {
  add(target, c, budget);
  if (seen_.empty() || !seen_.back().wrong) return;
  for (const uint64_t seed : {1, 2}) {
    Case other = c;
    other.data.seed = seed;
    for (RuleUse& rule : other.problem.mask.rules)
      if (rule.spec->name == "boolean") rule.values[1] = int64_t{60};
    if (target.info().capabilities.rejection_reason(other).empty()) add(target, other, budget);
  }
}

std::vector<Statement> AddressFacts::statements() const {
  const auto wrong =
      std::find_if(seen_.begin(), seen_.end(), [](const Seen& seen) { return seen.wrong; });
  if (wrong == seen_.end()) return {};
  const std::vector<Stride>& all = strides();
  const auto choices = [&](std::initializer_list<size_t> which) {
    std::vector<const Stride*> some;
    for (const size_t n : which) some.push_back(&all[n]);
    return some;
  };
  // The plainest first: as it should be, shared, then the strides of other
  // layouts.
  const auto of_b = choices({4, 5, 0, 7, 8, 2, 3, 1, 13, 14, 12}),
             of_h = choices({4, 0, 6, 2, 3, 1, 12, 13, 14}), of_i = choices({2, 1, 0, 3, 9, 11}),
             of_j = choices({1, 3, 0, 2, 10, 11});
  const Reading readings[] = {{false, 0}, {false, 1}, {true, 0}, {true, 1}};
  for (const Reading& reading : readings)
    for (const Stride* j : of_j)
      for (const Stride* i : of_i)
        for (const Stride* h : of_h)
          for (const Stride* b : of_b) {
            const Strides by{b, h, i, j};
            const bool all_fit = std::all_of(seen_.begin(), seen_.end(), [&](const Seen& seen) {
              return fits(seen, by, reading);
            });
            if (all_fit) return {{"addresses", words_of(*wrong, by, reading)}};
          }
  return {};
}

std::string AddressFacts::words_of(const Seen& wrong, const Strides& by, const Reading& reading) {
  const std::string shape =
      fmt::format("[{}{}q_len, kv_len]", wrong.tensor_batch > 1 ? "batch, " : "",
                  wrong.tensor_heads > 1 ? "num_heads, " : "");
  const char* tensor = wrong.is_bias ? "bias" : "boolean mask";
  // The first sentence says what all cases have in common.
  return fmt::format(
      "The element of the {} for batch row b, head h, query i and key j is read at {}{}, and not "
      "where it lies. In a {} {} it lies at {}. (Beyond the tensor's end {} is read.)",
      tensor, address_words(by),
      reading.transposed ? " of a transposed copy (kv_len before q_len)" : "", tensor, shape,
      address_words(right_strides(wrong)), reading.beyond);
}

}  // namespace attnfuzz::measure
