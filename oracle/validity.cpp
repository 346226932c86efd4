#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "oracle/case.h"
#include "oracle/combinations.h"
#include "oracle/linear/kinds.h"
#include "oracle/rope.h"

// Whether a Case can be run: its sizes and numbers, then what goes together (combinations.h), then
// its steps one by one.
namespace attnfuzz {
namespace {

constexpr double max_elements = 0x1p36;        // of any one tensor
constexpr size_t max_steps = size_t{1} << 16;  // tensor numbers stay far below 2^32

/// The limits of a size by its name.
int64_t most(std::string_view size) {
  for (const ProblemSize& each : problem_sizes())
    if (each.name == size) return each.max;
  return 0;
}

/// Looks for the first thing that keeps a case from being one. Each member function is true if it
/// found none; what comes after it may count on what it saw.
class Validity {
 public:
  explicit Validity(const Case& c) : c_(c), p_(c.problem) {}

  std::optional<Rejection> first() {
    if (problem() && rules() && outputs() && together() &&
        (c_.cached() ? cache() && steps() : no_steps()) && memory())
      return std::nullopt;
    return std::move(found_);
  }

 private:
  bool fail(std::string path, std::string_view expected) {
    found_ = Rejection{std::move(path), fmt::format("expected {}", expected)};
    return false;
  }

  template <class... Args>
  bool within(int64_t value, int64_t min, int64_t max, fmt::format_string<Args...> path,
              Args&&... args) {
    return (value >= min && value <= max) ||
           fail(fmt::format(path, std::forward<Args>(args)...),
                fmt::format("an integer from {} to {}, found {}", min, max, value));
  }

  bool number(double value, const NumberRange& range, std::string_view path) {
    if (range.holds(value)) return true;
    const std::string negative =
        range.has_sign ? fmt::format(" or from {} to {}", -range.max, -range.min) : "";
    return fail(std::string(path), fmt::format("0 or a number from {} to {}{}, found {}", range.min,
                                               range.max, negative, value));
  }

  bool problem() {
    for (const ProblemSize& size : problem_sizes())
      if (!within(p_.*size.member, size.min, size.max, "/problem/{}", size.name)) return false;
    if (p_.num_kv_heads == 0 && p_.num_heads > 0)
      return fail("/problem/num_kv_heads",
                  fmt::format("at least 1 KV head for {} query heads", p_.num_heads));
    if (p_.num_kv_heads > 0 && p_.num_heads % p_.num_kv_heads != 0)
      return fail("/problem/num_kv_heads", fmt::format("a divisor of num_heads {}, found {}",
                                                       p_.num_heads, p_.num_kv_heads));
    if (p_.scale && !number(*p_.scale, scale_range, "/problem/scale")) return false;
    if (!number(p_.softcap, softcap_range, "/problem/softcap") || !dropout() || !rope())
      return false;
    if (c_.cached() && p_.q_len != 0)
      return fail("/problem/q_len", "none with a cache: each step has its own");
    if (c_.cached() && p_.kv_len != 0)
      return fail("/problem/kv_len", "none with a cache: it follows from the steps");
    if (p_.recurrent() && !c_.cached() && p_.q_len != p_.kv_len)
      return fail("/problem/q_len",
                  fmt::format("as many queries as keys for \"{}\", found {} and {}", name(p_.kind),
                              p_.q_len, p_.kv_len));
    return true;
  }

  bool dropout() {
    if (!within(p_.dropout_keep, 1, 100, "/problem/dropout_keep")) return false;
    const int64_t limit = most("head_dim");
    return !p_.has_dropout() || p_.memory_kv + p_.kv_len <= limit ||
           fail("/problem/kv_len", fmt::format("at most {} keys with dropout", limit));
  }

  bool rope() {
    found_ = rope_rejection(p_);
    return !found_;
  }

  bool rules() {
    for (size_t k = 0; k < p_.mask.rules.size(); ++k)
      if (!rule(k)) return false;
    return true;
  }

  bool rule(size_t k) {
    const RuleUse& use = p_.mask.rules[k];
    const auto path = [k] { return fmt::format("/problem/mask/rules/{}", k); };
    if (use.spec == nullptr) return fail(path(), "a mask rule");
    const RuleSpec& spec = *use.spec;
    for (size_t other = 0; other < k; ++other)
      if (p_.mask.rules[other].spec == &spec)
        return fail(path(), fmt::format("each rule at most once, found \"{}\" again", spec.name));
    if (use.values.size() != spec.params.size())
      return fail(path(), fmt::format("{} parameters for \"{}\"", spec.params.size(), spec.name));
    for (size_t n = 0; n < spec.params.size(); ++n)
      if (!parameter(spec.params[n], use.values[n], path) || !as_many(use, n, path)) return false;
    return !spec.by_place || p_.kv_len <= most("head_dim") ||
           fail("/problem/kv_len",
                fmt::format("at most {} with the rule \"{}\"", most("head_dim"), spec.name));
  }

  bool parameter(const RuleParam& param, const ParamValue& value,
                 const std::function<std::string()>& rule) {
    using Kind = RuleParam::Kind;
    const auto path = [&] { return fmt::format("{}/{}", rule(), param.name); };
    const auto in_limits = [&](int64_t number, int64_t max, const auto& where) {
      return (number >= param.min && number <= max) ||
             within(number, param.min, max, "{}", where());
    };
    if (param.kind == Kind::integer || param.kind == Kind::choice) {
      const int64_t* number = std::get_if<int64_t>(&value);
      if (number == nullptr) return fail(path(), "one integer");
      return in_limits(
          *number,
          param.kind == Kind::choice ? static_cast<int64_t>(param.choices.size()) - 1 : param.max,
          path);
    }
    const auto* list = std::get_if<std::vector<int64_t>>(&value);
    if (list == nullptr) return fail(path(), "a list of integers");
    if (param.kind == Kind::parents) return parents(*list, path);
    const bool per_batch = param.kind == Kind::per_batch, of_queries = param.kind == Kind::q_lens;
    const int64_t total = of_queries ? p_.q_len : p_.kv_len;
    const int64_t max = c_.cached() ? param.max : total;
    if (per_batch && !one_per_row(*list, path)) return false;
    for (size_t n = 0; n < list->size(); ++n)
      if (!in_limits((*list)[n], std::max(param.min, max),
                     [&] { return fmt::format("{}/{}", path(), n); }))
        return false;
    const int64_t sum = std::accumulate(list->begin(), list->end(), int64_t{0});
    return per_batch || sum == total ||
           fail(path(), fmt::format("lengths that sum to {} {}, found {}",
                                    of_queries ? "q_len" : "kv_len", total, sum));
  }

  /// Each sequence has a length of queries and one of keys.
  bool as_many(const RuleUse& use, size_t n, const std::function<std::string()>& rule) {
    if (use.spec->params[n].kind != RuleParam::Kind::kv_lens) return true;
    const size_t count = use.list("q_lens").size();
    return use.list(n).size() == count ||
           fail(fmt::format("{}/{}", rule(), use.spec->params[n].name),
                fmt::format("as many lengths as \"q_lens\" has, {}, found {}", count,
                            use.list(n).size()));
  }

  bool parents(const std::vector<int64_t>& list, const auto& path) {
    if (static_cast<int64_t>(list.size()) > p_.kv_len)
      return fail(path(), fmt::format("at most kv_len {} nodes, found {}", p_.kv_len, list.size()));
    for (size_t n = 0; n < list.size(); ++n)
      if (!within(list[n], -1, static_cast<int64_t>(n) - 1, "{}/{}", path(), n)) return false;
    return true;
  }

  bool one_per_row(const std::vector<int64_t>& list, const auto& path) {
    return static_cast<int64_t>(list.size()) == p_.batch ||
           fail(path(), fmt::format("one integer for each of the {} batch rows, found {}", p_.batch,
                                    list.size()));
  }

  bool outputs() {
    const std::vector<Output>& all = p_.outputs;
    if (all.empty() || all.front() != Output::out) return fail("/problem/outputs", "\"out\" first");
    return std::adjacent_find(all.begin(), all.end(), std::greater_equal<>()) == all.end() ||
           fail("/problem/outputs",
                fmt::format("each once, in the order {}", fmt::join(names_of<Output>, ", ")));
  }

  bool together() {
    const FeatureSet used = chosen_features(c_);
    const Combination* broken = broken_combination(used);
    return broken == nullptr || fail(std::string(broken->path), expected_words(*broken, used));
  }

  bool no_steps() { return c_.steps.empty() || fail("/steps", "no steps without a cache"); }

  bool cache() {
    const Cache& cache = *c_.cache;
    const bool bounded = cache.kind != CacheKind::dynamic && !cross();
    const bool two_parts = cache.kind == CacheKind::sink_window;  // a token each, at least
    if (bounded && !within(cache.capacity, two_parts ? 2 : 1, most("kv_len"), "/cache/capacity"))
      return false;
    if (!bounded && cache.capacity != 0)
      return fail("/cache/capacity",
                  fmt::format("0 for a {} cache, which has no limit", name(cache.kind)));
    if (cache.kind == CacheKind::paged) {
      if (!within(cache.page_size, 1, most("kv_len"), "/cache/page_size")) return false;
    } else if (cache.page_size != 0) {
      return fail("/cache/page_size", "0 unless the cache is paged");
    }
    if (two_parts) return within(cache.keep, 1, cache.capacity - 1, "/cache/keep") && stored(cache);
    return (cache.keep == 0 || fail("/cache/keep", "0 unless the cache is a sink_window")) &&
           stored(cache);
  }

  bool stored(const Cache& cache) {
    const bool quantised = cache.quant != Quant::none;
    if (!quantised && cache.scales != Scales::token)
      return fail("/cache/scales", "none without \"quant\"");
    return !quantised || p_.rope == Rope::none || cache.positions == Positions::kept ||
           fail("/cache/positions",
                "\"kept\" with rope in a quantised cache: what is rounded can not be turned");
  }

  /// Follows the number of tokens in each row through the steps.
  bool steps() {
    if (c_.steps.empty()) return fail("/steps", "at least one step");
    if (c_.steps.size() > max_steps)
      return fail("/steps", fmt::format("at most {} steps", max_steps));
    std::vector<int64_t> totals(static_cast<size_t>(p_.batch), 0);
    bool filled = false;  // since the start, or the last reset
    for (size_t n = 0; n < c_.steps.size(); ++n) {
      const Step& step = c_.steps[n];
      if (!filled && step.op != StepOp::prefill && step.op != StepOp::reset)
        return fail(at(n, "op"), fmt::format("a prefill before \"{}\"", name(step.op)));
      if (!fields(n) || !operation(n, totals)) return false;
      follow(step, totals);
      if (step.has_tokens() && !has_room(n, totals)) return false;
      filled = step.op != StepOp::reset && (filled || step.op == StepOp::prefill);
    }
    return true;
  }

  static std::string at(size_t step, std::string_view field) {
    return fmt::format("/steps/{}/{}", step, field);
  }

  /// What an operation does not use is left empty.
  bool fields(size_t n) {
    const Step& step = c_.steps[n];
    const bool tokens = step.has_tokens(), forks = step.op == StepOp::fork,
               evicts = step.op == StepOp::evict;
    const struct {
      std::string_view field;
      bool right;
    } table[] = {
        {"q_len", tokens || step.q_len == 0},
        {"lens", tokens || step.lens.empty()},
        {"rows", step.op == StepOp::reorder || step.rows.empty()},
        {"length", step.op == StepOp::crop || step.length == 0},
        {"from", forks || step.from == 0},
        {"to", forks || step.to == 0},
        {"start", evicts || step.start == 0},
        {"count", evicts || step.count == 0},
    };
    for (const auto& [field, right] : table)
      if (!right) return fail(at(n, field), fmt::format("none for \"{}\"", name(step.op)));
    if (step.lens.empty() && step.side != Side::right)
      return fail(at(n, "side"), "none without \"lens\"");
    return step.kv_len.has_value() == (tokens && cross()) ||
           fail(at(n, "kv_len"), cross() ? "a number of keys, for steps with queries"
                                         : "none without a cross cache");
  }

  bool cross() const { return c_.cache->kind == CacheKind::cross; }

  /// `totals`: the tokens of each row before the step.
  bool operation(size_t n, const std::vector<int64_t>& totals) {
    const Step& step = c_.steps[n];
    switch (step.op) {
      case StepOp::prefill:
      case StepOp::append:
      case StepOp::decode:
        return tokens(n, totals);
      case StepOp::reorder:
        return reorder(n);
      case StepOp::crop:
        return crop(n, totals);
      case StepOp::fork:
        return (p_.batch > 0 || fail(at(n, "op"), "no fork without batch rows")) &&
               within(step.from, 0, p_.batch - 1, "/steps/{}/from", n) &&
               within(step.to, 0, p_.batch - 1, "/steps/{}/to", n);
      case StepOp::evict:
        return evict(n);
      case StepOp::reset:
        return true;
    }
    return true;
  }

  bool tokens(size_t n, const std::vector<int64_t>& totals) {
    const Step& step = c_.steps[n];
    if (!within(step.q_len, 0, most("q_len"), "/steps/{}/q_len", n)) return false;
    if (step.op == StepOp::decode && step.q_len != 1)
      return fail(at(n, "q_len"), fmt::format("1 for \"decode\", found {}", step.q_len));
    const bool is_empty =
        std::all_of(totals.begin(), totals.end(), [](int64_t total) { return total == 0; });
    if (step.op == StepOp::prefill && !is_empty)
      return fail(at(n, "op"), "\"append\" here: \"prefill\" is for an empty cache");
    if (!step.lens.empty() && !one_per_row(step.lens, [n] { return at(n, "lens"); })) return false;
    if (cross() && !cross_keys(n)) return false;
    for (size_t b = 0; b < step.lens.size(); ++b)
      if (!within(step.lens[b], cross() ? 1 : 0, step.keys(), "/steps/{}/lens/{}", n, b))
        return false;
    return true;
  }

  bool cross_keys(size_t n) {
    const Step& step = c_.steps[n];
    const bool fills = step.op == StepOp::prefill;
    return within(*step.kv_len, fills ? 1 : 0, fills ? most("kv_len") : 0, "/steps/{}/kv_len", n) &&
           (fills || step.lens.empty() || fail(at(n, "lens"), "none for queries alone"));
  }

  /// `totals`: the tokens of each row after a step that brought some.
  bool has_room(size_t n, const std::vector<int64_t>& totals) {
    const CacheKind kind = c_.cache->kind;
    const bool limited = kind == CacheKind::fixed || kind == CacheKind::paged;
    const int64_t limit = limited ? c_.cache->capacity : most("kv_len");
    for (size_t b = 0; b < totals.size(); ++b)
      if (totals[b] > limit)
        return fail(fmt::format("/steps/{}", n),
                    fmt::format("at most {} tokens in a row of the cache, found {} in row {}",
                                limit, totals[b], b));
    return true;
  }

  bool reorder(size_t n) {
    const std::vector<int64_t>& rows = c_.steps[n].rows;
    if (!one_per_row(rows, [n] { return at(n, "rows"); })) return false;
    for (size_t b = 0; b < rows.size(); ++b)
      if (!within(rows[b], 0, p_.batch - 1, "/steps/{}/rows/{}", n, b)) return false;
    return true;
  }

  bool crop(size_t n, const std::vector<int64_t>& totals) {
    const int64_t longest = totals.empty() ? 0 : *std::max_element(totals.begin(), totals.end());
    if (!within(c_.steps[n].length, 0, longest, "/steps/{}/length", n)) return false;
    if (cross()) return fail(at(n, "op"), "no crop of a cross cache");
    return !c_.cache->forgets() || longest <= c_.cache->capacity ||
           fail(at(n, "op"),
                fmt::format("no crop once a {} of {} has dropped tokens, found a row of {}",
                            name(c_.cache->kind), c_.cache->capacity, longest));
  }

  bool evict(size_t n) {
    const Step& step = c_.steps[n];
    if (!within(step.start, 0, most("kv_len"), "/steps/{}/start", n) ||
        !within(step.count, 1, most("kv_len"), "/steps/{}/count", n))
      return false;
    if (cross()) return fail(at(n, "op"), "no evict from a cross cache");
    return !c_.cache->forgets() ||
           fail(at(n, "op"), fmt::format("no evict from a {} cache, which forgets by itself",
                                         name(c_.cache->kind)));
  }

  /// No tensor is beyond all memory.
  bool memory() {
    int64_t q_len = p_.q_len, kv_len = p_.kv_len;
    for (const Step& step : c_.steps) {
      q_len = std::max(q_len, step.q_len);
      kv_len = std::max(kv_len, step.keys());
    }
    const bool masked = !p_.mask.rules.empty() && !c_.cached();
    const int64_t batch = p_.batch, heads = p_.num_heads, kv_heads = p_.num_kv_heads;
    const struct {
      std::string_view name;
      bool is_there;
      int64_t shape[4];
    } tensors[] = {
        {"q", true, {batch, heads, q_len, p_.head_dim}},
        {"out", true, {batch, heads, q_len, p_.head_dim_v}},
        {"k", true, {batch, kv_heads, kv_len, p_.head_dim}},
        {"v", true, {batch, kv_heads, kv_len, p_.head_dim_v}},
        {"mem_k", true, {1, kv_heads, p_.memory_kv, p_.head_dim}},
        {"mem_v", true, {1, kv_heads, p_.memory_kv, p_.head_dim_v}},
        {"dropout", p_.has_dropout(), {batch, heads, q_len, p_.memory_kv + kv_len}},
        {"mask", masked, {batch, heads, q_len, kv_len}},
    };
    for (const auto& [tensor, is_there, shape] : tensors) {
      double count = 1;
      for (const int64_t size : shape) count *= static_cast<double>(size);
      if (is_there && count > max_elements)
        return fail("/problem", fmt::format("at most {} elements in {}, found {}", max_elements,
                                            tensor, count));
    }
    return true;
  }

  const Case& c_;
  const Problem& p_;
  std::optional<Rejection> found_;
};

}  // namespace

std::optional<Rejection> rejection(const Case& c) {
  return Validity(c).first();
}

void check(const Case& c, const std::string& where) {
  if (const std::optional<Rejection> found = rejection(c))
    throw InputError(where, found->path, found->expected);
}

}  // namespace attnfuzz
