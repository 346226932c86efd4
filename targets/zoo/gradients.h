#pragma once
#include <map>
#include <span>
#include <vector>

#include "targets/zoo/kernel.h"

namespace attnfuzz::zoo {

/// A query whose row has been attended, with all of its keys.
struct Query {
  int64_t b, h, i, q_pos;
  const double* q;
  std::span<const Key> keys;
  double sink;  ///< −inf without
};

/// The slope of a score in the scaled dot product; 1 without softcap.
double softcap_slope(const Context& x, const Query& query, const Key& key);

/// What a case asks for beside `out`, query by query.
class Gradients {
 public:
  Gradients(const Context& context, const Inputs& inputs);
  void add(const Query& query);
  void finish(StepOutput& step) const;

 private:
  double* at(Output output, int64_t index);  ///< null: not asked for
  double* row(Output output, int64_t heads, int64_t len, int64_t dim, const Pair& place);
  std::vector<double> weights(const Query& query, double& of_sink) const;
  bool is_shown(const Query& query, const Key& key) const;
  void add_lse(const Query& query);
  void differentiate(const Query& query);
  void add_to_key(const Query& query, const Key& key, const double* dk, const double* dv);

  const Context& x;
  Operand grad_out_;
  std::map<Output, std::vector<double>> values_;
};

}  // namespace attnfuzz::zoo
