#pragma once
#include <vector>

#include "oracle/inputs.h"
#include "targets/cpu/rotary.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {

/// A cache of f32 tokens, row by row, that does every step right: what specimens of cache bugs get
/// wrong by overriding one of its functions. Causal and ALiBi masks, rope; all kinds of cache,
/// quantised or not (not with rope).
class TokenCache {
 public:
  struct Held {
    std::vector<float> k, v;  ///< [num_kv_heads, dim], as they came or in units of the scales
    int64_t position = 0;     ///< by which masks go
    int64_t encoded = 0;      ///< that its key carries: by it rope turns it and ALiBi weighs it
    int64_t read = 0;         ///< `encoded` when a query last read it
    std::vector<float> k_scales = {}, v_scales = {};  ///< [num_kv_heads]
  };
  struct Row {
    std::vector<Held> held;
    int64_t next = 0;  ///< position of the next token
  };
  /// One query and the key that it may see.
  struct Pair {
    int64_t q_pos, first_q_pos, last_q_pos;  ///< first and last: of the step's queries of the row
    int64_t key_pos, slot, g;
  };

  TokenCache(Form form, const Case& c);
  virtual ~TokenCache() = default;
  void run(const Inputs& inputs, std::vector<StepOutput>& steps);

 protected:
  bool buggy() const { return form_ == Form::buggy; }
  const Cache& cache() const { return *c_.cache; }

  virtual void append(size_t b, Held token) { rows[b].held.push_back(std::move(token)); }
  /// Where the step's tokens of row b begin.
  virtual int64_t first_position(size_t b) const { return rows[b].next; }
  virtual bool sees(const Pair& pair) const;
  virtual bool is_past(const Pair& pair) const { return pair.key_pos <= pair.q_pos; }
  /// By what rope turns a step's first query and key; the others follow.
  virtual int64_t first_angle(const Step&, int64_t first_position) { return first_position; }
  virtual int64_t key_angle(const Held& token, const Pair&) const { return token.encoded; }
  /// The scale that what is held for KV head g is multiplied with, from its token's.
  virtual float scale_of(const std::vector<float>& scales, size_t g, const Step&) const {
    return scales[g];
  }
  /// Which of the keys that come with the step row b gets: `first` and how many.
  struct Span {
    int64_t first, count;
  };
  virtual Span keys_of(const Step& step, size_t b) const {
    return {step.first_real(b), step.real_tokens(b)};
  }
  virtual void reorder(const std::vector<int64_t>& from);
  virtual void crop(Row& row, int64_t length) const;
  virtual void evict(size_t b, const Step& step);
  virtual void fork(size_t from, size_t to) { rows[to] = rows[from]; }
  /// Drops what the newest token does not see.
  virtual void forget(Row& row) const;
  virtual int64_t length(const Row& row) const { return static_cast<int64_t>(row.held.size()); }
  virtual int64_t capacity() const;

  std::vector<Row> rows;
  int64_t brought = 0;  ///< tokens that the step at hand brings to the row at hand

 private:
  Tensor attend(const Step& step, const std::string& name, const Inputs& inputs);
  /// Where a row's first query of the step stands, and by what it is turned.
  struct Place {
    int64_t position, angle;
  };
  void bring(size_t b, const Step& step, const Place& first, const std::string& name,
             const Inputs& inputs);
  void attend_row(size_t b, const Step& step, const Place& first, const torch_like::Array& q,
                  torch_like::Array& out);
  std::vector<float> turned(const float* x, int64_t angle);
  void change(const Step& step);

  Form form_;
  const Case& c_;
  Rotary rotary_;
};

/// Capabilities of a specimen that is a TokenCache: `features` and `required` are members of their
/// lists, each with a comma before it. Most have a causal mask.
#define ATTNFUZZ_TOKEN_CACHE(features, required)         \
  ATTNFUZZ_TOKEN_CACHE_OF(R"(, "rule:causal")" features, \
                          R"(, ["dtype:f32", "rule:causal"])" required)
#define ATTNFUZZ_TOKEN_CACHE_OF(features, required)                                               \
  R"({"sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 12],)" \
  R"("kv_len": [1, 32], "head_dim": [1, 16], "head_dim_v": [1, 16], "steps": [1, 6],)"            \
  R"("capacity": [0, 32], "page_size": [0, 8]}, "requires": [["gqa", "dtype:f32"])" required      \
  R"(], "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa",)"                   \
  R"("head_dim_v", "step:prefill", "step:append", "step:decode")" features "]}"

/// Runs a specimen that is a kind of TokenCache.
template <class T>
void run_token_cache(Form form, const Case& c, const Inputs& inputs,
                     std::vector<StepOutput>& steps) {
  T(form, c).run(inputs, steps);
}

}  // namespace attnfuzz
