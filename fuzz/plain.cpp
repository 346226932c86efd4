#include "fuzz/plain.h"

namespace attnfuzz {
namespace {

constexpr uint64_t of_option = 64, of_value = 8;

/// A line of the table for a member whose plainest value is one constant.
#define ATTNFUZZ_PLAIN(words, member, plain, weight)                                             \
  {                                                                                              \
    words, [](const Case& c) { return c.member == (plain); }, [](Case& c) { c.member = plain; }, \
        weight                                                                                   \
  }

constexpr PlainOption table[] = {
    ATTNFUZZ_PLAIN("softmax", problem.kind, ProblemKind::softmax, of_option),
    {"finite data",  // of given tensors it only says what they hold
     [](const Case& c) { return c.data.nonfinite == NonFinite::none || c.data.given != nullptr; },
     [](Case& c) { c.data.nonfinite = NonFinite::none; }, of_option},
    ATTNFUZZ_PLAIN("softcap off", problem.softcap, 0, of_option),
    ATTNFUZZ_PLAIN("out alone", problem.outputs, std::vector{Output::out}, of_option),
    ATTNFUZZ_PLAIN("no dropout", problem.dropout_keep, 100, of_option),
    ATTNFUZZ_PLAIN("no sinks", problem.sinks, false, of_option),
    ATTNFUZZ_PLAIN("scale default", problem.scale, std::nullopt, of_option),
    ATTNFUZZ_PLAIN("head_map grouped", problem.head_map, HeadMap::grouped, of_option),
    ATTNFUZZ_PLAIN("bias after softcap", problem.bias_order, BiasOrder::after_softcap, of_option),
    ATTNFUZZ_PLAIN("fully masked rows zero", problem.fully_masked, FullyMasked::zero, of_option),
    ATTNFUZZ_PLAIN("align top_left", problem.mask.align, Align::top_left, of_option),
    {"no rope", [](const Case& c) { return c.problem.rope == Rope::none; },
     [](Case& c) {
       c.problem.rope = Rope::none;
       c.problem.rope_base = Problem().rope_base;
       c.problem.rope_dim = 0;
       c.problem.rope_part = RopePart::first;
       c.problem.rope_scaling = {};
       c.problem.rope_positions = {};
     },
     of_option},
    ATTNFUZZ_PLAIN("rope by places", problem.rope_positions, std::vector<int64_t>(), of_option),
    ATTNFUZZ_PLAIN("rope not scaled", problem.rope_scaling, RopeScaling(), of_option),
    {"rope scaled linearly",
     [](const Case& c) { return c.problem.rope_scaling.law <= RopeLaw::linear; },
     [](Case& c) {
       c.problem.rope_scaling = {RopeLaw::linear, c.problem.rope_scaling.factor};
     },
     of_option},
    {"rope's factor 2",
     [](const Case& c) {
       const RopeScaling& scaling = c.problem.rope_scaling;
       return scaling.law == RopeLaw::none || scaling.factor == 2;
     },
     [](Case& c) { c.problem.rope_scaling.factor = 2; }, of_value},
    ATTNFUZZ_PLAIN("rope's magnitude 1", problem.rope_scaling.magnitude, 1, of_value),
    ATTNFUZZ_PLAIN("rope's ramp truncated", problem.rope_scaling.truncate, true, of_value),
    {"rope on the whole head", [](const Case& c) { return c.problem.rope_dim == 0; },
     [](Case& c) {
       c.problem.rope_dim = 0;
       c.problem.rope_part = RopePart::first;
     },
     of_option},
    ATTNFUZZ_PLAIN("rope on the first elements", problem.rope_part, RopePart::first, of_value),
    {"rope half", [](const Case& c) { return c.problem.rope != Rope::interleaved; },
     [](Case& c) { c.problem.rope = Rope::half; }, of_value},
    ATTNFUZZ_PLAIN("rope_base default", problem.rope_base, Problem().rope_base, of_value),
    ATTNFUZZ_PLAIN("contiguous tensors", problem.strides, Strides::dense, of_option),
    {"tensors with gaps", [](const Case& c) { return c.problem.strides <= Strides::gaps; },
     [](Case& c) { c.problem.strides = Strides::gaps; }, of_value},
    ATTNFUZZ_PLAIN("layout bhsd", problem.layout, Layout::bhsd, of_option),
    ATTNFUZZ_PLAIN("dtype f32", problem.dtype, DType::f32, of_option),
    ATTNFUZZ_PLAIN("normal data", data.dist, Distribution::normal, of_option),
    {"positions kept",
     [](const Case& c) { return !c.cached() || c.cache->positions == Positions::kept; },
     [](Case& c) { c.cache->positions = Positions::kept; }, of_option},
    {"not quantised", [](const Case& c) { return !c.cached() || c.cache->quant == Quant::none; },
     [](Case& c) {
       c.cache->quant = Quant::none;
       c.cache->scales = Scales::token;
     },
     of_option},
    {"int8 values", [](const Case& c) { return !c.cached() || c.cache->quant <= Quant::int8; },
     [](Case& c) { c.cache->quant = Quant::int8; }, of_value},
    {"a scale for each token",
     [](const Case& c) { return !c.cached() || c.cache->scales == Scales::token; },
     [](Case& c) { c.cache->scales = Scales::token; }, of_value},
    {"softcap 1", [](const Case& c) { return c.problem.softcap == 0 || c.problem.softcap == 1; },
     [](Case& c) { c.problem.softcap = 1; }, of_value},
    {"scale 1", [](const Case& c) { return !c.problem.scale || *c.problem.scale == 1; },
     [](Case& c) { c.problem.scale = 1; }, of_value},
    {"half dropped",
     [](const Case& c) { return !c.problem.has_dropout() || c.problem.dropout_keep == 50; },
     [](Case& c) { c.problem.dropout_keep = 50; }, of_value},
    ATTNFUZZ_PLAIN("seed 0", data.seed, uint64_t{0}, of_value),
};

#undef ATTNFUZZ_PLAIN

}  // namespace

std::span<const PlainOption> plain_options() {
  return table;
}

}  // namespace attnfuzz
