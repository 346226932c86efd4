#include <fmt/format.h>

#include <algorithm>

#include "fuzz/claims.h"
#include "fuzz/reach/goal.h"

namespace attnfuzz {
namespace {

class Collector {
 public:
  explicit Collector(const Case& c) : c_(c) {}

  std::vector<std::pair<Quantity, int64_t>> take() {
    add_sizes();
    add_params();
    if (c_.cached())
      add_steps();
    else
      add_lengths();
    return std::move(numbers_);
  }

 private:
  void add(Quantity quantity, int64_t value) { numbers_.emplace_back(quantity, value); }

  void add_sizes() {
    const Problem& p = c_.problem;
    add(Quantity::batch, p.batch);
    add(Quantity::num_heads, p.num_heads);
    add(Quantity::num_kv_heads, p.num_kv_heads);
    add(Quantity::head_dim, p.head_dim);
    add(Quantity::head_dim_v, p.head_dim_v);
    add(Quantity::memory_kv, p.memory_kv);
    add(Quantity::steps, static_cast<int64_t>(c_.steps.size()));
    if (p.num_kv_heads > 0) add(Quantity::group, p.num_heads / p.num_kv_heads);
  }

  void add_params() {
    for (const RuleUse& use : c_.problem.mask.rules) {
      for (size_t k = 0; k < use.values.size(); ++k) {
        if (use.spec->params[k].kind != RuleParam::Kind::integer) continue;
        const auto quantity =
            parse_name<Quantity>(fmt::format("{}.{}", use.spec->name, use.spec->params[k].name));
        if (quantity) add(*quantity, use.integer(k));
      }
    }
  }

  void add_lengths() {
    add(Quantity::q_len, c_.problem.q_len);
    add(Quantity::kv_len, c_.problem.kv_len);
    if (c_.problem.mask.find("packed") == nullptr) return;
    int64_t empty_q = 0, empty_kv = 0;
    const std::vector<PackedSequence> all = sequences(c_.problem);
    for (const PackedSequence& each : all) {
      empty_q += each.q_len == 0 ? 1 : 0;
      empty_kv += each.kv_len == 0 && each.q_len > 0 ? 1 : 0;
      if (each.q_len > 0 && each.kv_len > 0) add(Quantity::packed_begin, each.kv_begin);
    }
    add(Quantity::sequences, std::ssize(all));
    add(Quantity::empty_q, empty_q);
    add(Quantity::empty_kv, empty_kv);
  }

  void add_steps() {
    const Cache& cache = *c_.cache;
    std::vector<int64_t> totals(static_cast<size_t>(c_.problem.batch), 0);
    int64_t most = 0;
    bool filled = false;
    for (const Step& step : c_.steps) {
      if (step.has_tokens()) {
        add(Quantity::q_len, step.q_len);
        for (const PastOf& each : steps_with_past)
          if (filled && step.op == each.op)
            for (const int64_t total : totals) add(each.quantity, total);
        if (cache.forgets()) add(Quantity::past_ring, step.q_len - cache.capacity);
      }
      filled = step.op != StepOp::reset;
      follow(step, totals);
      for (const int64_t total : totals) most = std::max(most, total);
    }
    add(Quantity::kv_len, most);
    if (cache.page_size > 0) add(Quantity::page_size, cache.page_size);
    if (cache.capacity == 0) return;
    add(Quantity::capacity, cache.capacity);
    if (cache.forgets())
      add(Quantity::wraps, most == 0 ? 0 : (most - 1) / cache.capacity);
    else
      add(Quantity::free_slots, cache.capacity - most);
  }

  const Case& c_;
  std::vector<std::pair<Quantity, int64_t>> numbers_;
};

}  // namespace

CaseMarks marks_of(const Case& c) {
  CaseMarks marks;
  for (const std::string& word : features(c)) marks.words.set(word_index(word));
  marks.numbers = Collector(c).take();
  return marks;
}

bool reaches(const CaseMarks& marks, const Goal& goal) {
  if ((goal.words & ~marks.words).any()) return false;
  return std::all_of(
      goal.conditions.begin(), goal.conditions.end(), [&](const Condition& condition) {
        return std::any_of(marks.numbers.begin(), marks.numbers.end(), [&](const auto& each) {
          return each.first == condition.quantity && condition.in.contains(each.second);
        });
      });
}

Aim aim_at(const Goal& goal, double work) {
  Aim aim;
  aim.work = work;
  aim.words = goal.words | goal.way_words;
  for (const auto* list : {&goal.conditions, &goal.way})
    for (const Condition& condition : *list)
      aim.of(condition.quantity) = aim.of(condition.quantity).meet(condition.in);
  return aim;
}

}  // namespace attnfuzz
