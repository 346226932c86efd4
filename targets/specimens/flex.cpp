#include "targets/specimens/flex.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attnfuzz {

using torch_like::Array;
using torch_like::unsqueeze;

BlockMask make_flex_block_mask(const Array& attention_mask, int64_t q_len,
                               std::optional<int64_t> key_length, const Reach& reach) {
  const Array padded = torch_like::pad(attention_mask, {0, key_length});
  const Array real = torch_like::slice(padded, 1, 0, *key_length);
  return {unsqueeze(unsqueeze(real, 1), 1), q_len, reach};
}

Array flex_attention(const Array& q, const Array& k, const Array& v, const BlockMask& mask,
                     double scale) {
  const int64_t q_len = q.size(2), kv_len = k.size(2);
  const int64_t mask_q = mask.q_len, mask_kv = mask.real.size(3);
  const bool smaller = q_len > mask_q || kv_len > mask_kv;
  if (smaller || q_len < mask_q || kv_len < mask_kv)
    throw torch_like::TorchError(fmt::format(
        "block_mask was created for block_mask.shape=({}) but got q_len={} and "
        "kv_len={}. As the block mask was created for a {} length than you're using it "
        "for, you {}",
        fmt::join(mask.shape(), ", "), q_len, kv_len, smaller ? "smaller" : "larger",
        smaller ? "likely need to create a new block mask."
                : "can either 1. create a new block mask with the correct length, or "
                  "2. 'adjust' the existing block mask to the correct length by calling "
                  "block_mask._adjust(q_len, kv_len). This essentially 'crops' the block "
                  "mask to the upper left corner, which does not work for all "
                  "mask_mods!"));
  const Array seen = both(mask.real, visible(q_len, kv_len, mask.reach));
  return attend(q, k, v, additive(seen, minus_infinity), scale);
}

}  // namespace attnfuzz
