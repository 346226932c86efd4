#include "fuzz/relations/twin.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "oracle/philox.h"

namespace attnfuzz {
namespace {

constexpr std::array<std::string_view, 5> of_tokens = {"q", "k", "v", "gate", "beta"};
constexpr std::array<std::string_view, 5> of_all = {"mask", "bias", "sinks", "mem_k", "mem_v"};

/// "q" of "q.3".
std::string_view role_of(std::string_view name) {
  return name.substr(0, name.find('.'));
}

std::string suffix_of(const Case& c, size_t step) {
  return c.cached() ? fmt::format(".{}", step) : std::string();
}

/// Bytes of token s of row b, head by head, in a tensor of either layout. A tensor without a dim
/// has one element for each token and head.
struct TokenBytes {
  int64_t heads, len, row;
  bool heads_first;

  TokenBytes(Layout layout, const Tensor& tensor)
      : heads(tensor.shape[layout == Layout::bhsd ? 1 : 2]),
        len(tensor.shape[layout == Layout::bhsd ? 2 : 1]),
        row((tensor.shape.size() > 3 ? tensor.shape[3] : 1) * info(tensor.dtype).bytes),
        heads_first(layout == Layout::bhsd) {}
  int64_t at(int64_t b, int64_t h, int64_t s) const {
    return (heads_first ? (b * heads + h) * len + s : (b * len + s) * heads + h) * row;
  }
};

/// Overwrites a tensor of the twin with the tokens of the original.
void move_tokens(const Case& c, const Inputs& inputs, std::string_view name,
                 const std::vector<Origin>& origins, Tensor& to) {
  const TokenBytes there(c.problem.layout, to);
  std::fill(to.bytes.begin(), to.bytes.end(), std::byte{0});
  for (size_t n = 0; n < origins.size(); ++n) {
    const Origin& origin = origins[n];
    if (!origin.known()) continue;
    const auto step = static_cast<size_t>(origin.step);
    const Tensor& from = inputs.at(fmt::format("{}{}", name, suffix_of(c, step)));
    const TokenBytes here(c.problem.layout, from);
    const auto b = static_cast<int64_t>(n) / there.len, s = static_cast<int64_t>(n) % there.len;
    for (int64_t h = 0; h < there.heads; ++h)
      std::memcpy(to.bytes.data() + there.at(b, h, s),
                  from.bytes.data() + here.at(origin.b, h, origin.s),
                  static_cast<size_t>(there.row));
  }
}

Tensor multiplied(const Tensor& tensor, double factor) {
  std::vector<double> values = tensor.to_doubles();
  for (double& x : values) x *= factor;
  return Tensor::from_doubles(tensor.dtype, tensor.shape, values);
}

/// The bias with the type's lowest number for −inf. A row of which no key is left keeps it: such
/// numbers would make it the mean of all values.
Tensor finite(const Tensor& bias, const Tensor& mask) {
  std::vector<double> values = bias.to_doubles();
  const std::vector<double> seen = mask.to_doubles();
  const auto len = static_cast<size_t>(bias.shape.back());
  for (size_t row = 0; row < values.size(); row += len) {
    const auto is_left = [&](size_t k) { return seen[k] != 0 && !std::isinf(values[k]); };
    bool any = false;
    for (size_t k = row; k < row + len; ++k) any |= is_left(k);
    for (size_t k = row; any && k < row + len; ++k)
      if (std::isinf(values[k])) values[k] = -info(bias.dtype).max_finite;
  }
  return Tensor::from_doubles(bias.dtype, bias.shape, values);
}

std::vector<Origin> origins(int64_t step, int64_t batch, int64_t len) {
  std::vector<Origin> all;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t s = 0; s < len; ++s) all.push_back({step, b, s});
  return all;
}

}  // namespace

StepOrigins own_step(const Case& c, size_t step) {
  const Problem& p = c.problem;
  StepOrigins own;
  own.rows.resize(static_cast<size_t>(p.batch));
  std::iota(own.rows.begin(), own.rows.end(), 0);
  const auto n = static_cast<int64_t>(step);
  if (!c.cached()) {
    own.queries = origins(0, p.batch, p.q_len);
    own.keys = origins(0, p.batch, p.kv_len);
    return own;
  }
  own.state_of = n;
  if (!c.steps[step].has_tokens()) return own;
  own.queries = origins(n, p.batch, c.steps[step].q_len);
  own.keys = origins(n, p.batch, c.steps[step].keys());
  return own;
}

Twin same(const Case& c) {
  Twin twin{c, {}, 1};
  for (size_t n = 0; n < std::max<size_t>(1, c.steps.size()); ++n)
    twin.steps.push_back(own_step(c, n));
  return twin;
}

Inputs twin_inputs(const Case& c, const Inputs& inputs, const Twin& twin) {
  const Inputs own = make_inputs(twin.c);
  Inputs made;
  for (const auto& [name, tensor] : own.all()) {
    const std::string_view role = role_of(name);
    const bool is_value = role == "v" || role == "mem_v";
    Tensor to = tensor;
    if (std::find(of_tokens.begin(), of_tokens.end(), role) != of_tokens.end()) {
      const size_t step = role.size() == name.size() ? 0 : std::stoul(name.substr(role.size() + 1));
      const StepOrigins& from = twin.steps[step];
      move_tokens(c, inputs, role, role == "q" ? from.queries : from.keys, to);
    }
    const double by = is_value ? twin.factor : role == "q" ? twin.q_factor : 1;
    if (role == "bias" && twin.finite_bias) to = finite(to, own.at("mask"));
    made.add(name, by != 1 ? multiplied(to, by) : std::move(to));
  }
  return made;
}

bool uses(const Case& c, std::string_view beginning) {
  const std::vector<std::string> words = features(c);
  return std::any_of(words.begin(), words.end(),
                     [&](const std::string& word) { return word.starts_with(beginning); });
}

bool has_plain_steps(const Case& c) {
  return c.cached() && name(c.cache->kind) != "cross";
}

bool can_have_twin(const Case& c) {
  if (c.cached() && !has_plain_steps(c)) return false;
  const Inputs inputs = make_inputs(c);
  return std::all_of(inputs.all().begin(), inputs.all().end(), [](const auto& input) {
    const std::string_view role = role_of(input.first);
    return std::find(of_tokens.begin(), of_tokens.end(), role) != of_tokens.end() ||
           std::find(of_all.begin(), of_all.end(), role) != of_all.end();
  });
}

bool mask_moves_along(const Case& c) {
  return std::none_of(c.problem.mask.rules.begin(), c.problem.mask.rules.end(),
                      [](const RuleUse& use) { return use.spec->by_place; });
}

bool sees_no_future(const Case& c) {
  return c.problem.mask.find("causal") != nullptr;
}

bool has_rules_by_row(const Case& c) {
  for (const RuleUse& use : c.problem.mask.rules)
    for (const RuleParam& param : use.spec->params)
      if (param.kind == RuleParam::Kind::per_batch) return true;
  return false;
}

bool multiplies_exactly(const Case& c, std::string_view role, double factor) {
  const Inputs inputs = make_inputs(c);
  return std::all_of(inputs.all().begin(), inputs.all().end(), [&](const auto& input) {
    const Tensor& tensor = input.second;
    if (role_of(input.first) != role) return true;
    const std::vector<double> values = tensor.to_doubles();
    return std::all_of(values.begin(), values.end(), [&](double x) {
      return !std::isfinite(x) || round_to(tensor.dtype, x * factor) == x * factor;
    });
  });
}

int64_t chosen(const Case& c, int64_t lo, int64_t hi) {
  const uint64_t bits = element_bits(c.data.seed, 0xFFFF, static_cast<uint64_t>(hi - lo));
  return lo + static_cast<int64_t>(bits % static_cast<uint64_t>(hi - lo + 1));
}

std::optional<Twin> rows_of(const Case& c, const std::vector<int64_t>& rows) {
  if (!mask_moves_along(c)) return {};
  for (const Step& step : c.steps)
    if (step.op == StepOp::reorder || step.op == StepOp::fork) return {};
  Twin twin = same(c);
  twin.c.problem.batch = static_cast<int64_t>(rows.size());
  const auto keep = [&](std::vector<int64_t>& list) {
    std::vector<int64_t> kept;
    kept.reserve(rows.size());
    for (const int64_t row : rows) kept.push_back(list[static_cast<size_t>(row)]);
    list = std::move(kept);
  };
  for (RuleUse& use : twin.c.problem.mask.rules)
    for (size_t k = 0; k < use.values.size(); ++k)
      if (use.spec->params[k].kind == RuleParam::Kind::per_batch)
        keep(std::get<std::vector<int64_t>>(use.values[k]));
  for (Step& step : twin.c.steps)
    if (!step.lens.empty()) keep(step.lens);
  for (StepOrigins& step : twin.steps) {
    step.rows = rows;
    for (std::vector<Origin>* each : {&step.queries, &step.keys}) {
      const auto len = static_cast<int64_t>(each->size()) / std::max<int64_t>(1, c.problem.batch);
      std::vector<Origin> kept;
      for (const int64_t row : rows)
        kept.insert(kept.end(), each->begin() + row * len, each->begin() + (row + 1) * len);
      *each = std::move(kept);
    }
  }
  return twin;
}

}  // namespace attnfuzz
