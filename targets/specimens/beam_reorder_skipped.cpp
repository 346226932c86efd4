/// beam-reorder-skipped: beams that go on with another beam's history.
///
/// Where: Hugging Face Transformers, generation/utils.py, _beam_search, for models whose cache is
/// not called past_key_values (Mamba, XLNet, RWKV, Reformer); PaddleNLP's beam_search for models
/// that do not call it "cache".
///
/// Reported: https://github.com/huggingface/transformers/issues/46612,
/// https://github.com/PaddlePaddle/PaddleNLP/issues/6672.
///
/// Fixed: https://github.com/huggingface/transformers/pull/46819: every known name of a cache is
/// looked up.
///
/// What the package did. After each step of beam search the surviving beams are chosen, and row b
/// of the cache must become a copy of the row that beam b came from. The code did so if the model's
/// keyword arguments had an entry under one fixed name. Others were skipped without a word.
///
/// Symptom. No error; text that gets worse with more beams.
///
/// When. A reorder that is not the identity.
///
/// Fix. Reorder whatever cache there is.
#include "targets/specimens/attend.h"
#include "targets/specimens/kv_cache.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  KvCache cache(*c.cache);
  for (size_t s = 0; s < c.steps.size(); ++s) {
    if (c.steps[s].op == StepOp::reorder) {
      if (form == Form::fixed) cache.reorder(c.steps[s].rows);
      steps.push_back({});
      continue;
    }
    const std::string step = std::to_string(s);
    const Array q = heads_first(inputs.at("q." + step), p.layout);
    const Array k = heads_first(inputs.at("k." + step), p.layout);
    cache.update(k, heads_first(inputs.at("v." + step), p.layout), k.size(2));

    const Array mask = visible(q.size(2), cache.keys().size(2),
                               {.first_query = cache.first_of_last(), .causal = true});
    const Array out = attend(q, repeat_kv(cache.keys(), p), repeat_kv(cache.values(), p),
                             additive(mask, minus_infinity), p.scale_value());
    steps.push_back({to_output(out, p.layout),
                     std::vector<int64_t>(static_cast<size_t>(p.batch), cache.seen_tokens())});
  }
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 12],
            "kv_len": [1, 32], "head_dim": [1, 16], "head_dim_v": [1, 16], "steps": [1, 6],
            "capacity": [0, 32]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "rule:causal", "cache:dynamic",
               "cache:fixed", "step:prefill", "step:append", "step:decode", "step:reorder"],
  "equal": [["head_dim", "head_dim_v"]],
  "requires": [["dtype:f32", "rule:causal"]]
})";

}  // namespace

extern const Specimen beam_reorder_skipped;
const Specimen beam_reorder_skipped = {.name = "beam-reorder-skipped",
                                       .about = "the cache is not reordered when beams are",
                                       .source = "transformers 4.57",
                                       .capabilities = capabilities,
                                       .run = run};

}  // namespace attnfuzz
