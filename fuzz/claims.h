#pragma once
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/aim.h"
#include "fuzz/draw.h"
#include "targets/capabilities.h"

namespace attnfuzz {

/// The sizes that capabilities can name, in the order of size_names().
enum class Axis : uint8_t {
  batch,
  num_heads,
  num_kv_heads,
  q_len,
  kv_len,
  head_dim,
  head_dim_v,
  memory_kv,
  steps,
  capacity,
  page_size
};
inline constexpr size_t axis_count = 11;

/// A target's capabilities, made ready for drawing many cases.
class Claims {
 public:
  explicit Claims(const Capabilities& capabilities);

  /// A set of features for one case to use: one dtype, layout and kind of cache, and a few others,
  /// most often two, so that features meet. Closed under what the target and the words themselves
  /// need. `most`: how many others at most. The aim's words come first, as far as the claims let
  /// them.
  FeatureSet draw_features(Draw& draw, int64_t most, const Aim& aim = {}) const;

  bool declared(size_t word) const { return declared_[word]; }
  /// Whether two words can't both be used because they are choices of one thing ("dtype:f16" and
  /// "dtype:f32").
  bool same_choice(size_t a, size_t b) const;
  /// Whether the sizes can't be what the word says of them: it is as good as not declared.
  bool denied_by_sizes(size_t word) const { return denied_by_sizes_[word]; }
  /// What a word needs one of while none is claimed ("gqa"); empty: nothing.
  const std::string& missing_partner(size_t word) const { return missing_partners_[word]; }
  const SizeRange& range(Axis axis) const { return ranges_[static_cast<size_t>(axis)]; }
  const std::vector<int64_t>& tiles(Axis axis) const { return tiles_[static_cast<size_t>(axis)]; }
  /// The first of the axes that the target wants equal to this one; itself, if none.
  Axis same_as(Axis axis) const { return same_as_[static_cast<size_t>(axis)]; }
  /// The limits of a rule's parameter ("window.left"), or none.
  const SizeRange* param(std::string_view name) const;
  /// The words say what a row that sees no key gives; without, the target claims no such rows.
  bool may_be_fully_masked(const FeatureSet& words) const;
  const Capabilities& capabilities() const { return capabilities_; }

 private:
  using OneOf = std::vector<size_t>;

  void read_sizes();
  void read_words();
  void deny_by_sizes();
  void need(size_t word, const std::vector<size_t>& one_of);
  void exclude(const std::vector<std::string>& together);
  void combine();
  bool add(FeatureSet& words, size_t word, Draw& draw) const;
  bool draw_cached(Draw& draw, const Aim& aim) const;
  void add_gradients(FeatureSet& words) const;
  bool add_one_of(FeatureSet& words, const OneOf& choices, Draw& draw) const;
  bool allowed(const FeatureSet& words) const;

  Capabilities capabilities_;
  std::array<SizeRange, axis_count> ranges_;
  std::array<std::vector<int64_t>, axis_count> tiles_;
  std::array<Axis, axis_count> same_as_;
  FeatureSet denied_by_sizes_, declared_, cached_only_, uncached_only_, rules_, positional_rules_,
      with_state_;
  std::vector<OneOf> groups_;                  ///< at most one word of each can be used
  std::vector<std::vector<OneOf>> needs_;      ///< of each word: one of each of these
  std::vector<std::string> missing_partners_;  ///< of each word
  std::vector<size_t> group_of_;               ///< of each word, or none
  std::vector<FeatureSet> excludes_;           ///< each set: not all of it together
  std::vector<FeatureSet> forbidden_beside_;   ///< by word
  std::vector<OneOf> always_;                  ///< one of each of these is in every case
  OneOf caches_, aligns_, fully_masked_;       ///< words of these groups
  size_t cross_;
  OneOf gradients_;                            ///< come together, where the case has them
  std::vector<size_t> optional_;               ///< words to choose from
  std::vector<std::pair<size_t, int>> usual_;  ///< words that come often, with their percentage
};

}  // namespace attnfuzz
