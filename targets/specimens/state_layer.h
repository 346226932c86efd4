#pragma once
#include <string>
#include <vector>

#include "oracle/inputs.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {

/// A layer of attention with a state (oracle/linear/kinds.h) that does everything right, token by
/// token, in f32: what specimens get wrong by overriding one of its functions.
class StateLayer {
 public:
  StateLayer(Form form, const Case& c, const Inputs& inputs);
  virtual ~StateLayer() = default;
  void run(std::vector<StepOutput>& steps);

 protected:
  using Array = torch_like::Array;
  using State = std::vector<float>;  ///< [head_dim, head_dim_v]

  /// One step's inputs, [batch, heads, len, dim]; gate and beta have dim 1 where they are one
  /// number for each token, and are empty where the kind has none.
  struct Tokens {
    Array q, k, v, gate, beta;
  };
  /// Tokens first … first + count − 1 of a row, for one KV head.
  struct Stretch {
    size_t b;
    int64_t g, first, count;
  };

  bool buggy() const { return form_ == Form::buggy; }
  const Problem& problem() const { return c_.problem; }
  /// Index of element d of a token.
  static size_t at(const Array& a, size_t b, int64_t h, int64_t t, int64_t d = 0);

  /// An input, and an output, [batch, heads, len, dim].
  virtual Array read(const std::string& name) const;
  virtual Tensor written(const Array& out) const;
  /// How many tokens the cache counts for row b.
  virtual int64_t counted(size_t step, size_t b) const;
  /// Whether a step goes on from the state that the row is in.
  virtual bool carries_on(const Step&) const { return true; }
  /// What of a step's row goes into the state.
  virtual Stretch stretch_of(const Step& step, size_t b, int64_t g) const;
  virtual void before(const Tokens&, const Step&, const Stretch&, State&) const {}
  /// Takes the stretch into the state and answers its queries.
  virtual void take(const Tokens& tokens, const Stretch& stretch, State& state, Array& out) const;
  virtual void after_token(const Stretch&, int64_t /*t*/, State&) const {}
  virtual void reorder(const std::vector<int64_t>& rows);

  float decay(const Tokens& tokens, size_t b, int64_t g, int64_t t, int64_t d) const;
  /// The query's output, by all query heads of the state's KV head.
  void answer(const Tokens& tokens, const Stretch& stretch, int64_t t, const State& state,
              Array& out) const;
  const Inputs& inputs() const { return inputs_; }
  const std::vector<Step>& steps() const { return c_.steps; }

  std::vector<std::vector<State>> rows;  ///< [batch][num_kv_heads]

 private:
  Tokens tokens_of(const std::string& suffix) const;
  void clear();
  void run_plain(std::vector<StepOutput>& steps);
  Tensor run_tokens(size_t n);
  void change(const Step& step);

  Form form_;
  const Case& c_;
  const Inputs& inputs_;
  std::vector<int64_t> lengths_;
};

/// Capabilities of a specimen that is a StateLayer: `features` are members of the list, each with a
/// comma before it; `sizes` of the object.
#define ATTNFUZZ_STATE_LAYER(features, sizes)                                                      \
  R"({"sizes": {"batch": [1, 4], "num_heads": [1, 6], "num_kv_heads": [1, 6], "kv_len": [1, 96],)" \
  R"("head_dim": [1, 16], "head_dim_v": [1, 16], )" sizes                                          \
  R"(}, "features": ["layout:bhsd", "layout:bshd", "head_dim_v", "scale", "rule:causal")" features \
  "]}"
#define ATTNFUZZ_STATE_STEPS                        \
  R"(, "dtype:f32", "gqa", "mqa", "cache:dynamic")" \
  R"(, "step:prefill", "step:append", "step:decode")"

/// Runs a specimen that is a kind of StateLayer.
template <class T>
void run_state_layer(Form form, const Case& c, const Inputs& inputs,
                     std::vector<StepOutput>& steps) {
  T(form, c, inputs).run(steps);
}

}  // namespace attnfuzz
