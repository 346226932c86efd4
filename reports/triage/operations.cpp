#include "reports/triage/triage.h"

namespace attnfuzz::triage {
namespace {

constexpr std::string_view kScores = "batch,num_heads,q_len,kv_len";
constexpr std::string_view kQueries = "batch,num_heads,q_len,head_dim";
constexpr std::string_view kKeys = "batch,num_kv_heads,kv_len,head_dim";

/// Special ones first; the last is what errors are most often about where nothing else is told.
constexpr Operation kOperations[] = {
    {"chunk mask and padding mask", "chunked_attention_mask | chunk_causal_mask", "q_len,kv_len",
     "batch,kv_len", "mask", "mask"},
    {"causal mask and padding mask",
     "causal_4d_mask.masked_fill | causal_mask[ | expanded_attn_mask + | combined_attention_mask = "
     "| "
     "padding_mask =",
     kScores, kScores, "mask", "mask"},
    {"rotary embedding",
     "* cos | *cos | * self.cos | x_rope * | rotate_half( | apply_rotary | rotate_every_two",
     kQueries, kQueries, "", "rotary table"},
    {"cache and new keys",
     "cat([past | cat((past | past_key_value[0], | cat([self.key_cache | cat([layer_past | "
     "cat([cache",
     kKeys, kKeys, "", ""},
    {"cache slots and new keys", "kv_cache[ | k_cache[ | key_cache[ | cache_k[ | cache[",
     "batch,kv_len,num_kv_heads,head_dim", "batch,kv_len,num_kv_heads,head_dim", "", ""},
    {"memory and keys", "(mem_k | mem_k, | (mem_v | mem_v, | repeat(mem", kKeys, kKeys, "", ""},
    {"queries by keys",
     "matmul(query | matmul(q | @ k | key_layer.transpose | key.transpose | query @ | baddbmm( | "
     "key_states.transpose",
     kQueries, "batch,num_kv_heads,head_dim,kv_len", "", ""},
    {"weights by values", "value_layer) | @ v | attn_weights, value | probs, v", kScores, kKeys, "",
     ""},
    {"past keys of a model's input", "input: past_key | input: past_value | input: past",
     "batch,num_kv_heads,past_len,head_dim", "batch,num_kv_heads,past_len,head_dim", "", "model"},
    {"mask of a model's input", "input: attention_mask", "batch,kv_len", "batch,kv_len", "",
     "model"},
    {"tokens of a model's input", "input: input_ids | input: token_type_ids | input: position_ids",
     "batch,q_len", "batch,q_len", "", "model"},
    {"scores of a position bias", "rel_pos_bias | position_bias | alibi", kScores, kScores, "",
     "bias"},
    {"scores and mask",
     "masked_fill | attn_weights + | attention_scores + | scores + | + attention_mask | + "
     "causal_mask "
     "| torch.where( | scaled_dot_product_attention | attn_mask | mask_value | energy | w * b",
     kScores, kScores, "", "mask"},
};

struct Likely {
  std::string_view pattern, operation;
};
constexpr Likely kLikely[] = {
    {"concatenation", "cache and new keys"}, {"stack", "cache and new keys"},
    {"assignment", "cache and new keys"},    {"batch-matmul", "queries by keys"},
    {"matmul-shapes", "queries by keys"},    {"einsum", "queries by keys"},
};

bool shows(std::string_view line, std::string_view fragments) {
  constexpr std::string_view between = " | ";
  while (!fragments.empty()) {
    const size_t end = std::min(fragments.find(between), fragments.size());
    if (line.find(fragments.substr(0, end)) != line.npos) return true;
    fragments.remove_prefix(std::min(end + between.size(), fragments.size()));
  }
  return false;
}

}  // namespace

std::span<const Operation> operations() {
  return kOperations;
}

const Operation* find_operation(const Traceback& traceback) {
  constexpr size_t looked_at = 60;  // lines from the innermost
  const size_t count = traceback.lines.size();
  for (size_t k = count; k-- > count - std::min(count, looked_at);)
    for (const Operation& operation : kOperations)
      if (shows(traceback.lines[k], operation.fragments)) return &operation;
  return nullptr;
}

const Operation& likely_operation(std::string_view pattern) {
  for (const Likely& row : kLikely)
    for (const Operation& operation : kOperations)
      if (row.pattern == pattern && row.operation == operation.name) return operation;
  return *(std::end(kOperations) - 1);
}

}  // namespace attnfuzz::triage
