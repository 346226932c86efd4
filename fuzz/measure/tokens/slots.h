#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fuzz/measure/reading.h"

namespace attnfuzz::measure {

/// Where a cache's tokens are written, and from where they are read, as one law over all queries:
/// a row's slots, or a pool of pages that are handed out in the order in which rows need them, are
/// filled step by step as the law says, and each query must find there what it was seen to take.
class SlotFacts {
 public:
  void add_case(const Plan& plan);
  /// Of every query of that case whose weights can be read, in order.
  void add(const Plan& plan, const Query& query, const Reading& reading, bool wrong);
  /// "A step's tokens are written …"; empty where no law says it of the cases whose
  /// caches only grow (and, without pages, shrink at their end).
  std::string words() const;

 private:
  using Uses = std::map<size_t, int64_t>;  ///< how often each source is taken
  struct Asked {
    size_t step, row;
    std::vector<size_t> places;  ///< of the keys that the query should see
    int64_t head;
    Uses uses;
    int64_t zeros;
    bool counted, wrong;
  };
  /// A case, and what its queries took.
  struct Seen {
    std::shared_ptr<const Plan> plan;
    std::vector<Asked> asked;
  };
  struct Write;
  struct Read;
  struct Place;
  /// How a cache is written and read.
  struct Law;
  /// What becomes of tokens that are written beyond the capacity: they are lost, the step's first
  /// place moves back as far as it must, or places go on from 0.
  enum class Overflow : uint8_t { lost, moved_back, wrapped };
  /// The right one comes first.
  static std::span<const Write> writes();
  static std::span<const Read> reads();
  static std::span<const Place> places();
  class Memory;
  static bool only_grows(const Plan& plan);
  bool explains(const Law& law, bool all) const;
  bool is_paged() const;
  std::string write_words() const;
  std::string read_words() const;
  std::string place_words() const;

  std::vector<Seen> seen_;
  bool grows_ = false;  ///< the case at hand does nothing else
  size_t wrong_ = 0;
};

}  // namespace attnfuzz::measure
