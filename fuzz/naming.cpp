#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "fuzz/error_text.h"
#include "fuzz/signature.h"

namespace attnfuzz {
namespace {

/// Collects names, each (name, value) once, in order of likelihood.
class Namer {
 public:
  explicit Namer(std::vector<NamedSize>& to) : to_(to) {}

  void axis(std::string_view name, int64_t value, bool alias = false) {
    for (const NamedSize& known : to_)
      if (known.value == value && known.name == name) return;
    to_.push_back({std::string(name), value, alias});
  }

  /// An option that is there only where it is not 0.
  void option(std::string_view name, int64_t value, bool alias = false) {
    if (value > 0) axis(name, value, alias);
  }

  /// A product of two axes: with a factor of 1 it is the other one.
  void product(std::string_view name, int64_t a, int64_t b) {
    option(name, a * b, a == 1 || b == 1);
  }

  void sum(std::string_view name, int64_t a, int64_t b) { option(name, a + b, a == 0 || b == 0); }

 private:
  std::vector<NamedSize>& to_;
};

/// Integer parameters of the mask's rules ("window.left"). Bounded ones are no sizes but percents.
void name_rules(const Mask& mask, Namer& namer) {
  constexpr int64_t percent = 100;
  for (const RuleUse& use : mask.rules)
    for (size_t k = 0; k < use.values.size(); ++k) {
      const RuleParam& param = use.spec->params[k];
      if (param.kind == RuleParam::Kind::integer && param.max > percent)
        namer.option(fmt::format("{}.{}", use.spec->name, param.name), use.integer(k));
    }
}

/// Lengths of a cached case: each step's, and each row's tokens before and after it.
void name_steps(const Case& c, Namer& namer) {
  namer.option("capacity", c.cache->capacity);
  namer.option("page_size", c.cache->page_size);
  namer.option("keep", c.cache->keep);
  for (const Step& step : c.steps) {
    if (step.has_tokens()) namer.axis("q_len", step.q_len);
    namer.option("kv_len", step.kv_len.value_or(0));
    if (step.op == StepOp::crop) namer.axis("crop.length", step.length);
    namer.option("evict.count", step.count);
  }
  const std::vector<std::vector<int64_t>> totals = totals_after(c);
  for (size_t s = 0; s < totals.size(); ++s)
    for (size_t b = 0; b < totals[s].size(); ++b) {
      namer.option("total_len", totals[s][b], s == 0);
      if (s > 0) namer.option("past_len", totals[s - 1][b]);
    }
  if (c.cache->forgets())
    for (const std::vector<int64_t>& rows : totals)
      for (const int64_t total : rows) namer.option("dropped_len", total - c.cache->capacity);
  if (c.cache->page_size > 0)
    for (const std::vector<int64_t>& rows : totals)
      for (const int64_t total : rows)
        namer.option("pages", (total + c.cache->page_size - 1) / c.cache->page_size);
}

void name_products(const Case& c, Namer& namer) {
  const Problem& p = c.problem;
  const int64_t group = p.num_kv_heads > 0 ? p.num_heads / p.num_kv_heads : 0;
  namer.option("group", group, p.num_kv_heads == 1);
  namer.product("hidden", p.num_heads, p.head_dim);
  namer.product("kv_hidden", p.num_kv_heads, p.head_dim);
  namer.product("hidden_v", p.num_heads, p.head_dim_v);
  namer.product("batch*num_heads", p.batch, p.num_heads);
  namer.product("batch*num_kv_heads", p.batch, p.num_kv_heads);
  namer.product("tokens", p.batch, p.q_len);
  namer.product("kv_tokens", p.batch, p.kv_len);
  namer.sum("memory_kv+kv_len", p.memory_kv, p.kv_len);
  for (const Step& step : c.steps) namer.product("tokens", p.batch, step.q_len);
}

}  // namespace

std::vector<std::vector<int64_t>> totals_after(const Case& c) {
  std::vector<std::vector<int64_t>> all;
  std::vector<int64_t> totals(static_cast<size_t>(c.problem.batch), 0);
  for (const Step& step : c.steps) {
    follow(step, totals);
    all.push_back(totals);
  }
  return all;
}

std::vector<NamedSize> named_sizes(const Case& c) {
  std::vector<NamedSize> all;
  all.reserve(24);
  Namer namer(all);
  const Problem& p = c.problem;
  if (!c.cached()) {
    namer.axis("q_len", p.q_len);
    namer.axis("kv_len", p.kv_len);
  }
  namer.axis("batch", p.batch);
  namer.axis("num_heads", p.num_heads);
  namer.axis("num_kv_heads", p.num_kv_heads);
  namer.axis("head_dim", p.head_dim);
  namer.axis("head_dim_v", p.head_dim_v);
  namer.option("memory_kv", p.memory_kv);
  name_rules(p.mask, namer);
  if (c.cached()) name_steps(c, namer);
  name_products(c, namer);
  return all;
}

std::vector<NamedNumber> name_numbers(std::string_view text, const Case& c,
                                      const FailureClass* learned) {
  const std::vector<NamedSize> sizes = named_sizes(c);
  std::vector<NamedNumber> named;
  size_t reading = 0;
  for (const TextNumber& number : numbers_in(text)) {
    if (number.role != TextNumber::Role::size) continue;
    const NumberReading* known = learned != nullptr && reading < learned->numbers.size()
                                     ? &learned->numbers[reading++]
                                     : nullptr;
    NamedNumber found{number.offset, number.length, number.value, {}};
    for (const NamedSize& size : sizes) {
      if (size.value != number.value) continue;
      const bool possible = known == nullptr ? !size.alias
                                             : std::find(known->names.begin(), known->names.end(),
                                                         size.name) != known->names.end();
      if (possible) found.names.push_back(size.name);
    }
    if (!found.names.empty()) named.push_back(std::move(found));
  }
  return named;
}

std::string annotate(std::string_view text, const Case& c, const FailureClass* learned) {
  std::string annotated;
  size_t from = 0;
  for (const NamedNumber& number : name_numbers(text, c, learned)) {
    annotated += text.substr(from, number.offset - from);
    const bool named_already = number.offset > 0 && text[number.offset - 1] == '=';
    if (!named_already) annotated += number.names.front() + "=";
    annotated += text.substr(number.offset, number.length);
    from = number.offset + number.length;
  }
  annotated += text.substr(from);
  return annotated;
}

}  // namespace attnfuzz
