#include "oracle/case.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "oracle/linear/kinds.h"

namespace attnfuzz {
namespace {

constexpr int64_t max_rows = int64_t{1} << 12;    // b and h of element_index
constexpr int64_t max_tokens = int64_t{1} << 24;  // s of element_index
constexpr int64_t max_dim = int64_t{1} << 16;     // d of element_index
constexpr double max_elements = 0x1p36;           // of any one tensor
constexpr size_t max_steps = size_t{1} << 16;     // tensor numbers stay far below 2^32

constexpr ProblemSize sizes[] = {
    {"batch", &Problem::batch, 0, max_rows},
    {"num_heads", &Problem::num_heads, 0, max_rows},
    {"num_kv_heads", &Problem::num_kv_heads, 0, max_rows},
    {"q_len", &Problem::q_len, 0, max_tokens},
    {"kv_len", &Problem::kv_len, 0, max_tokens},
    {"head_dim", &Problem::head_dim, 1, max_dim},
    {"head_dim_v", &Problem::head_dim_v, 1, max_dim},
    {"memory_kv", &Problem::memory_kv, 0, max_tokens},
};

/// Checks one case; every complaint is an InputError with the path of the thing at fault.
class Checker {
 public:
  Checker(const Case& c, const std::string& where) : c_(c), p_(c.problem), where_(where) {}

  void run() const {
    problem();
    for (size_t k = 0; k < p_.mask.rules.size(); ++k) rule(k);
    outputs();
    infinite_bias();
    if (c_.cached()) {
      cache(*c_.cache);
      steps();
    } else {
      expect(c_.steps.empty(), "/steps", "no steps without a cache");
    }
    memory();
  }

 private:
  [[noreturn]] void fail(const std::string& path, const std::string& expected) const {
    throw InputError(where_, path, "expected " + expected);
  }

  void expect(bool holds, const std::string& path, const std::string& expected) const {
    if (!holds) fail(path, expected);
  }

  void within(int64_t value, int64_t min, int64_t max, const std::string& path) const {
    if (value >= min && value <= max) return;
    fail(path, fmt::format("an integer from {} to {}, found {}", min, max, value));
  }

  void number(double value, const NumberRange& range, const std::string& path) const {
    const std::string negative =
        range.has_sign ? fmt::format(" or from {} to {}", -range.max, -range.min) : "";
    expect(range.holds(value), path,
           fmt::format("0 or a number from {} to {}{}, found {}", range.min, range.max, negative,
                       value));
  }

  void problem() const {
    for (const ProblemSize& size : problem_sizes()) {
      within(p_.*size.member, size.min, size.max, fmt::format("/problem/{}", size.name));
    }
    expect(p_.num_kv_heads > 0 || p_.num_heads == 0, "/problem/num_kv_heads",
           fmt::format("at least 1 key head for {} query heads", p_.num_heads));
    expect(p_.num_kv_heads == 0 || p_.num_heads % p_.num_kv_heads == 0, "/problem/num_kv_heads",
           fmt::format("a divisor of num_heads {}, found {}", p_.num_heads, p_.num_kv_heads));
    if (p_.scale) number(*p_.scale, scale_range, "/problem/scale");
    number(p_.softcap, softcap_range, "/problem/softcap");
    dropout();
    rope();
    if (!c_.cached()) return;
    expect(p_.q_len == 0, "/problem/q_len", "none with a cache: each step has its own");
    expect(p_.kv_len == 0, "/problem/kv_len", "none with a cache: it follows from the steps");
  }

  void dropout() const {
    within(p_.dropout_keep, 1, 100, "/problem/dropout_keep");
    if (!p_.has_dropout()) return;
    expect(!c_.cached(), "/problem/dropout_keep", "100 (no dropout) with a cache");
    expect(p_.memory_kv + p_.kv_len <= max_dim, "/problem/kv_len",
           fmt::format("at most {} keys with dropout", max_dim));
  }

  /// A bias of −inf hides its key, which it does not below a softcap.
  void infinite_bias() const {
    if (c_.data.nonfinite != NonFinite::inf_bias) return;
    const std::string path = "/data/nonfinite";
    expect(p_.mask.find("bias") != nullptr, path, "no \"inf_bias\" without the rule \"bias\"");
    expect(p_.dtype != DType::e4m3, path, "no \"inf_bias\" in e4m3, which has no infinity");
    expect(p_.softcap == 0 || p_.bias_order == BiasOrder::after_softcap, path,
           "no \"inf_bias\" before the softcap");
  }

  void outputs() const {
    const std::string path = "/problem/outputs";
    const auto needs = [&](Output output, bool holds, std::string_view what) {
      expect(holds || !p_.asks(output), path, fmt::format("no \"{}\" {}", name(output), what));
    };
    expect(!p_.outputs.empty() && p_.outputs.front() == Output::out, path, "\"out\" first");
    expect(std::adjacent_find(p_.outputs.begin(), p_.outputs.end(), std::greater_equal<>()) ==
               p_.outputs.end(),
           path, fmt::format("each once, in the order {}", fmt::join(names_of<Output>, ", ")));
    expect(!c_.cached() || !p_.asks_gradients(), path, "no gradients with a cache");
    expect(p_.rope == Rope::none || !p_.asks_gradients(), path, "no gradients with rope");
    needs(Output::dbias, p_.mask.adds_bias(), "without a rule that adds a bias");
    needs(Output::dsinks, p_.sinks, "without sinks");
    needs(Output::dmem_k, p_.memory_kv > 0, "without memory_kv");
    needs(Output::dmem_v, p_.memory_kv > 0, "without memory_kv");
  }

  void rope() const {
    const bool on = p_.rope != Rope::none;
    expect(!on || p_.head_dim % 2 == 0, "/problem/head_dim",
           fmt::format("an even number with rope, found {}", p_.head_dim));
    expect(
        on ? std::isfinite(p_.rope_base) && p_.rope_base > 1 : p_.rope_base == Problem().rope_base,
        "/problem/rope_base", "a finite number above 1 with rope, none without");
  }

  void rule(size_t k) const {
    const RuleUse& use = p_.mask.rules[k];
    const std::string path = fmt::format("/problem/mask/rules/{}", k);
    expect(use.spec != nullptr, path, "a mask rule");
    const RuleSpec& spec = *use.spec;
    for (size_t other = 0; other < k; ++other) {
      expect(p_.mask.rules[other].spec != &spec, path,
             fmt::format("each rule at most once, found \"{}\" again", spec.name));
    }
    expect(!c_.cached() || spec.on_cache, path,
           fmt::format("a rule that has a meaning over a cache, found \"{}\"", spec.name));
    expect(use.values.size() == spec.params.size(), path,
           fmt::format("{} parameters for \"{}\"", spec.params.size(), spec.name));
    for (size_t n = 0; n < spec.params.size(); ++n) {
      parameter(spec.params[n], use.values[n], fmt::format("{}/{}", path, spec.params[n].name));
    }
    if (spec.name == "bias" || spec.name == "boolean") {
      expect(p_.kv_len <= max_dim, "/problem/kv_len",
             fmt::format("at most {} with the rule \"{}\"", max_dim, spec.name));
    }
  }

  void parameter(const RuleParam& param, const ParamValue& value, const std::string& path) const {
    using Kind = RuleParam::Kind;
    if (param.kind == Kind::integer || param.kind == Kind::choice) {
      const int64_t* number = std::get_if<int64_t>(&value);
      expect(number != nullptr, path, "one integer");
      const bool choice = param.kind == Kind::choice;
      within(*number, choice ? 0 : param.min,
             choice ? static_cast<int64_t>(param.choices.size()) - 1 : param.max, path);
      return;
    }
    const auto* list = std::get_if<std::vector<int64_t>>(&value);
    expect(list != nullptr, path, "a list of integers");
    const bool per_batch = param.kind == Kind::per_batch;
    const int64_t max = c_.cached() ? param.max : p_.kv_len;
    if (per_batch) one_per_row(*list, path);
    for (size_t n = 0; n < list->size(); ++n) {
      within((*list)[n], param.min, std::max(param.min, max), fmt::format("{}/{}", path, n));
    }
    if (per_batch) return;
    const int64_t sum = std::accumulate(list->begin(), list->end(), int64_t{0});
    expect(sum == p_.kv_len, path,
           fmt::format("lengths that sum to kv_len {}, found {}", p_.kv_len, sum));
  }

  void one_per_row(const std::vector<int64_t>& list, const std::string& path) const {
    expect(
        static_cast<int64_t>(list.size()) == p_.batch, path,
        fmt::format("one integer for each of the {} batch rows, found {}", p_.batch, list.size()));
  }

  void cache(const Cache& cache) const {
    const bool cross = cache.kind == CacheKind::cross;
    const bool bounded = cache.kind != CacheKind::dynamic && !cross;
    const bool paged = cache.kind == CacheKind::paged;
    if (bounded) {
      const bool two_parts = cache.kind == CacheKind::sink_window;  // a token each, at least
      within(cache.capacity, two_parts ? 2 : 1, max_tokens, "/cache/capacity");
    } else {
      expect(cache.capacity == 0, "/cache/capacity",
             fmt::format("0 for a {} cache, which has no limit", name(cache.kind)));
    }
    if (paged) {
      within(cache.page_size, 1, max_tokens, "/cache/page_size");
    } else {
      expect(cache.page_size == 0, "/cache/page_size", "0 unless the cache is paged");
    }
    if (cache.kind == CacheKind::sink_window) {
      within(cache.keep, 1, cache.capacity - 1, "/cache/keep");
    } else {
      expect(cache.keep == 0, "/cache/keep", "0 unless the cache is a sink_window");
    }
    expect(!cross || p_.mask.rules.empty(), "/problem/mask/rules",
           "none with a cross cache: every query sees all keys");
    expect(!cross || p_.rope == Rope::none, "/problem/rope", "none with a cross cache");
    quant(cache);
  }

  void quant(const Cache& cache) const {
    const bool on = cache.quant != Quant::none;
    expect(on || cache.scales == Scales::token, "/cache/scales", "none without \"quant\"");
    expect(!on || c_.data.nonfinite != NonFinite::inf_value, "/data/nonfinite",
           "no infinite values in a quantised cache");
    expect(!on || p_.rope == Rope::none || cache.positions == Positions::kept, "/cache/positions",
           "\"kept\" with rope in a quantised cache: what is rounded can not be turned");
  }

  /// Follows the number of tokens in each row through the steps.
  void steps() const {
    expect(!c_.steps.empty(), "/steps", "at least one step");
    expect(c_.steps.size() <= max_steps, "/steps", fmt::format("at most {} steps", max_steps));
    std::vector<int64_t> totals(static_cast<size_t>(p_.batch), 0);
    bool filled = false;  // since the start, or the last reset
    for (size_t n = 0; n < c_.steps.size(); ++n) {
      const Step& step = c_.steps[n];
      const std::string path = fmt::format("/steps/{}", n);
      expect(filled || step.op == StepOp::prefill || step.op == StepOp::reset, path + "/op",
             fmt::format("a prefill before \"{}\"", name(step.op)));
      fields(step, path);
      if (step.has_tokens()) tokens(step, path, totals);
      if (step.op == StepOp::reorder) reorder(step, path, totals);
      if (step.op == StepOp::crop) crop(step, path, totals);
      if (step.op == StepOp::reset) std::fill(totals.begin(), totals.end(), 0);
      if (step.op == StepOp::fork) fork(step, path, totals);
      if (step.op == StepOp::evict) evict(step, path, totals);
      filled = step.op != StepOp::reset && (filled || step.op == StepOp::prefill);
    }
  }

  /// What an operation does not use is left empty.
  void fields(const Step& step, const std::string& path) const {
    const std::string only = fmt::format(" for \"{}\"", name(step.op));
    expect(step.has_tokens() || step.q_len == 0, path + "/q_len", "none" + only);
    expect(step.has_tokens() || step.lens.empty(), path + "/lens", "none" + only);
    expect(step.op == StepOp::reorder || step.rows.empty(), path + "/rows", "none" + only);
    expect(step.op == StepOp::crop || step.length == 0, path + "/length", "none" + only);
    expect(!step.lens.empty() || step.side == Side::right, path + "/side", "none without \"lens\"");
    expect(step.op == StepOp::fork || step.from == 0, path + "/from", "none" + only);
    expect(step.op == StepOp::fork || step.to == 0, path + "/to", "none" + only);
    expect(step.op == StepOp::evict || step.start == 0, path + "/start", "none" + only);
    expect(step.op == StepOp::evict || step.count == 0, path + "/count", "none" + only);
    expect(step.kv_len.has_value() == (step.has_tokens() && cross()), path + "/kv_len",
           cross() ? "a number of keys, for steps with queries" : "none without a cross cache");
  }

  bool cross() const { return c_.cache->kind == CacheKind::cross; }

  void tokens(const Step& step, const std::string& path, std::vector<int64_t>& totals) const {
    within(step.q_len, 0, max_tokens, path + "/q_len");
    expect(step.op != StepOp::decode || step.q_len == 1, path + "/q_len",
           fmt::format("1 for \"decode\", found {}", step.q_len));
    const auto longest = std::max_element(totals.begin(), totals.end());
    expect(step.op != StepOp::prefill || longest == totals.end() || *longest == 0, path + "/op",
           "\"append\" here: \"prefill\" is for an empty cache");
    if (!step.lens.empty()) one_per_row(step.lens, path + "/lens");
    if (cross()) cross_keys(step, path);
    for (size_t b = 0; b < totals.size(); ++b) {
      if (!step.lens.empty())
        within(step.lens[b], cross() ? 1 : 0, step.keys(), fmt::format("{}/lens/{}", path, b));
      totals[b] += step.real_tokens(b);
      const int64_t limit = limited() ? c_.cache->capacity : max_tokens;
      expect(totals[b] <= limit, path,
             fmt::format("at most {} tokens in a row of the cache, found {} in row {}", limit,
                         totals[b], b));
    }
  }

  void cross_keys(const Step& step, const std::string& path) const {
    const bool fills = step.op == StepOp::prefill;
    within(*step.kv_len, fills ? 1 : 0, fills ? max_tokens : 0, path + "/kv_len");
    expect(fills || step.lens.empty(), path + "/lens", "none for queries alone");
  }

  void reorder(const Step& step, const std::string& path, std::vector<int64_t>& totals) const {
    one_per_row(step.rows, path + "/rows");
    const std::vector<int64_t> before = totals;
    for (size_t b = 0; b < totals.size(); ++b) {
      within(step.rows[b], 0, p_.batch - 1, fmt::format("{}/rows/{}", path, b));
      totals[b] = before[static_cast<size_t>(step.rows[b])];
    }
  }

  void crop(const Step& step, const std::string& path, std::vector<int64_t>& totals) const {
    const int64_t longest = totals.empty() ? 0 : *std::max_element(totals.begin(), totals.end());
    within(step.length, 0, longest, path + "/length");
    expect(!cross(), path + "/op", "no crop of a cross cache");
    expect(!c_.cache->forgets() || longest <= c_.cache->capacity, path + "/op",
           fmt::format("no crop once a {} of {} has dropped tokens, found a row of {}",
                       name(c_.cache->kind), c_.cache->capacity, longest));
    for (int64_t& total : totals) total = std::min(total, step.length);
  }

  void fork(const Step& step, const std::string& path, std::vector<int64_t>& totals) const {
    expect(p_.batch > 0, path + "/op", "no fork without batch rows");
    within(step.from, 0, p_.batch - 1, path + "/from");
    within(step.to, 0, p_.batch - 1, path + "/to");
    totals[static_cast<size_t>(step.to)] = totals[static_cast<size_t>(step.from)];
  }

  void evict(const Step& step, const std::string& path, std::vector<int64_t>& totals) const {
    within(step.start, 0, max_tokens, path + "/start");
    within(step.count, 1, max_tokens, path + "/count");
    expect(!cross(), path + "/op", "no evict from a cross cache");
    expect(!c_.cache->forgets(), path + "/op",
           fmt::format("no evict from a {} cache, which forgets by itself", name(c_.cache->kind)));
    for (int64_t& total : totals) total -= step.evicted(total);
  }

  /// Whether the cache must hold all of a row's tokens in its capacity.
  bool limited() const {
    return c_.cache->kind == CacheKind::fixed || c_.cache->kind == CacheKind::paged;
  }

  /// No tensor is beyond all memory.
  void memory() const {
    int64_t q_len = p_.q_len, kv_len = p_.kv_len;
    for (const Step& step : c_.steps) {
      q_len = std::max(q_len, step.q_len);
      kv_len = std::max(kv_len, step.keys());
    }
    const auto fits = [&](std::string_view what, std::initializer_list<int64_t> shape) {
      double count = 1;
      for (const int64_t size : shape) count *= static_cast<double>(size);
      expect(count <= max_elements, "/problem",
             fmt::format("at most {} elements in {}, found {}", max_elements, what, count));
    };
    fits("q", {p_.batch, p_.num_heads, q_len, p_.head_dim});
    fits("out", {p_.batch, p_.num_heads, q_len, p_.head_dim_v});
    fits("k", {p_.batch, p_.num_kv_heads, kv_len, p_.head_dim});
    fits("v", {p_.batch, p_.num_kv_heads, kv_len, p_.head_dim_v});
    fits("mem_k", {p_.num_kv_heads, p_.memory_kv, p_.head_dim});
    fits("mem_v", {p_.num_kv_heads, p_.memory_kv, p_.head_dim_v});
    if (p_.has_dropout()) fits("dropout", {p_.batch, p_.num_heads, q_len, p_.memory_kv + kv_len});
    if (p_.mask.rules.empty() || c_.cached()) return;
    fits("mask", {p_.batch, p_.num_heads, q_len, kv_len});
  }

  const Case& c_;
  const Problem& p_;
  const std::string& where_;
};

}  // namespace

int64_t Step::evicted(int64_t tokens) const {
  return std::clamp<int64_t>(tokens - start, 0, count);
}

void follow(const Step& step, std::vector<int64_t>& totals) {
  const std::vector<int64_t> before = totals;
  if (step.op == StepOp::fork) {
    totals[static_cast<size_t>(step.to)] = totals[static_cast<size_t>(step.from)];
  }
  for (size_t b = 0; b < totals.size(); ++b) {
    if (step.has_tokens()) totals[b] += step.real_tokens(b);
    if (step.op == StepOp::reorder) totals[b] = before[static_cast<size_t>(step.rows[b])];
    if (step.op == StepOp::crop) totals[b] = std::min(totals[b], step.length);
    if (step.op == StepOp::reset) totals[b] = 0;
    if (step.op == StepOp::evict) totals[b] -= step.evicted(totals[b]);
  }
}

double largest(Quant quant) {
  constexpr double table[] = {0, 127, 448, 57344};
  return table[static_cast<size_t>(quant)];
}

double Problem::scale_value() const {
  return scale ? *scale : 1 / std::sqrt(static_cast<double>(head_dim));
}

bool Problem::asks(Output output) const {
  return std::find(outputs.begin(), outputs.end(), output) != outputs.end();
}

bool Problem::asks_gradients() const {
  return std::any_of(outputs.begin(), outputs.end(), is_gradient);
}

int64_t Problem::kv_head(int64_t h) const {
  return head_map == HeadMap::grouped ? h / (num_heads / num_kv_heads) : h % num_kv_heads;
}

std::span<const ProblemSize> problem_sizes() {
  return sizes;
}

void check(const Case& c, const std::string& where) {
  Checker(c, where).run();
  if (c.problem.recurrent()) check_recurrent(c, where);
}

}  // namespace attnfuzz
