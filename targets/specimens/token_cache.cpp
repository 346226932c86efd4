#include "targets/specimens/token_cache.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace attnfuzz {

using torch_like::Array;

TokenCache::TokenCache(Form form, const Case& c)
    : rows(static_cast<size_t>(c.problem.batch)), form_(form), c_(c), rotary_(c.problem) {}

bool TokenCache::sees(const Pair& pair) const {
  const Cache& cache = *c_.cache;
  const bool recent = pair.key_pos > pair.q_pos - cache.capacity;
  switch (cache.kind) {
    case CacheKind::ring:
      return recent;
    case CacheKind::chunked:
      return pair.key_pos / cache.capacity == pair.q_pos / cache.capacity;
    case CacheKind::hybrid:
      return pair.g % 2 == 0 || recent;
    case CacheKind::sink_window:
      return pair.key_pos < cache.keep || pair.key_pos > pair.q_pos - cache.capacity + cache.keep;
    default:
      return true;
  }
}

void TokenCache::crop(Row& row, int64_t length) const {
  if (length >= static_cast<int64_t>(row.held.size())) return;
  row.next = row.held[static_cast<size_t>(length)].position;
  row.held.resize(static_cast<size_t>(length));
}

void TokenCache::evict(size_t b, const Step& step) {
  Row& row = rows[b];
  const int64_t count = step.evicted(static_cast<int64_t>(row.held.size()));
  if (count == 0) return;
  row.held.erase(row.held.begin() + step.start, row.held.begin() + step.start + count);
  if (cache().positions == Positions::kept) return;
  row.next = 0;
  for (Held& token : row.held) token.position = token.encoded = row.next++;
}

void TokenCache::forget(Row& row) const {
  if (!cache().forgets()) return;
  std::erase_if(row.held, [&](const Held& token) {
    return !TokenCache::sees({row.next - 1, 0, 0, token.position, 0, 0});
  });
}

int64_t TokenCache::capacity() const {
  return cache().kind == CacheKind::hybrid ? 0 : cache().capacity;
}

void TokenCache::run(const Inputs& inputs, std::vector<StepOutput>& steps) {
  for (size_t s = 0; s < c_.steps.size(); ++s) {
    StepOutput output;
    const Step& step = c_.steps[s];
    if (step.has_tokens()) {
      output.out = attend(step, "." + std::to_string(s), inputs);
      for (Row& row : rows)
        for (Held& token : row.held) token.read = token.encoded;
    } else {
      change(step);
    }
    for (Row& row : rows) {
      forget(row);
      output.lengths.push_back(length(row));
      output.positions.push_back(row.next);
    }
    output.capacity = capacity();
    steps.push_back(std::move(output));
  }
}

void TokenCache::reorder(const std::vector<int64_t>& from) {
  const std::vector<Row> old = rows;
  for (size_t b = 0; b < rows.size(); ++b) rows[b] = old[static_cast<size_t>(from[b])];
}

void TokenCache::change(const Step& step) {
  if (step.op == StepOp::reorder) reorder(step.rows);
  if (step.op == StepOp::fork) fork(static_cast<size_t>(step.from), static_cast<size_t>(step.to));
  for (size_t b = 0; b < rows.size(); ++b) {
    if (step.op == StepOp::crop) crop(rows[b], step.length);
    if (step.op == StepOp::evict) evict(b, step);
    if (step.op == StepOp::reset) rows[b] = {};
  }
}

namespace {

/// Token i of row b of [batch, heads, len, dim]: [heads, dim].
std::vector<float> token_of(const Array& from, size_t b, int64_t i) {
  std::vector<float> taken;
  for (int64_t g = 0; g < from.size(1); ++g) {
    const int64_t row = (static_cast<int64_t>(b) * from.size(1) + g) * from.size(2) + i;
    const auto begin = from.values.begin() + row * from.size(3);
    taken.insert(taken.end(), begin, begin + from.size(3));
  }
  return taken;
}

/// Quantises x, [heads, dim], and gives the scales, [heads]. `given` are the heads', if scales are
/// by head.
std::vector<float> quantise(const Cache& cache, const Tensor* given, int64_t heads,
                            std::vector<float>& x) {
  std::vector<float> scales(static_cast<size_t>(heads), 1.0F);
  if (cache.quant == Quant::none) return scales;
  const size_t dim = x.size() / scales.size();
  const auto most = static_cast<float>(largest(cache.quant));
  for (size_t g = 0; g < scales.size(); ++g) {
    const std::span<float> head = std::span(x).subspan(g * dim, dim);
    float& scale = scales[g] = given != nullptr ? given->as<float>()[g] : 0;
    if (given == nullptr)
      for (const float e : head) scale = std::max(scale, std::abs(e) / most);
    for (float& e : head) {
      const double y = std::clamp(scale > 0 ? e / scale : 0, -most, most);
      const DType type = cache.quant == Quant::e4m3 ? DType::e4m3 : DType::e5m2;
      e = static_cast<float>(cache.quant == Quant::int8 ? std::nearbyint(y) : round_to(type, y));
    }
  }
  return scales;
}

}  // namespace

void TokenCache::bring(size_t b, const Step& step, const Place& first, const std::string& name,
                       const Inputs& inputs) {
  if (step.keys() == 0) return;
  const Problem& p = c_.problem;
  const Array k = heads_first(inputs.at("k" + name), p.layout);
  const Array v = heads_first(inputs.at("v" + name), p.layout);
  const Span keys = keys_of(step, b);
  brought = keys.count;
  for (int64_t i = 0; i < keys.count; ++i) {
    const int64_t position = rows[b].next++;
    Held token{token_of(k, b, keys.first + i), token_of(v, b, keys.first + i), position,
               position - first.position + first.angle, position};
    token.k_scales = quantise(cache(), inputs.find("k_scales"), p.num_kv_heads, token.k);
    token.v_scales = quantise(cache(), inputs.find("v_scales"), p.num_kv_heads, token.v);
    append(b, std::move(token));
  }
}

Tensor TokenCache::attend(const Step& step, const std::string& name, const Inputs& inputs) {
  const Problem& p = c_.problem;
  const Array q = heads_first(inputs.at("q" + name), p.layout);
  Array out({p.batch, p.num_heads, step.q_len, p.head_dim_v});
  std::vector<Place> first;
  for (size_t b = 0; b < rows.size(); ++b) first.push_back({first_position(b), 0});
  for (size_t b = 0; b < rows.size(); ++b) {
    rows[b].next = first[b].position;
    first[b].angle = first_angle(step, first[b].position);
    bring(b, step, first[b], name, inputs);
  }
  for (size_t b = 0; b < rows.size(); ++b) attend_row(b, step, first[b], q, out);
  return to_output(out, p.layout);
}

std::vector<float> TokenCache::turned(const float* x, int64_t angle) {
  std::vector<float> to(x, x + c_.problem.head_dim);
  if (rotary_.on()) rotary_.turn(x, angle, to.data());
  return to;
}

void TokenCache::attend_row(size_t b, const Step& step, const Place& first, const Array& q,
                            Array& out) {
  const Problem& p = c_.problem;
  const bool alibi = p.mask.find("alibi") != nullptr, causal = is_causal(p);
  const std::vector<Held>& held = rows[b].held;
  const int64_t last_q_pos = first.position + step.real_queries(b) - 1;
  std::vector<float> weights(held.size());
  for (int64_t h = 0; h < p.num_heads; ++h) {
    const int64_t g = p.kv_head(h);
    const auto head = static_cast<size_t>(g);
    const auto slope = static_cast<float>(
        alibi ? std::exp2(-8.0 * static_cast<double>(h + 1) / static_cast<double>(p.num_heads))
              : 0);
    for (int64_t i = 0; i < step.real_queries(b); ++i) {
      const int64_t row =
          (static_cast<int64_t>(b) * p.num_heads + h) * step.q_len + step.first_query(b) + i;
      const std::vector<float> query = turned(q.values.data() + row * p.head_dim, first.angle + i);
      const int64_t q_pos = first.position + i;
      float max = -std::numeric_limits<float>::infinity();
      for (size_t j = 0; j < held.size(); ++j) {
        weights[j] = -std::numeric_limits<float>::infinity();
        const int64_t key_pos = held[j].position;
        const Pair pair{q_pos, first.position, last_q_pos, key_pos, static_cast<int64_t>(j), g};
        if ((causal && !is_past(pair)) || !sees(pair)) continue;
        const std::vector<float> key =
            turned(held[j].k.data() + g * p.head_dim, key_angle(held[j], pair));
        const float scale = scale_of(held[j].k_scales, head, step);
        weights[j] = static_cast<float>(p.scale_value()) * scale *
                         std::inner_product(key.begin(), key.end(), query.begin(), 0.0F) -
                     slope * static_cast<float>(std::abs(q_pos - held[j].encoded));
        max = std::max(max, weights[j]);
      }
      float sum = 0;
      for (float& weight : weights) sum += weight = weight > max - 200 ? std::exp(weight - max) : 0;
      float* to = out.values.data() + row * p.head_dim_v;
      for (size_t j = 0; j < held.size(); ++j) {
        const float weight = weights[j] / sum * scale_of(held[j].v_scales, head, step);
        for (int64_t d = 0; d < p.head_dim_v && weights[j] > 0; ++d)
          to[d] += weight * held[j].v[static_cast<size_t>(g * p.head_dim_v + d)];
      }
    }
  }
}

}  // namespace attnfuzz
