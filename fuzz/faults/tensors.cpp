// Tensors read wrong: other rows, heads and layouts, values that are not their key's, elements left
// out.
#include <algorithm>
#include <cmath>

#include "fuzz/faults/rewrite.h"

namespace attnfuzz::fault {
namespace {

/// A vector of a [batch, heads, len, dim] tensor.
struct At {
  int64_t b, h, s;
};

/// Where each vector of a tensor is read from.
using From = At (*)(const Problem&, const At& at, const At& sizes);

bool is(std::string_view name, std::string_view role) {
  return name.substr(0, name.find('.')) == role;
}

/// The index of a vector, in vectors.
size_t index(Layout layout, const At& at, const At& sizes) {
  const int64_t in_row = layout == Layout::bhsd ? at.h * sizes.s + at.s : at.s * sizes.h + at.h;
  return static_cast<size_t>(at.b * sizes.h * sizes.s + in_row);
}

At sizes_of(Layout layout, const Shape& shape) {
  return layout == Layout::bhsd ? At{shape[0], shape[1], shape[2]}
                                : At{shape[0], shape[2], shape[1]};
}

/// The tensor with each of its vectors read from another place.
Tensor gathered(const Problem& p, const Tensor& tensor, From from) {
  const At sizes = sizes_of(p.layout, tensor.shape);
  const size_t bytes =
      static_cast<size_t>(tensor.shape[3]) * static_cast<size_t>(info(tensor.dtype).bytes);
  Tensor result = tensor;
  for (At at{0, 0, 0}; at.b < sizes.b; ++at.b)
    for (at.h = 0; at.h < sizes.h; ++at.h)
      for (at.s = 0; at.s < sizes.s; ++at.s) {
        const auto source =
            static_cast<ptrdiff_t>(bytes * index(p.layout, from(p, at, sizes), sizes));
        std::copy_n(
            tensor.bytes.begin() + source, bytes,
            result.bytes.begin() + static_cast<ptrdiff_t>(bytes * index(p.layout, at, sizes)));
      }
  return result;
}

Inputs gather(const Case& c, Inputs inputs, std::string_view roles, From from) {
  const auto all = inputs.all();
  for (const auto& [name, tensor] : all)
    for (const char role : roles)
      if (is(name, {&role, 1})) inputs.replace(name, gathered(c.problem, tensor, from));
  return inputs;
}

// Where from --------------------------------------------------------------------------------------

At first_row_of(const Problem&, const At& at, const At&) {
  return {0, at.h, at.s};
}
At first_head_of(const Problem&, const At& at, const At&) {
  return {at.b, 0, at.s};
}
At heads_reversed(const Problem&, const At& at, const At& sizes) {
  return {at.b, sizes.h - 1 - at.h, at.s};
}
At next_token(const Problem&, const At& at, const At& sizes) {
  return {at.b, at.h, std::min(at.s + 1, sizes.s - 1)};
}
At token_before(const Problem&, const At& at, const At&) {
  return {at.b, at.h, std::max<int64_t>(at.s - 1, 0)};
}
At tokens_reversed(const Problem&, const At& at, const At& sizes) {
  return {at.b, at.h, sizes.s - 1 - at.s};
}
/// The memory taken to be in the other layout.
At other_layout(const Problem& p, const At& at, const At& sizes) {
  const int64_t n = p.layout == Layout::bhsd ? at.s * sizes.h + at.h : at.h * sizes.s + at.s;
  return p.layout == Layout::bhsd ? At{at.b, n / sizes.s, n % sizes.s}
                                  : At{at.b, n % sizes.h, n / sizes.h};
}

// When --------------------------------------------------------------------------------------------

using When = bool (*)(const Problem&);
bool has_rows(const Problem& p) {
  return p.batch > 1;
}
bool has_key_heads(const Problem& p) {
  return p.num_kv_heads > 1;
}
bool has_keys(const Problem& p) {
  return p.kv_len > 1;
}
bool has_heads_and_length(const Problem& p) {
  return p.num_heads > 1 && (p.q_len > 1 || p.kv_len > 1);
}

template <When when>
Rewritten same_if(const Case& c) {
  return when(c.problem) ? Rewritten(c) : std::nullopt;
}
template <When when>
Rewritten same_if_plain(const Case& c) {
  return c.cached() ? std::nullopt : same_if<when>(c);
}

// Others ------------------------------------------------------------------------------------------

/// v by the other head map than k, where both have a head for each query head.
Rewritten values_head_map(const Case& original) {
  Case c = original;
  Problem& p = c.problem;
  const bool grouped = p.num_kv_heads > 1 && p.num_kv_heads < p.num_heads;
  if (c.cached() || !grouped || p.head_map == HeadMap::interleaved) return {};
  p.num_kv_heads = p.num_heads;
  return c;
}

Tensor repeated(const Problem& p, const Tensor& tensor, bool heads_second, const auto& head_of) {
  Shape shape = tensor.shape;
  const size_t axis = heads_second ? 1 : 2;
  const size_t inner = static_cast<size_t>(axis == 1 ? shape[2] * shape[3] : shape[3]) *
                       static_cast<size_t>(info(tensor.dtype).bytes);
  const auto heads = static_cast<size_t>(shape[axis]);
  shape[axis] = p.num_heads;
  Tensor result(tensor.dtype, shape);
  const size_t outer = tensor.bytes.size() / std::max<size_t>(1, inner * heads);
  for (size_t o = 0; o < outer; ++o)
    for (int64_t h = 0; h < p.num_heads; ++h)
      std::copy_n(tensor.bytes.begin() +
                      static_cast<ptrdiff_t>((o * heads + static_cast<size_t>(head_of(h))) * inner),
                  inner,
                  result.bytes.begin() +
                      static_cast<ptrdiff_t>(
                          (o * static_cast<size_t>(p.num_heads) + static_cast<size_t>(h)) * inner));
  return result;
}

Inputs read_values_head_map(const Case& c, Inputs inputs) {
  const Problem& p = c.problem;
  const auto grouped = [&](int64_t h) { return p.kv_head(h); };
  const auto interleaved = [&](int64_t h) { return h % p.num_kv_heads; };
  const bool heads_second = p.layout == Layout::bhsd;
  inputs.replace("k", repeated(p, inputs.at("k"), heads_second, grouped));
  inputs.replace("v", repeated(p, inputs.at("v"), heads_second, interleaved));
  for (const std::string_view name : {"mem_k", "mem_v"}) {
    const Tensor* memory = inputs.find(name);
    if (memory == nullptr) continue;
    Tensor with_batch = *memory;
    with_batch.shape.insert(with_batch.shape.begin(), 1);
    Tensor all = name == "mem_k" ? repeated(p, with_batch, true, grouped)
                                 : repeated(p, with_batch, true, interleaved);
    all.shape.erase(all.shape.begin());
    inputs.replace(name, std::move(all));
  }
  return inputs;
}

Rewritten same_head_dims(const Case& c) {
  const bool same = !c.cached() && c.problem.head_dim == c.problem.head_dim_v;
  return same ? Rewritten(c) : std::nullopt;
}
Inputs read_keys_as_values(const Case&, Inputs inputs) {
  inputs.replace("v", inputs.at("k"));
  return inputs;
}

/// Changes a tensor's numbers, if it is there: change(values, shape).
void change(Inputs& inputs, std::string_view name, const auto& by) {
  const Tensor* tensor = inputs.find(name);
  if (tensor == nullptr) return;
  std::vector<double> values = tensor->to_doubles();
  by(values, tensor->shape);
  inputs.replace(name, Tensor::from_doubles(tensor->dtype, tensor->shape, values));
}

void first_of_memory(std::vector<double>& values, const Shape& shape) {
  const auto head = static_cast<size_t>(shape[1] * shape[2]);
  for (size_t n = head; n < values.size(); ++n) values[n] = values[n % head];
}

Rewritten with_memory(const Case& c) {
  return c.problem.memory_kv > 0 && c.problem.num_kv_heads > 0 ? Rewritten(c) : std::nullopt;
}
Rewritten with_memory_heads(const Case& c) {
  return c.problem.num_kv_heads > 1 ? with_memory(c) : std::nullopt;
}
Rewritten memory_doubled(const Case& original) {
  Rewritten c = with_memory(original);
  if (c) c->problem.memory_kv *= 2;
  return c;
}
Inputs read_memory_twice(const Case&, Inputs inputs) {
  for (const std::string_view name : {"mem_k", "mem_v"}) {
    const Tensor& once = inputs.at(name);
    Tensor twice(once.dtype, {once.shape[0], 2 * once.shape[1], once.shape[2]});
    const size_t head = once.bytes.size() / static_cast<size_t>(once.shape[0]);
    for (size_t n = 0; n < twice.bytes.size(); ++n)
      twice.bytes[n] = once.bytes[n / (2 * head) * head + n % head];
    inputs.replace(name, std::move(twice));
  }
  return inputs;
}

Rewritten with_sinks(const Case& c) {
  return c.problem.sinks && c.problem.num_heads > 0 ? Rewritten(c) : std::nullopt;
}
Rewritten with_sinks_of_groups(const Case& c) {
  return c.problem.num_kv_heads < c.problem.num_heads ? with_sinks(c) : std::nullopt;
}

/// Elements of q from the last whole multiple of `multiple` on are left out of the products.
template <int64_t multiple>
Rewritten has_dim_tail(const Case& c) {
  const int64_t dim = c.problem.head_dim;
  return dim > multiple && dim % multiple != 0 ? Rewritten(c) : std::nullopt;
}
Inputs without_dims(const Case& c, Inputs inputs, int64_t from) {
  const auto all = inputs.all();
  for (const auto& [name, tensor] : all)
    if (is(name, "q"))
      change(inputs, name, [&](std::vector<double>& values, const Shape&) {
        for (size_t n = 0; n < values.size(); ++n)
          if (static_cast<int64_t>(n) % c.problem.head_dim >= from) values[n] = 0;
      });
  return inputs;
}
template <int64_t multiple>
Inputs read_without_dim_tail(const Case& c, Inputs inputs) {
  return without_dims(c, std::move(inputs), c.problem.head_dim / multiple * multiple);
}
#define ATTNFUZZ_DIM_TAIL(n)                                                          \
  {                                                                                   \
    "head-dim-tail-" #n, "the last head_dim mod " #n " elements are left out of q·k", \
        [](const Case& c) { return has_dim_tail<n>(c); }, read_without_dim_tail<n>    \
  }

Rewritten subnormal(const Case& c) {
  return c.data.dist == Distribution::tiny ? Rewritten(c) : std::nullopt;
}
Inputs read_flushed(const Case& c, Inputs inputs) {
  const double least = std::ldexp(1.0, info(c.problem.dtype).min_exponent);
  const auto all = inputs.all();
  for (const auto& [name, tensor] : all)
    if (is(name, "q") || is(name, "k") || is(name, "v"))
      change(inputs, name, [&](std::vector<double>& values, const Shape&) {
        for (double& x : values) x = std::abs(x) < least ? 0 : x;
      });
  return inputs;
}

Rewritten left_padded(const Case& c) {
  const bool any = std::any_of(c.steps.begin(), c.steps.end(),
                               [](const Step& step) { return step.side == Side::left; });
  return any ? Rewritten(c) : std::nullopt;
}
/// A step's real tokens are read from its start, whatever side the padding is on.
Inputs read_from_start(const Case& c, Inputs inputs) {
  for (size_t n = 0; n < c.steps.size(); ++n) {
    const Step& step = c.steps[n];
    if (!step.has_tokens() || step.side == Side::right) continue;
    for (const char* role : {"k.", "v."}) {
      const std::string name = role + std::to_string(n);
      const At sizes = sizes_of(c.problem.layout, inputs.at(name).shape);
      const auto dim = static_cast<size_t>(inputs.at(name).shape[3]);
      change(inputs, name, [&](std::vector<double>& values, const Shape&) {
        const std::vector<double> old = values;
        for (At at{0, 0, 0}; at.b < sizes.b; ++at.b)
          for (at.h = 0; at.h < sizes.h; ++at.h)
            for (at.s = step.first_real(static_cast<size_t>(at.b)); at.s < sizes.s; ++at.s) {
              At from = at;
              from.s -= step.first_real(static_cast<size_t>(at.b));
              std::copy_n(
                  old.begin() + static_cast<ptrdiff_t>(dim * index(c.problem.layout, from, sizes)),
                  dim,
                  values.begin() +
                      static_cast<ptrdiff_t>(dim * index(c.problem.layout, at, sizes)));
            }
      });
    }
  }
  return inputs;
}

template <char... roles>
constexpr char role_names[] = {roles..., '\0'};
template <From from, char... roles>
Inputs read(const Case& c, Inputs inputs) {
  return gather(c, std::move(inputs), role_names<roles...>, from);
}

/// A fault that reads tensors in another way.
struct Misread {
  std::string_view name, words;
  Rewritten (*rewrite)(const Case&);
  Inputs (*read)(const Case&, Inputs);
};
constexpr Misread table[] = {
    {"kv-first-row", "keys and values of the first batch row are used for all rows",
     same_if<has_rows>, read<first_row_of, 'k', 'v'>},
    {"keys-first-row", "keys of the first batch row are used for all rows", same_if<has_rows>,
     read<first_row_of, 'k'>},
    {"values-first-row", "values of the first batch row are used for all rows", same_if<has_rows>,
     read<first_row_of, 'v'>},
    {"queries-first-row", "queries of the first batch row are used for all rows", same_if<has_rows>,
     read<first_row_of, 'q'>},
    {"kv-first-head", "all query heads use KV head 0",
     [](const Case& c) {
       return c.problem.memory_kv == 0 ? same_if<has_key_heads>(c) : Rewritten();
     },
     read<first_head_of, 'k', 'v'>},
    {"keys-first-head", "all query heads use the keys of KV head 0", same_if<has_key_heads>,
     read<first_head_of, 'k'>},
    {"values-first-head", "all query heads use the values of KV head 0", same_if<has_key_heads>,
     read<first_head_of, 'v'>},
    {"kv-heads-reversed", "KV heads are counted from the last one", same_if<has_key_heads>,
     read<heads_reversed, 'k', 'v'>},
    {"values-head-map", "values are read from head h mod num_kv_heads, keys from h / group",
     values_head_map, read_values_head_map},
    {"queries-other-layout", "q is read as if it were in the other layout",
     same_if<has_heads_and_length>, read<other_layout, 'q'>},
    {"keys-other-layout", "k is read as if it were in the other layout",
     same_if<has_heads_and_length>, read<other_layout, 'k'>},
    {"values-other-layout", "v is read as if it were in the other layout",
     same_if<has_heads_and_length>, read<other_layout, 'v'>},
    {"kv-other-layout", "k and v are read as if they were in the other layout",
     same_if<has_heads_and_length>, read<other_layout, 'k', 'v'>},
    {"values-are-keys", "keys are read in the place of values", same_head_dims,
     read_keys_as_values},
    {"values-one-late", "each key has the value of the key after it", same_if_plain<has_keys>,
     read<next_token, 'v'>},
    {"values-one-early", "each key has the value of the key before it", same_if_plain<has_keys>,
     read<token_before, 'v'>},
    {"values-reversed", "values are read from the last to the first", same_if_plain<has_keys>,
     read<tokens_reversed, 'v'>},
    {"memory-first-head", "the first KV head's memory is used for all heads", with_memory_heads,
     [](const Case&, Inputs inputs) {
       change(inputs, "mem_k", first_of_memory);
       change(inputs, "mem_v", first_of_memory);
       return inputs;
     }},
    {"memory-values-first-head", "the first KV head's memory values are used for all heads",
     with_memory_heads,
     [](const Case&, Inputs inputs) {
       change(inputs, "mem_v", first_of_memory);
       return inputs;
     }},
    {"memory-values-zero", "the memory's values are zeros", with_memory,
     [](const Case&, Inputs inputs) {
       change(inputs, "mem_v",
              [](std::vector<double>& v, const Shape&) { std::fill(v.begin(), v.end(), 0.0); });
       return inputs;
     }},
    {"memory-twice", "the memory's keys and values are there twice", memory_doubled,
     read_memory_twice},
    {"sinks-first-head", "the first head's sink is used for all heads", with_sinks,
     [](const Case&, Inputs inputs) {
       change(inputs, "sinks",
              [](std::vector<double>& s, const Shape&) { std::fill(s.begin(), s.end(), s[0]); });
       return inputs;
     }},
    {"sinks-of-key-heads", "sinks are indexed by the KV head", with_sinks_of_groups,
     [](const Case& c, Inputs inputs) {
       change(inputs, "sinks", [&](std::vector<double>& s, const Shape&) {
         const std::vector<double> old = s;
         for (size_t h = 0; h < s.size(); ++h)
           s[h] = old[static_cast<size_t>(c.problem.kv_head(static_cast<int64_t>(h)))];
       });
       return inputs;
     }},
    {"sinks-negated", "the sinks have the wrong sign", with_sinks,
     [](const Case&, Inputs inputs) {
       change(inputs, "sinks", [](std::vector<double>& s, const Shape&) {
         for (double& x : s) x = -x;
       });
       return inputs;
     }},
    {"sinks-scaled", "the sinks are multiplied by the scale", with_sinks,
     [](const Case& c, Inputs inputs) {
       change(inputs, "sinks", [&](std::vector<double>& s, const Shape&) {
         for (double& x : s) x *= c.problem.scale_value();
       });
       return inputs;
     }},
    ATTNFUZZ_DIM_TAIL(4),
    ATTNFUZZ_DIM_TAIL(8),
    ATTNFUZZ_DIM_TAIL(16),
    ATTNFUZZ_DIM_TAIL(32),
    {"head-dim-last-missing", "the last element of the head size is left out of q·k",
     [](const Case& c) { return c.problem.head_dim > 1 ? Rewritten(c) : std::nullopt; },
     [](const Case& c, Inputs inputs) {
       return without_dims(c, std::move(inputs), c.problem.head_dim - 1);
     }},
    {"subnormals-flushed", "subnormal inputs are read as zero", subnormal, read_flushed},
    {"ragged-side-ignored", "a left-padded step's tokens are read from its start", left_padded,
     read_from_start},
};
#undef ATTNFUZZ_DIM_TAIL

}  // namespace

std::span<const Fault> tensors() {
  static const std::vector<Fault> all = [] {
    std::vector<Fault> made;
    for (const Misread& each : table)
      made.push_back({each.name, each.words, each.rewrite, Fault::Of::softmax, each.read});
    return made;
  }();
  return all;
}

}  // namespace attnfuzz::fault
