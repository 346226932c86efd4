#pragma once
#include <limits>
#include <string_view>
#include <type_traits>

#include "oracle/case_io.h"

namespace attnfuzz {

/// The limits of a number, for the schema; check() is what enforces them.
struct Limits {
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
};

/// The one description of the case format: each struct's keys in the file's order. The reader, the
/// writer and the schema are visitors of it. A visitor has
///   visitor(key, member) and visitor(key, member, limits or range) for a key that must be there,
///   visitor.optional(key, member) for one that is left out when the member is empty,
///   visitor.option(key, member, plain) for one that is left out when the member is `plain`,
///   visitor.kind(key, member) for the one that decides which others there are,
///   visitor.parameter(param, value) for a mask rule's parameter,
///   visitor.given(data), whether the tensors are given: their text is read and written apart
///   (oracle/given_io.h), and
///   visitor.cached, whether the case has a cache.
/// Objects are const for all but the reader.
template <class T>
struct Fields;

template <>
struct Fields<Cache> {
  static void visit(auto& visitor, auto& cache) {
    visitor.kind("kind", cache.kind);
    const bool unlimited = cache.kind == CacheKind::dynamic || cache.kind == CacheKind::cross;
    const bool two_parts = cache.kind == CacheKind::sink_window;
    if (!unlimited) visitor("capacity", cache.capacity, Limits{two_parts ? 2 : 1});
    if (cache.kind == CacheKind::paged) visitor("page_size", cache.page_size, Limits{1});
    if (cache.kind == CacheKind::sink_window) visitor("keep", cache.keep, Limits{1});
    visitor.option("positions", cache.positions, Positions::kept);
    visitor.option("quant", cache.quant, Quant::none);
    visitor.option("scales", cache.scales, Scales::token);
  }
};

template <>
struct Fields<Step> {
  static void visit(auto& visitor, auto& step) {
    visitor.kind("op", step.op);
    if (step.has_tokens()) {
      visitor("q_len", step.q_len, step.op == StepOp::decode ? Limits{1, 1} : Limits{0});
      visitor.option("kv_len", step.kv_len, std::optional<int64_t>());
      visitor.optional("lens", step.lens);
      visitor.option("side", step.side, Side::right);
    }
    if (step.op == StepOp::reorder) visitor("rows", step.rows, Limits{0});
    if (step.op == StepOp::crop) visitor("length", step.length, Limits{0});
    if (step.op == StepOp::fork) {
      visitor("from", step.from, Limits{0});
      visitor("to", step.to, Limits{0});
    }
    if (step.op == StepOp::evict) {
      visitor("start", step.start, Limits{0});
      visitor("count", step.count, Limits{1});
    }
  }
};

template <>
struct Fields<RuleUse> {
  static void visit(auto& visitor, auto& use) {
    visitor.kind("rule", use.spec);
    if constexpr (!std::is_const_v<std::remove_reference_t<decltype(use)>>) {
      use.values.resize(use.spec->params.size());
    }
    for (size_t k = 0; k < use.values.size(); ++k) {
      visitor.parameter(use.spec->params[k], use.values[k]);
    }
  }
};

template <>
struct Fields<Mask> {
  static void visit(auto& visitor, auto& mask) {
    visitor("align", mask.align);
    visitor("rules", mask.rules);
  }
};

template <>
struct Fields<RopeScaling> {
  static void visit(auto& visitor, auto& scaling) {
    visitor.kind("law", scaling.law);
    if (scaling.law == RopeLaw::none) return;
    visitor("factor", scaling.factor);
    if (scaling.has_original_len()) visitor("original_len", scaling.original_len, Limits{1});
    if (scaling.has_ramp()) {
      visitor("low", scaling.low);
      visitor("high", scaling.high);
    }
    visitor.option("magnitude", scaling.magnitude, 1.0);
    if (scaling.law == RopeLaw::yarn) visitor.option("truncate", scaling.truncate, true);
  }
};

template <>
struct Fields<Problem> {
  static void visit(auto& visitor, auto& p) {
    visitor.option("kind", p.kind, ProblemKind::softmax);
    for (const ProblemSize& size : problem_sizes()) {
      const bool of_steps = size.name == "q_len" || size.name == "kv_len";
      if (size.name == "memory_kv" || (of_steps && visitor.cached)) continue;
      visitor(size.name, p.*size.member, Limits{size.min, size.max});
    }
    visitor("dtype", p.dtype);
    visitor("layout", p.layout);
    visitor.option("strides", p.strides, Strides::dense);
    visitor("scale", p.scale, scale_range);
    visitor("softcap", p.softcap, softcap_range);
    visitor("sinks", p.sinks);
    visitor("memory_kv", p.memory_kv, Limits{0});
    visitor("head_map", p.head_map);
    visitor("bias_order", p.bias_order);
    visitor("fully_masked", p.fully_masked);
    visitor.option("dropout_keep", p.dropout_keep, int64_t{100});
    visitor.option("outputs", p.outputs, std::vector<Output>{Output::out});
    visitor.option("rope", p.rope, Rope::none);
    visitor.option("rope_base", p.rope_base, Problem().rope_base);
    visitor.option("rope_dim", p.rope_dim, int64_t{0});
    visitor.option("rope_part", p.rope_part, RopePart::first);
    visitor.option("rope_scaling", p.rope_scaling, RopeScaling());
    visitor.optional("rope_positions", p.rope_positions);
    visitor("mask", p.mask);
  }
};

template <>
struct Fields<Data> {
  static void visit(auto& visitor, auto& data) {
    if (visitor.given(data)) return;
    visitor("seed", data.seed);
    visitor("dist", data.dist);
    visitor("nonfinite", data.nonfinite);
  }
};

template <>
struct Fields<CaseFile> {
  static void visit(auto& visitor, auto& file) {
    visitor.version("attnfuzz");
    visitor.optional("about", file.about);
    visitor("problem", file.c.problem);
    visitor("data", file.c.data);
    if (visitor.cached) {
      visitor("cache", *file.c.cache);
      visitor("steps", file.c.steps);
    }
    visitor.optional("expect", file.expect);
  }
};

template <class T>
concept Described = requires {
  sizeof(Fields<T>);
};

}  // namespace attnfuzz
